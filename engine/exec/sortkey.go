package exec

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
)

// A sort key is what an order makes of a row: a text whose place among others, by
// bytes, is the row's. For each column of the order it has
//
//	null      byte     0, else 1 and
//	int       8 bytes  big-endian, the sign turned; datetimes too
//	double    8 bytes  big-endian, the sign turned, or all bits of one below 0
//	bool      1 byte
//	decimal   byte     0 below zero, 1 zero, 2 above; then where the point is,
//	                   2 bytes, the digits and a 0, all turned if below zero
//	text      bytes    a 0 as 0 255; then 0 0
//
// and all bytes turned where the order is descending. No column's part begins
// another's, so that what is added behind a key decides between equal ones only.

// SortKeys makes the sort keys of some rows.
type SortKeys struct {
	columns []keyColumn
	verdict []int8 // by code of the first column: whether it is not worse
	scratch []byte
}

// keyColumn is a column of the order.
type keyColumn struct {
	array      arrow.Array
	t          catalog.Type
	descending bool
	codes      *array.Dictionary
	texts      *array.String // of the dictionary, if there is one
	ints       []int64
	doubles    []float64
	bools      *array.Boolean
}

// NewSortKeys is for rows of arrays, one for each column of the order, of the given
// types.
func NewSortKeys(arrays []arrow.Array, types []catalog.Type, order []Order) (*SortKeys, error) {
	k := &SortKeys{columns: make([]keyColumn, len(order))}
	for i, a := range arrays {
		c := keyColumn{array: a, t: types[i], descending: order[i].Descending}
		switch x := a.(type) {
		case *array.Int64:
			c.ints = x.Int64Values()
		case *array.Timestamp:
			c.ints = view64(x.TimestampValues())
		case *array.Float64:
			c.doubles = x.Float64Values()
		case *array.Boolean:
			c.bools = x
		case *array.String:
			c.texts = x
		case *array.Dictionary:
			texts, ok := x.Dictionary().(*array.String)
			if !ok {
				return nil, ErrArray
			}
			c.codes, c.texts = x, texts
		default:
			return nil, ErrArray
		}
		k.columns[i] = c
	}
	return k, nil
}

// Append appends a row's key.
func (k *SortKeys) Append(dst []byte, row int) []byte {
	for i := range k.columns {
		dst = k.columns[i].append(dst, row)
	}
	return dst
}

func (c *keyColumn) append(dst []byte, row int) []byte {
	if c.array.IsNull(row) {
		return AppendSortKey(dst, catalog.Null, c.t, c.descending)
	}
	from := len(dst)
	switch {
	case c.ints != nil:
		dst = binary.BigEndian.AppendUint64(append(dst, 1), uint64(c.ints[row])^1<<63)
	case c.doubles != nil:
		dst = binary.BigEndian.AppendUint64(append(dst, 1), orderedBits(c.doubles[row]))
	default:
		return AppendSortKey(dst, c.value(row), c.t, c.descending)
	}
	if c.descending {
		turn(dst[from:])
	}
	return dst
}

func (c *keyColumn) value(row int) catalog.Value {
	if c.array.IsNull(row) {
		return catalog.Null
	}
	switch {
	case c.ints != nil:
		return catalog.Int(c.ints[row])
	case c.doubles != nil:
		return catalog.Value{Kind: catalog.KindDouble, Bits: doubleBits(c.doubles[row])}
	case c.bools != nil:
		return catalog.Bool(c.bools.Value(row))
	case c.codes != nil:
		if row = c.codes.GetValueIndex(row); c.texts.IsNull(row) {
			return catalog.Null
		}
	}
	return catalog.Value{Kind: textKind(c.t), Text: c.texts.Value(row)}
}

// AppendSortKey appends a value's part of a key.
func AppendSortKey(dst []byte, v catalog.Value, t catalog.Type, descending bool) []byte {
	from := len(dst)
	if v.Kind == catalog.KindNull {
		dst = append(dst, 0)
	} else {
		dst = append(dst, 1)
		switch t {
		case catalog.TypeInt, catalog.TypeDatetime:
			dst = binary.BigEndian.AppendUint64(dst, uint64(v.Int())^1<<63)
		case catalog.TypeDouble:
			dst = binary.BigEndian.AppendUint64(dst, orderedBits(v.Double()))
		case catalog.TypeBool:
			dst = append(dst, boolByte(v.Bool()))
		case catalog.TypeDecimal:
			dst = appendNumberKey(dst, v.Text)
		default:
			dst = appendTextKey(dst, v.Text)
		}
	}
	if descending {
		turn(dst[from:])
	}
	return dst
}

func turn(b []byte) {
	for i := range b {
		b[i] = ^b[i]
	}
}

// orderedBits are bits whose order is that of the doubles; 0 and -0 are one.
func orderedBits(d float64) uint64 {
	b := math.Float64bits(d + 0)
	if b>>63 != 0 {
		return ^b
	}
	return b | 1<<63
}

func appendTextKey(dst []byte, text string) []byte {
	for {
		zero := strings.IndexByte(text, 0)
		if zero < 0 {
			dst = append(dst, text...)
			return append(dst, 0, 0)
		}
		dst = append(append(dst, text[:zero]...), 0, 255)
		text = text[zero+1:]
	}
}

// appendNumberKey is by value: 1.50 and 15e-1 have the same.
func appendNumberKey(dst []byte, text string) []byte {
	negative := strings.HasPrefix(text, "-")
	text = strings.TrimLeft(text, "+-")
	exponent := 0
	if e := strings.IndexAny(text, "eE"); e >= 0 {
		exponent = exponentOf(text[e+1:])
		text = text[:e]
	}
	whole, fraction, _ := strings.Cut(text, ".")
	point := len(whole) + exponent // the digits before it
	digits := whole + fraction
	trimmed := strings.TrimLeft(digits, "0")
	point -= len(digits) - len(trimmed)
	trimmed = strings.TrimRight(trimmed, "0")
	if trimmed == "" {
		return append(dst, 1)
	}
	from := len(dst) + 1
	dst = binary.BigEndian.AppendUint16(append(dst, 2), uint16(min(max(point, -1<<14), 1<<14)+1<<15))
	dst = append(append(dst, trimmed...), 0)
	if negative {
		dst[from-1] = 0
		turn(dst[from:])
	}
	return dst
}

// exponentOf reads an exponent, of which only as much counts as a number may have.
func exponentOf(text string) int {
	negative := strings.HasPrefix(text, "-")
	n := 0
	for _, c := range []byte(strings.TrimLeft(text, "+-")) {
		if n = 10*n + int(c-'0'); n > 1<<14 {
			break
		}
	}
	if negative {
		return -n
	}
	return n
}

// Candidates appends to at the selected rows of [lo, hi) whose first column does not
// come after that of the key worst; nil selects all, and without a worst key
// every row may be one.
func (k *SortKeys) Candidates(at []int32, selected Bitmap, lo, hi int, worst []byte) []int32 {
	c := &k.columns[0]
	begin := len(at)
	switch {
	case worst == nil:
		for row := lo; row < hi; row++ {
			at = append(at, int32(row))
		}
	case c.ints != nil && c.array.NullN() == 0:
		limit, none := c.limit(worst)
		if none {
			return at
		}
		flip := uint64(1 << 63)
		if c.descending {
			flip = ^flip
		}
		for i, v := range c.ints[lo:hi] {
			if uint64(v)^flip <= limit {
				at = append(at, int32(lo+i))
			}
		}
	case c.doubles != nil && c.array.NullN() == 0:
		limit, none := c.limit(worst)
		if none {
			return at
		}
		flip := uint64(0)
		if c.descending {
			flip = ^flip
		}
		for i, v := range c.doubles[lo:hi] {
			if orderedBits(v)^flip <= limit {
				at = append(at, int32(lo+i))
			}
		}
	case c.codes != nil && c.texts.Len() <= hi-lo:
		at = k.byCode(at, selected, lo, hi, worst)
		return at
	default:
		for row := lo; row < hi; row++ {
			if selected != nil && !selected.Has(row) {
				continue
			}
			k.scratch = c.append(k.scratch[:0], row)
			if bytes.Compare(k.scratch, worst) <= 0 {
				at = append(at, int32(row))
			}
		}
		return at
	}
	if selected == nil {
		return at
	}
	kept := at[:begin]
	for _, row := range at[begin:] {
		if selected.Has(int(row)) {
			kept = append(kept, row)
		}
	}
	return kept
}

// limit is the greatest number, as a key has it, of a value that does not come after
// the key worst; none does if none is set.
func (c *keyColumn) limit(worst []byte) (limit uint64, none bool) {
	flag := byte(1)
	if c.descending {
		flag = ^flag
	}
	switch {
	case worst[0] > flag:
		return math.MaxUint64, false
	case worst[0] < flag:
		return 0, true
	}
	return binary.BigEndian.Uint64(worst[1:]), false
}

// byCode compares each value of a dictionary once.
func (k *SortKeys) byCode(at []int32, selected Bitmap, lo, hi int, worst []byte) []int32 {
	const unknown, yes, no = 0, 1, 2
	c := &k.columns[0]
	k.verdict = append(k.verdict[:0], make([]int8, c.texts.Len())...)
	for row := lo; row < hi; row++ {
		if selected != nil && !selected.Has(row) {
			continue
		}
		if c.array.IsNull(row) {
			k.scratch = c.append(k.scratch[:0], row)
			if bytes.Compare(k.scratch, worst) <= 0 {
				at = append(at, int32(row))
			}
			continue
		}
		v := &k.verdict[c.codes.GetValueIndex(row)]
		if *v == unknown {
			*v = no
			k.scratch = c.append(k.scratch[:0], row)
			if bytes.Compare(k.scratch, worst) <= 0 {
				*v = yes
			}
		}
		if *v == yes {
			at = append(at, int32(row))
		}
	}
	return at
}
