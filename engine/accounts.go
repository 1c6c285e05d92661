package engine

import (
	"context"
	"fmt"
	"slices"

	"arbor/catalog"
	"arbor/engine/event"
)

// Duplicates counts the events of records that were appended before and are
// hidden as duplicates now.
func (e *Engine) Duplicates(ctx context.Context, records [][]byte) (int64, error) {
	leave, err := e.enter()
	if err != nil {
		return 0, err
	}
	defer leave()
	var count int64
	var batch event.Batch
	for i, record := range records {
		if err := event.DecodeBatch(record, &batch); err != nil {
			return 0, fmt.Errorf("duplicates: record %d: %w", i, err)
		}
		n, err := e.countHidden(ctx, &batch)
		if err != nil {
			return 0, fmt.Errorf("duplicates: %w", err)
		}
		count += n
	}
	return count, nil
}

// countHidden counts the events of a batch that are duplicates.
func (e *Engine) countHidden(ctx context.Context, b *event.Batch) (int64, error) {
	v, err := e.shard(b.Shard).view(e)
	if err != nil {
		return 0, err
	}
	defer v.release()
	st, err := v.state(ctx, rulesFor(e.catalog.Load(), b.Shard, catalog.IngestID{}, nil))
	if err != nil {
		return 0, err
	}
	ids := make([]catalog.IngestID, len(b.Events))
	for i := range b.Events {
		ids[i] = b.Events[i].ID
	}
	hidden, rest, err := v.hiddenInLog(ctx, st, sortIDs(ids))
	if err != nil || len(rest) == 0 {
		return hidden, err
	}
	rows, err := v.files.locate(rest)
	if err != nil {
		return 0, v.blame(err)
	}
	for i := range rows {
		for _, r := range rows[i] {
			if _, found := slices.BinarySearch(st.files[i].hidden, r.ordinal); found {
				hidden++
			}
		}
	}
	return hidden, nil
}

// hiddenInLog counts the hidden events among the logged ones of these ids, and
// gives the ids that are not logged, or only as repeats of rows in files.
func (v *view) hiddenInLog(ctx context.Context, st *state, ids []catalog.IngestID) (hidden int64, rest []catalog.IngestID, err error) {
	t := v.tail
	if err := t.turn.take(ctx); err != nil {
		return 0, nil, err
	}
	defer t.turn.give()
	for _, id := range ids {
		number, ok := t.find(id)
		if !ok || int64(number) >= v.events {
			rest = append(rest, id)
			continue
		}
		if _, absent := slices.BinarySearch(st.log.absent, number); absent {
			rest = append(rest, id)
			continue
		}
		if _, found := slices.BinarySearch(st.log.hidden, number); found {
			hidden++
		}
	}
	return hidden, rest, nil
}

// account says what became of everything that a shard accepted.
func (v *view) account(ctx context.Context, c *catalog.Catalog) (counts, error) {
	r := rulesFor(c, v.shard.key, catalog.IngestID{}, nil)
	r.detail = true
	st, err := v.state(ctx, r)
	if err != nil {
		return counts{}, err
	}
	return st.counts, nil
}

// digest is that of all records of the view, physical repeats once. Files say
// theirs; what is logged is read.
func (v *view) digest(ctx context.Context, c *catalog.Catalog) (d event.Digest, err error) {
	st, err := v.state(ctx, rulesFor(c, v.shard.key, catalog.IngestID{}, nil))
	if err != nil {
		return d, err
	}
	all := tombstones{}
	for i, f := range v.files.files {
		d = d.Add(f.digest()).Sub(f.marks.digest())
		all.add(&f.marks)
		repeats, err := f.digestOf(st.files[i].repeats)
		if err != nil {
			return d, v.blame(err)
		}
		d = d.Sub(repeats)
	}
	logged, err := v.loggedDigest(ctx, st, &all)
	if err != nil {
		return d, v.blame(err)
	}
	all.compact()
	return d.Add(logged).Add(all.digest()), nil
}

// digestOf is the digest of some rows.
func (f *file) digestOf(ordinals []uint32) (d event.Digest, err error) {
	c := f.cursor()
	for _, o := range ordinals {
		e, err := c.event(int(o))
		if err != nil {
			return d, err
		}
		d.AddEvent(e)
	}
	return d, nil
}

// loggedDigest is the digest of the logged events; their deletes and undos go
// into marks.
func (v *view) loggedDigest(ctx context.Context, st *state, marks *tombstones) (d event.Digest, err error) {
	var buffer []byte
	var batch event.Batch
	number := uint32(0)
	for _, r := range v.logs {
		if err := ctx.Err(); err != nil {
			return d, err
		}
		if err := v.read(r, &buffer, &batch); err != nil {
			return d, err
		}
		for i := range batch.Events {
			if _, repeat := slices.BinarySearch(st.log.repeats, number); !repeat {
				d.AddEvent(&batch.Events[i])
			}
			number++
		}
		marks.addBatch(batch.Deletes, batch.Undos)
	}
	return d, nil
}
