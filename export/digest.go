package export

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/zeebo/xxh3"
)

// Digest is the sum, modulo 2^128, of the XXH3 hashes of rows, so that it depends on
// which rows there are and not on their order. A row is hashed as its values, one after
// the other:
//
//	NULL      0x00
//	number    0x01, then 8 bytes, little endian: integers (also dates, moments and
//	          durations, in their unit) extended to 64 bits, floats as the bits of a double
//	decimal   0x01, then 16 or 32 bytes, little endian, of the number without its point
//	text      0x01, its length as a uvarint, its bytes; so are binary values
type Digest struct{ Lo, Hi uint64 }

// Add adds two digests.
func (d Digest) Add(o Digest) Digest {
	lo, carry := bits.Add64(d.Lo, o.Lo, 0)
	hi, _ := bits.Add64(d.Hi, o.Hi, carry)
	return Digest{lo, hi}
}

// String is the digest in 32 hexadecimal digits.
func (d Digest) String() string { return fmt.Sprintf("%016x%016x", d.Hi, d.Lo) }

// valueAppender appends a row's value as a Digest has it; nulls are not its business.
type valueAppender func(dst []byte, row int) []byte

// digestOf is the digest of a record's rows.
func digestOf(r arrow.Record) (sum Digest, err error) {
	columns := make([]valueAppender, r.NumCols())
	for i, c := range r.Columns() {
		if columns[i], err = appenderOf(c); err != nil {
			return sum, fmt.Errorf("%w: column %s: %w", ErrFormat, r.ColumnName(i), err)
		}
	}
	var buffer []byte
	for row := range int(r.NumRows()) {
		buffer = buffer[:0]
		for i, c := range r.Columns() {
			if c.IsNull(row) || columns[i] == nil {
				buffer = append(buffer, 0)
				continue
			}
			buffer = columns[i](append(buffer, 1), row)
		}
		h := xxh3.Hash128(buffer)
		sum = sum.Add(Digest{h.Lo, h.Hi})
	}
	return sum, nil
}

// appenderOf is how a column's values are appended; nil for one of NULLs.
func appenderOf(a arrow.Array) (valueAppender, error) {
	switch a := a.(type) {
	case *array.Null:
		return nil, nil
	case *array.Boolean:
		return number(func(row int) uint64 {
			if a.Value(row) {
				return 1
			}
			return 0
		}), nil
	case *array.Int8:
		return number(func(row int) uint64 { return uint64(int64(a.Value(row))) }), nil
	case *array.Int16:
		return number(func(row int) uint64 { return uint64(int64(a.Value(row))) }), nil
	case *array.Int32:
		return number(func(row int) uint64 { return uint64(int64(a.Value(row))) }), nil
	case *array.Int64:
		return number(func(row int) uint64 { return uint64(a.Value(row)) }), nil
	case *array.Uint8:
		return number(func(row int) uint64 { return uint64(a.Value(row)) }), nil
	case *array.Uint16:
		return number(func(row int) uint64 { return uint64(a.Value(row)) }), nil
	case *array.Uint32:
		return number(func(row int) uint64 { return uint64(a.Value(row)) }), nil
	case *array.Uint64:
		return number(a.Value), nil
	case *array.Float32:
		return number(func(row int) uint64 { return math.Float64bits(float64(a.Value(row))) }), nil
	case *array.Float64:
		return number(func(row int) uint64 { return math.Float64bits(a.Value(row)) }), nil
	case *array.Date32:
		return number(func(row int) uint64 { return uint64(int64(a.Value(row))) }), nil
	case *array.Timestamp:
		return number(func(row int) uint64 { return uint64(a.Value(row)) }), nil
	case *array.Duration:
		return number(func(row int) uint64 { return uint64(a.Value(row)) }), nil
	case *array.Decimal128:
		return func(dst []byte, row int) []byte {
			v := a.Value(row)
			dst = binary.LittleEndian.AppendUint64(dst, v.LowBits())
			return binary.LittleEndian.AppendUint64(dst, uint64(v.HighBits()))
		}, nil
	case *array.Decimal256:
		return func(dst []byte, row int) []byte {
			for _, part := range a.Value(row).Array() {
				dst = binary.LittleEndian.AppendUint64(dst, part)
			}
			return dst
		}, nil
	case *array.String:
		return func(dst []byte, row int) []byte {
			v := a.Value(row)
			return append(binary.AppendUvarint(dst, uint64(len(v))), v...)
		}, nil
	case *array.Binary:
		return func(dst []byte, row int) []byte {
			v := a.Value(row)
			return append(binary.AppendUvarint(dst, uint64(len(v))), v...)
		}, nil
	}
	return nil, fmt.Errorf("%s has no place in a file", a.DataType())
}

func number(value func(row int) uint64) valueAppender {
	return func(dst []byte, row int) []byte { return binary.LittleEndian.AppendUint64(dst, value(row)) }
}
