package engine

import (
	"context"
	"slices"
	"strings"

	"arbor/catalog"
	"arbor/engine/indexfile"
)

// match looks for the new entries in the files: for copies, by users, and for
// their ingest ids. What is found counts once all was looked at, so that a
// match that was broken off can begin again.
func (t *tail) match(ctx context.Context) error {
	if len(t.unmatched) == 0 && len(t.carried) == 0 {
		return nil
	}
	var matches []rowMatch
	if len(t.files.files) > 0 {
		links, err := t.files.linked()
		if err != nil {
			return err
		}
		newest, all := t.unmatched, slices.Concat(t.carried, t.unmatched)
		asking := t.asking(newest)
		allAsking := asking
		if len(t.carried) > 0 {
			allAsking = t.asking(all)
		}
		for i, f := range t.files.files {
			numbers, who := newest, asking
			if len(t.carried) > 0 && t.fresh[i] {
				numbers, who = all, allAsking
			}
			if matches, err = t.matchFile(ctx, int32(i), f, who, links, matches); err != nil {
				return err
			}
			if err := t.matchIDs(f, numbers); err != nil {
				return err
			}
		}
	}
	for _, m := range matches {
		g := &t.groups[t.groupOf(m.number)]
		g.rows = append(g.rows, m.rows...)
		g.link = max(g.link, m.link)
	}
	t.unmatched, t.carried = t.unmatched[:0], nil
	return nil
}

// rowMatch says that an entry's copies in a file are these rows.
type rowMatch struct {
	number uint32
	rows   []member
	link   int32
}

// asker is a user with new keys, and the first entries of those.
type asker struct {
	name    string
	entries []uint32
}

// asking are the users with new keys among some entries, in the order of their distinct
// ids.
func (t *tail) asking(of []uint32) []asker {
	keyed := make([]uint64, 0, len(of)) // user<<32 | entry
	for _, number := range of {
		if n := t.entries.at(number); n.first {
			keyed = append(keyed, uint64(n.user)<<32|uint64(number))
		}
	}
	slices.Sort(keyed)
	numbers := make([]uint32, len(keyed))
	var askers []asker
	for lo := 0; lo < len(keyed); {
		hi := lo
		for ; hi < len(keyed) && keyed[hi]>>32 == keyed[lo]>>32; hi++ {
			numbers[hi] = uint32(keyed[hi])
		}
		askers = append(askers, asker{t.users.list[keyed[lo]>>32], numbers[lo:hi]})
		lo = hi
	}
	slices.SortFunc(askers, func(a, b asker) int { return strings.Compare(a.name, b.name) })
	return askers
}

func (t *tail) matchFile(ctx context.Context, source int32, f *file, asking []asker, links *links, matches []rowMatch) ([]rowMatch, error) {
	events := 0
	for i := range asking {
		events += len(asking[i].entries)
	}
	m := newMatcher(f, events)
	groups := t.files.groupReader()
	found := func(p *probe, ordinal uint32) error {
		g, err := groups.load([]place{{source, ordinal}})
		if err != nil {
			return err
		}
		link, ok := links.of[place{source, ordinal}]
		if !ok {
			link = -1
		}
		matches = append(matches, rowMatch{p.number, g.members, link})
		return nil
	}
	var probes []probe
	for _, a := range asking {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !t.mayBeIn(m.ids, a.entries) {
			continue
		}
		lo, hi, err := m.users.seek(a.name)
		if err != nil {
			return nil, err
		}
		if lo == hi {
			continue
		}
		probes = probes[:0]
		for _, number := range a.entries {
			probes = append(probes, t.probe(number))
		}
		if err := m.matchUser(probes, lo, hi, found); err != nil {
			return nil, err
		}
	}
	return matches, nil
}

// mayBeIn reports whether one of some entries may have a copy in the file of a filter.
func (t *tail) mayBeIn(ids *idFilter, entries []uint32) bool {
	return ids == nil || slices.ContainsFunc(entries, func(number uint32) bool {
		key := t.entries.at(number).insertKey()
		return key.Form == indexfile.FormNone && ids.some || ids.may(copyHashOf(keyHash(key)))
	})
}

// insertKey is the key of the entry's insert id.
func (n *entry) insertKey() indexfile.InsertKey {
	return indexfile.InsertKey{Hi: n.insert.hi, Lo: n.insert.lo, Form: n.form}
}

// probe is an entry to be looked for in a file.
func (t *tail) probe(number uint32) probe {
	n := t.entries.at(number)
	p := probe{number: number, key: n.insertKey(), time: n.time, payload: n.payload}
	if !p.key.Exact() {
		p.insertID = t.insertText(n)
	}
	return p
}

// matchIDs looks for some entries' ingest ids among the file's rows. A row of the same id
// is the same event, or both are damaged.
func (t *tail) matchIDs(f *file, of []uint32) error {
	var ids []catalog.IngestID
	for _, number := range of {
		if id := t.entries.at(number).id; id.Compare(f.minID) >= 0 && id.Compare(f.maxID) <= 0 {
			ids = append(ids, id)
		}
	}
	rows, err := f.locate(sortIDs(ids))
	if err != nil || len(rows) == 0 {
		return err
	}
	c := f.cursor()
	for _, r := range rows {
		e, err := c.event(int(r.ordinal))
		if err != nil {
			return err
		}
		m := memberOf(e, place{})
		number, _ := t.find(r.id)
		if n := t.entries.at(number); n.payload != m.payload || n.time != m.time {
			t.spoil(r.id)
		}
	}
	return nil
}
