package exec

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// memo remembers what a leaf said of each entry of a dictionary. The batches of
// one file share their dictionaries, so it is kept from batch to batch; it
// holds on to the dictionary, so that another cannot take its place in memory.
type memo struct {
	dictionary arrow.ArrayData
	said       []uint8
}

// What a memo knows of an entry.
const (
	memoUnknown = 0
	memoNo      = 1
	memoYes     = 2
)

func (m *memo) match(a *array.Dictionary, match func(string) bool, rows int, yes Bitmap) error {
	dictionary, ok := a.Dictionary().(*array.String)
	if !ok {
		return fmt.Errorf("%w: dictionary of %s", ErrArray, a.Dictionary().DataType())
	}
	m.use(a.Data().Dictionary(), dictionary.Len())
	valid := a.NullN() == 0
	switch x := a.Indices().(type) {
	case *array.Int8:
		matchCodes(m, x.Int8Values()[:rows], a, valid, dictionary, match, yes)
	case *array.Int16:
		matchCodes(m, x.Int16Values()[:rows], a, valid, dictionary, match, yes)
	case *array.Int32:
		matchCodes(m, x.Int32Values()[:rows], a, valid, dictionary, match, yes)
	case *array.Uint8:
		matchCodes(m, x.Uint8Values()[:rows], a, valid, dictionary, match, yes)
	case *array.Uint16:
		matchCodes(m, x.Uint16Values()[:rows], a, valid, dictionary, match, yes)
	case *array.Uint32:
		matchCodes(m, x.Uint32Values()[:rows], a, valid, dictionary, match, yes)
	default:
		return fmt.Errorf("%w: dictionary indices of %s", ErrArray, x.DataType())
	}
	return nil
}

// use makes the memo one of that dictionary.
func (m *memo) use(dictionary arrow.ArrayData, size int) {
	if m.dictionary == dictionary && len(m.said) == size {
		return
	}
	m.dictionary = dictionary
	if cap(m.said) < size {
		m.said = make([]uint8, size)
		return
	}
	m.said = m.said[:size]
	clear(m.said)
}

// index is a dictionary's index type.
type index interface {
	int8 | int16 | int32 | uint8 | uint16 | uint32
}

func matchCodes[T index](m *memo, codes []T, a *array.Dictionary, valid bool, dictionary *array.String, match func(string) bool, yes Bitmap) {
	for i, c := range codes {
		if !valid && a.IsNull(i) {
			continue // the code of a null may be anything
		}
		said := m.said[c]
		if said == memoUnknown {
			said = memoNo
			if match(dictionary.Value(int(c))) {
				said = memoYes
			}
			m.said[c] = said
		}
		if said == memoYes {
			yes[i>>6] |= 1 << (i & 63)
		}
	}
}
