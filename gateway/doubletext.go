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

// appendDouble appends a double as MySQL prints it.
func appendDouble(dst []byte, f float64) []byte {
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
