package indexfile

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"arbor/catalog"
	"arbor/engine/vfs"
)

// copiedBytes builds a file of rows that are copied from readers, of which each has those
// of one place in of.
func copiedBytes(t *testing.T, readers []*Reader, of []int, users []string, form fileForm, limit int64, look func(c *Cursor, upTo int)) []byte {
	t.Helper()
	disk := vfs.NewMem()
	b := NewBuilder(BuilderOptions{Rows: len(of), Version: form.version, Short: form.short, Memory: limit, FS: disk, Aside: "aside.tmp"})
	b.maxColumns = form.maxColumns
	if form.maxEntries > 0 {
		b.maxEntries = form.maxEntries
	}
	cursors, copiers, next := make([]*Cursor, len(readers)), make([]*Copier, len(readers)), make([]int, len(readers))
	for i, r := range readers {
		cursors[i] = r.Cursor()
		copiers[i] = cursors[i].Copier()
	}
	for i, source := range of {
		row := next[source]
		next[source]++
		var want Row
		if err := readers[source].Row(row, &want); err != nil {
			t.Fatal(err)
		}
		time, id, key, err := copiers[source].Head(row)
		if err != nil || time != want.Time || id != want.ID || key != InsertKeyOf(want.InsertID) {
			t.Fatalf("head of row %d: %d %s %v, %v; want that of %+v", row, time, id, key, err, want)
		}
		look(cursors[source], row)
		if err := copiers[source].Add(b, row, users[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Write(disk, ".", "file", Meta{}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
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
	got := make([]byte, size)
	if _, err := f.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	return got
}

// TestCopiedBytes holds files of rows that were copied from several files, of all shapes
// and in all forms, with and without enough memory, against those that the same rows were
// added to.
func TestCopiedBytes(t *testing.T) {
	skipShort(t)
	for seed := range 150 {
		r := rand.New(rand.NewPCG(uint64(seed), 17))
		rows := randomShape(r, 1+r.IntN(3000)).make(r)
		for i := range rows { // and a property that hardly any has
			if r.IntN(100) == 0 {
				rows[i].Properties = append(slices.Clone(rows[i].Properties), catalog.Property{Name: "~", Value: catalog.Int(int64(i % 7))})
			}
		}
		parts := make([][]Row, 1+r.IntN(3))
		of, users := make([]int, len(rows)), make([]string, len(rows))
		for i := range rows {
			of[i], users[i] = r.IntN(len(parts)), rows[i].DistinctID
			parts[of[i]] = append(parts[of[i]], rows[i])
		}
		form := forms[seed%len(forms)]
		switch seed % 5 {
		case 0:
			form.maxColumns = r.IntN(8)
		case 1:
			form.maxEntries = 1 + r.IntN(50)
		}
		var readers []*Reader
		for _, part := range parts {
			from := forms[r.IntN(len(forms))]
			if r.IntN(4) == 0 {
				from.maxColumns = r.IntN(8)
			}
			readers = append(readers, builtForm(t, part, Meta{}, from))
		}
		want, _ := bytesOf(t, rows, Meta{}, form, 0)
		for _, limit := range []int64{0, 1, 16 << 10} {
			got := copiedBytes(t, readers, of, users, form, limit, func(c *Cursor, upTo int) {
				if r.IntN(20) == 0 { // as who looks for copies does
					var row Row
					if err := c.Row(r.IntN(upTo+1), &row); err != nil {
						t.Fatal(err)
					}
				}
			})
			if !bytes.Equal(got, want) {
				t.Fatalf("seed %d, %d rows of %d files, form %v, limit %d: the file of copied rows differs", seed, len(rows), len(parts), form, limit)
			}
		}
	}
}

// TestCopyRefused: rows out of order are not copied.
func TestCopyRefused(t *testing.T) {
	rows := []Row{
		{ID: catalog.IngestID{Time: 1}, Time: 1, DistinctID: "a"}, {ID: catalog.IngestID{Time: 2}, Time: 1, DistinctID: "a"}, {ID: catalog.IngestID{Time: 1}, Time: 1, DistinctID: "b"},
	}
	file := builtForm(t, rows, Meta{}, newest)
	for what, order := range map[string][]int{"an earlier id": {1, 0}, "an earlier user": {2, 0}} {
		b := NewBuilder(BuilderOptions{})
		for n, i := range order {
			c := file.Cursor().Copier()
			if _, _, _, err := c.Head(i); err != nil {
				t.Fatal(err)
			}
			if err := c.Add(b, i, rows[i].DistinctID); n == 0 && err != nil || n == 1 && !errors.Is(err, ErrOrder) {
				t.Errorf("%s, row %d: %v", what, i, err)
			}
		}
		if b.Rows() != 1 {
			t.Errorf("%s: %d rows were taken", what, b.Rows())
		}
	}
}
