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
				got, ok, err := v.hiddenAmong(testContext, r, slices.Clone(ids))
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
