// Package appendlog keeps byte strings in the order in which they were appended
// and loses none that it acknowledged. It does not know what they mean: the
// engine appends encoded batches of events, the cluster encoded changes of the
// catalog, and replicas will pass segments on as they are.
//
// A log is a directory of segments, files of one length more or less, numbered
// upwards. Only the newest is written to, and only by the process that made it:
// after a restart the next append starts a new one, and what a crash left at the
// end of the old one is never touched again. Callers who append at the same time
// share one write and one sync, a commit group (see commit.go).
//
//	segment 000000000007.log
//	┌────────┬─────────┬────┬───────┬────────┬──────────┬──────────┬──────┬──────┬─────┐
//	│arborlog│ version │ 0  │ id    │created │ previous │ its end  │ salt │ 0    │ sum │
//	│ 8      │ 4       │ 4  │ 8     │ 8      │ 8        │ 8        │ 8    │ 4    │ 4   │ 64 bytes
//	├────────┴─────────┴────┴───────┴────────┴──────────┴──────────┴──────┴──────┴─────┤
//	│ group · group · group …                                                          │
//	└──────────────────────────────────────────────────────────────────────────────────┘
//	group
//	┌───────────┬────────────┬─────────────┬────────┬─────┬───────────────────┬──────┐
//	│ "\xa7grp" │ body bytes │ durable end │ frames │ sum │ body: frame · …   │ 0xff │
//	│ 4         │ 4          │ 8           │ 4      │ 4   │                   │ 1    │
//	└───────────┴────────────┴─────────────┴────────┴─────┴───────────────────┴──────┘
//	frame
//	┌────────┬─────┬──────────────────┐
//	│ length │ sum │ payload          │
//	│ 4      │ 4   │ length           │
//	└────────┴─────┴──────────────────┘
//
// Numbers are little-endian, sums are CRC32C, times are microseconds since 1970
// UTC. The sums of groups and frames cover the segment's salt, which is drawn at
// random, and their own place, so that bytes of another segment or another place
// are not taken for ours, even where a payload holds a copy of a log.
//
// # What a crash leaves, and what damage is
//
// A group is written only after the group before it was synced, so a group's
// durable end is the place where it starts: whoever finds a good group knows that
// everything before it was on disk, and may have been acknowledged. A header says
// the same of the segment before it, by its end. A log that is closed ends with a
// group without frames, which says it of the last group with frames. So when a
// group is not good:
//
//   - a later good group, or a later segment, says that it once was: damage, and
//     Open returns ErrCorrupt with file and offset;
//   - nothing comes later, and sectors of it are missing (the file ends inside it,
//     or holds a sector of zeros): the power was cut before its sync returned, so
//     nobody was told that it was written. It is left out, with a line in the log
//     and a Finding. The next segment's header says where the good part ended;
//   - nothing comes later, and no sector is missing: it was all written, and then
//     changed. That is damage too.
//
// One case remains open: damage that looks like a missing sector in the very last
// group of a log that was not closed. It is left out with a Finding.
package appendlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Errors of a log. Those of the file system are wrapped beside them.
var (
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("log is closed")
	// ErrTooLarge is returned for a payload or an append past its limit.
	ErrTooLarge = errors.New("too large for the log")
	// ErrBroken is returned by every append after a sync that failed: what the
	// disk holds is then unknown, and a second sync would lie. Open the log
	// again; what it then holds beyond the last append that succeeded may be in
	// the kernel's memory only, until the machine itself has started again.
	ErrBroken = errors.New("log is broken until it is opened again: a sync failed")
	// ErrCorrupt is returned for bytes that are not what was written. It comes
	// as a *CorruptError.
	ErrCorrupt = errors.New("log is damaged")
	// ErrVersion is returned for a segment that a newer arbor has written.
	ErrVersion = errors.New("segment has a newer version than this arbor reads")
	// ErrNoSegment is returned for a position or id that the log does not have.
	ErrNoSegment = errors.New("no such segment in the log")
	// ErrNotSealed is returned by Retire for the segment that is written to.
	ErrNotSealed = errors.New("segment is still written to")
)

// Position is the place of a payload in the log.
type Position struct {
	Segment uint64
	// Offset is where the payload's frame starts in the segment's file.
	Offset int64
	// Length is the payload's, in bytes.
	Length int32
}

// SegmentInfo describes a segment.
type SegmentInfo struct {
	ID uint64
	// Bytes are those that hold, header included: not a torn end.
	Bytes     int64
	Frames    int64
	CreatedAt time.Time
	// Sealed is set when nothing will be appended to it any more.
	Sealed bool
	// Previous is the newest segment before it that held frames when it was made;
	// 0 if there was none, or if that cannot be read.
	Previous uint64
}

// Log is an open log. All its methods may be called from many goroutines.
type Log struct {
	opts     Options
	findings []Finding

	// mu guards what follows. It is never held during I/O.
	mu     sync.Mutex
	closed bool
	// broken is why the log takes no more appends, once it is set.
	broken error
	// segments are those that the log holds, oldest first.
	segments []*segment
	// queue are the callers that wait for a leader, in order. It holds no bytes
	// of its own, and nobody who has gone, so callers bound it.
	queue []*request
	// leading is set while a leader runs; leaders lets Close wait for it.
	leading bool
	leaders sync.WaitGroup

	// What follows belongs to the leader, of which there is one at a time.

	// active is the segment that is written to, the last one of segments, or nil
	// before the first append.
	active *segment
	nextID uint64
	// torn is set while the active file may hold part of a group that failed.
	torn bool
	buf  []byte
}

// Open opens the log in a directory, or makes one, and replays what it holds: it
// calls replay for each payload in the order of the log. The payload is valid
// until replay returns; an error from replay ends Open. The caller sees to it
// that no other process has the log open.
func Open(opts Options, replay func(pos Position, payload []byte) error) (*Log, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	l := &Log{opts: opts, nextID: 1}
	if err := l.load(replay); err != nil {
		l.closeFiles()
		return nil, fmt.Errorf("open log %s: %w", opts.Dir, err)
	}
	return l, nil
}

// Findings are what Open left out or found damaged.
func (l *Log) Findings() []Finding { return slices.Clone(l.findings) }

// Segments describes the segments, oldest first.
func (l *Log) Segments() []SegmentInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	infos := make([]SegmentInfo, len(l.segments))
	for i, s := range l.segments {
		infos[i] = SegmentInfo{ID: s.id, Bytes: s.end, Frames: s.frames, CreatedAt: s.createdAt(), Sealed: !s.open, Previous: s.header.previous}
	}
	return infos
}

// Close waits for the appends under way, says on disk that the log was closed,
// and closes its files. Only the first call does anything.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.mu.Unlock()
	l.leaders.Wait()
	// No leader runs any more and none will, so what is theirs is ours.
	err := l.sayClosed()
	return errors.Join(err, l.closeFiles())
}

func (l *Log) closeFiles() error {
	l.mu.Lock()
	segments := slices.Clone(l.segments)
	l.mu.Unlock()
	var errs []error
	for _, s := range segments {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}

// Append adds payloads to the end of the log, beside each other and in order, and
// returns their positions once they are on disk. All of them are kept or none.
//
// When it returns an error nothing was acknowledged. The log may hold the
// payloads all the same if the error is the context's or ErrBroken; otherwise it
// holds none of them, and, unless it is ErrBroken, the next Append may succeed.
// The context bounds the waiting, not the truth: once a leader has taken the
// payloads they will be written. They may be reused when Append returns.
func (l *Log) Append(ctx context.Context, payloads [][]byte) ([]Position, error) {
	return l.AppendHeaded(ctx, nil, payloads)
}

// AppendHeaded is Append for payloads in two pieces: each is one of heads and one of
// payloads, put together.
func (l *Log) AppendHeaded(ctx context.Context, heads, payloads [][]byte) ([]Position, error) {
	if heads != nil && len(heads) != len(payloads) {
		return nil, fmt.Errorf("append to log: %d heads for %d payloads", len(heads), len(payloads))
	}
	if len(payloads) == 0 {
		return nil, ctx.Err()
	}
	r, err := newRequest(heads, payloads, l.opts.MaxFrameBytes)
	if err != nil {
		return nil, err
	}
	if err := l.do(ctx, r); err != nil {
		return nil, fmt.Errorf("append to log: %w", err)
	}
	return r.positions, nil
}

// Rotate seals the segment that is written to, if it holds anything.
func (l *Log) Rotate(ctx context.Context) error {
	if err := l.do(ctx, newRotation(false)); err != nil {
		return fmt.Errorf("rotate log: %w", err)
	}
	return nil
}
