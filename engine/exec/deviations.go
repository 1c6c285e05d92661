package exec

import (
	"math"
	"math/big"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

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
	if d.column < len(r.vectors) {
		v := &r.vectors[d.column]
		if err := v.need(); err != nil {
			return err
		}
		if v.Dictionary == nil && (v.ints != nil || v.doubles != nil) {
			for i, group := range groups {
				if x, ok := doubleOf(v.plain(lo + i)); ok {
					d.take(group, x, weight(weights, i))
				}
			}
			return nil
		}
	}
	ids, err := d.g.idsOf(r, d.column, lo, len(groups))
	if err != nil {
		return err
	}
	values := d.plan.domains[d.column].all()
	for i, group := range groups {
		if ids[i] == nullID {
			continue
		}
		if x, ok := doubleOf(values[ids[i]]); ok {
			d.take(group, x, weight(weights, i))
		}
	}
	return nil
}

// take adds a number so many times.
func (d *deviations) take(group uint32, x float64, times int64) {
	d.counts[group] += times
	d.sums[group].addTimes(x, uint64(times))
	// The square is the product and what rounding took off it.
	square := x * x
	d.squares[group].addTimes(square, uint64(times))
	d.squares[group].addTimes(math.FMA(x, x, -square), uint64(times))
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
