package exec

import (
	"slices"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
)

// countedHalves is a Functions whose one function countedHalves an integer, and counts how often it is
// asked.
type countedHalves struct{ asked int }

func (h *countedHalves) Function(string) (Function, error) { return h, nil }

func (h *countedHalves) Eval(args []catalog.Value) (catalog.Value, error) {
	h.asked++
	if args[0].Kind == catalog.KindNull {
		return catalog.Null, nil
	}
	return catalog.Int(args[0].Int() / 2), nil
}

// TestSmallIntegers computes a column of integers that no dictionary holds: once for each
// value where all of a chunk are small, and of all values where they are not.
func TestSmallIntegers(t *testing.T) {
	for _, c := range []struct {
		name  string
		value func(row int) int64
		most  int // how often the function is asked; 0 is once a row
	}{
		{"small", func(row int) int64 { return int64(row % 7) }, 7},
		{"up to the limit", func(row int) int64 { return int64(row % smallInt) }, smallInt},
		{"one too large", func(row int) int64 { return int64(row % (smallInt + 1)) }, 0},
		{"below zero", func(row int) int64 { return int64(row%7) - 1 }, 0},
	} {
		const rows = 2*chunkRows + 100
		f := &Fragment{
			Columns:  []Column{{Source: SourceProperty, Property: "n", Type: catalog.TypeInt}},
			Computed: []Computed{{Function: "half", Args: []int{0}, Type: catalog.TypeInt}},
			Group:    &Group{Keys: []int{1, 0}, Aggregates: []Aggregate{{Op: AggCount}}},
		}
		h := &countedHalves{}
		p, err := NewPlan(f, Options{Functions: h})
		if err != nil {
			t.Fatal(err)
		}
		want := map[[2]int64]int64{}
		values := make([]int64, rows)
		for i := range values {
			values[i] = c.value(i)
			want[[2]int64{values[i] / 2, values[i]}]++
		}
		g, err := NewGrouper(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.AddBatch(NewRows(p), nil, &Batch{Rows: rows, Columns: []arrow.Array{int64Array(values, nil)}}); err != nil {
			t.Fatal(err)
		}
		groups := 0
		if err := g.Answer(func(b *Batch) error {
			groups += b.Rows
			for i := range b.Rows {
				cell := func(column int) int64 { return b.Columns[column].(*array.Int64).Value(i) }
				if key := [2]int64{cell(0), cell(1)}; want[key] != cell(2) {
					t.Errorf("%s: %d rows of %v, want %d", c.name, cell(2), key, want[key])
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if groups != len(want) {
			t.Errorf("%s: %d groups, want %d", c.name, groups, len(want))
		}
		if c.most > 0 && h.asked != c.most || c.most == 0 && h.asked < rows-chunkRows {
			t.Errorf("%s: the function was asked %d times", c.name, h.asked)
		}
	}
}

// TestWholeDictionaries adds dictionaries of which each entry comes once, as such and as
// rows like others: the groups are the same.
func TestWholeDictionaries(t *testing.T) {
	user := Column{Source: SourceDistinctID}
	day := Column{Source: SourceProperty, Property: "day", Type: catalog.TypeInt}
	for name, group := range map[string]*Group{
		"users":         {Aggregates: []Aggregate{{Op: AggCountDistinct, Args: []int{0}}}},
		"users by day":  {Keys: []int{1}, Aggregates: []Aggregate{{Op: AggCountDistinct, Args: []int{0}}}},
		"by two":        {Keys: []int{1, 1}, Aggregates: []Aggregate{{Op: AggCountDistinct, Args: []int{0}}}},
		"masks":         {Keys: []int{0}, Aggregates: []Aggregate{{Op: AggBitOr, Args: []int{1}}, {Op: AggBitAnd, Args: []int{1}}, {Op: AggBitXor, Args: []int{1}}}},
		"other columns": {Aggregates: []Aggregate{{Op: AggCountDistinct, Args: []int{0, 1}}}},
		"both":          {Keys: []int{0}, Aggregates: []Aggregate{{Op: AggCountDistinct, Args: []int{0}}}},
		"days of users": {Keys: []int{0}, Aggregates: []Aggregate{{Op: AggMax, Args: []int{1}}}},
	} {
		var answers [2]string
		for i, whole := range []bool{false, true} {
			f := &Fragment{Columns: []Column{user, day}, Group: group}
			p, err := NewPlan(f, Options{})
			if err != nil {
				t.Fatal(err)
			}
			var all *Grouper
			for worker := range 2 {
				g, err := NewGrouper(p)
				if err != nil {
					t.Fatal(err)
				}
				for file := range 3 {
					r, n := NewRows(p), 5000+file
					var texts []string
					for k := range n {
						texts = append(texts, "user "+string(rune('a'+k%26))+string(rune(0x4e00+k*(1+worker))))
					}
					if file == 0 && worker == 0 {
						texts = texts[:3] // a set of few numbers, which others follow
						n = 3
					}
					r.Reset(n)
					codes := make([]int32, n)
					for k := range codes {
						codes[k] = int32(k)
					}
					d := NewDictionary([2]int{worker, file}, n, func() (arrow.Array, error) {
						b := array.NewStringBuilder(goMemory)
						b.AppendValues(texts, nil)
						return b.NewStringArray(), nil
					})
					v := CodedVector(catalog.TypeString, d, codes, n)
					if whole {
						v = v.Whole()
					}
					r.Set(0, v)
					days := NewDictionary([3]int{worker, file}, 1, func() (arrow.Array, error) { return int64Array([]int64{1 << file}, nil), nil })
					r.Set(1, CodedVector(catalog.TypeInt, days, nil, n))
					if err := g.Add(r, nil, n); err != nil {
						t.Fatal(err)
					}
				}
				if all == nil {
					all = g
				} else if err := all.Merge(g); err != nil {
					t.Fatal(err)
				}
			}
			var lines []string
			if err := all.Answer(func(b *Batch) error {
				for row := range b.Rows {
					line := ""
					for _, c := range b.Columns {
						line += c.ValueStr(row) + "|"
					}
					lines = append(lines, line)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			slices.Sort(lines)
			for _, line := range lines {
				answers[i] += line + "\n"
			}
		}
		if answers[0] != answers[1] || answers[0] == "" {
			t.Errorf("%s: %d bytes of answer by rows, %d by whole dictionaries", name, len(answers[0]), len(answers[1]))
		}
	}
}

// TestSaidIsRemembered asks a domain for what comparisons say of its values: the same one
// finds the table of before, another one does not, and what is remembered is bounded.
func TestSaidIsRemembered(t *testing.T) {
	d := NewDomain(catalog.TypeString)
	like := func(text string) *Expr { return &Expr{Op: OpLike, Values: []catalog.Value{catalog.String(text)}} }
	first := d.saidOf(like("a%"))
	first.upTo(1000)
	if d.saidOf(like("a%")) != first {
		t.Error("a comparison is not remembered")
	}
	if d.Bytes() < 4000 {
		t.Errorf("with a table of 1000 values the domain says that it takes %d bytes", d.Bytes())
	}
	for _, x := range []*Expr{like("a"), {Op: OpEqual, Values: like("a%").Values}, {Op: OpIn, Values: []catalog.Value{catalog.String("a%"), catalog.Null}},
		{Op: OpIn, Values: []catalog.Value{catalog.String("a"), catalog.String("%")}}} {
		if d.saidOf(x) == first {
			t.Errorf("%v finds what another comparison said", x)
		}
	}
	for i := range maxSaid {
		d.saidOf(like(string(rune('a' + i))))
	}
	if d.saidOf(like("a%")) == first || d.said.Len() > maxSaid {
		t.Errorf("%d comparisons are remembered", d.said.Len())
	}
	if d.Bytes() > 4000 {
		t.Errorf("without the table the domain takes %d bytes", d.Bytes())
	}
	long := like(string(make([]byte, maxSaidKey)))
	if table := d.saidOf(long); table == d.saidOf(long) {
		t.Error("a comparison that is too long is remembered")
	}
}
