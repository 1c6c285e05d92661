package exec

import (
	"math"
	"math/bits"
)

// byCode adds rows straight from the codes of their columns, where there is one
// key: they are counted, or it is counted how often each group has each value of a
// column, for percentiles. Rows that are not meant are passed over in the bitmap,
// so that nothing is gathered, and no groups are written down first.
type byCode struct {
	is        bool       // the fragment's groups are of the kind
	histogram *histogram // that all percentiles share, if there are some

	words Bitmap   // the rows that are meant and have a key, or a value
	rest  Bitmap   // those that have a key, but no value
	bases []uint32 // where the cells of a key's code begin
}

// know looks at whether a Grouper's groups are of the kind.
func (c *byCode) know(g *Grouper) {
	if len(g.group.Keys) != 1 {
		return
	}
	for _, t := range g.tables {
		switch t := t.(type) {
		case rowCounts:
		case *percentiles:
			if c.histogram != nil && c.histogram != t.histogram {
				return
			}
			c.histogram = t.histogram
		default:
			return
		}
	}
	c.is = true
}

// codesOf is the vector of a column that is coded by a dictionary with entries,
// and the numbers of these; nil if it is not.
func (r *Rows) codesOf(column int) (*Vector, []uint32, error) {
	if column >= len(r.vectors) {
		return nil, nil, nil
	}
	v := &r.vectors[column]
	if v.load != nil && v.bounded {
		return nil, nil, nil // moments
	}
	if err := v.need(); err != nil {
		return nil, nil, err
	}
	if v.Dictionary == nil || v.Dictionary.Len == 0 || v.codes8 == nil && v.codes16 == nil && v.codes32 == nil {
		return nil, nil, nil
	}
	numbers, err := r.translated(column, v.Dictionary)
	return v, numbers, err
}

// add adds the selected rows, nil for all, if they can be added so; else it
// reports false.
func (c *byCode) add(g *Grouper, r *Rows, selected Bitmap) (done bool, err error) {
	if !c.is {
		return false, nil
	}
	column := g.group.Keys[0]
	key, numbers, err := r.codesOf(column)
	if err != nil || key == nil || c.histogram != nil && (key.codes8 == nil || key.valid != nil) {
		return false, err
	}
	if err := g.room(g.plan.domains[column].Len() + 1); err != nil {
		return false, err
	}
	if selected == nil {
		c.words = c.words.Reset(r.n)
		c.words.Fill(r.n)
	} else {
		c.words = append(c.words[:0], selected...)
	}
	if c.histogram != nil {
		return c.addValues(g, r, key, numbers)
	}
	if key.valid != nil {
		g.rows[nullID+1] += int64(c.words.splitNulls(key, nil))
	}
	countCoded(key, numbers, g.rows[1:], c.words)
	return true, nil
}

// addValues adds the rows in words, all of which have a key, to the histogram.
func (c *byCode) addValues(g *Grouper, r *Rows, key *Vector, numbers []uint32) (done bool, err error) {
	h := c.histogram
	value, values, err := r.codesOf(h.column)
	if err != nil || value == nil || value.codes32 != nil || !h.fit() {
		return false, err
	}
	if value.valid != nil {
		c.rest = c.rest.Reset(r.n)
		c.words.splitNulls(value, c.rest)
		countCoded(key, numbers, g.rows[1:], c.rest)
	}
	h.byGroup = nil
	if h.pending += int64(r.n); h.pending > math.MaxInt32 {
		h.flush()
		h.pending = int64(r.n)
	}
	c.bases = c.bases[:0]
	for _, n := range numbers {
		c.bases = append(c.bases, (n+1)*uint32(h.stride))
	}
	keys, rows := sameBits[uint8](key.codes8), g.rows[1:]
	if value.codes8 != nil {
		countValues(keys, sameBits[uint8](value.codes8), numbers, c.bases, values, rows, h.cells, c.words)
	} else {
		countValues(keys, sameBits[uint16](value.codes16), numbers, c.bases, values, rows, h.cells, c.words)
	}
	return true, nil
}

// splitNulls removes the rows in which a vector is null, counts them, and puts
// them into nulls unless that is nil.
func (b Bitmap) splitNulls(v *Vector, nulls Bitmap) (count int) {
	for i, word := range b {
		b[i] = word & v.validWord(i*64)
		count += bits.OnesCount64(word &^ b[i])
		if nulls != nil {
			nulls[i] = word &^ b[i]
		}
	}
	return count
}

// countCoded counts the rows in words by the number of their code.
func countCoded(v *Vector, numbers []uint32, rows []int64, words Bitmap) {
	switch {
	case v.codes8 != nil:
		countCodes(sameBits[uint8](v.codes8), numbers, rows, words)
	case v.codes16 != nil:
		countCodes(sameBits[uint16](v.codes16), numbers, rows, words)
	default:
		countCodes(sameBits[uint32](v.codes32), numbers, rows, words)
	}
}

func countCodes[C uint8 | uint16 | uint32](codes []C, numbers []uint32, rows []int64, words Bitmap) {
	for w, word := range words {
		part := codes[w*64 : min(w*64+64, len(codes))]
		if word == ^uint64(0) {
			for _, c := range part {
				rows[numbers[c]]++
			}
			continue
		}
		for ; word != 0; word &= word - 1 {
			rows[numbers[part[trailing(word)]]]++
		}
	}
}

// countValues counts the rows in words by the number of their key's code, and in
// cells by that and the number of their value's code.
func countValues[C uint8 | uint16](keys []uint8, codes []C, numbers, bases, values []uint32, rows []int64, cells []uint32, words Bitmap) {
	for w, word := range words {
		ks, cs := keys[w*64:min(w*64+64, len(keys))], codes[w*64:min(w*64+64, len(codes))]
		for ; word != 0; word &= word - 1 {
			i := trailing(word)
			k := ks[i]
			rows[numbers[k]]++
			cells[bases[k]+values[cs[i]]]++
		}
	}
}
