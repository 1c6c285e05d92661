package indexfile

import (
	"encoding/binary"
	"errors"

	"arbor/catalog"
)

// Insert ids in the form that most rows share are packed, 16 bytes a row or a
// little less (shortids.go). What
// is in another form, or missing, is a value of the column columnInsertText: a
// row is packed unless it has one. If no form is
// that of more than half the rows, none is packed and every row has a value.

// insertBuilder collects insert ids.
type insertBuilder struct {
	packed pages[[16]byte]
	forms  pages[Form]
	texts  pages[byte]
	sizes  pages[uint32] // of the texts, one for each row in FormText
}

func (b *insertBuilder) add(id string, key InsertKey) {
	var packed [16]byte
	binary.BigEndian.PutUint64(packed[:], key.Hi) // of no use in FormText
	binary.BigEndian.PutUint64(packed[8:], key.Lo)
	b.packed.add(packed)
	b.forms.add(key.Form)
	if key.Form == FormText {
		b.texts.tail = append(b.texts.tail, id...)
		b.sizes.add(uint32(len(id)))
	}
}

func (b *insertBuilder) rows() int { return b.forms.len() }

func (b *insertBuilder) bytes() int64 {
	return b.packed.bytes() + b.forms.bytes() + b.texts.bytes() + b.sizes.bytes()
}

func (b *insertBuilder) spill(s *scratch) error {
	return errors.Join(b.packed.spill(s), b.forms.spill(s), b.texts.spill(s), b.sizes.spill(s))
}

func (b *insertBuilder) load(s *scratch) error {
	return errors.Join(b.packed.load(s), b.forms.load(s), b.texts.load(s), b.sizes.load(s))
}

// insertInfo is what the footer says about insert ids.
type insertInfo struct {
	form    Form   // that is packed
	shared  agreed // the bits that packed ids lack
	repeats bool   // copies in groups have no packed id of their own
}

// form is the one that is packed.
func (b *insertBuilder) form() Form {
	var count [FormText + 1]int
	forms := b.forms.reader()
	for i := range b.rows() {
		count[forms.at(i)]++
	}
	for f := FormUUID; f <= FormHexUpper; f++ {
		if 2*count[f] > b.rows() {
			return f
		}
	}
	return FormNone
}

// packedRows knows which rows' ids are packed.
type packedRows struct {
	insertInfo
	forms  pageReader[Form]
	packed pageReader[[16]byte]
}

func (b *insertBuilder) packedRows(info insertInfo) *packedRows {
	return &packedRows{info, b.forms.reader(), b.packed.reader()}
}

func (p *packedRows) has(row int) bool {
	if p.forms.at(row) != p.form || p.form == FormNone {
		return false
	}
	if p.shared == 0 {
		return true
	}
	id := p.packed.at(row)
	return agreedOf(&id) == p.shared
}

// id is what is packed for a row: zeros if it is not.
func (p *packedRows) id(row int) (id [16]byte) {
	if p.has(row) {
		id = p.packed.at(row)
	}
	return id
}

// encode gives the part of the packed ids and the column of the rest, of which it
// puts aside what is over the limit. Version 1 has all bits of all ids.
func (b *insertBuilder) encode(version uint32, groups []Group, limit *limit) (insertInfo, []part, *valueBuilder, error) {
	info := insertInfo{form: b.form()}
	if info.form != FormNone && version > 1 {
		info.shared = b.agree(info.form)
	}
	rest, err := b.rest(info, limit)
	if err != nil || info.form == FormNone {
		return info, nil, rest, err
	}
	rows := b.packedRows(info)
	var repeats repeats
	if version > 1 {
		repeats = b.repeats(groups, rows)
		info.repeats = repeats.len() > 0
	}
	row := -1
	next := func(int) [16]byte {
		for row++; repeats.first(row) != row; row++ {
		}
		return rows.id(row)
	}
	n := b.rows() - repeats.len()
	if info.shared != 0 {
		return info, []part{shortPart(n, next)}, rest, nil
	}
	return info, []part{slotsPart(partPackedIDs, n, 16, n, func(i int) int { return i }, func(piece []byte, at, i int) {
		id := next(i)
		copy(piece[16*at:], id[:])
	})}, rest, nil
}

// rest are the ids that are not packed.
func (b *insertBuilder) rest(info insertInfo, limit *limit) (*valueBuilder, error) {
	rest := &valueBuilder{most: maxDictionaryEntries}
	var buf [36]byte
	texts, sizes, packed := b.texts.reader(), b.sizes.reader(), b.packed.reader()
	textNumber, start := 0, 0
	rows := b.packedRows(info)
	var long []byte
	for i := range b.rows() {
		if rows.has(i) {
			continue
		}
		var v catalog.Value
		switch f := rows.forms.at(i); f {
		case FormNone:
		case FormText:
			size := int(sizes.at(textNumber))
			long = texts.appendTo(long[:0], start, start+size)
			v = catalog.String(text(long))
			textNumber, start = textNumber+1, start+size
		default:
			id := packed.at(i)
			v = catalog.String(text(appendID(buf[:0], f, &id)))
		}
		rest.add(uint32(i), v)
		if rest.values()%lookRows == 0 {
			if err := limit.keep(rest); err != nil {
				return nil, err
			}
		}
	}
	return rest, nil
}

// insertIDs reads them.
type insertIDs struct {
	insertInfo
	of     repeats // empty, unless copies repeat
	packed []byte
	rest   *column
}

// key is the key of a packed row.
func (s *insertIDs) key(i int) InsertKey { return s.keyAt(s.of.slot(i)) }

// keyAt is the key of a packed id.
func (s *insertIDs) keyAt(slot int) InsertKey {
	if s.shared != 0 {
		hi, lo := shortID(s.packed, slot, s.shared)
		return InsertKey{Hi: hi, Lo: lo, Form: s.form}
	}
	b := s.packed[16*slot:]
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
