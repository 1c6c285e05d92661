package indexfile

import (
	"math"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// Prices and the like have few digits behind the point: as integers of a power
// of ten they take a third of what doubles do. Each value is proven to come back
// bit by bit before the layout is taken.

// maxScale is the most digits behind the point. Ten to this power is a double,
// as are the integers up to maxDecimal, so that their quotient is the double
// nearest to the decimal, which is what its text meant.
const (
	maxScale   = 9
	maxDecimal = 1 << 53
)

var powers = [maxScale + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}

// toDecimal is a number in a scale, if it is one exactly.
func toDecimal(v catalog.Value, scale uint8) (n int64, ok bool) {
	power := powers[scale]
	if v.Kind == catalog.KindInt {
		n = v.Int()
		if limit := int64(maxDecimal / power); n > limit || n < -limit {
			return 0, false
		}
		return n * int64(power), true
	}
	x := math.Round(v.Double() * power)
	if !(math.Abs(x) < maxDecimal) {
		return 0, false
	}
	n = int64(x)
	return n, math.Float64bits(fromDecimal(n, scale)) == v.Bits
}

func fromDecimal(n int64, scale uint8) float64 { return float64(n) / powers[scale] }

// decimals gives the least scale in which all entries are decimals, with the
// least and the greatest of them.
func (b *valueBuilder) decimals() (scale uint8, least, greatest int64, ok bool) {
	for {
		least, greatest, ok = math.MaxInt64, math.MinInt64, true
	entries:
		for _, t := range b.tables() {
			for i := range t.entries {
				n, exact := toDecimal(t.value(uint32(i)), scale)
				if !exact {
					ok = false
					break entries
				}
				least, greatest = min(least, n), max(greatest, n)
			}
		}
		if ok || scale == maxScale {
			return scale, least, greatest, ok
		}
		scale++
	}
}

// readDecimals reads what is beside the numbers: their kinds, if there are two.
func (c *column) readDecimals() (err error) {
	if c.uniform {
		return nil
	}
	if c.slotKinds, err = c.sized(partKinds, c.info.slots); err != nil {
		return err
	}
	for _, k := range c.slotKinds {
		if k := catalog.Kind(k); k != catalog.KindNull && k != catalog.KindInt && k != catalog.KindDouble {
			return c.corrupt(partKinds, "kind")
		}
	}
	return nil
}

// isNumbered reports whether all values follow from their numbers alone: integers, and
// decimals of one kind. The column is loaded.
func (c *column) isNumbered() bool {
	return c.uniform && (c.info.layout == layoutIntegers || c.info.layout == layoutDecimals)
}

// numbered is the value of a number.
func (c *column) numbered(n int64) catalog.Value {
	if c.info.layout == layoutIntegers {
		return catalog.Int(n)
	}
	return c.decimalOf(n, c.kind)
}

// decimal is the value of a slot. The column is loaded.
func (c *column) decimal(slot int, last *recent) catalog.Value {
	n := int64(c.storedNumber(slot, last))
	kind := c.kind
	if c.slotKinds != nil {
		kind = catalog.Kind(c.slotKinds[slot])
	}
	return c.decimalOf(n, kind)
}

// decimalOf is the value of a number of a kind.
func (c *column) decimalOf(n int64, kind catalog.Kind) catalog.Value {
	switch kind {
	case catalog.KindInt:
		return catalog.Int(n / int64(powers[c.info.scale]))
	case catalog.KindDouble:
		return catalog.Double(fromDecimal(n, c.info.scale))
	}
	return catalog.Null // a damaged kind: the counts of kinds miss it
}

// decimalArray is the rows [lo, hi) as doubles, which integers turn into, too.
func (c *column) decimalArray(lo, hi int) arrow.Array {
	valid, offset := c.validWindow(lo)
	from := lo &^ 7
	values := make([]uint64, hi-from)
	c.stored.fill(raw(values), 8, from, hi-from)
	power := powers[c.info.scale]
	for i, n := range values {
		values[i] = math.Float64bits(float64(int64(n)) / power)
	}
	return fixedArray(catalog.TypeDouble, raw(values[lo-from-offset:]), valid, hi-lo, offset)
}
