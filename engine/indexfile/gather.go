package indexfile

import (
	"arbor/catalog"
)

// Values of rows of shapes are gathered column by column and looked up some rows at a
// time: then one column's table is in a near cache while it is asked, and the processor
// looks into many places of a large one at once, where one row after the other would wait
// for each of its columns.

// gatherRows is how many rows' values are gathered: so few that what they take stays in a
// near cache.
const gatherRows = 256

// gathered is a value that is to be looked up. Its text is the row's.
type gathered struct {
	text string
	bits uint64
	row  uint32
	kind catalog.Kind
}

// gathering are the values that wait.
type gathering struct {
	rows    int
	columns []*valueBuilder // that have some
	hashes  [gatherRows]valueHash
}

// gather takes the values of a row, which are in columns in that order.
func (b *Builder) gather(row uint32, columns []*valueBuilder, props []catalog.Property) {
	g := &b.gathering
	for i, c := range columns {
		v := &props[i].Value
		n := len(c.gathered)
		if n == 0 {
			g.columns = append(g.columns, c)
		}
		if n == cap(c.gathered) {
			c.gathered = append(make([]gathered, 0, min(max(16, 4*n), gatherRows)), c.gathered...)
		}
		c.gathered = c.gathered[:n+1]
		at := &c.gathered[n]
		at.text, at.bits, at.row, at.kind = v.Text, v.Bits, row, v.Kind
	}
	if g.rows++; g.rows == gatherRows {
		b.Settle()
	}
}

// Settle looks up what rows of shapes brought. Until then their texts must stay as they
// are.
func (b *Builder) Settle() {
	g := &b.gathering
	for _, c := range g.columns {
		c.settle(&g.hashes)
	}
	g.rows, g.columns = 0, g.columns[:0]
}

// settle adds the values that were gathered.
func (b *valueBuilder) settle(hashes *[gatherRows]valueHash) {
	values := b.gathered
	if b.slots == nil {
		b.grow() // which draws the seed
	}
	textBytes := 0
	for i := range values {
		v := &values[i]
		switch {
		case fixedKind(v.kind):
			v.text = ""
			hashes[i] = b.hashOfShort(v.kind, v.bits, 0)
		case len(v.text) <= 8:
			v.bits = 0
			hashes[i] = b.hashOfShort(v.kind, shortText(v.text), len(v.text))
		default:
			v.bits = 0
			hashes[i] = b.hashOfLong(v.kind, v.text)
		}
		b.kinds[v.kind]++
		textBytes += len(v.text)
	}
	b.textBytes += int64(textBytes)
	b.roomFor(len(values), values[len(values)-1].row)
	codes := b.codes.tail[len(b.codes.tail):cap(b.codes.tail)][:len(values)]
	slots, mask := b.slots, uint64(len(b.slots)-1)
	for i := range values {
		h := hashes[i]
		at := h.hash & mask
		for slots[at].code != 0 && slots[at].valueHash != h {
			at = (at + 1) & mask
		}
		code := slots[at].code
		if code == 0 {
			v := &values[i]
			code = b.intern(catalog.Value{Kind: v.kind, Bits: v.bits, Text: v.text}, h) + 1
			slots, mask = b.slots, uint64(len(b.slots)-1) // it may have grown
		}
		codes[i] = code - 1
	}
	b.placeAll(codes, values)
	clear(values) // their texts are the record's
	b.gathered = values[:0]
}

// roomFor makes room for the codes of so many values, the last of which is of a row.
func (b *valueBuilder) roomFor(values int, row uint32) {
	n := len(b.codes.tail)
	if values <= cap(b.codes.tail)-n {
		return
	}
	if n+values > 1024 && n+values <= b.expected && int(row) < 2*(n+values) {
		b.codes.tail = append(spareCodes.get(b.expected), b.codes.tail...) // most rows have a value
		return
	}
	b.codes.tail = doubled(b.codes.tail, values)
}

// placeAll is place for the codes of several values, which are where the codes end.
func (b *valueBuilder) placeAll(codes []uint32, values []gathered) {
	i := 0
	if b.codes.len() == b.dense {
		for i < len(values) && int(values[i].row) == b.dense {
			b.dense++
			i++
		}
	}
	if i < len(values) {
		b.rows.tail = doubled(b.rows.tail, len(values)-i)
	}
	for ; i < len(values); i++ {
		b.rows.add(values[i].row)
	}
	b.codes.tail = b.codes.tail[:len(b.codes.tail)+len(codes)]
}
