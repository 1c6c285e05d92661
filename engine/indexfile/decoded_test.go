package indexfile

import (
	"fmt"
	"sync"
	"testing"

	"arbor/catalog"
)

// decodedRows are rows whose file has compressed dictionaries, runs and groups.
func decodedRows(n int) []Row {
	var rows []Row
	for i := range n {
		rows = append(rows, Row{ID: catalog.IngestID{Time: uint64(i/50) + 1, Index: uint32(i)}, Name: fmt.Sprint("event", i%7), Time: int64(i), DistinctID: fmt.Sprintf("user-%06d", i/3),
			InsertID: fmt.Sprint("id ", i), Properties: []catalog.Property{
				{Name: "color", Value: catalog.String([]string{"red", "green", "blue"}[i/3%3])},
				{Name: "url", Value: catalog.String(fmt.Sprint("https://example.com/shop/", i%211))}}})
	}
	return rows
}

// askDecoded asks a file of decodedRows for one row in several ways, and for its user.
func askDecoded(r *Reader, rows []Row, i int) error {
	var got Row
	cursor := r.Cursor()
	if err := cursor.Row(i, &got); err != nil {
		return err
	}
	if want := &rows[i]; got.DistinctID != want.DistinctID || got.Name != want.Name || got.InsertID != want.InsertID || got.ID != want.ID || fmt.Sprint(got.Properties) != fmt.Sprint(want.Properties) {
		return fmt.Errorf("row %d is %+v, want %+v", i, got, *want)
	}
	if lo, hi, err := r.UserRange(rows[i].DistinctID); err != nil || i < lo || i >= hi {
		return fmt.Errorf("row %d is not in [%d, %d): %w", i, lo, hi, err)
	}
	if id, lo, hi, err := cursor.User(i / 3); err != nil || id != rows[i].DistinctID || lo != i/3*3 || hi != min(lo+3, len(rows)) {
		return fmt.Errorf("user %d is %q with [%d, %d): %w", i/3, id, lo, hi, err)
	}
	a, err := r.PropertyArray("url", catalog.TypeString, 0, 0, i, i+1)
	if err != nil {
		return err
	}
	if got := cell(a, 0); got == nil || *got != rows[i].Properties[1].Value.Text {
		return fmt.Errorf("url of row %d is not %q", i, rows[i].Properties[1].Value.Text)
	}
	return nil
}

// TestDecoded asks many files, whose decoded parts do not all fit: the answers are the
// same, also while files let go of theirs, and no more is held than one file is over the limit.
func TestDecoded(t *testing.T) {
	rows := decodedRows(3000)
	alone := built(t, rows, Meta{})
	unlimited := NewKept(1 << 30)
	alone.Keep(unlimited)
	if err := askDecoded(alone, rows, 17); err != nil {
		t.Fatal(err)
	}
	one := unlimited.Decoded()
	if one < 10_000 {
		t.Fatalf("only %d bytes are decoded", one)
	}
	asks := 400
	if testing.Short() {
		asks = 100
	}
	for _, limit := range []int64{0, one, 3 * one} {
		kept := NewKept(limit)
		files := make([]*Reader, 8)
		for i := range files {
			files[i] = built(t, rows, Meta{})
			files[i].Keep(kept)
		}
		var workers sync.WaitGroup
		for w := range 4 {
			workers.Go(func() {
				for k := range asks {
					if err := askDecoded(files[(w+k/10)%len(files)], rows, (k*677+w)%len(rows)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		workers.Wait()
		for k := range 20 { // alone, so that what is held is exact
			if err := askDecoded(files[k%len(files)], rows, k); err != nil {
				t.Fatal(err)
			}
			if got := kept.Decoded(); got > max(limit, 2*one) {
				t.Fatalf("%d bytes are held with a limit of %d; a file has %d", got, limit, one)
			}
		}
		for _, r := range files {
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if got := kept.Decoded(); got != 0 {
			t.Errorf("%d bytes are held of closed files", got)
		}
	}
}

// TestUsersAlone: who walks users or compares insert ids has nothing else decoded.
func TestUsersAlone(t *testing.T) {
	rows := decodedRows(3000)
	r := built(t, rows, Meta{})
	kept := NewKept(1 << 30)
	r.Keep(kept)
	cursor := r.Cursor()
	for k := range r.Users() {
		if _, _, _, err := cursor.User(k); err != nil {
			t.Fatal(err)
		}
	}
	for i := range rows {
		if k, err := cursor.InsertKey(i); err != nil || k != InsertKeyOf(rows[i].InsertID) {
			t.Fatalf("key of row %d is %v: %v", i, k, err)
		}
	}
	defer func() {
		before := kept.Decoded()
		giveBack := r.Borrow()
		if giveBack(); kept.Decoded() != before {
			t.Error("what others use was let go")
		}
		fresh := built(t, rows, Meta{})
		fresh.Keep(kept)
		if _, err := fresh.Tombstones(); err != nil { // as who opens a file does
			t.Fatal(err)
		}
		giveBack = fresh.Borrow()
		for range 2 {
			if err := askDecoded(fresh, rows, 5); err != nil {
				t.Fatal(err)
			}
			giveBack()
			if got := kept.Decoded(); got != before {
				t.Errorf("%d bytes are held, %d before somebody borrowed", got, before)
			}
		}
	}()
	if c := r.property("url"); c.body.value.Load() != nil || c.head.value.Load() != nil {
		t.Error("a property was loaded")
	}
}
