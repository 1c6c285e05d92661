package indexfile

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"

	"arbor/catalog"
)

// dictionary holds the distinct values of a column, in the order of
// compareValues: null, bools, numbers by value, strings, JSON. Its bytes:
//
//	0  4  entries
//	4  1  the kind of all entries, or 255 if kinds follow
//	5  1  1: numbers follow, 2: texts follow, 3: both
//	6  2  zero
//	8     kinds    1 byte an entry, zero-padded to 8
//	      numbers  8 bytes an entry: catalog.Value.Bits
//	      offsets  4 bytes an entry and one more: where its text starts
//	      texts    up to the end
type dictionary struct {
	kind    catalog.Kind // of all entries, when kinds is nil
	kinds   []byte
	numbers []uint64
	offsets []uint32
	texts   []byte
	entries int
}

const (
	dictionaryHeader = 8
	mixedKinds       = 255
	hasNumbers       = 1
	hasTexts         = 2
)

func fixedKind(k catalog.Kind) bool {
	return k == catalog.KindBool || k == catalog.KindInt || k == catalog.KindDouble
}

func textKind(k catalog.Kind) bool { return k >= catalog.KindNumber }

// value is an entry; its text aliases the dictionary.
func (d *dictionary) value(code uint32) catalog.Value {
	v := catalog.Value{Kind: d.kind}
	if d.kinds != nil {
		v.Kind = catalog.Kind(d.kinds[code])
	}
	if d.numbers != nil {
		v.Bits = d.numbers[code]
	}
	if d.offsets != nil {
		v.Text = text(d.texts[d.offsets[code]:d.offsets[code+1]])
	}
	return v
}

// appendDictionary encodes n values, which at gives in order.
func appendDictionary(dst []byte, n int, at func(i int) catalog.Value) []byte {
	kind, flags, texts := uint8(mixedKinds), uint8(0), 0
	for i := range n {
		v := at(i)
		k := v.Kind
		texts += len(v.Text)
		switch {
		case i == 0:
			kind = uint8(k)
		case kind != uint8(k):
			kind = mixedKinds
		}
		if fixedKind(k) {
			flags |= hasNumbers
		}
		if textKind(k) {
			flags |= hasTexts
		}
	}
	dst = slices.Grow(dst, dictionaryHeader+n*(1+8+4)+8+4+texts) // enough
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(n))
	dst = append(dst, kind, flags, 0, 0)
	if kind == mixedKinds {
		for i := range n {
			dst = append(dst, byte(at(i).Kind))
		}
		for (len(dst)-start)%8 != 0 {
			dst = append(dst, 0)
		}
	}
	if flags&hasNumbers != 0 {
		for i := range n {
			dst = binary.LittleEndian.AppendUint64(dst, at(i).Bits)
		}
	}
	if flags&hasTexts != 0 {
		end := uint32(0)
		dst = binary.LittleEndian.AppendUint32(dst, end)
		for i := range n {
			end += uint32(len(at(i).Text))
			dst = binary.LittleEndian.AppendUint32(dst, end)
		}
		for i := range n {
			dst = append(dst, at(i).Text...)
		}
	}
	return dst
}

// readDictionary reads what appendDictionary wrote, checks that every entry can
// be had, and says in a word what is wrong with it otherwise.
func readDictionary(b []byte) (d *dictionary, wrong string) {
	if len(b) < dictionaryHeader {
		return nil, "short dictionary"
	}
	d = &dictionary{kind: catalog.Kind(b[4]), entries: int(binary.LittleEndian.Uint32(b))}
	flags := b[5]
	if d.entries > MaxRows || flags > hasNumbers|hasTexts || b[6]|b[7] != 0 {
		return nil, "dictionary header"
	}
	b = b[dictionaryHeader:]
	take := func(n int) (part []byte, ok bool) {
		if n > len(b) {
			return nil, false
		}
		part, b = b[:n], b[n:]
		return part, true
	}
	if d.kind == mixedKinds {
		d.kind = 0
		part, ok := take((d.entries + 7) &^ 7)
		if !ok {
			return nil, "dictionary kinds"
		}
		d.kinds = part[:d.entries]
		for _, k := range d.kinds {
			if !d.holds(catalog.Kind(k), flags) {
				return nil, "dictionary kind"
			}
		}
	} else if !d.holds(d.kind, flags) {
		return nil, "dictionary kind"
	}
	if flags&hasNumbers != 0 {
		part, ok := take(8 * d.entries)
		if !ok {
			return nil, "dictionary numbers"
		}
		d.numbers = view[uint64](part)
	}
	if flags&hasTexts != 0 {
		part, ok := take(4 * (d.entries + 1))
		if !ok {
			return nil, "dictionary offsets"
		}
		d.offsets, d.texts = view[uint32](part), b
		if d.offsets[0] != 0 || d.offsets[d.entries] != uint32(len(b)) || len(b) > math.MaxInt32 || !slices.IsSorted(d.offsets) {
			return nil, "dictionary offsets"
		}
		b = nil
	}
	if len(b) != 0 {
		return nil, "dictionary length"
	}
	return d, ""
}

// holds reports whether a dictionary with those flags can hold a kind.
func (d *dictionary) holds(k catalog.Kind, flags uint8) bool {
	return k <= catalog.KindJSON && (!fixedKind(k) || flags&hasNumbers != 0) && (!textKind(k) || flags&hasTexts != 0)
}

// sorted reports whether the entries are distinct and in order.
func (d *dictionary) sorted() bool {
	for i := 1; i < d.entries; i++ {
		if compareValues(sortKeyOf(d.value(uint32(i-1))), sortKeyOf(d.value(uint32(i)))) >= 0 {
			return false
		}
	}
	return true
}

// sortKey is a value with what compareValues needs at hand.
type sortKey struct {
	class  uint8
	number float64
	value  catalog.Value
}

func sortKeyOf(v catalog.Value) sortKey {
	k := sortKey{value: v}
	switch v.Kind {
	case catalog.KindNull:
	case catalog.KindBool:
		k.class = 1
	case catalog.KindInt:
		k.class, k.number = 2, float64(v.Int())
	case catalog.KindDouble:
		k.class, k.number = 2, v.Double()
	case catalog.KindNumber:
		k.class = 2
		k.number, _ = strconv.ParseFloat(v.Text, 64) // out of range is ±Inf
	case catalog.KindString:
		k.class = 3
	default:
		k.class = 4
	}
	if math.IsNaN(k.number) {
		k.number = 0
	}
	return k
}

// compareValues is a total order of values in which only identical ones are
// equal. Numbers go by the double nearest to them; what that cannot tell apart
// goes by kind, by integer, and by the text as it was sent.
func compareValues(a, b sortKey) int {
	if c := cmp.Compare(a.class, b.class); c != 0 {
		return c
	}
	if c := cmp.Compare(a.number, b.number); c != 0 {
		return c
	}
	if c := cmp.Compare(a.value.Kind, b.value.Kind); c != 0 {
		return c
	}
	if c := cmp.Compare(a.value.Int(), b.value.Int()); c != 0 {
		return c
	}
	return strings.Compare(a.value.Text, b.value.Text)
}

// appendTexts encodes strings: offsets, one more than there are, then the bytes.
func appendTexts(dst []byte, texts []string) []byte {
	end := uint32(0)
	dst = binary.LittleEndian.AppendUint32(dst, end)
	for _, s := range texts {
		end += uint32(len(s))
		dst = binary.LittleEndian.AppendUint32(dst, end)
	}
	for _, s := range texts {
		dst = append(dst, s...)
	}
	return dst
}

// textList is n strings as appendTexts wrote them.
type textList struct {
	offsets []uint32
	bytes   []byte
}

func readTexts(b []byte, n int) (t textList, ok bool) {
	if len(b) < 4*(n+1) {
		return t, false
	}
	t.offsets, t.bytes = view[uint32](b[:4*(n+1)]), b[4*(n+1):]
	return t, t.offsets[0] == 0 && int(t.offsets[n]) == len(t.bytes) && slices.IsSorted(t.offsets)
}

func (t *textList) at(i int) string { return text(t.bytes[t.offsets[i]:t.offsets[i+1]]) }
