package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"testing"

	"arbor/cluster/tables"
	"arbor/engine/vfs"
)

// tableHistory is transactions that fresh tables allow in this order.
func tableHistory() (all []tables.Change) {
	all = append(all, tables.Change{{Op: tables.OpCreate, Project: 1, Name: "t", Definition: []byte("d")}})
	for i := range 12 {
		all = append(all, tables.Change{
			{Op: tables.OpPut, Table: 1, Key: fmt.Append(nil, "a", i), Value: fmt.Append(nil, "value ", i)},
			{Op: tables.OpPut, Table: 1, Key: fmt.Append(nil, "b", i), Value: fmt.Append(nil, "value ", i)},
		})
	}
	return append(all, tables.Change{{Op: tables.OpDefine, Table: 1, Name: "u", Definition: []byte("e")}, {Op: tables.OpCreate, Project: 2, Name: "t"}})
}

// tableVersions are the tables that the history makes, encoded, by version.
func tableVersions(t *testing.T) []string {
	t.Helper()
	s := &tables.State{}
	all := []string{string(s.Encode())}
	for _, c := range tableHistory() {
		var err error
		if s, err = s.Apply(c); err != nil {
			t.Fatal(err)
		}
		all = append(all, string(s.Encode()))
	}
	return all
}

// fill runs the history, with a snapshot after so many bytes in such pieces.
func fill(t *testing.T, fs vfs.FS, snapshotAfter, piece int) (done int, err error) {
	t.Helper()
	l, err := openTableLog(fs, "tables", quiet, snapshotAfter, piece)
	if err != nil {
		return 0, err
	}
	for _, c := range tableHistory() {
		if _, err = l.change(t.Context(), c); err != nil {
			break
		}
		done++
	}
	return done, errors.Join(err, l.close())
}

// TestTablesSurviveEveryCrash ends the power at every file operation: the tables are
// those of a version that was acknowledged, or the one after it.
func TestTablesSurviveEveryCrash(t *testing.T) {
	want := tableVersions(t)
	for _, every := range []int{1, 300, 1 << 20} {
		for k := int64(1); ; k++ {
			mem := vfs.NewMem()
			faulty := vfs.NewFaulty(mem)
			faulty.CrashAt(k)
			done, _ := fill(t, faulty, every, 100)
			if faulty.Operations() < k {
				break
			}
			l, err := openTableLog(mem.CrashClone(rand.New(rand.NewPCG(uint64(k), 7)), 0.5), "tables", quiet, every, 100)
			if err != nil {
				t.Fatalf("snapshot every %d bytes, crash at operation %d: %v", every, k, err)
			}
			got := string(l.inForce.Load().Encode())
			if got != want[done] && (done+1 == len(want) || got != want[done+1]) {
				t.Fatalf("snapshot every %d bytes, crash at operation %d: %d changes were acknowledged, the tables have version %d", every, k, done, l.inForce.Load().Version)
			}
			if err := l.close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestTableLogCutAnywhere cuts the log at every byte, as a power cut does: the tables
// are those of a whole number of transactions, never of a part of one.
func TestTableLogCutAnywhere(t *testing.T) {
	want := map[string]bool{}
	for _, v := range tableVersions(t) {
		want[v] = true
	}
	fs := vfs.NewMem()
	if _, err := fill(t, fs, 1<<20, 100); err != nil {
		t.Fatal(err)
	}
	names, err := fs.List("tables/log")
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	name := path.Join("tables/log", names[0])
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := f.Map()
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		cut := vfs.NewMem()
		if err := cut.MkdirAll("tables/log"); err != nil {
			t.Fatal(err)
		}
		to, err := cut.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := to.Write(whole[:n]); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(to.Sync(), to.Close(), cut.SyncDir("tables/log")); err != nil {
			t.Fatal(err)
		}
		l, err := openTableLog(cut, "tables", quiet, 1<<20, 100)
		if errors.Is(err, ErrCorrupt) {
			continue // acknowledged bytes are known to be missing
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := l.inForce.Load(); !want[string(got.Encode())] {
			t.Fatalf("cut at byte %d: the tables are of no version", n)
		}
		if err := l.close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTablesAreSnapshotAndReopened(t *testing.T) {
	want := tableVersions(t)
	for _, every := range []int{1, 300, 1 << 20} {
		fs := vfs.NewMem()
		for i, c := range tableHistory() {
			m, err := openMetadata(fs, "catalog", quiet, every)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(m.Tables().Encode()); got != want[i] {
				t.Fatalf("snapshot every %d bytes, before change %d: the tables are others", every, i)
			}
			if _, err := m.ChangeTables(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if _, err := m.ChangeTables(t.Context(), tables.Change{{Op: tables.OpDrop, Table: 99}}); !errors.Is(err, tables.ErrNoTable) {
				t.Fatal(err)
			}
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := m.ChangeTables(t.Context(), c); !errors.Is(err, ErrClosed) {
				t.Fatalf("after Close: %v", err)
			}
		}
		if names, _ := fs.List("catalog/tables/trash"); len(names) > trashSegments {
			t.Errorf("the trash has %v", names)
		}
	}
}
