package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"

	"arbor/catalog"
	"arbor/engine/appendlog"
	"arbor/engine/vfs"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// history is changes that a new catalog allows in this order.
func history() []catalog.Change {
	h := []catalog.Change{
		catalog.CreateProject{Name: "shop", Token: "token", Secret: "secret", Buckets: 4, At: 1},
		catalog.Observe{Project: 1, Properties: []catalog.Observed{{Name: "plan", Kind: catalog.KindString}, {Name: "amount", Kind: catalog.KindInt}}},
		catalog.AddPolicy{Project: 1, From: catalog.MinDay, To: catalog.MaxDay, Policy: catalog.Policy{Key: catalog.KeyID}},
		catalog.SetSetting{Name: "seal_after_bytes", Value: "1MiB"},
		catalog.SetGrants{Blob: []byte("grants")},
		catalog.ModifyColumn{Project: 1, Column: catalog.Column{Name: "amount", Type: catalog.TypeDecimal, Precision: 10, Scale: 2}},
		catalog.Truncate{Project: 1, ID: catalog.IngestID{Time: 9}, UpTo: catalog.IngestID{Time: 8}},
		catalog.UndoTruncate{Project: 1, ID: catalog.IngestID{Time: 9}},
		catalog.CreateView{Project: 1, View: catalog.View{Name: "v", Definition: "SELECT 1", Statement: "CREATE VIEW v AS SELECT 1"}},
		catalog.CreateProject{Name: "blog"},
		catalog.DropProject{ID: 1, At: 3},
		catalog.UndropProject{ID: 1, Name: "store"},
	}
	for i := range 6 {
		h = append(h, catalog.Observe{Project: 2, Properties: []catalog.Observed{{Name: fmt.Sprint("p", i), Kind: catalog.KindBool}}})
	}
	return h
}

// versions are the catalogs that the history makes, encoded, by version.
func versions(t testing.TB) []string {
	t.Helper()
	c := &catalog.Catalog{}
	all := []string{string(c.Encode())}
	for _, change := range history() {
		next, err := c.Apply(change)
		if err != nil {
			t.Fatalf("apply %#v: %v", change, err)
		}
		c = next
		all = append(all, string(c.Encode()))
	}
	return all
}

// snapshotEvery makes a snapshot after every few changes of the history.
const snapshotEvery = 150

func TestReopenGivesTheCatalogBack(t *testing.T) {
	want := versions(t)
	for _, every := range []int{1, snapshotEvery, snapshotAfterBytes} {
		fs := vfs.NewMem()
		for i, change := range history() {
			m, err := openMetadata(fs, "catalog", quiet, every)
			if err != nil {
				t.Fatalf("snapshot every %d bytes, open before change %d: %v", every, i, err)
			}
			if got := string(m.Catalog().Encode()); got != want[i] {
				t.Fatalf("snapshot every %d bytes, before change %d: the catalog is another", every, i)
			}
			if _, err := m.Change(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if names, _ := fs.List("catalog/trash"); len(names) > trashSegments {
			t.Errorf("snapshot every %d bytes: the trash has %v", every, names)
		}
	}
}

func TestRefusedChangeLeavesNoTrace(t *testing.T) {
	fs := vfs.NewMem()
	m, err := OpenMetadata(fs, "catalog", quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.Change(t.Context(), catalog.DropProject{ID: 7}); !errors.Is(err, catalog.ErrNoProject) {
		t.Fatalf("got %v", err)
	}
	if n := m.log.Segments(); len(n) != 0 || m.Catalog().Version != 0 {
		t.Fatalf("log has %v, catalog version %d", n, m.Catalog().Version)
	}
	if _, err := OpenMetadata(fs, "catalog", quiet); !errors.Is(err, vfs.ErrLocked) {
		t.Fatalf("opened twice: %v", err)
	}
}

func TestChangeGivesUpWaitingForItsTurn(t *testing.T) {
	m, err := OpenMetadata(vfs.NewMem(), "catalog", quiet)
	if err != nil {
		t.Fatal(err)
	}
	<-m.turn // another change is under way
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Change(ctx, catalog.CreateProject{Name: "p"}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	m.turn <- struct{}{}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Change(t.Context(), catalog.CreateProject{Name: "p"}); !errors.Is(err, ErrUnavailable) || !errors.Is(err, ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
}

// TestHistoryWithoutItsBeginning cannot be opened, and stays unlocked.
func TestHistoryWithoutItsBeginning(t *testing.T) {
	fs := vfs.NewMem()
	log, err := appendlog.Open(appendlog.Options{FS: fs, Dir: "catalog/log", Logger: quiet}, nil)
	if err != nil {
		t.Fatal(err)
	}
	change, _ := frames(t)
	if _, err := log.Append(t.Context(), change[3:5]); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := OpenMetadata(fs, "catalog", quiet); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("got %v", err)
		}
	}
}

// run applies as much of the history as the file system allows and gives the
// version that was acknowledged last and whether a change was refused.
func run(ctx context.Context, fs vfs.FS) (acknowledged int, err error) {
	m, err := openMetadata(fs, "catalog", quiet, snapshotEvery)
	if err != nil {
		return 0, err
	}
	for i, change := range history() {
		if _, err = m.Change(ctx, change); err != nil {
			break
		}
		acknowledged = i + 1
	}
	return acknowledged, errors.Join(err, m.Close())
}

func TestCrashAtEveryOperation(t *testing.T) {
	want := versions(t)
	for k := int64(1); ; k++ {
		disk := vfs.NewMem()
		fs := vfs.NewFaulty(disk)
		fs.CrashAt(k)
		acknowledged, _ := run(t.Context(), fs)
		for _, unsynced := range []float64{0, 0.5, 1} {
			rng := rand.New(rand.NewPCG(uint64(k), 7))
			survived := disk.CrashClone(rng, unsynced)
			checkSurvivor(t, survived, want, acknowledged, fmt.Sprintf("crash at operation %d, unsynced %v", k, unsynced))
		}
		if t.Failed() {
			return
		}
		if fs.Operations() < k {
			t.Logf("crashed at each of %d operations", k-1)
			return
		}
	}
}

// checkSurvivor opens what a crash left: the catalog is the one acknowledged, or
// the one that was being made, and goes on from there.
func checkSurvivor(t *testing.T, disk *vfs.Mem, want []string, acknowledged int, what string) {
	t.Helper()
	for again := range 2 {
		m, err := openMetadata(disk, "catalog", quiet, snapshotEvery)
		if err != nil {
			t.Errorf("%s: open %d: %v", what, again, err)
			return
		}
		v := int(m.Catalog().Version)
		if v < acknowledged || v > acknowledged+1 || string(m.Catalog().Encode()) != want[v] {
			t.Errorf("%s: open %d gives version %d, acknowledged was %d", what, again, v, acknowledged)
		}
		if v < len(history()) {
			if _, err := m.Change(t.Context(), history()[v]); err != nil {
				t.Errorf("%s: open %d: the next change: %v", what, again, err)
			}
			acknowledged = v + 1
		}
		if err := m.Close(); err != nil {
			t.Errorf("%s: close %d: %v", what, again, err)
		}
	}
}

func TestFailureOfEveryOperation(t *testing.T) {
	want := versions(t)
	full := errors.New("no space left on device")
	for k := int64(1); ; k++ {
		disk := vfs.NewMem()
		fs := vfs.NewFaulty(disk)
		fs.FailAt(k, full)
		acknowledged, err := run(t.Context(), fs)
		if acknowledged < len(history()) && !errors.Is(err, full) {
			t.Fatalf("operation %d failed: got %v after %d changes", k, err, acknowledged)
		}
		fs.Inject(nil)
		checkSurvivor(t, disk.CrashClone(rand.New(rand.NewPCG(1, 1)), 0), want, acknowledged, fmt.Sprintf("operation %d failed", k))
		if t.Failed() || fs.Operations() < k {
			return
		}
	}
}

func TestEveryByteFlipped(t *testing.T) {
	want := versions(t)
	last := want[len(want)-1]
	disk := vfs.NewMem()
	if _, err := run(t.Context(), disk); err != nil {
		t.Fatal(err)
	}
	names, err := disk.List("catalog/log")
	if err != nil || len(names) != 1 { // that of the last snapshot
		t.Fatal(names, err)
	}
	for _, name := range names {
		name = "catalog/log/" + name
		original := readFile(t, disk, name)
		for i := range original {
			damaged := append([]byte(nil), original...)
			damaged[i] ^= 1 << (i % 8)
			writeFile(t, disk, name, damaged)
			m, err := OpenMetadata(disk, "catalog", quiet)
			if err != nil {
				continue
			}
			if string(m.Catalog().Encode()) != last {
				t.Errorf("%s: byte %d flipped unseen: version %d", name, i, m.Catalog().Version)
			}
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
		}
		writeFile(t, disk, name, original)
	}
}

func readFile(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return b
}

func writeFile(t *testing.T, fs vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := fs.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}
