package exec

import (
	"math"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/memory"
)

// goMemory is where arrays that we build live.
var goMemory = memory.NewGoAllocator()

func doubleBits(f float64) uint64 { return math.Float64bits(f) }

// view64 sees moments as integers.
func view64(t []arrow.Timestamp) []int64 {
	if len(t) == 0 {
		return []int64{}
	}
	return unsafe.Slice((*int64)(unsafe.Pointer(unsafe.SliceData(t))), len(t))
}

// scratch is memory for the vectors of one batch, used again for the next. What
// it gives is not cleared and holds until reset.
type scratch struct {
	free, used [][]uint64
}

func (s *scratch) reset() {
	s.free = append(s.free, s.used...)
	s.used = s.used[:0]
}

func (s *scratch) words(n int) []uint64 {
	for i := len(s.free) - 1; i >= 0; i-- {
		if b := s.free[i]; cap(b) >= n {
			s.free[i] = s.free[len(s.free)-1]
			s.free = s.free[:len(s.free)-1]
			s.used = append(s.used, b)
			return b[:n]
		}
	}
	// Room for a whole batch, so that the next one fits too.
	b := make([]uint64, max(n, 1024))
	s.used = append(s.used, b)
	return b[:n]
}

func scratchOf[T any](s *scratch, n int) []T {
	size := int(unsafe.Sizeof(*new(T)))
	words := s.words((n*size + 7) / 8)
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(words))), n)
}

func (s *scratch) bytes(n int) []byte       { return scratchOf[byte](s, n) }
func (s *scratch) int8s(n int) []int8       { return scratchOf[int8](s, n) }
func (s *scratch) int16s(n int) []int16     { return scratchOf[int16](s, n) }
func (s *scratch) int32s(n int) []int32     { return scratchOf[int32](s, n) }
func (s *scratch) int64s(n int) []int64     { return scratchOf[int64](s, n) }
func (s *scratch) float64s(n int) []float64 { return scratchOf[float64](s, n) }

func sizeOf[T any]() int64 { return int64(unsafe.Sizeof(*new(T))) }

// wordsOf are the bits of values.
func wordsOf[T int64 | float64 | arrow.Timestamp](a []T) []uint64 {
	if len(a) == 0 {
		return []uint64{}
	}
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(a))), len(a))
}

// bytesOf are the bytes of an array.
func bytesOf[T int64 | uint64 | float64](a []T) []byte {
	if len(a) == 0 {
		return []byte{}
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(a))), len(a)*8)
}

// sameBits sees an array as one of another type of the same size.
func sameBits[T, F int8 | int16 | int32 | uint8 | uint16 | uint32](from []F) []T {
	if len(from) == 0 {
		return []T{}
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(from))), len(from))
}
