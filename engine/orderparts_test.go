package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/vfs"
)

// sortedIDs are the ingest ids of rows in an order, and how many batches they came in.
func sortedIDs(e *Engine, f *exec.Fragment) (ids []string, batches int, err error) {
	f.Project = sampleProject
	f.Columns = []exec.Column{{Source: exec.SourceDistinctID}, {Source: exec.SourceTime}, {Source: exec.SourceEvent}, {Source: exec.SourceIngestID},
		{Source: exec.SourceProperty, Property: "price", Type: catalog.TypeDouble}}
	_, err = e.Execute(context.Background(), f, func(b *exec.Batch) error {
		batches++
		texts := b.Columns[3].(*array.String)
		for i := range b.Rows {
			ids = append(ids, texts.Value(i))
		}
		return nil
	})
	return ids, batches, err
}

// TestSortedPartByPart sorts all rows by time and by user, up and down, of files of several
// days and of logs, in parts of any size: they are the same rows in the same order as when
// they are sorted at once, and take less memory.
func TestSortedPartByPart(t *testing.T) {
	if testing.Short() {
		t.Skip("it compares answers, which nothing else changes meanwhile")
	}
	e := openSample(t, vfs.NewMem(), "data")
	s := newSample()
	for day := range 4 {
		s.day, s.past = catalog.Day(20_000+day), nil
		s.fill(t, e, 1500, 500)
		if err := e.Index(context.Background(), 0, false); err != nil {
			t.Fatal(err)
		}
		s.fill(t, e, 400+100*day, 100) // a second file, or a log
		if day%2 == 0 {
			if err := e.Index(context.Background(), 0, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Users without an id, and names that begin each other.
	b := &event.Batch{Shard: catalog.ShardKey{Project: sampleProject, Day: 20_001}}
	for i, user := range []string{"", "", "user-", "user-0", "user-00", "\x00", "\x00\xff", "z"} {
		b.Events = append(b.Events, event.Event{ID: catalog.IngestID{Time: 2, Edge: 1, Index: uint32(i)}, Name: "e", Time: b.Shard.Day.Start() + int64(i), DistinctID: user, InsertID: fmt.Sprint(i)})
	}
	record, err := event.AppendBatch(nil, b)
	if err := errors.Join(err, e.Append(context.Background(), [][]byte{record})); err != nil {
		t.Fatal(err)
	}
	filter := &exec.Expr{Op: exec.OpMore, Column: 4, Values: []catalog.Value{catalog.Double(30)}}
	least := func(f exec.Fragment) int64 {
		lo, hi := int64(1<<10), int64(1<<24)
		for lo+lo/64 < hi {
			e.opts.QueryBytes = (lo + hi) / 2
			if _, _, err := sortedIDs(e, &f); err == nil {
				hi = (lo + hi) / 2
			} else if errors.Is(err, exec.ErrMemory) {
				lo = (lo+hi)/2 + 1
			} else {
				t.Fatal(err)
			}
		}
		e.opts.QueryBytes = 0
		return lo
	}
	for _, order := range [][]exec.Order{
		{{Column: 0}}, {{Column: 0, Descending: true}}, {{Column: 0}, {Column: 1}}, {{Column: 0, Descending: true}, {Column: 4}},
		{{Column: 1}}, {{Column: 1, Descending: true}}, {{Column: 1, Descending: true}, {Column: 0}},
	} {
		for _, f := range []exec.Fragment{{Order: order}, {Order: order, Copies: true}, {Order: order, Filter: filter}, {Order: order, Limit: MaxTop + 1}} {
			e.opts.SortedRows = 1 << 30
			want, _, err := sortedIDs(e, &f)
			if err != nil {
				t.Fatal(err)
			}
			for _, rows := range []int{150, 700, 0} {
				e.opts.SortedRows = rows
				got, batches, err := sortedIDs(e, &f)
				if err != nil || !slices.Equal(got, want) {
					t.Fatalf("order %v, %d rows at once: %d rows, want %d in another order: %v", order, rows, len(got), len(want), err)
				}
				if rows == 700 && batches < 4 {
					t.Errorf("order %v: %d batches", order, batches)
				}
			}
		}
		if len(order) > 1 {
			continue
		}
		f := exec.Fragment{Order: order}
		e.opts.SortedRows = 1 << 30
		whole := least(f)
		e.opts.SortedRows = 300
		if part := least(f); part > whole*3/4 {
			t.Errorf("order %v: %d bytes by parts, %d at once", order, part, whole)
		}
	}
}
