package engine

import (
	"context"
	"errors"

	"arbor/engine/dot"
	"arbor/engine/event"
	"arbor/engine/indexfile"
)

// readLogged reads the logged batches and counts them while they are at hand. If
// there is room, the new file's Builder collects the events at once, and no batch
// outlives the next.
func (b *build) readLogged(ctx context.Context) error {
	err := b.readBatches(ctx, b.hasRoom())
	if errors.Is(err, indexfile.ErrColumns) {
		b.want, b.writer, b.dots, b.marks = event.Digest{}, nil, dot.Set{}, tombstones{}
		err = b.readBatches(ctx, false)
	}
	return err
}

// Collected events take about as much as their records four times, since a value of
// a byte or two has a code of four, and eventBytes each.
const (
	recordTimes = 4
	eventBytes  = 256
	roomShare   = 2 // of a build's memory
)

// hasRoom reports whether the logged events may be collected.
func (b *build) hasRoom() bool {
	events, bytes := b.loggedSize()
	return recordTimes*bytes+eventBytes*int64(events) <= b.memory()/roomShare
}

func (b *build) loggedSize() (events int, bytes int64) {
	for _, r := range b.refs {
		events += int(r.events)
		bytes += int64(r.length)
	}
	return events, bytes
}

// longest is how much room the longest batch takes where the log reads it, which needs eight
// bytes before it.
func (b *build) longest() (n int) {
	for _, r := range b.refs {
		n = max(n, int(r.length)+8)
	}
	return n
}

func (b *build) readBatches(ctx context.Context, collect bool) error {
	events, _ := b.loggedSize()
	b.logged = newLogSource(events)
	if collect {
		b.newWriter(events)
		b.logged.writer = b.writer
	}
	var batch event.Batch
	buffer := make([]byte, 0, b.longest()) // most batches are about as long
	var walker event.Walker
	for _, r := range b.refs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if collect {
			record, err := b.view.record(r, &buffer)
			if err != nil {
				return err
			}
			if err := walker.Begin(record); err != nil {
				return err
			}
			if err := b.logged.collect(&walker, &b.want, b.faults()); err != nil {
				return err
			}
			if err := walker.End(&batch); err != nil {
				return err
			}
		} else {
			batch, buffer = event.Batch{}, nil // the last ones are kept
			if err := b.view.read(r, &buffer, &batch); err != nil {
				return err
			}
			b.logged.keep(&batch, &b.want)
		}
		if !r.dot.IsZero() {
			b.dots.Add(r.dot)
		}
		for i := range batch.Deletes {
			b.want.AddDelete(&batch.Deletes[i])
		}
		for i := range batch.Undos {
			b.want.AddUndo(&batch.Undos[i])
		}
		b.marks.addBatch(batch.Deletes, batch.Undos)
	}
	b.logged.sort()
	b.rows = b.logged
	return nil
}

// eachLogged reads the logged batches again.
func (b *build) eachLogged(do func(*event.Batch)) error {
	var batch event.Batch
	var buffer []byte
	for _, r := range b.refs {
		if err := b.view.read(r, &buffer, &batch); err != nil {
			return err
		}
		do(&batch)
	}
	return nil
}
