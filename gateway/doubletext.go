package gateway

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// A DOUBLE as a text. MySQL prints the shortest text that reads as the same value, with an
// exponent only where the point would be more than fifteen digits away: 12345678.9, 1e15,
// 1.5e-16. Go's shortest form has an exponent much earlier, and writes it otherwise.

// Doubles from the first bound up to the second are printed without an exponent.
const (
	leastPlainDouble = 1e-15
	pastPlainDouble  = 1e15
)

// pastHundredths bounds the doubles that are tried as a number of hundredths, as prices are.
// That has at most fifteen digits then, and no two such texts are read as the same double, so
// the one that is read as the double is the shortest.
const pastHundredths = 1e13

// appendHundredths appends a double that is no more than a number of hundredths, nil for others
// and for zero, which may have a sign.
func appendHundredths(dst []byte, f float64) []byte {
	a := math.Abs(f)
	if !(a < pastHundredths) {
		return nil
	}
	n := int64(a*100 + 0.5)
	if n == 0 || float64(n)/100 != a {
		return nil
	}
	if f < 0 {
		dst = append(dst, '-')
	}
	dst = strconv.AppendInt(dst, n/100, 10)
	switch rest := byte(n % 100); {
	case rest == 0:
		return dst
	case rest%10 == 0:
		return append(dst, '.', '0'+rest/10)
	default:
		return append(dst, '.', '0'+rest/10, '0'+rest%10)
	}
}

// appendDouble appends a double as MySQL prints it.
func appendDouble(dst []byte, f float64) []byte {
	if short := appendHundredths(dst, f); short != nil {
		return short
	}
	if a := math.Abs(f); a == 0 || a >= leastPlainDouble && a < pastPlainDouble {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if plus := bytes.IndexByte(dst[start:], '+'); plus > 0 {
		dst = append(dst[:start+plus], dst[start+plus+1:]...)
	}
	return dst
}

// doubleText is a double as MySQL prints it.
func doubleText(f float64) string { return string(appendDouble(nil, f)) }

// floatText is a FLOAT as it is printed: all of its digits, so that a dump loses none, where
// MySQL prints six.
func floatText(f float32) string { return doubleOfText(strconv.FormatFloat(float64(f), 'g', -1, 32)) }

// doubleOfText is a text of a double, as Go prints it, as MySQL does.
func doubleOfText(text string) string {
	if !strings.Contains(text, "e") {
		return text
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return text
	}
	return doubleText(f)
}
