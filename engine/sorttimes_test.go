package engine

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
	"arbor/engine/exec"
	"arbor/engine/indexfile"
	"arbor/engine/vfs"
)

// TestNewest asks for the newest and the oldest events of several files and days, of
// which some are duplicates, with and without filters and with as many rows as runs
// of times begin and end at: they are those with which all events in that order begin.
// Most rows need not be looked at.
func TestNewest(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	s := newSample()
	for range 3 { // three files, of two days
		s.fill(t, e, 6_000, 2000)
		if err := e.Index(context.Background(), 0, false); err != nil {
			t.Fatal(err)
		}
		s.day, s.past = s.day^1, nil
	}
	s.fill(t, e, 500, 100) // and a log
	equal := func(column int, v catalog.Value) *exec.Expr {
		return &exec.Expr{Op: exec.OpEqual, Column: column, Values: []catalog.Value{v}}
	}
	filters := map[string]*exec.Expr{
		"": nil, "frequent": equal(2, catalog.String("event_00")), "rare": equal(3, catalog.String("/products/7")),
		"none": equal(2, catalog.String("no such event")),
	}
	for name, filter := range filters {
		for _, order := range [][]exec.Order{{{Descending: true}}, {{}}, {{Descending: true}, {Column: 1}}} {
			ask := func(limit int64) ([]string, exec.ScanStats) {
				t.Helper()
				f := &exec.Fragment{Project: sampleProject, Filter: filter, Order: order, Limit: limit, Columns: []exec.Column{
					{Source: exec.SourceTime}, {Source: exec.SourceDistinctID}, {Source: exec.SourceEvent, Hidden: true},
					{Source: exec.SourceProperty, Property: "url", Type: catalog.TypeString, Hidden: true}, {Source: exec.SourceIngestID}}}
				var rows []string
				stats, err := e.Execute(context.Background(), f, func(b *exec.Batch) error {
					times, ids := b.Columns[0].(*array.Timestamp), b.Columns[2].(*array.String)
					for i := range b.Rows {
						rows = append(rows, fmt.Sprint(times.Value(i), " ", ids.Value(i)))
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				return rows, stats
			}
			all, _ := ask(0)
			for _, limit := range []int{1, 2, 100, indexfile.TimeRunRows - 1, indexfile.TimeRunRows, indexfile.TimeRunRows + 1, 5000} {
				got, stats := ask(int64(limit))
				if want := all[:min(limit, len(all))]; !slices.Equal(got, want) {
					t.Errorf("filter %q, order %v, limit %d: %d rows, not the first of %d", name, order, limit, len(got), len(all))
				}
				seen := stats.RowsPruned + stats.RowsDuplicate + stats.RowsFiltered
				if seen > stats.RowsIndexed+stats.RowsLogged {
					t.Errorf("filter %q, limit %d: of %d rows %d were left out", name, limit, stats.RowsIndexed+stats.RowsLogged, seen)
				}
				// Workers that begin with a file each look at its first runs before they know of the others'.
				if limit == 2 && name == "" && stats.RowsPruned < stats.RowsIndexed/2 {
					t.Errorf("order %v: %d of %d rows were not looked at", order, stats.RowsPruned, stats.RowsIndexed)
				}
			}
		}
	}
}
