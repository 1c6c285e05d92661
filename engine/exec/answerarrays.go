package exec

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"arbor/catalog"
)

// int64Array is an array of integers; nil valid means that none is null.
func int64Array(values []int64, valid []byte) arrow.Array {
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(bytesOf(values))}
	nulls := 0
	if valid != nil {
		buffers[0], nulls = memory.NewBufferBytes(valid), array.UnknownNullCount
	}
	return array.NewInt64Data(array.NewData(arrow.PrimitiveTypes.Int64, len(values), buffers, nil, nulls, 0))
}

// doubleArray is an array of doubles; nil valid means that none is null.
func doubleArray(values []float64, valid []byte) arrow.Array {
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(bytesOf(values))}
	nulls := 0
	if valid != nil {
		buffers[0], nulls = memory.NewBufferBytes(valid), array.UnknownNullCount
	}
	return array.NewFloat64Data(array.NewData(arrow.PrimitiveTypes.Float64, len(values), buffers, nil, nulls, 0))
}

// wordArray is an array of integers, doubles or moments, by their bits.
func wordArray(t catalog.Type, values []uint64, valid []byte) arrow.Array {
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(bytesOf(values))}
	nulls := 0
	if valid != nil {
		buffers[0], nulls = memory.NewBufferBytes(valid), array.UnknownNullCount
	}
	dataType := arrow.DataType(arrow.PrimitiveTypes.Int64)
	switch t {
	case catalog.TypeDouble:
		dataType = arrow.PrimitiveTypes.Float64
	case catalog.TypeDatetime:
		dataType = &arrow.TimestampType{Unit: arrow.Microsecond}
	}
	return array.MakeFromData(array.NewData(dataType, len(values), buffers, nil, nulls, 0))
}

// wordsArray is an array of a dictionary's words, by their codes.
func wordsArray(words arrow.Array, codes []int32, valid []byte) arrow.Array {
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(codes))}
	nulls := 0
	if valid != nil {
		buffers[0], nulls = memory.NewBufferBytes(valid), array.UnknownNullCount
	}
	t := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: words.DataType()}
	return array.NewDictionaryData(array.NewDataWithDictionary(t, len(codes), buffers, nulls, 0, words.Data().(*array.Data)))
}

// valueArray is an array of n values of a type.
func valueArray(t catalog.Type, n int, at func(i int) catalog.Value) (arrow.Array, error) {
	switch t {
	case catalog.TypeInt, catalog.TypeDatetime, catalog.TypeDouble:
		values := make([]uint64, n)
		var valid []byte
		for i := range values {
			v := at(i)
			if v.Kind == catalog.KindNull {
				valid = unset(valid, n, i)
			}
			values[i] = v.Bits
		}
		return wordArray(t, values, valid), nil
	case catalog.TypeBool:
		b := array.NewBooleanBuilder(goMemory)
		b.Reserve(n)
		for i := range n {
			if v := at(i); v.Kind == catalog.KindNull {
				b.AppendNull()
			} else {
				b.Append(v.Bool())
			}
		}
		return b.NewBooleanArray(), nil
	}
	b := array.NewStringBuilder(goMemory)
	b.Reserve(n)
	size := 0
	for i := range n {
		v := at(i)
		if size += len(v.Text); size > maxAnswerText {
			return nil, fmt.Errorf("%w: more than %d bytes of text in one column of the answer", ErrMemory, maxAnswerText)
		}
		if v.Kind == catalog.KindNull {
			b.AppendNull()
		} else {
			b.Append(v.Text)
		}
	}
	return b.NewStringArray(), nil
}

// maxAnswerText is the most text in a column of an answer's batch.
const maxAnswerText = 1 << 30

// unset makes row i of a bitmap of n rows null; nil is a bitmap without nulls.
func unset(valid []byte, n, i int) []byte {
	if valid == nil {
		valid = make([]byte, (n+7)/8)
		for j := range valid {
			valid[j] = 0xff
		}
	}
	valid[i>>3] &^= 1 << (i & 7)
	return valid
}
