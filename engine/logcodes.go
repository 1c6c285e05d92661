package engine

import (
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow/memory"
)

// codeList is a growing list of dictionary codes in the narrowest integers that
// hold them. What was appended does not move or change for who took its bytes:
// wider codes begin another array.
type codeList struct {
	width uint8 // 1, 2 or 4 bytes; 0 is an empty list's
	in8   []int8
	in16  []int16
	in32  []int32
}

// The greatest codes of each width. Arrow's indices are signed.
const (
	maxCode8  = 1<<7 - 1
	maxCode16 = 1<<15 - 1
)

func widthOf(code int32) uint8 {
	switch {
	case code <= maxCode8:
		return 1
	case code <= maxCode16:
		return 2
	}
	return 4
}

func (l *codeList) len() int { return max(len(l.in8), len(l.in16), len(l.in32)) }

// append adds a code, and to size the bytes that the list has grown by.
func (l *codeList) append(code int32, size *int64) {
	if w := widthOf(code); w > l.width {
		l.widen(w, size)
	}
	switch l.width {
	case 1:
		l.in8 = appendCounted(l.in8, int8(code), size)
	case 2:
		l.in16 = appendCounted(l.in16, int16(code), size)
	default:
		l.in32 = appendCounted(l.in32, code, size)
	}
}

func (l *codeList) widen(width uint8, size *int64) {
	old := *l
	*l = codeList{width: width}
	*size -= int64(cap(old.in8) + 2*cap(old.in16))
	for i := range old.len() {
		l.append(old.at(i), size)
	}
}

func (l *codeList) at(i int) int32 {
	switch l.width {
	case 1:
		return int32(l.in8[i])
	case 2:
		return int32(l.in16[i])
	}
	return l.in32[i]
}

// bytes are the codes as they lie in memory.
func (l *codeList) bytes() []byte {
	switch l.width {
	case 1:
		return bytesOf(l.in8)
	case 2:
		return bytesOf(l.in16)
	}
	return bytesOf(l.in32)
}

// scatter puts each code into the place that rows names, of n.
func (l *codeList) scatter(rows []uint16, n int) []byte {
	switch l.width {
	case 1:
		return bytesOf(scatter(l.in8, rows, n))
	case 2:
		return bytesOf(scatter(l.in16, rows, n))
	}
	return bytesOf(scatter(l.in32, rows, n))
}

func scatter[T any](values []T, rows []uint16, n int) []T {
	out := make([]T, n)
	for i, row := range rows {
		out[row] = values[i]
	}
	return out
}

// appendCounted is append, and adds to size the bytes that the slice has grown by.
func appendCounted[T any](s []T, v T, size *int64) []T {
	if len(s) < cap(s) {
		return append(s, v)
	}
	before := cap(s)
	s = append(s, v)
	*size += int64(cap(s)-before) * int64(unsafe.Sizeof(v))
	return s
}

// bytesOf is a slice of numbers as it lies in memory.
func bytesOf[T any](s []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(*new(T))))
}

func bufferOf[T any](s []T) *memory.Buffer { return memory.NewBufferBytes(bytesOf(s)) }
