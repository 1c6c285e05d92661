package engine

import (
	"context"
	"maps"
	"math/rand/v2"
	"testing"

	"arbor/catalog"
	"arbor/engine/dot"
	"arbor/engine/event"
)

// contents are the digests of all slots.
func (w *ledgerWorld) contents() map[catalog.Slot]event.Content {
	w.t.Helper()
	all, err := w.e.Digests(context.Background(), anySlot)
	w.must(err)
	return all
}

func (w *ledgerWorld) heldHere() dot.Set {
	w.t.Helper()
	held, lost, err := w.e.Held(context.Background())
	w.must(err)
	if len(lost) > 0 {
		w.t.Fatalf("lost: %v", lost)
	}
	return held[catalog.Slot{Project: sampleProject}]
}

// usedAlone has what a server leaves that was alone: files, some replaced, and a log.
func usedAlone(t *testing.T) *ledgerWorld {
	w := newLedgerWorld(t)
	w.twoDays()
	w.must(w.add(dayTwo))
	return w
}

// TestNameAll makes a replica of what was stored without names: all of it comes to
// another member as files, before and after these are merged, and the names stay.
func TestNameAll(t *testing.T) {
	a := usedAlone(t)
	want := a.contents()
	if held := a.heldHere(); !held.IsEmpty() {
		t.Fatalf("a server that is alone tells of %v", held)
	}
	a.must(a.e.Close())
	a.options.Replica = true
	a.open()
	slots, err := a.e.NameAll(context.Background())
	a.must(err)
	if len(slots) != 1 || slots[0] != (catalog.Slot{Project: sampleProject}) {
		t.Errorf("slots %v", slots)
	}
	held := a.heldHere()
	for range 2 {
		if now := a.heldHere(); held.IsEmpty() || !now.Equal(&held) {
			t.Errorf("held are %v, then %v", held, now)
		}
		if now := a.contents(); !maps.Equal(now, want) {
			t.Errorf("contents %v, want %v", now, want)
		}
		a.reopen()
	}

	b := newLedgerWorld(t)
	b.options.Replica = true
	b.open()
	if _, files := pull(b, a); files == 0 {
		t.Error("no file came")
	}
	for range 2 {
		if now := b.heldHere(); !now.Equal(&held) {
			t.Errorf("the other one holds %v, want %v", now, held)
		}
		if now := b.contents(); !maps.Equal(now, want) {
			t.Errorf("the other one has %v, want %v", now, want)
		}
		b.must(b.index(true))
		b.reopen()
	}

	// What is merged later has all names, and named batches join it.
	record := a.record(dayOne)
	a.name(named(1, record))
	b.name(named(1, record))
	for _, w := range []*ledgerWorld{a, b} {
		w.must(w.index(true))
		w.emptied()
		w.reopen()
	}
	held.Add(named(1, nil).Dot)
	c := newLedgerWorld(t)
	c.options.Replica = true
	c.open()
	pull(c, a)
	if batches, files := pull(c, b); batches+files > 0 {
		t.Errorf("%d batches and %d files came of who has no others", batches, files)
	}
	for i, w := range []*ledgerWorld{a, b, c} {
		if now := w.heldHere(); !now.Equal(&held) {
			t.Errorf("member %d holds %v, want %v", i, now, held)
		}
		if now := w.contents(); !maps.Equal(now, a.contents()) {
			t.Errorf("member %d has %v, want %v", i, now, a.contents())
		}
		if alarms := w.alarmsOf(""); len(alarms) > 0 {
			t.Errorf("alarms %q", alarms)
		}
	}
}

// TestNameAllRefuses: what is damaged is not given out, and a server that is alone has
// no names.
func TestNameAllRefuses(t *testing.T) {
	w := usedAlone(t)
	if _, err := w.e.NameAll(context.Background()); err == nil {
		t.Error("an engine that is no replica's has names")
	}
	w.must(w.e.Close())
	for _, name := range w.files("data/shards") {
		w.must(w.disk.Remove(name))
		break
	}
	w.options.Replica = true
	w.open()
	if slots, err := w.e.NameAll(context.Background()); err == nil {
		t.Errorf("with a file lost: slots %v", slots)
	}
}

// TestNameAllCrashes stops the machine at every operation of becoming a replica.
func TestNameAllCrashes(t *testing.T) {
	sound := usedAlone(t)
	want := sound.contents()
	for k := int64(1); ; k++ {
		w := usedAlone(t)
		w.must(w.e.Close())
		w.options.Replica = true
		start := w.faulty.Operations()
		w.faulty.CrashAt(start + k)
		e, err := Open(context.Background(), w.options)
		if err == nil {
			_, err = e.NameAll(context.Background())
			e.Close()
		}
		if err == nil {
			if k < 20 {
				t.Errorf("only %d operations could fail", k)
			}
			return
		}
		w.use(w.disk.CrashClone(rand.New(rand.NewPCG(uint64(k), 1)), float64(k%3)/2))
		if k%2 == 0 { // it is used alone once more
			w.options.Replica = false
			w.open()
			if now := w.contents(); !maps.Equal(now, want) {
				t.Fatalf("crash at %d: contents %v, want %v", k, now, want)
			}
			w.must(w.e.Close())
			w.options.Replica = true
		}
		w.open()
		if _, err := w.e.NameAll(context.Background()); err != nil {
			t.Fatalf("crash at %d: %v", k, err)
		}
		if now := w.contents(); !maps.Equal(now, want) {
			t.Fatalf("crash at %d: contents %v, want %v", k, now, want)
		}
		b := newLedgerWorld(t)
		b.options.Replica = true
		b.open()
		pull(b, w)
		if now := b.contents(); !maps.Equal(now, want) {
			t.Fatalf("crash at %d: the other one has %v, want %v", k, now, want)
		}
		w.must(w.e.Close())
		b.must(b.e.Close())
	}
}
