package indexfile

import (
	"encoding/binary"
	"unsafe"

	"arbor/catalog"
)

// Insert ids in the form that most rows share are packed, 16 bytes a row or a
// little less (shortids.go). What
// is in another form, or missing, is a value of the column columnInsertText: a
// row is packed unless it has one. If no form is
// that of more than half the rows, none is packed and every row has a value.

// insertBuilder collects insert ids.
type insertBuilder struct {
	packed [][16]byte
	forms  []Form
	texts  []byte
	ends   []uint64 // of the texts, one for each row in FormText
}

func (b *insertBuilder) add(id string) {
	b.packed = append(b.packed, [16]byte{})
	form := packID(&b.packed[len(b.packed)-1], id)
	b.forms = append(b.forms, form)
	if form == FormText {
		b.texts = append(b.texts, id...)
		b.ends = append(b.ends, uint64(len(b.texts)))
	}
}

// encode gives the form that is packed, the bits that its ids share, its part, and
// the column of the rest. Version 1 has all bits of all ids.
func (b *insertBuilder) encode(version uint32) (Form, agreed, []part, *valueBuilder) {
	var count [FormText + 1]int
	for _, f := range b.forms {
		count[f]++
	}
	form := FormNone
	for f := FormUUID; f <= FormHexUpper; f++ {
		if 2*count[f] > len(b.forms) {
			form = f
		}
	}
	shared := agreed(0)
	if form != FormNone && version > 1 {
		shared = b.agree(form)
	}
	rest := &valueBuilder{}
	var buf [36]byte
	textNumber, start := 0, uint64(0)
	for i, f := range b.forms {
		var v catalog.Value
		switch f {
		case form:
			if form == FormNone {
				break
			}
			if shared == 0 || agreedOf(&b.packed[i]) == shared {
				continue
			}
			b.forms[i] = FormText // what is packed below leaves it out
			v = catalog.String(text(appendID(buf[:0], f, &b.packed[i])))
		case FormNone:
		case FormText:
			end := b.ends[textNumber]
			v = catalog.String(text(b.texts[start:end]))
			textNumber, start = textNumber+1, end
		default:
			v = catalog.String(text(appendID(buf[:0], f, &b.packed[i])))
		}
		rest.add(uint32(i), v)
	}
	if form == FormNone {
		return form, 0, nil, rest
	}
	for i := range b.packed {
		if b.forms[i] != form {
			b.packed[i] = [16]byte{}
		}
	}
	if shared != 0 {
		return form, shared, []part{{kind: partPackedIDs, bytes: shorten(b.packed)}}, rest
	}
	// Arrays follow each other without gaps, and there is one at least.
	packed := unsafe.Slice(&b.packed[0][0], 16*len(b.packed))
	return form, 0, []part{{kind: partPackedIDs, bytes: packed}}, rest
}

// insertIDs reads them.
type insertIDs struct {
	form   Form
	shared agreed
	packed []byte
	rest   *column
}

// key is the key of a packed row.
func (s *insertIDs) key(i int) InsertKey {
	if s.shared != 0 {
		hi, lo := shortID(s.packed, i, s.shared)
		return InsertKey{Hi: hi, Lo: lo, Form: s.form}
	}
	b := s.packed[16*i:]
	return InsertKey{Hi: binary.BigEndian.Uint64(b), Lo: binary.BigEndian.Uint64(b[8:]), Form: s.form}
}

// append appends the text of a packed row.
func (s *insertIDs) append(dst []byte, i int) []byte {
	if s.shared != 0 {
		return s.key(i).AppendID(dst)
	}
	return appendID(dst, s.form, (*[16]byte)(s.packed[16*i:]))
}
