package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/vfs"
)

// TestPairTallies asks questions about two columns of a file, which are answered
// by how often pairs of values come, and of the same events in a log, which are
// looked at row by row: with copies, without, after some events are deleted, and
// twice, since the counts are kept.
func TestPairTallies(t *testing.T) {
	skipShort(t)
	indexed, logged := openSample(t, vfs.NewMem(), "data"), openSample(t, vfs.NewMem(), "data")
	append1 := func(b *event.Batch) {
		t.Helper()
		record, err := event.AppendBatch(nil, b)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range []*Engine{indexed, logged} {
			if err := e.Append(context.Background(), [][]byte{record}); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := newSample()
	var deleted []catalog.IngestID
	for range 10 {
		b := s.batch(3000)
		append1(b)
		deleted = append(deleted, b.Events[7].ID, b.Events[1500].ID)
	}
	if err := indexed.Index(context.Background(), 0, true); err != nil {
		t.Fatal(err)
	}
	ask := func(when string) {
		t.Helper()
		for name, f := range pairQuestions() {
			for _, copies := range []bool{false, true} {
				f.Project, f.Copies = sampleProject, copies
				want, _ := pairAnswer(t, logged, f)
				for range 2 {
					got, tallied := pairAnswer(t, indexed, f)
					if got != want || want == "" {
						t.Errorf("%s, %s, copies %v: a file says\n%s\nand the log\n%s", when, name, copies, got, want)
					}
					if tallied == 0 {
						t.Errorf("%s: no rows are tallied", name)
					}
				}
			}
		}
	}
	ask("at first")
	append1(&event.Batch{Shard: catalog.ShardKey{Project: sampleProject, Day: s.day}, Deletes: []event.Delete{{ID: catalog.IngestID{Time: s.request + 1, Edge: 9}, Targets: deleted}}})
	ask("after deletes")

	// One byte below the limit more pairs are made, and at it none but the known ones.
	held := indexed.pairBytes.Load()
	if held <= 0 {
		t.Errorf("the pairs take %d bytes", held)
	}
	browser := exec.Column{Source: exec.SourceProperty, Property: "$browser", Type: catalog.TypeString}
	system := exec.Column{Source: exec.SourceProperty, Property: "$os", Type: catalog.TypeString}
	for _, c := range []struct {
		held    int64
		tallied bool
	}{{maxPairBytes, false}, {maxPairBytes - 1, true}, {maxPairBytes, true}} {
		f := &exec.Fragment{Project: sampleProject, Columns: []exec.Column{browser, system}, Group: &exec.Group{Keys: []int{0, 1}, Aggregates: []exec.Aggregate{{Op: exec.AggCount}}}}
		before := indexed.pairBytes.Swap(c.held)
		got, tallied := pairAnswer(t, indexed, f)
		made := indexed.pairBytes.Load() - c.held
		indexed.pairBytes.Store(before + made)
		if want, _ := pairAnswer(t, logged, f); got != want || tallied > 0 != c.tallied {
			t.Errorf("with %d bytes held %d rows are tallied: %s, want %s", c.held, tallied, got, want)
		}
	}
	v, err := sampleShard(indexed).view(indexed)
	if err != nil {
		t.Fatal(err)
	}
	defer v.release()
	for _, f := range v.files.files {
		f.pairs.drop()
	}
	if left := indexed.pairBytes.Load(); left != 0 {
		t.Errorf("without pairs they take %d bytes", left)
	}
}

// TestPairTalliesAtOnce asks for pairs that nobody has made yet from several sides
// at once, more of them than a file keeps.
func TestPairTalliesAtOnce(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	newSample().fill(t, e, 9000, 3000)
	if err := e.Index(context.Background(), 0, true); err != nil {
		t.Fatal(err)
	}
	names := []string{"$browser", "$os", "country", "plan", "screen_w"}
	var questions []*exec.Fragment
	for i, a := range names {
		for _, b := range names[:i] {
			questions = append(questions, &exec.Fragment{Project: sampleProject, Group: &exec.Group{Keys: []int{0, 1}, Aggregates: []exec.Aggregate{{Op: exec.AggCount}}}, Columns: []exec.Column{
				{Source: exec.SourceProperty, Property: a, Type: catalog.TypeString}, {Source: exec.SourceProperty, Property: b, Type: catalog.TypeString}}})
		}
	}
	if len(questions) <= maxPairTallies {
		t.Fatalf("%d questions", len(questions))
	}
	answers := make([][]string, 4)
	var work sync.WaitGroup
	for i := range answers {
		work.Go(func() {
			for _, f := range questions {
				rows := []string{}
				if _, err := e.Execute(context.Background(), f, func(b *exec.Batch) error {
					for i := range b.Rows {
						rows = append(rows, fmt.Sprint(cellText(b.Columns[0], i), cellText(b.Columns[1], i), cellText(b.Columns[2], i)))
					}
					return nil
				}); err != nil {
					t.Error(err)
				}
				slices.Sort(rows)
				answers[i] = append(answers[i], strings.Join(rows, "\n"))
			}
		})
	}
	work.Wait()
	for i := range answers {
		if !slices.Equal(answers[i], answers[0]) || answers[i][0] == "" {
			t.Errorf("asker %d got other answers", i)
		}
	}
}

func pairQuestions() map[string]*exec.Fragment {
	property := func(name string, t catalog.Type) exec.Column {
		return exec.Column{Source: exec.SourceProperty, Property: name, Type: t}
	}
	count, event := exec.Aggregate{Op: exec.AggCount}, exec.Column{Source: exec.SourceEvent}
	country, plan := property("country", catalog.TypeString), property("plan", catalog.TypeString)
	screen, screenText := property("screen_w", catalog.TypeInt), property("screen_w", catalog.TypeString)
	screenDecimal := exec.Column{Source: exec.SourceProperty, Property: "screen_w", Type: catalog.TypeDecimal, Precision: 9, Scale: 2}
	median := exec.Aggregate{Op: exec.AggPercentile, Args: []int{1}, Params: []catalog.Value{catalog.Double(0.4)}}
	one := func(column int, text string) *exec.Expr {
		return &exec.Expr{Op: exec.OpEqual, Column: column, Values: []catalog.Value{catalog.String(text)}}
	}
	group := func(keys []int, a ...exec.Aggregate) *exec.Group { return &exec.Group{Keys: keys, Aggregates: a} }
	return map[string]*exec.Fragment{
		"both":        {Columns: []exec.Column{country, plan}, Group: group([]int{0, 1}, count)},
		"filtered":    {Columns: []exec.Column{event, country}, Filter: one(1, "US"), Group: group([]int{0}, count)},
		"sum":         {Columns: []exec.Column{event, screen}, Group: group([]int{0}, exec.Aggregate{Op: exec.AggSum, Args: []int{1}}, median)},
		"converted":   {Columns: []exec.Column{event, screenText}, Group: group([]int{0, 1}, count)},
		"decimals":    {Columns: []exec.Column{plan, screenDecimal}, Group: group([]int{0}, exec.Aggregate{Op: exec.AggSum, Args: []int{1}})},
		"unlike type": {Columns: []exec.Column{plan, property("country", catalog.TypeDouble)}, Group: group([]int{0}, exec.Aggregate{Op: exec.AggCount, Args: []int{1}}, count)},
		"distinct":    {Columns: []exec.Column{plan, event}, Group: group(nil, exec.Aggregate{Op: exec.AggCountDistinct, Args: []int{0, 1}})},
		"whole day": {Columns: []exec.Column{{Source: exec.SourceTime}, country, plan}, Group: group([]int{1}, count),
			Filter: &exec.Expr{Op: exec.OpAnd, Args: []*exec.Expr{{Op: exec.OpMoreEq, Column: 0, Values: []catalog.Value{catalog.Int(0)}}, {Op: exec.OpNot, Args: []*exec.Expr{one(2, "pro")}}}}},
	}
}

// pairAnswer is an answer as text, and how many rows were tallied for it.
func pairAnswer(t *testing.T, e *Engine, f *exec.Fragment) (text string, tallied int64) {
	t.Helper()
	var lines []string
	stats, err := e.Execute(context.Background(), f, func(b *exec.Batch) error {
		for i := range b.Rows {
			var cells []string
			for _, a := range b.Columns {
				cells = append(cells, cellText(a, i))
			}
			lines = append(lines, strings.Join(cells, "|"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), stats.RowsTallied
}

func cellText(a arrow.Array, i int) string {
	if d, ok := a.(*array.Dictionary); ok && !d.IsNull(i) {
		return d.Dictionary().ValueStr(d.GetValueIndex(i))
	}
	return fmt.Sprint(a.ValueStr(i))
}
