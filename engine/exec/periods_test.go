package exec

import (
	"math"
	"math/rand/v2"
	"testing"

	"arbor/catalog"
)

// TestPeriodDivider holds quotients of moments around every kind of edge against
// divisions.
func TestPeriodDivider(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	periods := []int64{1, 3, 1_000_000, 60_000_000, 3600_000_000, 86400_000_000, exactMoments - 1, exactMoments, math.MaxInt64}
	for range 200 {
		periods = append(periods, 1+rng.Int64N(1<<(1+rng.IntN(62))))
	}
	for _, period := range periods {
		d := divider(period)
		moments := []int64{0, -1, 1, period, period - 1, -period, exactMoments, exactMoments - 1, -exactMoments, math.MaxInt64, math.MinInt64}
		for range 200 {
			m := rng.Int64N(1 << (1 + rng.IntN(62)))
			at := m / period * period
			moments = append(moments, m, -m, at, at-1, at+1)
		}
		for _, m := range moments {
			if got, want := d.floor(m), floorDiv(m, period); got != want {
				t.Fatalf("%d by %d is %d, want %d", m, period, got, want)
			}
		}
	}
}

// TestPeriods computes by period, of moments that are near each other, far away before
// and behind, and null, and holds the values against those of each moment.
func TestPeriods(t *testing.T) {
	f := &Fragment{Columns: []Column{{Source: SourceTimeRaw}}, Computed: []Computed{{Function: "day", Args: []int{0}, Type: catalog.TypeInt, Period: 1_000_000}}}
	plan, err := NewPlan(f, Options{Functions: halves{}})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(6, 5))
	workers := []*Rows{NewRows(plan), NewRows(plan)}
	for round := range 60 {
		rows := 1 + rng.IntN(500)
		around := []int64{0, 1_794_182_400_000_000, -62_135_596_800_000_000, 253_402_300_799_000_000}[rng.IntN(4)]
		spread := []int64{1, 2_000_000, 86400_000_000, 400 * 86400_000_000}[rng.IntN(4)]
		v := Vector{Type: catalog.TypeDatetime, Rows: rows, ints: make([]int64, rows), valid: make([]byte, rows/8+1)}
		for i := range v.ints {
			v.ints[i] = around + rng.Int64N(2*spread) - spread
			v.valid[i/8] |= 1 << (i % 8)
		}
		r := workers[round%2]
		r.Reset(rows)
		r.Set(0, v)
		ids := make([]uint32, rows)
		if err := r.ids(1, 0, ids); err != nil {
			t.Fatal(err)
		}
		values := plan.domains[1].all()
		for i, id := range ids {
			if got, want := values[id].Int(), floorDiv(v.ints[i], 86400_000_000); got != want {
				t.Fatalf("round %d: the day of %d is %d, want %d", round, v.ints[i], got, want)
			}
		}
	}
}
