package indexfile

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// packed is an array of unsigned integers of one width in bits, least
// significant bits first, read in place: value i is base plus the width bits
// that start at bit i*width. Eight spare bytes at the end let every read be one
// load.
type packed struct {
	bytes []byte
	base  uint64
	width uint8
}

const packedSpare = 8

// packedWidth is the width for values up to max: one that a single load of 64
// bits always covers, or 64.
func packedWidth(max uint64) uint8 {
	w := bits.Len64(max)
	if w > 57 {
		w = 64
	}
	return uint8(w)
}

// validWidth reports whether packedWidth gives this width.
func validWidth(w uint8) bool { return w <= 57 || w == 64 }

// packedLen is the length in bytes of n values of a width; 0 bits take no bytes.
func packedLen(n int, width uint8) int {
	if width == 0 || n == 0 {
		return 0
	}
	return (n*int(width)+7)/8 + packedSpare
}

// pack makes an array of n values; at gives value i less the base.
func pack(n int, width uint8, at func(i int) uint64) []byte {
	out := make([]byte, packedLen(n, width))
	if len(out) == 0 {
		return out
	}
	packInto(out, 0, n, width, at)
	return out
}

// packInto packs the values [lo, hi) into out, 64 bits at a time.
func packInto(out []byte, lo, hi int, width uint8, at func(i int) uint64) {
	word, used, w := uint64(0), uint(0), uint(width) // used are the bits of word that count
	for i := lo; i < hi; i++ {
		v := at(i)
		word |= v << used
		if used += w; used >= 64 {
			binary.LittleEndian.PutUint64(out, word)
			out = out[8:]
			used -= 64
			word = v >> (w - used)
		}
	}
	for ; used > 0; used -= min(used, 8) {
		out[0] = byte(word)
		out, word = out[1:], word>>8
	}
}

// at is value i.
func (p *packed) at(i int) uint64 {
	if p.width == 0 {
		return p.base
	}
	bit := i * int(p.width)
	v := binary.LittleEndian.Uint64(p.bytes[bit>>3:]) >> (bit & 7)
	return p.base + v&(1<<p.width-1)
}

// unpack fills dst with the values from lo on.
func (p *packed) unpack(dst []int64, lo int) {
	if p.width == 0 {
		for i := range dst {
			dst[i] = int64(p.base)
		}
		return
	}
	mask := uint64(1)<<p.width - 1
	bit := lo * int(p.width)
	for i := range dst {
		v := binary.LittleEndian.Uint64(p.bytes[bit>>3:]) >> (bit & 7)
		dst[i] = int64(p.base + v&mask)
		bit += int(p.width)
	}
}

// max is the greatest of the first n values, the base for none.
func (p *packed) max(n int) uint64 {
	m := p.base
	if p.width > 0 {
		for i := range n {
			m = max(m, p.at(i))
		}
	}
	return m
}

// codes are the dictionary codes of a column's slots: of 1, 2 or 4 bytes, or of
// none where there is one entry. They are Arrow's signed dictionary indices, so
// a width goes up to half of what its bytes could count.
type codes struct {
	bytes []byte
	width uint8
}

// codeWidth is the width in bytes of the codes of a dictionary.
func codeWidth(entries int) uint8 {
	switch {
	case entries <= 1:
		return 0
	case entries <= 1<<7:
		return 1
	case entries <= 1<<15:
		return 2
	default:
		return 4
	}
}

// codeBits is the width in bits of the packed codes of a dictionary.
func codeBits(entries int) uint8 { return packedWidth(uint64(max(entries, 1) - 1)) }

// at is the code of a slot.
func (c *codes) at(slot int) uint32 {
	switch c.width {
	case 1:
		return uint32(c.bytes[slot])
	case 2:
		return uint32(binary.LittleEndian.Uint16(c.bytes[2*slot:]))
	case 4:
		return binary.LittleEndian.Uint32(c.bytes[4*slot:])
	}
	return 0
}

// max is the greatest code, 0 for none.
func (c *codes) max() (m uint32) {
	switch c.width {
	case 1:
		for _, b := range c.bytes {
			m = max(m, uint32(b))
		}
	case 2:
		for _, v := range view[uint16](c.bytes) {
			m = max(m, uint32(v))
		}
	case 4:
		for _, v := range view[uint32](c.bytes) {
			m = max(m, v)
		}
	}
	return m
}

// put sets the code of a slot.
func (c *codes) put(slot int, v uint32) {
	switch c.width {
	case 1:
		c.bytes[slot] = byte(v)
	case 2:
		binary.LittleEndian.PutUint16(c.bytes[2*slot:], uint16(v))
	case 4:
		binary.LittleEndian.PutUint32(c.bytes[4*slot:], v)
	}
}

// fixed are the types whose arrays are read in place.
type fixed interface {
	~int8 | ~int16 | ~int32 | ~uint16 | ~uint32 | ~uint64 | ~int64 | ~float64
}

// view is an array over bytes that are aligned for it, which Open and the pool
// see to. What does not fill an element is left out.
func view[T fixed](b []byte) []T {
	var t T
	n := len(b) / int(unsafe.Sizeof(t))
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

// raw is the bytes of an array.
func raw[T fixed](a []T) []byte {
	if len(a) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(a))), len(a)*int(unsafe.Sizeof(a[0])))
}

// text is a string over bytes that will not change.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// aligned returns n zero bytes aligned for every array.
func aligned(n int) []byte {
	if n == 0 {
		return nil
	}
	return raw(make([]uint64, (n+7)/8))[:n]
}

// bitmaps are Arrow's: row i is bit i&7 of byte i>>3.
func bitmapLen(n int) int         { return (n + 7) / 8 }
func bitSet(b []byte, i int)      { b[i>>3] |= 1 << (i & 7) }
func bitGet(b []byte, i int) bool { return b[i>>3]>>(i&7)&1 != 0 }
func bitCount(b []byte) (n int) {
	for len(b) >= 8 {
		n += bits.OnesCount64(binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return n
}
