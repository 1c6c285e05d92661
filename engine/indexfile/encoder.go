package indexfile

import (
	"slices"

	"arbor/catalog"
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

	block int       // that codes and heads are of, -1 for none
	codes [][]int64 // of a block, of the cursor's dense columns that have forms or numbers
	heads heads
	props []catalog.Property
	one   catalog.Property
}

// form is where an entry's form lies in bytes.
type form struct{ from, to uint32 }

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
	for k, column := range c.dense {
		if column.presence != nil && !bitGet(column.presence, i) {
			continue
		}
		for len(rest) > 0 && int(rest[0].column) < column.number {
			if dst, err = e.appendOne(dst, c.columns[rest[0].column], int(rest[0].slot)); err != nil {
				return dst, n, err
			}
			n++
			rest = rest[1:]
		}
		if codes := e.codes[k]; codes != nil {
			if forms := e.forms[column.number]; forms != nil {
				dst = e.appendForm(dst, forms[codes[i%encoderRows]])
			} else {
				e.one = catalog.Property{Name: column.info.name, Value: column.numbered(codes[i%encoderRows])}
				dst = e.encode(dst, &e.one)
			}
		} else if dst, err = e.appendOne(dst, column, i); err != nil {
			return dst, n, err
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

// appendForm appends a form of a dictionary's entry.
func (e *Encoder) appendForm(dst []byte, f form) []byte {
	at, n := len(dst), int(f.to-f.from)
	if n > wideForm || cap(dst)-at < wideForm {
		return append(dst, e.bytes[f.from:f.to]...)
	}
	to, from := (*[wideForm]byte)(dst[at:at+wideForm]), (*[wideForm]byte)(e.bytes[f.from:])
	const step = wideForm / 4
	*(*[step]byte)(to[:]) = *(*[step]byte)(from[:])
	if n > step {
		*(*[step]byte)(to[step:]) = *(*[step]byte)(from[step:])
	}
	if n > 2*step {
		*(*[2 * step]byte)(to[2*step:]) = *(*[2 * step]byte)(from[2*step:])
	}
	return dst[:at+n]
}

// appendOne appends the form of a slot's value.
func (e *Encoder) appendOne(dst []byte, c *column, slot int) ([]byte, error) {
	last := &e.cursor.last[c.number]
	if forms := e.forms[c.number]; forms != nil {
		return e.appendForm(dst, forms[c.code(slot, last)]), nil
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
	e.codes = make([][]int64, len(c.dense))
	columns := slices.Concat(c.dense, c.sparse)
	columns = slices.DeleteFunc(columns, func(c *column) bool { return c.dictionary == nil })
	slices.SortStableFunc(columns, func(a, b *column) int { return a.info.distinct - b.info.distinct })
	for _, column := range columns {
		e.loadColumn(column)
	}
	e.bytes = append(e.bytes, make([]byte, wideForm)...)
	for k, column := range c.dense {
		if e.forms[column.number] != nil || column.isNumbered() {
			e.codes[k] = make([]int64, min(encoderRows, c.reader.Rows()))
		}
	}
}

// loadColumn puts the entries of a column's dictionary into the form if there is room.
func (e *Encoder) loadColumn(c *column) {
	start := len(e.bytes)
	forms := make([]form, c.dictionary.entries)
	e.one = catalog.Property{Name: c.info.name}
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
	for k, column := range e.cursor.dense {
		if e.codes[k] != nil {
			column.numbersIn(e.codes[k], lo, hi)
		}
	}
	e.heads.enter(e.cursor, lo, hi)
	e.block = block
}
