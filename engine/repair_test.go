package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"arbor/catalog"
	"arbor/engine/dot"
	"arbor/engine/vfs"
)

// rot changes a byte of a file in place, below whoever has it open.
func (w *ledgerWorld) rot(name string, at int) {
	w.t.Helper()
	f, err := w.disk.Open(name)
	w.must(err)
	b, err := f.Map()
	w.must(err)
	b[at%len(b)] ^= 0x40
	w.must(f.Close())
}

// sourceOf is a replica that gives what another one lost of a shard.
func sourceOf(a *ledgerWorld, k catalog.ShardKey) dot.Source {
	return dot.Source{
		Name:  "a",
		Offer: func(ctx context.Context, want dot.Set) ([]dot.File, error) { return a.e.Offer(ctx, k, want) },
		Read: func(ctx context.Context, f dot.File, take func([]byte) error) error {
			return a.e.ReadFile(ctx, f.Name, take)
		},
	}
}

// repairWorlds are two replicas with the same batches, one of which has files, in part
// made of others, and a log; the other one has some in its log.
func repairWorlds(t testing.TB) (a, b *ledgerWorld, records sampleRecords) {
	a, b = newLedgerWorld(t), newLedgerWorld(t)
	a.open()
	b.open()
	records = newSampleRecords(a, 9)
	records.name(a, 1, 2, 3, 4)
	a.must(a.index(false))
	records.name(a, 5, 6, 7, 8, 9)
	records.name(b, 9, 1, 3)
	b.must(b.index(false))
	records.name(b, 2, 5, 7)
	b.must(b.index(false))
	records.name(b, 4, 6, 8)
	return a, b, records
}

var shardOfDayOne = catalog.ShardKey{Project: sampleProject, Day: dayOne}

// TestRepair harms a replica at each of many places, has it find that, and repairs it
// from another one: nothing is missing or there twice, also after it was opened again, and
// what it repaired it can give.
func TestRepair(t *testing.T) {
	for _, harm := range []struct {
		name string
		do   func(b *ledgerWorld, n int)
	}{
		{"a byte of a file", func(b *ledgerWorld, n int) { b.rot(b.files("data/shards")[0], n*37+11) }},
		{"two files", func(b *ledgerWorld, n int) {
			b.rot(b.files("data/shards")[0], n*37+11)
			b.rot(b.files("data/shards")[1], n*41+17)
		}},
		{"a file is gone", func(b *ledgerWorld, n int) { b.must(b.disk.Remove(b.files("data/shards")[n%2])) }},
		{"the log", func(b *ledgerWorld, n int) {
			logs := b.files("data/log")
			b.rot(logs[len(logs)-1], 200+n*53)
		}},
		{"a file and the log", func(b *ledgerWorld, n int) {
			b.rot(b.files("data/shards")[1], n*37+11)
			logs := b.files("data/log")
			b.rot(logs[len(logs)-1], 200+n*53)
		}},
		{"a segment is gone", func(b *ledgerWorld, n int) {
			for _, name := range b.files("data/log") {
				b.must(b.disk.Remove(name))
			}
		}},
	} {
		t.Run(harm.name, func(t *testing.T) {
			repaired := 0
			places := 12
			if testing.Short() {
				places = 6
			}
			for n := range places {
				a, b, records := repairWorlds(t)
				want := a.contents()
				harm.do(b, n)
				b.must(b.e.Scrub(context.Background(), 0))
				damaged := b.e.Damaged()
				for _, d := range damaged {
					repaired++
					got, err := b.e.Repair(context.Background(), d.Key, []dot.Source{sourceOf(a, d.Key)})
					if err != nil {
						t.Fatalf("place %d: %v", n, err)
					}
					if len(got.Damaged) == 0 || !slices.Equal(got.From, []string{"a"}) {
						t.Errorf("place %d: repaired %+v", n, got)
					}
				}
				if got := b.contents(); !reflect.DeepEqual(got, want) {
					t.Fatalf("place %d: %v, want %v", n, got, want)
				}
				b.must(b.e.Scrub(context.Background(), 0))
				if d := b.e.Damaged(); len(d) > 0 {
					t.Errorf("place %d: damaged again: %v", n, d)
				}
				b.must(b.index(true)) // so that what is damaged of the log is retired
				b.reopen()
				if held := records.check(b); len(held) != 9 {
					t.Errorf("place %d: held are %v", n, held)
				}
				if got := b.contents(); !reflect.DeepEqual(got, want) {
					t.Fatalf("place %d, opened again: %v, want %v", n, got, want)
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
			// Who has a segment open goes on reading it.
			if repaired < places/2 && harm.name != "a segment is gone" {
				t.Errorf("%d shards were repaired", repaired)
			}
		})
	}
}

// TestRepairAsksOn: what one source lacks, or gives damaged, comes from the next one,
// and where nobody has all the shard stays damaged, with its file in its place.
func TestRepairAsksOn(t *testing.T) {
	a, b, _ := repairWorlds(t)
	want := a.contents()
	wrong := sourceOf(a, shardOfDayOne)
	wrong.Read = func(ctx context.Context, f dot.File, take func([]byte) error) error {
		return a.e.ReadFile(ctx, f.Name, func(piece []byte) error {
			piece = slices.Clone(piece)
			piece[len(piece)/2] ^= 1
			return take(piece)
		})
	}
	little, records := newLedgerWorld(t), newSampleRecords(a, 0)
	little.open()
	silent := dot.Source{Name: "silent", Offer: func(context.Context, dot.Set) ([]dot.File, error) { return nil, errors.New("nobody there") }}
	records.name(little)
	b.rot(b.files("data/shards")[0], 400)
	b.must(b.e.Scrub(context.Background(), 0))
	if len(b.e.Damaged()) != 1 {
		t.Fatalf("damaged are %v", b.e.Damaged())
	}
	k := b.e.Damaged()[0].Key
	before := b.files("data/shards")
	// Nothing can be compared with what is damaged, and nothing built of it: later it can.
	held := named(3, newSampleRecords(a, 4)[3])
	if _, err := b.e.AppendNamed(context.Background(), []dot.Named{held}); !errors.Is(err, dot.ErrUnreadable) {
		t.Errorf("a batch that is held of the damaged shard: %v", err)
	}
	offers, err := a.e.Offer(context.Background(), k, dot.Of(held.Dot))
	if err != nil || len(offers) == 0 {
		t.Fatal(offers, err)
	}
	if _, err := b.e.Adopt(context.Background(), offers[0], reading(a, offers[0].Name)); !errors.Is(err, dot.ErrUnreadable) {
		t.Errorf("a file for the damaged shard: %v", err)
	}
	_, err = b.e.Repair(context.Background(), k, []dot.Source{silent, wrong, sourceOf(little, k)})
	if !errors.Is(err, ErrUnrepaired) || !strings.Contains(err.Error(), "nobody there") {
		t.Errorf("nobody has it: %v", err)
	}
	if after := b.files("data/shards"); !slices.Equal(before, after) || len(b.e.Damaged()) != 1 || len(b.alarmsOf(alarmDamage)) != 1 {
		t.Errorf("it stays as it is: %v, was %v; damaged %v", after, before, b.e.Damaged())
	}
	got, err := b.e.Repair(context.Background(), k, []dot.Source{silent, wrong, sourceOf(a, k)})
	if err != nil || !slices.Equal(got.From, []string{"a"}) {
		t.Fatalf("%+v, %v", got, err)
	}
	if got := b.contents(); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if alarms := b.alarmsOf(""); len(alarms) > 0 {
		t.Errorf("alarms stay: %v", alarms)
	}
	for _, w := range []*ledgerWorld{a, b, little} {
		w.must(w.e.Close())
	}
}

// TestRepairCrashes stops the machine, or fails the disk, at every operation on files
// while a shard is repaired: what is held stays held, and repairing again ends it.
func TestRepairCrashes(t *testing.T) {
	step := int64(1)
	if testing.Short() {
		step = 5
	}
	for _, fault := range []error{vfs.ErrCrashed, syscall.EIO, syscall.ENOSPC} {
		for k := int64(1); ; k += step {
			a, b, records := repairWorlds(t)
			want := a.contents()
			b.rot(b.files("data/shards")[0], 400)
			b.must(b.e.Scrub(context.Background(), 0))
			key := b.e.Damaged()[0].Key
			start := b.faulty.Operations()
			if fault == vfs.ErrCrashed {
				b.faulty.CrashAt(start + k)
			} else {
				b.faulty.FailAt(start+k, fault)
			}
			_, err := b.e.Repair(context.Background(), key, []dot.Source{sourceOf(a, key)})
			done := b.faulty.Operations()-start < k
			if fault == vfs.ErrCrashed {
				_ = b.e.Close()
				b.use(b.disk.CrashClone(rand.New(rand.NewPCG(uint64(k), 1)), float64(k%3)/2))
				b.open()
				b.must(b.e.Scrub(context.Background(), 0))
			}
			b.faulty.Inject(nil)
			for _, d := range b.e.Damaged() {
				if _, err := b.e.Repair(context.Background(), d.Key, []dot.Source{sourceOf(a, d.Key)}); err != nil {
					t.Fatalf("%v at %d: again: %v", fault, k, err)
				}
			}
			if got := b.contents(); !reflect.DeepEqual(got, want) {
				t.Fatalf("%v at %d (%v): %v, want %v", fault, k, err, got, want)
			}
			b.reopen()
			if held := records.check(b); len(held) != 9 {
				t.Errorf("%v at %d: held are %v", fault, k, held)
			}
			b.must(b.e.Close())
			a.must(a.e.Close())
			if done {
				if err != nil {
					t.Errorf("%v never: %v", fault, err)
				}
				t.Log(fmt.Sprint(fault), k, "operations")
				break
			}
		}
	}
}
