package exec

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
)

// pick gives the argument's values of other rows of the block; less than 0 for the
// default.
func (b *windowBlock) pick(f *WindowFunction, from func(row int) int32) (arrow.Array, error) {
	t := b.plan.Types[f.Arg]
	if isWord(t) && t != catalog.TypeBool {
		return b.pickNumbers(f, t, from), nil
	}
	if len(b.segments) == 1 && f.Default.Kind == catalog.KindNull {
		if d, ok := b.segments[0].columns[f.Arg].(*array.Dictionary); ok {
			return b.pickCodes(d, from)
		}
	}
	at := make([]func(row int) catalog.Value, len(b.segments))
	for i := range b.segments {
		var err error
		if at[i], err = valuesOf(b.segments[i].columns[f.Arg], t); err != nil {
			return nil, err
		}
	}
	guess := 0
	a, err := valueArray(t, b.rows, func(i int) catalog.Value {
		row := from(i)
		if row < 0 {
			return f.Default
		}
		guess = b.locate(int(row), guess)
		return at[guess](int(row) - b.starts[guess])
	})
	if err != nil {
		return nil, err
	}
	return asBatchColumn(a, t), nil
}

// pickNumbers is pick for a column whose values are 64 bits.
func (b *windowBlock) pickNumbers(f *WindowFunction, t catalog.Type, from func(row int) int32) arrow.Array {
	var words [][]uint64
	for i := range b.segments {
		switch a := b.segments[i].columns[f.Arg].(type) {
		case *array.Int64:
			words = append(words, wordsOf(a.Int64Values()))
		case *array.Timestamp:
			words = append(words, wordsOf(a.TimestampValues()))
		case *array.Float64:
			words = append(words, wordsOf(a.Float64Values()))
		}
	}
	values, valid, guess := make([]uint64, b.rows), []byte(nil), 0
	for i := range values {
		row := from(i)
		if row < 0 {
			values[i] = f.Default.Bits
			if f.Default.Kind == catalog.KindNull {
				valid = unset(valid, b.rows, i)
			}
			continue
		}
		guess = b.locate(int(row), guess)
		k := int(row) - b.starts[guess]
		if b.segments[guess].columns[f.Arg].IsNull(k) {
			valid = unset(valid, b.rows, i)
			continue
		}
		values[i] = words[guess][k]
	}
	return wordArray(t, values, valid)
}

// pickCodes is pick for words of one dictionary.
func (b *windowBlock) pickCodes(d *array.Dictionary, from func(row int) int32) (arrow.Array, error) {
	codes, valid := make([]int32, b.rows), []byte(nil)
	for i := range codes {
		row := from(i)
		if row < 0 || d.IsNull(int(row)) {
			valid = unset(valid, b.rows, i)
			continue
		}
		codes[i] = int32(d.GetValueIndex(int(row)))
	}
	return wordsArray(d.Dictionary(), codes, valid), nil
}
