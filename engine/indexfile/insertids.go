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

// insertInfo is what the footer says about insert ids.
type insertInfo struct {
	form    Form   // that is packed
	shared  agreed // the bits that packed ids lack
	repeats bool   // copies in groups have no packed id of their own
}

// encode gives the part of the packed ids and the column of the rest. Version 1 has
// all bits of all ids.
func (b *insertBuilder) encode(version uint32, groups []Group) (insertInfo, []part, *valueBuilder) {
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
		return insertInfo{}, nil, rest
	}
	for i := range b.packed {
		if b.forms[i] != form {
			b.packed[i] = [16]byte{}
		}
	}
	info := insertInfo{form: form, shared: shared}
	if version > 1 {
		repeats := b.repeats(groups, func(row int) bool { return b.forms[row] == form })
		if info.repeats = repeats.len() > 0; info.repeats {
			n := 0
			for row, id := range b.packed {
				if repeats.first(row) == row {
					b.packed[n] = id
					n++
				}
			}
			b.packed = b.packed[:n]
		}
	}
	if shared != 0 {
		return info, []part{{kind: partPackedIDs, bytes: shorten(b.packed)}}, rest
	}
	// Arrays follow each other without gaps, and there is one at least.
	packed := unsafe.Slice(&b.packed[0][0], 16*len(b.packed))
	return info, []part{{kind: partPackedIDs, bytes: packed}}, rest
}

// insertIDs reads them.
type insertIDs struct {
	insertInfo
	of     repeats // empty, unless copies repeat
	packed []byte
	rest   *column
}

// key is the key of a packed row.
func (s *insertIDs) key(i int) InsertKey {
	if s.shared != 0 {
		hi, lo := shortID(s.packed, s.of.slot(i), s.shared)
		return InsertKey{Hi: hi, Lo: lo, Form: s.form}
	}
	b := s.packed[16*s.of.slot(i):]
	return InsertKey{Hi: binary.BigEndian.Uint64(b), Lo: binary.BigEndian.Uint64(b[8:]), Form: s.form}
}

// append appends the text of a packed row.
func (s *insertIDs) append(dst []byte, i int) []byte {
	if s.shared != 0 {
		return s.key(i).AppendID(dst)
	}
	return appendID(dst, s.form, (*[16]byte)(s.packed[16*s.of.slot(i):]))
}

func (i *insertInfo) append(b []byte) []byte {
	b = append(b, byte(i.shared))
	if i.repeats {
		return append(b, 1)
	}
	return append(b, 0)
}

func (i *insertInfo) decode(d *decoder) {
	i.shared = agreed(d.byte("insert ids: bits that all share", 2*byte(agreedAny)-1))
	i.repeats = d.byte("insert ids: repeated by copies", 1) == 1
	if i.form == FormNone && (i.shared != 0 || i.repeats) || i.shared != 0 && i.shared < agreedAny {
		d.fail("insert ids: bits that all share")
	}
}
