package exec

import (
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
)

// distincts is COUNT(DISTINCT …): for each group the set of the numbers of the
// values, or of the combinations of several columns' values.
type distincts struct {
	plan  *Plan
	g     *Grouper
	args  []int
	pairs []pairTable
	sets  []idSet
	last  []uint32 // what came last, by group: the rows of a user follow each other
	ids   []uint32 // of a chunk's combinations
}

func newDistincts(p *Plan, g *Grouper, args []int) *distincts {
	return &distincts{plan: p, g: g, args: args, pairs: make([]pairTable, len(args)-1)}
}

func (d *distincts) add(r *Rows, lo int, groups []uint32, _ []int64) error {
	ids, err := d.combine(r, lo, len(groups))
	if err != nil {
		return err
	}
	size := int64(0)
	for i, group := range groups {
		id := ids[i]
		if id == d.last[group] || id == nullID || group == hiddenGroup {
			continue
		}
		d.last[group] = id
		set := &d.sets[group]
		if page := int(id >> pageBits); page < len(set.pages) {
			if p := set.pages[page]; p != nil {
				p[id>>6&63] |= 1 << (id & 63)
				continue
			}
		}
		size += set.add(id)
	}
	return d.plan.take(size)
}

// combine numbers the chunk's combinations from 1 on; those with a null are 0.
func (d *distincts) combine(r *Rows, lo, n int) ([]uint32, error) {
	first, err := d.g.idsOf(r, d.args[0], lo, n)
	if err != nil || len(d.args) == 1 {
		return first, err
	}
	d.ids = append(d.ids[:0], first...)
	for k, column := range d.args[1:] {
		next, err := d.g.idsOf(r, column, lo, n)
		if err != nil {
			return nil, err
		}
		for i, id := range d.ids {
			if id == nullID || next[i] == nullID {
				d.ids[i] = nullID
				continue
			}
			number, _ := d.pairs[k].number(id, next[i])
			d.ids[i] = number + 1
		}
	}
	return d.ids, nil
}

func (d *distincts) grow(n int) int64 { return grow(&d.sets, n) + grow(&d.last, n) }

func (d *distincts) merge(o accumulator, to []uint32) error {
	other := o.(*distincts)
	// Combinations have other numbers there.
	mine := func(id uint32) uint32 { return id }
	if len(d.args) > 1 {
		mine = func(id uint32) uint32 { return d.numberOf(other.columnsOf(id)) }
	}
	size := int64(0)
	for group := range other.sets {
		if err := d.plan.ended(group); err != nil {
			return err
		}
		if group < len(to) && to[group] != 0 {
			set := &d.sets[to[group]]
			if len(d.args) == 1 && set.empty() {
				*set = other.sets[group]
				continue
			}
			if len(d.args) == 1 && set.pages != nil {
				size += set.unite(&other.sets[group])
				continue
			}
			other.sets[group].each(func(id uint32) { size += set.add(mine(id)) })
		}
	}
	return d.plan.take(size)
}

// columnsOf are the numbers that a combination is made of.
func (d *distincts) columnsOf(id uint32) []uint32 {
	out := make([]uint32, len(d.args))
	for k := len(d.args) - 1; k > 0; k-- {
		pair := d.pairs[k-1].pairs[id-1]
		out[k], id = uint32(pair), uint32(pair>>32)
	}
	out[0] = id
	return out
}

func (d *distincts) numberOf(ids []uint32) uint32 {
	n := ids[0]
	for k, id := range ids[1:] {
		number, _ := d.pairs[k].number(n, id)
		n = number + 1
	}
	return n
}

func (d *distincts) result(groups []uint32) (arrow.Array, error) {
	out := make([]int64, len(groups))
	for i, group := range groups {
		out[i] = d.sets[group].count()
	}
	return int64Array(out, nil), nil
}

// idSet is a set of numbers other than 0: a few as they are, more in a hash table,
// many as bits in pages.
type idSet struct {
	few   []uint32 // the numbers, or from maxFew+1 on an open hash table in which 0 is room
	n     uint32   // numbers in few
	most  uint32   // the greatest of them
	pages []*idPage
}

type idPage [64]uint64

const (
	maxFew   = 8
	minTable = 32
	pageBits = 12
)

// add adds a number and says how many bytes the set has grown by.
func (s *idSet) add(id uint32) (size int64) {
	switch {
	case s.pages != nil:
		return s.mark(id)
	case len(s.few) > maxFew:
		at := s.place(id)
		if s.few[at] == id {
			return 0
		}
		if s.n++; s.n <= uint32(len(s.few))/3*2 {
			s.few[at], s.most = id, max(s.most, id)
			return 0
		}
		s.n--
	default:
		if slices.Contains(s.few, id) {
			return 0
		}
		if len(s.few) < maxFew {
			before := cap(s.few)
			s.few, s.n, s.most = append(s.few, id), s.n+1, max(s.most, id)
			return 4 * int64(cap(s.few)-before)
		}
	}
	return s.enlarge() + s.add(id)
}

// place is where a number is in the table, or where there is room for it.
func (s *idSet) place(id uint32) uint32 {
	mask := uint32(len(s.few) - 1)
	at := id * 0x9e3779b1 >> 8 & mask
	for s.few[at] != id && s.few[at] != 0 {
		at = (at + 1) & mask
	}
	return at
}

// enlarge gives the set a table of twice the size, or pages once these take no more,
// and says how many bytes it has grown by.
func (s *idSet) enlarge() (size int64) {
	old := s.few
	room := max(minTable, 2*len(old))
	size = -4 * int64(cap(old))
	if pages := int64(s.most>>pageBits) + 1; 4*int64(room) >= 512*pages {
		s.few, s.n, s.pages = nil, 0, []*idPage{}
		for _, id := range old {
			if id != 0 {
				size += s.mark(id)
			}
		}
		return size
	}
	s.few = make([]uint32, room)
	for _, id := range old {
		if id != 0 {
			s.few[s.place(id)] = id
		}
	}
	return size + 4*int64(room)
}

// mark sets a number's bit in its page.
func (s *idSet) mark(id uint32) (size int64) {
	page := int(id >> pageBits)
	if page >= len(s.pages) {
		grown := make([]*idPage, page+1)
		copy(grown, s.pages)
		size = int64(8 * (page + 1 - len(s.pages)))
		s.pages = grown
	}
	p := s.pages[page]
	if p == nil {
		p = new(idPage)
		s.pages[page] = p
		size += 512
	}
	p[id>>6&63] |= 1 << (id & 63)
	return size
}

func (s *idSet) empty() bool { return s.n == 0 && s.pages == nil }

// count is how many numbers there are.
func (s *idSet) count() int64 {
	n := int(s.n)
	for _, p := range s.pages {
		if p != nil {
			n += Bitmap(p[:]).Count()
		}
	}
	return int64(n)
}

// unite adds all numbers of another set to one that has pages, and says how many
// bytes it has grown by.
func (s *idSet) unite(o *idSet) (size int64) {
	for _, id := range o.few {
		if id != 0 {
			size += s.add(id)
		}
	}
	for i, p := range o.pages {
		switch {
		case p == nil:
		case i < len(s.pages) && s.pages[i] != nil:
			Bitmap(s.pages[i][:]).Or(p[:])
		default:
			size += s.add(uint32(i << pageBits))
			*s.pages[i] = *p
		}
	}
	return size
}

// each calls f for all numbers.
func (s *idSet) each(f func(uint32)) {
	for _, id := range s.few {
		if id != 0 {
			f(id)
		}
	}
	eachOf(s.pages, f)
}
