package exec

import (
	"errors"
	"math"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// TestRanksKeepTheOrder: the rank of a number tells it from others as the number does,
// and gives it back.
func TestRanksKeepTheOrder(t *testing.T) {
	ints := []int64{math.MinInt64, math.MinInt64 + 1, -1, 0, 1, math.MaxInt64 - 1, math.MaxInt64}
	doubles := []float64{-math.MaxFloat64, -1.5, -math.SmallestNonzeroFloat64, 0, math.SmallestNonzeroFloat64, 1.5, math.MaxFloat64}
	for _, flip := range []uint64{0, math.MaxUint64} {
		x := &numberExtremes{typ: catalog.TypeInt, flip: flip, best: make([]uint64, 2), some: make([]bool, 2)}
		for i, v := range ints {
			if i > 0 && (intRank(v) <= intRank(ints[i-1])) {
				t.Errorf("rank of %d is not above that of %d", v, ints[i-1])
			}
			x.best[1], x.some[1] = x.rank(catalog.Int(v)), true
			if got := x.valueOf(1); got.Int() != v {
				t.Errorf("value of the rank of %d is %d", v, got.Int())
			}
		}
		x.typ = catalog.TypeDouble
		for i, v := range doubles {
			if i > 0 && (doubleRank(v) <= doubleRank(doubles[i-1])) {
				t.Errorf("rank of %g is not above that of %g", v, doubles[i-1])
			}
			x.best[1], x.some[1] = x.rank(catalog.Double(v)), true
			if got := x.valueOf(1); got.Double() != v {
				t.Errorf("value of the rank of %g is %g", v, got.Double())
			}
		}
	}
	if doubleRank(math.Copysign(0, -1)) != doubleRank(0) {
		t.Error("-0 is not 0")
	}
}

// TestExtremesReadNoMoreThanTheyNeed: moments that lie between bounds which cannot be
// better are not read; those that may be are.
func TestExtremesReadNoMoreThanTheyNeed(t *testing.T) {
	unread := errors.New("was read")
	for _, c := range []struct {
		op             AggregateOp
		least, greater int64
		read           bool
	}{
		{AggMin, 5, 9, false}, {AggMin, 4, 9, true}, {AggMax, 1, 5, false}, {AggMax, 1, 6, true},
	} {
		f := &Fragment{Columns: []Column{{Source: SourceTime}}, Group: &Group{Aggregates: []Aggregate{{Op: c.op, Args: []int{0}}}}}
		p, err := NewPlan(f, Options{})
		if err != nil {
			t.Fatal(err)
		}
		g, err := NewGrouper(p)
		if err != nil {
			t.Fatal(err)
		}
		r := NewRows(p)
		r.Reset(2)
		r.Set(0, Vector{Type: catalog.TypeDatetime, Rows: 2, ints: []int64{5, 5}})
		if err := g.Add(r, nil, 2); err != nil {
			t.Fatal(err)
		}
		r.Reset(2)
		r.Set(0, LaterVector(catalog.TypeDatetime, 2, func() (arrow.Array, error) { return nil, unread }).Between(c.least, c.greater))
		if err := g.Add(r, nil, 2); errors.Is(err, unread) != c.read {
			t.Errorf("aggregate %d of moments between %d and %d: %v, want reading %v", c.op, c.least, c.greater, err, c.read)
		}
	}
}
