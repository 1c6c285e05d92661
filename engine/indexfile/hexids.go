package indexfile

import (
	"encoding/binary"
	"slices"
)

// Insert ids, and the ends of distinct ids, are hexadecimal digits in most cases, and
// each is read and written several times while a file is built and proven. Eight digits
// are eight bytes of a word, and are all handled at a time.

// packID says in which form an id is, and puts the 16 bytes of a hexadecimal
// one into b. Ids of digits only count as lower case.
func packID(b *[16]byte, id string) Form {
	hi, lo, form := parseID(id)
	binary.BigEndian.PutUint64(b[:], hi)
	binary.BigEndian.PutUint64(b[8:], lo)
	return form
}

// parseID says in which form an id is, and what a hexadecimal one stands for.
func parseID(id string) (hi, lo uint64, form Form) {
	var words [4]uint64
	switch len(id) {
	case 0:
		return 0, 0, FormNone
	case 32:
		words = [4]uint64{wordAt(id, 0), wordAt(id, 8), wordAt(id, 16), wordAt(id, 24)}
		form = FormHex
	case 36:
		if id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
			return 0, 0, FormText
		}
		const half = 1<<32 - 1
		words = [4]uint64{
			wordAt(id, 0), wordAt(id, 9)&half | wordAt(id, 10)&^half,
			wordAt(id, 19)&half | wordAt(id, 20)&^half, wordAt(id, 28),
		}
		form = FormUUID
	default:
		return 0, 0, FormText
	}
	var wrong, lower, upper uint64
	for i, w := range words {
		n, letters, others := digitsOf(w)
		wrong |= others
		lower |= letters & (w >> 5)
		upper |= letters &^ (w >> 5)
		words[i] = n
	}
	if wrong != 0 || lower != 0 && upper != 0 {
		return 0, 0, FormText
	}
	if upper != 0 {
		form++ // upper case follows lower
	}
	return words[0]<<32 | words[1], words[2]<<32 | words[3], form
}

// formatID appends the id that parseID read in this form.
func formatID(dst []byte, form Form, hi, lo uint64) []byte {
	letter := uint64('a' - '0' - 10)
	if form == FormUUIDUpper || form == FormHexUpper {
		letter = 'A' - '0' - 10
	}
	a, b := digits(hi>>32, letter), digits(hi&(1<<32-1), letter)
	c, d := digits(lo>>32, letter), digits(lo&(1<<32-1), letter)
	at := len(dst)
	if form == FormHex || form == FormHexUpper {
		dst = slices.Grow(dst, 32)[:at+32]
		out := (*[32]byte)(dst[at:])
		binary.LittleEndian.PutUint64(out[:], a)
		binary.LittleEndian.PutUint64(out[8:], b)
		binary.LittleEndian.PutUint64(out[16:], c)
		binary.LittleEndian.PutUint64(out[24:], d)
		return dst
	}
	dst = slices.Grow(dst, 36)[:at+36]
	out := (*[36]byte)(dst[at:])
	binary.LittleEndian.PutUint64(out[:], a)
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	binary.LittleEndian.PutUint32(out[9:], uint32(b))
	binary.LittleEndian.PutUint32(out[14:], uint32(b>>32))
	binary.LittleEndian.PutUint32(out[19:], uint32(c))
	binary.LittleEndian.PutUint32(out[24:], uint32(c>>32))
	binary.LittleEndian.PutUint64(out[28:], d)
	return dst
}

// appendID writes the id that packID packed in this form.
func appendID(dst []byte, form Form, b *[16]byte) []byte {
	return formatID(dst, form, binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:]))
}

// wordAt are eight bytes of a text, the first the lowest.
func wordAt(s string, at int) uint64 {
	s = s[at : at+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// each is a 1 in each of eight bytes.
const each = 0x0101010101010101

// digitsOf is the number of eight hexadecimal digits. letters has a 1 for each that is
// a letter, and others is 0 if all are digits.
func digitsOf(w uint64) (n, letters, others uint64) {
	letters = w >> 6 & each
	n = w&(0x0f*each) + 9*letters // no byte is above 24
	// A digit looks as the one of its value and case does, its value is below 16, and
	// it is a letter if that is 10 or more.
	looks := n + '0'*each + ('A'-'0'-10)*letters + w&(('a'-'A')*letters)
	others = looks ^ w | n&(0xf0*each) | letters ^ (n+6*each)>>4&each
	n = (n<<4 | n>>8) & 0x00ff00ff00ff00ff
	n = (n<<8 | n>>16) & 0x0000ffff0000ffff
	n = (n<<16 | n>>32) & 0x00000000ffffffff
	return n, letters, others
}

// digits are the eight hexadecimal digits of a number of 32 bits. letter is how much
// further than a decimal digit of its value a letter is.
func digits(n, letter uint64) uint64 {
	n = n>>16 | n&0xffff<<32
	n = n>>8&0x000000ff000000ff | n<<16&0x00ff000000ff0000
	n = n>>4&0x000f000f000f000f | n<<8&0x0f000f000f000f00
	return n + '0'*each + letter*((n+6*each)>>4&each)
}
