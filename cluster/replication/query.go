package replication

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"arbor/cluster/protocol"
)

// Part takes one answer in, piece by piece; exec.Part is one. Add keeps nothing of
// a piece. An error of Add ends the whole query, unless it is ErrElsewhere. Drop gives back
// what the part holds. A part is used by one goroutine at a time.
type Part interface {
	Add(piece []byte) error
	Drop()
}

// ErrElsewhere, wrapped, is what Part.Add returns if another replica may do better.
var ErrElsewhere = errors.New("answer is unusable")

// question is a query that somebody waits for.
type question struct {
	id      uint64
	newPart func() (Part, error)
	ctx     context.Context
	cancel  context.CancelFunc
	done    chan answer // takes one
	running sync.WaitGroup

	// Guarded by the driver's lock.
	ended    bool
	attempts []*attempt
	last     error // why a scan failed
}

type answer struct {
	parts [][]byte
	err   error
}

// end tells who waits; the second end is none.
func (q *question) end(parts [][]byte, err error) {
	if q.ended {
		return
	}
	q.ended = true
	q.done <- answer{parts, err}
}

// attempt is a scan that a question has of one member.
type attempt struct {
	question *question
	to       protocol.MemberID
	request  *protocol.ScanRequest
	part     Part
}

// Query has a plan executed over buckets, each given once, and gives parts that
// together are the answer, each bucket in one of them: whole, with all that was
// acknowledged before. It is newPart that makes them, and the caller drops them.
//
//   - protocol.ErrIncomplete: some buckets have too few replicas, for ten seconds,
//     or all of them failed; the error names them;
//   - what newPart, Add or every replica said; ErrBroken, ErrClosed, or that of ctx.
func (d *Driver) Query(ctx context.Context, plan []byte, buckets []protocol.Bucket, newPart func() (Part, error)) ([]Part, error) {
	return d.QueryNear(ctx, plan, buckets, nil, newPart)
}

// QueryNear is Query by the replicas that near names, where they can answer; it is
// called under a lock.
func (d *Driver) QueryNear(ctx context.Context, plan []byte, buckets []protocol.Bucket, near func(protocol.Bucket) (protocol.MemberID, bool), newPart func() (Part, error)) ([]Part, error) {
	q := &question{newPart: newPart, done: make(chan answer, 1)}
	q.ctx, q.cancel = context.WithCancel(ctx)
	defer q.cancel()
	d.do(func(e *protocol.Effects, now protocol.Moment) {
		d.number++
		q.id = d.number
		d.questions[q.id] = q
		if d.broken != nil {
			q.end(nil, d.broken)
			return
		}
		d.reader.QueryNear(e, now, q.id, plan, buckets, near)
	})
	var a answer
	select {
	case a = <-q.done:
	case <-ctx.Done():
		a.err = ctx.Err()
	case <-d.ctx.Done():
		a.err = ErrClosed
	}
	q.cancel()
	d.forget(q)
	q.running.Wait()
	return q.collect(a)
}

// forget takes a question away.
func (d *Driver) forget(q *question) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q.ended = true
	d.reader.Cancel(q.id)
	delete(d.questions, q.id)
	for _, at := range q.attempts {
		delete(d.attempts, at.request.Call)
	}
}

// collect gives the parts that the answer names, and drops all others. Nothing
// of the question runs any more.
func (q *question) collect(a answer) ([]Part, error) {
	taken := map[uint64]bool{}
	for _, handle := range a.parts {
		taken[binary.LittleEndian.Uint64(handle)] = true
	}
	var parts []Part
	for i, at := range q.attempts {
		switch {
		case at.part == nil:
		case taken[uint64(i)] && a.err == nil:
			parts = append(parts, at.part)
		default:
			at.part.Drop()
		}
	}
	if a.err != nil && errors.Is(a.err, protocol.ErrIncomplete) && q.last != nil {
		return nil, fmt.Errorf("%w; a replica said: %w", a.err, q.last)
	}
	return parts, a.err
}

// handle is what the machines know as an attempt's part.
func (q *question) handle(at *attempt) []byte {
	for i, x := range q.attempts {
		if x == at {
			return binary.LittleEndian.AppendUint64(nil, uint64(i))
		}
	}
	return nil
}

// ask begins a scan, here or elsewhere. It is called under the lock.
func (d *Driver) ask(e *protocol.Effects, now protocol.Moment, out *outcome, to protocol.MemberID, m *protocol.ScanRequest) {
	id, ok := d.reader.QueryOf(m.Call)
	q := d.questions[id]
	if !ok || q == nil || q.ended {
		return
	}
	at := &attempt{question: q, to: to, request: m}
	q.attempts = append(q.attempts, at)
	d.attempts[m.Call] = at
	if to == d.o.Member {
		d.holder.Receive(e, now, to, m)
		return
	}
	q.running.Add(1)
	out.streams = append(out.streams, at)
}

// add gives a piece to the attempt's part.
func (at *attempt) add(piece []byte) (err error) {
	if at.part == nil {
		if at.part, err = at.question.newPart(); err != nil {
			at.part = nil
			return err
		}
	}
	return at.part.Add(piece)
}

// drop gives back what a failed attempt holds.
func (at *attempt) drop() {
	if at.part != nil {
		at.part.Drop()
		at.part = nil
	}
}

// fail notes why an attempt failed, and ends the question if no other would do
// better.
func (d *Driver) fail(at *attempt, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q := at.question
	if q.ctx.Err() != nil {
		return
	}
	q.last = err
	var fatal *fatalError
	if errors.As(err, &fatal) {
		q.end(nil, fatal.error)
	}
}

// fatalError is one that every replica would give.
type fatalError struct{ error }

// Unwrap gives the error itself.
func (f *fatalError) Unwrap() error { return f.error }

// judge says which error of Part.Add ends the question.
func judge(err error) error {
	if err == nil || errors.Is(err, ErrElsewhere) {
		return err
	}
	return &fatalError{err}
}

// noFaults has every plan tried everywhere.
type noFaults struct{}

// Encode knows no error.
func (noFaults) Encode(error) ([]byte, bool) { return nil, false }

// Decode gives the bytes as text.
func (noFaults) Decode(b []byte) error { return errors.New(string(b)) }
