package engine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/vfs"
)

// walk makes events of a few users, around midnights and often at one moment, with
// copies and late days, and without a user now and then.
type walk struct {
	rng     *rand.Rand
	request uint64
}

const walkBuckets = 2

func (w *walk) events(n int) (records [][]byte, err error) {
	w.request += 1_000_000
	shards := map[catalog.ShardKey]*event.Batch{}
	for i := range n {
		day := catalog.Day(20_000 + w.rng.IntN(3))
		e := event.Event{
			ID:         catalog.IngestID{Time: w.request, Edge: 9, Index: uint32(i)},
			Name:       string(rune('a' + w.rng.IntN(4))),
			Time:       day.Start() + int64(w.rng.IntN(4))*15*catalog.Second,
			DistinctID: []string{"", "ann", "bob", "cid", "dee", "eve"}[w.rng.IntN(6)],
			InsertID:   fmt.Sprint("i", w.rng.IntN(40)),
		}
		if w.rng.IntN(2) == 0 {
			e.Time += catalog.DayMicros - 60*catalog.Second
		}
		if w.rng.IntN(2) == 0 {
			e.Properties = []event.Property{{Name: "ok", Value: catalog.Bool(w.rng.IntN(2) == 0)}}
		}
		k := catalog.ShardKey{Project: sampleProject, Day: day, Bucket: catalog.UserBucket(e.DistinctID, e.InsertID, walkBuckets)}
		if shards[k] == nil {
			shards[k] = &event.Batch{Shard: k}
		}
		shards[k].Events = append(shards[k].Events, e)
	}
	for _, k := range slices.SortedFunc(maps.Keys(shards), catalog.ShardKey.Compare) {
		record, err := event.AppendBatch(nil, shards[k])
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	return records, nil
}

// Columns of the fragments of TestBehavioursAreThoseOfTheRows: what is read, and
// then the conditions.
const (
	walkUser = iota
	walkTime
	walkID
	walkEvent
	walkOK
	walkIsA
	walkIsB
	walkIsC
)

func walkFragment(rng *rand.Rand) *exec.Fragment {
	f := &exec.Fragment{Project: sampleProject, Copies: rng.IntN(4) == 0,
		Columns: []exec.Column{{Source: exec.SourceDistinctID}, {Source: exec.SourceTime}, {Source: exec.SourceIngestID}, {Source: exec.SourceEvent},
			{Source: exec.SourceProperty, Property: "ok", Type: catalog.TypeBool}}}
	for _, name := range []string{"a", "b", "c"} {
		f.Computed = append(f.Computed, exec.Computed{Function: "is " + name, Args: []int{walkEvent}, Type: catalog.TypeBool})
	}
	switch rng.IntN(5) {
	case 0:
		f.Filter = &exec.Expr{Op: exec.OpNot, Args: []*exec.Expr{{Op: exec.OpEqual, Column: walkEvent, Values: []catalog.Value{catalog.String("d")}}}}
	case 1:
		f.Filter = &exec.Expr{Op: exec.OpMoreEq, Column: walkTime, Values: []catalog.Value{catalog.Int(catalog.Day(20_001).Start())}}
	case 2:
		f.Filter = &exec.Expr{Op: exec.OpTrue, Column: walkOK}
	}
	return f
}

// walkAggregates draws behavioural functions, over the event's name alone or not.
func walkAggregates(rng *rand.Rand) (aggregates []exec.Aggregate) {
	conditions := []int{walkIsA, walkIsB, walkIsC, walkOK}
	if rng.IntN(2) == 0 {
		conditions = conditions[:3]
	}
	for range 1 + rng.IntN(3) {
		a := exec.Aggregate{Op: exec.AggBehaviour, Args: []int{walkTime, walkID}}
		for range 2 {
			a.Args = append(a.Args, conditions[rng.IntN(len(conditions))])
		}
		window := catalog.Int([]int64{0, 15, 60, 86400, 200_000}[rng.IntN(5)])
		switch rng.IntN(7) {
		case 0:
			a.Params = []catalog.Value{catalog.String(exec.BehaviourFunnel), window}
			a.Args = append(a.Args, conditions[rng.IntN(len(conditions))])
		case 1:
			a.Params = []catalog.Value{catalog.String(exec.BehaviourFunnel), window, catalog.String(exec.ModeStrictOrder)}
		case 2:
			a.Params = []catalog.Value{catalog.String(exec.BehaviourFunnel), window, catalog.String(exec.ModeStrictIncrease)}
		case 3:
			a.Params = []catalog.Value{catalog.String(exec.BehaviourRetention)}
		case 4:
			a.Params = []catalog.Value{catalog.String(exec.BehaviourSequenceCount), catalog.String([]string{"(?1)(?2)", "(?1).*(?2)", "(?1)(?t<=15)(?2)", "(?1)(?t>60)(?2)"}[rng.IntN(4)])}
		case 5:
			a.Params, a.Args = []catalog.Value{catalog.String(exec.BehaviourSessions), window}, a.Args[:2]
		case 6:
			a.Params, a.Args = []catalog.Value{catalog.String(exec.BehaviourSessionSeconds), window}, a.Args[:2]
		}
		aggregates = append(aggregates, a)
	}
	return aggregates
}

// Whatever way the engine takes through files and logs, the functions have the
// values that the rows give, which it also gives.
func TestBehavioursAreThoseOfTheRows(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			options := memOptions(vfs.NewMem())
			options.Functions, options.Workers = dayFunctions{}, 2
			options.Catalog.Projects[0].Buckets = walkBuckets
			e, err := Open(testContext, options)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			w := &walk{rng: rand.New(rand.NewPCG(seed, 1)), request: 1_728_000_000_000_000_000}
			for round := range 12 {
				records, err := w.events(w.rng.IntN(40))
				if err != nil {
					t.Fatal(err)
				}
				if err := e.Append(testContext, records); err != nil {
					t.Fatal(err)
				}
				if n := w.rng.IntN(4); n < 2 {
					if err := e.Index(testContext, sampleProject, n == 1); err != nil {
						t.Fatal(err)
					}
				}
				for range 15 {
					f := walkFragment(w.rng)
					aggregates := walkAggregates(w.rng)
					want := walkReference(t, e, f, aggregates)
					f.Group = &exec.Group{Keys: []int{walkUser}, Aggregates: aggregates}
					if w.rng.IntN(3) == 0 { // no longer behavioural functions alone
						f.Group.Aggregates = append(slices.Clip(aggregates), exec.Aggregate{Op: exec.AggCount})
					}
					got := walkAnswer(t, e, f, len(aggregates))
					if !maps.EqualFunc(got, want, slices.Equal) {
						t.Fatalf("round %d: %+v\ncopies %v, filter %v\nare %v\nwant %v", round, f.Group, f.Copies, f.Filter, got, want)
					}
				}
			}
		})
	}
}

// walkReference computes the functions of the rows that the fragment gives.
func walkReference(t *testing.T, e *Engine, f *exec.Fragment, aggregates []exec.Aggregate) map[string][]float64 {
	t.Helper()
	users := map[string][]*exec.BehaviourEvents{}
	rows := *f
	rows.Computed = nil
	_, err := e.Scan(testContext, &rows, func(b *exec.Batch) error {
		for row := range b.Rows {
			user := b.Columns[walkUser].ValueStr(row)
			if users[user] == nil {
				for _, a := range aggregates {
					function, err := exec.NewBehaviour(a.Params[0].Text, a.Params[1:], len(a.Args)-2)
					if err != nil {
						return err
					}
					users[user] = append(users[user], exec.NewBehaviourEvents(function))
				}
			}
			id, err := catalog.ParseIngestID(b.Columns[walkID].ValueStr(row))
			if err != nil {
				return err
			}
			at := b.Columns[walkTime].(*array.Timestamp).Value(row)
			for i, a := range aggregates {
				var mask uint64
				for k, c := range a.Args[2:] {
					met := b.Columns[walkEvent].ValueStr(row) == string(rune('a'+c-walkIsA))
					if c == walkOK {
						met = b.Columns[walkOK].ValueStr(row) == "true"
					}
					if met {
						mask |= 1 << k
					}
				}
				users[user][i].Add(int64(at), id, mask)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	values := map[string][]float64{}
	for user, functions := range users {
		for _, events := range functions {
			v := events.Value()
			if v.Kind == catalog.KindDouble {
				values[user] = append(values[user], v.Double())
			} else {
				values[user] = append(values[user], float64(v.Int()))
			}
		}
	}
	return values
}

// walkAnswer is the engine's own answer, the first n aggregates by user.
func walkAnswer(t *testing.T, e *Engine, f *exec.Fragment, n int) map[string][]float64 {
	t.Helper()
	values := map[string][]float64{}
	_, err := e.Execute(testContext, f, func(b *exec.Batch) error {
		for row := range b.Rows {
			var of []float64
			for _, c := range b.Columns[1 : 1+n] {
				v, err := strconv.ParseFloat(c.ValueStr(row), 64)
				if err != nil {
					return err
				}
				of = append(of, v)
			}
			values[b.Columns[0].ValueStr(row)] = of
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%+v: %v", f.Group, err)
	}
	return values
}
