package oracle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/google/go-cmp/cmp"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/engine/event"
	"arbor/engine/exec"
)

var _ cluster.Local = (*Model)(nil)

// filled is a model with five events in two shards, one of them a retry, one a
// conflict and one deleted.
func filled(t *testing.T) *Model {
	t.Helper()
	m := New(&catalog.Catalog{Projects: []*catalog.Project{{ID: 1, Name: "p", Buckets: 1}}})
	send(t, m, &event.Batch{Shard: shard, Events: []event.Event{
		*e(1, plan(catalog.String("free"))).Event, *e(2, plan(catalog.String("free"))).Event,
		*e(3, plan(catalog.Int(7))).Event, *e(4, user("bob"), serverTime, insertID("")).Event}})
	send(t, m, &event.Batch{Shard: catalog.ShardKey{Project: 1, Day: 20_001}, Events: []event.Event{*e(5, later(catalog.DayMicros)).Event}, Deletes: []event.Delete{{ID: id(6), Targets: []catalog.IngestID{id(5)}}}})
	return m
}

func send(t *testing.T, m *Model, b *event.Batch) []byte {
	t.Helper()
	record, err := event.AppendBatch(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Append(t.Context(), [][]byte{record}); err != nil {
		t.Fatal(err)
	}
	return record
}

// lines scans a fragment in batches of two and shows its rows.
func lines(t *testing.T, m *Model, f *exec.Fragment) []string {
	t.Helper()
	m.BatchRows = 2
	var out []string
	stats, err := m.Scan(t.Context(), f, func(b *exec.Batch) error {
		for row := range b.Rows {
			var line []string
			for _, c := range b.Columns {
				line = append(line, c.ValueStr(row))
			}
			out = append(out, strings.Join(line, " "))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if stats.RowsGiven != int64(len(out)) {
		t.Errorf("stats say %d rows, got %d", stats.RowsGiven, len(out))
	}
	return out
}

func TestScan(t *testing.T) {
	m := filled(t)
	short := func(s exec.Source) exec.Column { return exec.Column{Source: s} }
	property := exec.Column{Source: exec.SourceProperty, Property: "plan", Type: catalog.TypeString}
	number := exec.Column{Source: exec.SourceProperty, Property: "plan", Type: catalog.TypeInt}
	user := short(exec.SourceDistinctID)
	user.Hidden = true
	tests := []struct {
		name string
		f    exec.Fragment
		want []string
	}{
		{"what queries see", exec.Fragment{Columns: []exec.Column{short(exec.SourceDistinctID), property}}, []string{"ann free", "bob (null)"}},
		{"all copies", exec.Fragment{Copies: true, Columns: []exec.Column{short(exec.SourceDuplicate), short(exec.SourceDupKind), property, number}},
			[]string{"false (null) free (null)", "true retry free (null)", "true conflict 7 7", "false (null) (null) (null)"}},
		{"hidden column, filter", exec.Fragment{Columns: []exec.Column{user, short(exec.SourceEvent)}, Filter: &exec.Expr{Op: exec.OpEqual, Column: 0, Values: []catalog.Value{catalog.String("ann")}}}, []string{"click"}},
		{"NOT of unknown is unknown", exec.Fragment{Columns: []exec.Column{property, short(exec.SourceEvent)}, Filter: &exec.Expr{Op: exec.OpNot, Args: []*exec.Expr{{Op: exec.OpEqual, Column: 0, Values: []catalog.Value{catalog.String("x")}}}}}, []string{"free click"}},
		{"limit", exec.Fragment{Limit: 1, Columns: []exec.Column{short(exec.SourceEvent)}}, []string{"click"}},
		{"as of", exec.Fragment{AsOf: id(5), Columns: []exec.Column{short(exec.SourceShard)}}, []string{"1/2024-10-04/0", "1/2024-10-04/0", "1/2024-10-05/0"}},
		{"another policy", exec.Fragment{Policy: &off, Columns: []exec.Column{property}}, []string{"free", "free", "7", "(null)"}},
		{"the other columns", exec.Fragment{Limit: 1, Columns: []exec.Column{short(exec.SourceInsertID), short(exec.SourceProperties), short(exec.SourceIngestID), short(exec.SourceFile), short(exec.SourceDupOf), short(exec.SourceTimeRaw), short(exec.SourceTime), short(exec.SourceIngestedAt)}},
			[]string{`i {"plan":"free"} 00000000000000010000000000000000 log (null) 2024-10-04 12:00:00Z 2024-10-04 12:00:00Z 1970-01-01 00:00:00Z`}},
		{"another project", exec.Fragment{Columns: []exec.Column{short(exec.SourceEvent)}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name != "another project" {
				tt.f.Project = 1
			}
			if d := cmp.Diff(tt.want, lines(t, m, &tt.f)); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestLayouts: over some batches a string column comes in every layout.
func TestLayouts(t *testing.T) {
	values := []catalog.Value{catalog.String("a"), catalog.Null, catalog.String("a")}
	seen := map[string]bool{}
	for layout := range 8 {
		a := Array(catalog.TypeString, values, layout)
		if d, ok := a.(*array.Dictionary); ok {
			seen[d.DataType().String()] = true
		} else {
			seen[a.DataType().String()] = true
		}
		if got := fmt.Sprint(a.ValueStr(0), a.ValueStr(1), a.ValueStr(2)); got != "a(null)a" {
			t.Errorf("layout %d: %s", layout, got)
		}
	}
	if len(seen) != 4 {
		t.Errorf("%d layouts: %v", len(seen), seen)
	}
}

func TestDescribe(t *testing.T) {
	m := filled(t)
	want := map[string]string{
		"balance":    "1 2024-10-04 0 4 2 1 1 0 0\n1 2024-10-05 0 1 0 0 0 1 0\n",
		"deletes":    "1 2024-10-05 0 00000000000000060000000000000000 1 false\n",
		"duplicates": "1 2024-10-04 0 click ann i 00000000000000020000000000000000 00000000000000010000000000000000 retry\n1 2024-10-04 0 click ann i 00000000000000030000000000000000 00000000000000010000000000000000 conflict\n",
		"shards":     "1 2024-10-04 0 0 0 4 false\n1 2024-10-05 0 0 0 1 false\n",
		"alarms":     "", "files": "", "jobs": "",
	}
	for _, name := range cluster.DescribeTables {
		table, err := m.Describe(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, row := range table.Rows {
			if len(row) != len(table.Columns) {
				t.Errorf("%s: %d values for %d columns", name, len(row), len(table.Columns))
			}
			for i, v := range row {
				if i > 0 {
					b.WriteByte(' ')
				}
				b.WriteString(strings.Trim(string(v.AppendJSON(nil)), `"`))
			}
			b.WriteByte('\n')
		}
		if w, ok := want[name]; ok && b.String() != w {
			t.Errorf("%s:\ngot  %swant %s", name, b.String(), w)
		}
	}
	if _, err := m.Describe(t.Context(), "nonsense"); err == nil {
		t.Error("an unknown table is described")
	}
}

// TestModelAppend: all or nothing, and counts of duplicates.
func TestModelAppend(t *testing.T) {
	m := filled(t)
	again := send(t, m, &event.Batch{Shard: shard, Events: []event.Event{*e(7, plan(catalog.String("free"))).Event, *e(8, user("eve")).Event}})
	if n, err := m.Duplicates(t.Context(), [][]byte{again}); n != 1 || err != nil {
		t.Errorf("duplicates: %d, %v, want 1", n, err)
	}
	before := len(m.Records())
	if err := m.Append(t.Context(), [][]byte{again, again[:len(again)-1]}); !errors.Is(err, event.ErrCorrupt) {
		t.Errorf("a broken record gives %v, want %v", err, event.ErrCorrupt)
	}
	if after := len(m.Records()); after != before {
		t.Errorf("a refused append left %d records", after-before)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Append(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled append: %v", err)
	}
}

func TestFilter(t *testing.T) {
	columns := []exec.Column{{Source: exec.SourceProperty, Type: catalog.TypeDecimal}, {Source: exec.SourceEvent}, {Source: exec.SourceDuplicate}}
	row := []catalog.Value{catalog.Number("1.50"), catalog.String("click"), catalog.Null}
	leaf := func(op exec.Op, column int, values ...catalog.Value) *exec.Expr {
		return &exec.Expr{Op: op, Column: column, Values: values}
	}
	tree := func(op exec.Op, args ...*exec.Expr) *exec.Expr { return &exec.Expr{Op: op, Args: args} }
	isTrue, isFalse, isUnknown := leaf(exec.OpEqual, 0, catalog.Number("1.5")), leaf(exec.OpLess, 0, catalog.Number("1.5")), leaf(exec.OpEqual, 2, catalog.Bool(true))
	tests := []struct {
		name string
		x    *exec.Expr
		want truth
	}{
		{"decimals compare by value", isTrue, yes},
		{"less", isFalse, no},
		{"less or equal", leaf(exec.OpLessEq, 0, catalog.Number("1.5")), yes},
		{"more", leaf(exec.OpMore, 0, catalog.Int(1)), yes},
		{"more or equal", leaf(exec.OpMoreEq, 0, catalog.Number("1.51")), no},
		{"null is unknown", isUnknown, unknown},
		{"a null constant too", leaf(exec.OpEqual, 1, catalog.Null), unknown},
		{"is null", leaf(exec.OpIsNull, 2), yes},
		{"is not null", leaf(exec.OpIsNull, 1), no},
		{"in", leaf(exec.OpIn, 1, catalog.String("a"), catalog.String("click")), yes},
		{"not in", leaf(exec.OpIn, 1, catalog.String("a")), no},
		{"in, with a null", leaf(exec.OpIn, 1, catalog.String("a"), catalog.Null), unknown},
		{"in nothing", leaf(exec.OpIn, 1), no},
		{"prefix", leaf(exec.OpPrefix, 1, catalog.String("cl")), yes},
		{"prefix of null", leaf(exec.OpPrefix, 2, catalog.String("")), unknown},
		{"like", leaf(exec.OpLike, 1, catalog.String("%l_ck")), yes},
		{"not like", leaf(exec.OpLike, 1, catalog.String(`%l\_ck%`)), no},
		{"like of null", leaf(exec.OpLike, 2, catalog.String("%")), unknown},
		{"strings compare by bytes", leaf(exec.OpMore, 1, catalog.String("Z")), yes},
		{"and", tree(exec.OpAnd, isTrue, isUnknown), unknown},
		{"and no", tree(exec.OpAnd, isUnknown, isFalse), no},
		{"or", tree(exec.OpOr, isFalse, isUnknown), unknown},
		{"or yes", tree(exec.OpOr, isUnknown, isTrue), yes},
		{"and of nothing", tree(exec.OpAnd), yes},
		{"or of nothing", tree(exec.OpOr), no},
		{"not", tree(exec.OpNot, isFalse), yes},
		{"not unknown", tree(exec.OpNot, isUnknown), unknown},
	}
	for _, tt := range tests {
		if got := holds(tt.x, columns, row); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}
