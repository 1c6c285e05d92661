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
	case c.info.layout == layoutDecimals && key.t == catalog.TypeDouble && c.ordinals == nil:
		return c.decimalArray(lo, hi), nil
	case c.info.layout == layoutNumbers && key.t == catalog.TypeDouble && c.uniform && c.kind == catalog.KindDouble && c.ordinals == nil:
		return fixedArray(key.t, raw(c.numbers), c.presence, hi-lo, lo), nil
	case c.uniform && c.kind == catalog.KindString && c.info.placement == placeAll && (key.t == catalog.TypeString || key.t == catalog.TypeNull):
		b, err := c.slotTexts(lo, hi)
		if err != nil {
			return nil, err
		}
		return b.array(), nil
	}
	var last recent
	return c.convertedArray(key, lo, hi, func(slot int) (catalog.Value, error) { return c.value(slot, &last) })
}

// dictionaryArray is the codes in place where every entry is valid and every
// row has a slot.
func (c *column) dictionaryArray(t *typed, lo, hi int) arrow.Array {
	if t.valid == nil && c.ordinals == nil {
		if c.info.width > 0 {
			w := c.window(lo, hi)
			valid := c.presenceBuffer
			if skip := lo - w.at; valid != nil && skip > 0 {
				valid = memory.NewBufferBytes(c.presence[skip>>3:])
			}
			return dictionaryArray(c.info.width, w.buffer, valid, t.values, hi-lo, w.at)
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
		w := c.window(lo, hi)
		indices.bytes = w.codes.bytes[w.at*int(width) : (w.at+hi-lo)*int(width)]
	case c.ordinals != nil && c.info.width > 0:
		if from, to := c.slotsIn(lo, hi); from < to {
			indices.bytes = aligned(len(indices.bytes))
			var last recent
			for slot := from; slot < to; slot++ {
				indices.put(int(c.ordinals[slot])-lo, c.code(slot, &last))
			}
		}
	}
	return dictionaryArray(width, memory.NewBufferBytes(indices.bytes), memory.NewBufferBytes(valid), t.values, hi-lo, 0)
}

// validity is the bitmap of the rows [lo, hi) that have a value in the type.
func (c *column) validity(t *typed, lo, hi int) []byte {
	valid := make([]byte, bitmapLen(hi-lo))
	var last recent
	c.rowsOf(lo, hi, func(row, slot int) error {
		if t.isValid(c.code(slot, &last)) {
			bitSet(valid, row-lo)
		}
		return nil
	})
	return valid
}

// validWindow gives the column's own bitmap for rows [lo, hi), and where in it they
// start; nil if all rows have a value.
func (c *column) validWindow(lo int) (valid []byte, offset int) {
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
		var last recent
		for slot := from; slot < to; slot++ {
			if code := c.code(slot, &last); t.isValid(code) {
				row := int(c.ordinals[slot]) - lo
				values[row] = t.numbers[code]
				bitSet(valid, row)
			}
		}
		return fixedArray(typ, pickBools(typ, values), valid, n, 0)
	}
	valid, offset := c.validWindow(lo)
	if t.valid != nil {
		valid, offset = c.validity(t, lo, hi), 0
	}
	values := make([]uint64, offset+n)
	out := values[offset:]
	if c.info.width == 0 {
		for i := range out {
			out[i] = t.numbers[0]
		}
	} else {
		w := c.window(lo, hi)
		lo, hi := w.at, w.at+n
		switch c.info.width {
		case 1:
			lookUp(out, t.numbers, w.codes.bytes[lo:hi])
		case 2:
			lookUp(out, t.numbers, view[uint16](w.codes.bytes)[lo:hi])
		case 4:
			lookUp(out, t.numbers, view[uint32](w.codes.bytes)[lo:hi])
		}
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
	valid, offset := c.validWindow(lo)
	from := lo &^ 7
	values := make([]uint64, hi-from)
	c.stored.fill(raw(values), 8, from, hi-from)
	return fixedArray(catalog.TypeInt, raw(values[lo-from-offset:]), valid, hi-lo, offset)
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
		if v, ok := key.convert(v); ok {
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
		v, ok := key.convert(v)
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
