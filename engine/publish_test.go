package engine

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"arbor/engine/exec"
	"arbor/engine/vfs"
)

// countEvents is how many events a scan of the sample project gives.
func countEvents(t *testing.T, e *Engine) int64 {
	t.Helper()
	stats, err := e.Scan(context.Background(), &exec.Fragment{Project: sampleProject, Copies: true}, func(*exec.Batch) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return stats.RowsGiven
}

// TestPublishFails has each operation of an index build fail, and all after it,
// and a power cut come after the next build: whichever name the file of the
// failed build has then, the events are there once. Between the two the engine
// goes on, or is opened again, so that it meets names that were never synced.
func TestPublishFails(t *testing.T) {
	for _, reopen := range []bool{false, true} {
		for k := int64(1); failPublish(t, k, reopen); k++ {
		}
	}
}

func failPublish(t *testing.T, k int64, reopen bool) (failed bool) {
	t.Helper()
	name := fmt.Sprintf("operation %d, reopen=%v", k, reopen)
	ctx := context.Background()
	disk := vfs.NewMem()
	faulty := vfs.NewFaulty(disk)
	now := time.Unix(1_800_000_000, 0)
	options := Options{FS: faulty, Dir: "data", Catalog: sampleCatalog(), Manual: true, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }}
	open := func() *Engine {
		e, err := Open(ctx, options)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return e
	}
	e := open()
	newSample().fill(t, e, 10, 5)
	k += faulty.Operations()
	faulty.Inject(func(o vfs.Op) error {
		if o.N < k {
			return nil
		}
		failed = true
		return syscall.EIO
	})
	indexErr := e.Index(ctx, 0, false)
	faulty.Inject(nil)
	if reopen {
		e.Close()
		e = open()
	}
	for range 2 {
		now = now.Add(100 * time.Hour)
		if err := e.Tick(ctx); err != nil {
			t.Logf("%s: %v, then %v", name, indexErr, err)
		}
	}
	e.Close()
	options.FS = disk.CrashClone(rand.New(rand.NewPCG(1, 2)), 0)
	e = open()
	defer e.Close()
	if n := countEvents(t, e); n != 10 {
		t.Errorf("%s: %d events after the crash, want 10", name, n)
	}
	return failed
}

// TestPublishOfMergeFails has one operation of a merge fail, lets an index build
// follow at once, and then cuts the power. The merged file may be there and be
// replaced by a file that does not hold what it holds: its sources must count.
func TestPublishOfMergeFails(t *testing.T) {
	for k := int64(1); failMerge(t, k); k++ {
	}
}

func failMerge(t *testing.T, k int64) (failed bool) {
	t.Helper()
	ctx := context.Background()
	disk := vfs.NewMem()
	faulty := vfs.NewFaulty(disk)
	now := time.Unix(1_800_000_000, 0)
	options := Options{FS: faulty, Dir: "data", Catalog: sampleCatalog(), Manual: true, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }}
	e, err := Open(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	events := newSample()
	build := func(closeDays bool) error {
		if !closeDays {
			events.fill(t, e, 10, 5)
		}
		now = now.Add(time.Second)
		return e.Index(ctx, 0, closeDays)
	}
	for range 2 {
		if err := build(false); err != nil {
			t.Fatal(err)
		}
	}
	at := faulty.Operations() + k
	faulty.Inject(func(o vfs.Op) error {
		if o.N != at {
			return nil
		}
		failed = true
		return syscall.EIO
	})
	mergeErr := build(true)
	faulty.Inject(nil)
	nextErr := build(false)
	e.Close()
	options.FS = disk.CrashClone(rand.New(rand.NewPCG(1, 2)), 0)
	if e, err = Open(ctx, options); err != nil {
		t.Fatalf("operation %d: %v", k, err)
	}
	defer e.Close()
	if n := countEvents(t, e); n != 30 {
		t.Errorf("operation %d: %d events after the crash, want 30 (merge: %v, next build: %v)", k, n, mergeErr, nextErr)
	}
	return failed
}
