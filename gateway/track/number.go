package track

import "arbor/catalog"

// powers are the powers of ten that a float64 holds exactly and that a number
// of few digits can be divided by.
var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// number reads a number and gives what catalog.Number makes of its literal. The
// usual ones, integers and decimals of up to 15 digits in their shortest form,
// are read here: both the digits and the power of ten are exact in a float64,
// so their quotient is the nearest one, and its shortest form is the literal.
func (s *scanner) number() catalog.Value {
	start := s.i
	i := start
	b := s.b
	negative := b[i] == '-'
	if negative {
		i++
	}
	digits := i
	var n uint64
	for i < len(b) && b[i]-'0' <= 9 {
		n = n*10 + uint64(b[i]-'0')
		i++
	}
	whole := i - digits
	if whole == 0 || whole > 1 && b[digits] == '0' {
		s.i = digits
		if whole > 0 {
			s.fail("a number with a leading zero")
		} else {
			s.failHere("a digit")
		}
		return catalog.Null
	}
	fraction := 0
	if i < len(b) && b[i] == '.' {
		i++
		point := i
		for i < len(b) && b[i]-'0' <= 9 {
			n = n*10 + uint64(b[i]-'0')
			i++
		}
		if fraction = i - point; fraction == 0 {
			s.i = i
			s.failHere("a digit")
			return catalog.Null
		}
	}
	exponent := i < len(b) && b[i]|0x20 == 'e'
	if exponent {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		power := i
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		if i == power {
			s.i = i
			s.failHere("a digit")
			return catalog.Null
		}
	}
	s.i = i
	switch {
	case exponent || whole+fraction > 15:
	case fraction == 0 && (n != 0 || !negative):
		if negative {
			return catalog.Int(-int64(n))
		}
		return catalog.Int(int64(n))
	case fraction > 0 && b[i-1] != '0':
		f := float64(n) / powers[fraction]
		if negative {
			f = -f
		}
		if f >= 1e-6 || f <= -1e-6 {
			return catalog.Double(f)
		}
	}
	return catalog.Number(alias(b[start:i]))
}
