package replication

import (
	"fmt"
	"time"

	"arbor/cluster/protocol"
)

// outcome is what is to be done after a step, without the lock.
type outcome struct {
	messages []protocol.Envelope
	tasks    []protocol.Task
	streams  []*attempt
	synced   []protocol.Synced
	alarms   []string
	broken   error
}

// do calls the machines and carries out what they want.
func (d *Driver) do(step func(*protocol.Effects, protocol.Moment)) {
	var out outcome
	d.step(&out, step)
	d.carryOut(&out)
}

// step calls the machines under the lock, hands on at once what they say to each
// other, and tells those who wait what came of it.
func (d *Driver) step(out *outcome, step func(*protocol.Effects, protocol.Moment)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	var e protocol.Effects
	now := time.Since(d.start)
	step(&e, now)
	learnt := 0
	for i := 0; i < len(e.Messages) || learnt < len(e.Learnt); {
		if learnt < len(e.Learnt) {
			d.holder.Learn(&e, now, e.Learnt[learnt].Bucket, e.Learnt[learnt].Config)
			learnt++
			continue
		}
		x := e.Messages[i]
		i++
		switch m := x.Message.(type) {
		case *protocol.ScanRequest:
			d.ask(&e, now, out, x.To, m)
		case *protocol.ScanReply:
			if x.To == d.o.Member {
				d.reader.Part(&e, now, m)
			} else if box := d.outboxes[asked{x.To, m.Call}]; box != nil {
				box.put(m)
			}
		default:
			if x.To == d.o.Member {
				d.deliver(&e, now, x.To, m)
			} else {
				out.messages = append(out.messages, x)
			}
		}
	}
	out.tasks, out.synced, out.alarms = e.Tasks, e.Synced, e.Alarms
	for i := range e.Tasks {
		if e.Tasks[i].Save != nil {
			d.lookWhoIsAlone()
			break
		}
	}
	if e.Broken != nil && d.broken == nil {
		d.broken = fmt.Errorf("%w: %w", ErrBroken, e.Broken)
		out.broken = e.Broken
		d.lookWhoIsAlone()
	}
	for _, x := range e.Written {
		if w := d.writes[x.ID]; w != nil {
			delete(d.writes, x.ID)
			d.writing -= w.bytes
			w.end(x.Err)
		}
	}
	for _, x := range e.Answered {
		if q := d.questions[x.ID]; q != nil {
			q.end(x.Parts, x.Err)
		}
	}
}

// deliver gives a message to the machines that it is for.
func (d *Driver) deliver(e *protocol.Effects, now protocol.Moment, from protocol.MemberID, m protocol.Message) {
	switch m := m.(type) {
	case *protocol.AppendReply:
		d.writer.Receive(e, now, m)
	case *protocol.SetsReply:
		d.reader.Sets(e, now, m)
		d.holder.Receive(e, now, from, m)
	case *protocol.Synced:
		e.Synced = append(e.Synced, *m)
	default:
		d.holder.Receive(e, now, from, m)
	}
}

// carryOut does what a step wants.
func (d *Driver) carryOut(out *outcome) {
	if t := d.transport.Load(); t != nil {
		for _, x := range out.messages {
			(*t).Send(x.To, protocol.Encode(x.Message))
		}
	}
	for _, at := range out.streams {
		d.goScan(func() { d.scanElsewhere(at) })
	}
	for i := range out.tasks {
		d.run(&out.tasks[i])
	}
	for _, s := range out.synced {
		d.o.Synced(s)
	}
	for _, text := range out.alarms {
		d.o.Logger.Error("replicas disagree; somebody has to look", "alarm", text)
	}
	if out.broken != nil {
		d.o.Logger.Error("this member's disk cannot be believed any more: its replicas are lost, and the process has to end", "error", out.broken)
		go d.o.Broken(out.broken) // which may close the driver
	}
}

// bitset has a bit for each bucket.
type bitset [protocol.Buckets / 64]uint64

// lookWhoIsAlone notes which buckets are this member's alone. It is called under the
// lock whenever a config has become durable, or one is about to, so that nobody who
// looks later sees what was before.
func (d *Driver) lookWhoIsAlone() {
	var set bitset
	for b := range protocol.Buckets {
		if d.holder.Alone(protocol.Bucket(b)) {
			set[b/64] |= 1 << (b % 64)
		}
	}
	d.alone.Store(&set)
}

// Alone says whether this member is the only replica of all these buckets, so that
// all that was acknowledged of them before the call is in its storage.
func (d *Driver) Alone(buckets []protocol.Bucket) bool {
	set := d.alone.Load()
	for _, b := range buckets {
		if set[b/64]&(1<<(b%64)) == 0 {
			return false
		}
	}
	return true
}
