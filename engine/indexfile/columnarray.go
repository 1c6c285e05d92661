package indexfile

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"arbor/catalog"
)

// array is the column's rows [lo, hi) in a type.
func (c *column) array(key typeKey, lo, hi int) (arrow.Array, error) {
	if c.empty() || lo == hi {
		return nullArray(key.t, hi-lo), nil
	}
	if err := c.load(); err != nil {
		return nil, err
	}
	switch {
	case c.info.layout == layoutDictionary && textType(key.t):
		return c.dictionaryArray(c.as(key), lo, hi), nil
	case c.info.layout == layoutDictionary:
		return c.lookUpArray(c.as(key), key.t, lo, hi), nil
	case c.info.layout == layoutIntegers && key.t == catalog.TypeInt && c.ordinals == nil:
		return c.integerArray(lo, hi), nil
	case c.info.layout == layoutNumbers && key.t == catalog.TypeDouble && c.uniform && c.kind == catalog.KindDouble && c.ordinals == nil:
		return fixedArray(key.t, raw(c.numbers), c.presence, hi-lo, lo), nil
	case c.uniform && c.kind == catalog.KindString && c.info.placement == placeAll && (key.t == catalog.TypeString || key.t == catalog.TypeNull):
		b, err := c.slotTexts(lo, hi)
		if err != nil {
			return nil, err
		}
		return b.array(), nil
	}
	var last *chunk
	return c.convertedArray(key, lo, hi, func(slot int) (catalog.Value, error) { return c.value(slot, &last) })
}

// dictionaryArray is the codes in place where every entry is valid and every
// row has a slot.
func (c *column) dictionaryArray(t *typed, lo, hi int) arrow.Array {
	if t.valid == nil && c.ordinals == nil {
		if c.info.width > 0 {
			return dictionaryArray(c.info.width, c.codesBuffer, c.presenceBuffer, t.values, hi-lo, lo)
		}
		// One value: the codes are zeros. The bitmap is entered at a whole byte.
		offset := lo & 7
		var valid *memory.Buffer
		if c.presence != nil {
			valid = memory.NewBufferBytes(c.presence[lo>>3:])
		}
		return dictionaryArray(1, memory.NewBufferBytes(zeroBytes(offset+hi-lo)), valid, t.values, hi-lo, offset)
	}
	valid := c.validity(t, lo, hi)
	width := max(c.info.width, 1)
	indices := codes{width: width, bytes: zeroBytes((hi - lo) * int(width))}
	switch {
	case c.ordinals == nil && c.info.width > 0:
		indices.bytes = c.codes.bytes[lo*int(width) : hi*int(width)]
	case c.ordinals != nil && c.info.width > 0:
		if from, to := c.slotsIn(lo, hi); from < to {
			indices.bytes = aligned(len(indices.bytes))
			for slot := from; slot < to; slot++ {
				indices.put(int(c.ordinals[slot])-lo, c.codes.at(slot))
			}
		}
	}
	return dictionaryArray(width, memory.NewBufferBytes(indices.bytes), memory.NewBufferBytes(valid), t.values, hi-lo, 0)
}

// validity is the bitmap of the rows [lo, hi) that have a value in the type.
func (c *column) validity(t *typed, lo, hi int) []byte {
	valid := make([]byte, bitmapLen(hi-lo))
	c.rowsOf(lo, hi, func(row, slot int) error {
		if t.isValid(c.codes.at(slot)) {
			bitSet(valid, row-lo)
		}
		return nil
	})
	return valid
}

// window gives the column's own bitmap for rows [lo, hi), and where in it they
// start; nil if all rows have a value.
func (c *column) window(lo int) (valid []byte, offset int) {
	if c.presence == nil {
		return nil, 0
	}
	return c.presence[lo>>3:], lo & 7
}

// lookUpArray looks every code up in the converted dictionary.
func (c *column) lookUpArray(t *typed, typ catalog.Type, lo, hi int) arrow.Array {
	n := hi - lo
	if c.ordinals != nil {
		values := make([]uint64, n)
		valid := make([]byte, bitmapLen(n))
		from, to := c.slotsIn(lo, hi)
		for slot := from; slot < to; slot++ {
			if code := c.codes.at(slot); t.isValid(code) {
				row := int(c.ordinals[slot]) - lo
				values[row] = t.numbers[code]
				bitSet(valid, row)
			}
		}
		return fixedArray(typ, pickBools(typ, values), valid, n, 0)
	}
	valid, offset := c.window(lo)
	if t.valid != nil {
		valid, offset = c.validity(t, lo, hi), 0
	}
	values := make([]uint64, offset+n)
	out := values[offset:]
	switch c.info.width {
	case 0:
		for i := range out {
			out[i] = t.numbers[0]
		}
	case 1:
		lookUp(out, t.numbers, c.codes.bytes[lo:hi])
	case 2:
		lookUp(out, t.numbers, view[uint16](c.codes.bytes)[lo:hi])
	case 4:
		lookUp(out, t.numbers, view[uint32](c.codes.bytes)[lo:hi])
	}
	return fixedArray(typ, pickBools(typ, values), valid, n, offset)
}

func lookUp[C uint8 | uint16 | uint32](out, table []uint64, codes []C) {
	for i, code := range codes {
		out[i] = table[code]
	}
}

// pickBools gives an array's bytes: a bitmap for bools, the numbers otherwise.
func pickBools(t catalog.Type, values []uint64) []byte {
	if t != catalog.TypeBool {
		return raw(values)
	}
	bits := make([]byte, bitmapLen(len(values)))
	for i, v := range values {
		if v != 0 {
			bitSet(bits, i)
		}
	}
	return bits
}

// integerArray unpacks integers.
func (c *column) integerArray(lo, hi int) arrow.Array {
	valid, offset := c.window(lo)
	values := make([]int64, offset+hi-lo)
	c.integers.unpack(values[offset:], lo)
	return fixedArray(catalog.TypeInt, raw(values), valid, hi-lo, offset)
}

// convertedArray converts the values of the rows [lo, hi), which get gives by
// slot, one by one. The column is loaded.
func (c *column) convertedArray(key typeKey, lo, hi int, get func(slot int) (catalog.Value, error)) (arrow.Array, error) {
	if textType(key.t) {
		return c.textArray(key, lo, hi, get)
	}
	values := make([]uint64, hi-lo)
	valid := make([]byte, bitmapLen(hi-lo))
	err := c.rowsOf(lo, hi, func(row, slot int) error {
		v, err := get(slot)
		if err != nil {
			return err
		}
		if v, ok := catalog.Convert(v, key.t, key.precision, key.scale); ok {
			values[row-lo] = v.Bits
			bitSet(valid, row-lo)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return fixedArray(key.t, pickBools(key.t, values), valid, hi-lo, 0), nil
}

// textArray is convertedArray for a type that holds text: a String array.
func (c *column) textArray(key typeKey, lo, hi int, get func(slot int) (catalog.Value, error)) (arrow.Array, error) {
	b := newTextBuilder(hi-lo, 0)
	next := lo
	err := c.rowsOf(lo, hi, func(row, slot int) error {
		v, err := get(slot)
		if err != nil {
			return err
		}
		if err := b.nulls(row - next); err != nil {
			return err
		}
		next = row + 1
		v, ok := catalog.Convert(v, key.t, key.precision, key.scale)
		if ok {
			b.texts = append(b.texts, v.Text...)
		}
		return b.end(ok)
	})
	if err == nil {
		err = b.nulls(hi - next)
	}
	if err != nil {
		return nil, err
	}
	return b.array(), nil
}

func (b *textBuilder) nulls(n int) error {
	for range n {
		if err := b.end(false); err != nil {
			return err
		}
	}
	return nil
}
