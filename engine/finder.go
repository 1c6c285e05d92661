package engine

import (
	"cmp"
	"slices"
	"strings"

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

	numbers []uint32 // scratch
	members []member
	classes classNumbers
	slab    []indexfile.Member // of the groups
}

// foundRow is a row of the user at hand.
type foundRow struct {
	hash    uint64 // of what makes it a copy
	ordinal uint32 // in the new file
	from    sourceRow
	copy    bool // of an earlier row
}

// add takes a row of the user at hand.
func (f *finder) add(e *event.Event, ordinal uint32, from sourceRow) error {
	hash, err := f.source.copyHash(from, e)
	f.rows = append(f.rows, foundRow{hash: hash, ordinal: ordinal, from: from})
	return err
}

// copyHash is equal for copies: of the insert id, or of the content.
func copyHash(e *event.Event) uint64 {
	if e.InsertID != "" {
		return xxh3.HashString(e.InsertID)
	}
	hi, lo := event.PayloadHash(e)
	return hi ^ lo ^ uint64(e.Time)*0x9e3779b97f4a7c15
}

// copyKey is what copies share beside their user.
type copyKey struct {
	insertID string
	content  form // where there is no insert id
}

// areCopies confirms a hash on the real key; m is e as a member.
func (k *copyKey) areCopies(e *event.Event, m *member) bool {
	if k.insertID != "" || e.InsertID != "" {
		return k.insertID == e.InsertID
	}
	return k.content == form{m.payload, m.time}
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
		f.numbers = append(f.numbers[:0], first)
		for ; lo < len(f.pairs) && f.pairs[lo][1] == first; lo++ {
			f.numbers = append(f.numbers, f.pairs[lo][0])
		}
		if err := f.confirmHash(f.numbers); err != nil {
			return err
		}
	}
	return nil
}

// confirmHash splits rows of one hash by their keys, nearly always into one
// group. It uses numbers up.
func (f *finder) confirmHash(numbers []uint32) error {
	for len(numbers) > 1 {
		var key copyKey
		f.members = f.members[:0]
		others := numbers[:0]
		for i, n := range numbers {
			e, err := f.source.again(f.rows[n].from)
			if err != nil {
				return err
			}
			m := memberOf(e, place{ordinal: f.rows[n].ordinal})
			switch {
			case i == 0:
				key = copyKey{strings.Clone(e.InsertID), form{m.payload, m.time}}
			case !key.areCopies(e, &m):
				others = append(others, n)
				continue
			default:
				f.rows[n].copy = true
			}
			f.members = append(f.members, m)
		}
		if len(f.members) > 1 {
			f.addGroup(f.members, key.insertID != "")
		}
		numbers = others
	}
	return nil
}

// addGroup adds a group, and what of it the default policy hides.
func (f *finder) addGroup(members []member, keyed bool) {
	if len(members) == 2 {
		if members[1].id.Compare(members[0].id) < 0 {
			members[0], members[1] = members[1], members[0]
		}
	} else {
		slices.SortFunc(members, func(a, b member) int {
			return cmp.Or(a.id.Compare(b.id), cmp.Compare(a.at.ordinal, b.at.ordinal))
		})
	}
	first := len(f.slab)
	f.classes.reset()
	for _, m := range members {
		f.slab = append(f.slab, indexfile.Member{Ordinal: m.at.ordinal, Class: f.classes.of(m.payload)})
	}
	f.groups = append(f.groups, indexfile.Group{Members: f.slab[first:len(f.slab):len(f.slab)]})
	if len(f.slab) > cap(f.slab)/2 {
		f.slab = make([]indexfile.Member, 0, 4096) // groups keep the old one
	}
	judge(members, keyed, catalog.DefaultPolicy, f.hide)
}

func (f *finder) hide(m, _ *member, _ kind) { f.hidden = append(f.hidden, m.at.ordinal) }

// finish sorts what was found.
func (f *finder) finish() {
	slices.Sort(f.hidden)
	slices.SortFunc(f.groups, func(a, b indexfile.Group) int { return cmp.Compare(a.Members[0].Ordinal, b.Members[0].Ordinal) })
}

// classNumbers numbers payloads in the order in which they appear. Nearly always
// there is one.
type classNumbers struct {
	few  []fingerprint
	many map[fingerprint]uint32
}

func (c *classNumbers) reset() { c.few, c.many = c.few[:0], nil }

func (c *classNumbers) of(p fingerprint) uint32 {
	if c.many == nil {
		if i := slices.Index(c.few, p); i >= 0 {
			return uint32(i)
		}
		if len(c.few) < few {
			c.few = append(c.few, p)
			return uint32(len(c.few) - 1)
		}
		c.many = map[fingerprint]uint32{}
		for i, f := range c.few {
			c.many[f] = uint32(i)
		}
	}
	n, ok := c.many[p]
	if !ok {
		n = uint32(len(c.many))
		c.many[p] = n
	}
	return n
}
