package exec

import "encoding/binary"

// PackedText is a text in 16 bytes, for columns such as insert ids, of which nearly
// every row has another value: hexadecimal digits as they are usually written, or
// 15 bytes at most. Two of the same form are equal if and only if their texts are,
// and a text has one form.
type PackedText struct {
	Hi, Lo uint64
	Form   TextForm
}

// TextForm says how a PackedText stands for its text.
type TextForm uint8

// The forms. Append only: they travel.
const (
	TextNull      TextForm = 0 // there is none
	TextUUID      TextForm = 1 // 8-4-4-4-12 lower-case hexadecimal digits, or digits only
	TextUUIDUpper TextForm = 2 // the same in upper case
	TextHex       TextForm = 3 // 32 lower-case hexadecimal digits, or digits only
	TextHexUpper  TextForm = 4 // the same in upper case
	TextShort     TextForm = 5 // up to 15 bytes, and their number in the last byte
	TextLong      TextForm = 6 // any other, which 16 bytes do not hold

	textForms = 6 // those that are packed are less
)

// PackText packs a text.
func PackText(text string) PackedText {
	var b [16]byte
	form := TextLong
	switch {
	case len(text) < len(b):
		copy(b[:], text)
		b[15], form = byte(len(text)), TextShort
	case len(text) == 36 && text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-':
		form = packHex(&b, text, true)
	case len(text) == 32:
		form = packHex(&b, text, false)
	}
	if form == TextLong {
		return PackedText{Form: TextLong}
	}
	return PackedText{binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:]), form}
}

// packHex packs hexadecimal digits, if all have one case.
func packHex(b *[16]byte, text string, dashed bool) TextForm {
	lower, upper := false, false
	at := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c, lower = c-'a'+10, true
		case c >= 'A' && c <= 'F':
			c, upper = c-'A'+10, true
		case dashed && (i == 8 || i == 13 || i == 18 || i == 23):
			continue
		default:
			return TextLong
		}
		b[at/2] = b[at/2]<<4 | c
		at++
	}
	if at != 2*len(b) || lower && upper {
		return TextLong
	}
	form := TextUUID
	if !dashed {
		form = TextHex
	}
	if upper {
		form++
	}
	return form
}

// Packed says how to read the rows [lo, hi) of a vector of texts as packed ones,
// without making the texts. A row may be said to be long.
func (v Vector) Packed(read func(lo, hi int, out []PackedText) error) Vector {
	v.packed = read
	return v
}

// packedTexts are the texts of a column in rows [lo, lo+len(out)).
func (r *Rows) packedTexts(column, lo int, out []PackedText) error {
	v := &r.vectors[column]
	if v.packed != nil {
		return v.packed(lo, lo+len(out), out)
	}
	for i := range out {
		text, err := r.value(column, lo+i)
		if err != nil {
			return err
		}
		out[i] = PackedText{}
		if text.Kind != 0 {
			out[i] = PackText(text.Text)
		}
	}
	return nil
}
