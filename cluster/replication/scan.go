package replication

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"arbor/cluster/protocol"
)

// StreamScan is the name of the stream that Driver.ServeScan answers.
const StreamScan = "scan"

// The kinds of frame.
const (
	framePiece = 1
	frameReply = 2
	frameFault = 3
)

// heardEvery is how often pieces that come count as a sign of life.
const heardEvery = 100 * time.Millisecond

// ErrScans: a member executes MaxScans plans for others already.
var ErrScans = errors.New("member executes as many plans as it may")

var errFrame = errors.New("a scan's stream is damaged")

// hold says whether the driver is open, and if so has Close wait for running.Done.
func (d *Driver) hold() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.running.Add(1)
	}
	return !d.closed
}

// goScan runs f until it ends; Close waits for it, and after Close it runs at once, to
// see that it is too late.
func (d *Driver) goScan(f func()) {
	if !d.hold() {
		f()
		return
	}
	go func() {
		defer d.running.Done()
		f()
	}()
}

// scanElsewhere has another member scan. It ends with the stream.
func (d *Driver) scanElsewhere(at *attempt) {
	defer at.question.running.Done()
	failed := &protocol.ScanReply{Call: at.request.Call, Status: protocol.Failed}
	t := d.transport.Load()
	if t == nil {
		d.tell(failed)
		return
	}
	ctx, cancel := context.WithCancel(at.question.ctx)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	var last *protocol.ScanReply
	var heard time.Time
	err := (*t).Stream(ctx, at.to, StreamScan, protocol.Encode(at.request), func(frame []byte) error {
		if len(frame) == 0 || last != nil {
			return errFrame
		}
		switch body := frame[1:]; frame[0] {
		case framePiece:
			if err := at.add(body); err != nil {
				return judge(err)
			}
			if now := time.Now(); now.Sub(heard) >= heardEvery {
				heard = now
				d.tell(&protocol.ScanReply{Call: at.request.Call, Status: protocol.Working})
			}
			return nil
		case frameFault:
			return &fatalError{d.o.Faults.Decode(body)}
		case frameReply:
			m, err := protocol.Decode(body)
			reply, ok := m.(*protocol.ScanReply)
			if err != nil || !ok || reply.Call != at.request.Call {
				return fmt.Errorf("%w: %w", errFrame, err)
			}
			if reply.Status != protocol.Working {
				last = reply
				return nil
			}
			d.tell(reply)
			return nil
		}
		return errFrame
	})
	if err == nil && last == nil {
		err = errFrame
	}
	if err == nil && last.Status == protocol.OK {
		d.finish(at, last)
		return
	}
	at.drop()
	if err != nil {
		d.fail(at, fmt.Errorf("member %s: %w", at.to, err))
		last = failed
	}
	d.tell(last)
}

// tell gives a scan's reply to the reader.
func (d *Driver) tell(m *protocol.ScanReply) {
	d.do(func(e *protocol.Effects, now protocol.Moment) { d.reader.Part(e, now, m) })
}

// finish gives the last reply of a scan elsewhere to the reader, which takes the
// part or does not.
func (d *Driver) finish(at *attempt, m *protocol.ScanReply) {
	d.do(func(e *protocol.Effects, now protocol.Moment) {
		m.Part = at.question.handle(at)
		d.reader.Part(e, now, m)
	})
}

// scanHere carries out a scan's task, for this member or for another one.
func (d *Driver) scanHere(t *protocol.Task) {
	d.mu.Lock()
	number := t.Number
	if t.Scan.From != d.o.Member {
		box := d.outboxes[asked{t.Scan.From, t.Scan.Call}]
		if box != nil {
			box.task <- t // takes one, and there is one
		}
		d.mu.Unlock()
		if box == nil { // nobody waits for it any more
			d.complete(number, protocol.Result{Err: context.Canceled})
		}
		return
	}
	at := d.attempts[t.Scan.Call]
	if at == nil || at.question.ended {
		d.mu.Unlock()
		d.complete(number, protocol.Result{Err: context.Canceled})
		return
	}
	at.question.running.Add(1)
	d.mu.Unlock()
	d.goScan(func() {
		defer at.question.running.Done()
		var added error
		err := d.o.Scanner.Scan(at.question.ctx, t.Scan.Buckets, t.Scan.Plan, func(piece []byte) error {
			added = judge(at.add(piece))
			return added
		})
		if err != nil {
			at.drop()
			if added == nil {
				added = d.faultOf(err)
			}
			d.fail(at, added)
		}
		d.mu.Lock()
		handle := at.question.handle(at)
		d.mu.Unlock()
		d.complete(number, protocol.Result{Part: handle, Err: err})
	})
}

// faultOf says which error of the scanner every replica would give.
func (d *Driver) faultOf(err error) error {
	if _, ok := d.o.Faults.Encode(err); ok {
		return &fatalError{err}
	}
	return err
}

// asked names a scan for another member.
type asked struct {
	from protocol.MemberID
	call protocol.Call
}

// outbox is where a scan for another member goes.
type outbox struct {
	task    chan *protocol.Task      // takes one
	working chan *protocol.ScanReply // takes one; more say the same
	last    chan *protocol.ScanReply // takes one
}

// put takes a reply of the holder's. It is called under the lock.
func (b *outbox) put(m *protocol.ScanReply) {
	to := b.last
	if m.Status == protocol.Working {
		to = b.working
	}
	select {
	case to <- m:
	default:
	}
}

// ServeScan answers a member's scan: it is the stream of that name.
func (d *Driver) ServeScan(ctx context.Context, from protocol.MemberID, request []byte, send func([]byte) error) error {
	m, err := protocol.Decode(request)
	scan, ok := m.(*protocol.ScanRequest)
	if err != nil || !ok {
		return fmt.Errorf("scan for member %s: %w", from, errors.Join(err, errFrame))
	}
	select {
	case d.scans <- struct{}{}:
		defer func() { <-d.scans }()
	default:
		return ErrScans
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	name := asked{from, scan.Call}
	box := &outbox{task: make(chan *protocol.Task, 1), working: make(chan *protocol.ScanReply, 1), last: make(chan *protocol.ScanReply, 1)}
	d.mu.Lock()
	if d.closed || d.outboxes[name] != nil {
		d.mu.Unlock()
		return fmt.Errorf("scan for member %s: %w", from, ErrClosed)
	}
	d.outboxes[name] = box
	d.mu.Unlock()
	d.do(func(e *protocol.Effects, now protocol.Moment) { d.holder.Receive(e, now, from, scan) })
	err = d.serve(ctx, box, send)
	d.mu.Lock()
	delete(d.outboxes, name)
	d.mu.Unlock()
	select { // it came too late
	case t := <-box.task:
		d.complete(t.Number, protocol.Result{Err: context.Canceled})
	default:
	}
	return err
}

// serve sends what comes into an outbox until the last reply, and returns when
// nothing uses send any more.
func (d *Driver) serve(ctx context.Context, box *outbox, send func([]byte) error) error {
	var sending sync.Mutex // guards send
	var executing sync.WaitGroup
	defer executing.Wait()
	frame := func(kind byte, body []byte) error {
		sending.Lock()
		defer sending.Unlock()
		return send(append([]byte{kind}, body...))
	}
	for {
		select {
		case t := <-box.task:
			executing.Go(func() { d.execute(ctx, t, frame) })
		case m := <-box.working:
			if err := frame(frameReply, protocol.Encode(m)); err != nil {
				return err
			}
		case m := <-box.last:
			return frame(frameReply, protocol.Encode(m))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// execute executes a plan for another member.
func (d *Driver) execute(ctx context.Context, t *protocol.Task, frame func(byte, []byte) error) {
	var sent error
	err := d.o.Scanner.Scan(ctx, t.Scan.Buckets, t.Scan.Plan, func(piece []byte) error {
		sent = frame(framePiece, piece)
		return sent
	})
	if err != nil && sent == nil && ctx.Err() == nil {
		if fault, ok := d.o.Faults.Encode(err); ok {
			_ = frame(frameFault, fault) // who is gone needs it no more
		} else {
			d.o.Logger.Warn("a plan could not be executed for a member, which asks elsewhere", "member", t.Scan.From, "error", err)
		}
	}
	d.complete(t.Number, protocol.Result{Err: err})
}
