package indexfile

import (
	"fmt"
	"testing"

	"arbor/catalog"
)

// TestKeptChunks finds users one by one: chunks of their ids are kept, up to a limit,
// the users found are the same, and chunks of files that are closed are let go. Who asks
// for all ids leaves nothing.
func TestKeptChunks(t *testing.T) {
	skipShort(t)
	const users = 3000
	id := func(i int) string { return fmt.Sprintf("user-%08d-%032x", i, i*i) }
	var rows []Row
	for i := range users {
		rows = append(rows, Row{ID: catalog.IngestID{Time: 1, Index: uint32(i)}, Name: "e", Time: int64(i), DistinctID: id(i)})
	}
	limits := []int64{0, keptChunkShare << 10, keptChunkShare * 3 * userChunkBytes, 1 << 30}
	for _, limit := range limits {
		kept := NewKept(limit)
		files := []*Reader{built(t, rows, Meta{}), built(t, rows, Meta{})}
		for _, r := range files {
			r.Keep(kept)
			if _, err := r.UserArray(); err != nil {
				t.Fatal(err)
			}
			if r == files[0] && kept.Bytes() != 0 {
				t.Fatalf("%d bytes kept by who asked for all ids", kept.Bytes())
			}
		}
		for k := range 3 * users {
			i := k * 977 % users
			r := files[k%2]
			if lo, hi, err := r.UserRange(id(i)); err != nil || lo != i || hi != i+1 {
				t.Fatalf("user %d has the rows [%d, %d): %v", i, lo, hi, err)
			}
			a, err := r.DistinctIDArray(i, min(i+k%5+1, users))
			if err != nil {
				t.Fatal(err)
			}
			for j := range a.Len() {
				if got := cell(a, j); got == nil || *got != id(i+j) {
					t.Fatalf("row %d is not of %s", i+j, id(i+j))
				}
			}
			if got := kept.Bytes(); got > limit/keptChunkShare {
				t.Fatalf("%d bytes kept, of at most %d", got, limit/keptChunkShare)
			}
		}
		if got := kept.Bytes(); (got > 0) != (limit >= keptChunkShare*3*userChunkBytes) {
			t.Errorf("%d bytes kept with a limit of %d", got, limit)
		}
		for _, r := range files {
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if kept.Bytes() != 0 || len(kept.chunks.ring) != 0 || len(kept.chunks.chunks) != 0 {
			t.Errorf("%d bytes kept of closed files", kept.Bytes())
		}
	}
}

// TestTimeRuns: the bounds of runs are those of the rows' times.
func TestTimeRuns(t *testing.T) {
	for _, n := range []int{0, 1, TimeRunRows - 1, TimeRunRows, TimeRunRows + 1, 5 * TimeRunRows} {
		var rows []Row
		for i := range n {
			rows = append(rows, Row{ID: catalog.IngestID{Time: 1, Index: uint32(i)}, Name: "e", Time: int64(i*7919%1000) * 1000, DistinctID: fmt.Sprintf("%08d", i)})
		}
		r := built(t, rows, Meta{})
		runs, err := r.TimeRuns()
		if err != nil {
			t.Fatal(err)
		}
		if want := (n + TimeRunRows - 1) / TimeRunRows; len(runs.bounds) != want {
			t.Fatalf("%d rows: %d runs, want %d", n, len(runs.bounds), want)
		}
		for run := range runs.bounds {
			least, greatest := runs.Bounds(run)
			at := rows[run*TimeRunRows : min((run+1)*TimeRunRows, n)]
			low, high := at[0].Time, at[0].Time
			for _, row := range at {
				low, high = min(low, row.Time), max(high, row.Time)
			}
			if least != low || greatest != high {
				t.Errorf("run %d of %d rows: [%d, %d], want [%d, %d]", run, n, least, greatest, low, high)
			}
		}
	}
}
