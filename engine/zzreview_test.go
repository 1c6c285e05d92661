package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/vfs"
)

type zzFS struct {
	vfs.FS
	open   func(string) error
	rename func(a, b string) error
}

func (f *zzFS) Open(n string) (vfs.File, error) {
	if f.open != nil {
		if err := f.open(n); err != nil {
			return nil, err
		}
	}
	return f.FS.Open(n)
}
func (f *zzFS) Rename(a, b string) error {
	if f.rename != nil {
		if err := f.rename(a, b); err != nil {
			return err
		}
	}
	return f.FS.Rename(a, b)
}

func zzOpen(t testing.TB, fs vfs.FS) *Engine {
	t.Helper()
	e, err := Open(context.Background(), Options{FS: fs, Dir: "d", Catalog: sampleCatalog(), Manual: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

var zzReq uint64 = 1_728_000_000_000_000_000

func zzBatch(n int, tag string, props int) []byte {
	zzReq += 1000
	b := event.Batch{Shard: catalog.ShardKey{Project: sampleProject, Day: 20000}}
	for i := range n {
		ev := event.Event{ID: catalog.IngestID{Time: zzReq, Edge: 1, Index: uint32(i)}, Name: "x", Time: catalog.Day(20000).Start() + int64(i)*1000, DistinctID: fmt.Sprintf("u%d", i%70), InsertID: fmt.Sprintf("%s-%d", tag, i)}
		for p := range props {
			if (p+i)%20 == 0 {
				ev.Properties = append(ev.Properties, catalog.Property{Name: fmt.Sprintf("p%04d", p), Value: catalog.Int(int64(i * p))})
			}
		}
		b.Events = append(b.Events, ev)
	}
	rec, err := event.AppendBatch(nil, &b)
	if err != nil {
		panic(err)
	}
	return rec
}

func zzAppend(t testing.TB, e *Engine, n int, tag string) {
	t.Helper()
	if err := e.Append(context.Background(), [][]byte{zzBatch(n, tag, 0)}); err != nil {
		t.Fatal(err)
	}
}

func zzCount(t testing.TB, e *Engine) int {
	n := 0
	_, err := e.Scan(context.Background(), &exec.Fragment{Project: sampleProject}, func(b *exec.Batch) error { n += b.Rows; return nil })
	if err != nil {
		t.Log("scan:", err)
		return -1
	}
	return n
}

// one EMFILE when the published file is opened
func TestZZOpenFailsOnce(t *testing.T) {
	mem := vfs.NewMem()
	f := &zzFS{FS: mem}
	e := zzOpen(t, f)
	ctx := context.Background()
	zzAppend(t, e, 10, "a")
	e.Index(ctx, 0, false)
	zzAppend(t, e, 10, "b")
	e.Index(ctx, 0, false)
	n := 0
	f.open = func(name string) error {
		if strings.HasSuffix(name, ".idx") {
			n++
			if n == 1 {
				return errors.New("too many open files")
			}
		}
		return nil
	}
	t.Log("close:", e.Index(ctx, 0, true))
	zzAppend(t, e, 10, "c")
	t.Log("index:", e.Index(ctx, 0, false), "visible", zzCount(t, e))
	clone := mem.CrashClone(rand.New(rand.NewPCG(1, 1)), 0)
	e2 := zzOpen(t, clone)
	t.Log("after crash", zzCount(t, e2))
	e2.Close()
	e.Close()
}

func TestZZProveTransient(t *testing.T) {
	f := &zzFS{FS: vfs.NewMem()}
	e := zzOpen(t, f)
	zzAppend(t, e, 10, "a")
	f.open = func(name string) error {
		if strings.HasSuffix(name, ".new") {
			return errors.New("too many open files")
		}
		return nil
	}
	t.Log(e.Index(context.Background(), 0, false), "unproven alarms", e.metrics.Unproven.Load())
	e.Close()
}

func TestZZConcurrentRetire(t *testing.T) {
	bad := 0
	f := &zzFS{FS: vfs.NewMem()}
	f.rename = func(a, b string) error {
		if strings.HasSuffix(a, ".log") {
			time.Sleep(5 * time.Millisecond)
		}
		return nil
	}
	e := zzOpen(t, f)
	ctx := context.Background()
	for k := range 20 {
		zzAppend(t, e, 5, fmt.Sprint("a", k))
		var wg sync.WaitGroup
		var mu sync.Mutex
		for range 2 {
			wg.Go(func() {
				if err := e.Index(ctx, 0, false); err != nil {
					mu.Lock()
					bad++
					if bad < 3 {
						t.Log(err)
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
	}
	t.Log("spurious errors", bad)
	e.Close()
}

func TestZZTmpLeak(t *testing.T) {
	mem := vfs.NewMem()
	f := vfs.NewFaulty(mem)
	e := zzOpen(t, f)
	zzAppend(t, e, 1000, "a")
	f.Inject(func(op vfs.Op) error {
		if op.Kind == vfs.OpWrite && strings.Contains(op.Name, ".idx") {
			return errors.New("ENOSPC")
		}
		return nil
	})
	for range 5 {
		e.Index(context.Background(), 0, false)
	}
	names, _ := mem.List(e.allShards()[0].dir)
	t.Log(len(names), names)
	e.Close()
}

func TestZZOpenNeedsTrash(t *testing.T) {
	mem := vfs.NewMem()
	f := vfs.NewFaulty(mem)
	e := zzOpen(t, f)
	ctx := context.Background()
	zzAppend(t, e, 10, "a")
	e.Index(ctx, 0, false)
	zzAppend(t, e, 10, "b")
	e.Index(ctx, 0, false)
	bad := func(op vfs.Op) error {
		if op.Kind == vfs.OpRename && strings.HasSuffix(op.Name, ".idx") {
			return errors.New("EIO")
		}
		return nil
	}
	f.Inject(bad)
	t.Log("close day:", e.Index(ctx, 0, true), zzCount(t, e))
	e.Close()
	_, err := Open(ctx, Options{FS: f, Dir: "d", Catalog: sampleCatalog(), Manual: true})
	t.Log("open:", err)
}

func TestZZIndexIgnoresContext(t *testing.T) {
	f := &zzFS{FS: vfs.NewMem()}
	e := zzOpen(t, f)
	zzAppend(t, e, 10, "a")
	gate := make(chan struct{})
	var once sync.Once
	started := make(chan struct{})
	f.open = func(name string) error {
		if strings.HasSuffix(name, ".new") {
			once.Do(func() { close(started) })
			<-gate
		}
		return nil
	}
	go e.Index(context.Background(), 0, false)
	<-started
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	time.AfterFunc(time.Second, func() { close(gate) })
	e.Index(ctx, 0, false)
	t.Log("Index with a 50ms context took", time.Since(begin))
	e.Close()
}


func TestZZTrashSyncBreaksLog(t *testing.T) {
	f := vfs.NewFaulty(vfs.NewMem())
	e := zzOpen(t, f)
	ctx := context.Background()
	zzAppend(t, e, 5, "a")
	f.Inject(func(op vfs.Op) error {
		if op.Kind == vfs.OpSyncDir && strings.HasSuffix(op.Name, ",log") {
			return errors.New("too many open files")
		}
		return nil
	})
	t.Log("index:", e.Index(ctx, 0, false))
	f.Inject(nil)
	t.Log("append:", e.Append(ctx, [][]byte{zzBatch(3, "b", 0)}))
	e.Close()
}

type zzAfter struct {
	vfs.FS
	after func(a string)
}

func (f *zzAfter) Rename(a, b string) error {
	err := f.FS.Rename(a, b)
	if f.after != nil {
		f.after(a)
	}
	return err
}

func TestZZEmptyBesideRetire(t *testing.T) {
	f := &zzAfter{FS: vfs.NewMem()}
	e := zzOpen(t, f)
	ctx := context.Background()
	zzAppend(t, e, 5, "a")
	f.after = func(a string) {
		if strings.HasSuffix(a, ".log") {
			t.Log("empty:", e.trash.empty(ctx, 0)) // what a Tick does beside this Index, trash_retention = 0
		}
	}
	t.Log("index:", e.Index(ctx, 0, false))
	f.after = nil
	t.Log("append:", e.Append(ctx, [][]byte{zzBatch(3, "b", 0)}))
	e.Close()
}

func TestZZConcurrentRetire2(t *testing.T) {
	f := &zzFS{FS: vfs.NewMem()}
	e := zzOpen(t, f)
	ctx := context.Background()
	zzAppend(t, e, 5, "a")
	done := make(chan error, 1)
	n := 0
	f.rename = func(a, b string) error {
		if strings.HasSuffix(a, ".log") {
			if n++; n == 1 {
				done <- e.Index(ctx, 0, false)
			}
		}
		return nil
	}
	t.Log("first:", e.Index(ctx, 0, false))
	t.Log("second:", <-done)
	e.Close()
}

// purge while the trash cannot be reached: what stays behind
func TestZZPurgeLeftovers(t *testing.T) {
	mem := vfs.NewMem()
	f := vfs.NewFaulty(mem)
	e := zzOpen(t, f)
	ctx := context.Background()
	zzAppend(t, e, 5, "a")
	e.Index(ctx, 0, false)
	dir := e.allShards()[0].dir
	e.SetCatalog(&catalog.Catalog{NextProject: 8})
	k := 0
	f.Inject(func(op vfs.Op) error {
		if op.Kind == vfs.OpRename && strings.HasSuffix(op.Name, ".idx") {
			if k++; k <= 2 {
				return errors.New("EIO")
			}
		}
		return nil
	})
	for range 3 {
		t.Log("tick:", e.Tick(ctx) != nil)
	}
	names, _ := mem.List(dir)
	t.Log("shards", len(e.allShards()), "left on disk", names)
	e.Close()
}

// an append whose disk hangs: does the caller's context end the wait?
func TestZZAppendHang(t *testing.T) {
	f := vfs.NewFaulty(vfs.NewMem())
	e := zzOpen(t, f)
	gate := make(chan struct{})
	f.Inject(func(op vfs.Op) error {
		if op.Kind == vfs.OpSync {
			<-gate
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	time.AfterFunc(time.Second, func() { close(gate) })
	s := time.Now()
	err := e.Append(ctx, [][]byte{zzBatch(3, "b", 0)})
	t.Log("append with a 50 ms context returned after", time.Since(s), err)
	e.Close()
}
