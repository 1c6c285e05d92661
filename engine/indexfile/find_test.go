package indexfile

import (
	"fmt"
	"slices"
	"testing"

	"arbor/catalog"
	"arbor/engine/vfs"
)

// TestFind holds FindIDs and the cursor's ways to insert ids against reading
// every row, where requests have a table and where they have none.
func TestFind(t *testing.T) {
	for _, perRequest := range []int{1, 50} {
		t.Run(fmt.Sprintf("%d rows a request", perRequest), func(t *testing.T) {
			const rows = 400
			b := NewBuilder(BuilderOptions{})
			var all []catalog.IngestID
			for i := range rows {
				id := catalog.IngestID{Time: uint64(1000 + 7*(i/perRequest)), Edge: uint32(i % 3 * min(1, 50/perRequest-1)), Index: uint32(i % perRequest)}
				row := Row{ID: id, Name: "click", DistinctID: fmt.Sprintf("user %03d", i), InsertID: fmt.Sprintf("insert %d", i)}
				if i%5 == 0 {
					row.InsertID = ""
				}
				all = append(all, id)
				if err := b.Add(&row); err != nil {
					t.Fatal(err)
				}
			}
			fs := vfs.NewMem()
			if err := b.Write(fs, ".", "f", Meta{}); err != nil {
				t.Fatal(err)
			}
			r, err := Open(fs, "f")
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			for step := 1; step < 90; step += 11 {
				var ids []catalog.IngestID
				for i := 0; i < rows; i += step {
					ids = append(ids, all[i], catalog.IngestID{Time: all[i].Time + 1}, catalog.IngestID{Time: all[i].Time, Edge: 77})
				}
				slices.SortFunc(ids, catalog.IngestID.Compare)
				got, err := r.FindIDs(slices.Compact(ids))
				if err != nil {
					t.Fatal(err)
				}
				var want []uint32
				for i := range rows {
					if slices.Contains(ids, all[i]) {
						want = append(want, uint32(i))
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("step %d: rows %v, want %v", step, got, want)
				}
			}
			compareCursor(t, r)
		})
	}
}

func compareCursor(t *testing.T, r *Reader) {
	t.Helper()
	c := r.Cursor()
	for i := range r.Rows() {
		wantKey, err := r.InsertKey(i)
		if err != nil {
			t.Fatal(err)
		}
		gotKey, err := c.InsertKey(i)
		if err != nil || gotKey != wantKey {
			t.Errorf("row %d: key %v, %v, want %v", i, gotKey, err, wantKey)
		}
		want, err := r.InsertID(i)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.InsertID(i); err != nil || got != want {
			t.Errorf("row %d: insert id %q, %v, want %q", i, got, err, want)
		}
	}
}

// TestSameInsertID compares rows with ids of every form with each other, and finds that
// comparing texts near each other decodes nothing again.
func TestSameInsertID(t *testing.T) {
	var rows []Row
	for i := range 600 {
		id := []string{"", fmt.Sprint("order ", i/7), fmt.Sprintf("%032x", i/5), fmt.Sprintf("%08x-0000-4000-8000-%012x", i/5, i/9), fmt.Sprintf("%032X", i/5)}[i%5]
		if i > 9 && i%11 == 0 {
			id = rows[i-9].InsertID
		}
		rows = append(rows, Row{ID: catalog.IngestID{Time: 1, Index: uint32(i)}, Name: "e", Time: int64(i), DistinctID: "u", InsertID: id})
	}
	r := built(t, rows, Meta{})
	cursor := r.Cursor()
	same := 0
	for i := range rows {
		for j := range rows {
			got, err := cursor.SameInsertID(i, j)
			if want := rows[i].InsertID == rows[j].InsertID; err != nil || got != want {
				t.Fatalf("rows %d and %d, %q and %q: %v, %v", i, j, rows[i].InsertID, rows[j].InsertID, got, err)
			}
			if got && i != j {
				same++
			}
		}
	}
	if same == 0 {
		t.Error("no two rows have the same id")
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := cursor.SameInsertID(1, 6); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("comparing two texts again allocates %v times", n)
	}
}
