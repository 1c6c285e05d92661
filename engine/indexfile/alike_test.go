package indexfile

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"arbor/catalog"
)

// TestAlike sends events of all shapes again, some of them changed in one thing, and holds
// which rows are alike against the rows themselves: whoever is alike is the same but for its
// id, and its time where the server gave it; and so are all that are the same and have what
// is compared.
func TestAlike(t *testing.T) {
	found, others := 0, 0
	for seed := range 120 {
		r := rand.New(rand.NewPCG(uint64(seed), 23))
		var rows []Row
		for _, row := range randomShape(r, 1+r.IntN(1500)).make(r) {
			rows = append(rows, row)
			if r.IntN(3) > 0 {
				continue
			}
			again := row
			again.ID.Index += uint32(r.IntN(2))
			again.Properties = slices.Clone(row.Properties)
			p := &catalog.Property{}
			if n := len(row.Properties); n > 0 {
				p = &again.Properties[r.IntN(n)]
			}
			switch r.IntN(12) {
			case 0:
				again.Time++
			case 1:
				again.ServerTime = !again.ServerTime
			case 2:
				again.Name += "'"
			case 3:
				again.InsertID += "'"
			case 4:
				p.Value = catalog.Int(int64(r.IntN(5)))
			case 5:
				again.Properties = again.Properties[:max(0, len(again.Properties)-1)]
			case 6:
				again.Properties = append(again.Properties, catalog.Property{Name: "~", Value: catalog.Bool(true)})
			}
			rows = append(rows, again)
		}
		slices.SortFunc(rows, func(a, b Row) int { return a.Compare(&b) })
		form := forms[seed%len(forms)]
		if seed%5 == 0 {
			form.maxColumns = r.IntN(8)
		}
		c := builtForm(t, rows, Meta{}, form).Cursor().Copier()
		heads := 0
		for j := 1; j < len(rows); j++ {
			i := j - 1 - r.IntN(min(j, 3))
			if rows[i].DistinctID != rows[j].DistinctID {
				continue
			}
			for ; heads <= j; heads++ {
				if _, _, _, err := c.Head(heads); err != nil {
					t.Fatal(err)
				}
			}
			got, err := c.Alike(i, j)
			if err != nil {
				t.Fatal(err)
			}
			a, b := rows[i], rows[j]
			a.ID, b.ID = catalog.IngestID{}, catalog.IngestID{}
			if a.ServerTime && b.ServerTime {
				a.Time, b.Time = 0, 0
			}
			same := reflect.DeepEqual(a, b) || len(a.Properties)+len(b.Properties) == 0 && a.Compare(&b) == 0 && a.Name == b.Name && a.InsertID == b.InsertID && a.ServerTime == b.ServerTime
			_, rest := c.cursor.insert.rest.slot(i)
			_, other := c.cursor.columns[columnOthers].slot(i)
			if want := same && !rest && !other; got != want {
				t.Fatalf("seed %d, form %v: rows %d and %d are alike: %v, want %v\n%+v\n%+v", seed, form, i, j, got, want, rows[i], rows[j])
			}
			if got {
				found++
			} else {
				others++
			}
		}
	}
	if found < 1000 || others < 1000 {
		t.Errorf("%d rows were alike, %d were not: too few to say anything", found, others)
	}
}

// TestRanks counts the bits before each of a bitmap's.
func TestRanks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 29))
	for n := range 300 {
		bitmap, want := make([]byte, bitmapLen(n)), 0
		for i := range n {
			if r.IntN(3) == 0 {
				bitSet(bitmap, i)
			}
		}
		ranks := newRanks(bitmap)
		for i := range n {
			if got := ranks.before(i); got != want {
				t.Fatalf("%d of %d bits are set before bit %d, want %d", got, n, i, want)
			}
			if bitGet(bitmap, i) {
				want++
			}
		}
		if got := ranks.before(n); got != want {
			t.Fatalf("%d of %d bits are set, want %d", got, n, want)
		}
	}
}
