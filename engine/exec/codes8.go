package exec

import (
	"encoding/binary"
	"unsafe"
)

// selectCodes8 sets the rows of whose codes that was said. One code among all is
// looked for eight rows at a time.
func selectCodes8(codes []int8, said []uint8, out Bitmap, want uint8) {
	only, count := 0, 0
	for code, s := range said {
		if s == want {
			only = code
			count++
		}
	}
	switch {
	case count == 0:
		clear(out)
		return
	case count == 1:
		selectCode8(codes, uint8(only), out)
		return
	}
	var table [256]uint64
	for code, s := range said {
		if s == want {
			table[code] = 1
		}
	}
	for w := range out {
		var word uint64
		rest := codes[w*64:]
		if len(rest) >= 64 {
			for i, c := range (*[64]int8)(rest) {
				word |= table[uint8(c)] << (i & 63)
			}
		} else {
			for i, c := range rest {
				word |= table[uint8(c)] << (i & 63)
			}
		}
		out[w] = word
	}
}

// selectCode8 sets the rows with one code: the bytes of a word that are equal to
// it become zero by XOR; of a zero byte, and of no other, the high bit is set in
// ^((x & 0x7f…) + 0x7f… | x | 0x7f…), and a multiplication gathers the high bits.
func selectCode8(codes []int8, code uint8, out Bitmap) {
	const ones, low = 0x0101010101010101, 0x7f7f7f7f7f7f7f7f
	const gather = 0x0102040810204080
	pattern := uint64(code) * ones
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(codes))), len(codes))
	for w := range out {
		var word uint64
		rest := bytes[w*64:]
		if len(rest) >= 64 {
			for i := 0; i < 64; i += 8 {
				x := binary.LittleEndian.Uint64(rest[i:i+8:i+8]) ^ pattern
				zero := ^(x&low + low | x | low)
				word |= zero >> 7 * gather >> 56 << i
			}
		} else {
			for i, c := range rest {
				if c == code {
					word |= 1 << i
				}
			}
		}
		out[w] = word
	}
}
