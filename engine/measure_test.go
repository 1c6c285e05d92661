package engine

import (
	"context"
	"fmt"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/indexfile"
	"arbor/engine/vfs"
)

// TestMeasured holds what a measured scan says that it skipped and read against what there
// is: three blocks of a file of which the zone maps leave one, copies that the file lists,
// and others in a second file and in the log.
func TestMeasured(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	const day, blocks = catalog.Day(20_000), 3
	request := uint64(1_728_000_000_000_000_000)
	put := func(index bool, from, to int) {
		t.Helper()
		for ; from < to; from += 4096 {
			request += 1_000_000
			b := &event.Batch{Shard: catalog.ShardKey{Project: sampleProject, Day: day}}
			for n := from; n < min(from+4096, to); n++ {
				b.Events = append(b.Events, event.Event{ID: catalog.IngestID{Time: request, Edge: 9, Index: uint32(n - from)}, Name: "e", Time: day.Start() + int64(n),
					DistinctID: fmt.Sprintf("u%08d", n), InsertID: fmt.Sprintf("i%d", n), Properties: []catalog.Property{{Name: "n", Value: catalog.Int(int64(n))}}})
			}
			record, err := event.AppendBatch(nil, b)
			if err == nil {
				err = e.Append(context.Background(), [][]byte{record})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if index {
			if err := e.Index(context.Background(), 0, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	const rows = blocks * indexfile.BlockRows
	put(false, rows-30, rows) // the copies that are seen, so that the others lie between
	put(true, 0, rows)        // 30 of them the file lists
	put(true, rows-20, rows)  // 20 are in another file
	put(false, rows-10, rows) // 10 are logged
	put(false, rows, rows+5)

	more := &exec.Expr{Op: exec.OpMoreEq, Column: 0, Values: []catalog.Value{catalog.Int(2*indexfile.BlockRows + 100)}}
	n := exec.Column{Source: exec.SourceProperty, Property: "n", Type: catalog.TypeInt}
	name := exec.Column{Source: exec.SourceEvent}
	for what, f := range map[string]*exec.Fragment{
		"rows":   {Columns: []exec.Column{n}},
		"groups": {Columns: []exec.Column{n, name}, Group: &exec.Group{Keys: []int{1}, Aggregates: []exec.Aggregate{{Op: exec.AggCount}, {Op: exec.AggSum, Args: []int{0}}}}},
		"order":  {Columns: []exec.Column{n}, Order: []exec.Order{{}}},
		"first":  {Columns: []exec.Column{n}, Order: []exec.Order{{}}, Limit: 3},
	} {
		f.Project, f.Filter, f.Measured = sampleProject, more, true
		ask := e.Execute
		if f.Group == nil && f.Order == nil {
			ask = e.Scan
		}
		got, err := ask(context.Background(), f, func(*exec.Batch) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		if !got.Measured || got.RowsDuplicate != 60 || got.RowsFound != 30 {
			t.Errorf("%s: %d duplicates, %d of them found", what, got.RowsDuplicate, got.RowsFound)
		}
		if got.Blocks < blocks || got.BlocksPruned != 2 || got.RowsZone != 2*indexfile.BlockRows || got.RowsZone != got.RowsPruned || got.Files != 2 || got.FilesPruned != 0 {
			t.Errorf("%s: %d of %d blocks, %d rows of %d, %d of %d files were pruned", what, got.BlocksPruned, got.Blocks, got.RowsZone, got.RowsPruned, got.FilesPruned, got.Files)
		}
		size := int64(0)
		for _, s := range e.shardsOf(sampleProject) {
			v, err := s.view(e)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range v.files.files {
				size += f.reader.PropertyBytes("n") + f.reader.EventBytes()
			}
			v.release()
		}
		if got.BytesFiles == 0 || got.BytesFiles > size*2/3 || got.BytesMemory == 0 || got.TimeRows == 0 || got.TimeVisible == 0 {
			t.Errorf("%s: %+v; the columns have %d bytes", what, got.Work, size)
		}
		f.Measured = false
		if got, err = ask(context.Background(), f, func(*exec.Batch) error { return nil }); err != nil || got.Measured || got.BytesFiles+got.TimeRows+got.RowsFound != 0 {
			t.Errorf("%s, and nobody looks: %+v, %v", what, got, err)
		}
	}
}
