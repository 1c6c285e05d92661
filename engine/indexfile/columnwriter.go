package indexfile

import (
	"encoding/binary"
	"io"
	"math"

	"arbor/catalog"
)

// column chooses how to store a column's values, and encodes them.
func (k *coder) column(b *valueBuilder) (columnInfo, []part) {
	info := columnInfo{name: b.name, kinds: b.kinds}
	if b.values() == 0 {
		info.placement = placeSparse
		return info, nil
	}
	k.chooseLayout(b, &info)
	var parts []part
	switch info.placement {
	case placeBitmap:
		parts = append(parts, part{kind: partPresence, bytes: k.presence(b)})
	case placeSparse:
		parts = append(parts, part{kind: partOrdinals, bytes: k.ordinals(b), cold: k.version > 1})
	}
	switch info.layout {
	case layoutDictionary:
		parts = append(parts, k.encodeDictionary(b, &info)...)
	case layoutIntegers, layoutNumbers, layoutDecimals:
		parts = append(parts, k.encodeNumbers(b, &info)...)
	default:
		parts = append(parts, b.encodeChunks(&info)...)
	}
	return info, parts
}

// presence is a bitmap of the rows that have a value.
func (k *coder) presence(b *valueBuilder) []byte {
	if p, ok := b.plain(); ok {
		return p.presence(k.rows)
	}
	bits := make([]byte, bitmapLen(k.rows))
	r := b.reader()
	for i := range b.values() {
		bitSet(bits, r.row(i))
	}
	return bits
}

// ordinals lists the rows that have a value.
func (k *coder) ordinals(b *valueBuilder) []byte {
	r := b.reader()
	if k.version == 1 {
		ordinals := make([]uint32, b.values())
		for i := range ordinals {
			ordinals[i] = uint32(r.row(i))
		}
		return raw(ordinals)
	}
	var out []byte
	last := 0
	for i := range b.values() {
		row := r.row(i)
		out, last = binary.AppendUvarint(out, uint64(row-last)), row
	}
	return out
}

// maxDictionaryTexts is the length of a dictionary's texts from which chunks are
// used: a dictionary is decoded whole and stays in memory while the file is open.
const maxDictionaryTexts = 16 << 20

// maxDictionaryEntries bounds a dictionary of numbers to as much.
const maxDictionaryEntries = maxDictionaryTexts / 8

// fewEntries is the number of entries up to which texts always have a
// dictionary: the bytes that chunks might save are not worth decoding them.
const fewEntries = 1024

// chooseLayout takes the layout with the fewest bytes, a dictionary if in doubt:
// work on its values is done once per entry. Version 1 has its own ways.
func (k *coder) chooseLayout(b *valueBuilder, info *columnInfo) {
	entries, values := float64(len(b.entries)), float64(b.values())
	fixedKinds, texts, integers, numbers := true, false, true, true
	for kind, n := range b.kinds {
		if kind := catalog.Kind(kind); n > 0 {
			fixedKinds = fixedKinds && fixedKind(kind)
			texts = texts || textKind(kind)
			integers = integers && kind == catalog.KindInt
			numbers = numbers && (kind == catalog.KindInt || kind == catalog.KindDouble)
		}
	}
	var same repeated
	if k.version > 1 {
		same.runs, same.byUser = b.runs(k.users)
	}
	*info = columnInfo{name: info.name, kinds: info.kinds, layout: layoutDictionary, distinct: len(b.entries), width: codeWidth(len(b.entries)), bits: codeBits(len(b.entries))}
	// What texts shrink to when they are compressed, in a dictionary and in
	// chunks alike: a guess that only has to be the same for both.
	const shrink = 0.4
	dictionary := float64(k.settle(info, b, same))/8 + shrink*float64(len(b.texts))
	if !fixedKinds || texts {
		dictionary += 2 * entries
	} else {
		dictionary += 4 * entries
	}
	other := columnInfo{name: info.name, kinds: info.kinds}
	tooMany := b.tooMany()
	switch {
	case len(b.entries) <= 1 && !tooMany:
		return
	case integers:
		least, greatest := b.integers()
		other.layout, other.base, other.bits = layoutIntegers, uint64(least), packedWidth(uint64(greatest)-uint64(least))
	case fixedKinds:
		other.layout = layoutNumbers
		if k.version > 1 && numbers && (8*values < 16*entries || tooMany || 8*values < 2*dictionary) {
			if scale, least, greatest, ok := b.decimals(); ok {
				other.layout, other.scale, other.base, other.bits = layoutDecimals, scale, uint64(least), packedWidth(uint64(greatest)-uint64(least))
			}
		}
	case len(b.entries) <= fewEntries && !tooMany:
		return
	default:
		other.layout = layoutChunks
	}
	bytes := float64(k.settle(&other, b, same)) / 8
	if other.layout == layoutChunks {
		bytes = shrink*float64(b.textBytes) + values
	}
	if bytes < dictionary || tooMany {
		*info = other
	}
}

// settle chooses placement and coding for a layout, and gives the bits that the
// slots' numbers take.
func (k *coder) settle(info *columnInfo, b *valueBuilder, same repeated) int64 {
	if k.version == 1 {
		return k.settle1(info, b.values())
	}
	switch info.layout {
	case layoutNumbers, layoutChunks:
		width := uint8(64)
		if info.layout == layoutChunks {
			width = 8
		}
		info.placement, info.slots = k.place1(b.values(), int64(width))
		return int64(b.values()) * int64(width)
	}
	return k.choose(info, b.values(), same)
}

// settle1 is settle as version 1 does: codes are whole and integers packed.
func (k *coder) settle1(info *columnInfo, values int) int64 {
	width := int64(info.bits)
	switch info.layout {
	case layoutDictionary:
		width, info.coding = 8*int64(info.width), codingWhole
	case layoutIntegers:
		info.coding = codingPacked
	case layoutNumbers:
		width = 64
	case layoutChunks:
		width = 8
	}
	info.placement, info.slots = k.place1(values, width)
	return int64(values) * width
}

// integers are the least and the greatest of a column of integers.
func (b *valueBuilder) integers() (least, greatest int64) {
	least, greatest = math.MaxInt64, math.MinInt64
	for _, t := range b.tables() {
		for i := range t.entries {
			v := int64(t.entries[i].bits)
			least, greatest = min(least, v), max(greatest, v)
		}
	}
	return least, greatest
}

// place1 is place where each slot takes so many bits whether it has a value or
// not, and a row in a list 32.
func (k *coder) place1(values int, perSlot int64) (placement, int) {
	list, bitmap := int64(values)*(32+perSlot), int64(k.rows)*(1+perSlot)
	switch {
	case values == k.rows:
		return placeAll, k.rows
	case 3*list < 2*bitmap:
		return placeSparse, values
	}
	return placeBitmap, k.rows
}

func (k *coder) encodeDictionary(b *valueBuilder, info *columnInfo) []part {
	b.sort()
	rows := k.rows
	entries := appendDictionary(nil, len(b.entries), func(i int) catalog.Value { return b.value(uint32(i)) })
	parts := []part{{kind: partDictionary, bytes: entries, cold: true}}
	plain, isPlain := b.plain()
	if info.width > 0 && isPlain {
		parts = append(parts, plain.encode(k, info, partCodes, nil)...)
	} else if info.width > 0 {
		r := b.reader()
		parts = append(parts, k.encode(info, b, partCodes, func(i int) uint64 { return uint64(r.code(i)) })...)
	}
	if info.placement == placeSparse || rows <= BlockRows || info.width == 0 {
		return parts
	}
	var zones []uint32
	if isPlain {
		zones = plain.zones(rows)
	} else {
		zones = make([]uint32, 2*blocks(rows))
		for i := range zones {
			zones[i] = emptyZone * uint32(1-i&1)
		}
		r := b.reader()
		for i := range b.values() {
			code := r.code(i)
			z := zones[2*(r.row(i)/BlockRows):]
			z[0], z[1] = min(z[0], code), max(z[1], code)
		}
	}
	return append(parts, part{kind: partZones, bytes: raw(zones)})
}

// emptyZone is the least code of a block without a value; the greatest is 0.
const emptyZone = math.MaxUint32

func (k *coder) encodeNumbers(b *valueBuilder, info *columnInfo) []part {
	rows := k.rows
	var parts []part
	r := b.reader()
	plain, isPlain := b.plain()
	switch {
	case isPlain && info.layout != layoutNumbers:
		parts = plain.encode(k, info, partNumbers, b.stored(info))
	case info.layout == layoutIntegers:
		parts = k.encode(info, b, partNumbers, func(i int) uint64 { return r.bits(i) - info.base })
	case info.layout == layoutDecimals:
		parts = k.encode(info, b, partNumbers, func(i int) uint64 {
			n, _ := toDecimal(r.of(i), info.scale)
			return uint64(n) - info.base
		})
	default:
		parts = append(parts, slotsPart(partNumbers, info.slots, 8, b.values(), func(i int) int { return r.slot(info, i) }, func(piece []byte, at, i int) {
			binary.LittleEndian.PutUint64(piece[8*at:], r.bits(i))
		}))
	}
	kind, uniform := info.uniform()
	if !uniform {
		kinds := make([]byte, info.slots)
		r := b.reader()
		for i := range b.values() {
			kinds[r.slot(info, i)] = byte(r.of(i).Kind)
		}
		parts = append(parts, part{kind: partKinds, bytes: kinds, cold: true})
	}
	if info.placement != placeSparse && rows > BlockRows && uniform && kind != catalog.KindBool {
		if zones := b.numberZones(kind, rows); zones != nil {
			parts = append(parts, part{kind: partZones, bytes: zones})
		}
	}
	return parts
}

// stored are the numbers that stand for the entries of a column of integers or decimals.
func (b *valueBuilder) stored(info *columnInfo) []uint64 {
	of := make([]uint64, len(b.entries))
	for code := range of {
		v := b.value(uint32(code))
		n := v.Int()
		if info.layout == layoutDecimals {
			n, _ = toDecimal(v, info.scale)
		}
		of[code] = uint64(n) - info.base
	}
	return of
}

// numberZones are the least and the greatest number of each block, in 8 bytes
// each; the least is above the greatest in a block without any. A column with a
// NaN has none.
func (b *valueBuilder) numberZones(kind catalog.Kind, rows int) []byte {
	if p, ok := b.plain(); ok {
		return p.numberZones(kind, rows)
	}
	zones := make([]catalog.Value, 2*blocks(rows))
	for i := 0; i < len(zones); i += 2 {
		zones[i], zones[i+1] = emptyNumberZone(kind)
	}
	r := b.reader()
	for i := range b.values() {
		v := r.of(i)
		if kind == catalog.KindDouble && math.IsNaN(v.Double()) {
			return nil
		}
		z := zones[2*(r.row(i)/BlockRows):]
		if lessNumber(v, z[0]) {
			z[0] = v
		}
		if lessNumber(z[1], v) {
			z[1] = v
		}
	}
	var out []byte
	for _, v := range zones {
		out = binary.LittleEndian.AppendUint64(out, v.Bits)
	}
	return out
}

func emptyNumberZone(kind catalog.Kind) (least, greatest catalog.Value) {
	if kind == catalog.KindInt {
		return catalog.Int(math.MaxInt64), catalog.Int(math.MinInt64)
	}
	return catalog.Double(math.Inf(1)), catalog.Double(math.Inf(-1))
}

// lessNumber compares two integers or two doubles.
func lessNumber(a, b catalog.Value) bool {
	if a.Kind == catalog.KindInt {
		return a.Int() < b.Int()
	}
	return a.Double() < b.Double()
}

func (b *valueBuilder) encodeChunks(info *columnInfo) []part {
	w := &chunkWriter{size: chunkBytes, encoder: zstdEncoder()}
	_, uniform := info.uniform()
	return []part{{kind: partChunks, write: func(to io.Writer) error {
		w.to = to
		r := b.reader()
		var cell []byte
		for i := range b.values() {
			for slot := r.slot(info, i); w.slots < slot; {
				w.add("")
			}
			v := r.of(i)
			if uniform {
				w.add(v.Text)
				continue
			}
			cell = appendCell(cell[:0], v)
			w.add(text(cell))
		}
		for w.slots < info.slots {
			w.add("")
		}
		w.flush()
		return w.err
	}}, {kind: partChunkIndex, write: func(to io.Writer) error {
		_, err := to.Write(w.index)
		return err
	}}}
}

// blocks is the number of blocks of a file with that many rows.
func blocks(rows int) int { return (rows + BlockRows - 1) / BlockRows }
