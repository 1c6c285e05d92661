package exec

import (
	"fmt"
	"math/big"
	"math/bits"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// intSums adds up bools, integers and decimals exactly: in 128 bits, and in a big
// number what does not fit.
type intSums struct {
	plan    *Plan
	g       *Grouper
	column  int
	scale   int // digits behind the point
	decimal bool
	counts  []int64
	low     []uint64
	high    []int64
	rest    map[uint32]*big.Int
	// units are the decimals' values as integers, by number.
	units []unit
}

type unit struct {
	value int64
	large *big.Int
	// none is set for a text that is no such number; an entry of a dictionary
	// that no row has may be one.
	none bool
}

func (s *intSums) add(r *Rows, lo int, groups []uint32, weights []int64) error {
	if s.column < len(r.vectors) && !s.decimal {
		v := &r.vectors[s.column]
		if err := v.need(); err != nil {
			return err
		}
		if v.Dictionary == nil && v.ints != nil {
			for i, group := range groups {
				if !v.isNull(lo + i) {
					s.addInt(group, v.ints[lo+i], weight(weights, i))
				}
			}
			return nil
		}
	}
	ids, err := s.g.idsOf(r, s.column, lo, len(groups))
	if err != nil {
		return err
	}
	values := s.plan.domains[s.column].all()
	if s.decimal {
		s.readUnits(values)
		for i, group := range groups {
			if ids[i] == nullID {
				continue
			}
			switch u := &s.units[ids[i]]; {
			case u.none:
				return fmt.Errorf("%w: %q is no decimal with %d digits behind the point", ErrArray, values[ids[i]].Text, s.scale)
			case u.large == nil:
				s.addInt(group, u.value, weight(weights, i))
			default:
				s.addLarge(group, u.large, weight(weights, i))
			}
		}
		return nil
	}
	for i, group := range groups {
		if ids[i] != nullID {
			s.addInt(group, int64(values[ids[i]].Bits), weight(weights, i))
		}
	}
	return nil
}

// addInt adds a number so many times.
func (s *intSums) addInt(group uint32, v, times int64) {
	s.counts[group] += times
	if times != 1 {
		high, low := bits.Mul64(uint64(max(v, -v)), uint64(times)) // -MinInt64 is 2^63 as unsigned
		var carry uint64
		if v < 0 {
			s.low[group], carry = bits.Sub64(s.low[group], low, 0)
			s.high[group] -= int64(high + carry)
			return
		}
		s.low[group], carry = bits.Add64(s.low[group], low, 0)
		s.high[group] += int64(high + carry)
		return
	}
	low, carry := bits.Add64(s.low[group], uint64(v), 0)
	s.low[group] = low
	s.high[group] += v>>63 + int64(carry)
}

func (s *intSums) addLarge(group uint32, v *big.Int, times int64) {
	s.counts[group] += times
	if s.rest == nil {
		s.rest = map[uint32]*big.Int{}
	}
	if s.rest[group] == nil {
		s.rest[group] = new(big.Int)
	}
	if times != 1 {
		v = new(big.Int).Mul(v, big.NewInt(times))
	}
	s.rest[group].Add(s.rest[group], v)
}

// readUnits reads the decimals that are new.
func (s *intSums) readUnits(values []catalog.Value) {
	for len(s.units) < len(values) {
		v := values[len(s.units)]
		u := unit{}
		if v.Kind != catalog.KindNull {
			n, ok := scaled(v.Text, s.scale)
			switch {
			case !ok:
				u.none = true
			case n.IsInt64():
				u.value = n.Int64()
			default:
				u.large = n
			}
		}
		s.units = append(s.units, u)
	}
}

// scaled is a decimal's text times ten to the scale, if that is an integer.
func scaled(text string, scale int) (*big.Int, bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	if len(fraction) > scale {
		if strings.Trim(fraction[scale:], "0") != "" {
			return nil, false
		}
		fraction = fraction[:scale]
	}
	return new(big.Int).SetString(whole+fraction+strings.Repeat("0", scale-len(fraction)), 10)
}

func (s *intSums) grow(n int) int64 {
	return grow(&s.counts, n) + grow(&s.low, n) + grow(&s.high, n)
}

func (s *intSums) merge(o accumulator, to []uint32) error {
	other := o.(*intSums)
	for group := range other.counts {
		if group >= len(to) || to[group] == 0 {
			continue
		}
		mine := to[group]
		s.addWords(mine, other.counts[group], other.low[group], other.high[group])
		if large := other.rest[uint32(group)]; large != nil {
			s.addLarge(mine, large, 1)
			s.counts[mine]--
		}
	}
	return nil
}

// addWords adds a sum of so many numbers in 128 bits.
func (s *intSums) addWords(group uint32, count int64, low uint64, high int64) {
	s.counts[group] += count
	sum, carry := bits.Add64(s.low[group], low, 0)
	s.low[group] = sum
	s.high[group] += high + int64(carry)
}

// countOf is how many numbers were added.
func (s *intSums) countOf(group uint32) int64 { return s.counts[group] }

// total is a group's sum.
func (s *intSums) total(group uint32) *big.Int {
	n := new(big.Int).SetInt64(s.high[group])
	n.Lsh(n, 64)
	n.Add(n, new(big.Int).SetUint64(s.low[group]))
	if large := s.rest[group]; large != nil {
		n.Add(n, large)
	}
	return n
}

// small reports whether a group's sum is its low word alone.
func (s *intSums) small(group uint32) bool {
	return s.high[group] == int64(s.low[group])>>63 && s.rest[group] == nil
}

func (s *intSums) result(groups []uint32) (arrow.Array, error) {
	whole := !s.decimal
	for _, group := range groups {
		whole = whole && s.small(group)
	}
	if whole {
		return s.plan.valueArray(catalog.TypeInt, len(groups), func(i int) catalog.Value {
			if s.counts[groups[i]] == 0 {
				return catalog.Null
			}
			return catalog.Int(int64(s.low[groups[i]]))
		})
	}
	return s.plan.valueArray(catalog.TypeDecimal, len(groups), func(i int) catalog.Value {
		if s.counts[groups[i]] == 0 {
			return catalog.Null
		}
		return catalog.Value{Kind: catalog.KindNumber, Text: pointed(s.total(groups[i]), s.scale)}
	})
}

// pointed is an integer's text with a point before its last digits.
func pointed(n *big.Int, scale int) string {
	text := n.String()
	if scale == 0 {
		return text
	}
	sign := ""
	if text[0] == '-' {
		sign, text = "-", text[1:]
	}
	if len(text) <= scale {
		text = strings.Repeat("0", scale+1-len(text)) + text
	}
	return sign + text[:len(text)-scale] + "." + text[len(text)-scale:]
}
