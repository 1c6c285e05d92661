package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/vfs"
)

// TestInsertIDs asks for events by their insert ids, with other conditions, in an order and
// in groups, of two files and a log, and holds the answers against all events, of which those
// that are meant are picked one by one: with copies and without, by policies that hide others.
func TestInsertIDs(t *testing.T) {
	for _, logBytes := range []int64{DefaultLogColumnBytes, 1} {
		e := openSample(t, vfs.NewMem(), "data")
		e.columnBudget.limit = logBytes
		s := newSample()
		var ids []string
		fill := func(batches int) {
			t.Helper()
			for range batches {
				b := s.batch(1500)
				copiesOf(s, b)
				for i := range b.Events {
					if of := &b.Events[i]; i%10 == 3 {
						of.InsertID = fmt.Sprint("order ", i/40)
					} else if i%10 == 4 {
						of.InsertID = strings.ToUpper(of.InsertID)
					}
				}
				for _, i := range []int{3, 4, 5, 300, 301, 1000} {
					ids = append(ids, b.Events[i].InsertID)
				}
				record, err := event.AppendBatch(nil, b)
				if err != nil {
					t.Fatal(err)
				}
				if err := e.Append(context.Background(), [][]byte{record}); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 2 {
			fill(6)
			if err := e.Index(context.Background(), 0, true); err != nil {
				t.Fatal(err)
			}
		}
		fill(3)
		ids = append(ids, "", "nobody's", strings.ToUpper(ids[0]), "00000000-0000-4000-8000-000000000000")
		for _, policy := range []*catalog.Policy{nil, {Key: 1}, {Disabled: true}} {
			for _, copies := range []bool{false, true} {
				checkInsertIDs(t, e, ids, policy, copies)
			}
		}
	}
}

func checkInsertIDs(t *testing.T, e *Engine, ids []string, policy *catalog.Policy, copies bool) {
	t.Helper()
	columns := []exec.Column{{Source: exec.SourceInsertID}, {Source: exec.SourceIngestID}, {Source: exec.SourceTime}, {Source: exec.SourceDistinctID}, {Source: exec.SourceEvent}}
	rows := func(f *exec.Fragment) (rows [][]string, pruned int64) {
		t.Helper()
		f.Project, f.Policy, f.Copies = sampleProject, policy, copies
		ask := e.Scan
		if len(f.Order) > 0 || f.Group != nil {
			ask = e.Execute
		}
		stats, err := ask(context.Background(), f, func(b *exec.Batch) error {
			for i := range b.Rows {
				var cells []string
				for _, a := range b.Columns {
					cells = append(cells, cellText(a, i))
				}
				rows = append(rows, cells)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return rows, stats.RowsPruned
	}
	all, _ := rows(&exec.Fragment{Columns: columns})
	equal := func(column int, op exec.Op, texts ...string) *exec.Expr {
		x := &exec.Expr{Op: op, Column: column}
		for _, s := range texts {
			x.Values = append(x.Values, catalog.String(s))
		}
		return x
	}
	in := func(set []string) func([]string) bool {
		return func(row []string) bool { return row[0] != "(null)" && slices.Contains(set, row[0]) }
	}
	user := all[7][3]
	name := all[slices.IndexFunc(all, in(ids[:20]))][4]
	for _, c := range []struct {
		what  string
		where *exec.Expr
		is    func(row []string) bool
		found bool
	}{
		{"one", equal(0, exec.OpEqual, ids[2]), in(ids[2:3]), true},
		{"one text", equal(0, exec.OpEqual, ids[0]), in(ids[:1]), true},
		{"nobody's", equal(0, exec.OpEqual, "nobody's"), in([]string{"nobody's"}), true},
		{"many", equal(0, exec.OpIn, ids...), in(ids), true},
		{"some and a name", &exec.Expr{Op: exec.OpAnd, Args: []*exec.Expr{equal(0, exec.OpIn, ids[:20]...), equal(4, exec.OpEqual, name)}},
			func(row []string) bool { return in(ids[:20])(row) && row[4] == name }, true},
		{"two lists", &exec.Expr{Op: exec.OpAnd, Args: []*exec.Expr{equal(0, exec.OpIn, ids[:20]...), equal(0, exec.OpIn, ids[10:]...)}},
			func(row []string) bool { return in(ids[:20])(row) && in(ids[10:])(row) }, true},
		{"one or the other", &exec.Expr{Op: exec.OpOr, Args: []*exec.Expr{equal(0, exec.OpEqual, ids[2]), equal(0, exec.OpEqual, ids[9])}},
			in([]string{ids[2], ids[9]}), true},
		{"one or a user", &exec.Expr{Op: exec.OpOr, Args: []*exec.Expr{equal(0, exec.OpEqual, ids[2]), equal(3, exec.OpEqual, user)}},
			func(row []string) bool { return in(ids[2:3])(row) || row[3] == user }, false},
		{"all but some", &exec.Expr{Op: exec.OpNot, Args: []*exec.Expr{equal(0, exec.OpIn, ids...)}},
			func(row []string) bool { return row[0] != "(null)" && !in(ids)(row) }, false},
	} {
		want := slices.Clone(all)
		want = slices.DeleteFunc(want, func(row []string) bool { return !c.is(row) })
		compare := func(a, b []string) int { return slices.Compare(a, b) }
		slices.SortFunc(want, compare)
		got, pruned := rows(&exec.Fragment{Columns: columns, Filter: c.where})
		slices.SortFunc(got, compare)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s, policy %v, copies %v: %v, want %v", c.what, policy, copies, got, want)
		}
		if c.found != (pruned > 0) || (len(want) == 0) != (c.what == "nobody's") {
			t.Errorf("%s, policy %v, copies %v: %d rows were passed over, and %d are it", c.what, policy, copies, pruned, len(want))
		}
		slices.SortFunc(want, func(a, b []string) int { return slices.Compare([]string{b[2], a[1]}, []string{a[2], b[1]}) })
		want = want[:min(len(want), 3)]
		if got, _ := rows(&exec.Fragment{Columns: columns, Filter: c.where, Order: []exec.Order{{Column: 2, Descending: true}}, Limit: 3}); !sameMoments(got, want) {
			t.Errorf("%s, policy %v, copies %v, newest first: %v, want %v", c.what, policy, copies, got, want)
		}
		counts := map[string]int{}
		for _, row := range all {
			if c.is(row) {
				counts[row[4]]++
			}
		}
		groups, _ := rows(&exec.Fragment{Columns: columns, Filter: c.where, Group: &exec.Group{Keys: []int{4}, Aggregates: []exec.Aggregate{{Op: exec.AggCount}}}})
		if len(groups) != len(counts) {
			t.Errorf("%s: %d groups, want %d", c.what, len(groups), len(counts))
		}
		for _, g := range groups {
			if g[1] != fmt.Sprint(counts[g[0]]) {
				t.Errorf("%s, policy %v, copies %v: %s of %s, want %d", c.what, policy, copies, g[1], g[0], counts[g[0]])
			}
		}
	}
}

// sameMoments compares the times of rows: which of those of one time come is open.
func sameMoments(a, b [][]string) bool {
	return slices.EqualFunc(a, b, func(a, b []string) bool { return a[2] == b[2] })
}
