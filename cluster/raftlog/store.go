// Package raftlog keeps on disk what consensus must not forget: the entries of
// its log, a member's vote, and snapshots. It is what hashicorp/raft asks for, a
// LogStore, a StableStore and a SnapshotStore, over arbor's own append log and
// file system. So every frame has a checksum, a torn tail is told from damage,
// an append costs one sync, and tests can stop the world before any operation
// of the disk.
//
//	dir/log/*.log          entries and votes
//	dir/trash/*.log        segments that a snapshot made superfluous
//	dir/snapshots/*.state  the newest snapshots
//
// A frame of the log begins with its kind; numbers are little-endian.
//
//	┌───┬───────┬──────┬──────┬─────────────┬─────────────────┬────────────┬──────┐
//	│ 1 │ index │ term │ type │ appended at │ extension bytes │ extensions │ data │  an entry
//	│ 1 │ 8     │ 8    │ 1    │ 8           │ 4               │            │      │
//	└───┴───────┴──────┴──────┴─────────────┴─────────────────┴────────────┴──────┘
//	┌───┬───────┐
//	│ 2 │ index │  the entries from this index on are no more: another leader's come
//	└───┴───────┘
//	┌───┬───────┐
//	│ 3 │ index │  the entries before this index are in a snapshot
//	└───┴───────┘
//	┌───┬───────────┬────────────┬─────┬──────────────┬───────┐
//	│ 4 │ pairs, 4  │ key bytes  │ key │ value bytes  │ value │ …  all that Set has set
//	└───┴───────────┴────────────┴─────┴──────────────┴───────┘
//
// Entries stand in the order of their indexes, without a gap. Segments go from
// the oldest on, so that a crash in between leaves the end of the history.
package raftlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path"
	"sync"

	"github.com/hashicorp/raft"

	"arbor/engine/appendlog"
	"arbor/engine/vfs"
)

// Errors of a store.
var (
	// ErrCorrupt: the log or a snapshot is not what was written.
	ErrCorrupt = errors.New("consensus log is damaged")
	// ErrVersion: a snapshot was written by a newer arbor.
	ErrVersion = errors.New("snapshot was written by a newer arbor")
	// ErrBroken: a sync failed, and the store takes nothing until it is opened again.
	ErrBroken = appendlog.ErrBroken
)

// MaxEntryBytes bounds an entry with its extensions.
const MaxEntryBytes = 130 << 20

// trashSegments are kept in the trash.
const trashSegments = 4

// Store is a raft.LogStore and a raft.StableStore. Its methods may be called at
// once from many goroutines.
type Store struct {
	fs   vfs.FS
	dir  string
	log  *appendlog.Log
	fail func(error)

	// writing is held while the log is written to, so that frames stand in the
	// order in which mu's fields change.
	writing sync.Mutex
	// mu guards what follows.
	mu sync.Mutex
	// first is the index of positions[0]; where there are none it means nothing.
	first     uint64
	positions []appendlog.Position
	stable    map[string][]byte
}

// Options of a store.
type Options struct {
	FS  vfs.FS
	Dir string
	// SegmentBytes is appendlog's; 0 means its default.
	SegmentBytes int64
	Logger       *slog.Logger
	// Fail is told, once or more, that a sync failed: what the disk holds is not
	// known any more, the store takes nothing, and the process should end. It may
	// be nil.
	Fail func(error)
}

// Open opens the store of a directory, or makes an empty one. The caller holds
// the directory's lock.
func Open(o Options) (*Store, error) {
	s := &Store{fs: o.FS, dir: o.Dir, fail: o.Fail, stable: map[string][]byte{}}
	log, err := appendlog.Open(appendlog.Options{
		FS: o.FS, Dir: path.Join(o.Dir, "log"), SegmentBytes: o.SegmentBytes, MaxFrameBytes: MaxEntryBytes + entryHeader, Logger: o.Logger,
	}, s.replay)
	if errors.Is(err, appendlog.ErrCorrupt) {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open consensus log %s: %w", o.Dir, err)
	}
	s.log = log
	return s, nil
}

// Close closes the log.
func (s *Store) Close() error { return s.log.Close() }

// IsMonotonic tells raft that indexes have no gaps: before entries after a
// snapshot from elsewhere it removes all before it.
func (s *Store) IsMonotonic() bool { return true }

// FirstIndex is the index of the first entry, 0 if there are none.
func (s *Store) FirstIndex() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.positions) == 0 {
		return 0, nil
	}
	return s.first, nil
}

// LastIndex is the index of the last entry, 0 if there are none.
func (s *Store) LastIndex() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.positions) == 0 {
		return 0, nil
	}
	return s.last(), nil
}

// last is the index of the last entry, of which there is one.
func (s *Store) last() uint64 { return s.first + uint64(len(s.positions)) - 1 }

// GetLog reads an entry.
func (s *Store) GetLog(index uint64, into *raft.Log) error {
	s.mu.Lock()
	if len(s.positions) == 0 || index < s.first || index > s.last() {
		s.mu.Unlock()
		return raft.ErrLogNotFound
	}
	position := s.positions[index-s.first]
	s.mu.Unlock()
	frame, err := s.log.ReadAt(position, nil)
	if errors.Is(err, appendlog.ErrNoSegment) { // retired since
		return raft.ErrLogNotFound
	}
	if err == nil {
		err = decodeEntry(frame, into)
	}
	if err == nil && into.Index != index {
		err = fmt.Errorf("%w: it is entry %d", ErrCorrupt, into.Index)
	}
	if err != nil {
		return fmt.Errorf("read entry %d: %w", index, err)
	}
	return nil
}

// StoreLog makes an entry durable.
func (s *Store) StoreLog(entry *raft.Log) error { return s.StoreLogs([]*raft.Log{entry}) }

// StoreLogs makes entries durable, all or none.
func (s *Store) StoreLogs(entries []*raft.Log) error {
	if len(entries) == 0 {
		return nil
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	next, any := s.last()+1, len(s.positions) > 0
	s.mu.Unlock()
	frames := make([][]byte, len(entries))
	for i, e := range entries {
		if (any || i > 0) && e.Index != next {
			return fmt.Errorf("store entry %d: the next is %d", e.Index, next)
		}
		if size := len(e.Data) + len(e.Extensions); size > MaxEntryBytes {
			return fmt.Errorf("store entry %d: it has %d bytes, at most %d are possible", e.Index, size, MaxEntryBytes)
		}
		next = e.Index + 1
		frames[i] = encodeEntry(e)
	}
	positions, err := s.append(frames...)
	if err != nil {
		return fmt.Errorf("store entries %d to %d: %w", entries[0].Index, next-1, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.positions) == 0 {
		s.first = entries[0].Index
	}
	s.positions = append(s.positions, positions...)
	return nil
}

// DeleteRange removes the entries from low to high: from the front, because a
// snapshot has them, or to the end, because another leader has others.
func (s *Store) DeleteRange(low, high uint64) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	first, last, any := s.first, s.last(), len(s.positions) > 0
	s.mu.Unlock()
	switch {
	case !any || high < first || low > last || low > high:
		return nil
	case low <= first:
		if err := s.forget(high + 1); err != nil {
			return fmt.Errorf("forget entries before %d: %w", high+1, err)
		}
		return nil
	case high >= last:
		if _, err := s.append(indexFrame(frameCut, low)); err != nil {
			return fmt.Errorf("remove entries from %d on: %w", low, err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cut(low)
		return nil
	default:
		return fmt.Errorf("entries %d to %d are in the midst of %d to %d", low, high, first, last)
	}
}

// forget drops the entries before index and moves the segments that held only
// such to the trash, once a new segment says what they said besides.
func (s *Store) forget(index uint64) error {
	s.mu.Lock()
	stable := maps.Clone(s.stable)
	s.mu.Unlock()
	ctx := context.Background()
	if err := s.log.Rotate(ctx); err != nil {
		return s.judge(err)
	}
	positions, err := s.append(indexFrame(frameForget, index), encodeStable(stable))
	if err != nil {
		return err
	}
	keep := positions[0].Segment
	s.mu.Lock()
	s.drop(index)
	if len(s.positions) > 0 {
		keep = min(keep, s.positions[0].Segment)
	}
	s.mu.Unlock()
	trash := path.Join(s.dir, "trash")
	for _, segment := range s.log.Segments() {
		if segment.ID >= keep {
			break
		}
		if err := s.log.Retire(ctx, segment.ID, trash); err != nil {
			return err
		}
	}
	return s.emptyTrash(trash)
}

// Rotate begins a new segment: what is written from now on is in another file than what
// was written before. It gives the index of the last entry, 0 if there are none.
func (s *Store) Rotate() (last uint64, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := s.judge(s.log.Rotate(context.Background())); err != nil {
		return 0, fmt.Errorf("rotate consensus log: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.positions) == 0 {
		return 0, nil
	}
	return s.last(), nil
}

// Purge removes the segments in the trash for good. It fails if entries up to index are
// still in the log.
func (s *Store) Purge(index uint64) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	left := len(s.positions) > 0 && s.first <= index
	s.mu.Unlock()
	if left {
		return fmt.Errorf("purge consensus log: %w", errStillNeeded)
	}
	trash := path.Join(s.dir, "trash")
	if _, err := s.fs.Stat(trash); err != nil {
		return nil // nothing was ever retired
	}
	err := s.reapTrash(trash, 0)
	if err == nil {
		err = s.fs.SyncDir(trash)
	}
	if err != nil {
		return fmt.Errorf("purge consensus log: %w", err)
	}
	return nil
}

// errStillNeeded says that no snapshot stands for the entries yet.
var errStillNeeded = errors.New("its entries are not in a snapshot yet")

// emptyTrash keeps the newest segments of the trash.
func (s *Store) emptyTrash(trash string) error { return s.reapTrash(trash, trashSegments) }

// reapTrash keeps so many of the newest; names sort by age.
func (s *Store) reapTrash(trash string, kept int) error {
	if _, err := s.fs.Stat(trash); err != nil {
		return nil // nothing was ever retired
	}
	names, err := s.fs.List(trash)
	for len(names) > kept && err == nil {
		err = s.fs.Remove(path.Join(trash, names[0]))
		names = names[1:]
	}
	return err
}

// cut drops the entries from index on. The caller holds mu.
func (s *Store) cut(index uint64) {
	if index <= s.first {
		s.positions = nil
	} else if n := index - s.first; n < uint64(len(s.positions)) {
		s.positions = s.positions[:n:n]
	}
}

// drop drops the entries before index. The caller holds mu.
func (s *Store) drop(index uint64) {
	if len(s.positions) == 0 || index <= s.first {
		return
	}
	n := min(index-s.first, uint64(len(s.positions)))
	s.positions = append([]appendlog.Position(nil), s.positions[n:]...)
	s.first += n
}

// Set makes a value durable under a key.
func (s *Store) Set(key, value []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	next := maps.Clone(s.stable)
	s.mu.Unlock()
	next[string(key)] = append([]byte(nil), value...)
	if _, err := s.append(encodeStable(next)); err != nil {
		return fmt.Errorf("set %s: %w", key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stable = next
	return nil
}

// Get gives the value of a key, empty if there is none.
func (s *Store) Get(key []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]byte{}, s.stable[string(key)]...), nil
}

// SetUint64 makes a number durable under a key.
func (s *Store) SetUint64(key []byte, value uint64) error {
	return s.Set(key, binary.LittleEndian.AppendUint64(nil, value))
}

// GetUint64 gives the number of a key, 0 if there is none.
func (s *Store) GetUint64(key []byte) (uint64, error) {
	b, err := s.Get(key)
	if err != nil || len(b) == 0 {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("%w: %s is no number", ErrCorrupt, key)
	}
	return binary.LittleEndian.Uint64(b), nil
}

// append writes frames; the caller holds writing.
func (s *Store) append(frames ...[]byte) ([]appendlog.Position, error) {
	positions, err := s.log.Append(context.Background(), frames)
	return positions, s.judge(err)
}

// judge tells Fail of a disk that cannot be believed any more.
func (s *Store) judge(err error) error {
	if errors.Is(err, appendlog.ErrBroken) && s.fail != nil {
		s.fail(err)
	}
	return err
}
