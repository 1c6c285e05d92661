package engine

import (
	"slices"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/vfs"
)

// recordsOf reads all that is stored of a shard.
func recordsOf(t *testing.T, e *Engine, k catalog.ShardKey) (sum event.Digest, batches []*event.Batch) {
	t.Helper()
	err := e.Records(testContext, k, func(b *event.Batch) error {
		if b.Shard != k || len(b.Events) > recordsEvents {
			t.Errorf("a batch of shard %s with %d events", b.Shard, len(b.Events))
		}
		sum.AddBatch(b)
		batches = append(batches, b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum, batches
}

// digestOf is what a shard comes to.
func digestOf(t *testing.T, e *Engine, k catalog.ShardKey) event.Digest {
	t.Helper()
	v, err := e.shard(k).view(e)
	if err != nil {
		t.Fatal(err)
	}
	defer v.release()
	d, err := v.digest(testContext, e.Catalog())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestRecordsAreAll: Records gives what the shard's digest is of, from files and from the
// log, deleted or not, repeats once; and appended elsewhere they are the same set.
func TestRecordsAreAll(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	s := newSample()
	s.fill(t, e, 9000, 100)
	if err := e.Index(testContext, 0, false); err != nil {
		t.Fatal(err)
	}
	k := e.allShards()[0].key
	_, all := recordsOf(t, e, k)
	// Some events come again and are deleted, one delete is undone, and one file is made
	// of that: the rest stays logged.
	id := catalog.IngestID{Time: 1 << 62, Edge: 7}
	deletion := func(n uint64, events []event.Event) event.Delete {
		d := event.Delete{ID: catalog.IngestID{Time: id.Time + n, Edge: id.Edge}}
		for i := range events {
			d.Targets = append(d.Targets, events[i].ID)
		}
		return d
	}
	first, second := deletion(1, all[0].Events[:100]), deletion(2, all[1].Events[:50])
	for i, b := range []event.Batch{
		{Shard: k, Events: all[0].Events[:300], Deletes: []event.Delete{first}},
		{Shard: k, Events: all[0].Events[200:400], Deletes: []event.Delete{first, second}, Undos: []event.Undo{{ID: catalog.IngestID{Time: id.Time + 3, Edge: 7}, Delete: second.ID}}},
	} {
		record, err := event.AppendBatch(nil, &b)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Append(testContext, [][]byte{record}); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if err := e.Index(testContext, 0, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.fill(t, e, 500, 100)
	other := openSample(t, vfs.NewMem(), "data")
	for _, k := range e.ShardsOf(k.Project) {
		want := digestOf(t, e, k)
		got, batches := recordsOf(t, e, k)
		if got != want || got.Count == 0 {
			t.Errorf("the records of shard %s come to %s, the shard to %s", k, got, want)
		}
		for _, b := range batches {
			record, err := event.AppendBatch(nil, b)
			if err != nil {
				t.Fatal(err)
			}
			if err := other.Append(testContext, slices.Repeat([][]byte{record}, 2)); err != nil {
				t.Fatal(err)
			}
		}
		if got := digestOf(t, other, k); got != want {
			t.Errorf("elsewhere shard %s comes to %s, and here to %s", k, got, want)
		}
	}
	if got, _ := recordsOf(t, e, catalog.ShardKey{Project: 99}); got.Count != 0 {
		t.Errorf("%d records of a shard that is not there", got.Count)
	}
}
