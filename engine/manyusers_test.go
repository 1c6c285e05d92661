package engine

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"arbor/catalog"
	"arbor/engine/exec"
	"arbor/engine/vfs"
)

// TestManyUsers asks for the events of one user, of as many as are searched for, of one
// more, and of all, and holds the counts against what a scan without a filter gives.
func TestManyUsers(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	s := newSample()
	s.fill(t, e, 60_000, 2_000)
	if err := e.Index(context.Background(), 0, true); err != nil {
		t.Fatal(err)
	}
	s.fill(t, e, 3_000, 500)
	counts := map[string]int{}
	all := &exec.Fragment{Project: sampleProject, Columns: []exec.Column{{Source: exec.SourceDistinctID}}}
	if _, err := e.Scan(context.Background(), all, func(b *exec.Batch) error {
		for i := range b.Rows {
			counts[cellText(b.Columns[0], i)]++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var users []string
	for u := range counts {
		users = append(users, u)
	}
	slices.Sort(users)
	for n, searched := range map[int]bool{1: true, fewUsers: true, fewUsers + 1: false, len(users): false} {
		f := &exec.Fragment{Project: sampleProject, Columns: []exec.Column{{Source: exec.SourceDistinctID, Hidden: true}},
			Filter: &exec.Expr{Op: exec.OpIn, Column: 0}, Group: &exec.Group{Aggregates: []exec.Aggregate{{Op: exec.AggCount}}}}
		want := 0
		for i := range n {
			u := users[i*len(users)/n]
			f.Filter.Values = append(f.Filter.Values, catalog.String(u))
			want += counts[u]
		}
		got := ""
		stats, err := e.Execute(context.Background(), f, func(b *exec.Batch) error { got = cellText(b.Columns[0], 0); return nil })
		if err != nil {
			t.Fatal(err)
		}
		if got != fmt.Sprint(want) {
			t.Errorf("%d users have %s events, want %d", n, got, want)
		}
		if searched != (stats.RowsPruned > 0) {
			t.Errorf("of %d users %d rows were left out", n, stats.RowsPruned)
		}
	}
}
