package engine

import (
	"context"
	"testing"

	"arbor/catalog"
	"arbor/engine/vfs"
)

// TestSizes holds the sizes of shards against what the table of shards says, and finds that
// nobody was asked who is visible.
func TestSizes(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	s := newSample()
	for range 2 {
		s.fill(t, e, 3000, 500)
		if err := e.Index(context.Background(), 0, false); err != nil {
			t.Fatal(err)
		}
	}
	s.fill(t, e, 700, 100)
	describe := func(table string) func(name string) int64 {
		t.Helper()
		d, err := e.Describe(context.Background(), table)
		if err != nil || len(d.Rows) != 1 {
			t.Fatalf("%s has %d rows: %v", table, len(d.Rows), err)
		}
		return func(name string) int64 {
			for i, c := range d.Columns {
				if c.Name == name && d.Rows[0][i].Kind == catalog.KindInt {
					return d.Rows[0][i].Int()
				}
			}
			t.Fatalf("%s has no number %s", table, name)
			return 0
		}
	}
	v, err := sampleShard(e).view(e)
	if err != nil {
		t.Fatal(err)
	}
	defer v.release()
	sizes := describe("sizes")
	if n := len(v.tail.states); n != 0 {
		t.Errorf("%d states were worked out", n)
	}
	shards := describe("shards")
	if got, want := sizes("events"), shards("indexed_events")+shards("logged_events"); got != want || got != 6700 {
		t.Errorf("%d events, want %d", got, want)
	}
	if got, want := sizes("bytes"), shards("bytes"); got != want || got == 0 {
		t.Errorf("%d bytes, want %d", got, want)
	}
	if n := len(v.tail.states); n == 0 {
		t.Error("the table of shards works out no state")
	}
}
