package engine

import (
	"cmp"
	"slices"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/indexfile"
	"github.com/zeebo/xxh3"
)

// finder finds the copies among the rows of a file as they are written. Since
// all copies share a user and a user's rows lie together, its memory is that of
// the largest user, and its table fits into the processor's cache.
type finder struct {
	source rowSource
	rows   []foundRow // of the user at hand
	table  hashtable
	pairs  [][2]uint32 // numbers in rows of a row and the first one of its key
	groups []indexfile.Group
	hidden []uint32
}

// foundRow is a row of the user at hand.
type foundRow struct {
	hash    uint64 // of what makes it a copy
	ordinal uint32 // in the new file
	from    sourceRow
	copy    bool // of an earlier row
}

// add takes a row of the user at hand.
func (f *finder) add(e *event.Event, ordinal uint32, from sourceRow) {
	f.rows = append(f.rows, foundRow{hash: copyHash(e), ordinal: ordinal, from: from})
}

// copyHash is equal for copies: of the insert id, or of the content.
func copyHash(e *event.Event) uint64 {
	if e.InsertID != "" {
		return xxh3.HashString(e.InsertID)
	}
	hi, lo := event.PayloadHash(e)
	return hi ^ lo ^ uint64(e.Time)*0x9e3779b97f4a7c15
}

// areCopies confirms a hash on the real key; the users are the same.
func areCopies(a, b *event.Event) bool {
	if a.InsertID != "" || b.InsertID != "" {
		return a.InsertID == b.InsertID
	}
	return a.Time == b.Time && fingerprintOf(a) == fingerprintOf(b)
}

func fingerprintOf(e *event.Event) fingerprint {
	hi, lo := event.PayloadHash(e)
	return fingerprint{hi, lo}
}

// few is up to how many rows of a user are compared each with each.
const few = 8

// group finds the groups of the user at hand.
func (f *finder) group() error {
	f.pairs = f.pairs[:0]
	if len(f.rows) <= few {
		for i := 1; i < len(f.rows); i++ {
			for j := range i {
				if f.rows[i].hash == f.rows[j].hash {
					f.pairs = append(f.pairs, [2]uint32{uint32(i), uint32(j)})
					break
				}
			}
		}
	} else {
		f.table.reset(len(f.rows))
		for i := range f.rows {
			hash := f.rows[i].hash
			first, found := f.table.find(tableHash(hash), uint32(i), func(n uint32) bool { return f.rows[n].hash == hash })
			if found {
				f.pairs = append(f.pairs, [2]uint32{uint32(i), first})
			}
		}
	}
	if len(f.pairs) == 0 {
		return nil
	}
	return f.confirm()
}

// reset makes room for the next user.
func (f *finder) reset() { f.rows = f.rows[:0] }

// confirm turns the rows of one hash into groups by their real keys.
func (f *finder) confirm() error {
	slices.SortStableFunc(f.pairs, func(a, b [2]uint32) int { return cmp.Compare(a[1], b[1]) })
	for lo := 0; lo < len(f.pairs); {
		first := f.pairs[lo][1]
		numbers := []uint32{first}
		for ; lo < len(f.pairs) && f.pairs[lo][1] == first; lo++ {
			numbers = append(numbers, f.pairs[lo][0])
		}
		if err := f.confirmHash(numbers); err != nil {
			return err
		}
	}
	return nil
}

// confirmHash splits rows of one hash by their keys, nearly always into one
// group.
func (f *finder) confirmHash(numbers []uint32) error {
	for len(numbers) > 1 {
		first, err := f.source.again(f.rows[numbers[0]].from)
		if err != nil {
			return err
		}
		group := []member{memberOf(first, place{ordinal: f.rows[numbers[0]].ordinal})}
		var others []uint32
		for _, n := range numbers[1:] {
			e, err := f.source.again(f.rows[n].from)
			if err != nil {
				return err
			}
			if areCopies(first, e) {
				group = append(group, memberOf(e, place{ordinal: f.rows[n].ordinal}))
				f.rows[n].copy = true
			} else {
				others = append(others, n)
			}
		}
		if len(group) > 1 {
			f.addGroup(group, first.InsertID != "")
		}
		numbers = others
	}
	return nil
}

// addGroup adds a group, and what of it the default policy hides.
func (f *finder) addGroup(members []member, keyed bool) {
	slices.SortFunc(members, func(a, b member) int {
		return cmp.Or(a.id.Compare(b.id), cmp.Compare(a.at.ordinal, b.at.ordinal))
	})
	g := indexfile.Group{Members: make([]indexfile.Member, len(members))}
	classes := map[fingerprint]uint32{}
	for i, m := range members {
		class, ok := classes[m.payload]
		if !ok {
			class = uint32(len(classes))
			classes[m.payload] = class
		}
		g.Members[i] = indexfile.Member{Ordinal: m.at.ordinal, Class: class}
	}
	f.groups = append(f.groups, g)
	judge(members, keyed, catalog.DefaultPolicy, func(m, _ *member, _ kind) { f.hidden = append(f.hidden, m.at.ordinal) })
}

// finish sorts what was found.
func (f *finder) finish() {
	slices.Sort(f.hidden)
	slices.SortFunc(f.groups, func(a, b indexfile.Group) int { return cmp.Compare(a.Members[0].Ordinal, b.Members[0].Ordinal) })
}
