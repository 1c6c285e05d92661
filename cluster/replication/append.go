package replication

import (
	"context"
	"fmt"

	"arbor/cluster/protocol"
)

// writing is a write that somebody waits for.
type writing struct {
	bytes int
	done  chan error // takes one
}

func (w *writing) end(err error) { w.done <- err }

// Append makes records durable on quorums of their buckets' replicas. The records are
// the caller's again when it returns, although slower replicas, and those that are
// asked again, may get them later: the driver has copies of those that other members
// have a part in. After an error they may or may not be stored, and appending them
// again is right:
//
//   - protocol.ErrNoQuorum: too few replicas have them after ten seconds, or disks
//     are full, or there are fewer replicas than an item wants;
//   - protocol.ErrBusy: MaxWritingBytes are under way;
//   - ErrTooLarge, ErrBroken, ErrClosed, or that of ctx.
func (d *Driver) Append(ctx context.Context, items []protocol.Item) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &writing{done: make(chan error, 1)}
	for i := range items {
		if n := len(items[i].Record); n > maxRecordBytes {
			return fmt.Errorf("%w: it has %d bytes, at most %d are possible", ErrTooLarge, n, maxRecordBytes)
		}
		w.bytes += len(items[i].Record)
	}
	alone := d.aloneFor(items)
	if !alone {
		items = copied(items, w.bytes)
	}
	var out outcome
	var refused error
	d.step(&out, func(e *protocol.Effects, now protocol.Moment) {
		switch {
		case d.broken != nil:
			refused = d.broken
		case d.writing > 0 && d.writing+w.bytes > d.maxWriting:
			refused = fmt.Errorf("%w: %d bytes of records wait for replicas, at most %d may", protocol.ErrBusy, d.writing, d.maxWriting)
		default:
			d.number++
			d.writes[d.number] = w
			d.writing += w.bytes
			d.writer.Write(e, now, d.number, items)
			return
		}
		w.end(refused)
	})
	// What only this member stores its caller's goroutine stores.
	if last := len(out.tasks) - 1; last >= 0 && len(out.messages) == 0 && out.tasks[last].Append != nil && d.hold() {
		t := out.tasks[last]
		out.tasks = out.tasks[:last]
		d.carryOut(&out)
		d.arriving.Add(bytesOf(t.Append))
		d.append(&t)
		d.running.Done()
	} else {
		d.carryOut(&out)
	}
	select {
	case err := <-w.done:
		return err
	default:
	}
	gone := ctx.Done()
	if alone {
		gone = nil // a change of the replicas came in between, and the records are the caller's
	}
	select {
	case err := <-w.done:
		return err
	case <-gone:
		return ctx.Err()
	case <-d.ctx.Done():
		return ErrClosed
	}
}

// aloneFor is Alone for the buckets of items.
func (d *Driver) aloneFor(items []protocol.Item) bool {
	set := d.alone.Load()
	for i := range items {
		if b := items[i].Bucket; set[b/64]&(1<<(b%64)) == 0 {
			return false
		}
	}
	return true
}

// copied are the items with records of their own.
func copied(items []protocol.Item, bytes int) []protocol.Item {
	own, slab := make([]protocol.Item, len(items)), make([]byte, 0, bytes)
	for i, item := range items {
		from := len(slab)
		slab = append(slab, item.Record...)
		own[i] = protocol.Item{Bucket: item.Bucket, Least: item.Least, Record: slab[from:len(slab):len(slab)]}
	}
	return own
}

// maxRecordBytes leaves room for what stands around a record.
const maxRecordBytes = protocol.MaxMessageBytes - 1<<20
