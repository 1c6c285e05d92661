package indexfile

import (
	"cmp"
	"math/bits"
	"slices"
)

// Copies of an event have its insert id, and the file's groups say which rows are
// copies. So a packed id is stored for the first member of a group alone, if the
// others are packed, too.

// repeats are the rows that have no packed id of their own.
type repeats struct {
	ranks  ranks    // of a bitmap of them; no bitmap without any
	firsts []uint32 // whose id each of them has, in the order of rows
}

// findRepeats works out the repeats of groups, given which rows are packed. It says
// no if they cannot be: a row repeats once at most, and one that is not repeated.
func findRepeats(groups []Group, rows int, packed func(row int) bool) (repeats, bool) {
	type repeat struct{ row, of uint32 }
	var all []repeat
	for _, g := range groups {
		if len(g.Members) == 0 || !packed(int(g.Members[0].Ordinal)) {
			continue
		}
		for _, m := range g.Members[1:] {
			if packed(int(m.Ordinal)) {
				all = append(all, repeat{m.Ordinal, g.Members[0].Ordinal})
			}
		}
	}
	if len(all) == 0 {
		return repeats{}, true
	}
	slices.SortFunc(all, func(a, b repeat) int { return cmp.Compare(a.row, b.row) })
	bitmap := make([]byte, bitmapLen(rows))
	r := repeats{firsts: make([]uint32, len(all))}
	for i, x := range all {
		if i > 0 && all[i-1].row == x.row {
			return repeats{}, false
		}
		bitSet(bitmap, int(x.row))
		r.firsts[i] = x.of
	}
	for _, of := range r.firsts {
		if bitGet(bitmap, int(of)) {
			return repeats{}, false
		}
	}
	r.ranks = newRanks(bitmap)
	return r, true
}

// len is how many there are.
func (r *repeats) len() int { return len(r.firsts) }

// first is the row that has the id of row i.
func (r *repeats) first(i int) int {
	if len(r.firsts) == 0 || !bitGet(r.ranks.bitmap, i) {
		return i
	}
	return int(r.firsts[r.ranks.before(i)])
}

// slot is where the id of row i is among those that are stored.
func (r *repeats) slot(i int) int {
	if len(r.firsts) == 0 {
		return i
	}
	i = r.first(i)
	return i - r.ranks.before(i)
}

// repeats are those that the builder can leave out: all, or none.
func (b *insertBuilder) repeats(groups []Group, packed *packedRows) repeats {
	r, ok := findRepeats(groups, b.rows(), packed.has)
	if !ok || r.len() == 0 {
		return repeats{}
	}
	ids := b.packed.reader()
	n := 0
	for at, some := range r.ranks.bitmap {
		for ; some != 0; some &= some - 1 {
			if packed.id(int(r.firsts[n])) != ids.at(8*at+bits.TrailingZeros8(some)) {
				return repeats{}
			}
			n++
		}
	}
	return r
}

// loadPackedIDs checks the packed ids: there is one for each row that does not repeat
// another's.
func (r *Reader) loadPackedIDs(s *insertIDs) error {
	if s.repeats {
		groups, err := r.Groups()
		if err != nil {
			return err
		}
		packed := func(row int) bool {
			_, other := s.rest.slot(row)
			return !other
		}
		ok := false
		if s.of, ok = findRepeats(groups, r.Rows(), packed); !ok {
			return r.corrupt(partGroups.String(), "a row in two")
		}
	}
	size := 16 * (r.Rows() - s.of.len())
	if s.shared != 0 {
		size = shortLen(r.Rows() - s.of.len())
	}
	if s.form != FormNone && len(s.packed) != size || s.form == FormNone && s.rest.info.values() != r.Rows() {
		return r.corrupt(partPackedIDs.String(), "length")
	}
	return nil
}
