package engine

import (
	"context"
	"slices"

	"arbor/catalog"
	"arbor/engine/event"
)

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
