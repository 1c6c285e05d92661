package exec

import (
	"math"
	"math/big"

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
	// maxTimes bounds how often a number comes, so that so many of it fit in 61 bits.
	maxTimes = 1 << 17
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
	case times > 0 && times < maxTimes:
		s.addSmall(group, smallSum{sum: unit * times})
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
	if t.sum >= 1<<61 || t.sum <= -1<<61 { // rows may follow, as many as settle lets come together
		s.addLarge(group, big.NewInt(t.sum))
		t.sum = 0
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
