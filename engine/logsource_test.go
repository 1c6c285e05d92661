package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/indexfile"
	"arbor/engine/vfs"
)

// oddBatch makes a request with all that a build has to tell apart: few users, some
// of whom begin alike, copies, insert ids in every form and none, the server's times,
// and properties that few events have or that change their type.
func oddBatch(r *rand.Rand, request uint64) *event.Batch {
	b := &event.Batch{Shard: catalog.ShardKey{Project: sampleProject, Day: 20_000}}
	users := []string{"", "user", "user-", "user-00000000001", "user-00000000002", "user-000000000020", "ü", "\xff"}
	for i := range uint32(1 + r.IntN(40)) {
		e := event.Event{
			ID: catalog.IngestID{Time: request, Edge: 3, Index: i}, Name: fmt.Sprint("event ", r.IntN(4)), DistinctID: users[r.IntN(len(users))],
			Time: b.Shard.Day.Start() + int64(r.IntN(50))*catalog.Millisecond, ServerTime: r.IntN(5) == 0,
		}
		switch r.IntN(4) {
		case 0:
			e.InsertID = fmt.Sprintf("%032x", r.IntN(30))
		case 1:
			e.InsertID = fmt.Sprint("id ", r.IntN(30))
		case 2:
			e.InsertID = fmt.Sprintf("00000000-0000-4000-8000-%012x", r.IntN(30))
		}
		if r.IntN(3) > 0 {
			e.Properties = append(e.Properties, event.Property{Name: "a", Value: catalog.Int(int64(r.IntN(3)))})
		}
		if r.IntN(30) == 0 {
			e.Properties = append(e.Properties, event.Property{Name: "b", Value: catalog.String(fmt.Sprint(r.IntN(100)))})
		}
		if r.IntN(2) == 0 {
			v := []catalog.Value{catalog.Double(0.5), catalog.String("x"), catalog.Null, catalog.Bool(true)}
			e.Properties = append(e.Properties, event.Property{Name: "c", Value: v[r.IntN(len(v))]})
		}
		b.Events = append(b.Events, e)
	}
	return b
}

// TestCollectedBuilds builds the same file of logged batches twice, with room to
// collect the events and with none: the bytes are the same, also where batches came
// twice and where different events bear one ingest id.
func TestCollectedBuilds(t *testing.T) {
	runs := 40
	if testing.Short() {
		runs = 15
	}
	for seed := range runs {
		r := rand.New(rand.NewPCG(uint64(seed), 21))
		disk := vfs.NewMem()
		e, err := Open(context.Background(), Options{FS: disk, Dir: ".", Catalog: sampleCatalog(), Manual: true, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		var sent []*event.Batch
		send := func(b *event.Batch) {
			record, err := event.AppendBatch(nil, b)
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Append(context.Background(), [][]byte{record}); err != nil {
				t.Fatal(err)
			}
		}
		indexed := r.IntN(3) * 4 // some of the batches are in a file that stays
		for i := range 3 + r.IntN(12) {
			switch b := oddBatch(r, uint64(1_000_000+i)); {
			case len(sent) > 0 && r.IntN(4) == 0:
				send(sent[r.IntN(len(sent))])
			case len(sent) > 0 && r.IntN(8) == 0: // another event by the same ids
				changed := *sent[r.IntN(len(sent))]
				changed.Events = slices.Clone(changed.Events)
				changed.Events[0].Name = "changed"
				send(&changed)
			default:
				sent = append(sent, b)
				send(b)
			}
			if i+1 == indexed {
				if err := e.Index(context.Background(), 0, false); err != nil {
					t.Fatal(err)
				}
			}
		}
		v, err := sampleShard(e).view(e)
		if err != nil {
			t.Fatal(err)
		}
		var files [2][]byte
		for k, memory := range []int64{1 << 30, 1} {
			if len(v.logs) == 0 {
				continue
			}
			e.opts.IndexBytes = memory
			files[k] = builtBytes(t, e, v, v.logs, k == 0)
		}
		if !bytes.Equal(files[0], files[1]) {
			t.Errorf("seed %d: the file of collected events differs from that of sorted ones", seed)
		}
		v.release()
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBuildsReuseArrays builds files of different logged batches one after the other, each in
// the arrays of the one before: they have the bytes that they have when nothing is collected.
func TestBuildsReuseArrays(t *testing.T) {
	skipShort(t)
	e := openSample(t, vfs.NewMem(), ".")
	newSample().fill(t, e, 60_000, 1000)
	v, err := sampleShard(e).view(e)
	if err != nil {
		t.Fatal(err)
	}
	defer v.release()
	for _, part := range [][2]int{{0, 20}, {20, 60}, {15, 30}, {0, 60}, {0, 3}, {20, 40}, {50, 60}} {
		var files [2][]byte
		for k, memory := range []int64{1 << 30, 1 << 20} {
			e.opts.IndexBytes = memory
			files[k] = builtBytes(t, e, v, v.logs[part[0]:part[1]], k == 0)
		}
		if !bytes.Equal(files[0], files[1]) {
			t.Errorf("batches %v: the file that was built in used arrays differs", part)
		}
	}
}

// TestBuildsAtOnceReuseArrays builds files in several engines at once, which take arrays that
// the others gave away. Every other build ends half way, after its rows were put in order.
func TestBuildsAtOnceReuseArrays(t *testing.T) {
	for n := range 3 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			e := openSample(t, vfs.NewMem(), ".")
			s := newSample()
			s.rng = rand.New(rand.NewPCG(uint64(n), 2))
			s.fill(t, e, 20_000, 1000)
			v, err := sampleShard(e).view(e)
			if err != nil {
				t.Fatal(err)
			}
			defer v.release()
			for _, part := range [][2]int{{0, 20}, {2, 20}, {0, 18}} {
				refs := v.logs[part[0]:part[1]]
				e.opts.IndexBytes = 1 << 20
				want := builtBytes(t, e, v, refs, false)
				e.opts.IndexBytes = 1 << 30
				for range 3 {
					endHalfWay(t, e, v, refs)
					if !bytes.Equal(builtBytes(t, e, v, refs, true), want) {
						t.Errorf("batches %v: the file that was built in used arrays differs", part)
					}
				}
			}
		})
	}
}

// endHalfWay ends a build that cannot write its file.
func endHalfWay(t *testing.T, e *Engine, v *view, refs []logRef) {
	t.Helper()
	w := &build{engine: e, view: v, refs: refs, others: v.files.files, job: e.jobs.start("test", v.shard.key, 0)}
	defer w.release()
	defer w.discard()
	for _, step := range []func(context.Context) error{w.open, w.census} {
		if err := step(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	w.finder.hidden = []uint32{uint32(w.want.Count)} // a row that is not there
	if err := w.write(context.Background()); !errors.Is(err, indexfile.ErrOrder) {
		t.Fatalf("a file was written that says it hides a row that it has not: %v", err)
	}
}

// builtBytes builds and proves a file of some logged batches and gives its bytes.
func builtBytes(t *testing.T, e *Engine, v *view, refs []logRef, collects bool) []byte {
	t.Helper()
	w := &build{engine: e, view: v, refs: refs, others: v.files.files, job: e.jobs.start("test", v.shard.key, 0)}
	defer w.release()
	defer w.discard()
	for _, step := range []func(context.Context) error{w.open, w.census, w.write, w.prove} {
		if err := step(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.logged.writer != nil; got != collects {
		t.Fatalf("the build collected: %v, want %v", got, collects)
	}
	f, err := e.fs.Open(v.shard.dir + "/" + w.newName())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(io.NewSectionReader(f, 0, size))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRoom holds a build against the least memory that lets it collect, and one
// byte less.
func TestRoom(t *testing.T) {
	e := openSample(t, vfs.NewMem(), ".")
	w := &build{engine: e, refs: []logRef{{length: 1000, events: 10}, {length: 500, events: 1}}}
	need := int64(roomShare * (recordTimes*1500 + eventBytes*11))
	for memory, want := range map[int64]bool{need: true, need - 1: false} {
		e.opts.IndexBytes = memory
		if got := w.hasRoom(); got != want {
			t.Errorf("with %d bytes there is room: %v, want %v", memory, got, want)
		}
	}
}

// TestManyColumnsInALog builds a file of events with more properties than have a
// column: they are added in order, as if there had been no room.
func TestManyColumnsInALog(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 20,000 properties")
	}
	e := openSample(t, vfs.NewMem(), ".")
	b := &event.Batch{Shard: catalog.ShardKey{Project: sampleProject, Day: 20_000}}
	for i := range (indexfile.MaxColumns + 200) / 200 {
		ev := event.Event{ID: catalog.IngestID{Time: 1, Index: uint32(i)}, Name: "e", Time: b.Shard.Day.Start(), DistinctID: "u"}
		for k := range 200 {
			ev.Properties = append(ev.Properties, event.Property{Name: fmt.Sprintf("p%06d", 200*i+k), Value: catalog.Int(1)})
		}
		b.Events = append(b.Events, ev)
	}
	record, err := event.AppendBatch(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Append(context.Background(), [][]byte{record}); err != nil {
		t.Fatal(err)
	}
	if err := e.Index(context.Background(), 0, false); err != nil {
		t.Fatal(err)
	}
	if f := sampleShard(e).files(); len(f) != 1 || f[0].reader.Rows() != len(b.Events) {
		t.Errorf("%d files hold the events", len(f))
	}
}
