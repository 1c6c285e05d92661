package indexfile

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"arbor/catalog"
)

// TestFindInsertIDs looks for ids of all forms in files of all kinds, in any rows, and
// holds what is found against the ids row by row. Many ids begin as others do, and files
// leave out those of copies.
func TestFindInsertIDs(t *testing.T) {
	skipShort(t)
	for seed := range 40 {
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		rows := randomShape(r, 300).make(r)
		shape := insertShapes[seed%len(insertShapes)]
		for i := range rows {
			rows[i].DistinctID = fmt.Sprint("user ", r.IntN(60))
			rows[i].InsertID = shape(r)
			if seed%3 == 0 && i%2 == 0 {
				rows[i].InsertID = fmt.Sprintf("00000000-0000-4000-8000-%012x", r.IntN(1000))
			}
		}
		sortRows(rows)
		groups := withCopies(r, rows)
		for _, form := range forms {
			file := builtForm(t, rows, Meta{Groups: groups}, form)
			for range 60 {
				lo := r.IntN(len(rows))
				hi := lo + r.IntN(len(rows)-lo+1)
				checkFound(t, file, rows, someIDs(r, rows), lo, hi)
			}
			checkFound(t, file, rows, someIDs(r, rows), 0, len(rows))
		}
	}
}

// someIDs are a few ids, or hundreds, of the rows and others.
func someIDs(r *rand.Rand, rows []Row) (ids []string) {
	for range 1 + r.IntN(3)*r.IntN(3)*r.IntN(100) {
		switch r.IntN(4) {
		case 0:
			ids = append(ids, insertShapes[r.IntN(len(insertShapes))](r))
		case 1:
			ids = append(ids, fmt.Sprintf("00000000-0000-4000-8000-%012x", r.IntN(2000)))
		default:
			ids = append(ids, rows[r.IntN(len(rows))].InsertID)
		}
	}
	return ids
}

func checkFound(t *testing.T, file *Reader, rows []Row, ids []string, lo, hi int) {
	t.Helper()
	s := NewInsertSearch(ids)
	got, err := file.FindInsertIDs(s, lo, hi, nil)
	if err != nil {
		t.Fatal(err)
	}
	var want []uint32
	for i := lo; i < hi; i++ {
		id := rows[i].InsertID
		if id != "" && slices.Contains(ids, id) {
			want = append(want, uint32(i))
		}
		if s.Has(id) != (id != "" && slices.Contains(ids, id)) {
			t.Errorf("%q is looked for: %v", id, s.Has(id))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("rows [%d, %d) with %q: %v, want %v", lo, hi, ids, got, want)
	}
}

// BenchmarkFindInsertIDs looks for one id, and for a thousand, that a file does not have.
func BenchmarkFindInsertIDs(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	uuid := func() string {
		return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), 0x8000|r.IntN(1<<14), r.Int64N(1<<48))
	}
	const n = 200_000
	rows := make([]Row, n)
	for i := range rows {
		rows[i] = Row{ID: catalog.IngestID{Time: 1, Index: uint32(i)}, Name: "e", Time: int64(i), DistinctID: "u", InsertID: uuid()}
	}
	file := built(b, rows, Meta{})
	for _, wanted := range []int{1, 10, 1000} {
		ids := make([]string, wanted)
		for i := range ids {
			ids[i] = uuid()
		}
		b.Run(fmt.Sprint(wanted), func(b *testing.B) {
			s := NewInsertSearch(ids)
			for b.Loop() {
				if rows, err := file.FindInsertIDs(s, 0, n, nil); err != nil || len(rows) > 0 {
					b.Fatal(rows, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
		})
	}
}
