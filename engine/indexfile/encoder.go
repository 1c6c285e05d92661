package indexfile

import (
	"slices"

	"arbor/catalog"
	"arbor/engine/wide"
)

// Encoder gives the properties of rows in a form of the caller's, for rows in
// ascending order: each value of a dictionary is put into that form once, and the
// codes of a block of rows are decoded at a time. It is for one goroutine.
type Encoder struct {
	cursor *Cursor
	encode func(dst []byte, p *catalog.Property) []byte

	forms [][]form // of each column's dictionary, by column number; nil without one
	bytes []byte   // what all forms are in
	room  int      // how long that may get

	block int // that dense and heads are of, -1 for none
	dense []encoded
	heads heads
	props []catalog.Property
	one   catalog.Property
	// touched is of no use, but without it no bytes would be fetched.
	touched byte
}

// form is where an entry's form lies in bytes.
type form struct{ from, to uint32 }

// encoded is one of the cursor's dense columns.
type encoded struct {
	column   *column
	presence []byte
	at       []form  // the forms of a block's rows; nil without forms
	steps    int     // of wide.Size bytes, which the longest form takes
	far      bool    // the forms are too many for a near cache
	numbers  []int64 // of a block's rows, if they stand for the values; with forms, scratch
}

// wideForm is how many bytes of a form are copied at once, whether it has as many or
// not: that is what most of them have.
const wideForm = 128

// encoderRows is how many rows' codes are decoded at a time, a multiple of 8: so few
// that those of all columns stay in a near cache.
const encoderRows = 1024

// maxForms is how many bytes the forms of dictionaries may have. Values of
// dictionaries that are over are put into the form row by row.
const maxForms = 16 << 20

// Encoder returns a new one that uses the cursor. encode appends a property's form,
// which must follow from the property alone.
func (c *Cursor) Encoder(encode func(dst []byte, p *catalog.Property) []byte) *Encoder {
	return &Encoder{cursor: c, encode: encode, room: maxForms, block: -1}
}

// Append appends the forms of row i's properties, in the order of their names, and
// says how many there are.
func (e *Encoder) Append(dst []byte, i int) ([]byte, int, error) {
	c := e.cursor
	if err := e.enter(i); err != nil {
		return dst, 0, err
	}
	if _, other := c.columns[columnOthers].slot(i); other {
		return e.appendAll(dst, i)
	}
	var rest []sparseValue
	if len(c.sparse) > 0 {
		at := i % BlockRows
		rest = c.values[c.starts[at]:c.starts[at+1]]
	}
	n := 0
	var err error
	for k := range e.dense {
		d := &e.dense[k]
		if d.presence != nil && !bitGet(d.presence, i) {
			continue
		}
		for len(rest) > 0 && int(rest[0].column) < d.column.number {
			if dst, err = e.appendOne(dst, c.columns[rest[0].column], int(rest[0].slot)); err != nil {
				return dst, n, err
			}
			n++
			rest = rest[1:]
		}
		switch {
		case d.at != nil:
			dst = e.appendForm(dst, d.at[i%encoderRows], d.steps)
		case d.numbers != nil:
			e.one = catalog.Property{Name: d.column.info.name, Value: d.column.numbered(d.numbers[i%encoderRows])}
			dst = e.encode(dst, &e.one)
		default:
			if dst, err = e.appendOne(dst, d.column, i); err != nil {
				return dst, n, err
			}
		}
		n++
	}
	for _, v := range rest {
		if dst, err = e.appendOne(dst, c.columns[v.column], int(v.slot)); err != nil {
			return dst, n, err
		}
		n++
	}
	return dst, n, nil
}

// appendForm appends a form of a dictionary's entry, of which the longest takes so many
// steps: as many are copied, whether this one has as many bytes or not.
func (e *Encoder) appendForm(dst []byte, f form, steps int) []byte {
	at, n := len(dst), int(f.to-f.from)
	if room := steps * wide.Size; room > wideForm || cap(dst)-at < room {
		return append(dst, e.bytes[f.from:f.to]...)
	}
	to, from := dst[at:cap(dst)], e.bytes[f.from:]
	for ; steps > 0; steps-- {
		wide.Copy(to, from)
		to, from = to[wide.Size:], from[wide.Size:]
	}
	return dst[:at+n]
}

// appendOne appends the form of a slot's value.
func (e *Encoder) appendOne(dst []byte, c *column, slot int) ([]byte, error) {
	last := &e.cursor.last[c.number]
	if forms := e.forms[c.number]; forms != nil {
		f := forms[c.code(slot, last)]
		return append(dst, e.bytes[f.from:f.to]...), nil
	}
	v, err := c.value(slot, last)
	if err != nil {
		return dst, err
	}
	e.one = catalog.Property{Name: c.info.name, Value: v}
	return e.encode(dst, &e.one), nil
}

// appendAll is Append for a row with properties that have no column.
func (e *Encoder) appendAll(dst []byte, i int) (_ []byte, n int, err error) {
	if e.props, err = e.cursor.Properties(i, e.props[:0]); err != nil {
		return dst, 0, err
	}
	for k := range e.props {
		dst = e.encode(dst, &e.props[k])
	}
	return dst, len(e.props), nil
}

// load puts the entries of dictionaries into the form, small ones first. The cursor has loaded the columns.
func (e *Encoder) load() {
	c := e.cursor
	e.forms = make([][]form, len(c.columns))
	columns := slices.Concat(c.dense, c.sparse)
	columns = slices.DeleteFunc(columns, func(c *column) bool { return c.dictionary == nil })
	slices.SortStableFunc(columns, func(a, b *column) int { return a.info.distinct - b.info.distinct })
	for _, column := range columns {
		e.loadColumn(column)
	}
	e.bytes = append(e.bytes, make([]byte, wideForm)...)
	rows := min(encoderRows, c.reader.Rows())
	codes := make([]int64, rows)
	for _, column := range c.dense {
		d := encoded{column: column, presence: column.presence}
		if forms := e.forms[column.number]; forms != nil {
			d.at, d.numbers = make([]form, rows), codes
			d.steps, d.far = spanOf(forms)
		} else if column.isNumbered() {
			d.numbers = make([]int64, rows)
		}
		e.dense = append(e.dense, d)
	}
}

// spanOf says how many steps the longest form takes, and whether all are many bytes.
func spanOf(forms []form) (steps int, far bool) {
	most, all := uint32(0), uint32(0)
	for _, f := range forms {
		most, all = max(most, f.to-f.from), all+f.to-f.from
	}
	return (int(most) + wide.Size - 1) / wide.Size, all > nearForms
}

// formHead is about how much longer than its name and text a property's form is.
const formHead = 4 + 1 + 8

// loadColumn puts the entries of a column's dictionary into the form if there is room.
func (e *Encoder) loadColumn(c *column) {
	start := len(e.bytes)
	forms := make([]form, c.dictionary.entries)
	e.one = catalog.Property{Name: c.info.name}
	if size := len(forms)*(len(c.info.name)+formHead) + len(c.dictionary.texts); size <= e.room-start {
		e.bytes = slices.Grow(e.bytes, size+wideForm)
	}
	for code := range forms {
		from := len(e.bytes)
		e.one.Value = c.dictionary.value(uint32(code))
		e.bytes = e.encode(e.bytes, &e.one)
		forms[code] = form{uint32(from), uint32(len(e.bytes))}
		if len(e.bytes) > e.room {
			e.bytes = e.bytes[:start]
			return
		}
	}
	e.forms[c.number] = forms
}

// enter makes the encoder ready for row i.
func (e *Encoder) enter(i int) error {
	if i/encoderRows == e.block && (len(e.cursor.sparse) == 0 || i/BlockRows == e.cursor.block) {
		return nil
	}
	return e.enterAnew(i)
}

func (e *Encoder) enterAnew(i int) error {
	if err := e.cursor.enter(i); err != nil {
		return err
	}
	if e.forms == nil {
		e.load()
		e.heads.load(e.cursor)
	}
	if i/encoderRows != e.block {
		e.enterBlock(i / encoderRows)
	}
	return nil
}

// enterBlock decodes a block.
func (e *Encoder) enterBlock(block int) {
	lo, hi := block*encoderRows, min((block+1)*encoderRows, e.cursor.reader.Rows())
	for k := range e.dense {
		d := &e.dense[k]
		if d.numbers == nil {
			continue
		}
		d.column.numbersIn(d.numbers, lo, hi)
		if d.at != nil {
			e.find(d, e.forms[d.column.number], hi-lo)
		}
	}
	e.heads.enter(e.cursor, lo, hi)
	e.block = block
}

// nearForms is how many bytes forms have that stay in a near cache by themselves.
const nearForms = 16 << 10

// find finds the forms of so many rows. It looks at the bytes of those that are far, so that
// the processor fetches them from memory at the same time.
func (e *Encoder) find(d *encoded, forms []form, rows int) {
	at := d.at[:rows]
	for i, code := range d.numbers[:rows] {
		var f form
		if uint64(code) < uint64(len(forms)) { // a row without a value has some number
			f = forms[code]
		}
		at[i] = f
	}
	if !d.far {
		return
	}
	touched := byte(0)
	for _, f := range at {
		touched += e.bytes[f.from] + e.bytes[f.to]
	}
	e.touched += touched
}
