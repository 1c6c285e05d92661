package exec

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// newSums makes the accumulator of a sum or of a deviation.
func newSums(p *Plan, g *Grouper, a *Aggregate, t catalog.Type) accumulator {
	if a.Op != AggSum {
		return &deviations{plan: p, g: g, column: a.Args[0], typ: t, op: a.Op}
	}
	if t == catalog.TypeDouble {
		return &doubleSums{plan: p, g: g, column: a.Args[0]}
	}
	_, _, scale := p.Fragment.ColumnType(a.Args[0])
	if t != catalog.TypeDecimal {
		scale = 0
	}
	return &intSums{plan: p, g: g, column: a.Args[0], scale: int(scale), decimal: t == catalog.TypeDecimal}
}

// doubleSums adds up doubles. A number that is the double nearest to a decimal with
// at most six digits behind the point, as prices are, is added as that decimal, in
// whole millionths; any other as the exact number that it is. So the sum follows
// from the numbers alone, not from their order, and is rounded once.
type doubleSums struct {
	plan   *Plan
	g      *Grouper
	column int
	small  []smallSum
	// large are the millionths that have left small, other the exact sums of what
	// is no such decimal.
	large map[uint32]*big.Int
	other []exactSum
	// units are the values in millionths, by number, as long as all are such.
	units   []int64
	someOdd bool
	// codeUnits are those of a dictionary's codes.
	codeUnits []int64
	codesOf   any
	pending   int64
}

// smallSum is a sum of millionths, and how many numbers there were.
type smallSum struct{ sum, count int64 }

const (
	million = 1e6
	// maxUnit bounds the millionths of one number, so that maxPending of them fit
	// in 63 bits.
	maxUnit    = 1 << 43
	maxPending = 1 << 19
)

// millionths is a number in whole millionths, if it is such a decimal.
func millionths(f float64) (int64, bool) {
	unit := math.Round(f * million)
	if math.Abs(unit) < maxUnit && unit/million == f {
		return int64(unit), true
	}
	return 0, false
}

func (s *doubleSums) add(r *Rows, lo int, groups []uint32, weights []int64) error {
	if s.column < len(r.vectors) {
		v := &r.vectors[s.column]
		if err := v.need(); err != nil {
			return err
		}
		if v.Dictionary == nil {
			for i, group := range groups {
				if !v.isNull(lo + i) {
					s.addValue(group, v.doubles[lo+i], weight(weights, i))
				}
			}
			s.settle(len(groups))
			return nil
		}
	}
	if weights == nil {
		if done, err := s.addCoded(r, lo, groups); done || err != nil {
			return err
		}
	}
	ids, err := s.g.idsOf(r, s.column, lo, len(groups))
	if err != nil {
		return err
	}
	values := s.plan.domains[s.column].all()
	s.readUnits(values)
	if weights == nil && !s.someOdd {
		for i, group := range groups {
			id := ids[i]
			one := int64(1)
			if id == nullID {
				one = 0
			}
			t := &s.small[group]
			t.sum += s.units[id]
			t.count += one
		}
		s.settle(len(groups))
		return nil
	}
	for i, group := range groups {
		if id := ids[i]; id != nullID {
			s.addValue(group, values[id].Double(), weight(weights, i))
		}
	}
	s.settle(len(groups))
	return nil
}

// addCoded adds the rows of a column with codes of two bytes, as measures mostly
// have, straight from the codes; where many rows have no value only those that
// have one are looked at.
func (s *doubleSums) addCoded(r *Rows, lo int, groups []uint32) (done bool, err error) {
	if s.column >= len(r.vectors) {
		return false, nil
	}
	v := &r.vectors[s.column]
	if v.Dictionary == nil || v.codes16 == nil || v.Dictionary.Len == 0 {
		return false, nil
	}
	if s.codesOf != v.Dictionary.id || len(s.codeUnits) < v.Dictionary.Len {
		numbers, err := r.translated(s.column, v.Dictionary)
		if err != nil {
			return false, err
		}
		s.readUnits(s.plan.domains[s.column].all())
		s.codesOf, s.codeUnits = v.Dictionary.id, s.codeUnits[:0]
		for _, id := range numbers {
			s.codeUnits = append(s.codeUnits, s.units[id])
		}
	}
	if s.someOdd {
		return false, nil
	}
	codes, small, units := v.codes16[lo:lo+len(groups)], s.small, s.codeUnits
	if v.valid == nil {
		for i, group := range groups {
			t := &small[group]
			t.sum += units[uint16(codes[i])]
			t.count++
		}
		s.settle(len(groups))
		return true, nil
	}
	for w := 0; w < len(groups); w += 64 {
		word := v.validWord(lo + w)
		if rest := len(groups) - w; rest < 64 {
			word &= 1<<rest - 1
		}
		for ; word != 0; word &= word - 1 {
			i := w + trailing(word)
			t := &small[groups[i]]
			t.sum += units[uint16(codes[i])]
			t.count++
		}
	}
	s.settle(len(groups))
	return true, nil
}

// addValue adds a number so many times.
func (s *doubleSums) addValue(group uint32, f float64, times int64) {
	t := &s.small[group]
	t.count += times
	unit, ok := millionths(f)
	switch {
	case !ok:
		s.other[group].addTimes(f, uint64(times))
	case times == 1:
		t.sum += unit
	default:
		s.addLarge(group, new(big.Int).Mul(big.NewInt(unit), big.NewInt(times)))
	}
}

// readUnits reads the values that are new.
func (s *doubleSums) readUnits(values []catalog.Value) {
	for len(s.units) < len(values) {
		v := values[len(s.units)]
		unit, ok := int64(0), true
		if v.Kind != catalog.KindNull {
			unit, ok = millionths(v.Double())
		}
		s.units = append(s.units, unit)
		s.someOdd = s.someOdd || !ok
	}
}

// settle moves sums on before they can overflow.
func (s *doubleSums) settle(rows int) {
	if s.pending += int64(rows); s.pending <= maxPending {
		return
	}
	s.pending = 0
	for group := range s.small {
		if t := &s.small[group]; t.sum > 1<<61 || t.sum < -1<<61 {
			s.addLarge(uint32(group), big.NewInt(t.sum))
			t.sum = 0
		}
	}
}

func (s *doubleSums) addLarge(group uint32, v *big.Int) {
	if s.large == nil {
		s.large = map[uint32]*big.Int{}
	}
	if s.large[group] == nil {
		s.large[group] = new(big.Int)
	}
	s.large[group].Add(s.large[group], v)
}

func (s *doubleSums) grow(n int) int64 { return grow(&s.small, n) + grow(&s.other, n) }

func (s *doubleSums) merge(o accumulator, to []uint32) error {
	other := o.(*doubleSums)
	for group := range other.small {
		if group >= len(to) || to[group] == 0 {
			continue
		}
		mine := to[group]
		s.addSmall(mine, other.small[group])
		if large := other.large[uint32(group)]; large != nil {
			s.addLarge(mine, large)
		}
		s.other[mine].merge(&other.other[group])
	}
	return nil
}

// addSmall adds another small sum to a group's.
func (s *doubleSums) addSmall(group uint32, o smallSum) {
	t := &s.small[group]
	t.count += o.count
	if t.sum < 1<<61 && t.sum > -1<<61 && o.sum < 1<<61 && o.sum > -1<<61 {
		t.sum += o.sum
	} else {
		s.addLarge(group, big.NewInt(o.sum))
	}
}

// of is a group's sum: of the millionths and of the rest, rounded once.
func (s *doubleSums) of(group uint32) float64 {
	whole := big.NewInt(s.small[group].sum)
	if large := s.large[group]; large != nil {
		whole.Add(whole, large)
	}
	other := &s.other[group]
	if other.zero() {
		f, _ := new(big.Rat).SetFrac(whole, big.NewInt(million)).Float64()
		return f
	}
	if other.special != 0 {
		return other.special
	}
	exact, _ := other.exact().Rat(nil)
	f, _ := exact.Add(exact, new(big.Rat).SetFrac(whole, big.NewInt(million))).Float64()
	return f
}

func (s *doubleSums) result(groups []uint32) (arrow.Array, error) {
	out := make([]float64, len(groups))
	var valid []byte
	for i, group := range groups {
		if err := s.plan.ended(i); err != nil {
			return nil, err
		}
		if s.small[group].count == 0 {
			valid = unset(valid, len(groups), i)
			continue
		}
		out[i] = s.of(group)
	}
	return doubleArray(out, valid), nil
}

// countOf is how many numbers were added.
func (s *doubleSums) countOf(group uint32) int64 { return s.small[group].count }

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

// deviations is a variance or a standard deviation: from the exact sums of the
// numbers and of their squares.
type deviations struct {
	plan    *Plan
	g       *Grouper
	column  int
	typ     catalog.Type
	op      AggregateOp
	counts  []int64
	sums    []exactSum
	squares []exactSum
}

func (d *deviations) add(r *Rows, lo int, groups []uint32, weights []int64) error {
	ids, err := d.g.idsOf(r, d.column, lo, len(groups))
	if err != nil {
		return err
	}
	values := d.plan.domains[d.column].all()
	for i, group := range groups {
		if ids[i] == nullID {
			continue
		}
		x, ok := doubleOf(values[ids[i]])
		if !ok {
			continue
		}
		w := weight(weights, i)
		d.counts[group] += w
		d.sums[group].addTimes(x, uint64(w))
		// The square is the product and what rounding took off it.
		square := x * x
		d.squares[group].addTimes(square, uint64(w))
		d.squares[group].addTimes(math.FMA(x, x, -square), uint64(w))
	}
	return nil
}

// doubleOf is a number as a double.
func doubleOf(v catalog.Value) (float64, bool) {
	switch v.Kind {
	case catalog.KindBool, catalog.KindInt:
		return float64(v.Int()), true
	case catalog.KindDouble:
		return v.Double(), true
	case catalog.KindNumber:
		if r, ok := parseNumber(v.Text); ok {
			f, _ := r.Float64()
			return f, true
		}
	}
	return 0, false
}

func (d *deviations) grow(n int) int64 {
	return grow(&d.counts, n) + grow(&d.sums, n) + grow(&d.squares, n)
}

func (d *deviations) merge(o accumulator, to []uint32) error {
	other := o.(*deviations)
	for group := range other.counts {
		if group < len(to) && to[group] != 0 {
			d.counts[to[group]] += other.counts[group]
			d.sums[to[group]].merge(&other.sums[group])
			d.squares[to[group]].merge(&other.squares[group])
		}
	}
	return nil
}

func (d *deviations) result(groups []uint32) (arrow.Array, error) {
	out := make([]float64, len(groups))
	var valid []byte
	for i, group := range groups {
		var ok bool
		if out[i], ok = d.of(group); !ok {
			valid = unset(valid, len(groups), i)
		}
	}
	return doubleArray(out, valid), nil
}

// of is (Σx² - (Σx)²/n) / n, or / (n-1) for a sample.
func (d *deviations) of(group uint32) (float64, bool) {
	n := d.counts[group]
	sample := d.op == AggVarSamp || d.op == AggStdSamp
	if n == 0 || sample && n == 1 {
		return 0, false
	}
	if special := d.sums[group].special + d.squares[group].special; special != 0 {
		return math.NaN(), true
	}
	sum, squares := d.sums[group].exact(), d.squares[group].exact()
	count := new(big.Float).SetPrec(restBits).SetInt64(n)
	mean := new(big.Float).SetPrec(restBits).Mul(sum, sum)
	mean.Quo(mean, count)
	squares.Sub(squares, mean)
	if sample {
		count.SetInt64(n - 1)
	}
	v, _ := squares.Quo(squares, count).Float64()
	if d.op == AggStdPop || d.op == AggStdSamp {
		v = math.Sqrt(max(v, 0))
	}
	return max(v, 0), true
}
