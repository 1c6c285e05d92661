package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"arbor/catalog"
	"arbor/engine/dot"
	"arbor/engine/event"
	"arbor/engine/vfs"
)

// anySlot accepts all.
func anySlot(catalog.Slot) bool { return true }

// sampleRecords are records by sequence number: odd ones of the first day, even ones
// of the second.
type sampleRecords map[uint64][]byte

func newSampleRecords(w *ledgerWorld, n uint64) sampleRecords {
	all := sampleRecords{}
	for seq := uint64(1); seq <= n; seq++ {
		all[seq] = w.record(dayOne + catalog.Day(1-seq%2))
	}
	return all
}

// name appends some of the records.
func (r sampleRecords) name(w *ledgerWorld, seqs ...uint64) {
	w.t.Helper()
	for _, seq := range seqs {
		w.name(named(seq, r[seq]))
	}
}

// check: each dot that is held has its ten events, and nothing else is there.
func (r sampleRecords) check(w *ledgerWorld) (held []uint64) {
	w.t.Helper()
	sets, lost, err := w.e.Held(context.Background())
	if err != nil || len(lost) > 0 {
		w.t.Fatalf("lost %v, %v", lost, err)
	}
	days := map[catalog.Day]int64{}
	set := sets[catalog.Slot{Project: sampleProject}]
	for d := range set.All() {
		held = append(held, d.Seq)
		days[dayOne+catalog.Day(1-d.Seq%2)] += 10
		outcomes, err := w.e.AppendNamed(context.Background(), []dot.Named{named(d.Seq, r[d.Seq])})
		if err != nil || outcomes[0] != dot.Stored {
			w.t.Fatalf("%v is held, and compared with what it is: %v, %v", d, outcomes, err)
		}
	}
	w.want(dayOne, days[dayOne])
	w.want(dayTwo, days[dayTwo])
	if alarms := w.alarmsOf(""); len(alarms) > 0 {
		w.t.Fatalf("alarms %q", alarms)
	}
	return held
}

// offered fetches what a has and b lacks.
func offered(b, a *ledgerWorld) dot.Fetched {
	a.t.Helper()
	held, _, err := a.e.Held(context.Background())
	a.must(err)
	mine, _, err := b.e.Held(context.Background())
	a.must(err)
	slot := catalog.Slot{Project: sampleProject}
	have, has := mine[slot], held[slot]
	got, err := a.e.Fetch(context.Background(), anySlot, has.Minus(&have), 1<<20, 16)
	a.must(err)
	return got
}

func reading(a *ledgerWorld, name string) func(context.Context, func([]byte) error) error {
	return func(ctx context.Context, take func([]byte) error) error { return a.e.ReadFile(ctx, name, take) }
}

// pull brings all that a has to b, until b lacks nothing.
func pull(b, a *ledgerWorld) (batches, files int) {
	a.t.Helper()
	for {
		got := offered(b, a)
		if len(got.Batches)+len(got.Files) == 0 {
			return batches, files
		}
		if len(got.Batches) > 0 {
			batches += len(got.Batches)
			b.name(got.Batches...)
			continue
		}
		files++
		dots, err := b.e.Adopt(context.Background(), got.Files[0], reading(a, got.Files[0].Name))
		a.must(err)
		if !dots.Includes(&got.Files[0].Dots) {
			a.t.Fatalf("adopted %v, offered %v", dots, got.Files[0].Dots)
		}
	}
}

// emptied takes so long that the trash is emptied, so that only files are left.
func (w *ledgerWorld) emptied() {
	w.t.Helper()
	w.now = w.now.Add(1000 * 3600 * 1e9)
	w.must(w.e.Tick(context.Background()))
	w.must(w.e.Tick(context.Background()))
}

// TestPull lets a member with parts of everything get all that another one has, from
// the log, from the trash and as files, and then compares them.
func TestPull(t *testing.T) {
	for _, has := range [][]uint64{{}, {1, 2}, {1, 4, 7}, {1, 2, 3, 4, 5, 6, 7, 8}, {20}} {
		for _, indexed := range []bool{false, true} {
			for source := range 3 {
				t.Run(fmt.Sprintf("%v,indexed=%v,source=%d", has, indexed, source), func(t *testing.T) {
					a, b := newLedgerWorld(t), newLedgerWorld(t)
					a.open()
					b.open()
					records := newSampleRecords(a, 20)
					records.name(a, 1, 2, 3, 4)
					if source > 0 {
						a.must(a.index(false))
					}
					records.name(a, 5, 6, 7, 8)
					if source > 0 {
						a.must(a.index(true))
					}
					if source == 2 {
						a.emptied()
					}
					records.name(b, has...)
					if indexed {
						b.must(b.index(false))
					}
					batches, files := pull(b, a)
					if files > 0 != (source == 2 && len(has) < 8) {
						t.Errorf("%d batches and %d files came", batches, files)
					}
					want := slices.Compact(slices.Sorted(slices.Values(append([]uint64{1, 2, 3, 4, 5, 6, 7, 8}, has...))))
					for range 2 {
						if got := records.check(b); !slices.Equal(got, want) {
							t.Errorf("held are %d, want %d", got, want)
						}
						b.must(b.index(true))
						b.reopen()
					}
					pull(a, b)
					records.check(a)
					sameDigests(a, b)
					a.must(a.e.Close())
					b.must(b.e.Close())
				})
			}
		}
	}
}

// TestPullOfErased: one that knows of an erasure gets batches, segments of the trash and
// files of one that does not know of it yet: all names, and nothing of the user; later
// both hold the same.
func TestPullOfErased(t *testing.T) {
	for source := range 3 {
		t.Run(fmt.Sprint(source), func(t *testing.T) {
			a, b := newLedgerWorld(t), newLedgerWorld(t)
			a.open()
			b.open()
			records := newSampleRecords(a, 4)
			records.name(a, 1, 2)
			if source > 0 {
				a.must(a.index(false))
			}
			records.name(a, 3, 4)
			if source > 0 {
				a.must(a.index(true))
			}
			if source == 2 {
				a.emptied()
			}
			records.name(b, 2)
			var of event.Batch
			a.must(event.DecodeBatch(records[1], &of))
			user := of.Events[0].DistinctID
			erased := 0
			for _, record := range records {
				a.must(event.DecodeBatch(record, &of))
				for i := range of.Events {
					if of.Events[i].DistinctID == user {
						erased++
					}
				}
			}
			key := catalog.EraseKey{1}
			begin := catalog.BeginErasure{Project: sampleProject, ID: catalog.IngestID{Time: math.MaxUint64 >> 1}, Key: key, User: key.HashUser(sampleProject, user)}
			knows, err := b.e.catalog.Load().Apply(begin)
			a.must(err)
			b.e.SetCatalog(knows)
			pull(b, a)
			check := func(w *ledgerWorld) {
				t.Helper()
				for _, s := range w.e.allShards() {
					v, err := s.view(w.e)
					w.must(err)
					d, err := digestErased(context.Background(), v.files.files, knows.Suppressed(sampleProject, 0))
					w.must(err)
					if d.Count > 0 {
						t.Errorf("%d events of the user are in files", d.Count)
					}
					v.release()
				}
				if got := len(records) * 10; mustCount(w, dayOne)+mustCount(w, dayTwo) != int64(got-erased) {
					t.Errorf("%d and %d events of %d, of which %d were erased", mustCount(w, dayOne), mustCount(w, dayTwo), got, erased)
				}
			}
			b.must(b.e.Erase(context.Background(), begin.ID)) // it had a batch itself
			b.must(b.index(true))
			check(b)
			a.e.SetCatalog(knows)
			a.must(a.e.Erase(context.Background(), begin.ID))
			check(a)
			pull(a, b)
			sameDigests(a, b)
			for seq := range records {
				for _, w := range []*ledgerWorld{a, b} { // as it was, it is what is held
					outcomes, err := w.e.AppendNamed(context.Background(), []dot.Named{named(seq, records[seq])})
					if err != nil || outcomes[0] != dot.Stored {
						t.Errorf("batch %d again: %v, %v", seq, outcomes, err)
					}
				}
			}
			b.options.Catalog = knows
			b.reopen()
			check(b)
			b.wantHeld(1, 2, 3, 4)
			a.must(a.e.Close())
			b.must(b.e.Close())
		})
	}
}

func mustCount(w *ledgerWorld, day catalog.Day) int64 {
	w.t.Helper()
	n, err := w.count(day)
	w.must(err)
	return n
}

// sameDigests compares all that two engines hold.
func sameDigests(a, b *ledgerWorld) {
	a.t.Helper()
	var texts []string
	for _, w := range []*ledgerWorld{a, b} {
		table, err := w.e.Describe(context.Background(), "digests")
		a.must(err)
		texts = append(texts, fmt.Sprint(table.Rows))
	}
	if texts[0] != texts[1] {
		a.t.Errorf("one holds %s, the other %s", texts[0], texts[1])
	}
}

// TestAdoptCrashes stops the machine, or fails the disk, at every operation on files
// while a file is adopted: events and dots are there together or not at all.
func TestAdoptCrashes(t *testing.T) {
	a := newLedgerWorld(t)
	a.open()
	records := newSampleRecords(a, 9)
	records.name(a, 1, 3, 5, 7)
	a.must(a.index(true))
	a.emptied()
	before := []uint64{1, 5, 9}
	got := map[bool]int{}
	for _, fault := range []error{vfs.ErrCrashed, syscall.EIO, syscall.ENOSPC} {
		for k := int64(1); ; k++ {
			b := newLedgerWorld(t)
			b.open()
			records.name(b, 1, 9)
			b.must(b.index(false))
			records.name(b, 5)
			files := offered(b, a).Files
			if len(files) != 1 {
				t.Fatalf("offered are %v", files)
			}
			start := b.faulty.Operations()
			if fault == vfs.ErrCrashed {
				b.faulty.CrashAt(start + k)
			} else {
				b.faulty.FailAt(start+k, fault)
			}
			_, err := b.e.Adopt(context.Background(), files[0], reading(a, files[0].Name))
			done := b.faulty.Operations()-start < k
			if fault == vfs.ErrCrashed {
				_ = b.e.Close()
				b.use(b.disk.CrashClone(rand.New(rand.NewPCG(uint64(k), 1)), float64(k%3)/2))
				b.open()
			} else {
				b.faulty.Inject(nil)
				if err != nil && errors.Is(err, dot.ErrNotAdopted) {
					t.Errorf("operation %d, %v: our own disk's fault is taken for the other side's: %v", k, fault, err)
				}
				_ = b.e.Close() // it may say again what failed
				b.open()
			}
			held := records.check(b)
			all := []uint64{1, 3, 5, 7, 9}
			if !slices.Equal(held, before) && !slices.Equal(held, all) || err == nil && !slices.Equal(held, all) {
				t.Fatalf("operation %d, %v, adopt: %v: held are %d", k, fault, err, held)
			}
			got[err == nil]++
			b.must(b.index(true))
			records.check(b)
			for _, name := range b.files("data/shards") {
				if !strings.HasSuffix(name, fileSuffix) {
					t.Errorf("operation %d, %v: left is %s", k, fault, name)
				}
			}
			b.must(b.e.Close())
			if done {
				break
			}
		}
	}
	if got[true] < 3 || got[false] < 30 {
		t.Errorf("%d adoptions went well and %d did not", got[true], got[false])
	}
	a.must(a.e.Close())
}

// TestAdoptRefuses: what is not what was offered leaves nothing.
func TestAdoptRefuses(t *testing.T) {
	a, b := newLedgerWorld(t), newLedgerWorld(t)
	a.open()
	b.open()
	records := newSampleRecords(a, 4)
	records.name(a, 1, 3)
	a.must(a.index(true))
	a.emptied()
	records.name(b, 2)
	good := offered(b, a).Files[0]
	var content []byte
	a.must(a.e.ReadFile(context.Background(), good.Name, func(p []byte) error { content = append(content, p...); return nil }))
	refused := func(what string, file dot.File, content []byte, fails error) {
		t.Helper()
		_, err := b.e.Adopt(context.Background(), file, func(_ context.Context, take func([]byte) error) error {
			for piece := range slices.Chunk(content, 1000) {
				if err := take(piece); err != nil {
					return err
				}
			}
			return fails
		})
		if !errors.Is(err, dot.ErrNotAdopted) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for at := 0; at < len(content); at += 13 {
		bad := slices.Clone(content)
		bad[at] ^= 0x10
		refused(fmt.Sprint("byte ", at), good, bad, nil)
	}
	refused("cut", good, content[:len(content)-1], nil)
	refused("too long", good, append(slices.Clone(content), 0), nil)
	refused("the connection breaks", good, content, errors.New("connection is cut"))
	more := good
	more.Dots = good.Dots.Clone()
	more.Dots.Add(dot.Dot{Stream: sampleStream, Seq: 77})
	refused("other dots", more, content, nil)
	elsewhere := good
	elsewhere.Name = strings.Replace(good.Name, "/0/", "/1/", 1)
	refused("another shard", elsewhere, content, nil)
	elsewhere.Name = "../../etc/passwd"
	refused("no name", elsewhere, content, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.e.Adopt(ctx, good, reading(a, good.Name)); !errors.Is(err, dot.ErrNotAdopted) {
		t.Errorf("nobody waits: %v", err)
	}
	for _, name := range []string{"x", "7/2024-10-04/0/../../../LOCK", good.Name[:len(good.Name)-5], "7/2024-10-04/0/0000000000000001-00000001.idx"} {
		if err := a.e.ReadFile(context.Background(), name, nil); !errors.Is(err, dot.ErrNoFile) {
			t.Errorf("read %s: %v", name, err)
		}
	}
	records.check(b)
	b.reopen()
	if held := records.check(b); !slices.Equal(held, []uint64{2}) {
		t.Errorf("held are %d", held)
	}
	a.must(a.e.Close())
	b.must(b.e.Close())
}

// TestDropCrashes stops the machine at every operation on files while everything is
// dropped: a shard is there whole, or gone for good; what is appended afterwards
// counts.
func TestDropCrashes(t *testing.T) {
	for k := int64(1); ; k++ {
		w := newLedgerWorld(t)
		w.open()
		records := newSampleRecords(w, 9)
		records.name(w, 1, 2, 3, 4)
		w.must(w.index(false))
		records.name(w, 5)
		w.must(w.index(false))
		records.name(w, 6, 7)
		start := w.faulty.Operations()
		w.faulty.CrashAt(start + k)
		err := w.e.Drop(context.Background(), anySlot)
		done := w.faulty.Operations()-start < k
		_ = w.e.Close()
		w.use(w.disk.CrashClone(rand.New(rand.NewPCG(uint64(k), 1)), float64(k%3)/2))
		w.open()
		held := records.check(w)
		if err == nil && len(held) > 0 {
			t.Errorf("operation %d: dropped, and held are %d", k, held)
		}
		for _, whole := range [][]uint64{{1, 3, 5, 7}, {2, 4, 6}} {
			n := 0
			for _, seq := range whole {
				if slices.Contains(held, seq) {
					n++
				}
			}
			if n != 0 && n != len(whole) {
				t.Errorf("operation %d: held are %d: part of a shard", k, held)
			}
		}
		w.must(w.e.Drop(context.Background(), anySlot))
		if held := records.check(w); len(held) > 0 {
			t.Errorf("operation %d: dropped, and held are %d", k, held)
		}
		records.name(w, 1, 8)
		w.reopen()
		w.must(w.index(true))
		records.name(w, 9)
		w.reopen()
		if held := records.check(w); !slices.Equal(held, []uint64{1, 8, 9}) {
			t.Errorf("operation %d: held are %d", k, held)
		}
		w.emptied()
		w.must(w.e.ledger.snapshot())
		w.reopen()
		if n := len(w.e.ledger.drops); n > 0 {
			t.Errorf("operation %d: %d drops are still remembered", k, n)
		}
		if held := records.check(w); !slices.Equal(held, []uint64{1, 8, 9}) {
			t.Errorf("operation %d: held are %d in the end", k, held)
		}
		w.must(w.e.Close())
		if done {
			return
		}
	}
}

// TestDropHeals: a slot that lost a file is dropped, and holds again what comes.
func TestDropHeals(t *testing.T) {
	w := newLedgerWorld(t)
	w.open()
	records := newSampleRecords(w, 4)
	records.name(w, 1, 2)
	w.must(w.index(true))
	records.name(w, 3)
	w.forgetBatches()
	w.must(w.e.Close())
	w.must(w.disk.Remove(w.files("data/shards")[0]))
	w.open()
	if _, lost, err := w.e.Held(context.Background()); len(lost) != 1 || err != nil {
		t.Fatalf("lost %v, %v", lost, err)
	}
	w.must(w.e.Drop(context.Background(), anySlot))
	for range 2 {
		w.wantHeld()
		w.want(dayOne, 0)
		w.want(dayTwo, 0)
		w.reopen()
	}
	records.name(w, 4)
	w.reopen()
	w.wantHeld(4)
	w.want(dayTwo, 10)
	w.must(w.e.Close())
}

// TestPurgedDotsStay: batches of a project that is gone are held for ever, and given
// to who lacks them, without their events.
func TestPurgedDotsStay(t *testing.T) {
	a, b := newLedgerWorld(t), newLedgerWorld(t)
	a.open()
	b.open()
	records := newSampleRecords(a, 4)
	records.name(a, 1, 2)
	a.must(a.index(false))
	records.name(a, 3)
	a.options.Catalog = &catalog.Catalog{NextProject: sampleProject + 1}
	a.e.SetCatalog(a.options.Catalog)
	for range 2 {
		a.must(a.e.Tick(context.Background()))
		a.wantHeld(1, 2, 3)
		a.want(dayOne, 0)
		records.name(a, 1, 2, 3)
		a.reopen()
	}
	a.emptied()
	if batches, files := pull(b, a); batches != 3 || files != 0 {
		t.Errorf("%d batches and %d files came", batches, files)
	}
	b.wantHeld(1, 2, 3)
	b.must(b.index(true))
	b.reopen()
	b.wantHeld(1, 2, 3)
	b.options.Catalog = a.options.Catalog
	b.e.SetCatalog(b.options.Catalog)
	b.must(b.e.Tick(context.Background()))
	b.reopen()
	b.wantHeld(1, 2, 3)
	records.name(b, 1, 2, 3)
	b.must(b.e.Drop(context.Background(), anySlot))
	b.reopen()
	b.wantHeld()
	a.must(a.e.Close())
	b.must(b.e.Close())
}
