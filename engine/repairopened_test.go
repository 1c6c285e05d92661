package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"syscall"
	"testing"

	"arbor/catalog"
	"arbor/engine/dot"
	"arbor/engine/event"
	"arbor/engine/vfs"
)

// forgetBatches makes the ledger one that does not say which batches are in files, as an
// older arbor writes it.
func (w *ledgerWorld) forgetBatches() {
	w.t.Helper()
	l := &w.e.ledger
	l.turn.Lock()
	defer l.turn.Unlock()
	l.notes = newFileNotes()
	w.must(l.snapshot())
}

// cutShort takes the end of a file away.
func (w *ledgerWorld) cutShort(name string, by int) {
	w.t.Helper()
	b := readWhole(w.t, w.disk, name)
	w.overwrite(name, b[:max(len(b)-by, 0)])
}

func (w *ledgerWorld) overwrite(name string, b []byte) {
	w.t.Helper()
	f, err := w.disk.Create(name)
	w.must(err)
	_, err = f.Write(b)
	w.must(errors.Join(err, f.Sync(), f.Close()))
}

// repairAll repairs all that is damaged from another replica.
func (w *ledgerWorld) repairAll(from *ledgerWorld) (damaged []string) {
	w.t.Helper()
	for _, d := range w.e.Damaged() {
		got, err := w.e.Repair(context.Background(), d.Key, []dot.Source{sourceOf(from, d.Key)})
		w.must(err)
		damaged = append(damaged, got.Damaged...)
	}
	return damaged
}

// TestRepairOfWhatOpeningFound harms files while the engine is closed, so that they cannot
// be opened. The slot stays held with all its batches, the harmed shard answers nobody
// and the other one does; repaired, nothing is missing or there twice, and only the harmed
// files are in the trash.
func TestRepairOfWhatOpeningFound(t *testing.T) {
	for _, harm := range []struct {
		name string
		do   func(b *ledgerWorld, files []string, n int) (harmed int)
	}{
		{"a byte of the footer", func(b *ledgerWorld, files []string, n int) int {
			b.rot(files[0], len(readWhole(b.t, b.disk, files[0]))-1-n*3)
			return 1
		}},
		{"the end of a file", func(b *ledgerWorld, files []string, n int) int { b.cutShort(files[n%len(files)], 1+n*n*17); return 1 }},
		{"a file is gone", func(b *ledgerWorld, files []string, n int) int { b.must(b.disk.Remove(files[n%len(files)])); return 1 }},
		{"a file is empty", func(b *ledgerWorld, files []string, n int) int { b.overwrite(files[n%len(files)], nil); return 1 }},
		{"another file lies there", func(b *ledgerWorld, files []string, n int) int {
			b.overwrite(files[0], readWhole(b.t, b.disk, files[len(files)-1]))
			return 1
		}},
		{"all files", func(b *ledgerWorld, files []string, n int) int {
			for i, name := range files {
				b.cutShort(name, 1+n+i)
			}
			return len(files)
		}},
	} {
		t.Run(harm.name, func(t *testing.T) {
			for n := range 8 {
				a, b, records := repairWorlds(t)
				want := a.contents()
				files := b.files("data/shards")
				b.must(b.e.Close())
				harmed := harm.do(b, files, n)
				b.open()
				damaged := b.e.Damaged()
				if len(damaged) == 0 {
					t.Fatalf("place %d: nothing is damaged", n)
				}
				b.wantHeld(1, 2, 3, 4, 5, 6, 7, 8, 9)
				for _, day := range []catalog.Day{dayOne, dayTwo} {
					k := catalog.ShardKey{Project: sampleProject, Day: day}
					broken := slices.ContainsFunc(damaged, func(d event.DamagedShard) bool { return d.Key == k })
					if _, err := b.count(day); errors.Is(err, ErrDamaged) != broken || (err == nil) == broken {
						t.Errorf("place %d: day %v is damaged: %v; asked: %v", n, day, broken, err)
					}
				}
				if got := b.repairAll(a); len(got) != harmed {
					t.Errorf("place %d: %v were repaired, want %d files", n, got, harmed)
				}
				for range 2 {
					if got := b.contents(); !reflect.DeepEqual(got, want) {
						t.Fatalf("place %d: %v, want %v", n, got, want)
					}
					b.must(b.e.Scrub(context.Background(), 0))
					if held := records.check(b); len(held) != 9 {
						t.Errorf("place %d: held are %v", n, held)
					}
					b.must(b.index(true))
					b.reopen()
				}
				c := newLedgerWorld(t)
				c.open()
				pull(c, b)
				if got := c.contents(); !reflect.DeepEqual(got, want) {
					t.Errorf("place %d: what was repaired gives %v, want %v", n, got, want)
				}
				for _, w := range []*ledgerWorld{a, b, c} {
					w.must(w.e.Close())
				}
			}
		})
	}
}

// TestRepairOfWhatOpeningFoundCrashes stops the machine, or fails the disk, at every
// operation from the opening on that finds the harm: what is held stays held.
func TestRepairOfWhatOpeningFoundCrashes(t *testing.T) {
	step := int64(1)
	if testing.Short() {
		step = 5
	}
	for _, fault := range []error{vfs.ErrCrashed, syscall.EIO, syscall.ENOSPC} {
		for k := int64(1); ; k += step {
			a, b, records := repairWorlds(t)
			want := a.contents()
			files := b.files("data/shards")
			b.must(b.e.Close())
			b.cutShort(files[0], 9)
			b.must(b.disk.Remove(files[1]))
			b.open()
			start := b.faulty.Operations()
			if fault == vfs.ErrCrashed {
				b.faulty.CrashAt(start + k)
			} else {
				b.faulty.FailAt(start+k, fault)
			}
			var errs []error
			for _, d := range b.e.Damaged() {
				_, err := b.e.Repair(context.Background(), d.Key, []dot.Source{sourceOf(a, d.Key)})
				errs = append(errs, err)
			}
			done := b.faulty.Operations()-start < k
			if fault == vfs.ErrCrashed {
				_ = b.e.Close()
				b.use(b.disk.CrashClone(rand.New(rand.NewPCG(uint64(k), 1)), float64(k%3)/2))
				b.open()
			}
			b.faulty.Inject(nil)
			b.wantHeld(1, 2, 3, 4, 5, 6, 7, 8, 9)
			b.repairAll(a)
			if got := b.contents(); !reflect.DeepEqual(got, want) {
				t.Fatalf("%v at %d (%v): %v, want %v", fault, k, errs, got, want)
			}
			b.reopen()
			if held := records.check(b); len(held) != 9 {
				t.Errorf("%v at %d: held are %v", fault, k, held)
			}
			b.must(b.e.Close())
			a.must(a.e.Close())
			if done {
				if err := errors.Join(errs...); err != nil {
					t.Errorf("%v never: %v", fault, err)
				}
				break
			}
		}
	}
}

// TestLostBatchesOfAFile: a slot is lost where nobody knows what was in a file, since an
// older arbor wrote the ledger, and once it is known that no replica has it. What an older
// arbor left unsaid is put on record at the next opening.
func TestLostBatchesOfAFile(t *testing.T) {
	lost := func(w *ledgerWorld, want bool) {
		t.Helper()
		_, lost, err := w.e.Held(context.Background())
		w.must(err)
		if (len(lost) > 0) != want {
			t.Fatalf("lost are %v", lost)
		}
	}
	a, b, _ := repairWorlds(t)
	files := b.files("data/shards")
	b.forgetBatches()
	b.must(b.e.Close())
	b.cutShort(files[0], 9)
	b.open()
	lost(b, true)
	key := b.e.Damaged()[0].Key
	if _, err := b.e.Repair(context.Background(), key, []dot.Source{sourceOf(a, key)}); !errors.Is(err, ErrUnrepaired) || errors.Is(err, dot.ErrNowhere) {
		t.Errorf("repaired, and nobody knows what was lost: %v", err)
	}
	b.must(b.e.Close())

	_, b, _ = repairWorlds(t)
	files = b.files("data/shards")
	b.forgetBatches()
	b.reopen()
	b.must(b.e.Close())
	b.cutShort(files[0], 9)
	b.open()
	lost(b, false)
	silent := dot.Source{Name: "silent", Offer: func(context.Context, dot.Set) ([]dot.File, error) { return nil, errors.New("nobody there") }}
	empty := newLedgerWorld(t)
	empty.open()
	for _, c := range []struct {
		sources []dot.Source
		nowhere bool
	}{{[]dot.Source{sourceOf(empty, key), silent}, false}, {[]dot.Source{sourceOf(empty, key), sourceOf(b, key)}, false}, {[]dot.Source{sourceOf(empty, key)}, true}} {
		if _, err := b.e.Repair(context.Background(), key, c.sources); !errors.Is(err, ErrUnrepaired) || errors.Is(err, dot.ErrNowhere) != c.nowhere {
			t.Errorf("from %d sources: %v", len(c.sources), err)
		}
	}
	b.reopen()
	lost(b, false)
	b.must(b.e.Disown(key))
	b.reopen()
	lost(b, true)
	b.must(b.e.Drop(context.Background(), anySlot))
	b.reopen()
	lost(b, false)
	b.wantHeld()
	pull(b, a)
	if got, want := b.contents(), a.contents(); !reflect.DeepEqual(got, want) {
		t.Errorf("held anew: %v, want %v", got, want)
	}
	for _, w := range []*ledgerWorld{a, b, empty} {
		w.must(w.e.Close())
	}
}
