package indexfile

import (
	"math/rand/v2"
	"slices"

	"github.com/zeebo/xxh3"

	"arbor/catalog"
)

// valueBuilder collects the values of one column while the file is built: each
// distinct value once, and a code for each row that has one. Both may be put
// aside; see spilledvalues.go.
type valueBuilder struct {
	name string
	// expected is about how many rows the file will have, 0 if that is not known.
	expected int
	// most is how many entries a dictionary may have.
	most  int
	codes pages[uint32]
	// dense is how many of the first rows have a value each; rows are the ordinals
	// of the values after those.
	dense int
	rows  pages[uint32]
	kinds [catalog.KindJSON + 1]int32 // values of each kind

	valueTable
	// slots find entries by hash; there are a power of two of them. The seed is a
	// random one: no one can send values whose hashes are equal.
	slots    []valueSlot
	seed     uint64
	last     uint32 // the code added last
	lastHash valueHash
	// textBytes is the length of all values' texts, repeated ones repeatedly.
	textBytes int64
	aside     asideValues
	gathered  []gathered // values that are not added yet

	// next is the column that followed this one in the row before: the guess
	// that saves looking up a name.
	next *valueBuilder
}

// valueTable are distinct values; their numbers are codes.
type valueTable struct {
	entries []valueEntry
	texts   []byte
}

type valueEntry struct {
	kind catalog.Kind
	size uint32 // of the text
	bits uint64 // of a fixed kind
	text uint64 // where the text starts
}

// valueHash stands for a value: numbers and short texts exactly, others by 96 bits of a hash. So an
// entry, which may be in no cache, need not be looked at to know that it is the one.
// Who builds a file proves what it holds.
type valueHash struct {
	hash uint64
	more uint32
}

// valueSlot is 1 + the code of the value with a hash, or 0.
type valueSlot struct {
	valueHash
	code uint32
}

// value is an entry; its text aliases the table.
func (t *valueTable) value(code uint32) catalog.Value {
	e := &t.entries[code]
	return catalog.Value{Kind: e.kind, Bits: e.bits, Text: text(t.texts[e.text : e.text+uint64(e.size)])}
}

// values is how many there are.
func (b *valueBuilder) values() int { return b.codes.len() }

// add takes the value of a row after all rows added so far.
func (b *valueBuilder) add(row uint32, v catalog.Value) {
	if fixedKind(v.Kind) || v.Kind == catalog.KindNull {
		v.Text = ""
	}
	code := b.code(v)
	b.kinds[v.Kind]++
	b.textBytes += int64(len(v.Text))
	b.place(row, code)
}

// code is that of a value, a new one if it was not met before.
func (b *valueBuilder) code(v catalog.Value) uint32 {
	if fixedKind(v.Kind) || v.Kind == catalog.KindNull {
		v.Text = ""
	}
	if !fixedKind(v.Kind) {
		v.Bits = 0
	}
	// Rows of one user come one after the other and are much alike.
	if h := b.hashOf(v); h != b.lastHash || len(b.entries) == 0 {
		b.last, b.lastHash = b.intern(v, h), h
	}
	return b.last
}

// coded is a value's code, and what is counted of it, so that its entry need not be
// looked at.
type coded struct {
	code  uint32
	about uint32 // the length of its text, and in the lowest bits 1 + its kind
}

const (
	codedKindBits = 3
	_             = uint(1<<codedKindBits - 2 - catalog.KindJSON)  // 1 + each kind fits
	_             = uint(1<<(32-codedKindBits) - 1 - MaxTextBytes) // and so does each length
)

// coded is code, and what is counted of the value.
func (b *valueBuilder) coded(v catalog.Value) coded {
	code := b.code(v)
	return coded{code, b.entries[code].size<<codedKindBits | uint32(v.Kind) + 1}
}

// repeat is add for a value that has a code.
func (b *valueBuilder) repeat(row uint32, v coded) {
	b.kinds[v.about&(1<<codedKindBits-1)-1]++
	b.textBytes += int64(v.about >> codedKindBits)
	b.place(row, v.code)
}

// place adds a code of a row after those that have one.
func (b *valueBuilder) place(row, code uint32) {
	if n := len(b.codes.tail); n == cap(b.codes.tail) && n >= 1024 && n < b.expected && int(row) < 2*b.codes.len() {
		b.codes.tail = append(spareCodes.get(b.expected), b.codes.tail...) // most rows have a value
	}
	if int(row) == b.dense && b.codes.len() == b.dense {
		b.dense++
	} else {
		b.rows.add(row)
	}
	b.codes.add(code)
}

// intern is the code of a value with a hash that is like its entry would be, a new one
// if it was not met before.
func (b *valueBuilder) intern(v catalog.Value, h valueHash) uint32 {
	if 10*len(b.entries) >= slotTenths*len(b.slots) {
		b.grow()
	}
	mask := uint64(len(b.slots) - 1)
	at := h.hash & mask
	for ; b.slots[at].code != 0; at = (at + 1) & mask {
		if b.slots[at].valueHash == h {
			return b.slots[at].code - 1
		}
	}
	b.entries, b.texts = doubled(b.entries, 1), doubled(b.texts, len(v.Text))
	b.entries = append(b.entries, valueEntry{kind: v.Kind, bits: v.Bits, size: uint32(len(v.Text)), text: uint64(len(b.texts))})
	b.texts = append(b.texts, v.Text...)
	b.slots[at] = valueSlot{h, uint32(len(b.entries))}
	return uint32(len(b.entries)) - 1
}

// doubled makes room for some elements more: for as many again as there are, where append
// makes long arrays longer by a quarter, again and again.
func doubled[T element](a []T, more int) []T {
	if len(a)+more <= cap(a) {
		return a
	}
	return append(make([]T, 0, max(2*len(a), len(a)+more, 8)), a...)
}

// slotTenths is the greatest share of slots in use, in tenths.
const slotTenths = 7

func (b *valueBuilder) grow() {
	old := b.slots
	if old == nil {
		b.seed = rand.Uint64()
	}
	b.slots = make([]valueSlot, max(8, 2*len(old)))
	mask := uint64(len(b.slots) - 1)
	for _, slot := range old {
		if slot.code == 0 {
			continue
		}
		at := slot.hash & mask
		for b.slots[at].code != 0 {
			at = (at + 1) & mask
		}
		b.slots[at] = slot
	}
}

// hashOf is the hash of a value that is like its entry would be.
func (b *valueBuilder) hashOf(v catalog.Value) valueHash {
	if b.slots == nil {
		b.grow() // which draws the seed
	}
	if len(v.Text) <= 8 {
		return b.hashOfShort(v.Kind, v.Bits^shortText(v.Text), len(v.Text))
	}
	return b.hashOfLong(v.Kind, v.Text)
}

// hashOfLong is the hash of a text of more than eight bytes.
func (b *valueBuilder) hashOfLong(kind catalog.Kind, text string) valueHash {
	h := xxh3.HashString128Seed(text, b.seed)
	return valueHash{h.Lo, uint32(h.Hi) ^ uint32(kind)}
}

// hashOfShort is the hash of a value that a number stands for, among those of its kind and
// of texts of its length: each step can be undone, so that no two have the same.
func (b *valueBuilder) hashOfShort(kind catalog.Kind, number uint64, length int) valueHash {
	h := (number ^ b.seed) * 0x9e3779b97f4a7c15
	return valueHash{h ^ h>>32, uint32(kind) | uint32(length)<<8}
}

// shortText is a number for a text of at most 8 bytes; texts of one length have
// different ones.
func shortText(s string) uint64 {
	switch n := len(s); {
	case n >= 4:
		e := s[n-4:]
		return uint64(uint32(s[0])|uint32(s[1])<<8|uint32(s[2])<<16|uint32(s[3])<<24) |
			uint64(uint32(e[0])|uint32(e[1])<<8|uint32(e[2])<<16|uint32(e[3])<<24)<<32
	case n > 0:
		return uint64(s[0]) | uint64(s[n/2])<<8 | uint64(s[n-1])<<16
	}
	return 0
}

// tables gives the distinct values: one table of all, or, where they are too many
// for a dictionary, several that share some.
func (b *valueBuilder) tables() []valueTable {
	if b.aside.split {
		return b.aside.tables
	}
	return []valueTable{b.valueTable}
}

// sort puts the entries in the order of compareValues and changes the codes
// to match. The slots are of no use any more, so they are dropped.
func (b *valueBuilder) sort() {
	b.slots = nil
	to := b.ranks()
	sorted := make([]valueEntry, len(to))
	for code, rank := range to {
		sorted[rank] = b.entries[code]
	}
	b.entries = sorted
	if b.codes.ended > 0 {
		b.aside.rank(to, b.values())
		return
	}
	for i, code := range b.codes.tail {
		b.codes.tail[i] = to[code]
	}
}

// ranks are the entries' places in the order of compareValues.
func (t *valueTable) ranks() []uint32 {
	if texts := t.strings(); texts != nil {
		return RankTexts(texts)
	}
	keys := make([]sortKey, len(t.entries))
	order := make([]uint32, len(t.entries))
	for i := range keys {
		keys[i], order[i] = sortKeyOf(t.value(uint32(i))), uint32(i)
	}
	slices.SortFunc(order, func(x, y uint32) int { return compareValues(keys[x], keys[y]) })
	to := make([]uint32, len(order))
	for rank, code := range order {
		to[code] = uint32(rank)
	}
	return to
}

// strings are the entries' texts; nil if there are others than strings.
func (t *valueTable) strings() []string {
	for i := range t.entries {
		if t.entries[i].kind != catalog.KindString {
			return nil
		}
	}
	texts := make([]string, len(t.entries))
	for i := range texts {
		texts[i] = t.value(uint32(i)).Text
	}
	return texts
}

// valueReader reads the values of a column, in order.
type valueReader struct {
	builder *valueBuilder
	codes   pageReader[uint32]
	rows    pageReader[uint32]
	dense   int
	split   bool

	// Of the epoch at hand, for values that were put aside:
	from, end int
	to        []uint32 // the codes of all by those of the epoch; nil if they are the same
	valueTable
}

func (b *valueBuilder) reader() *valueReader {
	r := &valueReader{builder: b, codes: b.codes.reader(), rows: b.rows.reader(), dense: b.dense, split: b.aside.split, end: b.values()}
	r.valueTable = b.valueTable
	if len(b.aside.epochs) > 0 {
		r.end = 0
	}
	return r
}

// row is the ordinal of the i-th value.
func (r *valueReader) row(i int) int {
	if i < r.dense {
		return i
	}
	return int(r.rows.at(i - r.dense))
}

// slot is the slot of the i-th value.
func (r *valueReader) slot(info *columnInfo, i int) int {
	if info.placement == placeSparse {
		return i
	}
	return r.row(i)
}

// code is the i-th value's code in the table at hand.
func (r *valueReader) code(i int) uint32 {
	if i < r.from || i >= r.end {
		r.enter(i)
	}
	code := r.codes.at(i)
	if r.to != nil {
		code = r.to[code]
	}
	return code
}

// value is the i-th value.
func (r *valueReader) of(i int) catalog.Value { return r.value(r.code(i)) }

// bits are those of the i-th value.
func (r *valueReader) bits(i int) uint64 { return r.entries[r.code(i)].bits }

// changes reports whether the i-th value, of which the code is given with that of
// the one before, is another than that.
func (r *valueReader) changes(i int, last, code uint32) bool {
	if i == 0 || !r.split || i != r.from {
		return i == 0 || code != last
	}
	before := r.of(i - 1) // of another table
	now := r.of(i)
	return before.Kind != now.Kind || before.Bits != now.Bits || before.Text != now.Text
}
