package exec

import (
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
)

// Vector is a column of some rows as it is computed with: either codes of a
// Dictionary, or values of their own. It aliases the arrays or the file that it
// was made of and holds as long as they do.
type Vector struct {
	// Type is the column's type.
	Type catalog.Type
	// Rows is its length.
	Rows int
	// Dictionary is what codes stand for, nil for a vector of values. Then the
	// codes are in the one of the three that is not nil; where all are nil every
	// code is 0.
	Dictionary *Dictionary
	codes8     []int8
	codes16    []int16
	codes32    []int32

	ints    []int64 // ints and datetimes
	doubles []float64
	bits    []byte // bools
	bitsAt  int
	texts   *array.String

	// valid is the bitmap of rows that are not null, from bit validAt on; nil if
	// none is null.
	valid   []byte
	validAt int

	// bounded says that all values of a vector of moments lie between Least and
	// Greatest; it may then be read later, by load.
	bounded         bool
	least, greatest int64
	load            func() (arrow.Array, error)
	loadCodes       func() (*Dictionary, []int32, error)
	costly          bool // see Costly
	whole           bool // see Whole
	// at reads one value of a vector of moments that is read later.
	at func(row int) int64
	// ends are where the rows of each code end, in a vector whose codes ascend;
	// its own first row is number base there.
	ends []uint32
	base int
	// dictionary is that of codes that are read later, if it is known.
	dictionary *Dictionary
	packed     func(lo, hi int, out []PackedText) error // see Packed
}

// Dictionary is the distinct values of a column in one place, such as a file. The
// same place gives the same Dictionary each time, so that what is known of its
// entries is kept.
type Dictionary struct {
	// Len is the number of entries.
	Len int
	// id tells dictionaries apart; it is kept alive by who remembers it.
	id any
	// values reads the entries.
	values func() (arrow.Array, error)
	// ordered gives them some at a time, if they are texts that ascend; see Ordered.
	ordered TextWalk
}

// TextWalk gives texts some at a time, one behind the other, and where each ends. They
// hold until yield returns.
type TextWalk func(yield func(texts []byte, ends []uint32) error) error

// Ordered says how to read the entries, which are texts that ascend, without holding all
// of them.
func (d *Dictionary) Ordered(walk TextWalk) *Dictionary {
	d.ordered = walk
	return d
}

// NewDictionary makes a dictionary of n entries that are read when they are
// needed. The id is comparable and stands for it.
func NewDictionary(id any, n int, values func() (arrow.Array, error)) *Dictionary {
	return &Dictionary{Len: n, id: id, values: values}
}

// VectorOf is the vector of an array that a column of type t has.
func VectorOf(a arrow.Array, t catalog.Type) (Vector, error) {
	v := Vector{Type: t, Rows: a.Len()}
	if a.NullN() > 0 {
		v.valid, v.validAt = a.NullBitmapBytes(), a.Data().Offset()
	}
	switch x := a.(type) {
	case *array.Int64:
		v.ints = x.Int64Values()
	case *array.Timestamp:
		v.ints = view64(x.TimestampValues())
	case *array.Float64:
		v.doubles = x.Float64Values()
	case *array.Boolean:
		v.bits = []byte{}
		if values := x.Data().Buffers()[1]; values != nil {
			v.bits, v.bitsAt = values.Bytes(), x.Data().Offset()
		}
	case *array.String:
		v.texts = x
	case *array.Dictionary:
		values := x.Dictionary()
		v.Dictionary = &Dictionary{Len: values.Len(), id: x.Data().Dictionary(), values: func() (arrow.Array, error) { return values, nil }}
		switch codes := x.Indices().(type) {
		case *array.Int8:
			v.codes8 = codes.Int8Values()
		case *array.Int16:
			v.codes16 = codes.Int16Values()
		case *array.Int32:
			v.codes32 = codes.Int32Values()
		case *array.Uint8:
			v.codes8 = sameBits[int8](codes.Uint8Values())
		case *array.Uint16:
			v.codes16 = sameBits[int16](codes.Uint16Values())
		case *array.Uint32:
			v.codes32 = sameBits[int32](codes.Uint32Values())
		default:
			return v, fmt.Errorf("%w: dictionary indices of %s", ErrArray, x.Indices().DataType())
		}
	default:
		return v, fmt.Errorf("%w: %s", ErrArray, a.DataType())
	}
	return v, nil
}

// CodedVector is a vector of codes, one a row, of a dictionary; nil codes are all
// 0.
func CodedVector(t catalog.Type, d *Dictionary, codes []int32, rows int) Vector {
	return Vector{Type: t, Rows: rows, Dictionary: d, codes32: codes}
}

// LaterVector is a vector that is read when a value of it is needed.
func LaterVector(t catalog.Type, rows int, load func() (arrow.Array, error)) Vector {
	return Vector{Type: t, Rows: rows, load: load}
}

// LaterCodes is a vector of codes that is read when a value of it is needed.
func LaterCodes(t catalog.Type, rows int, load func() (*Dictionary, []int32, error)) Vector {
	return Vector{Type: t, Rows: rows, loadCodes: load}
}

// Between says of a vector of moments, none null, between which all of them lie.
func (v Vector) Between(least, greatest int64) Vector {
	v.bounded, v.least, v.greatest = true, least, greatest
	return v
}

// need reads a vector that is read later.
func (v *Vector) need() error {
	if load := v.loadCodes; load != nil {
		d, codes, err := load()
		if err != nil {
			return err
		}
		ends, base := v.ends, v.base
		*v = CodedVector(v.Type, d, codes, v.Rows).InRuns(d, ends, base)
		return nil
	}
	if v.load == nil {
		return nil
	}
	a, err := v.load()
	if err != nil {
		return err
	}
	read, err := VectorOf(a, v.Type)
	if err != nil {
		return err
	}
	read.bounded, read.least, read.greatest, read.packed = v.bounded, v.least, v.greatest, v.packed
	*v = read
	return nil
}

// isNull reports whether a row has no value, but for entries that are null.
func (v *Vector) isNull(i int) bool {
	if v.valid == nil {
		return false
	}
	i += v.validAt
	return v.valid[i>>3]>>(i&7)&1 == 0
}

// code is the code of a row.
func (v *Vector) code(i int) int {
	switch {
	case v.codes8 != nil:
		return int(uint8(v.codes8[i]))
	case v.codes16 != nil:
		return int(uint16(v.codes16[i]))
	case v.codes32 != nil:
		return int(v.codes32[i])
	}
	return 0
}

// plain is the value of a row of a vector of values.
func (v *Vector) plain(i int) catalog.Value {
	switch {
	case v.isNull(i):
		return catalog.Null
	case v.ints != nil:
		return catalog.Int(v.ints[i])
	case v.doubles != nil:
		return catalog.Value{Kind: catalog.KindDouble, Bits: doubleBits(v.doubles[i])}
	case v.texts != nil:
		return catalog.Value{Kind: textKind(v.Type), Text: v.texts.Value(i)}
	case v.bits != nil:
		i += v.bitsAt
		return catalog.Bool(v.bits[i>>3]>>(i&7)&1 != 0)
	}
	return catalog.Null
}

// textKind is the kind of values of a type that is stored as text.
func textKind(t catalog.Type) catalog.Kind {
	switch t {
	case catalog.TypeDecimal:
		return catalog.KindNumber
	case catalog.TypeJSON:
		return catalog.KindJSON
	}
	return catalog.KindString
}

// gather is the vector of the rows at positions, in memory of the scratch.
func (v *Vector) gather(at []int32, s *scratch) Vector {
	out := Vector{Type: v.Type, Rows: len(at), Dictionary: v.Dictionary, bounded: v.bounded, least: v.least, greatest: v.greatest}
	if packed := v.packed; packed != nil {
		out.packed = func(lo, hi int, texts []PackedText) error {
			for i := lo; i < hi; i++ {
				row := int(at[i])
				if err := packed(row, row+1, texts[i-lo:i-lo+1]); err != nil {
					return err
				}
			}
			return nil
		}
	}
	if load := v.load; load != nil {
		out.costly = v.costly
		out.load = func() (arrow.Array, error) { return takeAt(load, at) }
		return out
	}
	switch {
	case v.codes8 != nil:
		out.codes8 = gatherInto(s.int8s(len(at)), v.codes8, at)
	case v.codes16 != nil:
		out.codes16 = gatherInto(s.int16s(len(at)), v.codes16, at)
	case v.codes32 != nil:
		out.codes32 = gatherInto(s.int32s(len(at)), v.codes32, at)
	case v.ints != nil:
		out.ints = gatherInto(s.int64s(len(at)), v.ints, at)
	case v.doubles != nil:
		out.doubles = gatherInto(s.float64s(len(at)), v.doubles, at)
	case v.bits != nil:
		out.bits = gatherBits(s.bytes((len(at)+7)/8), v.bits, v.bitsAt, at)
	case v.texts != nil:
		b := array.NewStringBuilder(goMemory)
		b.Reserve(len(at))
		for _, i := range at {
			b.Append(v.texts.Value(int(i)))
		}
		out.texts = b.NewStringArray()
	}
	if v.valid != nil {
		valid, all := gatherValid(s.bytes((len(at)+7)/8), v.valid, v.validAt, at)
		if !all {
			out.valid = valid
		}
	}
	return out
}

// At says how to read one value of a vector of moments, none null, that is read
// later, for those who want few.
func (v Vector) At(at func(row int) int64) Vector {
	v.at = at
	return v
}

// momentOf is one value of a vector of moments that is read, or has At.
func (v *Vector) momentOf(row int) int64 {
	if v.at != nil {
		return v.at(row)
	}
	return v.ints[row]
}

// InRuns says of a vector of ascending codes where the rows of each end: those of
// code k, an entry of d, before ends[k] - base.
func (v Vector) InRuns(d *Dictionary, ends []uint32, base int) Vector {
	v.dictionary, v.ends, v.base = d, ends, base
	return v
}

// runOf is the code of the run that a row is in.
func (v *Vector) runOf(row int) int {
	at, found := slices.BinarySearch(v.ends, uint32(row+v.base))
	if found {
		at++
	}
	return at
}

// Costly says of a vector that is read later that reading makes a text of each row.
func (v Vector) Costly() Vector {
	v.costly = true
	return v
}

// takeAt reads an array and gives the rows at positions.
func takeAt(load func() (arrow.Array, error), at []int32) (arrow.Array, error) {
	a, err := load()
	if err != nil {
		return nil, err
	}
	var runs []Run
	for _, p := range at {
		if n := len(runs); n > 0 && runs[n-1].Hi == int(p) {
			runs[n-1].Hi++
		} else {
			runs = append(runs, Run{int(p), int(p) + 1})
		}
	}
	return new(Taker).Take(a, runs, len(at))
}

func gatherInto[T any](out, from []T, at []int32) []T {
	for i, p := range at {
		out[i] = from[p]
	}
	return out
}

// gatherValid gathers bits, and says whether all are set.
func gatherValid(out, from []byte, offset int, at []int32) ([]byte, bool) {
	for _, p := range at {
		if j := int(p) + offset; from[j>>3]>>(j&7)&1 == 0 {
			return gatherBits(out, from, offset, at), false
		}
	}
	return nil, true
}

func gatherBits(out, from []byte, offset int, at []int32) []byte {
	clear(out)
	for i, p := range at {
		j := int(p) + offset
		out[i>>3] |= (from[j>>3] >> (j & 7) & 1) << (i & 7)
	}
	return out
}
