package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/indexfile"
	"arbor/engine/vfs"
)

// TestPackedIDs: files and groups pack an insert id in the same way.
func TestPackedIDs(t *testing.T) {
	for _, id := range []string{
		"", "a", "0123456789abcdef", strings.Repeat("0", 32), strings.Repeat("b", 32), strings.Repeat("B", 32), "bbbbbbbb-0000-0000-0000-000000000000",
		"BBBBBBBB-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000", "bBbbbbbb-0000-0000-0000-000000000000",
	} {
		key, want := packedKey(indexfile.InsertKeyOf(id)), exec.PackText(id)
		switch {
		case id == "":
			want = exec.PackedText{}
		case want.Form == exec.TextShort:
			want = exec.PackedText{Form: exec.TextLong} // which has the text asked for
		}
		if key != want {
			t.Errorf("%q is %v in a file and %v as a text", id, key, want)
		}
	}
	id := catalog.IngestID{Time: 1 << 60, Edge: 7, Index: 3}
	if got, want := packedIngestID(id), exec.PackText(id.String()); got != want {
		t.Errorf("%s is %v, and as a text %v", id, got, want)
	}
}

// TestDistinctIDs counts insert and ingest ids of every form, in logs and in files,
// with copies and without, filtered and by group, and holds them against the rows.
func TestDistinctIDs(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	rng := rand.New(rand.NewPCG(4, 2))
	id := func() string {
		n := rng.IntN(2500)
		return []string{fmt.Sprintf("%08x-0000-4000-8000-abcdef%06x", n, n), fmt.Sprintf("%08x-0000-4000-8000-abcdef%06x", n, n), fmt.Sprintf("%08x-0000-4000-8000-abcdef%06x", n, n),
			"", fmt.Sprint("id ", n), fmt.Sprintf("%032X", n), strings.Repeat("long", 5) + fmt.Sprint(n)}[rng.IntN(7)]
	}
	s := newSample()
	add := func() {
		t.Helper()
		b := s.batch(3000)
		for i := range b.Events {
			b.Events[i].InsertID = id()
		}
		record, err := event.AppendBatch(nil, b)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Append(context.Background(), [][]byte{record}); err != nil {
			t.Fatal(err)
		}
	}
	columns := []exec.Column{{Source: exec.SourceEvent}, {Source: exec.SourceInsertID}, {Source: exec.SourceIngestID}, {Source: exec.SourceProperty, Property: "plan", Type: catalog.TypeString}}
	filters := []*exec.Expr{nil, {Op: exec.OpEqual, Column: 3, Values: []catalog.Value{catalog.String("pro")}}, {Op: exec.OpNot, Args: []*exec.Expr{{Op: exec.OpIsNull, Column: 1}}}}
	check := func(when string) {
		t.Helper()
		for _, copies := range []bool{false, true} {
			for n, filter := range filters {
				f := &exec.Fragment{Project: sampleProject, Copies: copies, Columns: columns, Filter: filter}
				ids := map[string][2]map[string]bool{}
				if _, err := e.Scan(context.Background(), f, func(b *exec.Batch) error {
					for i := range b.Rows {
						name := cellText(b.Columns[0], i)
						if ids[name][0] == nil {
							ids[name] = [2]map[string]bool{{}, {}}
						}
						if !b.Columns[1].IsNull(i) {
							ids[name][0][cellText(b.Columns[1], i)] = true
						}
						ids[name][1][cellText(b.Columns[2], i)] = true
					}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				f.Group = &exec.Group{Keys: []int{0}, Aggregates: []exec.Aggregate{{Op: exec.AggCountDistinct, Args: []int{1}}, {Op: exec.AggCountDistinct, Args: []int{2}}}}
				got, _ := pairAnswer(t, e, f)
				lines := strings.Split(got, "\n")
				if len(lines) != len(ids) || len(ids) < 2 {
					t.Errorf("%s: %d groups, want %d", when, len(lines), len(ids))
				}
				for _, line := range lines {
					name, _, _ := strings.Cut(line, "|")
					if want := fmt.Sprintf("%s|%d|%d", name, len(ids[name][0]), len(ids[name][1])); line != want {
						t.Errorf("%s, copies %v, filter %d: %s, want %s", when, copies, n, line, want)
					}
				}
			}
		}
	}
	add()
	add()
	check("in the log")
	if err := e.Index(context.Background(), 0, true); err != nil {
		t.Fatal(err)
	}
	check("in a file")
	add()
	check("in both")
}
