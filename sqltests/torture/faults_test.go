package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/engine"
	"arbor/engine/indexfile"
	"arbor/engine/vfs"
)

// fault is a mistake of the indexer or of the clean-up. The gates must refuse
// it, raise an alarm and lose nothing.
type fault struct {
	name string
	// make switches the mistake on, for the second indexing of a day.
	make func(f *engine.Faults, disk vfs.FS, t *testing.T)
	// act is what goes wrong; indexing if nil.
	act func(*run, *rand.Rand) error
}

var faults = []fault{
	{name: "2016: the second run of a day overwrites the first", make: func(f *engine.Faults, _ vfs.FS, _ *testing.T) { f.Overwrite = true }, act: closeAll},
	{name: "2016, indexing late data", make: func(f *engine.Faults, _ vfs.FS, _ *testing.T) { f.Overwrite = true }, act: func(r *run, rng *rand.Rand) error {
		for range 20 { // until indexing merges files
			if err := firstError(func() error { return r.append(rng) }, func() error { return indexAll(r, rng) }); err != nil {
				return err
			}
		}
		return closeAll(r, rng)
	}},
	{name: "a row is dropped", make: onRow(3, func(*indexfile.Row) int { return 0 })},
	{name: "the first row is dropped", make: onRow(0, func(*indexfile.Row) int { return 0 })},
	{name: "all rows are dropped", make: func(f *engine.Faults, _ vfs.FS, _ *testing.T) { f.Row = func(*indexfile.Row) int { return 0 } }},
	{name: "a row is doubled", make: onRow(2, func(*indexfile.Row) int { return 2 })},
	{name: "a row is tripled", make: onRow(2, func(*indexfile.Row) int { return 3 })},
	{name: "a row is doubled and another dropped", make: func(f *engine.Faults, _ vfs.FS, _ *testing.T) {
		n := 0
		f.Row = func(*indexfile.Row) int { n++; return []int{2, 0, 1, 1, 1}[n%5] }
	}},
	{name: "a row is doubled under another id", make: onRow(2, func(r *indexfile.Row) int { r.ID.Index++; return 1 })},
	{name: "a bit of a time", make: onRow(1, func(r *indexfile.Row) int { r.Time ^= 1; return 1 })},
	{name: "a bit of an ingest id", make: onRow(1, func(r *indexfile.Row) int { r.ID.Edge ^= 1 << 20; return 1 })},
	{name: "a bit of a name", make: onRow(1, func(r *indexfile.Row) int { r.Name = "b" + r.Name[1:]; return 1 })},
	{name: "an insert id", make: onRow(1, func(r *indexfile.Row) int { r.InsertID += "x"; return 1 })},
	{name: "who took the time", make: onRow(1, func(r *indexfile.Row) int { r.ServerTime = !r.ServerTime; return 1 })},
	{name: "a value", make: onRow(1, func(r *indexfile.Row) int {
		r.Properties = append(slices.Clone(r.Properties), catalog.Property{Name: "ö", Value: catalog.Null})
		return 1
	})},
	{name: "values of two rows are exchanged", make: func(f *engine.Faults, _ vfs.FS, _ *testing.T) {
		var last []catalog.Property
		f.Row = func(r *indexfile.Row) int {
			mine := cloneProperties(r.Properties)
			r.Properties, last = last, mine
			return 1
		}
	}},
	{name: "a byte on disk", make: onDisk(func(b []byte) []byte { b[len(b)/2] ^= 0x10; return b })},
	{name: "the last byte on disk", make: onDisk(func(b []byte) []byte { b[len(b)-1] ^= 1; return b })},
	{name: "the file is cut", make: onDisk(func(b []byte) []byte { return b[:len(b)-10] })},
	{name: "the file is empty", make: onDisk(func(b []byte) []byte { return nil })},
	{name: "2026: the clean-up takes live files", make: func(f *engine.Faults, _ vfs.FS, _ *testing.T) { f.PurgeLive = true }, act: emptyTrash},
}

// onRow goes wrong at one row of each file.
func onRow(at int, wrong func(*indexfile.Row) int) func(*engine.Faults, vfs.FS, *testing.T) {
	return func(f *engine.Faults, _ vfs.FS, _ *testing.T) {
		n := -1
		f.Row = func(r *indexfile.Row) int {
			if n++; n%7 == at {
				return wrong(r)
			}
			return 1
		}
	}
}

// onDisk changes each new file before it is proven.
func onDisk(wrong func([]byte) []byte) func(*engine.Faults, vfs.FS, *testing.T) {
	return func(f *engine.Faults, disk vfs.FS, t *testing.T) {
		f.Written = func(name string) { writeFile(t, disk, name, wrong(readFile(t, disk, name))) }
	}
}

func cloneProperties(list []catalog.Property) []catalog.Property {
	list = slices.Clone(list)
	for i := range list {
		list[i].Name = strings.Clone(list[i].Name)
		list[i].Value.Text = strings.Clone(list[i].Value.Text)
	}
	return list
}

func firstError(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// TestFaultsAreCaught indexes a day, lets more events of it come, and makes the
// mistake on the second run.
func TestFaultsAreCaught(t *testing.T) {
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			for _, indexed := range []bool{true, false} {
				if fault.name[:4] == "2016" && !indexed || fault.name[:4] == "2026" && !indexed {
					continue // these need a first run
				}
				if err := fault.happens(t, indexed); err != nil {
					t.Errorf("indexed=%v: %v", indexed, err)
				}
			}
		})
	}
}

func (f fault) happens(t *testing.T, indexed bool) error {
	wrong := &engine.Faults{}
	var m *member
	r, err := begin(t.Context(), func(ctx context.Context, now func() time.Time) (_ subject, err error) {
		options := engineOptions(now)
		options.Faults = wrong
		m, err = openOn(ctx, vfs.NewMem(), options)
		return m, err
	}, oneDay)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(1, 12))
	acts := []func(*run, *rand.Rand) error{(*run).append, (*run).append, (*run).append, (*run).append}
	if indexed {
		acts = append(acts, closeAll)
	}
	acts = append(acts, (*run).append, (*run).delete, (*run).append, (*run).append)
	for _, act := range acts {
		r.logf("act")
		if err := act(r, rng); err != nil {
			return err
		}
	}
	f.make(wrong, m.disk, t)
	m.fired.Store(true)
	act := f.act
	if act == nil {
		act = indexAll
	}
	r.logf("the fault")
	faultErr := act(r, rng)
	alarms, err := tableLines(r.ctx, r.subject, "alarms", "kind message")
	if err != nil {
		return err
	}
	if len(alarms) == 0 {
		return fmt.Errorf("no alarm; the act gave %v", faultErr)
	}
	t.Logf("indexed=%v: %v; %s", indexed, faultErr, alarms[0])
	if err := r.compareAll(rng); err != nil {
		return fmt.Errorf("after the fault: %w", err)
	}
	*wrong = engine.Faults{}
	for i, act := range []func(*run, *rand.Rand) error{closeAll, (*run).compareAll, (*run).oneFileEach, (*run).reopen, (*run).compareAll} {
		if err := act(r, rng); err != nil {
			return fmt.Errorf("afterwards, act %d: %w", i, err)
		}
	}
	return r.end(nil, nil)
}
