package exec

// numbered is how many groups have a number and room.
func (g *Grouper) numbered() int {
	switch keys := g.group.Keys; len(keys) {
	case 0:
		return 1
	case 1:
		return min(g.plan.domains[keys[0]].Len(), len(g.rows)-1) // others may have numbered more
	}
	return len(g.pairs[len(g.pairs)-1].pairs)
}

// hide makes the rows that are not selected members of the hidden group.
func hide(groups []uint32, selected Bitmap, lo int) {
	// A chunk begins at a word of the bitmap.
	for w := 0; w*64 < len(groups); w++ {
		word := ^selected[lo/64+w]
		if rest := len(groups) - w*64; rest < 64 {
			word &= 1<<rest - 1
		}
		for word != 0 {
			groups[w*64+trailing(word)] = hiddenGroup
			word &= word - 1
		}
	}
}

// number puts the groups of rows from lo on into groups.
func (g *Grouper) number(r *Rows, lo int, groups []uint32) error {
	n := len(groups)
	if ok, err := g.coded.number(g, r, lo, groups); ok || err != nil {
		return err
	}
	switch len(g.group.Keys) {
	case 0:
		for i := range groups {
			groups[i] = 1
		}
		return nil
	case 1:
		if err := r.ids(g.group.Keys[0], lo, groups); err != nil {
			return err
		}
		for i := range groups {
			groups[i]++
		}
		return g.room(g.plan.domains[g.group.Keys[0]].Len() + 1)
	}
	for k, column := range g.group.Keys {
		if err := r.ids(column, lo, g.ids[k][:n]); err != nil {
			return err
		}
	}
	if len(g.group.Keys) == 2 && g.dense.fit(g.plan.domains[g.group.Keys[0]].Len(), g.plan.domains[g.group.Keys[1]].Len()) {
		g.dense.number(&g.pairs[0], groups, g.ids[0][:n], g.ids[1][:n])
		return g.room(len(g.pairs[0].pairs) + 1)
	}
	ids := g.ids[0][:n]
	for k := range g.pairs {
		next := g.ids[k+1][:n]
		for i := range ids {
			ids[i], _ = g.pairs[k].number(ids[i], next[i])
		}
	}
	for i, id := range ids {
		groups[i] = id + 1
	}
	return g.room(len(g.pairs[len(g.pairs)-1].pairs) + 1)
}

// idsOf are the numbers of a column's values in the chunk that begins at lo.
func (g *Grouper) idsOf(r *Rows, column, lo, n int) ([]uint32, error) {
	if ids, ok := g.values[column]; ok {
		return ids[:n], nil
	}
	var ids []uint32
	if last := len(g.spare) - 1; last >= 0 {
		ids, g.spare = g.spare[last], g.spare[:last]
	} else {
		ids = make([]uint32, chunkRows)
	}
	g.values[column] = ids
	return ids[:n], r.ids(column, lo, ids[:n])
}

// denseTuples finds the number of a pair of small numbers by one look.
type denseTuples struct {
	width  int
	groups []uint32 // group of first*width+second; 0 is not known
}

// maxDense is the greatest number of pairs that are looked up so.
const maxDense = 1 << 20

// fit makes room for pairs below a and b, if there can be.
func (d *denseTuples) fit(a, b int) bool {
	if d.width > 0 && b <= d.width && a*d.width <= len(d.groups) {
		return true
	}
	width, height := 16, 16
	for width < b {
		width *= 2
	}
	for height < a {
		height *= 2
	}
	if width*height > maxDense {
		return false
	}
	d.width, d.groups = width, make([]uint32, width*height) // found again as they come
	return true
}

func (d *denseTuples) number(pairs *pairTable, groups, a, b []uint32) {
	for i := range groups {
		at := int(a[i])*d.width + int(b[i])
		group := d.groups[at]
		if group == 0 {
			n, _ := pairs.number(a[i], b[i])
			group = n + 1
			d.groups[at] = group
		}
		groups[i] = group
	}
}

// keyIDs are the numbers of a group's keys.
func (g *Grouper) keyIDs(group uint32, out []uint32) []uint32 {
	keys := len(g.group.Keys)
	out = append(out[:0], make([]uint32, keys)...)
	n := group - 1
	for k := keys - 1; k > 0; k-- {
		pair := g.pairs[k-1].pairs[n]
		out[k], n = uint32(pair), uint32(pair>>32)
	}
	if keys > 0 {
		out[0] = n
	}
	return out
}

// groupOf is the group of keys.
func (g *Grouper) groupOf(ids []uint32) (uint32, error) {
	if len(ids) == 0 {
		return 1, nil
	}
	n := ids[0]
	for k, id := range ids[1:] {
		n, _ = g.pairs[k].number(n, id)
	}
	return n + 1, g.room(int(n) + 2)
}
