package members

import (
	"errors"
	"slices"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/engine"
	"arbor/engine/indexfile"
	"arbor/engine/vfs"
	"arbor/sqltests/stack"
)

// TestFaultsOnAllMembers plants each fault of an indexer, or of a clean-up, on all three
// members at once, as a release that is wrong would. Their proofs refuse it: every member
// has every copy as before, row by row, and indexes well once the fault is gone. With the
// proofs turned off the scrub of each member finds what its file has become.
func TestFaultsOnAllMembers(t *testing.T) {
	t.Parallel()
	row := func(wrong func(*indexfile.Row) int) func(*engine.Faults, vfs.FS) {
		return func(f *engine.Faults, _ vfs.FS) {
			n := 0
			f.Row = func(r *indexfile.Row) int {
				if n++; n%50 == 7 {
					return wrong(r)
				}
				return 1
			}
		}
	}
	for _, fault := range []struct {
		name  string
		plant func(f *engine.Faults, fs vfs.FS)
		// purges says that it is the clean-up that goes wrong.
		purges bool
	}{
		{name: "2016: the second run of a day overwrites the first", plant: func(f *engine.Faults, _ vfs.FS) { f.Overwrite = true }},
		{name: "2026: the clean-up takes live files", plant: func(f *engine.Faults, _ vfs.FS) { f.PurgeLive = true }, purges: true},
		{name: "a row is dropped", plant: row(func(*indexfile.Row) int { return 0 })},
		{name: "a row is doubled", plant: row(func(*indexfile.Row) int { return 2 })},
		{name: "a row is tripled", plant: row(func(*indexfile.Row) int { return 3 })},
		{name: "a bit of a time is swapped", plant: row(func(r *indexfile.Row) int { r.Time ^= 1; return 1 })},
		{name: "a bit of an id is swapped", plant: row(func(r *indexfile.Row) int { r.ID.Edge ^= 1 << 20; return 1 })},
		{name: "a bit on disk is swapped", plant: func(f *engine.Faults, fs vfs.FS) {
			f.Written = func(path string) { changeFile(fs, path, func(b []byte) { b[len(b)/2] ^= 0x10 }) }
		}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			faults := &engine.Faults{}
			g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 3, Slots: 2, Faults: faults, CompareEvery: time.Hour})
			first := g.Members[0]
			token := first.Project(t, "shop")
			first.Stack.Import(t, token, events(0, 200))
			alike(t, g)
			allHave(t, g, 200)
			indexEach(t, g, false)
			first.Stack.Import(t, token, events(150, 300)) // fifty of them again
			alike(t, g)
			allHave(t, g, 350)
			first.Change(t.Context(), catalog.SetSetting{Name: catalog.SettingTrashRetention, Value: "0s"})
			want := contentsOf(t, first)
			same := func(when string) {
				t.Helper()
				for i, m := range g.Members {
					if got := contentsOf(t, m); !slices.Equal(got, want) {
						t.Errorf("%s member %d has %d copies, or others than the %d that there are", when, i, len(got), len(want))
					}
				}
			}
			for i, m := range g.Members {
				fault.plant(faults, m.FS)
				if fault.purges {
					m.Stack.Tick(t)
				} else if err := m.Engine.Index(t.Context(), 0, true); err == nil {
					t.Errorf("member %d indexed by what is wrong", i)
				}
				alarms, err := m.Engine.Describe(t.Context(), "alarms")
				if err != nil || len(alarms.Rows) == 0 {
					t.Errorf("member %d has no alarm, %v", i, err)
				}
			}
			same("under the fault")
			*faults = engine.Faults{}
			indexEach(t, g, true)
			same("afterwards")
			if n := alike(t, g); n > 0 {
				t.Errorf("%d shards differ", n)
			}
			if fault.purges {
				return
			}

			// And without the proofs.
			first.Stack.Import(t, token, events(300, 400))
			alike(t, g)
			allHave(t, g, 450)
			for i, m := range g.Members {
				fault.plant(faults, m.FS)
				faults.Unproven = true
				err := m.Engine.Index(t.Context(), 0, true)
				if errors.Is(err, engine.ErrUnproven) {
					*faults = engine.Faults{}
					continue // rows that are out of order are not even written
				}
				if err != nil && fault.name != "a bit on disk is swapped" {
					t.Fatal(err)
				}
				*faults = engine.Faults{}
				if err := m.Engine.Scrub(t.Context(), 0); err != nil {
					t.Fatal(err)
				}
				if loss, err := m.Engine.Describe(t.Context(), "loss"); err != nil || len(loss.Rows) == 0 {
					t.Errorf("the scrub of member %d found nothing, %v", i, err)
				}
			}
		})
	}
}

// changeFile changes the bytes of a file.
func changeFile(fs vfs.FS, name string, change func([]byte)) {
	f, err := fs.Open(name)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		panic(err)
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		panic(err)
	}
	change(b)
	w, err := fs.Create(name)
	if err != nil {
		panic(err)
	}
	if _, err := w.Write(b); err != nil {
		panic(err)
	}
	if err := w.Sync(); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
}
