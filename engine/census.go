package engine

import (
	"context"
	"fmt"
	"slices"

	"arbor/catalog"
	"arbor/engine/event"
)

// census reckons, from the sources alone, the digest that the new file must
// have: that of all records, physical repeats once. Repeats are found here by the
// bounds of batches and a table of ingest ids, while the build drops them by their place in the order:
// if either is wrong the proof fails. Ids that belong to different events are
// found on the way.
func (b *build) census(ctx context.Context) error {
	if err := b.countRows(ctx); err != nil {
		return err
	}
	if err := b.countErased(ctx); err != nil {
		return err
	}
	if err := b.collideWithOthers(ctx); err != nil {
		return err
	}
	if !b.conflict.IsZero() {
		return fmt.Errorf("%w: %s", ErrConflict, b.conflict)
	}
	b.want = b.want.Sub(b.marks.compact())
	b.job.total.Store(2 * int64(b.want.Count))
	if b.logged == nil {
		return nil
	}
	return b.resolve(b.logged.twice())
}

// countRows counts the rows of the source files, by what they say of themselves:
// it was proven when they were made. An id that is in two of them is looked into,
// and of an adopted file each: it was proven by another member.
func (b *build) countRows(ctx context.Context) error {
	for _, f := range b.sources {
		b.want = b.want.Add(f.digest())
	}
	compared := b.sources
	if len(b.adopted) > 0 {
		compared = slices.Concat(compared, b.adopted)
	}
	windows, err := idWindows(compared, b.windowRows())
	if err != nil {
		return err
	}
	for _, w := range windows {
		var ids idTable
		for _, f := range b.sources {
			if err := w.each(ctx, f, ids.add); err != nil {
				return err
			}
		}
		if err := b.resolve(ids.twice); err != nil {
			return err
		}
	}
	return nil
}

// windowRows is how many rows' ids the build compares at a time.
func (b *build) windowRows() int { return int(b.memory() / idsShare / idBytes) }

// collideWithOthers looks for the new ids in the files that stay: a row with the
// same id is the same event, or both are damaged. Rows of files were looked for
// when their files were built, unless that was another member.
func (b *build) collideWithOthers(ctx context.Context) error {
	for _, f := range b.others {
		if len(b.refs) > 0 {
			if err := b.collide(f, b.logged.between(f.minID, f.maxID)); err != nil {
				return err
			}
		}
		for _, adopted := range b.adopted {
			if err := b.collideWithAdopted(ctx, f, adopted); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *build) collideWithAdopted(ctx context.Context, f, adopted *file) error {
	windows, err := idWindows([]*file{f, adopted}, b.windowRows())
	if err != nil {
		return err
	}
	for _, w := range windows {
		var ids []catalog.IngestID
		if err := w.each(ctx, adopted, func(id catalog.IngestID) { ids = append(ids, id) }); err != nil {
			return err
		}
		if err := b.collide(f, sortIDs(ids)); err != nil {
			return err
		}
	}
	return nil
}

// collide looks for ids in a file that stays.
func (b *build) collide(f *file, ids []catalog.IngestID) error {
	rows, err := f.locate(ids)
	if err != nil {
		return err
	}
	forms, err := b.newForms(rows)
	if err != nil {
		return err
	}
	c := f.cursor()
	for _, r := range rows {
		e, err := c.event(int(r.ordinal))
		if err != nil {
			return err
		}
		form := formOf(e)
		for _, mine := range forms(r.id) {
			if mine != form {
				b.damage(r.id)
			}
		}
	}
	return nil
}

// form is what makes two records with one ingest id the same record.
type form struct {
	payload fingerprint
	time    int64
}

func formOf(e *event.Event) form { return form{fingerprintOf(e), e.Time} }

// newForms gives the forms of the events that bear an id of the rows and that were
// not looked for yet: those that were logged, or adopted.
func (b *build) newForms(rows []located) (func(catalog.IngestID) []form, error) {
	if len(b.adopted) == 0 {
		return b.loggedForms, nil
	}
	var ids []catalog.IngestID
	for _, r := range rows {
		ids = append(ids, r.id)
	}
	ids = sortIDs(ids)
	forms := map[catalog.IngestID][]form{}
	for _, f := range b.adopted {
		mine, err := f.locate(ids)
		if err != nil {
			return nil, err
		}
		c := f.cursor()
		for _, r := range mine {
			e, err := c.event(int(r.ordinal))
			if err != nil {
				return nil, err
			}
			forms[r.id] = append(forms[r.id], formOf(e))
		}
	}
	return func(id catalog.IngestID) []form { return forms[id] }, nil
}

// loggedForms are the forms of the logged events that bear an id.
func (b *build) loggedForms(id catalog.IngestID) (forms []form) {
	if b.logged == nil {
		return nil
	}
	for i, other := range b.logged.ids {
		if other == id {
			forms = append(forms, form{b.logged.payloads[i], b.logged.times[i]})
		}
	}
	return forms
}

// resolve looks at the records that share their ingest id with another: equal
// ones are physical repeats and count once, others are damaged.
func (b *build) resolve(twice []catalog.IngestID) error {
	if len(twice) == 0 {
		return nil
	}
	twice = sortIDs(twice)
	seen := map[catalog.IngestID][]form{}
	look := func(e *event.Event) {
		f := formOf(e)
		switch {
		case slices.Contains(seen[e.ID], f):
			var repeat event.Digest
			repeat.AddEvent(e)
			b.want = b.want.Sub(repeat)
		default:
			if seen[e.ID] = append(seen[e.ID], f); len(seen[e.ID]) > 1 {
				b.damage(e.ID)
			}
		}
	}
	if err := b.eachLogged(func(batch *event.Batch) {
		for i := range batch.Events {
			e := &batch.Events[i]
			if _, found := slices.BinarySearchFunc(twice, e.ID, catalog.IngestID.Compare); found {
				look(e)
			}
		}
	}); err != nil {
		return err
	}
	for _, f := range b.sources {
		rows, err := f.locate(twice)
		if err != nil {
			return err
		}
		c := f.cursor()
		for _, r := range rows {
			e, err := c.event(int(r.ordinal))
			if err != nil {
				return err
			}
			look(e)
		}
	}
	return nil
}

// damage quarantines an id, for as long as the file and its heirs live.
func (b *build) damage(id catalog.IngestID) {
	if b.strict && !slices.Contains(b.view.files.marks.damaged, id) {
		b.conflict = id
		return
	}
	if b.marks.addDamaged(id) > 0 {
		b.engine.alarmCollision(b.view.shard.key, id)
	}
}

// idTable is a set of ingest ids that remembers which came more than once.
type idTable struct {
	ids   []catalog.IngestID
	table hashtable
	twice []catalog.IngestID
}

func (t *idTable) add(id catalog.IngestID) {
	number := uint32(len(t.ids))
	if _, found := t.table.find(idHash(id), number, func(n uint32) bool { return t.ids[n] == id }); found {
		t.twice = append(t.twice, id)
		return
	}
	t.ids = append(t.ids, id)
}
