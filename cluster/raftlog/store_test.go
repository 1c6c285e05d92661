package raftlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
	raftbench "github.com/hashicorp/raft/bench"

	"arbor/engine/appendlog"
	"arbor/engine/vfs"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

var (
	_ raft.LogStore          = (*Store)(nil)
	_ raft.MonotonicLogStore = (*Store)(nil)
	_ raft.StableStore       = (*Store)(nil)
	_ raft.SnapshotStore     = (*Snapshots)(nil)
)

func open(t testing.TB, fs vfs.FS) *Store {
	t.Helper()
	s, err := Open(Options{FS: fs, Dir: "meta", Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func entry(index, term uint64) *raft.Log {
	return &raft.Log{Index: index, Term: term, Type: raft.LogCommand, Data: fmt.Appendf(nil, "entry %d of term %d", index, term)}
}

// model is what a store holds, to be compared.
type model struct {
	First, Last uint64
	Entries     []string
	Stable      map[string]string
}

func modelOf(t testing.TB, s *Store) model {
	t.Helper()
	var m model
	var err error
	if m.First, err = s.FirstIndex(); err != nil {
		t.Fatal(err)
	}
	if m.Last, err = s.LastIndex(); err != nil {
		t.Fatal(err)
	}
	for i := m.First; i <= m.Last && m.First > 0; i++ {
		var e raft.Log
		if err := s.GetLog(i, &e); err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		m.Entries = append(m.Entries, fmt.Sprintf("%d/%d %s", e.Index, e.Term, e.Data))
	}
	m.Stable = map[string]string{}
	for _, key := range []string{"CurrentTerm", "vote"} {
		v, err := s.Get([]byte(key))
		if err != nil {
			t.Fatal(err)
		}
		m.Stable[key] = string(v)
	}
	return m
}

// steps is the life of a store: terms, votes, entries, entries that another
// leader replaces, a snapshot's compaction, one from elsewhere.
func steps() []func(*Store) error {
	store := func(term uint64, from, to uint64) func(*Store) error {
		return func(s *Store) error {
			var entries []*raft.Log
			for i := from; i <= to; i++ {
				entries = append(entries, entry(i, term))
			}
			return s.StoreLogs(entries)
		}
	}
	remove := func(low, high uint64) func(*Store) error {
		return func(s *Store) error { return s.DeleteRange(low, high) }
	}
	return []func(*Store) error{
		func(s *Store) error { return s.SetUint64([]byte("CurrentTerm"), 1) },
		store(1, 1, 3),
		store(1, 4, 9),
		func(s *Store) error { return s.Set([]byte("vote"), []byte("ann")) },
		func(s *Store) error { return s.SetUint64([]byte("CurrentTerm"), 2) },
		remove(7, 9), // another leader's come
		store(2, 7, 12),
		remove(1, 5), // a snapshot
		store(2, 13, 13),
		remove(6, 8),
		func(s *Store) error { return s.Set([]byte("vote"), []byte("bob")) },
		remove(9, 13), // a snapshot from elsewhere
		store(3, 100, 104),
		remove(103, 110),
		store(4, 103, 103),
	}
}

// states are what the store holds before each step and after the last.
func states(t testing.TB) []model {
	s := open(t, vfs.NewMem())
	all := []model{modelOf(t, s)}
	for i, step := range steps() {
		if err := step(s); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		all = append(all, modelOf(t, s))
	}
	return all
}

func TestReopenGivesAllBack(t *testing.T) {
	want := states(t)
	if last := want[len(want)-1]; last.First != 100 || last.Last != 103 || last.Stable["vote"] != "bob" || last.Entries[3] != "103/4 entry 103 of term 4" {
		t.Fatalf("the last state is %+v", last)
	}
	fs := vfs.NewMem()
	for i, step := range steps() {
		s := open(t, fs)
		if diff := cmp.Diff(want[i], modelOf(t, s)); diff != "" {
			t.Fatalf("before step %d: %s", i, diff)
		}
		if err := step(s); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if names, _ := fs.List("meta/trash"); len(names) > trashSegments {
		t.Errorf("the trash has %v", names)
	}
}

// TestCrashAtEveryOperation leaves the state that was acknowledged last, or the
// next one, or entries that a compaction would have removed besides.
func TestCrashAtEveryOperation(t *testing.T) {
	want := states(t)
	for k := int64(1); ; k++ {
		disk := vfs.NewMem()
		fs := vfs.NewFaulty(disk)
		fs.CrashAt(k)
		acknowledged := run(fs)
		for _, unsynced := range []float64{0, 0.5, 1} {
			survived := disk.CrashClone(rand.New(rand.NewPCG(uint64(k), 3)), unsynced)
			s := open(t, survived)
			got := modelOf(t, s)
			if !like(got, want[acknowledged]) && (acknowledged+1 == len(want) || !like(got, want[acknowledged+1])) {
				t.Fatalf("crash at operation %d, unsynced %v, after step %d: %s", k, unsynced, acknowledged, cmp.Diff(want[acknowledged], got))
			}
			for _, step := range steps()[acknowledged:] {
				_ = step(s) // the one that was cut short may be done already
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if fs.Operations() < k {
			t.Logf("crashed at each of %d operations", k-1)
			return
		}
	}
}

// like says whether two states are the same to raft.
func like(got, want model) bool {
	return cmp.Equal(got, want) || got.Last == want.Last && want.First > got.First && cmp.Equal(got.Stable, want.Stable) &&
		cmp.Equal(got.Entries[want.First-got.First:], want.Entries)
}

func run(fs vfs.FS) (acknowledged int) {
	s, err := Open(Options{FS: fs, Dir: "meta", Logger: quiet})
	if err != nil {
		return 0
	}
	defer s.Close()
	for i, step := range steps() {
		if step(s) != nil {
			return i
		}
	}
	return len(steps())
}

func TestFailedSyncIsToldAndFinal(t *testing.T) {
	broken := errors.New("input/output error")
	told := 0
	for k := int64(1); ; k++ {
		fs := vfs.NewFaulty(vfs.NewMem())
		var fatal error
		s, err := Open(Options{FS: fs, Dir: "meta", Logger: quiet, Fail: func(err error) { fatal = err }})
		if err != nil {
			t.Fatal(err)
		}
		before := fs.Operations()
		fs.FailAt(before+k, broken)
		err = s.StoreLog(entry(1, 1))
		fs.Inject(nil)
		again := s.StoreLog(entry(1, 1))
		if err == nil {
			if told == 0 {
				t.Fatal("no sync failed")
			}
			return
		}
		if fatal != nil {
			told++
			if !errors.Is(again, appendlog.ErrBroken) {
				t.Fatalf("operation %d: the store goes on after a failed sync: %v", k, again)
			}
		} else if again != nil {
			t.Fatalf("operation %d: the store does not go on: %v", k, again)
		}
	}
}

func TestRefusals(t *testing.T) {
	s := open(t, vfs.NewMem())
	if err := s.StoreLogs([]*raft.Log{entry(5, 1), entry(6, 1), entry(7, 1)}); err != nil {
		t.Fatal(err)
	}
	if err := s.StoreLog(entry(9, 1)); err == nil {
		t.Error("a gap was stored")
	}
	if err := s.StoreLog(entry(7, 1)); err == nil {
		t.Error("an entry was stored twice")
	}
	if err := s.DeleteRange(6, 6); err == nil {
		t.Error("a hole was made")
	}
	if err := s.StoreLog(&raft.Log{Index: 8, Data: make([]byte, MaxEntryBytes+1)}); err == nil {
		t.Error("an entry past the limit was stored")
	}
	for _, i := range []uint64{0, 4, 8} {
		if err := s.GetLog(i, &raft.Log{}); !errors.Is(err, raft.ErrLogNotFound) {
			t.Errorf("entry %d: %v", i, err)
		}
	}
	if m := modelOf(t, s); m.First != 5 || m.Last != 7 {
		t.Errorf("after the refusals: %+v", m)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(encodeEntry(&raft.Log{Index: 1, Term: 2, Data: []byte("data"), Extensions: []byte("ext")}))
	f.Add(encodeStable(map[string][]byte{"a": []byte("b"), "": nil}))
	f.Add(indexFrame(frameCut, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &Store{stable: map[string][]byte{}}
		if err := s.apply(appendlog.Position{}, b); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		var e raft.Log
		if decodeEntry(b, &e) == nil && !bytes.Equal(encodeEntry(&e), b) {
			t.Fatal("an entry is encoded otherwise than it was read")
		}
	})
}

func BenchmarkStoreLog(b *testing.B) {
	s, err := Open(Options{FS: vfs.OS(), Dir: b.TempDir(), Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	raftbench.StoreLog(b, s)
}

func BenchmarkGetLog(b *testing.B) {
	s, err := Open(Options{FS: vfs.OS(), Dir: b.TempDir(), Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	raftbench.GetLog(b, s)
}
