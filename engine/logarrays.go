package engine

import (
	"math/bits"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"arbor/catalog"
)

// arrayKey names the arrays of a property's slots: by type, and whether values
// that are no texts may be codes of a dictionary too.
type arrayKey struct {
	columnType
	coded bool
}

// slotArray is an array that was made of slots.
type slotArray struct {
	arrow.Array
	bytes int64 // that it takes beside the slots
}

// array makes the array of the chunk's first n rows.
func (s *logSlots) array(key arrayKey, n int, size *int64) (slotArray, error) {
	switch {
	case s.plain:
		return s.plainArray(key.columnType, n), nil
	case key.isText() || key.coded:
		return s.codedArray(key.columnType, n, size)
	}
	return s.lookUpArray(key.columnType, n, size)
}

// slotsBelow is how many of a chunk's slots, in these rows or in its first ones,
// are of the first n rows.
func slotsBelow(rows []uint16, slots, n int) int {
	if rows == nil {
		return min(n, slots)
	}
	lo, hi := 0, slots
	for lo < hi {
		if mid := (lo + hi) / 2; int(rows[mid]) < n {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

func (s *logSlots) slotsBelow(n int) int { return slotsBelow(s.rows, s.count, n) }

// codedArray gives the codes themselves where every row has a value of the type.
func (s *logSlots) codedArray(key columnType, n int, size *int64) (slotArray, error) {
	t, err := s.column.dictionary.as(key, size)
	if err != nil {
		return slotArray{}, err
	}
	width := int(s.codes.width)
	var codes []byte
	taken := int64(0)
	switch {
	case s.isDense(n):
		codes = s.codes.bytes()[:n*width]
	default:
		rows := s.rows
		if rows == nil {
			rows = firstRows[:s.count]
		}
		below := s.slotsBelow(n)
		codes = s.codes.scatter(rows[:below], n)
		taken = int64(len(codes))
	}
	var valid []byte
	nulls := 0
	if t.valid != nil || !s.isDense(n) {
		valid = make([]byte, (n+7)/8)
		taken += int64(len(valid))
		for slot := range s.slotsBelow(n) {
			if t.valid == nil || t.valid[s.codes.at(slot)] {
				row := s.rowOf(slot)
				valid[row>>3] |= 1 << (row & 7)
			}
		}
		nulls = n - countBits(valid)
	}
	return slotArray{codedArray(width, codes, valid, nulls, t.values, n), taken}, nil
}

// firstRows are the numbers of a chunk's rows.
var firstRows = func() (rows [logChunkRows]uint16) {
	for i := range rows {
		rows[i] = uint16(i)
	}
	return rows
}()

// indexTypes are the types of codes by their width.
var indexTypes = [...]arrow.DataType{1: arrow.PrimitiveTypes.Int8, 2: arrow.PrimitiveTypes.Int16, 4: arrow.PrimitiveTypes.Int32}

// codedArray is a dictionary array. valid is nil if all rows have a value.
func codedArray(width int, codes, valid []byte, nulls int, values *array.Data, n int) arrow.Array {
	buffers := []*memory.Buffer{nil, memory.NewBufferBytes(codes)}
	if nulls > 0 {
		buffers[0] = memory.NewBufferBytes(valid)
	}
	t := &arrow.DictionaryType{IndexType: indexTypes[width], ValueType: values.DataType()}
	return array.NewDictionaryData(array.NewDataWithDictionary(t, n, buffers, nulls, 0, values))
}

// lookUpArray looks up what each code stands for in a type that is no text.
func (s *logSlots) lookUpArray(key columnType, n int, size *int64) (slotArray, error) {
	t, err := s.column.dictionary.as(key, size)
	if err != nil {
		return slotArray{}, err
	}
	numbers := make([]uint64, n)
	valid := make([]byte, (n+7)/8)
	for slot := range s.slotsBelow(n) {
		code, row := s.codes.at(slot), s.rowOf(slot)
		if t.valid == nil || t.valid[code] {
			numbers[row] = t.numbers[code]
			valid[row>>3] |= 1 << (row & 7)
		}
	}
	return slotArray{fixedArray(key, numbers, valid, n-countBits(valid)), int64(8*n + len(valid))}, nil
}

// plainArray gives the numbers themselves where every row has one of the type.
func (s *logSlots) plainArray(key columnType, n int) slotArray {
	same := s.kinds == nil && (key.t == catalog.TypeInt && s.kind == catalog.KindInt || key.t == catalog.TypeDouble && s.kind == catalog.KindDouble)
	if same && s.isDense(n) {
		return slotArray{fixedArray(key, s.bits[:n], nil, 0), 0}
	}
	if key.isText() {
		return s.builtArray(key, n)
	}
	numbers := make([]uint64, n)
	valid := make([]byte, (n+7)/8)
	for slot := range s.slotsBelow(n) {
		v, ok := catalog.Value{Bits: s.bits[slot]}, true
		if !same {
			v, ok = key.convert(s.value(slot))
		}
		if ok {
			row := s.rowOf(slot)
			numbers[row] = v.Bits
			valid[row>>3] |= 1 << (row & 7)
		}
	}
	return slotArray{fixedArray(key, numbers, valid, n-countBits(valid)), int64(8*n + len(valid))}
}

// builtArray converts numbers to texts, value by value.
func (s *logSlots) builtArray(key columnType, n int) slotArray {
	b := newColumnBuilder(key.t, n)
	row := 0
	nullsTo := func(end int) {
		for ; row < end; row++ {
			b.append(catalog.Null, false)
		}
	}
	bytes := int64(0)
	for slot := range s.slotsBelow(n) {
		nullsTo(s.rowOf(slot))
		v, ok := key.convert(s.value(slot))
		b.append(v, ok)
		bytes += int64(len(v.Text)) + 5
		row++
	}
	nullsTo(n)
	return slotArray{b.array(), bytes}
}

// fixedArray is an array of a type that is no text; valid may be nil if there are
// no nulls.
func fixedArray(key columnType, numbers []uint64, valid []byte, nulls int) arrow.Array {
	buffers := []*memory.Buffer{nil, bufferOf(numbers)}
	if nulls > 0 {
		buffers[0] = memory.NewBufferBytes(valid)
	}
	if key.t == catalog.TypeBool {
		packed := make([]byte, (len(numbers)+7)/8)
		for i, v := range numbers {
			if v != 0 {
				packed[i>>3] |= 1 << (i & 7)
			}
		}
		buffers[1] = memory.NewBufferBytes(packed)
	}
	return array.MakeFromData(array.NewData(key.arrowType(), len(numbers), buffers, nil, nulls, 0))
}

func countBits(b []byte) (n int) {
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return n
}

// noBytes and noNumbers are what nulls are made of. Nobody writes to them.
var (
	noBytes   [logChunkRows]byte
	noNumbers [logChunkRows]uint64
	noTexts   = array.NewData(arrow.BinaryTypes.String, 1, []*memory.Buffer{nil, bufferOf([]int32{0, 0}), memory.NewBufferBytes(nil)}, nil, 0, 0)
)

// nullArray is n nulls.
func nullArray(key columnType, n int) arrow.Array {
	valid := noBytes[:(n+7)/8]
	if key.isText() {
		return codedArray(1, noBytes[:n], valid, n, noTexts, n)
	}
	return fixedArray(key, noNumbers[:n], valid, n)
}

// asBits sees integers as what arrays are made of.
func asBits(v []int64) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(v))), len(v))
}
