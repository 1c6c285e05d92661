package exec

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"arbor/catalog"
)

// Place is a row of one of several arrays.
type Place struct{ Array, Row int32 }

// Gather makes an array of type t of rows of others, each of any layout that a Batch
// may have for it; texts become a String. What it gives is valid for ever.
func Gather(t catalog.Type, arrays []arrow.Array, at []Place) (arrow.Array, error) {
	switch t {
	case catalog.TypeInt, catalog.TypeDatetime, catalog.TypeDouble:
		return gatherWords(t, arrays, at)
	case catalog.TypeBool:
		values := make([]func(int) catalog.Value, len(arrays))
		for i, a := range arrays {
			var err error
			if values[i], err = valuesOf(a, t); err != nil {
				return nil, err
			}
		}
		return valueArray(t, len(at), func(i int) catalog.Value { return values[at[i].Array](int(at[i].Row)) })
	}
	return gatherTexts(arrays, at)
}

// gatherWords is Gather for values of 64 bits.
func gatherWords(t catalog.Type, arrays []arrow.Array, at []Place) (arrow.Array, error) {
	words, nulls := make([][]uint64, len(arrays)), false
	for i, a := range arrays {
		switch a := a.(type) {
		case *array.Int64:
			words[i] = wordsOf(a.Int64Values())
		case *array.Timestamp:
			words[i] = wordsOf(a.TimestampValues())
		case *array.Float64:
			words[i] = wordsOf(a.Float64Values())
		default:
			return nil, fmt.Errorf("%w: %s", ErrArray, a.DataType())
		}
		nulls = nulls || a.NullN() > 0
	}
	values, valid := make([]uint64, len(at)), []byte(nil)
	for i, p := range at {
		values[i] = words[p.Array][p.Row]
	}
	if nulls {
		for i, p := range at {
			if arrays[p.Array].IsNull(int(p.Row)) {
				values[i], valid = 0, unset(valid, len(at), i)
			}
		}
	}
	return wordArray(t, values, valid), nil
}

// textRows are the texts of an array, which codes choose from if it is a dictionary.
type textRows struct {
	vector  Vector
	offsets []int32
	bytes   []byte
	words   *array.String // with nulls
}

func newTextRows(a arrow.Array) (r textRows, err error) {
	if r.vector, err = VectorOf(a, catalog.TypeString); err != nil {
		return r, err
	}
	texts, ok := a.(*array.String)
	if r.vector.Dictionary != nil {
		var words arrow.Array
		if words, err = r.vector.Dictionary.values(); err != nil {
			return r, err
		}
		if texts, ok = words.(*array.String); ok && texts.NullN() > 0 {
			r.words = texts
		}
	}
	if !ok {
		return r, fmt.Errorf("%w: %s", ErrArray, a.DataType())
	}
	if texts.Len() > 0 {
		r.offsets = texts.ValueOffsets()
	}
	if values := texts.Data().Buffers()[2]; values != nil {
		r.bytes = values.Bytes()
	}
	return r, nil
}

// at is where the text of a row is, and whether there is one.
func (r *textRows) at(row int) (lo, hi int32, ok bool) {
	if r.vector.isNull(row) {
		return 0, 0, false
	}
	if r.vector.Dictionary != nil {
		if row = r.vector.code(row); r.words != nil && r.words.IsNull(row) {
			return 0, 0, false
		}
	}
	return r.offsets[row], r.offsets[row+1], true
}

// gatherTexts is Gather for texts.
func gatherTexts(arrays []arrow.Array, at []Place) (arrow.Array, error) {
	rows := make([]textRows, len(arrays))
	for i, a := range arrays {
		var err error
		if rows[i], err = newTextRows(a); err != nil {
			return nil, err
		}
	}
	offsets, valid := make([]int32, len(at)+1), []byte(nil)
	size := 0
	for i, p := range at {
		lo, hi, ok := rows[p.Array].at(int(p.Row))
		if !ok {
			valid = unset(valid, len(at), i)
		}
		if size += int(hi - lo); size > maxAnswerText {
			return nil, fmt.Errorf("%w: more than %d bytes of text in one column of the answer", ErrMemory, maxAnswerText)
		}
		offsets[i+1] = int32(size)
	}
	text := make([]byte, 0, size)
	for _, p := range at {
		r := &rows[p.Array]
		lo, hi, _ := r.at(int(p.Row))
		text = append(text, r.bytes[lo:hi]...)
	}
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets)), memory.NewBufferBytes(text)}
	nulls := 0
	if valid != nil {
		buffers[0], nulls = memory.NewBufferBytes(valid), array.UnknownNullCount
	}
	return array.NewStringData(array.NewData(arrow.BinaryTypes.String, len(at), buffers, nil, nulls, 0)), nil
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
