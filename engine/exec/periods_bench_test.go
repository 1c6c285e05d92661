package exec

import (
	"math/rand/v2"
	"testing"

	"arbor/catalog"
)

// BenchmarkPeriods has a function of a moment that is the same for a minute, of
// moments of a day in no order.
func BenchmarkPeriods(b *testing.B) {
	f := &Fragment{Columns: []Column{{Source: SourceTime}}, Computed: []Computed{{Function: "day", Args: []int{0}, Type: catalog.TypeInt, Period: 60_000_000}}}
	plan, err := NewPlan(f, Options{Functions: halves{}})
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	times := make([]int64, chunkRows)
	for i := range times {
		times[i] = 1_794_182_400_000_000 + rng.Int64N(86400_000_000)
	}
	r := NewRows(plan)
	ids := make([]uint32, chunkRows)
	b.SetBytes(8 * chunkRows)
	for b.Loop() {
		r.Reset(chunkRows)
		r.Set(0, Vector{Type: catalog.TypeDatetime, Rows: chunkRows, ints: times})
		if err := r.ids(1, 0, ids); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/chunkRows, "ns/row")
}
