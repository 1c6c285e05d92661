package exec

import "arbor/catalog"

// Integers that no dictionary holds, as those that other groups were made of, are
// mostly few and small: levels, masks, counts. A worker finds the number of such a
// value, or of what is computed of it, by one look.

// smallInt is how many values from 0 on are small.
const smallInt = 1 << 12

// smallInts are the numbers of small values, or unknownID.
type smallInts [smallInt]uint32

// smallOf is what is known of a column, computed ones included.
func (r *Rows) smallOf(column int) *smallInts {
	if r.small[column] == nil {
		known := new(smallInts)
		for i := range known {
			known[i] = unknownID
		}
		r.small[column] = known
	}
	return r.small[column]
}

// smallIn are the values of n rows from lo on, if all are small; nil if not.
func (v *Vector) smallIn(lo, n int) []int64 {
	if v.ints == nil || v.valid != nil {
		return nil
	}
	values, all := v.ints[lo:lo+n], uint64(0)
	for _, value := range values {
		all |= uint64(value)
	}
	if all >= smallInt {
		return nil
	}
	return values
}

// numberSmall puts the numbers of rows from lo on into out, if all values are small;
// else it reports false.
func (r *Rows) numberSmall(column int, v *Vector, lo int, out []uint32) (done bool) {
	values := v.smallIn(lo, len(out))
	if values == nil {
		return false
	}
	known := r.smallOf(column)
	for i, value := range values {
		id := known[value]
		if id == unknownID {
			id = r.plan.domains[column].Number(catalog.Int(value))
			known[value] = id
		}
		out[i] = id
	}
	return true
}

// smallIDs evaluates computed column k once for each value of its one argument, if
// all are small; else it reports false.
func (r *Rows) smallIDs(k, lo int, out []uint32) (done bool, err error) {
	c := &r.plan.Fragment.Computed[k]
	if len(c.Args) != 1 {
		return false, nil
	}
	values := r.vectors[c.Args[0]].smallIn(lo, len(out))
	if values == nil {
		return false, nil
	}
	known := r.smallOf(len(r.plan.Fragment.Columns) + k)
	for i, value := range values {
		if r.among != nil && !r.among.Has(lo+i) {
			out[i] = nullID
			continue
		}
		id := known[value]
		if id == unknownID {
			if id, err = r.evaluatedValue(k, catalog.Int(value)); err != nil {
				return false, err
			}
			known[value] = id
		}
		out[i] = id
	}
	return true, nil
}
