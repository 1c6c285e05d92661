package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/decimal256"
)

// errArrowValue says that a value has no exact form in its column's type.
var errArrowValue = errors.New("a value does not fit its column's type in Arrow")

// appendArrowText appends a value of which MySQL's client would get the text: what comes
// in Arrow is what comes over MySQL's protocol. A date without a year, month or day
// is NULL, as drivers have it.
func appendArrowText(to array.Builder, text []byte) (err error) {
	switch to := to.(type) {
	case *array.Int8Builder:
		return appendArrowInt(to, text)
	case *array.Int16Builder:
		return appendArrowInt(to, text)
	case *array.Int32Builder:
		return appendArrowInt(to, text)
	case *array.Int64Builder:
		return appendArrowInt(to, text)
	case *array.Uint8Builder:
		return appendArrowUint(to, text)
	case *array.Uint16Builder:
		return appendArrowUint(to, text)
	case *array.Uint32Builder:
		return appendArrowUint(to, text)
	case *array.Uint64Builder:
		return appendArrowUint(to, text)
	case *array.Float32Builder:
		v, err := strconv.ParseFloat(string(text), 32)
		to.Append(float32(v))
		return err
	case *array.Float64Builder:
		v, err := strconv.ParseFloat(string(text), 64)
		to.Append(v)
		return err
	case *array.Decimal128Builder:
		t := to.Type().(*arrow.Decimal128Type)
		n, err := arrowDecimal(text, t.Precision, t.Scale)
		if err == nil {
			to.Append(decimal128.FromBigInt(n))
		}
		return err
	case *array.Decimal256Builder:
		t := to.Type().(*arrow.Decimal256Type)
		n, err := arrowDecimal(text, t.Precision, t.Scale)
		if err == nil {
			to.Append(decimal256.FromBigInt(n))
		}
		return err
	case *array.Date32Builder:
		moment, null, err := arrowMoment(text, time.DateOnly)
		if null {
			to.AppendNull()
		} else {
			to.Append(arrow.Date32FromTime(moment))
		}
		return err
	case *array.TimestampBuilder:
		moment, null, err := arrowMoment(text, time.DateTime)
		if null {
			to.AppendNull()
		} else {
			to.Append(arrow.Timestamp(moment.UnixMicro()))
		}
		return err
	case *array.DurationBuilder:
		d, err := arrowDuration(string(text))
		to.Append(arrow.Duration(d.Microseconds()))
		return err
	case *array.StringBuilder:
		if !utf8.Valid(text) {
			return errArrowNoText
		}
		to.BinaryBuilder.Append(text)
	case *array.BinaryBuilder:
		to.Append(text)
	default:
		return fmt.Errorf("%w: %s", errArrowValue, to.Type())
	}
	return nil
}

func appendArrowInt[T int8 | int16 | int32 | int64](to interface{ Append(T) }, text []byte) error {
	v, err := strconv.ParseInt(string(text), 10, 64)
	if err == nil && int64(T(v)) != v {
		err = fmt.Errorf("%w: %s", errArrowValue, text)
	}
	to.Append(T(v))
	return err
}

func appendArrowUint[T uint8 | uint16 | uint32 | uint64](to interface{ Append(T) }, text []byte) error {
	v, err := strconv.ParseUint(string(text), 10, 64)
	if err == nil && uint64(T(v)) != v {
		err = fmt.Errorf("%w: %s", errArrowValue, text)
	}
	to.Append(T(v))
	return err
}

// arrowDecimal is a decimal's number without its point.
func arrowDecimal(text []byte, precision, scale int32) (*big.Int, error) {
	whole, fraction, _ := bytes.Cut(text, []byte("."))
	if len(fraction) > int(scale) {
		if len(bytes.Trim(fraction[scale:], "0")) > 0 {
			return nil, fmt.Errorf("%w: %s has more than %d digits after the point", errArrowValue, text, scale)
		}
		fraction = fraction[:scale]
	}
	digits := string(whole) + string(fraction) + strings.Repeat("0", int(scale)-len(fraction))
	n, ok := new(big.Int).SetString(digits, 10)
	if !ok || len(strings.TrimLeft(digits, "-0")) > int(precision) {
		return nil, fmt.Errorf("%w: %s as a number of %d digits", errArrowValue, text, precision)
	}
	return n, nil
}

// arrowMoment is a date or a moment; null is set for one that there is not.
func arrowMoment(text []byte, layout string) (moment time.Time, null bool, err error) {
	moment, err = time.Parse(layout, string(text))
	if err == nil {
		return moment, false, nil
	}
	const month, day = len("2006-"), len("2006-01-")
	if len(text) >= len(time.DateOnly) && (string(text[month:month+2]) == "00" || string(text[day:day+2]) == "00") {
		return moment, true, nil
	}
	return moment, true, fmt.Errorf("%w: moment %s", errArrowValue, text)
}

// arrowDuration is a TIME, which may be longer than a day and negative.
func arrowDuration(text string) (time.Duration, error) {
	rest, negative := strings.CutPrefix(text, "-")
	hours, rest, ok := strings.Cut(rest, ":")
	minutes, seconds, more := strings.Cut(rest, ":")
	if !ok || !more {
		return 0, fmt.Errorf("%w: time %s", errArrowValue, text)
	}
	d, err := time.ParseDuration(hours + "h" + minutes + "m" + seconds + "s")
	if negative {
		d = -d
	}
	return d, err
}
