package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"arbor/catalog"
	"arbor/engine/dot"
	"arbor/engine/exec"
	"arbor/engine/indexfile"
	"arbor/engine/vfs"
)

// rows are all copies that there are, by day, as they are read: with all that is in them and
// who hides whom.
func (w *ledgerWorld) rows() map[catalog.Day][]string {
	w.t.Helper()
	f := &exec.Fragment{Project: sampleProject, Copies: true}
	for source, t := range map[exec.Source]catalog.Type{
		exec.SourceIngestID: catalog.TypeString, exec.SourceEvent: catalog.TypeString, exec.SourceTime: catalog.TypeDatetime, exec.SourceDistinctID: catalog.TypeString,
		exec.SourceInsertID: catalog.TypeString, exec.SourceProperties: catalog.TypeJSON, exec.SourceDuplicate: catalog.TypeBool, exec.SourceDupOf: catalog.TypeString, exec.SourceDupKind: catalog.TypeString,
	} {
		f.Columns = append(f.Columns, exec.Column{Source: source, Type: t})
	}
	slices.SortFunc(f.Columns, func(a, b exec.Column) int { return int(a.Source) - int(b.Source) })
	days := map[catalog.Day][]string{}
	for _, day := range []catalog.Day{dayOne, dayTwo} {
		f.Filter = &exec.Expr{Op: exec.OpAnd, Args: []*exec.Expr{
			{Op: exec.OpMoreEq, Column: timeOf(f), Values: []catalog.Value{catalog.Int(day.Start())}},
			{Op: exec.OpLessEq, Column: timeOf(f), Values: []catalog.Value{catalog.Int(day.Start() + catalog.DayMicros - 1)}}}}
		_, err := w.e.Scan(context.Background(), f, func(b *exec.Batch) error {
			for i := range b.Rows {
				var row []string
				for _, column := range b.Columns {
					row = append(row, column.ValueStr(i))
				}
				days[day] = append(days[day], strings.Join(row, "\t"))
			}
			return nil
		})
		w.must(err)
		slices.Sort(days[day])
	}
	return days
}

func timeOf(f *exec.Fragment) int {
	return slices.IndexFunc(f.Columns, func(c exec.Column) bool { return c.Source == exec.SourceTime })
}

// rollBack gives every staged shard what a has, and stops at the first error.
func (w *ledgerWorld) rollBack(a *ledgerWorld) error {
	w.t.Helper()
	staged, err := w.e.Staged(context.Background())
	if err != nil {
		return err
	}
	for _, s := range staged.Shards {
		files, err := a.e.OfferShard(context.Background(), s.Shard)
		w.must(err)
		err = w.e.Reinstate(context.Background(), s.Shard, files, func(ctx context.Context, name string, take func([]byte) error) error {
			return a.e.ReadFile(ctx, name, take)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// versionOne is the catalog of those who index by version 1.
func versionOne(t *testing.T) *catalog.Catalog {
	c, err := sampleCatalog().Apply(catalog.SetSetting{Name: catalog.SettingIndexVersion, Value: "1"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// stagedWorld is a canary whose version of the indexer changes rows, with its proof turned
// off: all that was there before the stage has been merged by it, and some batches are
// logged. It was just told to roll back.
func stagedWorld(t *testing.T, records sampleRecords) *ledgerWorld {
	b := newLedgerWorld(t)
	before := versionOne(t)
	b.options.Catalog = before
	b.options.Member = catalog.MemberKey{3}
	b.open()
	records.name(b, 1, 2, 3, 4)
	b.must(b.index(false))
	records.name(b, 5, 6)
	b.must(b.e.Close())
	var err error
	b.options.Catalog, err = before.Apply(catalog.BeginStage{To: 2, Members: []catalog.MemberKey{{3}}, Since: b.now.UnixMicro(), Until: b.now.UnixMicro() + 1})
	b.must(err)
	b.options.Faults = &Faults{Version: 2, Unproven: true, Row: func(r *indexfile.Row) int {
		if r.ID.Index%4 == 1 {
			r.Name = "bought"
		}
		return 1
	}}
	b.open()
	records.name(b, 7, 8)
	b.must(b.index(false))
	b.must(b.index(true))
	records.name(b, 9, 10)
	b.options.Catalog, err = b.options.Catalog.Apply(catalog.RollBackStage{Since: b.options.Catalog.Stage.Since})
	b.must(err)
	b.reopen()
	return b
}

// TestReinstateCrashes stops the machine, or fails the disk, at every operation on files
// while a rollback replaces what a staged version of the indexer harmed, in two shards one
// after the other: each shard has what it had or what it should have, row by row, and the
// rollback that is done again ends with the latter, and with what was only logged.
func TestReinstateCrashes(t *testing.T) {
	a, whole := newLedgerWorld(t), newLedgerWorld(t)
	a.options.Catalog = versionOne(t)
	a.open()
	records := newSampleRecords(a, 10)
	records.name(a, 1, 2, 3, 4, 5, 6, 7)
	a.must(a.index(true))
	records.name(a, 8)
	whole.open()
	records.name(whole, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	right := whole.rows()

	b := stagedWorld(t, records)
	wrong := b.rows()
	for _, day := range []catalog.Day{dayOne, dayTwo} {
		changed := 0
		for i, row := range wrong[day] {
			if row != right[day][i] {
				changed++
			}
		}
		if len(right[day]) != 50 || len(wrong[day]) != 50 || changed < 10 {
			t.Fatalf("the fault changes %d of %d rows of %s", changed, len(right[day]), day)
		}
	}
	b.must(b.e.Close())
	before, met := b.disk, map[string]int{}
	step := int64(1)
	if testing.Short() {
		step = 3
	}
	for _, fault := range []error{vfs.ErrCrashed, syscall.EIO, syscall.ENOSPC} {
		for k := int64(1); ; k += step {
			b.use(before.CrashClone(rand.New(rand.NewPCG(1, 1)), 1))
			b.open()
			start := b.faulty.Operations()
			if fault == vfs.ErrCrashed {
				b.faulty.CrashAt(start + k)
			} else {
				b.faulty.FailAt(start+k, fault)
			}
			err := b.rollBack(a)
			done := b.faulty.Operations()-start < k
			if fault == vfs.ErrCrashed {
				_ = b.e.Close()
				b.use(b.disk.CrashClone(rand.New(rand.NewPCG(uint64(k), 1)), float64(k%3)/2))
			} else {
				b.faulty.Inject(nil)
				if errors.Is(err, dot.ErrNotAdopted) {
					t.Errorf("%v at %d: our own disk's fault is taken for the other side's: %v", fault, k, err)
				}
				_ = b.e.Close() // it may say again what failed
			}
			b.open()
			got, state := b.rows(), ""
			for _, day := range []catalog.Day{dayOne, dayTwo} {
				switch {
				case slices.Equal(got[day], right[day]):
					state += "right "
				case slices.Equal(got[day], wrong[day]):
					state += "wrong "
				default:
					t.Fatalf("%v at %d (%v): %d rows of %s, which are neither the %d of before nor the %d that there are", fault, k, err, len(got[day]), day, len(wrong[day]), len(right[day]))
				}
			}
			if err == nil && state != "right right " {
				t.Errorf("%v at %d: it was rolled back, and is %s", fault, k, state)
			}
			met[state]++
			if err := b.rollBack(a); err != nil {
				t.Fatalf("%v at %d: again: %v", fault, k, err)
			}
			for range 2 {
				got = b.rows()
				for _, day := range []catalog.Day{dayOne, dayTwo} {
					if !slices.Equal(got[day], right[day]) {
						t.Fatalf("%v at %d, done again, the rows of %s: %s", fault, k, day, cmp.Diff(right[day], got[day]))
					}
				}
				if staged, err := b.e.Staged(context.Background()); err != nil || len(staged.Shards) > 0 {
					t.Errorf("%v at %d, done again: staged are %v, %v", fault, k, staged.Shards, err)
				}
				if held := b.heldHere(); held.Len() != 10 {
					t.Errorf("%v at %d, done again: held are %v", fault, k, held)
				}
				b.reopen()
			}
			b.must(b.e.Scrub(context.Background(), 0))
			if alarms := b.alarmsOf(""); len(alarms) > 0 {
				t.Errorf("%v at %d, done again: alarms %q", fault, k, alarms)
			}
			for _, name := range b.files("data/shards") {
				if !strings.HasSuffix(name, fileSuffix) {
					t.Errorf("%v at %d, done again: left is %s", fault, k, name)
				}
			}
			b.must(b.e.Close())
			if done {
				break
			}
		}
	}
	if len(met) != 3 || met["wrong wrong "] < 5 || met["right wrong "] < 5 || met["right right "] < 3 {
		t.Errorf("states that were met: %v", met)
	}
	a.must(a.e.Close())
	whole.must(whole.e.Close())
}

// TestReinstateMendsLast: a shard whose file is gone answers nobody until what stands for
// the file is in it, and then the ledger names the file no more. What comes between the two
// is held up by the lock of the backlog, which counts what a swap indexed.
func TestReinstateMendsLast(t *testing.T) {
	ctx := context.Background()
	a := newLedgerWorld(t)
	a.options.Catalog = versionOne(t)
	a.open()
	records := newSampleRecords(a, 10)
	records.name(a, 1, 2, 3, 4, 5, 6, 7, 8)
	b := stagedWorld(t, records)
	b.must(b.e.Close())
	gone := b.files("data/shards")[0]
	b.must(b.disk.Remove(gone))
	b.open()
	damaged := b.e.Damaged()
	if len(damaged) != 1 {
		t.Fatalf("damaged are %v", damaged)
	}
	k := damaged[0].Key
	s := b.e.existing(k)
	offered, err := a.e.OfferShard(ctx, k)
	b.must(err)

	b.e.backlog.mu.Lock()
	done := make(chan error, 1)
	go func() {
		done <- b.e.Reinstate(ctx, k, offered, func(ctx context.Context, name string, take func([]byte) error) error {
			return a.e.ReadFile(ctx, name, take)
		})
	}()
	for swapped := false; !swapped; runtime.Gosched() {
		select {
		case err := <-done:
			b.e.backlog.mu.Unlock()
			t.Fatalf("it ended, and nothing was counted: %v", err)
		default:
		}
		s.mu.Lock()
		swapped = len(s.now.files.files) > 0
		if s.broken == nil {
			t.Error("the shard is whole before the swap has ended")
			swapped = true
		}
		s.mu.Unlock()
	}
	b.e.backlog.mu.Unlock()
	b.must(<-done)
	if err := s.failure(); err != nil || !b.e.ledger.agrees(s) {
		t.Errorf("it was reinstated, and is damaged: %v; the ledger names %v, it has %v", err, b.e.ledger.filesOf(k), s.fileNames())
	}
	b.want(k.Day, 50)
	b.must(b.e.Close())
	a.must(a.e.Close())
}
