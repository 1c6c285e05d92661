package gateway

import (
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// wordColumn appends the words of a dictionary array. Rows that follow each other have
// words from all over a dictionary that is larger than what a processor keeps near, so
// where the words of some rows are is looked up for all of them at once, and their first
// and last bytes are looked at: the processor waits for many places of memory together,
// which it would else do for one after the other.
type wordColumn struct {
	encoder *rowEncoder
	indices arrow.Array
	offsets []int32
	text    string
	// isNull says that a row has no word; nil where all have one.
	isNull func(row int, code int32) bool

	from, to int // the rows whose words are known
	codes    [warmRows]int32
	spans    [warmRows]wordSpan
	touched  byte // so that the looks are not left out
}

// warmRows is how many rows' words are looked up at once.
const warmRows = 64

// wordSpan is where a word is in the text; NULL begins below 0, and ends at 0.
type wordSpan struct{ from, to int32 }

func (e *rowEncoder) words(a *array.Dictionary, words *array.String) (packetAppender, error) {
	if _, err := codesOf(a); err != nil {
		return nil, err
	}
	w := &wordColumn{encoder: e, indices: a.Indices()}
	if words.Len() > 0 {
		w.offsets = words.ValueOffsets()
	}
	if text := words.Data().Buffers()[2]; text != nil { // the offsets count from its begin
		w.text = unsafe.String(unsafe.SliceData(text.Bytes()), text.Len())
	}
	if a.NullN() > 0 || words.NullN() > 0 {
		w.isNull = func(row int, code int32) bool { return a.IsNull(row) || words.IsNull(int(code)) }
	}
	e.warm = append(e.warm, w.lookUp)
	return w.append, nil
}

// lookUp finds the words of the rows [lo, hi), of which there are at most warmRows.
func (w *wordColumn) lookUp(lo, hi int) {
	w.from, w.to = lo, hi
	switch x := w.indices.(type) {
	case *array.Int8:
		copyCodes(w.codes[:], x.Int8Values()[lo:hi])
	case *array.Int16:
		copyCodes(w.codes[:], x.Int16Values()[lo:hi])
	case *array.Int32:
		copyCodes(w.codes[:], x.Int32Values()[lo:hi])
	}
	spans := w.spans[:hi-lo]
	if w.isNull == nil {
		for i := range spans {
			c := w.codes[i]
			spans[i] = wordSpan{w.offsets[c], w.offsets[c+1]}
		}
	} else {
		for i := range spans {
			if c := w.codes[i]; w.isNull(lo+i, c) {
				spans[i] = wordSpan{from: -1}
			} else {
				spans[i] = wordSpan{w.offsets[c], w.offsets[c+1]}
			}
		}
	}
	for _, s := range spans {
		if uint32(s.from) < uint32(s.to) { // NULL is not
			w.touched += w.text[s.from] + w.text[s.to-1]
		}
	}
}

func copyCodes[T int8 | int16 | int32](to []int32, from []T) {
	for i, c := range from {
		to[i] = int32(c)
	}
}

// append appends the word of a row.
func (w *wordColumn) append(dst []byte, row int) ([]byte, error) {
	if row < w.from || row >= w.to {
		w.lookUp(row, row+1)
	}
	s := w.spans[row-w.from]
	if s.from < 0 {
		return w.encoder.null(dst), nil
	}
	return appendCounted(dst, w.text[s.from:s.to]), nil
}
