package gateway

import (
	"encoding/binary"
	"math"
	"strconv"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// The appenders of columns whose values need no conversion by the SQL library.

// orNull appends NULL where the array has one.
func (e *rowEncoder) orNull(a arrow.Array, value packetAppender) packetAppender {
	if a.NullN() == 0 {
		return value
	}
	return func(dst []byte, row int) ([]byte, error) {
		if a.IsNull(row) {
			return e.null(dst), nil
		}
		return value(dst, row)
	}
}

func (e *rowEncoder) booleans(a *array.Boolean) packetAppender {
	digit := func(row int) byte {
		if a.Value(row) {
			return 1
		}
		return 0
	}
	if e.binary {
		return e.orNull(a, func(dst []byte, row int) ([]byte, error) { return append(dst, digit(row)), nil })
	}
	return e.orNull(a, func(dst []byte, row int) ([]byte, error) { return append(dst, 1, '0'+digit(row)), nil })
}

func (e *rowEncoder) integers(a *array.Int64) packetAppender {
	values := a.Int64Values()
	if e.binary {
		return e.orNull(a, func(dst []byte, row int) ([]byte, error) {
			return binary.LittleEndian.AppendUint64(dst, uint64(values[row])), nil
		})
	}
	return e.orNull(a, func(dst []byte, row int) ([]byte, error) {
		return appendInteger(dst, values[row]), nil
	})
}

// appendInteger appends an integer as a text with its length.
func appendInteger(dst []byte, n int64) []byte {
	start := len(dst)
	dst = strconv.AppendInt(append(dst, 0), n, 10)
	dst[start] = byte(len(dst) - start - 1)
	return dst
}

// wholes are integers, none less than 0 if the type has no signs, as a BIGINT or as a
// DECIMAL without digits behind the point; nil for another type.
func (e *rowEncoder) wholes(a *array.Int64, t sql.Type) packetAppender {
	switch d, isDecimal := t.(sql.DecimalType); {
	case t == types.Int64 || t == types.Uint64:
		return e.integers(a)
	case isDecimal && d.Scale() == 0: // a text in both protocols
		text := *e
		text.binary = false
		write, binary := text.integers(a), e.binary
		return func(dst []byte, row int) ([]byte, error) {
			if binary && a.IsNull(row) {
				return dst, nil
			}
			return write(dst, row)
		}
	}
	return nil
}

func (e *rowEncoder) doubles(a *array.Float64) packetAppender {
	values, projected := a.Float64Values(), e.layout.projected
	value := func(row int) float64 {
		if projected && values[row] == 0 {
			return 0 // and not -0
		}
		return values[row]
	}
	if e.binary {
		return e.orNull(a, func(dst []byte, row int) ([]byte, error) {
			return binary.LittleEndian.AppendUint64(dst, math.Float64bits(value(row))), nil
		})
	}
	return e.orNull(a, func(dst []byte, row int) ([]byte, error) {
		start := len(dst)
		dst = appendDouble(append(dst, 0), value(row))
		dst[start] = byte(len(dst) - start - 1)
		return dst, nil
	})
}

func (e *rowEncoder) texts(a *array.String) packetAppender {
	return e.orNull(a, func(dst []byte, row int) ([]byte, error) { return appendCounted(dst, a.Value(row)), nil })
}

// The moments that are printed here; the SQL library knows what to make of others.
var (
	firstMoment = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	lastMoment  = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC).UnixMicro()
)

func (e *rowEncoder) datetimes(a *array.Timestamp, t sql.Type) packetAppender {
	values := a.TimestampValues()
	var day dayText
	return e.orNull(a, func(dst []byte, row int) ([]byte, error) {
		micros := int64(values[row])
		switch {
		case micros < firstMoment || micros > lastMoment:
			return e.appendSQL(e.ctx, dst, t, time.UnixMicro(micros).UTC())
		case e.binary:
			return day.appendBinary(dst, micros), nil
		}
		return day.appendText(dst, micros), nil
	})
}

// Microseconds.
const (
	microSecond = 1_000_000
	microMinute = 60 * microSecond
	microHour   = 60 * microMinute
	microDay    = 24 * microHour
)

// dayText is the last day that was printed: neighbours are often of the same.
type dayText struct {
	start int64 // in microseconds since 1970
	text  [10]byte
	year  uint16
	month byte
	day   byte
}

// at makes d the day of a moment, and gives the microseconds since its start.
func (d *dayText) at(micros int64) int64 {
	since := micros - d.start
	if d.year != 0 && since >= 0 && since < microDay {
		return since
	}
	year, month, day := time.UnixMicro(micros).UTC().Date()
	d.year, d.month, d.day = uint16(year), byte(month), byte(day)
	d.text = [10]byte{'0' + byte(year/1000), '0' + byte(year/100%10), '0' + byte(year/10%10), '0' + byte(year%10), '-',
		'0' + byte(month/10), '0' + byte(month%10), '-', '0' + byte(day/10), '0' + byte(day%10)}
	if since = micros % microDay; since < 0 {
		since += microDay
	}
	d.start = micros - since
	return since
}

// appendText appends 2006-01-02 15:04:05.000000.
func (d *dayText) appendText(dst []byte, micros int64) []byte {
	since := d.at(micros)
	rest := uint32(since % microSecond)
	seconds := uint32(since / microSecond)
	hour, minute, second := byte(seconds/3600), byte(seconds/60%60), byte(seconds%60)
	dst = append(append(dst, 26), d.text[:]...)
	return append(dst, ' ', '0'+hour/10, '0'+hour%10, ':', '0'+minute/10, '0'+minute%10, ':', '0'+second/10, '0'+second%10, '.',
		'0'+byte(rest/100000), '0'+byte(rest/10000%10), '0'+byte(rest/1000%10), '0'+byte(rest/100%10), '0'+byte(rest/10%10), '0'+byte(rest%10))
}

// appendBinary appends length, year (2), month, day, hour, minute, second and
// microseconds (4).
func (d *dayText) appendBinary(dst []byte, micros int64) []byte {
	since := d.at(micros)
	seconds := uint32(since / microSecond)
	dst = append(dst, 11, byte(d.year), byte(d.year>>8), d.month, d.day, byte(seconds/3600), byte(seconds/60%60), byte(seconds%60))
	return binary.LittleEndian.AppendUint32(dst, uint32(since%microSecond))
}
