package catalog

import (
	"math"
	"strconv"
	"unicode/utf8"
)

// Kind is what a property's value was when it was sent.
type Kind uint8

// The kinds. Their numbers are part of the formats on disk: append only.
const (
	KindNull   Kind = 0 // JSON null, SQL NULL
	KindBool   Kind = 1
	KindInt    Kind = 2 // an integer that fits int64 and was written canonically
	KindDouble Kind = 3 // a number whose shortest form is what was written
	KindNumber Kind = 4 // any other number, kept as the text that was sent
	KindString Kind = 5 // UTF-8
	KindJSON   Kind = 6 // an array or object, compact JSON text
)

// Value is one property's value, exactly as sent: AppendJSON gives back the
// number's own digits, the string, or the array or object without insignificant
// white space. Values are small and are passed by copy; Text may alias a buffer
// of the decoder that made it, which says so.
type Value struct {
	Kind Kind
	// Bits holds a bool (0 or 1), an int64 or the bits of a float64.
	Bits uint64
	// Text holds a number's, string's or JSON value's text.
	Text string
}

// Property is a named value of an event.
type Property struct {
	Name  string
	Value Value
}

// Null is the value of a property sent as null.
var Null = Value{}

// Bool, Int, Double, String and JSON make a Value of their kind. JSON takes
// compact text of an array or object and does not check it.
func Bool(v bool) Value {
	if v {
		return Value{Kind: KindBool, Bits: 1}
	}
	return Value{Kind: KindBool}
}

// Int makes an integer value.
func Int(v int64) Value { return Value{Kind: KindInt, Bits: uint64(v)} }

// Double makes a floating-point value; v must be finite.
func Double(v float64) Value { return Value{Kind: KindDouble, Bits: math.Float64bits(v)} }

// String makes a string value; v must be valid UTF-8.
func String(v string) Value { return Value{Kind: KindString, Text: v} }

// JSON makes an array or object value from compact JSON text.
func JSON(text string) Value { return Value{Kind: KindJSON, Text: text} }

// Number makes the value of a JSON number from its literal: an Int or a Double
// when that gives back the same digits, else the literal itself.
func Number(literal string) Value {
	if i, err := strconv.ParseInt(literal, 10, 64); err == nil {
		if strconv.FormatInt(i, 10) == literal {
			return Int(i)
		}
	} else if f, err := strconv.ParseFloat(literal, 64); err == nil && !math.IsInf(f, 0) && f == f && string(appendDouble(nil, f)) == literal {
		return Double(f)
	}
	return Value{Kind: KindNumber, Text: literal}
}

// Bool, Int and Double read the bits of a value of that kind.
func (v Value) Bool() bool { return v.Bits != 0 }

// Int is the integer of a KindInt value.
func (v Value) Int() int64 { return int64(v.Bits) }

// Double is the number of a KindDouble value.
func (v Value) Double() float64 { return math.Float64frombits(v.Bits) }

// AppendJSON appends the value as JSON text.
func (v Value) AppendJSON(b []byte) []byte {
	switch v.Kind {
	case KindBool:
		return strconv.AppendBool(b, v.Bool())
	case KindInt:
		return strconv.AppendInt(b, v.Int(), 10)
	case KindDouble:
		return appendDouble(b, v.Double())
	case KindNumber, KindJSON:
		return append(b, v.Text...)
	case KindString:
		return AppendJSONString(b, v.Text)
	default:
		return append(b, "null"...)
	}
}

// appendDouble writes the shortest decimal that reads back as f, in the form
// that JavaScript's and Go's JSON encoders use.
func appendDouble(b []byte, f float64) []byte {
	abs := math.Abs(f)
	format := byte('f')
	if abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	b = strconv.AppendFloat(b, f, format, -1, 64)
	if n := len(b); format == 'e' && n >= 4 && b[n-4] == 'e' && b[n-3] == '-' && b[n-2] == '0' {
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b
}

const hexDigits = "0123456789abcdef"

// AppendJSONString appends s as a JSON string. Only quotes, backslashes and
// control characters are escaped; bytes that are not UTF-8 become U+FFFD.
func AppendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[start:i]...), "\ufffd"...)
				start = i + size
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		case '\b':
			b = append(b, '\\', 'b')
		case '\f':
			b = append(b, '\\', 'f')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	return append(append(b, s[start:]...), '"')
}
