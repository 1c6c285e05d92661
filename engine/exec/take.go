package exec

import (
	"fmt"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/bitutil"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// Taker copies the chosen rows of arrays into new ones. Its memory is used
// again after Reset, so what it gave is valid until then. A Taker is for one
// goroutine.
type Taker struct {
	free, used [][]byte
}

// Reset takes back the memory of all arrays given since the last Reset.
func (t *Taker) Reset() {
	t.free = append(t.free, t.used...)
	t.used = t.used[:0]
}

// maxFree is how many buffers a Taker keeps at most.
const maxFree = 256

// buffer is n bytes of anything, at an address that any value may have.
func (t *Taker) buffer(n int) []byte {
	best := -1
	for i, b := range t.free {
		if cap(b) >= n && (best < 0 || cap(b) < cap(t.free[best])) {
			best = i
		}
	}
	var b []byte
	if best >= 0 {
		b = t.free[best][:n]
		last := len(t.free) - 1
		t.free[best] = t.free[last]
		t.free = t.free[:last]
	} else {
		b = unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(make([]uint64, (n+7)/8)))), (n+7)/8*8)[:n]
	}
	if len(t.used) < maxFree {
		t.used = append(t.used, b)
	}
	return b
}

// Take returns the rows of a that runs name, which are ascending; rows is their
// number. The dictionary of a dictionary array is shared, not copied.
func (t *Taker) Take(a arrow.Array, runs []Run, rows int) (arrow.Array, error) {
	data := a.Data()
	nulls, validity := t.validity(a, runs, rows)
	var values *memory.Buffer
	switch x := a.(type) {
	case *array.Int64:
		values = takeValues(t, x.Int64Values(), runs, rows)
	case *array.Timestamp:
		values = takeValues(t, x.TimestampValues(), runs, rows)
	case *array.Float64:
		values = takeValues(t, x.Float64Values(), runs, rows)
	case *array.Boolean:
		values = memory.NewBufferBytes(t.bits(data.Buffers()[1].Bytes(), data.Offset(), runs, rows))
	case *array.String:
		offsets, text := t.text(x, runs, rows)
		return array.NewStringData(array.NewData(a.DataType(), rows, []*memory.Buffer{validity, offsets, text}, nil, nulls, 0)), nil
	case *array.Dictionary:
		values = t.codes(x.Indices(), runs, rows)
		if values == nil {
			return nil, fmt.Errorf("%w: dictionary indices of %s", ErrArray, x.Indices().DataType())
		}
		return array.NewDictionaryData(array.NewDataWithDictionary(a.DataType(), rows, []*memory.Buffer{validity, values}, nulls, 0, data.Dictionary().(*array.Data))), nil
	default:
		return nil, fmt.Errorf("%w: %s", ErrArray, a.DataType())
	}
	return array.MakeFromData(array.NewData(a.DataType(), rows, []*memory.Buffer{validity, values}, nil, nulls, 0)), nil
}

// validity is the bitmap of what is not null; nil when nothing is.
func (t *Taker) validity(a arrow.Array, runs []Run, rows int) (nulls int, validity *memory.Buffer) {
	if a.NullN() == 0 {
		return 0, nil
	}
	bits := t.bits(a.NullBitmapBytes(), a.Data().Offset(), runs, rows)
	return rows - bitutil.CountSetBits(bits, 0, rows), memory.NewBufferBytes(bits)
}

// bits copies runs of bits.
func (t *Taker) bits(from []byte, offset int, runs []Run, rows int) []byte {
	to := t.buffer((rows + 7) / 8)
	clear(to)
	at := 0
	for _, r := range runs {
		if n := r.Hi - r.Lo; n > 32 {
			bitutil.CopyBitmap(from, offset+r.Lo, n, to, at)
			at += n
			continue
		}
		for i := offset + r.Lo; i < offset+r.Hi; i++ {
			to[at>>3] |= (from[i>>3] >> (i & 7) & 1) << (at & 7)
			at++
		}
	}
	return to
}

// codes copies a dictionary array's codes, whatever their width; nil if it is
// none that a batch can have.
func (t *Taker) codes(indices arrow.Array, runs []Run, rows int) *memory.Buffer {
	switch x := indices.(type) {
	case *array.Int8:
		return takeValues(t, x.Int8Values(), runs, rows)
	case *array.Int16:
		return takeValues(t, x.Int16Values(), runs, rows)
	case *array.Int32:
		return takeValues(t, x.Int32Values(), runs, rows)
	case *array.Uint8:
		return takeValues(t, x.Uint8Values(), runs, rows)
	case *array.Uint16:
		return takeValues(t, x.Uint16Values(), runs, rows)
	case *array.Uint32:
		return takeValues(t, x.Uint32Values(), runs, rows)
	}
	return nil
}

// takeValues copies runs of values of a fixed width.
func takeValues[T any](t *Taker, from []T, runs []Run, rows int) *memory.Buffer {
	size := int(unsafe.Sizeof(*new(T)))
	bytes := t.buffer(rows * size)
	to := unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(bytes))), rows)
	at := 0
	for _, r := range runs {
		if r.Hi-r.Lo == 1 {
			to[at] = from[r.Lo]
			at++
			continue
		}
		at += copy(to[at:], from[r.Lo:r.Hi])
	}
	return memory.NewBufferBytes(bytes)
}

// text copies runs of strings.
func (t *Taker) text(a *array.String, runs []Run, rows int) (offsets, text *memory.Buffer) {
	from := a.ValueOffsets() // as of the array's own first row
	size := 0
	for _, r := range runs {
		size += int(from[r.Hi] - from[r.Lo])
	}
	o := t.buffer((rows + 1) * 4)
	to := unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(o))), rows+1)
	bytes := t.buffer(size)
	all := a.Data().Buffers()[2]
	at, row := int32(0), 0
	for _, r := range runs {
		shift := at - from[r.Lo]
		for i := r.Lo; i < r.Hi; i++ {
			to[row] = from[i] + shift
			row++
		}
		if from[r.Hi] > from[r.Lo] {
			at += int32(copy(bytes[at:], all.Bytes()[from[r.Lo]:from[r.Hi]]))
		}
	}
	to[row] = at
	return memory.NewBufferBytes(o), memory.NewBufferBytes(bytes)
}
