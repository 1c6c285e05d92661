package engine

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/vfs"
)

// heirloom makes batches with everything that a tail knows something about.
type heirloom struct {
	*sample
	rng  *rand.Rand
	sent []*event.Batch
}

func (h *heirloom) batch() *event.Batch {
	b := h.sample.batch(1 + h.rng.IntN(60))
	for i := range b.Events {
		e := &b.Events[i]
		switch h.rng.IntN(6) {
		case 0:
			e.InsertID = ""
		case 1:
			e.InsertID = fmt.Sprint("order ", h.rng.IntN(50))
			e.DistinctID = "one"
		case 2:
			e.DistinctID = fmt.Sprint("visitor ", h.rng.IntN(4))
			e.InsertID = fmt.Sprintf("%032x", h.rng.IntN(60))
		}
		e.ServerTime = h.rng.IntN(5) == 0
		if h.rng.IntN(3) == 0 {
			of := []catalog.Value{catalog.Int(h.rng.Int64N(90)), catalog.Bool(true), catalog.String(fmt.Sprint(h.rng.IntN(9))), catalog.Double(h.rng.Float64())}
			e.Properties = append(slices.Clone(e.Properties), event.Property{Name: fmt.Sprint("x", h.rng.IntN(3)), Value: of[h.rng.IntN(4)]})
		}
	}
	if len(h.sent) == 0 {
		return b
	}
	past := h.sent[h.rng.IntN(len(h.sent))]
	switch h.rng.IntN(12) {
	case 0:
		return past // again, byte for byte
	case 1:
		b.Events = slices.Clone(past.Events) // the same events came again
		for i := range b.Events {
			b.Events[i].ID = catalog.IngestID{Time: h.request, Edge: 9, Index: uint32(i)}
		}
	case 2:
		damaged := b.Events[0] // another event under an id
		damaged.ID = past.Events[0].ID
		b.Events = append([]event.Event{damaged}, b.Events...)
		slices.SortFunc(b.Events, func(a, b event.Event) int { return a.ID.Compare(b.ID) })
	case 3:
		b.Deletes = []event.Delete{{ID: catalog.IngestID{Time: h.request, Edge: 8}, Targets: []catalog.IngestID{past.Events[0].ID}}}
	}
	return b
}

// TestInherit: after some of the log is in a file, or files were merged, the new tail
// knows the rest without reading it, and it is what a tail knows that reads everything.
func TestInherit(t *testing.T) {
	seeds := uint64(5)
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { testInherit(t, seed) })
	}
}

func testInherit(t *testing.T, seed uint64) {
	e := openSample(t, vfs.NewMem(), "data")
	e.columnBudget.maxCoded = 20
	h := &heirloom{sample: newSample(), rng: rand.New(rand.NewPCG(seed, 4))}
	inherited := 0
	for round := range 30 {
		for range 1 + h.rng.IntN(6) {
			b := h.batch()
			record, err := event.AppendBatch(nil, b)
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Append(testContext, [][]byte{record}); err != nil {
				t.Fatal(err)
			}
			h.sent = append(h.sent, b)
		}
		s := sampleShard(e)
		if h.rng.IntN(3) > 0 { // else nobody asks in between
			inherited += compareToFresh(t, e, s, round)
		}
		refs, err := e.indexer.due(testContext, s)
		if err != nil {
			t.Fatal(err)
		}
		files := s.files()
		switch n := h.rng.IntN(len(refs) + 1); {
		case len(files) > 1 && h.rng.IntN(3) == 0:
			err = e.indexer.alone(testContext, s, func() error {
				return e.indexer.build(testContext, s, taskMerge, nil, files[:2])
			})
		case n > 0:
			err = e.indexer.alone(testContext, s, func() error {
				return e.indexer.build(testContext, s, taskIndex, refs[:n], nil)
			})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if inherited == 0 {
		t.Error("nothing was carried over")
	}
}

// compareToFresh compares what a shard's tail knows with what one knows that has read
// everything, and says how many batches it had taken over.
func compareToFresh(t *testing.T, e *Engine, s *shard, round int) (inherited int) {
	t.Helper()
	v, err := s.view(e)
	if err != nil {
		t.Fatal(err)
	}
	defer v.release()
	if p := v.tail.from.Load(); p != nil {
		p.tail.turn.take(testContext)
		known := 0
		for known < len(p.kept) && p.kept[known].number < p.tail.batches {
			known++
		}
		p.tail.turn.give()
		v.tail.turn.take(testContext)
		if err := v.tail.inherit(testContext, v); err != nil {
			t.Fatal(err)
		}
		if inherited = v.tail.batches; inherited != known || v.tail.columns.batches() != known {
			t.Fatalf("round %d: %d batches were taken over, %d by column, of %d", round, inherited, v.tail.columns.batches(), known)
		}
		v.tail.turn.give()
	}
	fresh := *v
	fresh.tail = newTail(v.files)
	defer fresh.tail.columns.drop()
	last := catalog.DefaultPolicy
	last.Survivor, last.Conflict = catalog.SurvivorLast, catalog.ConflictKeep
	none := catalog.DefaultPolicy
	none.Disabled = true
	for _, policy := range []catalog.Policy{catalog.DefaultPolicy, last, none} {
		for _, detail := range []bool{false, true} {
			r := rules{policy: policy, asOf: catalog.MaxIngestID, detail: detail}
			got, err := v.state(testContext, r)
			if err != nil {
				t.Fatal(err)
			}
			want, err := fresh.state(testContext, r)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("round %d, %+v:\n%+v\nwant\n%+v", round, r, got, want)
			}
		}
	}
	compareColumns(t, v, &fresh)
	return inherited
}

// compareColumns compares what two tails hold by column of the same view.
func compareColumns(t *testing.T, v, fresh *view) {
	t.Helper()
	batches, rows := v.tail.columns.held(v)
	if other, _ := fresh.tail.columns.held(fresh); batches != other || batches != len(v.logs) {
		t.Fatalf("%d batches of %d are held, %d by the other", batches, len(v.logs), other)
	}
	columns := []exec.Column{{Source: exec.SourceTime}, {Source: exec.SourceTimeRaw}, {Source: exec.SourceEvent}, {Source: exec.SourceDistinctID},
		{Source: exec.SourceInsertID}, {Source: exec.SourceIngestID}}
	for _, name := range []string{"$browser", "$os", "country", "plan", "price", "screen_w", "url", "x0", "x1", "x2", "none"} {
		for _, as := range []catalog.Type{catalog.TypeString, catalog.TypeInt, catalog.TypeDouble} {
			columns = append(columns, exec.Column{Source: exec.SourceProperty, Property: name, Type: as})
		}
	}
	for lo := 0; lo < rows; lo += logChunkRows {
		hi := min(lo+logChunkRows, rows)
		for i := range columns {
			var texts [2]string
			for k, of := range []*view{v, fresh} {
				h := heldRows{view: of}
				a, err := h.column(&part{view: of}, &marks{}, &columns[i], lo, hi, nil)
				if err != nil {
					t.Fatal(err)
				}
				for row := range a.Len() {
					texts[k] += a.ValueStr(row) + "\n"
				}
			}
			if texts[0] != texts[1] {
				t.Fatalf("column %+v:\n%s\nwant\n%s", columns[i], texts[0], texts[1])
			}
		}
	}
}
