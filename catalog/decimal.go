package catalog

import "strings"

// decimal is a number's text taken apart: sign, the digits before and after
// the point, and the power of ten.
type decimal struct {
	negative        bool
	whole, fraction string
	exponent        int
}

// maxExponent is where an exponent is taken for endless: far outside any type.
const maxExponent = 100_000

// parseDecimal reads [+-]digits[.digits][(e|E)[+-]digits], with at least one
// digit before or after the point.
func parseDecimal(s string) (d decimal, ok bool) {
	if s != "" && (s[0] == '-' || s[0] == '+') {
		d.negative = s[0] == '-'
		s = s[1:]
	}
	n := digits(s)
	d.whole, s = s[:n], s[n:]
	if s != "" && s[0] == '.' {
		n = digits(s[1:])
		d.fraction, s = s[1:1+n], s[1+n:]
	}
	if d.whole == "" && d.fraction == "" {
		return d, false
	}
	if s == "" {
		return d, true
	}
	if s[0] != 'e' && s[0] != 'E' {
		return d, false
	}
	s = s[1:]
	down := strings.HasPrefix(s, "-")
	if down || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	if s == "" || digits(s) != len(s) {
		return d, false
	}
	for i := 0; i < len(s); i++ {
		d.exponent = min(d.exponent*10+int(s[i]-'0'), maxExponent)
	}
	if down {
		d.exponent = -d.exponent
	}
	return d, true
}

// digits counts the decimal digits that s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}

func isDecimal(s string) bool {
	_, ok := parseDecimal(s)
	return ok
}

// roundDecimal rounds a number's text half away from zero to scale digits after
// the point and writes it with exactly that many. It is false for what is not a
// number and for one with more than precision-scale digits before the point.
func roundDecimal(s string, precision, scale int) (string, bool) {
	d, ok := parseDecimal(s)
	if !ok {
		return "", false
	}
	all := d.whole + d.fraction
	point := len(d.whole) + d.exponent // the point stands before all[point]
	lead := 0
	for lead < len(all) && all[lead] == '0' {
		lead++
	}
	all, point = all[lead:], point-lead
	if all == "" {
		point = 0
	}
	if point > precision-scale {
		return "", false
	}

	// out is the number times 10^scale, rounded.
	keep := point + scale
	var stack [MaxPrecision + 2]byte
	out := append(stack[:0], '0') // room for a carry
	for i := 0; i < keep; i++ {
		if i < len(all) {
			out = append(out, all[i])
		} else {
			out = append(out, '0')
		}
	}
	if keep >= 0 && keep < len(all) && all[keep] >= '5' {
		i := len(out) - 1
		for ; out[i] == '9'; i-- {
			out[i] = '0'
		}
		out[i]++
	}
	return writeDecimal(d.negative, out, precision, scale)
}

// writeDecimal puts sign and point into digits that stand for a number times
// 10^scale.
func writeDecimal(negative bool, digits []byte, precision, scale int) (string, bool) {
	for len(digits) > 0 && digits[0] == '0' {
		digits = digits[1:]
	}
	if len(digits) > precision {
		return "", false
	}
	var stack [MaxPrecision + 4]byte
	text := stack[:0]
	if negative && len(digits) > 0 {
		text = append(text, '-')
	}
	whole := len(digits) - scale
	if whole <= 0 {
		text = append(text, '0')
	} else {
		text = append(text, digits[:whole]...)
	}
	if scale > 0 {
		text = append(text, '.')
		for ; whole < 0; whole++ {
			text = append(text, '0')
		}
		text = append(text, digits[whole:]...)
	}
	return string(text), true
}
