package engine

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/vfs"
)

// keptQuestions look at more than two columns of few values, or at others beside them.
// They come in pairs that one kind of groups answers.
func keptQuestions() map[string]*exec.Fragment {
	property := func(name string, t catalog.Type) exec.Column {
		return exec.Column{Source: exec.SourceProperty, Property: name, Type: t}
	}
	country, plan := property("country", catalog.TypeString), property("plan", catalog.TypeString)
	price, screen := property("price", catalog.TypeDouble), property("screen_w", catalog.TypeInt)
	name := exec.Column{Source: exec.SourceEvent}
	over := func(op exec.AggregateOp, args ...int) exec.Aggregate { return exec.Aggregate{Op: op, Args: args} }
	one := func(column int, text string) *exec.Expr {
		return &exec.Expr{Op: exec.OpEqual, Column: column, Values: []catalog.Value{catalog.String(text)}}
	}
	sums := []exec.Aggregate{over(exec.AggSum, 2), over(exec.AggCount, 2), over(exec.AggCount)}
	return map[string]*exec.Fragment{
		"sums":     {Columns: []exec.Column{plan, country, price}, Group: &exec.Group{Keys: []int{0, 1}, Aggregates: sums}},
		"one key":  {Columns: []exec.Column{plan, country, price}, Filter: one(1, "US"), Group: &exec.Group{Keys: []int{0}, Aggregates: sums}},
		"no key":   {Columns: []exec.Column{plan, country, price}, Filter: &exec.Expr{Op: exec.OpOr, Args: []*exec.Expr{one(0, "pro"), {Op: exec.OpNot, Args: []*exec.Expr{one(1, "DE")}}}}, Group: &exec.Group{Aggregates: sums}},
		"nobody":   {Columns: []exec.Column{plan, country, price}, Filter: one(1, "nowhere"), Group: &exec.Group{Keys: []int{0}, Aggregates: sums}},
		"three":    {Columns: []exec.Column{name, plan, country}, Group: &exec.Group{Keys: []int{2, 0, 1}, Aggregates: []exec.Aggregate{over(exec.AggCount)}}},
		"distinct": {Columns: []exec.Column{name, plan, country}, Filter: one(0, "event_00"), Group: &exec.Group{Keys: []int{1, 2}}},
		"computed": {Columns: []exec.Column{name, plan, price}, Computed: []exec.Computed{{Function: "is pro", Args: []int{1}, Type: catalog.TypeBool}},
			Group: &exec.Group{Keys: []int{3, 0}, Aggregates: []exec.Aggregate{over(exec.AggMax, 2), over(exec.AggMin, 2)}}},
		"others": {Columns: []exec.Column{name, plan, screen, price}, Group: &exec.Group{Keys: []int{0, 1}, Aggregates: []exec.Aggregate{
			over(exec.AggVarSamp, 3), over(exec.AggStdPop, 2), over(exec.AggBitXor, 2), over(exec.AggBitAnd, 2), over(exec.AggSum, 2), over(exec.AggMin, 0), over(exec.AggMax, 3)}}},
		"a key too": {Columns: []exec.Column{name, plan, country}, Group: &exec.Group{Keys: []int{0, 1}, Aggregates: []exec.Aggregate{over(exec.AggCount, 1), over(exec.AggMax, 2)}}},
		"not there": {Columns: []exec.Column{name, plan, property("nothing", catalog.TypeDouble), country}, Group: &exec.Group{Keys: []int{0, 1, 3}, Aggregates: sums}},
		"not there in the filter": {Columns: []exec.Column{name, plan, property("nothing", catalog.TypeDouble), country},
			Filter: &exec.Expr{Op: exec.OpIsNull, Column: 2}, Group: &exec.Group{Keys: []int{0, 1, 3}, Aggregates: sums}},
		"of the day": {Columns: []exec.Column{plan, country, price, {Source: exec.SourceTime}}, Filter: &exec.Expr{Op: exec.OpMoreEq, Column: 3, Values: []catalog.Value{catalog.Int(0)}}, Group: &exec.Group{Keys: []int{0, 1}, Aggregates: sums}},
	}
}

// TestKeptGroups asks questions that groups of a file answer, once they were asked
// twice, and asks the same of a log, row by row: with copies and without, by policies
// that hide others, after deletes, and when domains were dropped in between.
func TestKeptGroups(t *testing.T) {
	indexed, logged := openSample(t, vfs.NewMem(), "data"), openSample(t, vfs.NewMem(), "data")
	indexed.opts.Functions, logged.opts.Functions = dayFunctions{}, dayFunctions{}
	append1 := func(b *event.Batch) {
		t.Helper()
		record, err := event.AppendBatch(nil, b)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range []*Engine{indexed, logged} {
			if err := e.Append(context.Background(), [][]byte{record}); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := newSample()
	var deleted []catalog.IngestID
	for range 10 {
		b := s.batch(3000)
		copiesOf(s, b)
		append1(b)
		deleted = append(deleted, b.Events[7].ID, b.Events[1500].ID)
	}
	if err := indexed.Index(context.Background(), 0, true); err != nil {
		t.Fatal(err)
	}
	policies := []*catalog.Policy{nil, {Key: 1}, {Disabled: true}, nil}
	if testing.Short() {
		policies = policies[:1]
	}
	ask := func(when string, kept bool) {
		t.Helper()
		for name, f := range keptQuestions() {
			for _, policy := range policies {
				for _, copies := range []bool{false, true} {
					f.Project, f.Copies, f.Policy = sampleProject, copies, policy
					want, _ := pairAnswer(t, logged, f)
					for n := range 3 {
						got, tallied := pairAnswer(t, indexed, f)
						if got != want || want == "" != (name == "nobody") {
							t.Errorf("%s, %s, policy %v, copies %v, %d times before: a file says\n%s\nand the log\n%s", when, name, policy, copies, n, got, want)
						}
						if n == 2 && tallied > 0 != kept {
							t.Errorf("%s, %s, copies %v: %d rows are tallied", when, name, copies, tallied)
						}
					}
				}
			}
		}
	}
	ask("at first", true)
	if held := indexed.pairBytes.Load(); held <= 0 {
		t.Errorf("the groups take %d bytes", held)
	}
	indexed.domains = exec.NewDomains(1 << 30) // the values have other numbers now
	f := keptQuestions()["three"]
	f.Filter = &exec.Expr{Op: exec.OpEqual, Column: 1, Values: []catalog.Value{catalog.String("pro")}}
	f.Project = sampleProject
	for range 2 {
		pairAnswer(t, indexed, f)
	}
	ask("with other numbers", true)
	append1(&event.Batch{Shard: catalog.ShardKey{Project: sampleProject, Day: s.day}, Deletes: []event.Delete{{ID: catalog.IngestID{Time: s.request + 1, Edge: 9}, Targets: deleted}}})
	ask("after deletes", false)

	v, err := sampleShard(indexed).view(indexed)
	if err != nil {
		t.Fatal(err)
	}
	defer v.release()
	for _, f := range v.files.files {
		f.groups.drop()
		f.pairs.drop()
	}
	if left := indexed.pairBytes.Load(); left != 0 {
		t.Errorf("without groups they take %d bytes", left)
	}
}

// TestKeptGroupsOfTexts asks for the greatest of texts that are different in each event, of
// few events, with hardly more memory than these take: it is answered as often as it is asked.
func TestKeptGroupsOfTexts(t *testing.T) {
	skipShort(t)
	e := openSample(t, vfs.NewMem(), "data")
	s := newSample()
	for range 10 {
		b := s.batch(3000)
		for i := range b.Events {
			properties := slices.Clone(b.Events[i].Properties)
			for k := range properties {
				if properties[k].Name == "url" {
					properties[k].Value = catalog.String(fmt.Sprintf("/%0300d/%s", s.rng.Uint64(), b.Events[i].ID))
				}
			}
			b.Events[i].Properties = properties
		}
		record, err := event.AppendBatch(nil, b)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Append(context.Background(), [][]byte{record}); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Index(context.Background(), 0, true); err != nil {
		t.Fatal(err)
	}
	e.opts.QueryBytes = 1 << 20
	rare := &exec.Expr{Op: exec.OpEqual, Column: 0, Values: []catalog.Value{catalog.String("event_29")}}
	f := &exec.Fragment{Project: sampleProject, Filter: rare, Columns: []exec.Column{
		{Source: exec.SourceEvent}, {Source: exec.SourceProperty, Property: "plan", Type: catalog.TypeString}, {Source: exec.SourceProperty, Property: "url", Type: catalog.TypeString}},
		Group: &exec.Group{Keys: []int{1}, Aggregates: []exec.Aggregate{{Op: exec.AggMax, Args: []int{2}}}}}
	want, _ := pairAnswer(t, e, f)
	for range 3 {
		if got, _ := pairAnswer(t, e, f); got != want {
			t.Errorf("asked again it is\n%s\nand was\n%s", got, want)
		}
	}
}
