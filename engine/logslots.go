package engine

import (
	"arbor/catalog"
)

// logSlots are the values of one property in one chunk of logged events: slot by
// slot in the order of the rows that have the property. They are codes of the
// column's dictionary or, where there are many different numbers and no texts,
// the numbers themselves.
type logSlots struct {
	column *logProperty
	count  int
	rows   []uint16 // of the slots; nil as long as slot i is row i
	texts  int      // slots that hold a text

	plain bool
	codes codeList
	bits  []uint64
	// kind is that of all plain slots, kinds are theirs one by one; nil if all are
	// of the same.
	kind  catalog.Kind
	kinds []uint8

	arrays map[arrayKey]slotArray
}

// logProperty is a property of a shard's logged events.
type logProperty struct {
	name       string
	number     int
	dictionary logDictionary
	tally      logTally
}

// maxCodedNumbers is how many different numbers a dictionary takes; then a chunk
// without texts holds its numbers themselves.
const maxCodedNumbers = 1 << 14

// add adds the value of a row, which is behind all others. Numbers are codes up
// to so many different ones.
func (s *logSlots) add(row int, v catalog.Value, maxCoded int, size *int64) {
	s.place(row, size)
	switch text := isTextKind(v.Kind); {
	case text:
		s.texts++
		if s.plain {
			s.encode(size)
		}
	case !s.plain && s.texts == 0 && s.column.dictionary.numbers >= maxCoded:
		s.decode(size)
	}
	if s.plain {
		s.addPlain(v, size)
	} else {
		s.codes.append(s.column.dictionary.code(v, size), size)
	}
	s.count++
}

// addCode is add for a value that the dictionary has; false if add has to do it, since the
// slots hold numbers themselves, or are about to.
func (s *logSlots) addCode(row int, code int32, maxCoded int, size *int64) bool {
	d := &s.column.dictionary
	text := isTextKind(d.kind(code))
	if s.plain || !text && s.texts == 0 && d.numbers >= maxCoded {
		return false
	}
	s.place(row, size)
	if text {
		s.texts++
	}
	s.codes.append(code, size)
	s.count++
	return true
}

// place notes the row of the next slot.
func (s *logSlots) place(row int, size *int64) {
	if s.rows == nil && row != s.count {
		s.rows = make([]uint16, s.count, max(16, 2*s.count))
		for i := range s.rows {
			s.rows[i] = uint16(i)
		}
		*size += 2 * int64(cap(s.rows))
	}
	if s.rows != nil {
		s.rows = appendCounted(s.rows, uint16(row), size)
	}
}

func (s *logSlots) addPlain(v catalog.Value, size *int64) {
	if len(s.bits) == 0 {
		s.kind = v.Kind
	}
	if v.Kind != s.kind && s.kinds == nil {
		s.kinds = make([]uint8, len(s.bits), cap(s.bits)+1)
		for i := range s.kinds {
			s.kinds[i] = uint8(s.kind)
		}
		*size += int64(cap(s.kinds))
	}
	if s.kinds != nil {
		s.kinds = appendCounted(s.kinds, uint8(v.Kind), size)
	}
	s.bits = appendCounted(s.bits, v.Bits, size)
}

// encode turns numbers into codes.
func (s *logSlots) encode(size *int64) {
	for i := range s.bits {
		s.codes.append(s.column.dictionary.code(s.value(i), size), size)
	}
	*size -= int64(8*cap(s.bits) + cap(s.kinds))
	s.plain, s.bits, s.kinds = false, nil, nil
}

// decode turns codes into numbers.
func (s *logSlots) decode(size *int64) {
	codes := s.codes
	s.plain, s.codes = true, codeList{}
	for i := range codes.len() {
		s.addPlain(s.column.dictionary.value(codes.at(i)), size)
	}
	*size -= int64(cap(codes.in8) + 2*cap(codes.in16) + 4*cap(codes.in32))
}

// value is the value of a slot as it was sent.
func (s *logSlots) value(slot int) catalog.Value {
	if !s.plain {
		return s.column.dictionary.value(s.codes.at(slot))
	}
	v := catalog.Value{Kind: s.kind, Bits: s.bits[slot]}
	if s.kinds != nil {
		v.Kind = catalog.Kind(s.kinds[slot])
	}
	return v
}

// isDense reports whether each of the chunk's first n rows is the slot of the
// same number.
func (s *logSlots) isDense(n int) bool { return s.rows == nil && s.count >= n }

// rowOf is the row of a slot.
func (s *logSlots) rowOf(slot int) int {
	if s.rows == nil {
		return slot
	}
	return int(s.rows[slot])
}
