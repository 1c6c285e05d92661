package engine

import (
	"flag"
	"log/slog"
	"strings"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/engine/exec"
)

// dataFlag names a data directory to ask questions of, a copy of one that a server
// has made from the standard data set.
var dataFlag = flag.String("data", "", "data directory for BenchmarkQuestions; project 1 holds the standard data set")

// questions are the standard ones as fragments: the ones that group.
func questions() map[string]*exec.Fragment {
	const (
		day = 86400_000_000
	)
	d2 := time.Date(2026, 11, 11, 0, 0, 0, 0, time.UTC).UnixMicro()
	d5 := time.Date(2026, 11, 14, 0, 0, 0, 0, time.UTC).UnixMicro()
	event := exec.Column{Source: exec.SourceEvent}
	moment := exec.Column{Source: exec.SourceTime}
	user := exec.Column{Source: exec.SourceDistinctID}
	property := func(name string, t catalog.Type) exec.Column {
		return exec.Column{Source: exec.SourceProperty, Property: name, Type: t}
	}
	price, url := property("price", catalog.TypeDouble), property("url", catalog.TypeString)
	country, plan := property("mp_country_code", catalog.TypeString), property("plan", catalog.TypeString)
	count := exec.Aggregate{Op: exec.AggCount}
	byDay := []exec.Computed{{Function: "day", Args: []int{0}, Type: catalog.TypeInt, Period: day}}
	percentile := func(p float64) exec.Aggregate {
		return exec.Aggregate{Op: exec.AggPercentile, Args: []int{1}, Params: []catalog.Value{catalog.Double(p)}}
	}
	equal := func(column int, s string) *exec.Expr {
		return &exec.Expr{Op: exec.OpEqual, Column: column, Values: []catalog.Value{catalog.String(s)}}
	}
	is := func(name string) exec.Computed {
		return exec.Computed{Function: "is " + name, Args: []int{3}, Type: catalog.TypeBool}
	}
	return map[string]*exec.Fragment{
		"Q01-count":         {Group: &exec.Group{Aggregates: []exec.Aggregate{count}}},
		"Q02-per-day":       {Columns: []exec.Column{moment}, Computed: byDay, Group: &exec.Group{Keys: []int{1}, Aggregates: []exec.Aggregate{count}}},
		"Q03-by-event":      {Columns: []exec.Column{event}, Group: &exec.Group{Keys: []int{0}, Aggregates: []exec.Aggregate{count}}},
		"Q04-users-per-day": {Columns: []exec.Column{moment, user}, Computed: byDay, Group: &exec.Group{Keys: []int{2}, Aggregates: []exec.Aggregate{{Op: exec.AggCountDistinct, Args: []int{1}}}}},
		"Q05-users":         {Columns: []exec.Column{user}, Group: &exec.Group{Aggregates: []exec.Aggregate{{Op: exec.AggCountDistinct, Args: []int{0}}}}},
		"Q06-filtered":      {Columns: []exec.Column{event, country, moment}, Filter: &exec.Expr{Op: exec.OpAnd, Args: []*exec.Expr{equal(1, "US"), {Op: exec.OpMoreEq, Column: 2, Values: []catalog.Value{catalog.Int(d2)}}, {Op: exec.OpLess, Column: 2, Values: []catalog.Value{catalog.Int(d5)}}}}, Group: &exec.Group{Keys: []int{0}, Aggregates: []exec.Aggregate{count}}},
		"Q07-sums":          {Columns: []exec.Column{plan, country, price}, Group: &exec.Group{Keys: []int{0, 1}, Aggregates: []exec.Aggregate{{Op: exec.AggSum, Args: []int{2}}, {Op: exec.AggCount, Args: []int{2}}}}},
		"Q08-urls":          {Columns: []exec.Column{event, url}, Filter: equal(0, "product_view"), Group: &exec.Group{Keys: []int{1}, Aggregates: []exec.Aggregate{count}}, Order: []exec.Order{{Column: 1, Descending: true}, {Column: 0}}, Limit: 20},
		"Q10-funnel": {Columns: []exec.Column{user, moment, {Source: exec.SourceIngestID}, event}, Computed: []exec.Computed{is("product_view"), is("add_to_cart"), is("purchase")},
			Group: &exec.Group{Keys: []int{0}, HideKeys: true, Aggregates: []exec.Aggregate{{Op: exec.AggBehaviour, Args: []int{1, 2, 4, 5, 6},
				Params: []catalog.Value{catalog.String(exec.BehaviourFunnel), catalog.Int(86400)}}}}},
		"Q11-retention-mask": {Columns: []exec.Column{user, moment}, Computed: []exec.Computed{{Function: "bit", Args: []int{1}, Type: catalog.TypeInt, Period: day}}, Group: &exec.Group{Keys: []int{0}, HideKeys: true, Aggregates: []exec.Aggregate{{Op: exec.AggBitOr, Args: []int{2}}}}},
		"Q12-percentiles":    {Columns: []exec.Column{event, price}, Filter: &exec.Expr{Op: exec.OpNot, Args: []*exec.Expr{{Op: exec.OpIsNull, Column: 1}}}, Group: &exec.Group{Keys: []int{0}, Aggregates: []exec.Aggregate{percentile(0.5), percentile(0.95), percentile(0.99)}}},
		"users-by-url":       {Columns: []exec.Column{url, user}, Group: &exec.Group{Keys: []int{0}, Aggregates: []exec.Aggregate{{Op: exec.AggCountDistinct, Args: []int{1}}}}},
		"urls-by-user":       {Columns: []exec.Column{user, url}, Group: &exec.Group{Keys: []int{0}, Aggregates: []exec.Aggregate{{Op: exec.AggCountDistinct, Args: []int{1}}}}},
		"Q13-like":           {Columns: []exec.Column{url}, Filter: &exec.Expr{Op: exec.OpLike, Column: 0, Values: []catalog.Value{catalog.String("%checkout%")}}, Group: &exec.Group{Aggregates: []exec.Aggregate{count}}},
	}
}

// dayFunctions computes "day" and "bit" of a moment, and "is NAME" of an event.
type dayFunctions struct{}

func (dayFunctions) Function(name string) (exec.Function, error) { return dayFunction(name), nil }

type dayFunction string

func (f dayFunction) Eval(args []catalog.Value) (catalog.Value, error) {
	if name, ok := strings.CutPrefix(string(f), "is "); ok {
		return catalog.Bool(args[0].Text == name), nil
	}
	day := args[0].Int() / 86400_000_000
	if f == "bit" {
		return catalog.Int(1 << (day - 20766)), nil
	}
	return catalog.Int(day), nil
}

// BenchmarkQuestions asks the standard questions of a data directory, below SQL.
func BenchmarkQuestions(b *testing.B) {
	if *dataFlag == "" {
		b.Skip("needs -data, see docs/benchmarks.md")
	}
	projects := &catalog.Catalog{NextProject: 2, Projects: []*catalog.Project{{ID: 1, Name: "bench", Buckets: 1}}}
	e, err := Open(testContext, Options{Dir: *dataFlag, Manual: true, Logger: slog.New(slog.DiscardHandler), Functions: dayFunctions{}, Catalog: projects})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	for name, f := range questions() {
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
			b.ReportMetric(float64(rows), "groups")
		})
	}
}
