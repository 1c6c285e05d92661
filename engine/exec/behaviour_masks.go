package exec

import "arbor/catalog"

// rowMasks are the conditions that rows meet: by the row's code, or by row.
type rowMasks struct {
	codes []int8
	masks []uint64
}

func (m rowMasks) of(row int) uint64 {
	if m.codes != nil {
		return m.masks[uint8(m.codes[row])]
	}
	return m.masks[row]
}

// match makes matches the rows that count, and gives the conditions that rows
// meet.
func (w *BehaviourRows) match(r *Rows, selected Bitmap) (rowMasks, error) {
	w.matches = w.matches.Reset(r.n)
	codes, err := w.maskCodes(r)
	if err != nil {
		return rowMasks{}, err
	}
	if codes != nil {
		if w.of.all {
			w.matches.Fill(r.n)
		} else {
			selectCodes8(codes[:r.n], w.said, w.matches, saidYes)
		}
		if selected != nil {
			w.matches.And(selected)
		}
		return rowMasks{codes, w.masks}, nil
	}
	masks, err := w.maskRows(r)
	if err != nil {
		return rowMasks{}, err
	}
	for row, m := range masks {
		if m != 0 || w.of.all {
			w.matches.Set(row)
		}
	}
	if selected != nil {
		w.matches.And(selected)
	}
	return rowMasks{nil, masks}, nil
}

// maskCodes works out which conditions each code of a dictionary meets, where all
// of them look at one column alone that is coded in bytes, as the event's name is;
// nil otherwise.
func (w *BehaviourRows) maskCodes(r *Rows) ([]int8, error) {
	column := w.conditionColumn(r.plan.Fragment)
	if column < 0 {
		return nil, nil
	}
	v, ok, err := r.coded(column)
	if err != nil || !ok {
		return nil, err
	}
	_, err = w.entryMasks(r, column, v.Dictionary)
	return v.codes8, err
}

// conditionColumn is the one column that all conditions look at, -1 if there is none.
func (w *BehaviourRows) conditionColumn(f *Fragment) int {
	column := -1
	for _, c := range w.of.conditions {
		if c < len(f.Columns) || len(f.Computed[c-len(f.Columns)].Args) != 1 {
			return -1
		}
		if arg := f.Computed[c-len(f.Columns)].Args[0]; column >= 0 && arg != column || arg >= len(f.Columns) {
			return -1
		} else {
			column = arg
		}
	}
	return column
}

// entryMasks are the conditions that each entry of a column's dictionary meets.
func (w *BehaviourRows) entryMasks(r *Rows, column int, d *Dictionary) ([]uint64, error) {
	if w.maskOf == d.id && len(w.masks) == d.Len {
		return w.masks, nil
	}
	numbers, err := r.translated(column, d)
	if err != nil {
		return nil, err
	}
	w.maskOf = nil
	w.masks, w.said = make([]uint64, d.Len), make([]uint8, d.Len)
	for code := range w.masks {
		for i, c := range w.of.conditions {
			id, err := r.memoID(c-len(r.plan.Fragment.Columns), numbers[code])
			if err != nil {
				return nil, err
			}
			if isTrue(r.plan.domains[c].all()[id]) {
				w.masks[code] |= 1 << i
			}
		}
		w.said[code] = saidNo
		if w.masks[code] != 0 {
			w.said[code] = saidYes
		}
	}
	w.maskOf = d.id
	return w.masks, nil
}

// maskRows works out which conditions each row meets.
func (w *BehaviourRows) maskRows(r *Rows) ([]uint64, error) {
	masks := make([]uint64, r.n)
	ids := make([]uint32, chunkRows)
	if w.truth == nil {
		w.truth = make([][]uint8, len(w.of.conditions))
	}
	for i, c := range w.of.conditions {
		for lo := 0; lo < r.n; lo += chunkRows {
			out := ids[:min(chunkRows, r.n-lo)]
			if err := r.ids(c, lo, out); err != nil {
				return nil, err
			}
			values := r.plan.domains[c].all()
			for len(w.truth[i]) < len(values) {
				w.truth[i] = append(w.truth[i], boolByte(isTrue(values[len(w.truth[i])])))
			}
			for row, id := range out {
				masks[lo+row] |= uint64(w.truth[i][id]) << i
			}
		}
	}
	return masks, nil
}

// isTrue reports whether a value is a number other than 0.
func isTrue(v catalog.Value) bool {
	switch v.Kind {
	case catalog.KindBool, catalog.KindInt:
		return v.Bits != 0
	case catalog.KindDouble:
		return v.Double() != 0
	case catalog.KindNumber:
		r, ok := parseNumber(v.Text)
		return ok && r.Sign() != 0
	}
	return false
}
