package indexfile

import "arbor/catalog"

// recent is what was looked at last in a column by who reads it slot by slot.
type recent struct {
	chunk *chunk
	run   int
}

// code is the code of a slot. The column is loaded; last may be nil.
func (c *column) code(slot int, last *recent) uint32 {
	if c.info.coding == codingWhole {
		return c.codes.at(slot)
	}
	return uint32(c.storedNumber(slot, last))
}

// storedNumber is the number of a slot that is not coded whole.
func (c *column) storedNumber(slot int, last *recent) uint64 {
	if last == nil {
		return c.stored.at(slot, nil)
	}
	return c.stored.at(slot, &last.run)
}

// value is the value of a slot that has one. The column is loaded. If last is
// not nil it keeps what was looked at last.
func (c *column) value(slot int, last *recent) (catalog.Value, error) {
	switch c.info.layout {
	case layoutDictionary:
		return c.dictionary.value(c.code(slot, last)), nil
	case layoutIntegers:
		return catalog.Int(int64(c.storedNumber(slot, last))), nil
	case layoutDecimals:
		return c.decimal(slot, last), nil
	case layoutNumbers:
		kind := c.kind
		if c.slotKinds != nil {
			kind = catalog.Kind(c.slotKinds[slot])
		}
		return catalog.Value{Kind: kind, Bits: c.numbers[slot]}, nil
	}
	var ch *chunk
	if last != nil {
		ch = last.chunk
	}
	if !ch.holds(slot) {
		var err error
		if ch, err = c.chunk(c.chunks.find(slot)); err != nil {
			return catalog.Value{}, err
		}
		if last != nil {
			last.chunk = ch
		}
	}
	return c.cell(ch.at(slot))
}

// cell is the value of a text in a chunk.
func (c *column) cell(b []byte) (catalog.Value, error) {
	if c.uniform {
		return catalog.Value{Kind: c.kind, Text: text(b)}, nil
	}
	v, ok := readCell(b)
	if !ok {
		return v, c.corrupt(partChunks, "cell")
	}
	return v, nil
}
