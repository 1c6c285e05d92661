package torture

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// bigEvents is more than a batch holds, and than a dictionary's 16-bit codes
// count, in one shard.
const bigEvents = 70_000

// TestBigShard goes past what small histories never reach: many blocks, many
// batches, dictionaries with one-, two- and four-byte codes, duplicates between
// files and logs of thousands of rows.
func TestBigShard(t *testing.T) {
	skipShort(t)
	r, err := begin(t.Context(), openEngine, oneDay)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(*firstSeed, 9))
	for part := range 4 {
		r.logf("part %d", part)
		for n := part * bigEvents / 4; n < (part+1)*bigEvents/4; {
			b := event.Batch{Shard: catalog.ShardKey{Project: 1, Day: 20_000}}
			id := r.stamp(rng)
			for i := range 500 {
				b.Events = append(b.Events, bigEvent(rng, n+i, r.events))
				b.Events[i].ID = id
				b.Events[i].ID.Index = uint32(i)
			}
			n += len(b.Events)
			r.events = append(r.events, b.Events...)
			rec, err := encode(&b)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.accept([]record{rec}); err != nil {
				t.Fatal(err)
			}
		}
		if part == 3 {
			break // into the log
		}
		if err := r.subject.Index(r.ctx, 0, part == 2); err != nil {
			t.Fatal(err)
		}
	}
	for i, act := range []func(*run, *rand.Rand) error{(*run).compareBig, indexAll, (*run).delete, (*run).policy, (*run).compareBig, closeAll, (*run).reopen, (*run).compareBig, (*run).verify} {
		r.logf("act %d", i)
		if err := act(r, rng); err != nil {
			t.Fatalf("act %d: %v", i, err)
		}
	}
	if err := r.end(nil, nil); err != nil {
		t.Fatal(err)
	}
}

// bigEvent is event n of the big shard; one in ten is a copy of an earlier one.
func bigEvent(rng *rand.Rand, n int, earlier []event.Event) event.Event {
	if len(earlier) > 0 && rng.IntN(10) == 0 {
		return oneDay.copyOf(rng, earlier[rng.IntN(len(earlier))])
	}
	e := event.Event{
		Name: names[n%len(names)], DistinctID: fmt.Sprintf("user-%d", rng.IntN(3000)), InsertID: fmt.Sprintf("%032x", rng.Uint64()),
		Time: catalog.Day(20_000).Start() + rng.Int64N(catalog.DayMicros), Properties: []event.Property{
			{Name: "each", Value: catalog.String(fmt.Sprint("value ", n))},
			{Name: "few", Value: catalog.Int(int64(n % 200))},
			{Name: "mixed", Value: values[n%len(values)]},
			{Name: "some", Value: catalog.String(fmt.Sprint("value ", n%1000))},
		},
	}
	if n%1000 == 0 {
		e.Properties = append(e.Properties, event.Property{Name: "sparse", Value: catalog.Double(float64(n) / 8)})
	}
	return e
}

// compareBig compares all columns of all copies and some queries.
func (r *run) compareBig(rng *rand.Rand) error {
	text := func(name string, t catalog.Type) exec.Column {
		return exec.Column{Source: exec.SourceProperty, Property: name, Type: t}
	}
	columns := []exec.Column{text("each", catalog.TypeString), text("few", catalog.TypeInt), text("mixed", catalog.TypeJSON), text("some", catalog.TypeString), text("sparse", catalog.TypeDouble)}
	for _, s := range allSources {
		columns = append(columns, exec.Column{Source: s})
	}
	user := exec.Column{Source: exec.SourceDistinctID, Hidden: true}
	time := exec.Column{Source: exec.SourceTime, Hidden: true}
	noon := catalog.Int(catalog.Day(20_000).Start() + catalog.DayMicros/2)
	fragments := []exec.Fragment{
		{Copies: true, Columns: columns},
		{Columns: append(slices.Clone(columns), user), Filter: &exec.Expr{Op: exec.OpEqual, Column: len(columns), Values: []catalog.Value{catalog.String("user-7")}}},
		{Columns: append(slices.Clone(columns), time), Filter: &exec.Expr{Op: exec.OpLess, Column: len(columns), Values: []catalog.Value{noon}}, AsOf: r.someMoment(rng)},
		{Columns: columns[:3], Filter: &exec.Expr{Op: exec.OpEqual, Column: 1, Values: []catalog.Value{catalog.Int(7)}}},
	}
	for i := range fragments {
		fragments[i].Project = 1
		if err := r.compareScan(&fragments[i]); err != nil {
			return err
		}
	}
	if err := r.compareTable("digests", digestColumns); err != nil {
		return err
	}
	return r.compareTable("balance", balanceColumns)
}

// TestExtremes keeps events that are as large, as many-sided and as odd as they
// are allowed to be, in a log and in files.
func TestExtremes(t *testing.T) {
	skipShort(t)
	r, err := begin(t.Context(), openEngine, everywhere)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 10))
	r.logf("extremes")
	long := func(n int) string { return strings.Repeat("é", n/2) + strings.Repeat("x", n%2) }
	many := make([]event.Property, event.MaxProperties)
	for i := range many {
		many[i] = event.Property{Name: fmt.Sprintf("p%03d", i), Value: values[i%len(values)]}
	}
	deep := strings.Repeat("[", event.MaxDepth) + strings.Repeat("]", event.MaxDepth)
	events := []event.Event{
		{Name: long(event.MaxEventName), DistinctID: long(event.MaxDistinctID), InsertID: long(event.MaxInsertID), Time: catalog.MinDatetime},
		{Name: "x", Time: catalog.MaxDatetime, InsertID: "last"},
		{Name: "x", Time: 0, ServerTime: true},
		{Name: "x", Properties: many},
		{Name: "x", Properties: []event.Property{{Name: "", Value: catalog.String("")}, {Name: long(event.MaxPropertyName), Value: catalog.JSON(deep)}}},
		{Name: "x", Properties: []event.Property{{Name: "big", Value: catalog.String(strings.Repeat("b", event.MaxEventBytes-1000))}}},
		{Name: "x", Properties: []event.Property{{Name: "big", Value: catalog.Number(strings.Repeat("9", 5000))}, {Name: "min", Value: catalog.Double(5e-324)}, {Name: "zero", Value: catalog.Number("-0.0")}}},
	}
	for i := range events {
		if err := event.Check(&events[i]); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
	}
	for _, again := range []bool{false, true} {
		records, err := r.request(rng, r.catalog.Projects[1], events)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.accept(records); err != nil {
			t.Fatal(err)
		}
		for i, act := range []func(*run, *rand.Rand) error{(*run).compareExtremes, indexAll, (*run).compareExtremes, (*run).reopen, (*run).compareExtremes, closeAll, (*run).compareExtremes, (*run).verify} {
			if err := act(r, rng); err != nil {
				t.Fatalf("again=%v, act %d: %v", again, i, err)
			}
		}
	}
	if err := r.end(nil, nil); err != nil {
		t.Fatal(err)
	}
}

func (r *run) compareExtremes(rng *rand.Rand) error {
	for _, p := range r.catalog.Projects {
		f := everything(rng, p.ID, true)
		for i := range 5 {
			f.Columns = append(f.Columns, propertyColumn(rng, fmt.Sprintf("p%03d", i*50)), propertyColumn(rng, []string{"big", "min", "zero", "", strings.Repeat("é", 127) + "x"}[i]))
		}
		if err := r.compareScan(f); err != nil {
			return err
		}
	}
	return r.compareTable("balance", balanceColumns)
}

// TestManyCopies sends one event thousands of times, in many records: one group
// that spans logs and files.
func TestManyCopies(t *testing.T) {
	skipShort(t)
	r, err := begin(t.Context(), openEngine, oneDay)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 11))
	r.logf("copies")
	for round := range 30 {
		b := event.Batch{Shard: catalog.ShardKey{Project: 1, Day: 20_000}}
		id := r.stamp(rng)
		for i := range 100 {
			e := event.Event{Name: names[i%2], DistinctID: "ann", InsertID: "i1", Time: b.Shard.Day.Start() + int64(i%3), ID: id}
			e.ID.Index = uint32(i)
			if i%5 == 0 {
				e.InsertID = ""
			}
			b.Events = append(b.Events, e)
		}
		r.events = append(r.events, b.Events...)
		rec, err := encode(&b)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.accept([]record{rec, rec}); err != nil {
			t.Fatal(err)
		}
		if round%7 == 6 {
			if err := r.subject.Index(r.ctx, 0, round == 20); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 12 {
		p := somePolicy(rng)
		f := everything(rng, 1, true)
		f.Policy, f.AsOf = &p, r.someMoment(rng)
		if err := r.compareScan(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.compareAll(rng); err != nil {
		t.Fatal(err)
	}
	if err := r.end(nil, nil); err != nil {
		t.Fatal(err)
	}
}
