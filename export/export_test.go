package export

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"arbor/catalog"
	"arbor/engine/vfs"
)

// model is what is visible: the shard of each id.
type model map[ID]shard

type shard struct {
	day    catalog.Day
	bucket uint16
}

var testSchema = arrow.NewSchema([]arrow.Field{
	{Name: "event", Type: arrow.BinaryTypes.String}, {Name: "_ingest_id", Type: arrow.BinaryTypes.String},
}, nil)

func testID(n uint64) (id ID) {
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

// recordOf are events with these ids.
func recordOf(ids []ID) arrow.Record {
	b := array.NewRecordBuilder(memory.DefaultAllocator, testSchema)
	for _, id := range ids {
		b.Field(0).(*array.StringBuilder).Append("e" + idText(id)[28:])
		b.Field(1).(*array.StringBuilder).Append(idText(id))
	}
	return b.NewRecord()
}

// write writes an export of the model. State of a day is its number of events and its
// sum, so that equal days are kept.
func write(d *Dir, o Options, m model, parts int) (Manifest, error) {
	o.Schema, o.ProjectID = testSchema, 7
	x, err := d.Begin(o)
	if err != nil {
		return Manifest{}, err
	}
	defer x.Abort()
	byDay := map[catalog.Day][]ID{}
	for _, day := range x.Days() {
		byDay[day] = nil
	}
	for _, id := range slices.SortedFunc(maps.Keys(m), compareIDs) {
		byDay[m[id].day] = append(byDay[m[id].day], id)
	}
	for _, day := range slices.Sorted(maps.Keys(byDay)) {
		state := fmt.Sprint(byDay[day])
		if x.State(day) == state {
			if err := x.Keep(day); err != nil {
				return Manifest{}, err
			}
			continue
		}
		for first := 0; first <= maxBucket; {
			last := maxBucket
			if parts > 1 && first == 0 {
				last = 1
			}
			if _, err := x.BeginPart(day, uint16(last)); err != nil {
				return Manifest{}, err
			}
			var taken []ID
			for _, id := range byDay[day] {
				if b := int(m[id].bucket); b >= first && b <= last && x.Take(m[id].bucket, id) {
					taken = append(taken, id)
				}
			}
			if len(taken) > 0 {
				r := recordOf(taken)
				err := x.Write(r)
				r.Release()
				if err != nil {
					return Manifest{}, err
				}
			}
			if err := x.EndPart(state); err != nil {
				return Manifest{}, err
			}
			first = last + 1
		}
	}
	return x.Commit()
}

// idsIn reads the ids of some files of an export.
func idsIn(t *testing.T, d *Dir, export, format string, files []File) map[ID]bool {
	t.Helper()
	ids := map[ID]bool{}
	for _, f := range files {
		in, err := d.fs.Open(filepath.Join(d.root, export, f.File))
		if err != nil {
			t.Fatal(err)
		}
		rows := int64(0)
		err = readRecords(format, in, f.Bytes, func(r arrow.Record) error {
			column := r.Column(int(r.NumCols()) - 1).(*array.String)
			for i := range column.Len() {
				var id ID
				copy(id[:], mustHex(column.Value(i)))
				if ids[id] {
					t.Errorf("%s: %x is there twice", f.File, id)
				}
				ids[id] = true
			}
			rows += r.NumRows()
			return nil
		})
		if err != nil || rows != f.Rows {
			t.Fatalf("%s: %d rows of %d, %v", f.File, rows, f.Rows, err)
		}
		in.Close()
	}
	return ids
}

func mustHex(s string) []byte {
	var b []byte
	if _, err := fmt.Sscanf(s, "%x", &b); err != nil {
		panic(err)
	}
	return b
}

// Exports that follow each other add up to what is visible: what comes late with a small
// id, what goes, and what comes back, days that are as they were, and parts of days.
func TestIncrementsAddUp(t *testing.T) {
	for seed := range uint64(4) {
		random := rand.New(rand.NewPCG(seed, 1))
		d, err := Open(unsynced{vfs.OS()}, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		format := []string{Parquet, Arrow}[seed%2]
		now, loaded, since := model{}, map[ID]bool{}, ""
		for step := range 6 {
			for range random.IntN(60) {
				id := testID(random.Uint64N(300)) // early and late ones, and some that were there before
				if _, ok := now[id]; !ok {
					n := binary.BigEndian.Uint64(id[8:])
					now[id] = shard{catalog.Day(n % 5), uint16(n % 3)}
				}
			}
			for id := range now {
				if random.IntN(8) == 0 {
					delete(now, id)
				}
			}
			name := fmt.Sprint("x", step)
			o := Options{Name: name, Format: format, Since: since, FileRows: 20}
			m, err := write(d, o, now, 1+step%2)
			if err != nil {
				t.Fatalf("seed %d step %d: %v", seed, step, err)
			}
			added := idsIn(t, d, name, format, m.Files)
			if int(m.Events) != len(added) || m.Removed == nil != (since == "") {
				t.Fatalf("seed %d step %d: manifest says %d events, %d are there", seed, step, m.Events, len(added))
			}
			for id := range added {
				if loaded[id] {
					t.Fatalf("seed %d step %d: %x is held by an earlier export", seed, step, id)
				}
				loaded[id] = true
			}
			if m.Removed != nil {
				for id := range idsIn(t, d, name, Parquet, []File{*m.Removed}) {
					if !loaded[id] || added[id] {
						t.Fatalf("seed %d step %d: %x was removed and never held", seed, step, id)
					}
					delete(loaded, id)
				}
			}
			want := map[ID]bool{}
			for id := range now {
				want[id] = true
			}
			if held := idsIn(t, d, name, Parquet, []File{m.Held}); !maps.Equal(loaded, want) || !maps.Equal(held, want) {
				t.Fatalf("seed %d step %d: increments give %d events and held lists %d, %d are visible", seed, step, len(loaded), len(held), len(want))
			}
			since = name
			if step == 3 {
				since = "x1" // any earlier one can be followed
				loaded = idsIn(t, d, "x1", Parquet, []File{{File: "_ids/held.parquet", Bytes: sizeOf(t, d, "x1/_ids/held.parquet"), Rows: heldRows(t, d, "x1")}})
			}
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

func sizeOf(t *testing.T, d *Dir, name string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(d.root, name))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func heldRows(t *testing.T, d *Dir, name string) int64 {
	t.Helper()
	m, err := d.Manifest(name)
	if err != nil {
		t.Fatal(err)
	}
	return m.Held.Rows
}

// unsynced does not wait for the disk: what a power cut would leave is not asked here.
type unsynced struct{ vfs.FS }

func (u unsynced) SyncDir(string) error { return nil }

func (u unsynced) Create(name string) (vfs.File, error) {
	f, err := u.FS.Create(name)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

type unsyncedFile struct{ vfs.File }

func (unsyncedFile) Sync() error { return nil }

// some are so many events.
func some(n int) model {
	m := model{}
	for i := range n {
		m[testID(uint64(i))] = shard{catalog.Day(20000 + i%3), uint16(i % 2)}
	}
	return m
}

// However the process ends, an export is there as a whole or not at all, and what is
// left over is gone when the directory is opened again.
func TestExportEndsAnywhere(t *testing.T) {
	files := vfs.NewFaulty(unsynced{vfs.OS()})
	whole := t.TempDir()
	d, err := Open(files, whole)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Name: "x", Format: Parquet, FileRows: 5}
	before := files.Operations()
	if _, err := write(d, o, some(12), 2); err != nil {
		t.Fatal(err)
	}
	all := files.Operations() - before
	d.Close()
	for _, fault := range []error{vfs.ErrCrashed, errors.New("disk is full")} {
		found, by := 0, int64(1)
		if fault != vfs.ErrCrashed {
			by = 3
		}
		for k := all; k > 0; k -= by {
			dir := t.TempDir()
			files := vfs.NewFaulty(unsynced{vfs.OS()})
			d, err := Open(files, dir)
			if err != nil {
				t.Fatal(err)
			}
			start := files.Operations()
			files.Inject(func(op vfs.Op) error {
				if op.N-start == k {
					return fault
				}
				return nil
			})
			_, wrote := write(d, o, some(12), 2)
			d.lock.Close()
			again, err := Open(vfs.OS(), dir)
			if err != nil {
				t.Fatal(err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if strings.HasPrefix(e.Name(), incompletePrefix) {
					t.Errorf("operation %d: %s is left", k, e.Name())
				}
			}
			m, err := again.Manifest("x")
			switch {
			case err == nil:
				found++
				if ids := idsIn(t, again, "x", Parquet, m.Files); len(ids) != 12 || m.Held.Rows != 12 {
					t.Errorf("operation %d: %d events are there, %d held", k, len(ids), m.Held.Rows)
				}
			case wrote == nil:
				t.Errorf("operation %d: the export said it was written: %v", k, err)
			case !errors.Is(err, fs.ErrNotExist):
				t.Errorf("operation %d: %v", k, err)
			}
			again.Close()
		}
		if found == 0 {
			t.Errorf("%v: no end of the process left a whole export, not even the last one", fault)
		}
	}
}

func TestNames(t *testing.T) {
	d, err := Open(vfs.OS(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := Open(vfs.OS(), d.root); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("a second opening gives %v", err)
	}
	for _, name := range []string{"", ".", "..", "../x", "a/b", "/etc/x", ".hidden", "_x", "-x", "a b", "a\x00b", "ü", strings.Repeat("x", MaxName+1)} {
		if _, err := write(d, Options{Name: name, Format: Parquet}, some(1), 1); !errors.Is(err, ErrName) {
			t.Errorf("name %q gives %v", name, err)
		}
		if _, err := d.File(name+".parquet", testSchema); !errors.Is(err, ErrName) && name != "" {
			t.Errorf("file %q gives %v", name, err)
		}
	}
	if _, err := write(d, Options{Name: strings.Repeat("x", MaxName), Format: Arrow}, some(1), 1); err != nil {
		t.Error(err)
	}
	if _, err := write(d, Options{Name: "x", Format: "csv"}, some(1), 1); !errors.Is(err, ErrFormat) {
		t.Errorf("format csv gives %v", err)
	}
	if _, err := write(d, Options{Name: "x", Format: Parquet}, some(1), 1); err != nil {
		t.Error(err)
	}
	if _, err := write(d, Options{Name: "x", Format: Parquet}, some(1), 1); !errors.Is(err, ErrExists) {
		t.Errorf("a name that is taken gives %v", err)
	}
	f, err := d.File("y.parquet", testSchema)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.File("y.parquet", testSchema); !errors.Is(err, ErrExists) {
		t.Errorf("a name that is being written gives %v", err)
	}
	if err := errors.Join(f.Abort(), f.Abort()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(d.root, ".incomplete-y.parquet")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was given up is there: %v", err)
	}
}

// An export follows only what is whole and of its project.
func TestSince(t *testing.T) {
	d, err := Open(vfs.OS(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := write(d, Options{Name: "x", Format: Parquet}, some(30), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Begin(Options{Name: "y", Format: Parquet, Since: "x", ProjectID: 8, Schema: testSchema}); !errors.Is(err, ErrSince) {
		t.Errorf("another project gives %v", err)
	}
	if _, err := write(d, Options{Name: "y", Format: Parquet, Since: "../x"}, some(1), 1); !errors.Is(err, ErrSince) {
		t.Errorf("a path gives %v", err)
	}
	held := filepath.Join(d.root, "x", "_ids", "held.parquet")
	text, err := os.ReadFile(held)
	if err != nil {
		t.Fatal(err)
	}
	for _, damage := range []func([]byte) []byte{
		func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		func(b []byte) []byte { return b[:len(b)-1] },
		func(b []byte) []byte { return nil },
	} {
		if err := os.WriteFile(held, damage(slices.Clone(text)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := write(d, Options{Name: "y", Format: Parquet, Since: "x"}, some(30), 1); !errors.Is(err, ErrSince) {
			t.Errorf("damaged ids give %v", err)
		}
	}
	if err := os.WriteFile(held, text, 0o600); err != nil {
		t.Fatal(err)
	}
	// The events themselves may be elsewhere by now.
	if err := os.Remove(filepath.Join(d.root, "x", "events-00001.parquet")); err != nil {
		t.Fatal(err)
	}
	m, err := write(d, Options{Name: "y", Format: Parquet, Since: "x"}, some(31), 1)
	if err != nil || m.Events != 1 || m.Removed.Rows != 0 || m.Held.Rows != 31 {
		t.Errorf("got %+v, %v", m, err)
	}
	sums := exec.Command("sha256sum", "--check", "--quiet", "_sha256sums")
	sums.Dir = filepath.Join(d.root, "y")
	if out, err := sums.CombinedOutput(); err != nil {
		t.Errorf("sha256sum: %v: %s", err, out)
	}
}

// A file whose bytes change on their way to the disk is not published.
func TestProof(t *testing.T) {
	dir := t.TempDir()
	d, err := Open(&bender{FS: vfs.OS()}, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := write(d, Options{Name: "x", Format: Arrow}, some(30), 1); !errors.Is(err, ErrProof) {
		t.Errorf("damage gives %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the export is there: %v", err)
	}
}

// bender changes a byte of each file of events.
type bender struct{ vfs.FS }

func (b *bender) Create(name string) (vfs.File, error) {
	f, err := b.FS.Create(name)
	if err == nil && strings.HasSuffix(name, ".arrow") {
		return &bentFile{File: f}, nil
	}
	return f, err
}

type bentFile struct {
	vfs.File
	done bool
}

func (b *bentFile) Write(p []byte) (int, error) {
	if !b.done && len(p) > 100 {
		b.done = true
		p = slices.Clone(p)
		p[len(p)/2] ^= 1
	}
	return b.File.Write(p)
}
