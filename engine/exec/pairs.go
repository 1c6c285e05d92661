package exec

// Coded reports whether a vector is read as codes of a dictionary with so many
// entries.
func (v *Vector) Coded(entries int) (bool, error) {
	if err := v.need(); err != nil {
		return false, err
	}
	return v.Dictionary != nil && v.Dictionary.Len == entries, nil
}

// CountPairs counts how often two coded vectors of the same rows have each pair of
// codes: counts[a*width+b] for codes a and b. The code of rows without a value is
// the number of the dictionary's entries.
func CountPairs(a, b *Vector, width int, counts []uint32) {
	if a.codes8 != nil && b.codes8 != nil && a.valid == nil && b.valid == nil {
		codes := b.codes8[:len(a.codes8)]
		for i, c := range a.codes8 {
			counts[int(uint8(c))*width+int(uint8(codes[i]))]++
		}
		return
	}
	for i := range a.Rows {
		counts[a.codeOrNone(i)*width+b.codeOrNone(i)]++
	}
}

func (v *Vector) codeOrNone(i int) int {
	if v.isNull(i) {
		return v.Dictionary.Len
	}
	return v.code(i)
}

// Pick is the vector of the rows at positions. It holds until r is Reset.
func (r *Rows) Pick(v *Vector, at []int32) Vector { return v.gather(at, &r.scratch) }
