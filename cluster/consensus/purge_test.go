package consensus

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"arbor/cluster/tables"
	"arbor/engine/vfs"
)

const purged = "what is to be gone: 5be0cd19"

// traces are the files of a disk that have the text.
func traces(t *testing.T, disk vfs.FS) (found []string) {
	t.Helper()
	for _, dir := range []string{"metadata/log", "metadata/trash", "metadata/snapshots"} {
		names, err := disk.List(dir)
		if err != nil {
			continue // not there yet
		}
		for _, name := range names {
			f, err := disk.Open(path.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			size, err := f.Size()
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, size)
			if n, err := f.ReadAt(b, 0); n < len(b) {
				t.Fatal(name, err)
			}
			f.Close()
			if bytes.Contains(b, []byte(purged)) {
				found = append(found, path.Join(dir, name))
			}
		}
	}
	return found
}

func row(op tables.Op, key, value string, before tables.Before) ChangeTables {
	return ChangeTables{Change: tables.Change{{Op: op, Table: 1, Key: []byte(key), Value: []byte(value), Before: before}}}
}

// filled has a row that is in the log, in both snapshots and in the trash, and that is
// there no more.
func filled(w *world, g *Group) {
	w.t.Helper()
	w.must(g.Apply(w.t.Context(), lookup()))
	w.must(g.Apply(w.t.Context(), row(tables.OpPut, "gone", purged, tables.Before{})))
	for i := range 3 {
		w.must(g.Apply(w.t.Context(), project(fmt.Sprint("p", i))))
		if err := g.Snapshot(); err != nil {
			w.t.Fatal(err)
		}
	}
	w.must(g.Apply(w.t.Context(), row(tables.OpPut, "other", "stays", tables.Before{})))
	w.must(g.Apply(w.t.Context(), row(tables.OpRemove, "gone", "", tables.Saw([]byte(purged)))))
}

// TestPurgeLeavesNothing: after each of three members has purged, none has anything of
// what was in the tables before on its disk, one that was cut off meanwhile gets the
// state all the same, and all go on.
func TestPurgeLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		threeMembers(w)
		leader := w.leader()
		filled(w, leader)
		var away *Group
		for _, g := range w.groups {
			if g != leader {
				away = g
			}
		}
		w.until("the one that is cut off has the row", func() bool { return len(traces(t, w.disks[away.o.ID])) > 0 })
		w.cut(away.o.ID)
		for _, g := range w.groups {
			if g == away {
				continue
			}
			w.until("it has all", func() bool { return g.Applied() >= leader.Applied() })
			if len(traces(t, w.disks[g.o.ID])) == 0 {
				t.Fatal("there is nothing to purge: the test would show little")
			}
			if err := g.Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
			if found := traces(t, w.disks[g.o.ID]); len(found) > 0 {
				t.Errorf("after a purge it is still in %q", found)
			}
		}
		w.must(leader.Apply(t.Context(), project("after")))
		w.heal(away.o.ID)
		w.until("the one that was cut off has all", func() bool { return has(away.State(), "after") })
		if err := away.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		for me := range w.disks {
			if found := traces(t, w.disks[me]); len(found) > 0 {
				t.Errorf("in the end it is still in %q", found)
			}
		}
		if kept := leader.raft.ReloadableConfig().TrailingLogs; kept != trailingLogs {
			t.Errorf("from then on %d entries are kept, want %d", kept, trailingLogs)
		}
		w.stopAll()
		for n := byte(1); n <= 3; n++ {
			w.open(n)
		}
		w.must(w.leader().Apply(t.Context(), project("last")))
		for _, g := range w.groups {
			w.until("it has the last project", func() bool { return has(g.State(), "last") })
			of, _ := g.State().Tables.Table(1, "plans")
			if of == nil || of.Entries() != 2 {
				t.Errorf("the table is %v", of)
			}
		}
		w.stopAll()
	})
}

// TestPurgeStoppedAnywhere stops the world at each operation of a purge: nothing that was
// agreed on is lost, and purging again leaves nothing.
func TestPurgeStoppedAnywhere(t *testing.T) {
	step := int64(1)
	if testing.Short() {
		step = 3
	}
	for k := int64(1); ; k += step {
		done := false
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.begin(1)
			g := w.open(1)
			filled(w, g)
			w.stop(id(1))
			disk := w.disks[id(1)]
			faulty := vfs.NewFaulty(disk)
			_, wire := raft.NewInmemTransport(raft.ServerAddress(id(1).String()))
			w.wires[id(1)] = wire
			o := w.options(1)
			o.FS = faulty
			g, err := Open(o)
			if err != nil {
				t.Fatal(err)
			}
			w.until("it leads", g.Leads)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			at := faulty.Operations() + k
			faulty.CrashAt(at)
			err = g.Purge(ctx)
			cancel()
			done = err == nil && faulty.Operations() < at
			_ = g.Close()
			wire.Close()
			w.disks[id(1)] = disk.CrashClone(rand.New(rand.NewPCG(uint64(k), 1)), 0.5)
			g = w.open(1)
			w.must(g.Apply(t.Context(), project("probe")))
			if !has(g.State(), "p2") || strings.Contains(string(g.State().Tables.Encode()), purged) {
				t.Errorf("stopped at operation %d: what was agreed on is not in force", k)
			}
			if err := g.Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
			if found := traces(t, w.disks[id(1)]); len(found) > 0 {
				t.Errorf("stopped at operation %d, and purged again: it is still in %q", k, found)
			}
			w.stopAll()
		})
		if done || t.Failed() {
			t.Logf("stopped at each of %d operations, by steps of %d", k-1, step)
			return
		}
	}
}
