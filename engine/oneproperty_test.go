package engine

import (
	"context"
	"fmt"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/vfs"
)

// TestOneProperty asks for objects of one property of events in memory by column, in the
// log, and in a file: each has the value that was sent, and a row without the property has
// null, or an object without it. Those in memory are not read from the log for it.
func TestOneProperty(t *testing.T) {
	values := []catalog.Value{catalog.Null, catalog.Bool(true), catalog.Int(-7), catalog.Int(9007199254740993), catalog.Double(0.5), catalog.String("a\"b\u2028"), catalog.String(""),
		catalog.JSON(`{"x":[1,null]}`), catalog.JSON(`[]`), {Kind: catalog.KindNumber, Text: "100000000000000000000.5"}}
	b := &event.Batch{Shard: catalog.ShardKey{Project: sampleProject, Day: 20_000}}
	for i := range maxCodedNumbers + 500 {
		e := event.Event{ID: catalog.IngestID{Time: 1, Edge: 1, Index: uint32(i)}, Name: "e", Time: b.Shard.Day.Start(), DistinctID: fmt.Sprint(i % 7), InsertID: fmt.Sprint(i)}
		if i%3 > 0 {
			e.Properties = append(e.Properties, catalog.Property{Name: "mixed", Value: values[i%len(values)]})
		}
		e.Properties = append(e.Properties, catalog.Property{Name: "n", Value: catalog.Int(int64(i) * 3)}) // too many for a dictionary
		if i%5 == 0 {
			e.Properties = append(e.Properties, catalog.Property{Name: "we\"ird", Value: values[i%4]})
		}
		b.Events = append(b.Events, e)
	}
	record, err := event.AppendBatch(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"mixed", "n", "we\"ird", "none"}
	text := func(a arrow.Array, row int) string {
		if d, ok := a.(*array.Dictionary); ok && !a.IsNull(row) {
			a, row = d.Dictionary(), d.GetValueIndex(row)
		}
		if a.IsNull(row) {
			return "null"
		}
		return a.(*array.String).Value(row)
	}
	check := func(e *Engine, where string) exec.Work {
		t.Helper()
		f := &exec.Fragment{Project: sampleProject, Measured: true, Columns: []exec.Column{{Source: exec.SourceInsertID}}}
		for _, name := range names {
			f.Columns = append(f.Columns, exec.Column{Source: exec.SourceProperties, Property: name})
		}
		rows := 0
		stats, err := e.Scan(context.Background(), f, func(batch *exec.Batch) error {
			for row := range batch.Rows {
				var at int
				if _, err := fmt.Sscan(text(batch.Columns[0], row), &at); err != nil {
					return err
				}
				for i, name := range names {
					want := "null"
					if v, ok := property(&b.Events[at], name); ok {
						want = string(appendProperties(nil, []catalog.Property{{Name: name, Value: v}}))
					}
					if got := text(batch.Columns[i+1], row); got != want {
						t.Fatalf("%s: event %d: %s is %s, want %s", where, at, name, got, want)
					}
				}
				rows++
			}
			return nil
		})
		if err != nil || rows != len(b.Events) {
			t.Fatalf("%s: %d rows, %v", where, rows, err)
		}
		return stats.Work
	}
	for _, held := range []bool{true, false} {
		e := openSample(t, vfs.NewMem(), "data")
		if !held {
			e.columnBudget.open(1)
		}
		if err := e.Append(context.Background(), [][]byte{record}); err != nil {
			t.Fatal(err)
		}
		work := check(e, fmt.Sprintf("logged, held %t", held))
		if held != (work.BytesLog == 0) || held != (work.BytesMemory > 0) {
			t.Errorf("held %t: %d bytes of the log were read, %d of memory", held, work.BytesLog, work.BytesMemory)
		}
		if err := e.Index(context.Background(), 0, false); err != nil {
			t.Fatal(err)
		}
		check(e, "indexed")
	}
}
