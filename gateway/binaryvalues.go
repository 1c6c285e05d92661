package gateway

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/dolthub/vitess/go/sqltypes"
)

// appendBinary appends a value that is not NULL in the binary protocol, exactly as
// the protocol library does.
func appendBinary(dst []byte, v sqltypes.Value) ([]byte, error) {
	text := v.ToString()
	switch v.Type() {
	case sqltypes.Int8:
		return appendWhole(dst, text, 1, true)
	case sqltypes.Uint8:
		return appendWhole(dst, text, 1, false)
	case sqltypes.Int16, sqltypes.Year:
		return appendWhole(dst, text, 2, true)
	case sqltypes.Uint16:
		return appendWhole(dst, text, 2, false)
	case sqltypes.Int24, sqltypes.Int32:
		return appendWhole(dst, text, 4, true)
	case sqltypes.Uint24, sqltypes.Uint32:
		return appendWhole(dst, text, 4, false)
	case sqltypes.Int64:
		return appendWhole(dst, text, 8, true)
	case sqltypes.Uint64:
		return appendWhole(dst, text, 8, false)
	case sqltypes.Float32:
		f, err := strconv.ParseFloat(text, 32)
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(f))), err
	case sqltypes.Float64:
		f, err := strconv.ParseFloat(text, 64)
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f)), err
	case sqltypes.Timestamp, sqltypes.Date, sqltypes.Datetime:
		return appendBinaryMoment(dst, text)
	case sqltypes.Time:
		return appendBinaryTime(dst, text)
	case sqltypes.Decimal, sqltypes.Text, sqltypes.Blob, sqltypes.VarChar, sqltypes.VarBinary, sqltypes.Char, sqltypes.Bit,
		sqltypes.Enum, sqltypes.Set, sqltypes.Geometry, sqltypes.Binary, sqltypes.TypeJSON, sqltypes.Vector:
		return appendCounted(dst, text), nil
	}
	return append(dst, text...), nil
}

// appendWhole appends a whole number of size bytes.
func appendWhole(dst []byte, text string, size int, signed bool) ([]byte, error) {
	var bits uint64
	if signed {
		i, err := strconv.ParseInt(text, 10, 8*size)
		if err != nil {
			return dst, err
		}
		bits = uint64(i)
	} else {
		u, err := strconv.ParseUint(text, 10, 8*size)
		if err != nil {
			return dst, err
		}
		bits = u
	}
	for range size {
		dst = append(dst, byte(bits))
		bits >>= 8
	}
	return dst, nil
}

// digits reads decimal numbers, and remembers the first error.
type digits struct{ err error }

func (d *digits) read(s string, bits int) uint64 {
	n, err := strconv.ParseUint(s, 10, bits)
	if d.err == nil {
		d.err = err
	}
	return n
}

// micros reads the digits after the point of a second.
func (d *digits) micros(s string) uint32 {
	const places = 6
	s = s[:min(len(s), places)]
	return uint32(d.read(s+"000000"[:places-len(s)], 32))
}

// appendBinaryMoment appends 2006-01-02, 2006-01-02 15:04:05 or that with digits
// after the point.
func appendBinaryMoment(dst []byte, s string) ([]byte, error) {
	const day, second = len("2006-01-02"), len("2006-01-02 15:04:05")
	if len(s) == 0 {
		return append(dst, 0), nil
	}
	if len(s) < day || len(s) > day && len(s) < second {
		return dst, fmt.Errorf("moment %q", s)
	}
	var d digits
	year := d.read(s[:4], 16)
	date := []byte{byte(year), byte(year >> 8), byte(d.read(s[5:7], 8)), byte(d.read(s[8:10], 8))}
	if len(s) == day {
		return append(append(dst, 4), date...), d.err
	}
	clock := []byte{byte(d.read(s[11:13], 8)), byte(d.read(s[14:16], 8)), byte(d.read(s[17:19], 8))}
	if len(s) == second {
		return append(append(append(dst, 7), date...), clock...), d.err
	}
	dst = append(append(append(dst, 11), date...), clock...)
	return binary.LittleEndian.AppendUint32(dst, d.micros(s[second+1:])), d.err
}

// appendBinaryTime appends -838:59:59, with digits after the point or without.
func appendBinaryTime(dst []byte, s string) ([]byte, error) {
	if s == "00:00:00" {
		return append(dst, 0), nil
	}
	parts := strings.Split(s, ":")
	if len(parts) != 3 {
		return dst, errors.New("time without ':'")
	}
	hours, negative := strings.CutPrefix(parts[0], "-")
	second, fraction, exact := strings.Cut(parts[2], ".")
	var d digits
	size, sign := byte(8), byte(0)
	if exact {
		size = 12
	}
	if negative {
		sign = 1
	}
	h := uint32(d.read(hours, 32))
	dst = binary.LittleEndian.AppendUint32(append(dst, size, sign), h/24)
	dst = append(dst, byte(h%24), byte(d.read(parts[1], 8)), byte(d.read(second, 8)))
	if exact {
		dst = binary.LittleEndian.AppendUint32(dst, d.micros(fraction))
	}
	return dst, d.err
}
