package indexfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"arbor/catalog"
	"arbor/engine/vfs"
)

// bytesOf builds a file and gives its bytes; a limit of 0 is none.
func bytesOf(t testing.TB, rows []Row, m Meta, form fileForm, limit int64) (b []byte, aside bool) {
	t.Helper()
	disk := vfs.NewMem()
	builder := NewBuilder(BuilderOptions{Rows: len(rows), Version: form.version, Short: form.short, Memory: limit, FS: disk, Aside: "aside.tmp"})
	builder.maxColumns = form.maxColumns
	if form.maxEntries > 0 {
		builder.maxEntries = form.maxEntries
	}
	for i := range rows {
		if err := builder.Add(&rows[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := builder.Write(disk, ".", "file", m); err != nil {
		t.Fatal(err)
	}
	_, err := disk.Stat("aside.tmp")
	aside = err == nil
	if err := builder.Close(); err != nil {
		t.Fatal(err)
	}
	if names, _ := disk.List("."); len(names) != 1 {
		t.Fatalf("after Close there are %v", names)
	}
	f, err := disk.Open("file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b, err = io.ReadAll(io.NewSectionReader(f, 0, size))
	if err != nil {
		t.Fatal(err)
	}
	return b, aside
}

// TestLimitedBytes builds files of all shapes with hardly any memory, and with
// some: their bytes are those that are written without a limit.
func TestLimitedBytes(t *testing.T) {
	skipShort(t)
	for seed := range 150 {
		r := rand.New(rand.NewPCG(uint64(seed), 9))
		rows := randomShape(r, 1+r.IntN(400)).make(r)
		groups := withCopies(r, rows)
		form := forms[seed%len(forms)]
		if seed%5 == 0 {
			form.maxColumns = r.IntN(8)
		}
		want, _ := bytesOf(t, rows, Meta{Groups: groups}, form, 0)
		for _, limit := range []int64{1, 1 << 10, 16 << 10} {
			got, aside := bytesOf(t, rows, Meta{Groups: groups}, form, limit)
			if !bytes.Equal(got, want) {
				t.Fatalf("seed %d, %d rows, form %v: with a limit of %d bytes the file differs", seed, len(rows), form, limit)
			}
			if limit == 1 && !aside {
				t.Errorf("seed %d: nothing was put aside", seed)
			}
		}
	}
}

// TestLimitedTables builds columns with more distinct values than a dictionary may
// have, of numbers, texts and both.
func TestLimitedTables(t *testing.T) {
	skipShort(t)
	r := rand.New(rand.NewPCG(1, 10))
	long := make([]Row, 40)
	for i := range long {
		long[i] = Row{ID: catalog.IngestID{Time: uint64(i)}, DistinctID: "user", Time: int64(i), Properties: []catalog.Property{
			{Name: "mixed", Value: catalog.Int(int64(i / 2))}, {Name: "texts", Value: catalog.String(strings.Repeat(fmt.Sprint(i/2), MaxTextBytes/2))},
		}}
		if i%3 == 0 {
			long[i].Properties[0].Value = long[i].Properties[1].Value
		}
	}
	const entries = 1 << 12
	many := make([]Row, entries+entries/2)
	for i := range many {
		p := []catalog.Property{
			{Name: "decimals", Value: catalog.Double(float64(i) / 100)}, {Name: "doubles", Value: catalog.Double(r.Float64())},
			{Name: "integers", Value: catalog.Int(r.Int64())}, {Name: "several", Value: catalog.Int(int64(i))},
		}
		if i%100 == 0 {
			p[3].Value, p[0].Value = catalog.String("text"), catalog.Int(int64(i))
		}
		many[i] = Row{ID: catalog.IngestID{Time: 1, Index: uint32(i)}, DistinctID: "user", Time: int64(i), Properties: p}
	}
	few := newest
	few.maxEntries = entries
	for _, version := range []uint32{1, Version} {
		few.version = version
		for _, set := range []struct {
			rows  []Row
			form  fileForm
			limit int64
		}{{long, newest, 6 << 20}, {many, few, 1 << 15}, {many, few, 1 << 18}} {
			want, _ := bytesOf(t, set.rows, Meta{}, set.form, 0)
			got, aside := bytesOf(t, set.rows, Meta{}, set.form, set.limit)
			if !aside || !bytes.Equal(got, want) {
				t.Errorf("%d rows, limit of %d bytes: the file differs: put aside: %v", len(set.rows), set.limit, aside)
			}
		}
	}
}

// TestLimitedFaults lets each operation fail: the Builder says so, and Close leaves
// nothing if it can remove it.
func TestLimitedFaults(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 10))
	rows := randomShape(r, 60).make(r)
	for k := int64(1); ; k++ {
		disk := vfs.NewMem()
		faulty := vfs.NewFaulty(disk)
		fired := false
		faulty.Inject(func(op vfs.Op) error {
			if op.N != k {
				return nil
			}
			fired = true
			return syscall.ENOSPC
		})
		builder := NewBuilder(BuilderOptions{Memory: 1 << 10, FS: faulty, Aside: "aside.tmp"})
		var err error
		for i := 0; i < len(rows) && err == nil; i++ {
			err = builder.Add(&rows[i])
		}
		if err == nil {
			err = builder.Write(faulty, ".", "file", Meta{})
		}
		if fired && !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("operation %d failed, and the builder says %v", k, err)
		}
		closeErr := builder.Close()
		if !fired {
			return // none is left to fail
		}
		if _, statErr := disk.Stat("aside.tmp"); closeErr == nil && !errors.Is(statErr, fs.ErrNotExist) {
			t.Fatalf("operation %d failed, and what was put aside is there", k)
		}
	}
}
