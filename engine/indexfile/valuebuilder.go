package indexfile

import (
	"slices"

	"github.com/zeebo/xxh3"

	"arbor/catalog"
)

// valueBuilder collects the values of one column while the file is built: each
// distinct value once, and a code for each row that has one.
type valueBuilder struct {
	name string
	// expected is about how many rows the file will have, 0 if that is not known.
	expected int
	// rows are the ordinals of the values; nil as long as every row has one.
	rows  []uint32
	codes []uint32
	kinds [catalog.KindJSON + 1]int32 // values of each kind

	entries []valueEntry
	texts   []byte
	table   []uint32 // 1 + entry by hash, 0 where free; its length is a power of two
	last    uint32   // the code added last
	// textBytes is the length of all values' texts, repeated ones repeatedly.
	textBytes int64

	// next is the column that followed this one in the row before: the guess
	// that saves looking up a name.
	next *valueBuilder
}

type valueEntry struct {
	kind       catalog.Kind
	size       uint32 // of the text
	bits       uint64 // of a fixed kind
	text, hash uint64 // where the text starts; the hash of all
}

// value is an entry; its text aliases the builder.
func (b *valueBuilder) value(code uint32) catalog.Value {
	e := &b.entries[code]
	return catalog.Value{Kind: e.kind, Bits: e.bits, Text: text(b.texts[e.text : e.text+uint64(e.size)])}
}

// add takes the value of a row after all rows added so far.
func (b *valueBuilder) add(row uint32, v catalog.Value) {
	if n := len(b.codes); n == cap(b.codes) && n >= 1024 && n < b.expected && int(row) < 2*n {
		b.codes = slices.Grow(b.codes, b.expected-n) // most rows have a value
	}
	if n := len(b.codes); b.rows != nil || int(row) != n {
		if b.rows == nil {
			b.rows = make([]uint32, n, n+1)
			for i := range b.rows {
				b.rows[i] = uint32(i)
			}
		}
		b.rows = append(b.rows, row)
	}
	code := b.code(v)
	b.kinds[v.Kind]++
	b.textBytes += int64(b.entries[code].size)
	b.codes = append(b.codes, code)
	b.last = code
}

// code is the code of a value, a new one if it was not met before.
func (b *valueBuilder) code(v catalog.Value) uint32 {
	if fixedKind(v.Kind) {
		v.Text = ""
	} else {
		v.Bits = 0
		if v.Kind == catalog.KindNull {
			v.Text = ""
		}
	}
	// Rows of one user come one after the other and are much alike.
	if len(b.entries) > 0 && b.same(b.last, v) {
		return b.last
	}
	if 4*len(b.entries) >= 3*len(b.table) {
		b.grow()
	}
	hash := hashValue(v)
	mask := uint64(len(b.table) - 1)
	at := hash & mask
	for ; b.table[at] != 0; at = (at + 1) & mask {
		if code := b.table[at] - 1; b.entries[code].hash == hash && b.same(code, v) {
			return code
		}
	}
	code := uint32(len(b.entries))
	b.table[at] = code + 1
	b.entries = append(b.entries, valueEntry{kind: v.Kind, bits: v.Bits, size: uint32(len(v.Text)), text: uint64(len(b.texts)), hash: hash})
	b.texts = append(b.texts, v.Text...)
	return code
}

func (b *valueBuilder) same(code uint32, v catalog.Value) bool {
	e := &b.entries[code]
	return e.kind == v.Kind && e.bits == v.Bits && int(e.size) == len(v.Text) &&
		text(b.texts[e.text:e.text+uint64(e.size)]) == v.Text
}

func (b *valueBuilder) grow() {
	b.table = make([]uint32, max(8, 2*len(b.table)))
	mask := uint64(len(b.table) - 1)
	for code := range b.entries {
		at := b.entries[code].hash & mask
		for b.table[at] != 0 {
			at = (at + 1) & mask
		}
		b.table[at] = uint32(code) + 1
	}
}

func hashValue(v catalog.Value) uint64 {
	if fixedKind(v.Kind) {
		h := (v.Bits ^ uint64(v.Kind)) * 0x9e3779b97f4a7c15
		return h ^ h>>32
	}
	return xxh3.HashStringSeed(v.Text, uint64(v.Kind))
}

// sort puts the entries in the order of compareValues and changes the codes
// to match. The table is of no use any more, so it is dropped.
func (b *valueBuilder) sort() {
	b.table = nil
	keys := make([]sortKey, len(b.entries))
	order := make([]uint32, len(b.entries))
	for i := range keys {
		keys[i], order[i] = sortKeyOf(b.value(uint32(i))), uint32(i)
	}
	slices.SortFunc(order, func(x, y uint32) int { return compareValues(keys[x], keys[y]) })
	sorted := make([]valueEntry, len(order))
	to := make([]uint32, len(order))
	for rank, code := range order {
		sorted[rank], to[code] = b.entries[code], uint32(rank)
	}
	b.entries = sorted
	for i, code := range b.codes {
		b.codes[i] = to[code]
	}
}

// row is the ordinal of the i-th value.
func (b *valueBuilder) row(i int) int {
	if b.rows == nil {
		return i
	}
	return int(b.rows[i])
}
