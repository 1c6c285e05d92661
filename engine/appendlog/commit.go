package appendlog

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"slices"
)

// The commit of groups. A caller puts its request into the queue. If nobody leads
// it starts a leader, a goroutine that takes what waits as one group, writes it,
// syncs it, tells the callers, and goes on until nobody waits. While it syncs,
// the queue fills: the slower the disk, the larger the groups, and no timer is
// needed. A lone caller waits for nobody.
//
// The leader is not one of the callers, as in Pebble's pipeline, since a caller
// may go when its context ends, and a sync cannot. For the same reason a request
// may leave the queue as long as no leader has taken it. The leader lets others
// run before it looks into the queue: those it has just told of their success
// often come back at once, and without that they missed the next group, so that
// groups held half of the callers (16 callers: +40 % throughput). Writing the next group
// while the last is synced was not worth it: a write of some 100 KB to the page
// cache takes a tenth of the sync's time, and that each group starts where all
// is durable is what recovery rests upon.

// request is what a caller waits for: an append, or a rotation.
type request struct {
	payloads [][]byte
	heads    [][]byte // what stands before the payloads; nil for nothing
	sums     []uint32
	bytes    int64

	// rotate asks for a new segment instead: if the active one holds groups, or
	// at any rate if force is set.
	rotate, force bool

	// laid is closed when the payloads are no longer needed, done when all is
	// over; positions and err are set by then. The leader sets laid when it takes
	// the request, under Log.mu. The positions' lengths are set from the start.
	laid      chan struct{}
	done      chan struct{}
	positions []Position
	err       error
}

func newRequest(heads, payloads [][]byte, maxFrameBytes int) (*request, error) {
	r := &request{payloads: payloads, heads: heads, bytes: groupOverhead, done: make(chan struct{}),
		sums: make([]uint32, len(payloads)), positions: make([]Position, len(payloads))}
	for i, p := range payloads {
		length := len(r.head(i)) + len(p)
		if length > maxFrameBytes {
			return nil, fmt.Errorf("payload %d has %d bytes, and %d is the limit: %w", i, length, maxFrameBytes, ErrTooLarge)
		}
		if r.bytes += frameHeaderSize + int64(length); r.bytes > MaxAppendBytes {
			return nil, fmt.Errorf("%d payloads have more than %d bytes together, which is the limit of one append: %w",
				len(payloads), MaxAppendBytes, ErrTooLarge)
		}
	}
	// Before any lock: callers do this beside each other.
	for i, p := range payloads {
		head := r.head(i)
		r.sums[i] = crc32.Update(checksum(head), castagnoli, p)
		r.positions[i].Length = int32(len(head) + len(p))
	}
	return r, nil
}

// head is what stands before a payload.
func (r *request) head(i int) []byte {
	if r.heads == nil {
		return nil
	}
	return r.heads[i]
}

func newRotation(force bool) *request {
	return &request{rotate: true, force: force, done: make(chan struct{})}
}

// do queues a request and waits for it, or for the context.
func (l *Log) do(ctx context.Context, r *request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.enqueue(r); err != nil {
		return err
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
	}
	if l.dequeue(r) {
		return fmt.Errorf("nothing was written: %w", context.Cause(ctx))
	}
	select {
	case <-r.laid: // at once: the leader is copying
	case <-r.done:
	}
	return fmt.Errorf("may be written all the same: %w", context.Cause(ctx))
}

// enqueue adds a request to the queue, and a leader if there is none.
func (l *Log) enqueue(r *request) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	if l.broken != nil {
		return l.broken
	}
	l.queue = append(l.queue, r)
	if !l.leading {
		l.leading = true
		l.leaders.Add(1)
		go l.lead()
	}
	return nil
}

// dequeue takes a request back, unless a leader has it.
func (l *Log) dequeue(r *request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.queue, r)
	if i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
	}
	return i >= 0
}

// lead commits group after group. It ends when nobody waits.
func (l *Log) lead() {
	defer l.leaders.Done()
	for {
		runtime.Gosched()
		requests, laid := l.take()
		if requests == nil {
			return
		}
		var err error
		if requests[0].rotate {
			err = l.rotate(requests[0].force)
		} else {
			err = l.commit(requests, laid)
		}
		for _, r := range requests {
			r.err = err
			close(r.done)
		}
	}
}

// take removes the next group from the queue: as many appends as fit, or one
// rotation. When nobody waits it ends the leadership.
func (l *Log) take() (requests []*request, laid chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		l.leading = false
		return nil, nil
	}
	n, size := 1, l.queue[0].bytes
	for n < len(l.queue) && !l.queue[0].rotate && !l.queue[n].rotate {
		if size += l.queue[n].bytes; size > min(maxGroupBytes, l.opts.SegmentBytes-headerSize) {
			break
		}
		n++
	}
	requests, laid = slices.Clone(l.queue[:n]), make(chan struct{})
	l.queue = slices.Delete(l.queue, 0, n)
	for _, r := range requests {
		r.laid = laid
	}
	return requests, laid
}

// commit makes a group durable: all of it, or, when it returns an error, none of
// it that anybody will be told of.
func (l *Log) commit(requests []*request, laid chan struct{}) error {
	l.buf = layGroup(l.buf[:0], requests)
	close(laid)
	if err := l.makeRoom(int64(len(l.buf))); err != nil {
		return err
	}
	s := l.active
	at := s.end
	stampGroup(l.buf, s.header.salt, at)
	if err := l.write(l.buf); err != nil {
		return err
	}
	l.advance(s, int64(len(l.buf)), place(requests, s.id, at+groupHeaderSize))
	if cap(l.buf) > 2*maxGroupBytes {
		l.buf = nil
	}
	return nil
}

// place sets the positions of a group's payloads, the first of which has its
// frame at offset at, and counts them.
func place(requests []*request, segment uint64, at int64) (frames int64) {
	for _, r := range requests {
		for i := range r.positions {
			p := &r.positions[i]
			p.Segment, p.Offset = segment, at
			at += frameHeaderSize + int64(p.Length)
		}
		frames += int64(len(r.positions))
	}
	return frames
}

// advance says that what was written and synced holds.
func (l *Log) advance(s *segment, bytes, frames int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.end += bytes
	s.frames += frames
}

// write writes bytes to the end of the active file and syncs them. If the write
// fails, for want of room perhaps, the file is cut back, now or before the next
// write, and the log can go on. If the sync fails it cannot.
func (l *Log) write(b []byte) error {
	n, err := l.active.file.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		l.torn = true
		if cutErr := l.cut(); cutErr != nil {
			l.opts.Logger.Error("log could not be cut back after a failed write; the next append tries again",
				"file", l.path(l.active.id), "offset", l.active.end, "error", cutErr)
		}
		return fmt.Errorf("nothing was acknowledged: %w", err)
	}
	return l.sync(l.active.file.Sync)
}

// cut takes the torn part of a failed group off the active file, and syncs, so
// that no part of it can come up again in between the bytes of the next group.
func (l *Log) cut() error {
	if !l.torn {
		return nil
	}
	if err := l.active.file.Truncate(l.active.end); err != nil {
		return err
	}
	if err := l.sync(l.active.file.Sync); err != nil {
		return err
	}
	l.torn = false
	return nil
}

// sync runs a sync. If it fails the log is broken for good: the kernel may have
// dropped what it could not write and say yes the next time.
func (l *Log) sync(do func() error) error {
	err := do()
	if err == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken == nil {
		l.broken = fmt.Errorf("%w: %w", ErrBroken, err)
		l.opts.Logger.Error("log takes no more appends until it is opened again", "directory", l.opts.Dir, "error", err)
	}
	return l.broken
}

// failed is why the log is broken, or nil.
func (l *Log) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}
