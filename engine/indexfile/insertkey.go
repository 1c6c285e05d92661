package indexfile

import (
	"encoding/binary"

	"github.com/zeebo/xxh3"
)

// Form says how an insert id is written, and so how an InsertKey stands for it.
type Form uint8

// The forms. The numbers are on disk: append only.
const (
	FormNone      Form = 0 // no insert id
	FormUUID      Form = 1 // 8-4-4-4-12 lower-case hexadecimal digits
	FormUUIDUpper Form = 2 // the same in upper case
	FormHex       Form = 3 // 32 lower-case hexadecimal digits
	FormHexUpper  Form = 4 // the same in upper case
	FormText      Form = 5 // anything else
)

// InsertKey stands for an insert id in comparisons without its text. Two ids
// with different keys differ. Two with equal keys are equal, except in
// FormText, where the key is a hash and the texts must be compared.
type InsertKey struct {
	Hi, Lo uint64
	Form   Form
}

// Exact reports whether ids with this key are equal for certain.
func (k InsertKey) Exact() bool { return k.Form != FormText }

// AppendID appends the insert id that the key stands for, which must be exact;
// FormNone appends nothing.
func (k InsertKey) AppendID(dst []byte) []byte {
	if k.Form == FormNone || k.Form == FormText {
		return dst
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], k.Hi)
	binary.BigEndian.PutUint64(b[8:], k.Lo)
	return appendID(dst, k.Form, &b)
}

// InsertKeyOf is the key of an insert id.
func InsertKeyOf(id string) InsertKey {
	var b [16]byte
	switch form := packID(&b, id); form {
	case FormNone:
		return InsertKey{}
	case FormText:
		h := xxh3.HashString128(id)
		return InsertKey{Hi: h.Hi, Lo: h.Lo, Form: FormText}
	default:
		return InsertKey{Hi: binary.BigEndian.Uint64(b[:]), Lo: binary.BigEndian.Uint64(b[8:]), Form: form}
	}
}

// packID says in which form an id is, and puts the 16 bytes of a hexadecimal
// one into b. Ids of digits only count as lower case.
func packID(b *[16]byte, id string) Form {
	dashed := false
	switch len(id) {
	case 0:
		return FormNone
	case 32:
	case 36:
		if id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
			return FormText
		}
		dashed = true
	default:
		return FormText
	}
	var seen byte // the classes of the digits met: 1 lower case, 2 upper case, 4 none
	for i, j := 0, 0; i < 16; i++ {
		if dashed && (j == 8 || j == 13 || j == 18 || j == 23) {
			j++
		}
		hi, lo := unhex[id[j]], unhex[id[j+1]]
		seen |= hi>>4 | lo>>4
		b[i] = hi<<4 | lo&15
		j += 2
	}
	form := FormUUID
	switch {
	case seen >= 3:
		return FormText
	case seen == 2:
		form = FormUUIDUpper
	}
	if !dashed {
		form += FormHex - FormUUID
	}
	return form
}

// appendID writes the id that packID packed in this form.
func appendID(dst []byte, form Form, b *[16]byte) []byte {
	pairs := &lowerPairs
	if form == FormUUIDUpper || form == FormHexUpper {
		pairs = &upperPairs
	}
	var out [36]byte
	if form == FormHex || form == FormHexUpper {
		for i, x := range b {
			binary.LittleEndian.PutUint16(out[2*i:], pairs[x])
		}
		return append(dst, out[:32]...)
	}
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	for i, x := range b {
		binary.LittleEndian.PutUint16(out[pairAt[i]:], pairs[x])
	}
	return append(dst, out[:]...)
}

// pairAt is where the digits of each byte are in a UUID.
var pairAt = [16]uint8{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}

// lowerPairs and upperPairs hold a byte's two digits as they lie in memory.
var lowerPairs, upperPairs = digitPairs("0123456789abcdef"), digitPairs("0123456789ABCDEF")

func digitPairs(digits string) (t [256]uint16) {
	for i := range t {
		t[i] = uint16(digits[i>>4]) | uint16(digits[i&15])<<8
	}
	return t
}

// unhex holds a byte's value as a hexadecimal digit, and above it its class: 0
// for 0–9, 1 for a–f, 2 for A–F, 4 for what is no digit.
var unhex = func() (t [256]byte) {
	for i := range t {
		t[i] = 4 << 4
	}
	for i := byte(0); i < 10; i++ {
		t['0'+i] = i
	}
	for i := byte(0); i < 6; i++ {
		t['a'+i] = 1<<4 | 10 + i
		t['A'+i] = 2<<4 | 10 + i
	}
	return t
}()
