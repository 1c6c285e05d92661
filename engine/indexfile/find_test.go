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
