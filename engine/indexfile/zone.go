package indexfile

import (
	"encoding/binary"
	"math"

	"arbor/catalog"
)

// Blocks is the number of blocks of BlockRows rows; the last may be short.
func (r *Reader) Blocks() int { return blocks(r.Rows()) }

// BlockTime is the least and the greatest raw time in block b.
func (r *Reader) BlockTime(b int) (least, greatest int64, err error) {
	if r.Blocks() == 1 {
		return r.footer.times.least, r.footer.times.greatest, nil
	}
	zones, err := r.column(columnFile).part(partTimeZones)
	if err != nil {
		return 0, 0, err
	}
	if len(zones) != 16*r.Blocks() {
		return 0, 0, r.corrupt(partTimeZones.String(), "length")
	}
	z := zones[16*b:]
	return int64(binary.LittleEndian.Uint64(z)), int64(binary.LittleEndian.Uint64(z[8:])), nil
}

// Range is what a zone map knows about a column in a block. If Known is false
// anything may be there. Otherwise, if Empty, all rows are null there, and if
// not, the values that are not null lie between Min and Max, in the order that
// SQL gives the type asked for, and some may be null.
type Range struct {
	Known, Empty bool
	Min, Max     catalog.Value
}

// BlockRange is the range of a property in block b, converted to a type as
// PropertyArray does.
func (r *Reader) BlockRange(b int, property string, t catalog.Type, precision, scale uint8) (Range, error) {
	if err := checkType(t); err != nil {
		return Range{}, err
	}
	if c := r.property(property); c != nil {
		return c.blockRange(b, typeKey{t: t, precision: precision, scale: scale})
	}
	if !r.column(columnOthers).empty() {
		return Range{}, nil
	}
	return Range{Known: true, Empty: true}, nil
}

// BlockEvent is the range of event names in block b.
func (r *Reader) BlockEvent(b int) (Range, error) {
	return r.column(columnEvent).blockRange(b, typeKey{t: catalog.TypeString})
}

func (c *column) blockRange(b int, key typeKey) (Range, error) {
	if c.empty() {
		return Range{Known: true, Empty: true}, nil
	}
	if err := c.loadHead(); err != nil {
		return Range{}, err
	}
	if c.info.placement == placeSparse {
		if from, to := c.slotsIn(b*BlockRows, (b+1)*BlockRows); from == to {
			return Range{Known: true, Empty: true}, nil
		}
	}
	switch c.info.layout {
	case layoutDictionary:
		return c.codeRange(b, key), nil
	case layoutIntegers, layoutNumbers, layoutDecimals:
		return c.numberRange(b, key), nil
	}
	return Range{}, nil
}

// codeRange goes from the least and the greatest code of a block to the values.
func (c *column) codeRange(b int, key typeKey) Range {
	least, greatest := uint32(0), uint32(c.info.distinct-1)
	if c.zones != nil {
		z := view[uint32](c.zones)[2*b:]
		if z[0] > z[1] {
			return Range{Known: true, Empty: true}
		}
		least, greatest = z[0], z[1]
	}
	t := c.as(key)
	if !t.monotone {
		return Range{}
	}
	for !t.isValid(least) {
		if least == greatest {
			return Range{Known: true, Empty: true}
		}
		least++
	}
	for !t.isValid(greatest) {
		greatest--
	}
	return Range{Known: true, Min: t.value(key, least), Max: t.value(key, greatest)}
}

// numberRange reads the least and the greatest number of a block.
func (c *column) numberRange(b int, key typeKey) Range {
	if c.zones == nil {
		return Range{}
	}
	z := view[uint64](c.zones)[2*b:]
	least, greatest := catalog.Value{Kind: c.kind, Bits: z[0]}, catalog.Value{Kind: c.kind, Bits: z[1]}
	if lessNumber(greatest, least) {
		return Range{Known: true, Empty: true}
	}
	switch {
	case c.kind == catalog.KindInt && key.t == catalog.TypeInt, c.kind == catalog.KindDouble && key.t == catalog.TypeDouble:
	case c.kind == catalog.KindInt && key.t == catalog.TypeDouble:
		least, greatest = catalog.Double(float64(least.Int())), catalog.Double(float64(greatest.Int()))
	default:
		return Range{}
	}
	if least.Kind == catalog.KindDouble && (math.IsNaN(least.Double()) || math.IsNaN(greatest.Double())) {
		return Range{}
	}
	return Range{Known: true, Min: least, Max: greatest}
}
