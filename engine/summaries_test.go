package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/vfs"
)

// copiesOf makes copies of some of a batch's events that one policy or another takes for
// copies: the same again, at another time of the day, by another name, with other
// content, and all that without an insert id.
func copiesOf(s *sample, b *event.Batch) {
	for i := 0; i+6 < len(b.Events); i += 7 {
		of := b.Events[i]
		if s.rng.IntN(2) == 0 {
			of.InsertID = ""
			b.Events[i] = of
		}
		for n := 1 + s.rng.IntN(3); n > 0; n-- {
			c := of
			c.ID = b.Events[i+n].ID
			switch s.rng.IntN(4) {
			case 1:
				c.Time = s.day.Start() + s.rng.Int64N(catalog.DayMicros)
			case 2:
				c.Name = "another " + c.Name
			case 3:
				c.Properties = append(slices.Clone(c.Properties), event.Property{Name: "zip", Value: catalog.Int(s.rng.Int64N(5))})
			}
			b.Events[i+n] = c
		}
	}
}

// everyPolicy are all policies that there can be.
func everyPolicy() (all []catalog.Policy) {
	for n := range 48 {
		p := catalog.Policy{
			Disabled: n&1 != 0, Survivor: catalog.Survivor(n >> 1 & 1), Conflict: catalog.Conflict(n >> 2 & 1), Missing: catalog.Missing(n >> 3 & 1), Key: catalog.Key(n >> 4),
		}
		all = append(all, p)
	}
	return all
}

// TestSummariesAreScans asks what files answer by their counts, by how often values or
// pairs of values come, under every policy, and holds each answer against the rows that
// a scan gives: before and after events are deleted, twice, since counts are kept, and
// with more events in the log.
func TestSummariesAreScans(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	s := newSample()
	var deleted []catalog.IngestID
	add := func(deletes ...event.Delete) {
		t.Helper()
		b := s.batch(400)
		copiesOf(s, b)
		if deletes != nil {
			b = &event.Batch{Shard: b.Shard, Deletes: deletes}
		}
		record, err := event.AppendBatch(nil, b)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Append(context.Background(), [][]byte{record}); err != nil {
			t.Fatal(err)
		}
		for i := range b.Events {
			if i%9 == 0 {
				deleted = append(deleted, b.Events[i].ID)
			}
		}
	}
	property := func(name string, t catalog.Type) exec.Column {
		return exec.Column{Source: exec.SourceProperty, Property: name, Type: t}
	}
	plan, country, zip := property("plan", catalog.TypeString), property("country", catalog.TypeString), property("zip", catalog.TypeInt)
	columns := map[string][]exec.Column{
		"all": nil, "by event": {{Source: exec.SourceEvent}}, "by user": {{Source: exec.SourceDistinctID}}, "by plan": {plan}, "by zip": {zip},
		"by price": {property("price", catalog.TypeDouble)}, "by url": {property("url", catalog.TypeString)}, "by plan and country": {plan, country},
		"by event and zip": {{Source: exec.SourceEvent}, zip}, "by plan, country and browser": {plan, country, property("$browser", catalog.TypeString)},
	}
	tallied := map[string]bool{}
	check := func(when string, policies []catalog.Policy) {
		t.Helper()
		for _, p := range policies {
			for name, read := range columns {
				f := &exec.Fragment{Project: sampleProject, Policy: &p, Columns: read}
				counts := map[string]int{}
				rows := 0
				if _, err := e.Scan(context.Background(), f, func(b *exec.Batch) error {
					for i := range b.Rows {
						var cells []string
						for _, a := range b.Columns {
							cells = append(cells, cellText(a, i))
						}
						counts[strings.Join(cells, "|")]++
					}
					rows += b.Rows
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				var want []string
				for key, n := range counts {
					want = append(want, strings.TrimPrefix(fmt.Sprintf("%s|%d", key, n), "|"))
				}
				slices.Sort(want)
				grouped := *f
				grouped.Group = &exec.Group{Aggregates: []exec.Aggregate{{Op: exec.AggCount}}}
				for i := range read {
					grouped.Group.Keys = append(grouped.Group.Keys, i)
				}
				for range 2 {
					got, n := pairAnswer(t, e, &grouped)
					if got != strings.Join(want, "\n") {
						t.Fatalf("%s, %s, policy %v: %d rows, but counts say\n%s", when, name, p, rows, got)
					}
					tallied[name] = tallied[name] || n > 0
				}
				if len(read) == 0 {
					continue
				}
				grouped.Group = &exec.Group{Aggregates: []exec.Aggregate{{Op: exec.AggCountDistinct, Args: []int{0}}}}
				distinct := map[string]bool{}
				for key := range counts {
					if first, _, _ := strings.Cut(key, "|"); first != "(null)" {
						distinct[first] = true
					}
				}
				got, n := pairAnswer(t, e, &grouped)
				if got != fmt.Sprint(len(distinct)) {
					t.Fatalf("%s, %s, policy %v: %d distinct values, but counts say %s", when, name, p, len(distinct), got)
				}
				if name == "by user" && n == 0 {
					t.Fatalf("%s, policy %v: rows were looked at to count users", when, p)
				}
			}
		}
	}
	for range 3 {
		add()
	}
	if err := e.Index(context.Background(), 0, true); err != nil {
		t.Fatal(err)
	}
	check("in a file", everyPolicy())
	for _, name := range []string{"all", "by event", "by plan", "by plan and country", "by plan, country and browser"} {
		if !tallied[name] { // of the others there are too many values, or too few rows have one
			t.Errorf("%s: no rows were tallied", name)
		}
	}
	add(event.Delete{ID: catalog.IngestID{Time: s.request + 1, Edge: 9}, Targets: deleted})
	var some []catalog.Policy
	for i, p := range everyPolicy() {
		if i%5 == 0 {
			some = append(some, p)
		}
	}
	check("after deletes", some)
	add()
	check("with a log", some)
}
