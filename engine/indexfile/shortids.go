package indexfile

import (
	"encoding/binary"
	"io"
)

// Six bits of a UUID are always the same: the four of its version, in byte 6, and
// the two of its variant, in byte 8. Where all packed ids of a file agree in them
// the file says them once, and each id takes the other 122 bits, one after the
// other, the lowest bit of a byte first: 60 bits of the first half and 62 of the
// second, as numbers.

// shortBits is what such an id takes.
const shortBits = 122

// agreed are the six bits that ids share, 4·version + variant, with agreedAny set;
// 0 for none.
type agreed uint8

const agreedAny agreed = 64

func agreedOf(b *[16]byte) agreed {
	return agreedAny | agreed(b[6]>>4)<<2 | agreed(b[8]>>6)
}

// mayDiffer is how many times more ids there must be for each one that is a text
// because its bits are others.
const mayDiffer = 32

// agree finds what nearly all ids of a form share.
func (b *insertBuilder) agree(form Form) agreed {
	var counts [2 * agreedAny]int
	total := 0
	forms, packed := b.forms.reader(), b.packed.reader()
	for i := range b.rows() {
		if forms.at(i) == form {
			id := packed.at(i)
			counts[agreedOf(&id)]++
			total++
		}
	}
	for a, n := range counts {
		if (total-n)*mayDiffer <= total && total > 0 {
			return agreed(a)
		}
	}
	return 0
}

func shortLen(n int) int { return (n*shortBits+7)/8 + packedSpare }

// shortPart packs ids without the bits that they share. A piece of a multiple of 4
// ends with a byte.
func shortPart(n int, next func(i int) [16]byte) part {
	return part{kind: partPackedIDs, write: func(w io.Writer) error {
		room := make([]byte, shortLen(min(n, pieceValues)))
		for lo := 0; lo < n; lo += pieceValues {
			hi := min(lo+pieceValues, n)
			b := room[:shortLen(hi-lo)]
			clear(b)
			for i := range hi - lo {
				shorten(b, i, next(lo+i))
			}
			if hi < n {
				b = b[:len(b)-packedSpare]
			}
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
		return nil
	}}
}

// shorten puts an id in its place.
func shorten(b []byte, i int, id [16]byte) {
	hi, lo := binary.BigEndian.Uint64(id[:]), binary.BigEndian.Uint64(id[8:])
	hi = hi>>16<<12 | hi&(1<<12-1)
	lo &= 1<<62 - 1
	at, shift := i*shortBits>>3, i*shortBits&7
	first, second := hi|lo<<60, lo>>4
	p := b[at : at+16]
	binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)|first<<shift)
	binary.LittleEndian.PutUint64(p[8:], first>>(64-shift)|second<<shift)
}

// shortID is the i-th id, as two numbers.
func shortID(b []byte, i int, a agreed) (hi, lo uint64) {
	at, shift := i*shortBits>>3, i*shortBits&7
	p := b[at : at+16]
	x, y := binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[8:])
	first, second := x>>shift|y<<(64-shift), y>>shift
	hi, lo = first&(1<<60-1), (first>>60|second<<4)&(1<<62-1)
	return hi>>12<<16 | uint64(a>>2&15)<<12 | hi&(1<<12-1), uint64(a&3)<<62 | lo
}
