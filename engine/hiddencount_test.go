package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/vfs"
)

// TestDuplicatesCounted: counting the duplicates of a batch by the groups of its
// events gives what the state of the whole shard gives, under every policy, with
// copies in the log and in files, and the batch itself there twice.
func TestDuplicatesCounted(t *testing.T) {
	policies := []catalog.Policy{
		catalog.DefaultPolicy, {Disabled: true}, {Key: catalog.KeyExact}, {Key: catalog.KeyID}, {Survivor: catalog.SurvivorLast},
		{Conflict: catalog.ConflictKeep}, {Missing: catalog.MissingContent}, {Missing: catalog.MissingContent, Survivor: catalog.SurvivorLast, Key: catalog.KeyID},
	}
	counted, hiddenOnes := 0, int64(0)
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 1))
		e := openSample(t, vfs.NewMem(), "data")
		shard := catalog.ShardKey{Project: sampleProject, Day: 20_000}
		request := uint64(1_728_000_000_000_000_000)
		var past [][]byte
		for step := range 60 {
			request += uint64(rng.IntN(3)) * 1000
			b := &event.Batch{Shard: shard}
			for i := range 1 + rng.IntN(8) {
				b.Events = append(b.Events, event.Event{
					ID: catalog.IngestID{Time: request, Edge: 1 + uint32(step), Index: uint32(i)}, Name: fmt.Sprint("e", rng.IntN(2)),
					Time: shard.Day.Start() + rng.Int64N(3)*400, DistinctID: fmt.Sprint("u", rng.IntN(3)),
					InsertID:   []string{"", "text", fmt.Sprint("id ", rng.IntN(40)), fmt.Sprintf("%032x", rng.IntN(40))}[rng.IntN(4)],
					Properties: []event.Property{{Name: "p", Value: catalog.Int(rng.Int64N(2))}},
				})
			}
			record, err := event.AppendBatch(nil, b)
			if err != nil {
				t.Fatal(err)
			}
			if len(past) > 0 && rng.IntN(6) == 0 {
				record = past[rng.IntN(len(past))]
			}
			past = append(past, record)
			if err := e.Append(testContext, [][]byte{record}); err != nil {
				t.Fatal(err)
			}
			var batch event.Batch
			if err := event.DecodeBatch(record, &batch); err != nil {
				t.Fatal(err)
			}
			var ids []catalog.IngestID
			for i := range batch.Events {
				ids = append(ids, batch.Events[i].ID)
			}
			ids = sortIDs(ids)
			v, err := sampleShard(e).view(e)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range policies {
				r := rules{asOf: catalog.MaxIngestID, policy: p}
				got, ok, err := v.hiddenAmong(testContext, r, slices.Clone(ids), nil)
				if err != nil {
					t.Fatal(err)
				}
				want, err := v.hiddenByState(testContext, r, ids)
				if err != nil {
					t.Fatal(err)
				}
				if ok && got != want {
					t.Fatalf("seed %d, step %d, policy %+v: %d hidden, want %d", seed, step, p, got, want)
				}
				if ok {
					counted, hiddenOnes = counted+1, hiddenOnes+got
				}
			}
			v.release()
			if rng.IntN(15) == 0 {
				if err := e.Index(testContext, 0, rng.IntN(2) == 0); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if counted < 1000 || hiddenOnes < 500 {
		t.Errorf("only %d counts, %d hidden", counted, hiddenOnes)
	}
}

// TestDuplicatesAreNotReadAgain: who counts the duplicates of what it has just appended
// does not read the log for it, and reads what others appended meanwhile.
func TestDuplicatesAreNotReadAgain(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	s := newSample()
	var records [][]byte
	for range 3 {
		record, err := event.AppendBatch(nil, s.batch(50))
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, record)
	}
	count := func(want int64, of ...[]byte) {
		t.Helper()
		got, err := e.Duplicates(testContext, of)
		if err != nil || got != want {
			t.Errorf("%d duplicates, want %d: %v", got, want, err)
		}
	}
	for _, record := range records[:2] {
		if err := e.Append(testContext, [][]byte{record}); err != nil {
			t.Fatal(err)
		}
		count(0, record)
	}
	tail := sampleShard(e).now.tail
	if tail.batches != 2 || tail.buffer != nil {
		t.Errorf("of %d batches some were read: %d bytes", tail.batches, cap(tail.buffer))
	}
	if err := e.Append(testContext, [][]byte{records[2], records[0]}); err != nil {
		t.Fatal(err)
	}
	count(0, records[0]) // a physical repeat is one record
	if tail.batches != 4 || tail.buffer == nil {
		t.Errorf("%d batches are known, and nothing was read", tail.batches)
	}
	v, err := sampleShard(e).view(e)
	if err != nil {
		t.Fatal(err)
	}
	defer v.release()
	fresh := *v
	fresh.tail = newTail(v.files)
	for _, of := range []*view{v, &fresh} {
		if _, err := of.state(testContext, rules{asOf: catalog.MaxIngestID}); err != nil {
			t.Fatal(err)
		}
	}
	compareColumns(t, v, &fresh)
}
