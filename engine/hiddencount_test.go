package engine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/vfs"
)

// TestDuplicatesCounted: counting the duplicates of a batch by the keys of what is logged,
// or by the groups of its events, gives what the state of the whole shard gives, under
// every policy, with copies in the log and in files, some deleted, truncated or erased, or of
// the id of another, and the batch itself there twice.
func TestDuplicatesCounted(t *testing.T) {
	skipShort(t)
	policies := []catalog.Policy{
		catalog.DefaultPolicy, {Disabled: true}, {Key: catalog.KeyExact}, {Key: catalog.KeyID}, {Survivor: catalog.SurvivorLast},
		{Conflict: catalog.ConflictKeep}, {Missing: catalog.MissingContent}, {Missing: catalog.MissingContent, Survivor: catalog.SurvivorLast, Key: catalog.KeyID},
	}
	counted, hiddenOnes, byKeys, hiddenByKeys := 0, int64(0), 0, int64(0)
	erasing := suppressionOf(t, "u1", catalog.IngestID{Time: 1_728_000_000_000_020_000})
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 1))
		e := openSample(t, vfs.NewMem(), "data")
		shard := catalog.ShardKey{Project: sampleProject, Day: 20_000}
		request := uint64(1_728_000_000_000_000_000)
		var past, withDeletes [][]byte
		var sent, deletes []catalog.IngestID
		var upTo catalog.IngestID
		var tables map[*tail][]firstCopies
		var before *view
		var idsBefore []catalog.IngestID
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
			if seed%2 == 1 && step > 25 && rng.IntN(4) == 0 {
				id := catalog.IngestID{Time: request, Edge: 1 + uint32(step), Index: 100}
				b.Deletes = append(b.Deletes, event.Delete{ID: id, Targets: []catalog.IngestID{sent[rng.IntN(len(sent))], b.Events[0].ID}})
				deletes = append(deletes, id)
			}
			if len(deletes) > 0 && rng.IntN(4) == 0 {
				id := catalog.IngestID{Time: request, Edge: 1 + uint32(step), Index: 101}
				b.Undos = append(b.Undos, event.Undo{ID: id, Delete: deletes[rng.IntN(len(deletes))]})
			}
			if seed == 3 && step > 50 && rng.IntN(4) == 0 {
				b.Events[0].ID = sent[rng.IntN(len(sent))] // another event of that id
			}
			for i := range b.Events {
				sent = append(sent, b.Events[i].ID)
			}
			record, err := event.AppendBatch(nil, b)
			if err != nil {
				t.Fatal(err)
			}
			if len(past) > 0 && rng.IntN(6) == 0 {
				record = past[rng.IntN(len(past))]
			} else if len(withDeletes) > 0 && rng.IntN(6) == 0 {
				record = withDeletes[rng.IntN(len(withDeletes))] // maybe after it was undone
			}
			if len(b.Deletes) > 0 {
				withDeletes = append(withDeletes, record)
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
			if seed%4 > 1 && rng.IntN(5) == 0 {
				upTo = sent[rng.IntN(len(sent))] // earlier or later than the one before
			}
			if tables[v.tail] == nil {
				tables = map[*tail][]firstCopies{v.tail: slices.Repeat([]firstCopies{{turn: newTurn()}}, len(policies))}
			}
			ruled := func(p catalog.Policy) (now, then rules) {
				now = rules{asOf: catalog.MaxIngestID, policy: p, upTo: upTo}
				if seed == 6 {
					now.erasing = erasing
				}
				then = now // nothing comes later, and nothing that was kept is used
				then.asOf.Index--
				return now, then
			}
			count := func(v *view, ids []catalog.IngestID, p catalog.Policy) (want int64) {
				r, then := ruled(p)
				want, err := v.hiddenByState(testContext, then, ids)
				if err != nil {
					t.Fatal(err)
				}
				got, ok, err := v.hiddenAmong(testContext, r, slices.Clone(ids), nil)
				if err != nil {
					t.Fatal(err)
				}
				if ok && got != want {
					t.Fatalf("seed %d, step %d, policy %+v: %d hidden, want %d", seed, step, p, got, want)
				}
				if ok {
					counted, hiddenOnes = counted+1, hiddenOnes+got
				}
				return want
			}
			if _, then := ruled(policies[0]); !maps.Equal(v.tail.targetsInForce(v), inForce(v, then)) {
				t.Fatalf("seed %d, step %d: other events are deleted than should be", seed, step)
			}
			for i, p := range policies {
				want := count(v, ids, p)
				v.tail.first = tables[v.tail][i] // one that has been asked under this policy
				r, _ := ruled(p)
				keyed, byKey, err := v.hiddenByKeys(testContext, r, record, ids[0])
				if err != nil {
					t.Fatal(err)
				}
				tables[v.tail][i] = v.tail.first
				if byKey && keyed != want {
					t.Fatalf("seed %d, step %d, policy %+v: %d hidden by keys, want %d", seed, step, p, keyed, want)
				}
				if byKey {
					byKeys, hiddenByKeys = byKeys+1, hiddenByKeys+keyed
				}
			}
			if before != nil {
				count(before, idsBefore, policies[step%len(policies)]) // as it stood, of a tail that knows more
				before.release()
			}
			before, idsBefore = v, ids
			if rng.IntN(15) == 0 {
				if err := e.Index(testContext, 0, rng.IntN(2) == 0); err != nil {
					t.Fatal(err)
				}
			}
		}
		before.release()
	}
	if counted < 1000 || hiddenOnes < 500 || byKeys < 1000 || hiddenByKeys < 500 {
		t.Errorf("only %d counts, %d hidden; by keys %d, %d hidden", counted, hiddenOnes, byKeys, hiddenByKeys)
	}
}

// inForce are the targets of deletes in force, worked out anew.
func inForce(v *view, r rules) map[catalog.IngestID]struct{} {
	marks := v.tail.marksOf(v)
	return marks.inForce(r.asOf)
}

// countedReads counts what is read of its files.
type countedReads struct {
	vfs.FS
	reads atomic.Int64
}

func (c *countedReads) Create(name string) (vfs.File, error) {
	f, err := c.FS.Create(name)
	return &countedFile{f, &c.reads}, err
}

type countedFile struct {
	vfs.File
	reads *atomic.Int64
}

func (f *countedFile) ReadAt(p []byte, at int64) (int, error) {
	f.reads.Add(1)
	return f.File.ReadAt(p, at)
}

// TestDuplicatesAreNotReadAgain: who counts the duplicates of what it has just appended
// does not read the log for it, and reads what others appended meanwhile.
func TestDuplicatesAreNotReadAgain(t *testing.T) {
	disk := &countedReads{FS: vfs.NewMem()}
	reads := &disk.reads
	e := openSample(t, disk, "data")
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
	if tail.batches != 0 || tail.first.batches != 2 || reads.Load() > 0 {
		t.Errorf("%d batches are known, of %d the keys, and %d were read", tail.batches, tail.first.batches, reads.Load())
	}
	if err := e.Append(testContext, [][]byte{records[2], records[0]}); err != nil {
		t.Fatal(err)
	}
	count(0, records[0]) // a physical repeat is one record
	if tail.batches != 0 || tail.first.batches != 4 || reads.Load() != 1 {
		t.Errorf("%d batches are known, of %d the keys, and %d were read", tail.batches, tail.first.batches, reads.Load())
	}
	var retry event.Batch
	if err := event.DecodeBatch(records[1], &retry); err != nil {
		t.Fatal(err)
	}
	for i := range retry.Events {
		retry.Events[i].ID.Time++
	}
	again, err := event.AppendBatch(nil, &retry)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Append(testContext, [][]byte{again}); err != nil {
		t.Fatal(err)
	}
	count(50, again)
	if tail.batches != 0 || reads.Load() != 1 {
		t.Errorf("%d batches are known, and %d were read", tail.batches, reads.Load())
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

// TestDuplicatesOfAnIndexedBatch: a batch that was indexed before its duplicates are
// counted is not hidden by a copy that came into the log since, where the first survives;
// where the last does, it is.
func TestDuplicatesOfAnIndexedBatch(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	shard := catalog.ShardKey{Project: sampleProject, Day: 20_000}
	var records [2][]byte
	for i := range records {
		b := &event.Batch{Shard: shard, Events: []event.Event{{
			ID: catalog.IngestID{Time: 1_728_000_000_000_000_000 + uint64(i), Edge: 1}, Name: "e", Time: shard.Day.Start(), DistinctID: "u", InsertID: "i",
		}}}
		var err error
		if records[i], err = event.AppendBatch(nil, b); err != nil {
			t.Fatal(err)
		}
		if err := e.Append(testContext, records[i:i+1]); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if err := e.Index(testContext, 0, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, want := range []int64{0, 1} {
		if n, err := e.Duplicates(testContext, records[i:i+1]); n != want || err != nil {
			t.Errorf("batch %d: %d, %v; want %d", i, n, err, want)
		}
	}
	v, err := sampleShard(e).view(e)
	if err != nil {
		t.Fatal(err)
	}
	defer v.release()
	r := rules{asOf: catalog.MaxIngestID, policy: catalog.Policy{Survivor: catalog.SurvivorLast}}
	for i, record := range records {
		h, err := event.DecodeHeader(record)
		if err != nil {
			t.Fatal(err)
		}
		want, err := v.hiddenByState(testContext, r, []catalog.IngestID{h.FirstID})
		if err != nil || want != int64(1-i) {
			t.Fatalf("batch %d: %d by the state, %v", i, want, err)
		}
		if n, counted, err := v.hiddenByKeys(testContext, r, record, h.FirstID); err != nil || counted && n != want {
			t.Errorf("batch %d, where the last survives: %d, %v; want %d", i, n, err, want)
		}
	}
}

// TestDuplicatesBeforeLaterCopies: a batch is counted when one that came later is in the log
// already, whose copies survive where the last do.
func TestDuplicatesBeforeLaterCopies(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	b := newSample().batch(20)
	for i := range b.Events {
		b.Events[i].InsertID = fmt.Sprint("id ", i)
	}
	var records [2][]byte
	for i := range records {
		for j := range b.Events {
			b.Events[j].ID.Time += uint64(i)
		}
		var err error
		if records[i], err = event.AppendBatch(nil, b); err != nil {
			t.Fatal(err)
		}
		if err := e.Append(testContext, records[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
	v, err := sampleShard(e).view(e)
	if err != nil {
		t.Fatal(err)
	}
	defer v.release()
	r := rules{asOf: catalog.MaxIngestID, policy: catalog.Policy{Survivor: catalog.SurvivorLast}}
	for i, want := range []int64{20, 0} {
		h, err := event.DecodeHeader(records[i])
		if err != nil {
			t.Fatal(err)
		}
		if n, counted, err := v.hiddenByKeys(testContext, r, records[i], h.FirstID); n != want || !counted || err != nil {
			t.Errorf("batch %d: %d, %v, %v; want %d", i, n, counted, err, want)
		}
	}
}

// TestDuplicatesAskTheFilters: a file is asked about copies only where its filter, or the
// lack of one, says that it may have some: with a filter that lies nobody finds them.
func TestDuplicatesAskTheFilters(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	b := newSample().batch(50)
	for i := range b.Events {
		b.Events[i].InsertID = fmt.Sprint("id ", i)
	}
	var record []byte
	for i := range 2 {
		for j := range b.Events {
			b.Events[j].ID.Time += uint64(i)
		}
		var err error
		if record, err = event.AppendBatch(nil, b); err != nil {
			t.Fatal(err)
		}
		if err := e.Append(testContext, [][]byte{record}); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if err := e.Index(testContext, 0, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	f := sampleShard(e).files()[0]
	for _, c := range []struct {
		name   string
		filter *idFilter
		want   int64
	}{{"its own", f.ids.Load(), 50}, {"none", nil, 50}, {"a lying one", newIDFilter(50), 0}} {
		f.ids.Store(c.filter)
		if n, err := e.Duplicates(testContext, [][]byte{record}); n != c.want || err != nil {
			t.Errorf("with %s: %d duplicates, %v; want %d", c.name, n, err, c.want)
		}
	}
}

// suppressionOf is of one user's events up to an id.
func suppressionOf(t *testing.T, user string, upTo catalog.IngestID) *catalog.Suppression {
	t.Helper()
	c := &catalog.Catalog{EraseKey: catalog.EraseKey{1}}
	c.Erasures = []catalog.Erasure{{Project: sampleProject, ID: upTo, User: c.EraseKey.HashUser(sampleProject, user)}}
	_, s, ok := c.Erasure(upTo)
	if !ok {
		t.Fatal("the catalog does not have its erasure")
	}
	return s
}
