package engine

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/engine/exec"
	"arbor/engine/vfs"
)

// idsInOrder are the ingest ids of a project's events by time, up to a limit.
func idsInOrder(e *Engine, limit int64, descending bool) ([]string, error) {
	f := &exec.Fragment{Project: sampleProject, Columns: []exec.Column{{Source: exec.SourceTime}, {Source: exec.SourceIngestID}},
		Order: []exec.Order{{Descending: descending}}, Limit: limit}
	var ids []string
	_, err := e.Execute(context.Background(), f, func(b *exec.Batch) error {
		texts := b.Columns[1].(*array.String)
		for i := range b.Rows {
			ids = append(ids, texts.Value(i))
		}
		return nil
	})
	return ids, err
}

// TestMaxTop asks for as many first rows as are found by the columns of the order
// alone, and for one more, which are sorted whole: the ones begin the others.
func TestMaxTop(t *testing.T) {
	skipShort(t)
	e := openSample(t, vfs.NewMem(), "data")
	newSample().fill(t, e, MaxTop+MaxTop/20, 5000)
	if err := e.Index(context.Background(), 0, false); err != nil {
		t.Fatal(err)
	}
	for _, descending := range []bool{false, true} {
		top, err := idsInOrder(e, MaxTop, descending)
		if err != nil {
			t.Fatal(err)
		}
		more, err := idsInOrder(e, MaxTop+1, descending)
		if err != nil {
			t.Fatal(err)
		}
		if len(top) != MaxTop || len(more) != MaxTop+1 || !slices.Equal(top, more[:MaxTop]) {
			t.Errorf("descending %v: %d rows and %d, which begin alike: %v", descending, len(top), len(more), slices.Equal(top, more[:min(len(top), len(more))]))
		}
	}
}

// TestSortMemory looks for the least memory that a sort of all rows takes. With a
// byte less it fails and says why; the first rows still come, and so does all
// when there is room again.
func TestSortMemory(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	e.opts.Workers = 1 // which rows come together does not change
	newSample().fill(t, e, 3000, 500)
	if err := e.Index(context.Background(), 0, false); err != nil {
		t.Fatal(err)
	}
	all, err := idsInOrder(e, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	fits := func(bytes int64) bool {
		e.opts.QueryBytes = bytes
		ids, err := idsInOrder(e, 0, false)
		if err != nil && (!errors.Is(err, exec.ErrMemory) || len(ids) > 0) {
			t.Fatalf("%d bytes: %d rows, %v", bytes, len(ids), err)
		}
		if err == nil && !slices.Equal(ids, all) {
			t.Fatalf("%d bytes: other rows", bytes)
		}
		return err == nil
	}
	most := int64(1)
	for !fits(most) {
		most *= 2
	}
	least := most / 2
	for least+1 < most {
		if middle := (least + most) / 2; fits(middle) {
			most = middle
		} else {
			least = middle
		}
	}
	if perRow := most / int64(len(all)); perRow < sortedBytes || perRow > 1000 {
		t.Errorf("%d bytes a row", perRow)
	}
	if fits(most-1) || !fits(most) {
		t.Errorf("%d bytes are not the least", most)
	}
	e.opts.QueryBytes = most - 1
	first, err := idsInOrder(e, 10, false)
	if err != nil || !slices.Equal(first, all[:10]) {
		t.Errorf("the first rows with too little room for all: %v, %v", first, err)
	}
}
