package exec

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
)

// Place is a row of one of several arrays.
type Place struct{ Array, Row int32 }

// Gather makes an array of type t of rows of others, each of any layout that a Batch
// may have for it; texts become a String. What it gives is valid for ever.
func Gather(t catalog.Type, arrays []arrow.Array, at []Place) (arrow.Array, error) {
	vectors, words := make([]Vector, len(arrays)), make([]Vector, len(arrays))
	for i, a := range arrays {
		v, err := VectorOf(a, t)
		if err != nil {
			return nil, err
		}
		if d := v.Dictionary; d != nil {
			values, err := d.values()
			if err != nil {
				return nil, err
			}
			if words[i], err = VectorOf(values, t); err != nil {
				return nil, err
			}
		}
		vectors[i] = v
	}
	return valueArray(t, len(at), func(i int) catalog.Value {
		p := at[i]
		v := &vectors[p.Array]
		switch {
		case v.Dictionary == nil:
			return v.plain(int(p.Row))
		case v.isNull(int(p.Row)):
			return catalog.Null
		}
		return words[p.Array].plain(v.code(int(p.Row)))
	})
}

// Compute gives the values of computed column k for rows whose columns, of
// Fragment.Columns, are the arrays; those that it is not made of may be nil. It
// uses the Rows for it. Every row is evaluated.
func (r *Rows) Compute(k int, columns []arrow.Array, rows int) (arrow.Array, error) {
	f := r.plan.Fragment
	r.Reset(rows)
	for _, a := range f.Computed[k].Args {
		v, err := VectorOf(columns[a], f.Columns[a].Result())
		if err != nil {
			return nil, fmt.Errorf("computed column %d: %w", k, err)
		}
		r.Set(a, v)
	}
	ids := make([]uint32, rows)
	for lo := 0; lo < rows; lo += chunkRows {
		if err := r.ids(len(f.Columns)+k, lo, ids[lo:min(lo+chunkRows, rows)]); err != nil {
			return nil, err
		}
		if err := r.plan.checkDomains(); err != nil {
			return nil, err
		}
	}
	values := r.plan.domains[len(f.Columns)+k].all()
	return valueArray(f.Computed[k].Type, rows, func(i int) catalog.Value { return values[ids[i]] })
}

// Take counts memory that the query holds from now on, and fails with ErrMemory if
// that is more than it may.
func (p *Plan) Take(n int64) error { return p.take(n) }

// TextBytes is how much text rows of arrays have.
func TextBytes(arrays []arrow.Array, at []Place) int {
	if len(arrays) == 0 {
		return 0
	}
	size := 0
	for _, p := range at {
		switch a := arrays[p.Array].(type) {
		case *array.String:
			size += a.ValueLen(int(p.Row))
		case *array.Dictionary:
			if words, ok := a.Dictionary().(*array.String); ok && a.IsValid(int(p.Row)) {
				size += words.ValueLen(a.GetValueIndex(int(p.Row)))
			}
		default:
			return 0
		}
	}
	return size
}
