package exec

import (
	"fmt"
	"testing"

	"arbor/catalog"
)

// BenchmarkMergePartials puts together what 100 members answer to a grouped question:
// a count, a sum and a greatest value of each of so many groups, which each of
// them has. It reports what a member's answer has in bytes.
func BenchmarkMergePartials(b *testing.B) {
	const members = 100
	for _, groups := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint(groups, " groups"), func(b *testing.B) {
			columns := []Column{{Source: SourceEvent, Type: catalog.TypeString}, {Source: SourceProperty, Property: "n", Type: catalog.TypeInt}}
			f := &Fragment{Project: 1, Columns: columns, Group: &Group{Keys: []int{0}, Aggregates: []Aggregate{{Op: AggCount}, {Op: AggSum, Args: []int{1}}, {Op: AggMax, Args: []int{1}}}}}
			table := make([][]catalog.Value, groups)
			for i := range table {
				table[i] = []catalog.Value{catalog.String(fmt.Sprint("event ", i)), catalog.Int(int64(i))}
			}
			pieces := piecesOf(b, grouperOf(b, f, table), false)
			bytes := 0
			for _, p := range pieces {
				bytes += len(p)
			}
			b.ReportAllocs()
			for b.Loop() {
				m, err := NewMerger(f, Options{})
				if err != nil {
					b.Fatal(err)
				}
				for range members {
					part, err := m.NewPart()
					if err != nil {
						b.Fatal(err)
					}
					for _, p := range pieces {
						if err := part.Add(p); err != nil {
							b.Fatal(err)
						}
					}
					if err := m.Take(part); err != nil {
						b.Fatal(err)
					}
				}
				rows := 0
				if err := m.Answer(func(b *Batch) error { rows += b.Rows; return nil }); err != nil || rows != groups {
					b.Fatal(rows, err)
				}
			}
			b.ReportMetric(float64(bytes), "B/member")
		})
	}
}
