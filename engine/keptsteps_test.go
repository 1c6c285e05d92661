package engine

import (
	"context"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/vfs"
)

// behaviourQuestions ask for behavioural functions of events of a few names.
func behaviourQuestions() map[string]*exec.Fragment {
	names := []string{"event_00", "event_03", "event_01", "event_07"}
	columns := []exec.Column{{Source: exec.SourceDistinctID}, {Source: exec.SourceTime}, {Source: exec.SourceIngestID}, {Source: exec.SourceEvent}}
	var computed []exec.Computed
	for _, name := range names {
		computed = append(computed, exec.Computed{Function: "is " + name, Args: []int{3}, Type: catalog.TypeBool})
	}
	over := func(function string, conditions []int, params ...catalog.Value) exec.Aggregate {
		return exec.Aggregate{Op: exec.AggBehaviour, Args: append([]int{1, 2}, conditions...), Params: append([]catalog.Value{catalog.String(function)}, params...)}
	}
	of := func(a ...exec.Aggregate) *exec.Fragment {
		return &exec.Fragment{Columns: columns, Computed: computed, Group: &exec.Group{Keys: []int{0}, Aggregates: a}}
	}
	hour := catalog.Int(3600)
	questions := map[string]*exec.Fragment{
		"funnel":        of(over(exec.BehaviourFunnel, []int{4, 5, 6}, hour)),
		"longer window": of(over(exec.BehaviourFunnel, []int{4, 5, 6}, catalog.Int(86400))),
		"four steps":    of(over(exec.BehaviourFunnel, []int{4, 5, 6, 7}, hour)),
		"other order":   of(over(exec.BehaviourFunnel, []int{6, 5, 4}, hour)),
		"once":          of(over(exec.BehaviourFunnel, []int{4, 4, 5}, hour, catalog.String(exec.ModeStrictOnce))),
		"increase":      of(over(exec.BehaviourFunnel, []int{4, 5}, hour, catalog.String(exec.ModeStrictIncrease))),
		"retention":     of(over(exec.BehaviourRetention, []int{4, 5, 6})),
		"two at once":   of(over(exec.BehaviourFunnel, []int{4, 5}, hour), over(exec.BehaviourRetention, []int{5, 7})),
		"strict order":  of(over(exec.BehaviourFunnel, []int{4, 5}, hour, catalog.String(exec.ModeStrictOrder))), // looks at all events
	}
	filtered := of(over(exec.BehaviourFunnel, []int{4, 5, 6}, hour))
	filtered.Columns = append(filtered.Columns[:4:4], exec.Column{Source: exec.SourceProperty, Property: "plan", Type: catalog.TypeString})
	filtered.Group.Aggregates[0].Args = []int{1, 2, 5, 6, 7}
	filtered.Filter = &exec.Expr{Op: exec.OpEqual, Column: 4, Values: []catalog.Value{catalog.String("pro")}}
	questions["filtered"] = filtered
	return questions
}

// TestKeptSteps asks for behavioural functions over days that are one file each, which
// are answered by the events that meet conditions once they were asked twice, and of the
// same events in a log: with copies and without, by policies that hide others, and after
// some events are deleted.
func TestKeptSteps(t *testing.T) {
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
	first := s.day
	var deleted []catalog.IngestID
	for i := range 26 { // more than a piece of a file on the first day
		s.past = nil
		if s.day = first; i%8 == 7 {
			s.day++
		}
		b := s.batch(3000)
		copiesOf(s, b)
		append1(b)
		if s.day == first {
			deleted = append(deleted, b.Events[7].ID, b.Events[1500].ID)
		}
	}
	if err := indexed.Index(context.Background(), 0, true); err != nil {
		t.Fatal(err)
	}
	both := []bool{false, true}
	if testing.Short() {
		both = both[:1]
	}
	ask := func(when string, policies ...*catalog.Policy) {
		t.Helper()
		if testing.Short() {
			policies = policies[:1]
		}
		for name, f := range behaviourQuestions() {
			for _, policy := range policies {
				for _, copies := range both {
					f.Project, f.Copies, f.Policy = sampleProject, copies, policy
					want, _ := pairAnswer(t, logged, f)
					for n := range 3 {
						got, tallied := pairAnswer(t, indexed, f)
						if got != want || want == "" {
							t.Errorf("%s, %s, policy %v, copies %v, %d times before: %d bytes of answer of files, %d of logs", when, name, policy, copies, n, len(got), len(want))
						}
						if n == 2 && tallied > 0 != (name != "filtered" && name != "strict order") {
							t.Errorf("%s, %s, copies %v: %d rows are tallied", when, name, copies, tallied)
						}
					}
				}
			}
		}
	}
	ask("at first", nil, &catalog.Policy{Key: 1})
	if held := indexed.pairBytes.Load(); held <= 0 {
		t.Errorf("the steps take %d bytes", held)
	}
	append1(&event.Batch{Shard: catalog.ShardKey{Project: sampleProject, Day: first}, Deletes: []event.Delete{{ID: catalog.IngestID{Time: s.request + 1, Edge: 9}, Targets: deleted}}})
	if err := indexed.Index(context.Background(), 0, true); err != nil {
		t.Fatal(err)
	}
	ask("after deletes", nil)
}
