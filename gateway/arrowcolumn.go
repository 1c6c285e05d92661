package gateway

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/dolthub/vitess/go/sqltypes"

	"arbor/engine/exec"
)

// errArrowNoText: Arrow's texts are UTF-8, all of them.
var errArrowNoText = fmt.Errorf("%w: text that is not UTF-8; CAST it AS BINARY", errArrowValue)

// arrowColumn makes a column of a record.
type arrowColumn struct {
	builder array.Builder // of the values, or of their places in words
	words   *arrowWords   // nil for a column without a dictionary
}

func newArrowColumn(t arrow.DataType) arrowColumn {
	if t == arrow.DataType(arrowDictionary) {
		return arrowColumn{builder: array.NewInt32Builder(arrowMemory), words: newArrowWords()}
	}
	return arrowColumn{builder: array.NewBuilder(arrowMemory, t)}
}

// appendText appends a value by its text, NULL for nil.
func (c *arrowColumn) appendText(text []byte) error {
	switch {
	case text == nil:
		c.builder.AppendNull()
		return nil
	case c.words == nil:
		return appendArrowText(c.builder, text)
	case !utf8.Valid(text):
		return errArrowNoText
	}
	c.builder.(*array.Int32Builder).Append(c.words.code(string(text)))
	return nil
}

// take gives the column's array, which is the caller's, and begins the next one.
func (c *arrowColumn) take() arrow.Array {
	rows := c.builder.Len()
	codes := c.builder.NewArray()
	if rows > keepWords { // the next record is likely to be as long
		c.builder.Reserve(rows)
	}
	if c.words == nil {
		return codes
	}
	defer codes.Release()
	return array.NewDictionaryArray(arrowDictionary, codes, c.words.take())
}

// keepWords is how large a dictionary is kept from record to record. While it does not
// grow it is sent once.
const keepWords = 4096

// arrowWords is the dictionary of a column.
type arrowWords struct {
	codes map[string]int32
	list  []string
	bytes int
	made  arrow.Array // the newest one that was given
	era   int         // how often it began anew
}

func newArrowWords() *arrowWords { return &arrowWords{codes: map[string]int32{}} }

// code is a word's place.
func (d *arrowWords) code(word string) int32 {
	if code, ok := d.codes[word]; ok {
		return code
	}
	code := int32(len(d.list))
	word = string(append([]byte(nil), word...)) // it may be a part of a file in memory
	d.codes[word] = code
	d.list = append(d.list, word)
	d.bytes += len(word)
	return code
}

// take gives the words of the record so far.
func (d *arrowWords) take() arrow.Array {
	if d.made == nil || d.made.Len() != len(d.list) {
		b := array.NewStringBuilder(arrowMemory)
		b.AppendValues(d.list, nil)
		d.made = b.NewArray()
	}
	made := d.made
	if len(d.list) > keepWords {
		*d = arrowWords{codes: map[string]int32{}, era: d.era + 1}
	}
	return made
}

// arrowFill adds a batch's rows to a column: as values, or by their texts.
type arrowFill struct {
	// values adds rows from lo on up to hi, and gives about how many bytes they have.
	values func(lo, hi int) int
	// text makes what the text protocol has of a row.
	text packetAppender
}

// fill makes ready a column for a batch.
func (w *arrowWriter) fill(b *exec.Batch, i int) (arrowFill, error) {
	e, c := w.encoder, &w.columns[i]
	source, t := e.layout.columns[i], e.schema[i].Type
	if source.value == nil {
		kind := e.layout.kinds[source.place]
		switch a := b.Columns[source.place].(type) {
		case *array.Boolean:
			if to, ok := c.builder.(*array.Int8Builder); ok && t.Type() == sqltypes.Int8 {
				return arrowFill{values: fillFrom(a, to, func(row int) int8 {
					if a.Value(row) {
						return 1
					}
					return 0
				}, nil)}, nil
			}
		case *array.Int64:
			if to, ok := c.builder.(*array.Int64Builder); ok {
				return arrowFill{values: fillFrom(a, to, a.Value, func(lo, hi int) { to.AppendValues(a.Int64Values()[lo:hi], nil) })}, nil
			}
		case *array.Float64:
			if to, ok := c.builder.(*array.Float64Builder); ok {
				if e.layout.projected {
					return arrowFill{values: fillFrom(a, to, func(row int) float64 { return positiveZero(a.Value(row)) }, nil)}, nil
				}
				return arrowFill{values: fillFrom(a, to, a.Value, func(lo, hi int) { to.AppendValues(a.Float64Values()[lo:hi], nil) })}, nil
			}
		case *array.Timestamp:
			if to, ok := c.builder.(*array.TimestampBuilder); ok && t == datetimeType {
				return arrowFill{values: fillFrom(a, to, a.Value, func(lo, hi int) { to.AppendValues(a.TimestampValues()[lo:hi], nil) })}, nil
			}
		case *array.String:
			if e.asItIs(kind, t) {
				return arrowFill{values: c.fillTexts(a)}, nil
			}
		case *array.Dictionary:
			if words, ok := a.Dictionary().(*array.String); ok && e.asItIs(kind, t) {
				values, err := c.fillWords(a, words)
				return arrowFill{values: values}, err
			}
		}
	}
	text, err := e.column(b, i)
	return arrowFill{text: text}, err
}

// positiveZero is a number, 0 in the place of -0, as a projection gives it.
func positiveZero(v float64) float64 {
	if v == 0 {
		return 0
	}
	return v
}

// fillFrom copies values; block copies those of which none is NULL.
func fillFrom[T any](a arrow.Array, to interface {
	Append(T)
	AppendNull()
}, value func(row int) T, block func(lo, hi int)) func(lo, hi int) int {
	const width = 8
	nulls := a.NullN() > 0
	return func(lo, hi int) int {
		if !nulls && block != nil {
			block(lo, hi)
			return width * (hi - lo)
		}
		for row := lo; row < hi; row++ {
			if nulls && a.IsNull(row) {
				to.AppendNull()
			} else {
				to.Append(value(row))
			}
		}
		return width * (hi - lo)
	}
}

// fillTexts copies texts.
func (c *arrowColumn) fillTexts(a *array.String) func(lo, hi int) int {
	codes, _ := c.builder.(*array.Int32Builder)
	texts, _ := c.builder.(*array.StringBuilder)
	return func(lo, hi int) (size int) {
		for row := lo; row < hi; row++ {
			size += binary.MaxVarintLen32
			switch {
			case a.IsNull(row):
				c.builder.AppendNull()
			case c.words != nil:
				codes.Append(c.words.code(a.Value(row)))
			default:
				size += len(a.Value(row))
				texts.Append(a.Value(row))
			}
		}
		return size
	}
}

// fillWords copies texts that are given by dictionary.
func (c *arrowColumn) fillWords(a *array.Dictionary, words *array.String) (func(lo, hi int) int, error) {
	code, err := codesOf(a)
	if err != nil {
		return nil, err
	}
	null := words.Len()
	if c.words == nil {
		texts := c.builder.(*array.StringBuilder)
		return func(lo, hi int) (size int) {
			for row := lo; row < hi; row++ {
				size += binary.MaxVarintLen32
				if w := code(row); w == null || words.IsNull(w) {
					texts.AppendNull()
				} else {
					size += len(words.Value(w))
					texts.Append(words.Value(w))
				}
			}
			return size
		}, nil
	}
	// The places of the batch's words in the column's. They are found anew when the
	// column's dictionary began anew.
	codes := c.builder.(*array.Int32Builder)
	places, era := make([]int32, words.Len()), c.words.era-1
	return func(lo, hi int) int {
		if c.words.era != era {
			era = c.words.era
			for i := range places {
				places[i] = -1
			}
		}
		before := c.words.bytes
		for row := lo; row < hi; row++ {
			w := code(row)
			if w == null || words.IsNull(w) {
				codes.AppendNull()
				continue
			}
			if places[w] < 0 {
				places[w] = c.words.code(words.Value(w))
			}
			codes.Append(places[w])
		}
		return arrow.Int32SizeBytes*(hi-lo) + c.words.bytes - before
	}, nil
}

// unpacked is the text of a value of the text protocol, nil for NULL.
func unpacked(packet []byte) []byte {
	if packet[0] == textNull {
		return nil
	}
	switch packet[0] {
	case 0xfc:
		return packet[3:]
	case 0xfd:
		return packet[4:]
	case 0xfe:
		return packet[9:]
	}
	return packet[1:]
}
