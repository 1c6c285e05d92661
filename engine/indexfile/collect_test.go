package indexfile

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"arbor/catalog"
	"arbor/engine/vfs"
)

// userRuns are the users of rows that are in order.
func userRuns(rows []Row) iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for lo := 0; lo < len(rows); {
			hi := lo + 1
			for hi < len(rows) && rows[hi].DistinctID == rows[lo].DistinctID {
				hi++
			}
			if !yield(rows[lo].DistinctID, hi-lo) {
				return
			}
			lo = hi
		}
	}
}

// collected builds a file of rows that come in another order, some of them twice, and
// gives its bytes.
func collected(t *testing.T, r *rand.Rand, rows []Row, m Meta, form fileForm) []byte {
	t.Helper()
	disk := vfs.NewMem()
	b := NewBuilder(BuilderOptions{Rows: r.IntN(2) * len(rows), Version: form.version, Short: form.short})
	come := r.Perm(len(rows))
	for range r.IntN(3) * len(rows) / 10 {
		come = append(come, r.IntN(len(rows)))
	}
	order := make([]uint32, len(rows))
	shapes := map[string]*Shape{}
	shaped := r.IntN(4) // of four rows
	var texts []byte    // of the rows that are not settled yet
	for number, i := range come {
		row := rows[i]
		row.DistinctID = ""
		if r.IntN(4) < shaped {
			collectShaped(t, b, shapes, &row, &texts)
		} else if err := b.Collect(&row, InsertKeyOf(row.InsertID)); err != nil {
			t.Fatal(err)
		}
		if r.IntN(300) == 0 {
			b.Settle()
			for i := range texts {
				texts[i] = '!'
			}
			texts = nil
		}
		order[i] = uint32(number)
		if name := b.EventOf(uint32(number)); name != row.Name {
			t.Fatalf("row %d is of the event %q, want %q", number, name, row.Name)
		}
	}
	if err := b.Arrange(order, userRuns(rows)); err != nil {
		t.Fatal(err)
	}
	if err := b.Write(disk, ".", "file", m); err != nil {
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
	got, err := io.ReadAll(io.NewSectionReader(f, 0, size))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// collectShaped gives a row to a Builder as one of a shape, with texts in memory that will
// be used for something else.
func collectShaped(t *testing.T, b *Builder, shapes map[string]*Shape, row *Row, texts *[]byte) {
	t.Helper()
	name := row.Name
	row.Properties = slices.Clone(row.Properties)
	for i := range row.Properties {
		p := &row.Properties[i]
		name += "\x00" + p.Name
		from := len(*texts)
		*texts = append(*texts, p.Value.Text...)
		p.Value.Text = text((*texts)[from:])
	}
	if shapes[name] == nil {
		shapes[name] = new(Shape)
		if err := b.Shape(row, shapes[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.CollectShaped(shapes[name], row, InsertKeyOf(row.InsertID)); err != nil {
		t.Fatal(err)
	}
}

// TestCollectedBytes holds files of all shapes, the rows of which came in whatever
// order, against those whose rows were added in order.
func TestCollectedBytes(t *testing.T) {
	skipShort(t)
	for seed := range 100 {
		r := rand.New(rand.NewPCG(uint64(seed), 13))
		rows := randomShape(r, 1+r.IntN(600)).make(r)
		for i := range rows { // and a property that hardly any has
			if r.IntN(100) == 0 {
				rows[i].Properties = append(slices.Clone(rows[i].Properties), catalog.Property{Name: "~", Value: catalog.Int(int64(i % 7))})
			}
		}
		m := Meta{Groups: withCopies(r, rows)}
		form := forms[seed%len(forms)]
		want, _ := bytesOf(t, rows, m, form, 0)
		if !bytes.Equal(collected(t, r, rows, m, form), want) {
			t.Fatalf("seed %d, %d rows, form %v: the file of collected rows differs", seed, len(rows), form)
		}
	}
}

// TestCollectRefused names what Collect and Arrange do not take.
func TestCollectRefused(t *testing.T) {
	row := func(at int) Row {
		return Row{ID: catalog.IngestID{Time: uint64(at)}, Time: int64(at), Properties: []catalog.Property{{Name: "a", Value: catalog.Int(1)}}}
	}
	users := func(of map[string]int) iter.Seq2[string, int] {
		return func(yield func(string, int) bool) {
			for _, name := range slices.Sorted(maps.Keys(of)) {
				if !yield(name, of[name]) {
					return
				}
			}
		}
	}
	for what, c := range map[string]struct {
		order []uint32
		users iter.Seq2[string, int]
		want  error
	}{
		"times that go back":      {[]uint32{1, 0}, users(map[string]int{"u": 2}), ErrOrder},
		"fewer rows than are due": {[]uint32{0, 1}, users(map[string]int{"u": 1}), ErrOrder},
		"more rows than there":    {[]uint32{0, 1}, users(map[string]int{"u": 3}), ErrOrder},
		"a user without rows":     {[]uint32{0, 1}, users(map[string]int{"u": 2, "v": 0}), ErrOrder},
		"users out of order": {[]uint32{0, 1}, func(yield func(string, int) bool) {
			_ = yield("v", 1) && yield("u", 1)
		}, ErrOrder},
		"a user twice": {[]uint32{0, 1}, func(yield func(string, int) bool) {
			for range 2 {
				yield("u", 1)
			}
		}, ErrOrder},
		"a long user":        {[]uint32{0, 1}, users(map[string]int{strings.Repeat("u", MaxTextBytes+1): 2}), ErrLimit},
		"the longest user":   {[]uint32{0, 1}, users(map[string]int{strings.Repeat("u", MaxTextBytes): 2}), nil},
		"two users, swapped": {[]uint32{1, 0}, users(map[string]int{"u": 1, "v": 1}), nil},
	} {
		b := NewBuilder(BuilderOptions{})
		for at := range 2 {
			r := row(at)
			if err := b.Collect(&r, InsertKeyOf(r.InsertID)); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Arrange(c.order, c.users); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
	b := NewBuilder(BuilderOptions{})
	b.maxColumns = 1
	r := row(0)
	if err := b.Collect(&r, InsertKeyOf(r.InsertID)); err != nil {
		t.Fatal(err)
	}
	r.Properties = append(r.Properties, catalog.Property{Name: "b", Value: catalog.Int(1)})
	if err := b.Collect(&r, InsertKeyOf(r.InsertID)); !errors.Is(err, ErrColumns) {
		t.Errorf("one column too many: %v", err)
	}
	r.Properties, r.InsertID = nil, strings.Repeat("i", MaxTextBytes+1)
	if err := b.Collect(&r, InsertKeyOf(r.InsertID)); !errors.Is(err, ErrLimit) {
		t.Errorf("a long insert id: %v", err)
	}
}
