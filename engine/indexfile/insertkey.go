package indexfile

import "github.com/zeebo/xxh3"

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
	return formatID(dst, k.Form, k.Hi, k.Lo)
}

// InsertKeyOf is the key of an insert id.
func InsertKeyOf(id string) InsertKey {
	hi, lo, form := parseID(id)
	if form == FormText {
		h := xxh3.HashString128(id)
		return InsertKey{Hi: h.Hi, Lo: h.Lo, Form: FormText}
	}
	return InsertKey{Hi: hi, Lo: lo, Form: form}
}
