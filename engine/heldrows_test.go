package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/vfs"
)

// rowsOf are the rows that a fragment gives, in the order of their texts.
func rowsOf(tb testing.TB, e *Engine, f exec.Fragment) (rows []string) {
	tb.Helper()
	f.Project = sampleProject
	run := e.Scan
	if f.Group != nil {
		run = e.Execute
	}
	if _, err := run(testContext, &f, func(b *exec.Batch) error {
		runs := b.Runs
		if runs == nil {
			runs = []exec.Run{{Lo: 0, Hi: b.Rows}}
		}
		for _, r := range runs {
			for i := r.Lo; i < r.Hi; i++ {
				var row strings.Builder
				for _, c := range b.Columns {
					row.WriteString(valueAt(c, i))
					row.WriteByte('|')
				}
				rows = append(rows, row.String())
			}
		}
		return nil
	}); err != nil {
		tb.Fatal(err)
	}
	slices.Sort(rows)
	return rows
}

// openBudgeted opens an engine with a budget for the log's columns.
func openBudgeted(tb testing.TB, bytes int64) *Engine {
	tb.Helper()
	opts := memOptions(vfs.NewMem())
	opts.LogColumnBytes = bytes
	e, err := Open(testContext, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
	})
	return e
}

// oddFilters look at columns of each kind of slots.
func oddFilters(columns []exec.Column) []*exec.Expr {
	number := func(property string, t catalog.Type) int {
		return slices.IndexFunc(columns, func(c exec.Column) bool { return c.Property == property && c.Type == t })
	}
	source := func(s exec.Source) int {
		return slices.IndexFunc(columns, func(c exec.Column) bool { return c.Source == s })
	}
	start := catalog.Day(20_000).Start()
	return []*exec.Expr{
		nil,
		{Op: exec.OpEqual, Column: source(exec.SourceEvent), Values: []catalog.Value{catalog.String("event 2")}},
		{Op: exec.OpIsNull, Column: number("any", catalog.TypeString)},
		{Op: exec.OpMore, Column: number("late", catalog.TypeInt), Values: []catalog.Value{catalog.Int(0)}},
		{Op: exec.OpNot, Args: []*exec.Expr{{Op: exec.OpLess, Column: number("numbers", catalog.TypeDouble), Values: []catalog.Value{catalog.Double(0.25)}}}},
		{Op: exec.OpIn, Column: source(exec.SourceDistinctID), Values: []catalog.Value{catalog.String("user 3"), catalog.String("user 7")}},
		{Op: exec.OpLess, Column: source(exec.SourceTime), Values: []catalog.Value{catalog.Int(start + catalog.DayMicros/3)}},
		{Op: exec.OpMoreEq, Column: source(exec.SourceTime), Values: []catalog.Value{catalog.Int(start)}},
		{Op: exec.OpMore, Column: source(exec.SourceTime), Values: []catalog.Value{catalog.Int(start + catalog.DayMicros)}},
		{Op: exec.OpPrefix, Column: source(exec.SourceProperties), Values: []catalog.Value{catalog.String(`{"all":"x","int":1`)}},
		{Op: exec.OpEqual, Column: number("rare", catalog.TypeBool), Values: []catalog.Value{catalog.Bool(true)}},
	}
}

// compareEngines asks two engines that hold the same records the same.
func compareEngines(t *testing.T, what string, got, want *Engine) {
	t.Helper()
	columns := oddColumns()
	for i, filter := range oddFilters(columns) {
		for _, form := range []exec.Fragment{{Copies: true}, {Runs: true}} {
			form.Columns, form.Filter = columns, filter
			compareRows(t, fmt.Sprintf("%s: filter %d, copies %v", what, i, form.Copies), rowsOf(t, got, form), rowsOf(t, want, form))
		}
		keys := []int{}
		for k := i % 7; k < len(columns); k += 7 {
			keys = append(keys, k)
		}
		if filter == nil {
			keys = keys[:0]
			for k := range columns {
				keys = append(keys, k)
			}
		} else if len(filter.Args) == 0 {
			keys = append(keys, filter.Column) // one column says it all
		}
		for _, k := range keys {
			f := exec.Fragment{Columns: columns, Filter: filter, Group: &exec.Group{Keys: []int{k}, Aggregates: countAll.Aggregates, MaxGroups: 1 << 20}}
			compareRows(t, fmt.Sprintf("%s: filter %d, groups of %v", what, i, columns[k]), rowsOf(t, got, f), rowsOf(t, want, f))
		}
	}
}

func compareRows(t *testing.T, what string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	t.Fatalf("%s: %d rows, want %d; the first other one is\n%v, want\n%v", what, len(got), len(want), got[at:min(at+1, len(got))], want[at:min(at+1, len(want))])
}

// TestHeldRows compares what is read from columns, from the log, from some of both,
// and from a file.
func TestHeldRows(t *testing.T) {
	if testing.Short() {
		t.Skip("it compares answers, which nothing else changes meanwhile")
	}
	held, read, some, indexed := openBudgeted(t, 0), openBudgeted(t, 1), openBudgeted(t, 120<<10), openBudgeted(t, 0)
	held.columnBudget.maxCoded, some.columnBudget.maxCoded = 500, 10
	shop := newOddShop()
	for _, n := range []int{1, 50, 300, 700} {
		for range 2 {
			record := shop.record(t, n)
			for _, e := range []*Engine{held, read, some, indexed} {
				if err := e.Append(testContext, [][]byte{record}); err != nil {
					t.Fatal(err)
				}
			}
		}
		f := exec.Fragment{Columns: oddColumns(), Runs: true}
		compareRows(t, fmt.Sprintf("%d events", shop.made), rowsOf(t, held, f), rowsOf(t, read, f))
		for k, c := range f.Columns { // what was counted before, and more
			if c.Source != exec.SourceProperty || c.Type == catalog.TypeString {
				g := exec.Fragment{Columns: f.Columns, Group: &exec.Group{Keys: []int{k}, Aggregates: countAll.Aggregates}}
				compareRows(t, fmt.Sprintf("%d events, groups of %v", shop.made, c), rowsOf(t, held, g), rowsOf(t, read, g))
			}
		}
	}
	compareEngines(t, "all held", held, read)
	compareEngines(t, "some held", some, read)
	f := exec.Fragment{Columns: []exec.Column{{Source: exec.SourceFile}, {Source: exec.SourceEvent}}, Copies: true}
	compareRows(t, "file names", rowsOf(t, held, f), rowsOf(t, read, f))
	f.Group = &exec.Group{Keys: []int{1, 0}, Aggregates: countAll.Aggregates}
	compareRows(t, "groups of file names", rowsOf(t, held, f), rowsOf(t, read, f))
	// Of two rows far apart the log's batches between them are not read.
	f = exec.Fragment{Columns: []exec.Column{{Source: exec.SourceIngestID}, {Source: exec.SourceProperties}}, Copies: true}
	all := rowsOf(t, read, f)
	var ids []catalog.Value
	for _, row := range []string{all[0], all[len(all)-2]} {
		ids = append(ids, catalog.String(row[:strings.Index(row, "|")]))
	}
	f.Filter = &exec.Expr{Op: exec.OpIn, Values: ids}
	compareRows(t, "two rows", rowsOf(t, held, f), []string{all[0], all[len(all)-2]})
	if err := indexed.Index(testContext, 0, true); err != nil {
		t.Fatal(err)
	}
	compareEngines(t, "a file", held, indexed)
	for _, c := range []struct {
		e       *Engine
		batches []int
	}{{held, []int{8}}, {read, []int{0}}, {some, []int{1, 2, 3, 4, 5, 6, 7}}} {
		if n := len(sampleShard(c.e).now.tail.columns.ends); !slices.Contains(c.batches, n) {
			t.Errorf("%d of 8 batches are held, want one of %v", n, c.batches)
		}
	}
}

// TestHeldTallies counts the values of fewer and of more rows than were counted
// before, over the end of a chunk, and of hidden rows.
func TestHeldTallies(t *testing.T) {
	skipShort(t)
	e := openBudgeted(t, 0)
	s := newSample()
	s.fill(t, e, logChunkRows+3000, 4000)
	rowsOf(t, e, exec.Fragment{Group: countAll})
	columns := &sampleShard(e).now.tail.columns
	for _, c := range []exec.Column{{Source: exec.SourceEvent}, {Source: exec.SourceDistinctID}, {Property: "price", Type: catalog.TypeString},
		{Property: "url", Type: catalog.TypeString}, {Property: "screen_w", Type: catalog.TypeInt}} {
		for _, n := range []int{1, 500, 100, logChunkRows, logChunkRows + 1, logChunkRows - 1, columns.rows, 70, columns.rows} {
			rows := map[string]int64{}
			m := &marks{absent: []uint32{0, 66_000}, hidden: []uint32{3, 40, 65_535, 65_536}, gone: exec.NewBitmap(columns.rows)}
			if n%2 == 0 {
				m.gone = nil
			} else {
				m.gone.Set(3)
				m.gone.Set(4)
			}
			for lo := 0; lo < n; lo += logChunkRows {
				a, err := columns.array(&c, true, lo, min(lo+logChunkRows, n))
				if err != nil {
					t.Fatal(err)
				}
				for i := range a.Len() {
					row := uint32(lo + i)
					if !slices.Contains(m.absent, row) && !slices.Contains(m.hidden, row) && (m.gone == nil || !m.gone.Has(lo+i)) {
						rows[valueAt(a, i)]++
					}
				}
			}
			if _, ok := columns.tallies(&c, n); !ok {
				t.Fatalf("column %v does not tally", c)
			}
			for range 2 { // once more from what is remembered
				weights, values, deleted, err := columns.tally(&c, n, m, between(m.hidden, 0, n))
				if err != nil {
					t.Fatal(err)
				}
				got := map[string]int64{}
				for i, w := range weights {
					if w != 0 {
						got[valueAt(values, i)] += w
					}
				}
				if !maps.Equal(got, rows) {
					t.Errorf("%v of %d rows: %v, want %v", c, n, got, rows)
				}
				if want := min(n-4, 1); m.gone != nil && n > 4 && deleted != want {
					t.Errorf("%d rows were deleted, want %d", deleted, want)
				}
			}
		}
	}
}

// valueAt is the text of an array's value.
func valueAt(a arrow.Array, i int) string {
	if d, ok := a.(*array.Dictionary); ok && a.IsValid(i) {
		return d.Dictionary().ValueStr(d.GetValueIndex(i))
	}
	return a.ValueStr(i)
}

// TestManyProperties: there are columns up to a limit; properties beyond it are
// read from the log.
func TestManyProperties(t *testing.T) {
	e := openBudgeted(t, 0)
	b := &event.Batch{Shard: catalog.ShardKey{Project: sampleProject, Day: 20_000}}
	name := func(n int) string { return fmt.Sprintf("p%05d", n) }
	for lo := 0; lo <= maxLogColumns; lo += 200 {
		ev := event.Event{ID: catalog.IngestID{Time: 1, Index: uint32(lo)}, Name: "e", DistinctID: "u", Time: b.Shard.Day.Start(), InsertID: name(lo)}
		for n := lo; n < min(lo+200, maxLogColumns+1); n++ {
			ev.Properties = append(ev.Properties, event.Property{Name: name(n), Value: catalog.Int(int64(n))})
		}
		b.Events = append(b.Events, ev)
	}
	record, err := event.AppendBatch(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Append(testContext, [][]byte{record}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, maxLogColumns - 1, maxLogColumns} {
		f := exec.Fragment{Columns: []exec.Column{{Property: name(n), Type: catalog.TypeInt}}}
		f.Filter = &exec.Expr{Op: exec.OpMoreEq, Values: []catalog.Value{catalog.Int(0)}}
		want := []string{fmt.Sprintf("%d|", n)}
		compareRows(t, name(n), rowsOf(t, e, f), want)
		f.Group = &exec.Group{Keys: []int{0}}
		compareRows(t, "groups of "+name(n), rowsOf(t, e, f), want)
		if held := sampleShard(e).now.tail.columns.holds(name(n)); held != (n < maxLogColumns) {
			t.Errorf("%s is held: %v", name(n), held)
		}
	}
}

// TestCodes: codes come out as they went in, in the narrowest width.
func TestCodes(t *testing.T) {
	for _, tt := range []struct {
		most  int32
		width uint8
	}{{0, 1}, {127, 1}, {128, 2}, {32_767, 2}, {32_768, 4}, {1 << 30, 4}} {
		var l codeList
		var size int64
		var want []int32
		for i := range int32(3000) {
			want = append(want, min(i*20, tt.most))
		}
		want = append(want, tt.most, 0)
		for _, code := range want {
			l.append(code, &size)
		}
		rows := make([]uint16, len(want))
		for i := range rows {
			rows[i] = uint16(2 * i)
		}
		got := codedArray(int(l.width), l.bytes(), nil, 0, noTexts, l.len()).(*array.Dictionary)
		scattered := codedArray(int(l.width), l.scatter(rows, 2*len(want)), nil, 0, noTexts, 2*len(want)).(*array.Dictionary)
		for i, code := range want {
			if l.at(i) != code || got.GetValueIndex(i) != int(code) || scattered.GetValueIndex(2*i) != int(code) {
				t.Fatalf("up to %d, code %d: %d, %d, %d, want %d", tt.most, i, l.at(i), got.GetValueIndex(i), scattered.GetValueIndex(2*i), code)
			}
		}
		if least := int64(len(want)) * int64(tt.width); l.width != tt.width || size < least || size > 2*least {
			t.Errorf("codes up to %d are %d bytes wide and take %d", tt.most, l.width, size)
		}
	}
}

// TestHeldChunks goes over the end of a chunk, and asks before and after it.
func TestHeldChunks(t *testing.T) {
	if testing.Short() {
		t.Skip("it compares answers, which nothing else changes meanwhile")
	}
	held, read := openBudgeted(t, 0), openBudgeted(t, 1)
	shop := newOddShop()
	for shop.made < logChunkRows+5000 {
		record := shop.record(t, 10_000)
		for _, e := range []*Engine{held, read} {
			if err := e.Append(testContext, [][]byte{record}); err != nil {
				t.Fatal(err)
			}
		}
		columns := oddColumns()
		f := exec.Fragment{Columns: columns, Runs: true, Filter: oddFilters(columns)[5]}
		compareRows(t, fmt.Sprintf("%d events", shop.made), rowsOf(t, held, f), rowsOf(t, read, f))
	}
	columns := oddColumns()
	for i, filter := range oddFilters(columns)[1:] {
		f := exec.Fragment{Columns: columns[:3+i], Filter: filter}
		for len(f.Columns) < len(columns) { // the others only for the filter
			c := columns[len(f.Columns)]
			c.Hidden = true
			f.Columns = append(f.Columns, c)
		}
		compareRows(t, fmt.Sprintf("filter %v", filter), rowsOf(t, held, f), rowsOf(t, read, f))
	}
	if n := len(sampleShard(held).now.tail.columns.chunks); n != 2 {
		t.Errorf("%d chunks, want 2", n)
	}
}
