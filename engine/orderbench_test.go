package engine

import (
	"log/slog"
	"testing"

	"arbor/catalog"
	"arbor/engine/exec"
)

// sortedQuestions are the standard ones that ask for rows in an order.
func sortedQuestions() map[string]*exec.Fragment {
	property := func(name string, t catalog.Type) exec.Column {
		return exec.Column{Source: exec.SourceProperty, Property: name, Type: t}
	}
	few := []exec.Column{
		{Source: exec.SourceTime}, {Source: exec.SourceEvent}, property("url", catalog.TypeString), property("price", catalog.TypeDouble),
		{Source: exec.SourceInsertID}, {Source: exec.SourceDistinctID, Hidden: true},
	}
	all := append(few[:5:5], exec.Column{Source: exec.SourceDistinctID})
	for _, name := range []string{"mp_country_code", "plan", "$os", "$browser", "$city", "$current_url", "referrer", "utm_source", "campaign", "items"} {
		all = append(all, property(name, catalog.TypeString))
	}
	of := func(user string) *exec.Fragment {
		return &exec.Fragment{Columns: few, Order: []exec.Order{{}},
			Filter: &exec.Expr{Op: exec.OpEqual, Column: 5, Values: []catalog.Value{catalog.String(user)}}}
	}
	return map[string]*exec.Fragment{
		"Q09-user":          of("$device:5888eb45-7f47-43d8-9ec6-85d64de9bed9"),
		"Q10-heaviest-user": of("$device:306ad62b-6b46-442e-9bf6-c9a9eefc60f8"),
		"Q15-newest":        {Columns: all, Order: []exec.Order{{Descending: true}}, Limit: 100},
		"dearest":           {Columns: all, Order: []exec.Order{{Column: 3, Descending: true}, {Column: 0}}, Limit: 100},
		"urls":              {Columns: all, Order: []exec.Order{{Column: 2}}, Limit: 1000},
	}
}

// BenchmarkSorted asks the standard questions that ask for rows in an order of a
// data directory, below SQL.
func BenchmarkSorted(b *testing.B) {
	if *dataFlag == "" {
		b.Skip("needs -data, see docs/benchmarks.md")
	}
	projects := &catalog.Catalog{NextProject: 2, Projects: []*catalog.Project{{ID: 1, Name: "bench", Buckets: 1}}}
	e, err := Open(testContext, Options{Dir: *dataFlag, Manual: true, Logger: slog.New(slog.DiscardHandler), Catalog: projects})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	for name, f := range sortedQuestions() {
		f.Project = 1
		b.Run(name, func(b *testing.B) {
			rows := 0
			ask := func() {
				rows = 0
				if _, err := e.Execute(testContext, f, func(batch *exec.Batch) error { rows += batch.Rows; return nil }); err != nil {
					b.Fatal(err)
				}
			}
			ask() // what is kept from question to question is made
			start := cpuTime()
			for b.Loop() {
				ask()
			}
			b.ReportMetric(float64((cpuTime()-start).Microseconds())/float64(b.N)/1000, "cpu-ms/op")
			b.ReportMetric(float64(rows), "rows")
		})
	}
}
