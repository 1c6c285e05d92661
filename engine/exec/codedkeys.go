package exec

import "math/bits"

// codedKeys finds the groups of rows whose one or two keys are columns coded by
// small dictionaries: by one look at a table of codes, or of pairs of codes, in
// place of numbering each key's values first. The table belongs to the
// dictionaries and is begun anew with others.
type codedKeys struct {
	first, second any  // ids of the dictionaries
	shift         uint // bits of the second's codes, which come below the first's
	groups        *[maxCodes]uint32
}

const (
	// maxCodes is how many codes, or pairs of codes, a table has at most.
	maxCodes = 1 << 14
	// notKnown marks a code whose group was not looked for yet.
	notKnown = ^uint32(0)
)

// coded reports whether a column can be a key here, and gives its vector.
func (r *Rows) coded(column int) (*Vector, bool, error) {
	if column >= len(r.vectors) {
		return nil, false, nil
	}
	v := &r.vectors[column]
	if v.load != nil && v.bounded {
		return nil, false, nil
	}
	if err := v.need(); err != nil {
		return nil, false, err
	}
	return v, v.Dictionary != nil && v.valid == nil && v.codes8 != nil && v.Dictionary.Len > 0, nil
}

// number puts the groups of rows from lo on into groups, if the keys are of the
// kind; else it reports false.
func (k *codedKeys) number(g *Grouper, r *Rows, lo int, groups []uint32) (ok bool, err error) {
	keys := g.group.Keys
	if len(keys) != 1 && len(keys) != 2 {
		return false, nil
	}
	a, ok, err := r.coded(keys[0])
	if err != nil || !ok {
		return false, err
	}
	b := &Vector{Dictionary: &Dictionary{Len: 1}}
	if len(keys) == 2 {
		if b, ok, err = r.coded(keys[1]); err != nil || !ok {
			return false, err
		}
	}
	shift := uint(bits.Len(uint(b.Dictionary.Len - 1)))
	if a.Dictionary.Len<<shift > maxCodes {
		return false, nil
	}
	if k.groups == nil || k.first != a.Dictionary.id || k.second != b.Dictionary.id || k.shift != shift {
		k.first, k.second, k.shift = a.Dictionary.id, b.Dictionary.id, shift
		if k.groups == nil {
			k.groups = new([maxCodes]uint32)
		}
		for i := range k.groups {
			k.groups[i] = notKnown
		}
	}
	table := k.groups
	if len(keys) == 1 {
		for i, c := range a.codes8[lo : lo+len(groups)] {
			group := table[uint8(c)]
			if group == notKnown {
				if group, err = k.find(g, r, int(uint8(c))); err != nil {
					return false, err
				}
			}
			groups[i] = group
		}
		return true, nil
	}
	codes := b.codes8[lo : lo+len(groups)]
	for i, c := range a.codes8[lo : lo+len(groups)] {
		at := (uint(uint8(c))<<(shift&63) | uint(uint8(codes[i]))) & (maxCodes - 1)
		group := table[at]
		if group == notKnown {
			if group, err = k.find(g, r, int(at)); err != nil {
				return false, err
			}
		}
		groups[i] = group
	}
	return true, nil
}

// find looks for the group of a code, or of a pair.
func (k *codedKeys) find(g *Grouper, r *Rows, at int) (uint32, error) {
	codes := []int{at}
	if len(g.group.Keys) == 2 {
		codes = []int{at >> k.shift, at & (1<<k.shift - 1)}
	}
	ids := make([]uint32, len(codes))
	for i, column := range g.group.Keys {
		numbers, err := r.translated(column, r.vectors[column].Dictionary)
		if err != nil {
			return 0, err
		}
		ids[i] = numbers[codes[i]]
	}
	group, err := g.groupOf(ids)
	k.groups[at] = group
	return group, err
}
