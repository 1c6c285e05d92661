package indexfile

import (
	"encoding/binary"
	"math/bits"
)

// ranks count the rows before a row whose bit in a bitmap is set.
type ranks struct {
	bitmap []byte
	sums   []uint32 // the bits before each rankBytes bytes
}

// rankBytes are a word, so that a row costs one sum and one word.
const rankBytes = 8

func newRanks(bitmap []byte) ranks {
	r := ranks{bitmap: bitmap, sums: make([]uint32, len(bitmap)/rankBytes+1)}
	sum := 0
	for k := range r.sums {
		r.sums[k] = uint32(sum)
		sum += bitCount(bitmap[k*rankBytes : min((k+1)*rankBytes, len(bitmap))])
	}
	return r
}

// before is the number of bits set before bit i, which may be the one after the
// last.
func (r *ranks) before(i int) int {
	from := i >> 6 * rankBytes
	n := int(r.sums[i>>6])
	if rest := r.bitmap[from:]; len(rest) >= rankBytes {
		return n + bits.OnesCount64(binary.LittleEndian.Uint64(rest)&(1<<(i&63)-1))
	}
	at := i >> 3
	for ; from < at; from++ {
		n += bits.OnesCount8(r.bitmap[from])
	}
	if i&7 != 0 {
		n += bits.OnesCount8(r.bitmap[at] & (1<<(i&7) - 1))
	}
	return n
}
