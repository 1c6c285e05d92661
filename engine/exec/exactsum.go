package exec

import (
	"math"
	"math/big"
	"math/bits"
)

// exactSum is the exact sum of floating-point numbers, which does not depend on
// their order: a fixed-point number of 192 bits, in units of 2^-sumScale, and
// what is too large or too fine for it as a big number beside.
type exactSum struct {
	lo, mid uint64
	hi      int64
	rest    *big.Float
	special float64 // infinities and NaNs; 0 as long as there are none
}

const (
	sumScale = 100
	// restBits holds every sum of doubles exactly: 2^1024 down to 2^-1074, and
	// squares of them, times 2^64 summands.
	restBits = 4400
	// maxExponent is that of the numbers that the fixed-point part takes: 2^62 times
	// that still fits.
	maxExponent = 190 - sumScale - 64
)

// addTimes adds a number n times, for n up to 2^62.
func (s *exactSum) addTimes(f float64, n uint64) {
	b := math.Float64bits(f)
	exponent := int(b >> 52 & 0x7ff)
	mantissa := b & (1<<52 - 1)
	if exponent == 0 {
		if mantissa == 0 {
			return
		}
		s.addRest(f, n)
		return
	}
	mantissa |= 1 << 52
	// f is mantissa * 2^(exponent-1075).
	shift := exponent - 1075 + sumScale
	if shift < 0 {
		if zeros := bits.TrailingZeros64(mantissa); zeros >= -shift {
			mantissa >>= uint(-shift)
			shift = 0
		}
	}
	if shift < 0 || exponent-1023 > maxExponent {
		s.addRest(f, n)
		return
	}
	high, low := bits.Mul64(mantissa, n)
	var w0, w1, w2 uint64
	switch {
	case shift >= 128:
		s.addRest(f, n)
		return
	case shift >= 64:
		w1, w2 = low<<(shift-64), high<<(shift-64)|low>>(128-shift)
		if shift == 64 {
			w2 = high
		}
		if shift > 64 && high>>(128-shift) != 0 {
			s.addRest(f, n)
			return
		}
	case shift == 0:
		w0, w1 = low, high
	default:
		w0, w1, w2 = low<<shift, high<<shift|low>>(64-shift), high>>(64-shift)
	}
	if int64(w2) < 0 {
		s.addRest(f, n)
		return
	}
	s.addWords(w0, w1, w2, b>>63 != 0)
}

// addWords adds a fixed-point number. What is about to overflow moves to rest.
func (s *exactSum) addWords(w0, w1, w2 uint64, negative bool) {
	if s.hi > math.MaxInt64/2 || s.hi < math.MinInt64/2 || int64(w2) > math.MaxInt64/2 {
		s.spill()
		if int64(w2) > math.MaxInt64/2 {
			v := wordsFloat(w0, w1, int64(w2))
			if negative {
				v.Neg(v)
			}
			s.rest.Add(s.rest, v)
			return
		}
	}
	var c uint64
	if negative {
		s.lo, c = bits.Sub64(s.lo, w0, 0)
		s.mid, c = bits.Sub64(s.mid, w1, c)
		s.hi -= int64(w2) + int64(c)
		return
	}
	s.lo, c = bits.Add64(s.lo, w0, 0)
	s.mid, c = bits.Add64(s.mid, w1, c)
	s.hi += int64(w2) + int64(c)
}

// addRest adds what the fixed-point part cannot hold.
func (s *exactSum) addRest(f float64, n uint64) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		s.special += f
		return
	}
	s.big()
	v := new(big.Float).SetPrec(restBits).SetFloat64(f)
	if n != 1 {
		v.Mul(v, new(big.Float).SetPrec(restBits).SetUint64(n))
	}
	s.rest.Add(s.rest, v)
}

func (s *exactSum) big() {
	if s.rest == nil {
		s.rest = new(big.Float).SetPrec(restBits)
	}
}

// spill moves the fixed-point part to rest.
func (s *exactSum) spill() {
	s.big()
	s.rest.Add(s.rest, wordsFloat(s.lo, s.mid, s.hi))
	s.lo, s.mid, s.hi = 0, 0, 0
}

// wordsFloat is a fixed-point number in two's complement.
func wordsFloat(w0, w1 uint64, w2 int64) *big.Float {
	i := new(big.Int).SetInt64(w2)
	i.Lsh(i, 64)
	i.Add(i, new(big.Int).SetUint64(w1))
	i.Lsh(i, 64)
	i.Add(i, new(big.Int).SetUint64(w0))
	f := new(big.Float).SetPrec(restBits).SetInt(i)
	return f.SetMantExp(f, -sumScale)
}

// merge adds another sum.
func (s *exactSum) merge(o *exactSum) {
	s.special += o.special
	if o.rest != nil {
		s.big()
		s.rest.Add(s.rest, o.rest)
	}
	if s.hi > math.MaxInt64/2 || s.hi < math.MinInt64/2 || o.hi > math.MaxInt64/2 || o.hi < math.MinInt64/2 {
		s.big()
		s.rest.Add(s.rest, wordsFloat(o.lo, o.mid, o.hi))
		return
	}
	var c uint64
	s.lo, c = bits.Add64(s.lo, o.lo, 0)
	s.mid, c = bits.Add64(s.mid, o.mid, c)
	s.hi += o.hi + int64(c)
}

// exact is the sum.
func (s *exactSum) exact() *big.Float {
	f := wordsFloat(s.lo, s.mid, s.hi)
	if s.rest != nil {
		f.Add(f, s.rest)
	}
	return f
}

// rounded is the nearest double to the sum, which has no rest.
func (s *exactSum) rounded() float64 {
	w0, w1, w2, negative := s.lo, s.mid, uint64(s.hi), s.hi < 0
	if negative {
		var b uint64
		w0, b = bits.Sub64(0, w0, 0)
		w1, b = bits.Sub64(0, w1, b)
		w2, _ = bits.Sub64(0, w2, b)
	}
	length := 0
	switch {
	case w2 != 0:
		length = 128 + bits.Len64(w2)
	case w1 != 0:
		length = 64 + bits.Len64(w1)
	}
	shift, lost := max(length-64, 0), uint64(0) // the first 64 bits decide, with a mark for what is behind them
	scale := shift - sumScale
	for ; shift >= 64; shift -= 64 {
		lost |= w0
		w0, w1, w2 = w1, w2, 0
	}
	if shift > 0 {
		lost |= w0 << (64 - shift)
		w0 = w0>>shift | w1<<(64-shift)
	}
	if lost != 0 {
		w0 |= 1
	}
	f := math.Ldexp(float64(w0), scale)
	if negative {
		return -f
	}
	return f
}

// zero reports whether nothing was added that counts.
func (s *exactSum) zero() bool {
	return s.rest == nil && s.hi == 0 && s.mid == 0 && s.lo == 0 && s.special == 0
}
