package engine

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"arbor/catalog"
	"arbor/engine/exec"
)

// columnBuilder makes an array of one type out of values.
type columnBuilder struct {
	builder array.Builder
	append  func(v catalog.Value, ok bool)
}

var microseconds = &arrow.TimestampType{Unit: arrow.Microsecond}

// textDictionary is the type of decimals, and of constants.
var textDictionary = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}

func newColumnBuilder(t catalog.Type, rows int) *columnBuilder {
	mem := memory.DefaultAllocator
	c := &columnBuilder{}
	switch t {
	case catalog.TypeBool:
		b := array.NewBooleanBuilder(mem)
		c.builder, c.append = b, appender(b, func(v catalog.Value) { b.Append(v.Bool()) })
	case catalog.TypeInt:
		b := array.NewInt64Builder(mem)
		c.builder, c.append = b, appender(b, func(v catalog.Value) { b.Append(v.Int()) })
	case catalog.TypeDouble:
		b := array.NewFloat64Builder(mem)
		c.builder, c.append = b, appender(b, func(v catalog.Value) { b.Append(v.Double()) })
	case catalog.TypeDatetime:
		b := array.NewTimestampBuilder(mem, microseconds)
		c.builder, c.append = b, appender(b, func(v catalog.Value) { b.Append(arrow.Timestamp(v.Int())) })
	case catalog.TypeDecimal:
		b := array.NewDictionaryBuilder(mem, textDictionary).(*array.BinaryDictionaryBuilder)
		c.builder, c.append = b, appender(b, func(v catalog.Value) {
			if b.AppendString(v.Text) != nil {
				b.AppendNull() // only for more than 2³¹ distinct values, which no batch has
			}
		})
	default:
		b := array.NewStringBuilder(mem)
		c.builder, c.append = b, appender(b, func(v catalog.Value) { b.Append(v.Text) })
	}
	c.builder.Reserve(rows)
	return c
}

func appender(b array.Builder, set func(catalog.Value)) func(catalog.Value, bool) {
	return func(v catalog.Value, ok bool) {
		if ok {
			set(v)
		} else {
			b.AppendNull()
		}
	}
}

func (c *columnBuilder) array() arrow.Array { return c.builder.NewArray() }

// zeros are the codes of constant columns.
var zeros = memory.NewBufferBytes(make([]byte, exec.MaxBatchRows))

// constantColumn is the same text in all rows: a dictionary of one entry.
func constantColumn(text string, rows int) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	b.Append(text)
	dictionary := b.NewArray()
	t := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}
	codes := []*memory.Buffer{nil, zeros}
	return array.NewDictionaryData(array.NewDataWithDictionary(t, rows, codes, 0, 0, dictionary.Data().(*array.Data)))
}

// toDictionary gives decimals, which a file may hold as plain text, the array
// that batches have them in.
func toDictionary(s *array.String) arrow.Array {
	b := newColumnBuilder(catalog.TypeDecimal, s.Len())
	for i := range s.Len() {
		b.append(catalog.Value{Kind: catalog.KindNumber, Text: s.Value(i)}, s.IsValid(i))
	}
	return b.array()
}
