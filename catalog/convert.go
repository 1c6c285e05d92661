package catalog

import (
	"math"
	"strconv"
	"strings"
)

// Convert gives the value that a column of type t shows for a property that
// was sent as v: a KindBool for TypeBool, KindInt for TypeInt and (microseconds
// since 1970) TypeDatetime, KindDouble for TypeDouble, KindNumber for
// TypeDecimal, KindString for TypeString and TypeNull, KindJSON, of any JSON
// text, for TypeJSON. False means NULL: v is null, or says nothing of that type;
// nothing is lost by it, since the properties column has v itself.
//
// Numbers are rounded half away from zero where the type has fewer digits, as
// MySQL does, and never clamped to the type's range: out of range is NULL.
func Convert(v Value, t Type, precision, scale uint8) (Value, bool) {
	if v.Kind == KindNull {
		return Null, false
	}
	c, ok := convert(v, t, precision, scale)
	if !ok {
		return Null, false
	}
	return c, true
}

// convert may give anything beside false.
func convert(v Value, t Type, precision, scale uint8) (Value, bool) {
	switch t {
	case TypeBool:
		return toBool(v)
	case TypeInt:
		return toInt(v)
	case TypeDouble:
		return toDouble(v)
	case TypeString, TypeNull:
		return toString(v), true
	case TypeJSON:
		return toJSON(v), true
	case TypeDatetime:
		return toDatetime(v)
	case TypeDecimal:
		return toDecimal(v, precision, scale)
	}
	return Null, false
}

// toBool takes bools, the numbers 0 and 1, and their words; any other number
// would be true only by a convention that the sender may not share.
func toBool(v Value) (Value, bool) {
	switch v.Kind {
	case KindBool:
		return v, true
	case KindInt, KindDouble, KindNumber:
		d, ok := toDouble(v)
		if !ok || d.Double() != 0 && d.Double() != 1 {
			return Null, false
		}
		return Bool(d.Double() == 1), true
	case KindString:
		s := trimSpace(v.Text)
		switch {
		case s == "1" || strings.EqualFold(s, "true"):
			return Bool(true), true
		case s == "0" || strings.EqualFold(s, "false"):
			return Bool(false), true
		}
	}
	return Null, false
}

func toInt(v Value) (Value, bool) {
	switch v.Kind {
	case KindBool:
		return Int(int64(v.Bits)), true
	case KindInt:
		return v, true
	case KindDouble:
		f := math.Round(v.Double())
		if !(f >= -1<<63 && f < 1<<63) {
			return Null, false
		}
		return Int(int64(f)), true
	case KindNumber, KindString:
		text := trimSpace(v.Text)
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return Int(i), true
		}
		whole, ok := roundDecimal(text, 19, 0)
		if !ok {
			return Null, false
		}
		i, err := strconv.ParseInt(whole, 10, 64)
		return Int(i), err == nil
	}
	return Null, false
}

func toDouble(v Value) (Value, bool) {
	switch v.Kind {
	case KindBool:
		return Double(float64(v.Bits)), true
	case KindInt:
		return Double(float64(v.Int())), true
	case KindDouble:
		return v, true
	case KindNumber, KindString:
		text := trimSpace(v.Text)
		if !isDecimal(text) { // ParseFloat would take words, hexadecimal and underscores
			return Null, false
		}
		f, err := strconv.ParseFloat(text, 64)
		return Double(f), err == nil
	}
	return Null, false
}

// toString gives strings as they are and all else as its JSON text.
func toString(v Value) Value {
	if v.Kind == KindString || v.Kind == KindNumber || v.Kind == KindJSON {
		return String(v.Text)
	}
	return String(jsonText(v))
}

// toJSON gives arrays and objects as they are and scalars as their JSON text.
func toJSON(v Value) Value {
	if v.Kind == KindNumber || v.Kind == KindJSON {
		return JSON(v.Text)
	}
	return JSON(jsonText(v))
}

func toDecimal(v Value, precision, scale uint8) (Value, bool) {
	var text string
	switch v.Kind {
	case KindBool, KindInt, KindDouble:
		if v.Kind == KindBool {
			v.Kind = KindInt
		}
		text = jsonText(v)
	case KindNumber, KindString:
		text = trimSpace(v.Text)
	default:
		return Null, false
	}
	rounded, ok := roundDecimal(text, int(precision), int(scale))
	if !ok {
		return Null, false
	}
	return Value{Kind: KindNumber, Text: rounded}, true
}

func jsonText(v Value) string {
	var stack [32]byte
	return string(v.AppendJSON(stack[:0]))
}

// trimSpace trims the white space that people leave around numbers and dates.
func trimSpace(s string) string { return strings.Trim(s, " \t\r\n") }
