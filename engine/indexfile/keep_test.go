package indexfile

import (
	"fmt"
	"testing"

	"arbor/catalog"
)

// TestKept keeps what is asked for often, up to the limit, gives the same arrays
// before and after, and lets go of files that are closed.
func TestKept(t *testing.T) {
	var rows []Row
	for i := range 4000 {
		rows = append(rows, Row{ID: catalog.IngestID{Time: 1, Index: uint32(i)}, Name: "e", Time: int64(i), DistinctID: "u",
			Properties: []catalog.Property{{Name: "a", Value: catalog.String(fmt.Sprint(i * i % 31))}, {Name: "b", Value: catalog.String(fmt.Sprint(i * i % 29))}}})
	}
	r := built(t, rows, Meta{})
	const one = 4000 // bytes of a column, decoded
	kept := NewKept(one)
	r.Keep(kept)
	ask := func(property string, lo, hi int) {
		t.Helper()
		a, err := r.PropertyArray(property, catalog.TypeString, 0, 0, lo, hi)
		if err != nil {
			t.Fatal(err)
		}
		for i := range a.Len() {
			for _, p := range rows[lo+i].Properties {
				if got := cell(a, i); p.Name == property && (got == nil || *got != p.Value.Text) {
					t.Fatalf("%s of row %d is not %q", property, lo+i, p.Value.Text)
				}
			}
		}
	}
	for range 3 {
		ask("a", 13, 300)
	}
	if kept.Bytes() != 0 {
		t.Errorf("%d bytes kept of a column of which few rows were asked for", kept.Bytes())
	}
	ask("a", 100, 4000)
	if kept.Bytes() != one || r.property("a").kept.Load() == nil {
		t.Errorf("%d bytes kept of a column that was asked for", kept.Bytes())
	}
	ask("a", 7, 4000)
	for range 3 {
		ask("b", 1, 4000)
		ask("a", 9, 90)
	}
	if kept.Bytes() > one || r.property("b").kept.Load() == nil {
		t.Errorf("%d bytes kept, at most %d; b is not among them", kept.Bytes(), one)
	}
	none := NewKept(one - 1)
	small := built(t, rows, Meta{})
	small.Keep(none)
	for range 2 {
		if _, err := small.PropertyArray("a", catalog.TypeString, 0, 0, 0, 4000); err != nil {
			t.Fatal(err)
		}
	}
	if none.Bytes() != 0 {
		t.Errorf("%d bytes kept, more than may be", none.Bytes())
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if kept.Bytes() != 0 {
		t.Errorf("%d bytes kept of a closed file", kept.Bytes())
	}
}
