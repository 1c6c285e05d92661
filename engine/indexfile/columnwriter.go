package indexfile

import (
	"encoding/binary"
	"math"

	"arbor/catalog"
)

// encodeColumn chooses how to store a column's values in a file of that many
// rows, and encodes them.
func encodeColumn(b *valueBuilder, rows int) (columnInfo, []part) {
	info := columnInfo{name: b.name, kinds: b.kinds}
	if len(b.codes) == 0 {
		info.placement = placeSparse
		return info, nil
	}
	b.chooseLayout(&info)
	b.choosePlacement(&info, rows)
	var parts []part
	switch info.placement {
	case placeBitmap:
		bits := make([]byte, bitmapLen(rows))
		for i := range b.codes {
			bitSet(bits, b.row(i))
		}
		parts = append(parts, part{kind: partPresence, bytes: bits})
	case placeSparse:
		ordinals := make([]uint32, len(b.codes))
		for i := range ordinals {
			ordinals[i] = uint32(b.row(i))
		}
		parts = append(parts, part{kind: partOrdinals, bytes: raw(ordinals)})
	}
	switch info.layout {
	case layoutDictionary:
		parts = append(parts, b.encodeDictionary(&info, rows)...)
	case layoutIntegers, layoutNumbers:
		parts = append(parts, b.encodeNumbers(&info, rows)...)
	default:
		parts = append(parts, b.encodeChunks(&info)...)
	}
	return info, parts
}

// maxDictionaryTexts is the length of a dictionary's texts from which chunks are
// used: a dictionary is decoded whole and stays in memory while the file is open.
const maxDictionaryTexts = 16 << 20

// maxDictionaryEntries bounds a dictionary of numbers: turned into texts it must
// not outgrow an array.
const maxDictionaryEntries = 1 << 24

// fewEntries is the number of entries up to which texts always have a
// dictionary: the bytes that chunks might save are not worth decoding them.
const fewEntries = 1024

// chooseLayout takes the layout with the fewest bytes, a dictionary if in doubt:
// its codes are read in place, and work on values is done once per entry.
func (b *valueBuilder) chooseLayout(info *columnInfo) {
	entries, values := float64(len(b.entries)), float64(len(b.codes))
	entryBytes := float64(len(b.texts))
	fixedKinds, texts, integers := true, false, true
	for k, n := range b.kinds {
		if n > 0 {
			fixedKinds = fixedKinds && fixedKind(catalog.Kind(k))
			texts = texts || textKind(catalog.Kind(k))
			integers = integers && catalog.Kind(k) == catalog.KindInt
		}
	}
	// What texts shrink to when they are compressed, in a dictionary and in
	// chunks alike: a guess that only has to be the same for both.
	const shrink = 0.4
	dictionary := values*float64(codeWidth(len(b.entries))) + shrink*entryBytes
	if !fixedKinds || texts {
		dictionary += 2 * entries
	} else {
		dictionary += 4 * entries
	}
	info.layout, info.distinct, info.width = layoutDictionary, len(b.entries), codeWidth(len(b.entries))
	switch {
	case len(b.entries) <= 1:
	case integers:
		least, greatest := b.integers()
		width := packedWidth(uint64(greatest) - uint64(least))
		if values*float64(width)/8 < dictionary || len(b.entries) > maxDictionaryEntries {
			info.layout, info.base, info.width = layoutIntegers, uint64(least), width
		}
	case fixedKinds:
		if 8*values < dictionary || len(b.entries) > maxDictionaryEntries {
			info.layout = layoutNumbers
		}
	case len(b.entries) <= fewEntries && len(b.texts) <= maxDictionaryTexts:
	case len(b.texts) > maxDictionaryTexts || len(b.entries) > maxDictionaryEntries || shrink*float64(b.textBytes)+values < dictionary:
		info.layout = layoutChunks
	}
	if info.layout != layoutDictionary {
		info.distinct = 0
	}
	if info.layout == layoutNumbers || info.layout == layoutChunks {
		info.width = 0
	}
}

// integers are the least and the greatest of a column of integers.
func (b *valueBuilder) integers() (least, greatest int64) {
	least, greatest = math.MaxInt64, math.MinInt64
	for i := range b.entries {
		v := int64(b.entries[i].bits)
		least, greatest = min(least, v), max(greatest, v)
	}
	return least, greatest
}

// choosePlacement lists the rows of a column that few have. Between a list and
// a bitmap it prefers the bitmap, whose arrays are read in place, unless the
// list takes less than two thirds of the bytes.
func (b *valueBuilder) choosePlacement(info *columnInfo, rows int) {
	values := len(b.codes)
	perSlot := 8 * int64(info.width) // bits
	switch info.layout {
	case layoutIntegers:
		perSlot = int64(info.width)
	case layoutNumbers:
		perSlot = 64
	case layoutChunks:
		perSlot = 8
	}
	list, bitmap := int64(values)*(32+perSlot), int64(rows)*(1+perSlot)
	switch {
	case values == rows:
		info.placement, info.slots = placeAll, rows
	case 3*list < 2*bitmap:
		info.placement, info.slots = placeSparse, values
	default:
		info.placement, info.slots = placeBitmap, rows
	}
}

// slot is the slot of the i-th value.
func (b *valueBuilder) slot(info *columnInfo, i int) int {
	if info.placement == placeSparse {
		return i
	}
	return b.row(i)
}

func (b *valueBuilder) encodeDictionary(info *columnInfo, rows int) []part {
	b.sort()
	entries := appendDictionary(nil, len(b.entries), func(i int) catalog.Value { return b.value(uint32(i)) })
	parts := []part{{kind: partDictionary, bytes: entries, cold: true}}
	if info.width > 0 {
		c := codes{width: info.width, bytes: make([]byte, info.slots*int(info.width))}
		for i, code := range b.codes {
			c.put(b.slot(info, i), code)
		}
		parts = append(parts, part{kind: partCodes, bytes: c.bytes})
	}
	if info.placement != placeSparse && rows > BlockRows && info.width > 0 {
		zones := make([]uint32, 2*blocks(rows))
		for i := range zones {
			zones[i] = emptyZone * uint32(1-i&1)
		}
		for i, code := range b.codes {
			z := zones[2*(b.row(i)/BlockRows):]
			z[0], z[1] = min(z[0], code), max(z[1], code)
		}
		parts = append(parts, part{kind: partZones, bytes: raw(zones)})
	}
	return parts
}

// emptyZone is the least code of a block without a value; the greatest is 0.
const emptyZone = math.MaxUint32

func (b *valueBuilder) encodeNumbers(info *columnInfo, rows int) []part {
	numbers := make([]uint64, info.slots)
	kinds := make([]byte, info.slots)
	for i := range numbers {
		numbers[i] = info.base
	}
	for i, code := range b.codes {
		e := &b.entries[code]
		s := b.slot(info, i)
		numbers[s], kinds[s] = e.bits, byte(e.kind)
	}
	var parts []part
	if info.layout == layoutIntegers {
		parts = append(parts, part{kind: partNumbers, bytes: pack(info.slots, info.width, func(i int) uint64 { return numbers[i] - info.base })})
	} else {
		parts = append(parts, part{kind: partNumbers, bytes: raw(numbers)})
	}
	kind, uniform := info.uniform()
	if !uniform {
		parts = append(parts, part{kind: partKinds, bytes: kinds, cold: true})
	}
	if info.placement != placeSparse && rows > BlockRows && uniform && kind != catalog.KindBool {
		if zones := b.numberZones(kind, rows); zones != nil {
			parts = append(parts, part{kind: partZones, bytes: zones})
		}
	}
	return parts
}

// numberZones are the least and the greatest number of each block, in 8 bytes
// each; the least is above the greatest in a block without any. A column with a
// NaN has none.
func (b *valueBuilder) numberZones(kind catalog.Kind, rows int) []byte {
	zones := make([]catalog.Value, 2*blocks(rows))
	for i := 0; i < len(zones); i += 2 {
		zones[i], zones[i+1] = emptyNumberZone(kind)
	}
	for i, code := range b.codes {
		v := b.value(code)
		if kind == catalog.KindDouble && math.IsNaN(v.Double()) {
			return nil
		}
		z := zones[2*(b.row(i)/BlockRows):]
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
	w := chunkWriter{size: chunkBytes, encoder: zstdEncoder()}
	_, uniform := info.uniform()
	var cell []byte
	add := func(code uint32) {
		v := b.value(code)
		if uniform {
			w.add(v.Text)
			return
		}
		cell = appendCell(cell[:0], v)
		w.add(text(cell))
	}
	for i, code := range b.codes {
		for w.slots < b.slot(info, i) {
			w.add("")
		}
		add(code)
	}
	for w.slots < info.slots {
		w.add("")
	}
	w.flush()
	return []part{{kind: partChunks, bytes: w.bytes}, {kind: partChunkIndex, bytes: w.index}}
}

// blocks is the number of blocks of a file with that many rows.
func blocks(rows int) int { return (rows + BlockRows - 1) / BlockRows }
