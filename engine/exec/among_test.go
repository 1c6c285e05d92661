package exec

import (
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"arbor/catalog"
)

// counted is a Functions whose one function says whether the first of two integers is
// the larger, and counts how often it is asked.
type counted struct{ asked int }

func (c *counted) Function(string) (Function, error) { return c, nil }

func (c *counted) Eval(args []catalog.Value) (catalog.Value, error) {
	c.asked++
	return catalog.Bool(args[0].Int() > args[1].Int()), nil
}

// What is evaluated row by row is asked last, wherever it stands in an AND, and only of
// the rows that everything else passes.
func TestFilterAsksFewRows(t *testing.T) {
	const rows = 10_000
	column := Column{Source: SourceProperty, Property: "n", Type: catalog.TypeInt}
	f := &Fragment{Columns: []Column{column, column}, Computed: []Computed{{Function: "larger", Args: []int{0, 1}, Type: catalog.TypeBool}}}
	larger := &Expr{Op: OpTrue, Column: 2}
	small := func(n int64) *Expr { return &Expr{Op: OpLess, Column: 0, Values: []catalog.Value{catalog.Int(n)}} }
	and := func(x ...*Expr) *Expr { return &Expr{Op: OpAnd, Args: x} }
	or := func(x ...*Expr) *Expr { return &Expr{Op: OpOr, Args: x} }
	not := func(x *Expr) *Expr { return &Expr{Op: OpNot, Args: []*Expr{x}} }
	a, b := make([]int64, rows), make([]int64, rows)
	for i := range a {
		a[i], b[i] = int64(i), int64(i^1)
	}
	for _, tt := range []struct {
		name  string
		x     *Expr
		pass  func(i int64) bool
		asked int
	}{
		{"first", and(larger, small(100)), func(i int64) bool { return i < 100 && i > i^1 }, 100},
		{"last", and(small(100), larger), func(i int64) bool { return i < 100 && i > i^1 }, 100},
		{"in a NOT", and(not(larger), small(100)), func(i int64) bool { return i < 100 && i <= i^1 }, 100},
		{"in an OR", and(or(small(50), larger), small(100)), func(i int64) bool { return i < 100 && (i < 50 || i > i^1) }, 100},
		{"in an AND of its own", and(and(larger, small(200)), small(100)), func(i int64) bool { return i < 100 && i > i^1 }, 100},
		{"in a NOT of an AND", and(not(and(larger, small(50))), small(100)), func(i int64) bool { return i < 100 && (i >= 50 || i <= i^1) }, 100},
		{"alone", larger, func(i int64) bool { return i > i^1 }, rows},
		{"beside an OR", or(larger, small(100)), func(i int64) bool { return i < 100 || i > i^1 }, rows},
	} {
		calls := &counted{}
		g := *f
		g.Filter = tt.x
		p, err := NewPlan(&g, Options{Functions: calls})
		if err != nil {
			t.Fatal(tt.name, err)
		}
		selected := NewBitmap(rows)
		selected.Fill(rows)
		if err := p.NewFilter().Select([]arrow.Array{intArray(a), intArray(b)}, rows, selected); err != nil {
			t.Fatal(tt.name, err)
		}
		for i := range rows {
			if selected.Has(i) != tt.pass(int64(i)) {
				t.Fatalf("%s: row %d", tt.name, i)
			}
		}
		if calls.asked != tt.asked {
			t.Errorf("%s: asked %d times, want %d", tt.name, calls.asked, tt.asked)
		}
	}
}

func intArray(values []int64) arrow.Array {
	b := array.NewInt64Builder(memory.DefaultAllocator)
	b.AppendValues(values, nil)
	return b.NewArray()
}
