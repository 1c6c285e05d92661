package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"syscall"
	"testing"

	"arbor/catalog"
	"arbor/engine/appendlog"
	"arbor/engine/dot"
	"arbor/engine/event"
	"arbor/engine/vfs"
)

var sampleStream = dot.Stream{0xab, 15: 1}

func named(seq uint64, record []byte) dot.Named {
	return dot.Named{Dot: dot.Dot{Stream: sampleStream, Seq: seq}, Record: record}
}

// record makes a record of ten events of a day.
func (w *ledgerWorld) record(day catalog.Day) []byte {
	w.events.day = day
	record, err := event.AppendBatch(nil, w.events.batch(10))
	w.must(err)
	return record
}

// name appends records under dots, all of which must be stored.
func (w *ledgerWorld) name(all ...dot.Named) {
	w.t.Helper()
	outcomes, err := w.e.AppendNamed(context.Background(), all)
	w.must(err)
	if slices.Contains(outcomes, dot.Differs) || len(outcomes) != len(all) {
		w.t.Fatalf("outcomes %v", outcomes)
	}
}

// wantHeld compares the sets with sequence numbers of the sample's stream.
func (w *ledgerWorld) wantHeld(seqs ...uint64) {
	w.t.Helper()
	held, lost, err := w.e.Held(context.Background())
	w.must(err)
	if len(lost) > 0 {
		w.t.Fatalf("lost: %v", lost)
	}
	var want dot.Set
	for _, seq := range seqs {
		want.Add(dot.Dot{Stream: sampleStream, Seq: seq})
	}
	got := held[catalog.Slot{Project: sampleProject}]
	if !got.Equal(&want) {
		w.t.Errorf("held are %v, want %v", got, want)
	}
}

// TestNamesAreKept takes named records through the log, files, merges, the trash and
// openings, beside records without names.
func TestNamesAreKept(t *testing.T) {
	w := newLedgerWorld(t)
	w.open()
	one, two, three, other := w.record(dayOne), w.record(dayTwo), w.record(dayOne), w.record(dayOne)
	w.name(named(1, one), named(2, two))
	w.must(w.add(dayOne))
	w.wantHeld(1, 2)
	check := func(step string, seqs ...uint64) {
		t.Helper()
		w.wantHeld(seqs...)
		w.reopen()
		w.wantHeld(seqs...)
		for _, known := range []dot.Named{named(1, one), named(2, two)} { // stored once, however often they come
			w.name(known, known)
			known.Record = other
			outcomes, err := w.e.AppendNamed(context.Background(), []dot.Named{known})
			if err != nil || !slices.Equal(outcomes, []dot.Outcome{dot.Differs}) {
				t.Errorf("%s: another record of %v: %v, %v", step, known.Dot, outcomes, err)
			}
		}
		w.wantHeld(seqs...)
		if n := w.e.metrics.AppendedEvents.Load(); n != 0 {
			t.Errorf("%s: %d events were stored again", step, n)
		}
		w.want(dayOne, 10*int64(len(seqs)))
		w.want(dayTwo, 10)
	}
	check("in the log", 1, 2)
	w.must(w.index(false))
	check("indexed", 1, 2)
	w.name(named(9, three))
	w.must(w.index(true))
	check("merged", 1, 2, 9)
	w.now = w.now.Add(1000 * 3600 * 1e9)
	w.must(w.e.Tick(context.Background()))
	check("trash emptied", 1, 2, 9)
	if alarms := w.alarmsOf(""); len(alarms) > 0 {
		t.Errorf("alarms %q", alarms)
	}
	w.must(w.e.Close())
}

// TestNamedAtOnce has many goroutines store the same batches.
func TestNamedAtOnce(t *testing.T) {
	w := newLedgerWorld(t)
	w.open()
	var records [][]byte
	for range 8 {
		records = append(records, w.record(dayOne))
	}
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			var all []dot.Named
			for i := range records {
				k := (i*5 + g) % len(records)
				all = append(all, named(uint64(k+1), records[k]))
			}
			outcomes, err := w.e.AppendNamed(context.Background(), all)
			if err != nil || slices.Contains(outcomes, dot.Differs) || len(outcomes) != len(all) {
				t.Errorf("%v, %v", outcomes, err)
			}
		})
	}
	wg.Wait()
	if n := w.e.metrics.AppendedEvents.Load(); n != 80 {
		t.Errorf("%d events were stored, want 80", n)
	}
	w.wantHeld(1, 2, 3, 4, 5, 6, 7, 8)
	w.want(dayOne, 80)
	w.must(w.e.Close())
}

// TestNamedRefusals: what is refused leaves nothing behind.
func TestNamedRefusals(t *testing.T) {
	w := newLedgerWorld(t)
	w.open()
	record := w.record(dayOne)
	for _, bad := range []dot.Named{named(0, record), named(dot.MaxSeq+1, record), named(1, record[:20])} {
		if _, err := w.e.AppendNamed(context.Background(), []dot.Named{named(5, record), bad}); !errors.Is(err, event.ErrInvalid) && !errors.Is(err, event.ErrCorrupt) {
			t.Errorf("%v: %v", bad.Dot, err)
		}
	}
	// Twice in one call with other content.
	other := w.record(dayOne)
	outcomes, err := w.e.AppendNamed(context.Background(), []dot.Named{named(dot.MaxSeq, record), named(dot.MaxSeq, other)})
	if err != nil || !slices.Equal(outcomes, []dot.Outcome{dot.Stored, dot.Differs}) {
		t.Errorf("%v, %v", outcomes, err)
	}
	w.wantHeld(dot.MaxSeq)

	w.faulty.Inject(func(op vfs.Op) error {
		if op.Kind == vfs.OpWrite {
			return syscall.ENOSPC
		}
		return nil
	})
	if _, err := w.e.AppendNamed(context.Background(), []dot.Named{named(7, other)}); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, appendlog.ErrBroken) {
		t.Errorf("a full disk: %v", err)
	}
	w.faulty.Inject(nil)
	w.wantHeld(dot.MaxSeq)
	w.want(dayOne, 10)
	w.name(named(7, other))
	w.wantHeld(7, dot.MaxSeq)
	w.must(w.e.Close())
	if _, err := w.e.AppendNamed(context.Background(), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if _, _, err := w.e.Held(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestDotsAreProven: a file that names other batches than its sources hold is thrown
// away.
func TestDotsAreProven(t *testing.T) {
	w := newLedgerWorld(t)
	w.options.Faults = &Faults{}
	w.open()
	w.name(named(1, w.record(dayOne)), named(2, w.record(dayOne)))
	for _, wrong := range []func(dot.Set) dot.Set{
		func(dot.Set) dot.Set { return dot.Set{} },
		func(s dot.Set) dot.Set { s.Add(dot.Dot{Stream: sampleStream, Seq: 3}); return s },
	} {
		w.options.Faults.Dots = wrong
		if err := w.index(false); !errors.Is(err, ErrUnproven) {
			t.Errorf("a file with the wrong dots: %v", err)
		}
	}
	w.options.Faults.Dots = nil
	w.must(w.index(false))
	w.reopen()
	w.wantHeld(1, 2)
	w.want(dayOne, 20)
	w.must(w.e.Close())
}

// TestDoubt: damage to what says what must be there makes every set an error, until
// all is dropped; damage to a file, that of its slot.
func TestDoubt(t *testing.T) {
	for _, c := range []struct {
		what   string
		damage func(w *ledgerWorld)
	}{
		{"the ledger is damaged", func(w *ledgerWorld) { w.flip(w.files("data/ledger")[0], 70) }},
		{"the ledger is gone", func(w *ledgerWorld) {
			for _, f := range w.files("data/ledger") {
				w.must(w.disk.Remove(f))
			}
		}},
		{"the log is damaged", func(w *ledgerWorld) {
			w.options.OpenDamagedLog = true
			w.flip(w.files("data/log")[0], 200)
		}},
		{"a segment is gone", func(w *ledgerWorld) {
			w.options.OpenDamagedLog = true
			w.must(w.disk.Remove(w.files("data/log")[0]))
		}},
	} {
		w := newLedgerWorld(t)
		w.open()
		w.name(named(1, w.record(dayOne)))
		w.must(w.index(true))
		w.name(named(2, w.record(dayOne)), named(3, w.record(dayTwo)))
		w.reopen()
		w.name(named(4, w.record(dayOne)))
		w.wantHeld(1, 2, 3, 4)
		w.must(w.e.Close())
		c.damage(w)
		w.open()
		doubted := func(when string) {
			t.Helper()
			if held, _, err := w.e.Held(context.Background()); !errors.Is(err, ErrDamaged) || held != nil {
				t.Errorf("%s, %s: held %v, %v", c.what, when, held, err)
			}
		}
		doubted("at once")
		w.options.OpenDamagedLog = true
		w.must(w.index(true))
		doubted("all indexed")
		w.reopen()
		doubted("opened again")
		w.must(w.e.Trust(context.Background()))
		w.reopen()
		if _, _, err := w.e.Held(context.Background()); err != nil {
			t.Errorf("%s, trusted: %v", c.what, err)
		}
		w.must(w.e.Close())
	}
	w := newLedgerWorld(t)
	w.open()
	w.name(named(1, w.record(dayOne)))
	w.must(w.index(true))
	w.forgetBatches()
	w.must(w.e.Close())
	w.must(w.disk.Remove(w.files("data/shards")[0]))
	w.open()
	held, lost, err := w.e.Held(context.Background())
	slot := catalog.Slot{Project: sampleProject}
	if err != nil || len(held) > 0 || len(lost) != 1 || !errors.Is(lost[slot], ErrDamaged) {
		t.Errorf("a file is missing: held %v, lost %v, %v", held, lost, err)
	}
	w.must(w.e.Close())
}

// flip damages a byte of a file.
func (w *ledgerWorld) flip(name string, at int) {
	w.t.Helper()
	b := readWhole(w.t, w.disk, name)
	b[at] ^= 0x40
	f, err := w.disk.Create(name)
	w.must(err)
	_, err = f.Write(b)
	w.must(errors.Join(err, f.Sync(), f.Close(), w.disk.SyncDir("data/ledger")))
}
