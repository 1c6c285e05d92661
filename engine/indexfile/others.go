package indexfile

import (
	"encoding/binary"

	"arbor/catalog"
)

// A file gives a column to each of the first MaxColumns properties that it
// meets. Clients that make property names out of data send far more; what is
// beyond is kept row by row, in the column columnOthers: a text that holds the
// row's other properties, sorted by name, one after the other:
//
//	name's length (varint), name, kind (1 byte), then 8 bytes of Bits, or
//	the text's length (varint) and the text, or nothing for null
//
// A name either has a column, or is always among the others.

// appendOther encodes a property.
func appendOther(dst []byte, p *catalog.Property) []byte {
	dst = append(appendText(dst, p.Name), byte(p.Value.Kind))
	switch {
	case fixedKind(p.Value.Kind):
		return binary.LittleEndian.AppendUint64(dst, p.Value.Bits)
	case textKind(p.Value.Kind):
		return appendText(dst, p.Value.Text)
	}
	return dst
}

// eachOther calls f for each property in a text; its strings alias the text.
// It says in a word what is wrong.
func eachOther(b []byte, f func(catalog.Property)) (wrong string) {
	d := &decoder{bytes: b}
	last := ""
	for first := true; d.at < len(b); first = false {
		p := catalog.Property{Name: d.text("name")}
		p.Value.Kind = catalog.Kind(d.byte("kind", uint8(catalog.KindJSON)))
		switch {
		case fixedKind(p.Value.Kind):
			p.Value.Bits = d.uint64("bits")
		case textKind(p.Value.Kind):
			p.Value.Text = d.text("text")
		}
		if !first && p.Name <= last {
			d.fail("order of names")
		}
		if d.wrong != "" {
			break
		}
		last = p.Name
		f(p)
	}
	return d.wrong
}

// other gives the value of a property among a slot's other properties, null if
// it is not there.
func (c *column) other(slot int, last *recent, name string) (v catalog.Value, err error) {
	err = c.others(slot, last, func(p catalog.Property) {
		if p.Name == name {
			v = p.Value
		}
	})
	return v, err
}

// others calls f for each of a slot's other properties.
func (c *column) others(slot int, last *recent, f func(catalog.Property)) error {
	v, err := c.value(slot, last)
	if err != nil {
		return err
	}
	if wrong := eachOther([]byte(v.Text), f); wrong != "" {
		return c.reader.corrupt(columnNames[columnOthers], wrong)
	}
	return nil
}
