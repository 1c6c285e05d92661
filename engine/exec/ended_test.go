package exec

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// endingContext ends when it has been looked at so many times, and counts how often
// it is looked at after that.
type endingContext struct {
	context.Context
	left, after int
}

func (c *endingContext) Err() error {
	if c.left--; c.left >= 0 {
		return nil
	}
	c.after++
	return context.Canceled
}

// TestSortUntil sorts lists of all lengths around a run, and ends in the middle.
func TestSortUntil(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{0, 1, 2, sortRun - 1, sortRun, sortRun + 1, 2 * sortRun, 3*sortRun + 7, 5 * sortRun} {
		s := make([]int, n)
		for i := range s {
			s[i] = r.IntN(n)
		}
		want := slices.Sorted(slices.Values(s))
		if err := SortUntil(&Plan{}, s, func(a, b int) int { return a - b }); err != nil || !slices.Equal(s, want) {
			t.Errorf("%d values are not sorted: %v", n, err)
		}
	}
	for looks := range 20 {
		s := make([]int, 5*sortRun)
		for i := range s {
			s[i] = r.IntN(len(s))
		}
		ctx := &endingContext{Context: context.Background(), left: looks}
		p, work := &Plan{}, 0
		p.Until(ctx)
		err := SortUntil(p, s, func(a, b int) int {
			if ctx.left <= 0 {
				work++
			}
			return a - b
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("after %d looks: %v", looks, err)
		}
		if most := 40 * sortRun; ctx.after != 1 || work > most {
			t.Errorf("after %d looks: %d more, and %d comparisons, want 1 and at most %d", looks, ctx.after, work, most)
		}
	}
}

// TestAnswersEnd ends a query at many points of what comes after its rows.
func TestAnswersEnd(t *testing.T) {
	const rows = endedEvery + endedEvery/2
	f := &Fragment{
		Columns: []Column{{Source: SourceProperty, Property: "k", Type: catalog.TypeInt}, {Source: SourceProperty, Property: "d", Type: catalog.TypeDouble}},
		Group: &Group{Keys: []int{0}, Aggregates: []Aggregate{
			{Op: AggCount}, {Op: AggSum, Args: []int{1}}, {Op: AggMax, Args: []int{1}}, {Op: AggCountDistinct, Args: []int{1}},
			{Op: AggPercentile, Args: []int{1}, Params: []catalog.Value{catalog.Double(0.5)}}, {Op: AggPercentileDisc, Args: []int{1}, Params: []catalog.Value{catalog.Double(0.5)}},
		}},
		Order: []Order{{Column: 2, Descending: true}, {Column: 5}},
	}
	grouper := func(ctx context.Context, plan *Plan, from int) *Grouper {
		g, err := NewGrouper(plan)
		if err != nil {
			t.Fatal(err)
		}
		keys, doubles := make([]int64, rows), make([]float64, rows)
		for i := range keys {
			keys[i], doubles[i] = int64(from+i), float64(i%97)/4
		}
		batch := &Batch{Columns: []arrow.Array{int64Array(keys, nil), doubleArray(doubles, nil)}, Rows: rows}
		if err := g.AddBatch(NewRows(plan), nil, batch); err != nil {
			t.Fatal(err)
		}
		return g
	}
	ended, looks := false, 0
	for ; !ended; looks += 1 + looks/8 {
		plan, err := NewPlan(f, Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx := &endingContext{Context: context.Background(), left: looks}
		a, b := grouper(ctx, plan, 0), grouper(ctx, plan, rows/2)
		plan.Until(ctx)
		given := 0
		err = a.Merge(b)
		if err == nil {
			err = a.Answer(func(b *Batch) error { given += b.Rows; return nil })
		}
		switch {
		case err == nil:
			ended = true
			if given != rows+rows/2 {
				t.Errorf("%d groups, want %d", given, rows+rows/2)
			}
		case !errors.Is(err, context.Canceled) || ctx.after > 3 || given != 0:
			t.Fatalf("after %d looks: %v, %d looks more, %d groups given", looks, err, ctx.after, given)
		}
	}
	if least := 20; looks < least {
		t.Errorf("the query looks %d times whether it has ended, want %d", looks, least)
	}
}
