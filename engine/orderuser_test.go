package engine

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/vfs"
)

// TestUsersInTheOrderOfTime asks for the events of one user, who has a few of them more than are
// given by the goroutine that asks, and one more than are read at once, in files, in two files of
// a day and in a log, some of them twice. They are those that sorting them gives, with and
// without workers, and whatever is read at once.
func TestUsersInTheOrderOfTime(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	index := uint32(0)
	fill := func(day catalog.Day, user string, rows int) {
		t.Helper()
		b := &event.Batch{Shard: catalog.ShardKey{Project: sampleProject, Day: day}}
		for i := range rows {
			index++
			b.Events = append(b.Events, event.Event{
				ID: catalog.IngestID{Time: 1, Edge: 1, Index: index}, Name: fmt.Sprint("e", i%3), Time: day.Start() + int64(i*7919%rows)*1000,
				DistinctID: user, InsertID: fmt.Sprint(i - i%17/16), // some are of the one before
			})
		}
		record, err := event.AppendBatch(nil, b)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Append(context.Background(), [][]byte{record}); err != nil {
			t.Fatal(err)
		}
	}
	closeDay := func() {
		t.Helper()
		if err := e.Index(context.Background(), 0, false); err != nil {
			t.Fatal(err)
		}
	}
	fill(20_000, "other", 50)
	fill(20_000, "user", userPieceRows+1)
	closeDay()
	fill(20_001, "user", 900)
	closeDay()
	fill(20_001, "user", 300)
	fill(20_001, "zoe", 300)
	closeDay()
	fill(20_002, "user", 1200)
	closeDay()
	fill(20_003, "user", 200)
	for _, user := range []string{"user", "other", "zoe", "nobody"} {
		for _, copies := range []bool{false, true} {
			fragment := func(limit int64, order ...exec.Order) *exec.Fragment {
				return &exec.Fragment{
					Copies: copies, Limit: limit, Order: order,
					Filter: &exec.Expr{Op: exec.OpEqual, Column: 0, Values: []catalog.Value{catalog.String(user)}},
				}
			}
			want, _, err := sortedIDs(e, fragment(0, exec.Order{Column: 1}, exec.Order{Column: 0}))
			if err != nil {
				t.Fatal(err)
			}
			if user == "user" && len(want) <= defaultFewRows {
				t.Fatalf("%d rows are too few", len(want))
			}
			for _, few := range []int{0, 1 << 30, 100, len(want), max(len(want)-1, 1)} {
				e.opts.FewRows = few
				for _, limit := range []int64{0, 1, userPieceRows, 3000, int64(len(want)) + 1} {
					n := len(want)
					if limit > 0 {
						n = min(n, int(limit))
					}
					got, _, err := sortedIDs(e, fragment(limit, exec.Order{Column: 1}))
					if err != nil || !slices.Equal(got, want[:n]) {
						t.Fatalf("%s, copies %v, at most %d rows without workers, limit %d: %d rows, want %d, in another order: %v", user, copies, few, limit, len(got), n, err)
					}
				}
			}
			e.opts.FewRows = 0
		}
	}
}
