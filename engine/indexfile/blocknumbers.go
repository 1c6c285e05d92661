package indexfile

import (
	"math"
	"math/bits"

	"arbor/catalog"
)

// Who reads a whole file looks at the numbers that stand for the values, a block of
// rows at a time: codes of a dictionary, or integers. Of these some must be counted,
// and the least and the greatest found, but no value is made for each row.

// byNumber reports whether verifyNumbers is for the column. It is loaded.
func (c *column) byNumber() bool {
	switch {
	case c.number == columnOthers || c.number == columnDistinctID:
		return false
	case c.info.layout == layoutDictionary:
		return true
	}
	return (c.info.layout == layoutIntegers || c.info.layout == layoutDecimals) && c.uniform
}

// verifyNumbers is verifyValues.
func (c *column) verifyNumbers(zones []zone) (kinds kindCounts, err error) {
	d := c.dictionary
	if d == nil || d.kinds == nil {
		kinds[c.oneKind()] = int32(c.present())
		if zones == nil {
			return kinds, nil
		}
	}
	numbers := make([]int64, BlockRows)
	uses := make([]int32, c.info.distinct) // of codes
	next := 0                              // slot of a sparse column
	for b := range c.reader.Blocks() {
		lo, hi := b*BlockRows, min((b+1)*BlockRows, c.reader.Rows())
		var present []byte
		from, to := lo, hi
		if c.info.placement == placeSparse {
			from, to = next, c.firstSlot(next, hi)
			next = to
		} else if c.presence != nil {
			present = c.presence[lo>>3 : (hi+7)>>3]
		}
		some := c.numbersIn(numbers, from, to)
		if d != nil && d.kinds != nil {
			eachPresent(some, present, func(n int64) { uses[n]++ })
		}
		if zones == nil {
			continue
		}
		least, greatest := int64(math.MaxInt64), int64(math.MinInt64)
		eachPresent(some, present, func(n int64) { least, greatest = min(least, n), max(greatest, n) })
		if least <= greatest {
			zones[b].widen(c.bound(least))
			zones[b].widen(c.bound(greatest))
		}
	}
	for code, n := range uses {
		if d.kinds != nil {
			kinds[d.kinds[code]] += n
		}
	}
	return kinds, nil
}

// oneKind is that of all values.
func (c *column) oneKind() catalog.Kind {
	switch {
	case c.dictionary != nil:
		return c.dictionary.kind
	case c.info.layout == layoutDecimals && c.kind == catalog.KindDouble:
		return catalog.KindDouble
	}
	return catalog.KindInt
}

// present is how many rows have a value.
func (c *column) present() int {
	switch c.info.placement {
	case placeAll:
		return c.reader.Rows()
	case placeSparse:
		return len(c.ordinals)
	}
	return bitCount(c.presence)
}

// eachPresent calls f for the numbers whose bit is set, or all of them without bits.
func eachPresent(numbers []int64, present []byte, f func(int64)) {
	if present == nil {
		for _, n := range numbers {
			f(n)
		}
		return
	}
	for i, some := range present {
		for ; some != 0; some &= some - 1 {
			f(numbers[8*i+bits.TrailingZeros8(some)])
		}
	}
}

// numbersIn puts the numbers of the slots [lo, hi) into the first of dst and gives
// these: codes of a dictionary, integers, or decimals as integers. A slot of a row
// without a value has some number. lo is a multiple of 8 unless the column is sparse.
func (c *column) numbersIn(dst []int64, lo, hi int) []int64 {
	dst = dst[:hi-lo]
	if c.info.layout == layoutDictionary && c.info.coding == codingWhole {
		switch w := int(c.codes.width); w {
		case 0:
			clear(dst)
		case 1:
			widen(dst, c.codes.bytes[lo:])
		case 2:
			widen(dst, view[uint16](c.codes.bytes[2*lo:]))
		default:
			widen(dst, view[uint32](c.codes.bytes[4*lo:]))
		}
		return dst
	}
	c.stored.fill(raw(dst), 8, lo, hi-lo)
	return dst
}

func widen[T uint8 | uint16 | uint32](dst []int64, src []T) {
	for i := range dst {
		dst[i] = int64(src[i])
	}
}

// bound is what a zone map has of a number.
func (c *column) bound(n int64) catalog.Value {
	if c.info.layout == layoutDecimals && c.kind == catalog.KindDouble {
		return catalog.Double(fromDecimal(n, c.info.scale))
	}
	if c.info.layout == layoutDecimals {
		n /= int64(powers[c.info.scale])
	}
	return catalog.Int(n)
}
