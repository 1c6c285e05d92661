package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"testing"

	"gocloud.dev/blob/memblob"

	"arbor/backup"
	"arbor/engine/vfs"
	"arbor/gateway/siphon"
)

var stopAll = flag.Bool("stopall", false, "stop servers at every operation on files; else at some of them")

// stoppable is something that a server takes part in, and that may be stopped anywhere and
// done again.
type stoppable struct {
	// base is the disk that it begins with.
	base *vfs.Mem
	// act does it, or goes on with it. try numbers what has state of its own outside of the
	// server.
	act func(ctx context.Context, try string, s *dayServer) error
	// wants compares what is there when it is done.
	wants func(t *testing.T, s *dayServer)
}

// stoppedSteps is about how many of the operations on files a server is stopped at; all
// in the long form.
const stoppedSteps = 6

// stopEverywhere stops the server at operations on files, as kill -9 and a power cut do,
// opens it again over what the disk may hold then, and has the same done again.
func stopEverywhere(t *testing.T, o stoppable) {
	t.Helper()
	clone := func(from *vfs.Mem) *vfs.Mem { return from.CrashClone(rand.New(rand.NewPCG(1, 1)), 1) }
	counted := vfs.NewFaulty(clone(o.base))
	s, end, err := startDay(t.Context(), counted, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	first := counted.Operations()
	if err := o.act(t.Context(), t.TempDir(), s); err != nil {
		t.Fatal(err)
	}
	last := counted.Operations()
	o.wants(t, s)
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if last-first < 2 {
		t.Fatalf("it takes %d operations on files", last-first)
	}
	step := max((last-first)/stoppedSteps, 1)
	if *stopAll {
		step = 1
	}
	stopped := 0
	for k := first + 1; k <= last; k += step {
		disk, try := clone(o.base), t.TempDir()
		faulty := vfs.NewFaulty(disk)
		s, end, err := startDay(t.Context(), faulty, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		faulty.Inject(func(op vfs.Op) error {
			if op.N < k {
				return nil
			}
			cancel() // nobody waits for a server that is gone
			return vfs.ErrCrashed
		})
		failed := o.act(ctx, try, s)
		cancel()
		_ = end() // of a process that is no more
		if faulty.Operations() < k {
			if failed != nil {
				t.Fatalf("it was not stopped at operation %d, and failed: %v", k, failed)
			}
			continue // it took fewer operations than before
		}
		stopped++
		again := disk.CrashClone(rand.New(rand.NewPCG(uint64(k), 7)), float64(k%3)/2)
		if s, end, err = startDay(t.Context(), again, nil, nil); err != nil {
			t.Fatalf("stopped at operation %d: open again: %v", k, err)
		}
		if err := o.act(t.Context(), try, s); err != nil {
			t.Fatalf("stopped at operation %d (%v): do it again: %v", k, failed, err)
		}
		o.wants(t, s)
		if err := s.engine.Index(t.Context(), 0, true); err != nil {
			t.Fatal(err)
		}
		o.wants(t, s)
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("stopped at operation %d of %d to %d", k, first+1, last)
		}
	}
	if stopped < 2 {
		t.Errorf("it was stopped %d times", stopped)
	}
}

// emptyShop is a disk with a shop that has nothing.
func emptyShop(t *testing.T, name string) *vfs.Mem {
	t.Helper()
	disk := vfs.NewMem()
	s, end, err := startDay(t.Context(), disk, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	post(t, s.url.String()+"/query", "root", "CREATE DATABASE "+name)
	if err := end(); err != nil {
		t.Fatal(err)
	}
	return disk
}

// TestRestoreIntoStoppedServer: a server that is stopped anywhere while days of a backup
// come into it, in place or beside, has all of them once after the same command.
func TestRestoreIntoStoppedServer(t *testing.T) {
	stores := []*backup.Store{{Name: "a", Bucket: memblob.OpenBucket(nil)}}
	from := shopServer(t, stores)
	made := backedUp(t, from, stores)
	want := from.target(t).stored("shop", "TRUE")
	for name, o := range map[string]intoOptions{"shop": {inPlace: true, yes: true}, "shop_restored": {}} {
		t.Run(name, func(t *testing.T) {
			stopEverywhere(t, stoppable{
				base: emptyShop(t, "shop"),
				act: func(ctx context.Context, try string, s *dayServer) error {
					o := o
					o.projects, o.out, o.scratch = []string{"shop"}, io.Discard, try
					return restoreOnce(ctx, s, stores, made.ID, o)
				},
				wants: func(t *testing.T, s *dayServer) {
					t.Helper()
					if got := s.target(t).stored(name, "TRUE"); !slices.Equal(got, want) {
						t.Errorf("%d events are there of %d", len(got), len(want))
					}
				},
			})
		})
	}
}

// restoreOnce runs a restore into a server.
func restoreOnce(ctx context.Context, s *dayServer, stores []*backup.Store, id string, o intoOptions) error {
	part, err := newRestorePart(ctx, backup.RestoreOptions{Stores: stores, ID: id}, true)
	if err != nil {
		return err
	}
	if part.first, part.last, err = parseDays(""); err != nil {
		return err
	}
	r := &intoRestore{o: o, quiet: true, part: part, server: &restoreServer{url: s.url.String(), user: "root", client: http.DefaultClient}}
	done, err := r.run(ctx)
	return errors.Join(err, part.close(done))
}

// TestReplayToStoppedServer: a server that is stopped anywhere while a siphon's copies are
// sent to it again has all of them once after the same command.
func TestReplayToStoppedServer(t *testing.T) {
	first := openDay(t, vfs.NewMem(), nil, nil)
	copies := siphoned(t, first, 5)
	want := first.target(t).stored("shop", "TRUE")
	project, _ := first.cluster.Catalog().Project("shop")
	stopEverywhere(t, stoppable{
		base: emptyShop(t, "shop"),
		act: func(ctx context.Context, try string, s *dayServer) error {
			state := replayState{file: filepath.Join(try, "state")}
			skip, err := state.read()
			if err != nil {
				return err
			}
			_, err = siphon.Replay(ctx, siphon.ReplayOptions{Source: siphon.Directory(copies, "siphon"), Server: s.url, Key: worstDayKey, Connections: 1,
				OldTokens: map[string]string{project.Token: "shop"}, Skip: skip, Done: state.done})
			return err
		},
		wants: func(t *testing.T, s *dayServer) {
			t.Helper()
			if got := s.target(t).stored("shop", "TRUE"); !slices.Equal(got, want) {
				t.Errorf("%d events are there of %d", len(got), len(want))
			}
		},
	})
}

// siphoned makes a shop to which so many segments of events come through a siphon, whose
// copies it gives.
func siphoned(t *testing.T, s *dayServer, segments int) *vfs.Mem {
	t.Helper()
	post(t, s.url.String()+"/query", "root", "CREATE DATABASE shop")
	copies := vfs.NewMem()
	for range segments { // each that ends seals one
		edge, err := siphon.New(siphon.Options{Upstreams: []*url.URL{s.url}, FS: copies, Dir: "siphon", Key: worstDayKey, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		front := httptest.NewServer(edge)
		through := &dayServer{s.member, nil}
		if through.url, err = url.Parse(front.URL); err != nil {
			t.Fatal(err)
		}
		through.buy(t, 0, 12) // the same, so that they are copies with ids of their own
		through.buy(t, 12, 24)
		front.Close()
		if err := edge.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return copies
}

// TestReplayIsStopped: a replay that is stopped at any request, before or after the server
// has answered, adds all once when it is done again, with its state or without.
func TestReplayIsStopped(t *testing.T) {
	first := openDay(t, vfs.NewMem(), nil, nil)
	copies := siphoned(t, first, 3)
	want := first.target(t).stored("shop", "TRUE")
	project, _ := first.cluster.Catalog().Project("shop")
	s := openDay(t, vfs.NewMem(), nil, nil)
	post(t, s.url.String()+"/query", "root", "CREATE DATABASE shop")
	state := replayState{file: filepath.Join(t.TempDir(), "state")}
	for k := 0; ; k++ {
		ctx, cancel := context.WithCancel(t.Context())
		requests := 0
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			requests++
			if requests == k+1 && k%2 == 0 {
				cancel()
				panic(http.ErrAbortHandler)
			}
			res := forward(s.url.String(), r, body)
			defer res.Body.Close()
			if requests == k+1 {
				cancel()
				panic(http.ErrAbortHandler)
			}
			for name, values := range res.Header {
				w.Header()[name] = values
			}
			w.WriteHeader(res.StatusCode)
			_, _ = io.Copy(w, res.Body)
		}))
		at, err := url.Parse(front.URL)
		if err != nil {
			t.Fatal(err)
		}
		o := siphon.ReplayOptions{Source: siphon.Directory(copies, "siphon"), Server: at, Key: worstDayKey, Connections: 1, OldTokens: map[string]string{project.Token: "shop"}}
		if k%3 == 2 { // with what the last one has noted
			if o.Skip, err = state.read(); err != nil {
				t.Fatal(err)
			}
			o.Done = state.done
		}
		done, err := siphon.Replay(ctx, o)
		cancel()
		front.Close()
		if err == nil {
			if k%3 != 2 && done.Requests != 6 {
				t.Errorf("it took %d requests", done.Requests)
			}
			break
		}
	}
	for range 2 {
		if got := s.target(t).stored("shop", "TRUE"); !slices.Equal(got, want) {
			t.Errorf("%d events are there of %d", len(got), len(want))
		}
		if err := s.engine.Index(t.Context(), 0, true); err != nil {
			t.Fatal(err)
		}
	}
}
