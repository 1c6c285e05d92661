package exec

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"arbor/catalog"
)

// table is a batch's values by row, in every type that a column may have.
type table struct {
	columns []Column
	rows    [][]catalog.Value
}

func property(name string, t catalog.Type) Column {
	return Column{Property: name, Type: t, Precision: 10, Scale: 2}
}

// numbers are values around which comparisons go wrong.
var numbers = []int64{0, 1, -1, 7, 8, math.MaxInt64, math.MinInt64, 1<<53 + 1, -(1<<53 + 1)}

var doubles = []float64{0, 0.5, -0.5, 1, 7, 7.25, 1 << 53, 1e300, -1e300, math.SmallestNonzeroFloat64}

func randomTable(rng *rand.Rand, rows int) table {
	t := table{columns: []Column{
		property("bool", catalog.TypeBool), property("int", catalog.TypeInt), property("double", catalog.TypeDouble),
		property("string", catalog.TypeString), property("datetime", catalog.TypeDatetime), property("decimal", catalog.TypeDecimal),
	}}
	for range rows {
		row := make([]catalog.Value, len(t.columns))
		for i, c := range t.columns {
			if rng.IntN(5) > 0 {
				row[i] = randomValue(rng, c.Type)
			}
		}
		t.rows = append(t.rows, row)
	}
	return t
}

func randomValue(rng *rand.Rand, t catalog.Type) catalog.Value {
	switch t {
	case catalog.TypeBool:
		return catalog.Bool(rng.IntN(2) == 1)
	case catalog.TypeInt, catalog.TypeDatetime:
		return catalog.Int(numbers[rng.IntN(len(numbers))])
	case catalog.TypeDouble:
		return catalog.Double(doubles[rng.IntN(len(doubles))])
	case catalog.TypeDecimal:
		return catalog.Value{Kind: catalog.KindNumber, Text: []string{"0.00", "1.50", "-1.50", "7.00", "99999999.99"}[rng.IntN(5)]}
	}
	return catalog.String([]string{"", "a", "A", "ab", "b", "é", "\x00"}[rng.IntN(7)])
}

// constantFor is a constant that may be compared with a column of a type, of a
// kind of its own where that is allowed.
func constantFor(rng *rand.Rand, t catalog.Type) catalog.Value {
	switch {
	case rng.IntN(8) == 0:
		return catalog.Null
	case isText(t):
		return randomValue(rng, t)
	}
	switch rng.IntN(4) {
	case 0:
		return catalog.Double(doubles[rng.IntN(len(doubles))])
	case 1:
		return catalog.Value{Kind: catalog.KindNumber, Text: []string{"7", "1e30", "-1e30", "0.5", "9223372036854775808", "7.000000000000000000001", "1.50"}[rng.IntN(7)]}
	case 2:
		return catalog.Int(numbers[rng.IntN(len(numbers))])
	}
	return randomValue(rng, t)
}

func randomExpr(rng *rand.Rand, columns []Column, depth int) *Expr {
	if depth > 0 && rng.IntN(2) == 0 {
		x := &Expr{Op: []Op{OpAnd, OpOr, OpNot}[rng.IntN(3)]}
		args := 1 + rng.IntN(3)
		if x.Op == OpNot {
			args = 1
		}
		for range args {
			x.Args = append(x.Args, randomExpr(rng, columns, depth-1))
		}
		return x
	}
	x := &Expr{Op: OpEqual + Op(rng.IntN(int(OpPrefix-OpEqual)+1)), Column: rng.IntN(len(columns))}
	if rng.IntN(8) == 0 {
		x.Op = OpLike
	}
	t := columns[x.Column].Result()
	values := 1
	switch {
	case x.Op == OpIsNull:
		values = 0
	case x.Op == OpIn:
		values = 1 + rng.IntN(12)
	case (x.Op == OpPrefix || x.Op == OpLike) && !isText(t):
		x.Op = OpLess
	case x.Op == OpLike:
		x.Values = []catalog.Value{catalog.String(randomLike(rng))}
		return x
	}
	for range values {
		x.Values = append(x.Values, constantFor(rng, t))
	}
	return x
}

// truth is SQL's: 0 no, 1 unknown, 2 yes.
func truth(x *Expr, columns []Column, row []catalog.Value) int {
	switch x.Op {
	case OpAnd, OpOr:
		t := truth(x.Args[0], columns, row)
		for _, a := range x.Args[1:] {
			if x.Op == OpAnd {
				t = min(t, truth(a, columns, row))
			} else {
				t = max(t, truth(a, columns, row))
			}
		}
		return t
	case OpNot:
		return 2 - truth(x.Args[0], columns, row)
	case OpIsNull:
		return yesNo(row[x.Column].Kind == catalog.KindNull)
	}
	t := 0
	for _, c := range x.Values {
		t = max(t, truthOf(x.Op, columns[x.Column].Result(), row[x.Column], c))
	}
	return t
}

func yesNo(b bool) int {
	if b {
		return 2
	}
	return 0
}

func truthOf(op Op, t catalog.Type, v, c catalog.Value) int {
	if v.Kind == catalog.KindNull || c.Kind == catalog.KindNull {
		return 1
	}
	if op == OpPrefix {
		return yesNo(strings.HasPrefix(v.Text, c.Text))
	}
	if op == OpLike {
		return yesNo(likeRunes([]rune(v.Text), []rune(c.Text)))
	}
	sign := strings.Compare(v.Text, c.Text)
	if !isText(t) {
		sign = exactly(v).Cmp(exactly(c))
	}
	return yesNo(op.holds(sign))
}

func exactly(v catalog.Value) *big.Rat {
	switch v.Kind {
	case catalog.KindDouble:
		return new(big.Rat).SetFloat64(v.Double())
	case catalog.KindNumber:
		r, _ := new(big.Rat).SetString(v.Text)
		return r
	}
	return new(big.Rat).SetInt64(v.Int())
}

// arrays are the table's columns; layout varies what texts are kept as.
func (t *table) arrays(layout int) []arrow.Array {
	out := make([]arrow.Array, len(t.columns))
	for i, c := range t.columns {
		b := array.NewBuilder(memory.DefaultAllocator, arrowType(c.Result(), layout))
		for _, row := range t.rows {
			appendTo(b, row[i])
		}
		out[i] = b.NewArray()
	}
	return out
}

func arrowType(t catalog.Type, layout int) arrow.DataType {
	switch t {
	case catalog.TypeBool:
		return arrow.FixedWidthTypes.Boolean
	case catalog.TypeInt:
		return arrow.PrimitiveTypes.Int64
	case catalog.TypeDouble:
		return arrow.PrimitiveTypes.Float64
	case catalog.TypeDatetime:
		return &arrow.TimestampType{Unit: arrow.Microsecond}
	}
	indices := []arrow.DataType{nil, arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Int16, arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Uint8, arrow.PrimitiveTypes.Uint16, arrow.PrimitiveTypes.Uint32}[layout]
	if indices == nil {
		return arrow.BinaryTypes.String
	}
	return &arrow.DictionaryType{IndexType: indices, ValueType: arrow.BinaryTypes.String}
}

func appendTo(b array.Builder, v catalog.Value) {
	if v.Kind == catalog.KindNull {
		b.AppendNull()
		return
	}
	switch b := b.(type) {
	case *array.BooleanBuilder:
		b.Append(v.Bool())
	case *array.Int64Builder:
		b.Append(v.Int())
	case *array.Float64Builder:
		b.Append(v.Double())
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(v.Int()))
	case *array.StringBuilder:
		b.Append(v.Text)
	case *array.BinaryDictionaryBuilder:
		if err := b.AppendString(v.Text); err != nil {
			panic(err)
		}
	}
}

// TestFilter holds filters over batches against evaluating them row by row with
// exact numbers, and what their bounds rule out against the rows that pass.
func TestFilter(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for n := range 2000 {
		tab := randomTable(rng, 1+rng.IntN(150))
		f := &Fragment{Columns: tab.columns, Filter: randomExpr(rng, tab.columns, 3)}
		if err := f.Validate(); err != nil {
			t.Fatalf("%d: %v", n, err)
		}
		filter := NewFilter(f)
		bounds := BoundsOf(f)
		for layout := range 7 {
			selected := NewBitmap(len(tab.rows))
			selected.Fill(len(tab.rows))
			if err := filter.Select(tab.arrays(layout), len(tab.rows), selected); err != nil {
				t.Fatal(err)
			}
			for i, row := range tab.rows {
				want := truth(f.Filter, tab.columns, row) == 2
				if selected.Has(i) != want {
					t.Fatalf("%d: layout %d, row %v: passes %v, want %v: %+v", n, layout, row, selected.Has(i), want, f.Filter)
				}
				if want && !bounds.allow(&tab, row) {
					t.Fatalf("%d: bounds %+v rule out %v", n, bounds, row)
				}
			}
		}
	}
}

func (b *Bounds) allow(tab *table, row []catalog.Value) bool {
	if b.Empty() {
		return false
	}
	for c, r := range b.Ranges {
		if row[c].Kind == catalog.KindNull || !r.Meets(row[c], row[c], tab.columns[c].Result()) {
			return false
		}
	}
	return true
}

func TestBounds(t *testing.T) {
	columns := []Column{{Source: SourceTime}, {Source: SourceDistinctID}, {Source: SourceEvent}}
	leaf := func(op Op, column int, values ...catalog.Value) *Expr {
		return &Expr{Op: op, Column: column, Values: values}
	}
	all := func(op Op, args ...*Expr) *Expr { return &Expr{Op: op, Args: args} }
	tests := []struct {
		name     string
		filter   *Expr
		min, max int64
		users    []string
	}{
		{"between", all(OpAnd, leaf(OpMoreEq, 0, catalog.Int(5)), leaf(OpLess, 0, catalog.Int(9))), 5, 9, nil},
		{"or", all(OpOr, leaf(OpEqual, 0, catalog.Int(5)), leaf(OpEqual, 0, catalog.Int(9))), 5, 9, nil},
		{"or with anything", all(OpOr, leaf(OpEqual, 0, catalog.Int(5)), leaf(OpEqual, 2, catalog.String("x"))), math.MinInt64, math.MaxInt64, nil},
		{"users", leaf(OpIn, 1, catalog.String("b"), catalog.String("a"), catalog.Null, catalog.String("b")), math.MinInt64, math.MaxInt64, []string{"a", "b"}},
		{"users and user", all(OpAnd, leaf(OpIn, 1, catalog.String("b"), catalog.String("a")), leaf(OpEqual, 1, catalog.String("a"))), math.MinInt64, math.MaxInt64, []string{"a"}},
		{"no user", all(OpAnd, leaf(OpEqual, 1, catalog.String("b")), leaf(OpEqual, 1, catalog.String("a"))), math.MinInt64, math.MaxInt64, []string{}},
		{"or users", all(OpOr, leaf(OpEqual, 1, catalog.String("b")), leaf(OpEqual, 1, catalog.String("a"))), math.MinInt64, math.MaxInt64, []string{"a", "b"}},
		{"not", all(OpNot, leaf(OpEqual, 1, catalog.String("b"))), math.MinInt64, math.MaxInt64, nil},
		{"more than a user", leaf(OpMore, 1, catalog.String("b")), math.MinInt64, math.MaxInt64, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := BoundsOf(&Fragment{Columns: columns, Filter: tt.filter})
			if b.MinTime != tt.min || b.MaxTime != tt.max || !slices.Equal(b.Users, tt.users) || (b.Users == nil) != (tt.users == nil) {
				t.Errorf("bounds are %+v", b)
			}
		})
	}
}

// TestTake holds taking runs of rows against the values.
func TestTake(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	var taker Taker
	for n := range 500 {
		taker.Reset()
		tab := randomTable(rng, 20+rng.IntN(300))
		lo := rng.IntN(10)
		some := NewBitmap(len(tab.rows) - lo)
		for i := range len(tab.rows) - lo {
			if rng.IntN(1+n%9) == 0 {
				some.Set(i)
			}
		}
		runs := some.AppendRuns(nil)
		if some.Count() == 0 {
			continue
		}
		var want [][]catalog.Value
		for i, row := range tab.rows[lo:] {
			if some.Has(i) {
				want = append(want, row)
			}
		}
		for c, a := range tab.arrays(n % 7) {
			got, err := taker.Take(array.NewSlice(a, int64(lo), int64(a.Len())), runs, len(want))
			if err != nil {
				t.Fatal(err)
			}
			wantTable := table{columns: tab.columns[c : c+1]}
			for _, row := range want {
				wantTable.rows = append(wantTable.rows, row[c:c+1])
			}
			plain := wantTable.arrays(0)[0]
			if arrayTexts(got) != arrayTexts(plain) || got.NullN() != plain.NullN() {
				t.Fatalf("%d: column %d: got %v, want %v", n, c, got, plain)
			}
		}
	}
}

// arrayTexts prints an array value by value, whatever its layout.
func arrayTexts(a arrow.Array) string {
	var b strings.Builder
	for i := range a.Len() {
		fmt.Fprintf(&b, "%q,", a.ValueStr(i))
	}
	return b.String()
}

func TestRuns(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for n := range 300 {
		b := NewBitmap(1 + rng.IntN(400))
		rows := len(b) * 64
		for i := range rows {
			if (i/(1+n%70))%2 == n%2 || rng.IntN(20) == 0 {
				b.Set(i)
			}
		}
		back, last := NewBitmap(rows), -1
		for _, r := range b.AppendRuns(nil) {
			if r.Lo >= r.Hi || r.Lo <= last {
				t.Fatalf("run %v after %d", r, last)
			}
			last = r.Hi
			for i := r.Lo; i < r.Hi; i++ {
				back.Set(i)
			}
		}
		if !slices.Equal(b, back) {
			t.Fatalf("%d: runs are not the set", n)
		}
	}
}

func TestCut(t *testing.T) {
	for keep := range 8 {
		b := Batch{Rows: 10, Runs: []Run{{1, 3}, {4, 5}, {6, 10}}}
		b.Cut(keep)
		if b.Count() != min(keep, 7) {
			t.Errorf("cut to %d: %d rows in %v", keep, b.Count(), b.Runs)
		}
	}
	tab := randomTable(rand.New(rand.NewPCG(4, 4)), 10)
	b := Batch{Rows: 10, Columns: tab.arrays(0)}
	b.Cut(3)
	if b.Count() != 3 || b.Columns[2].Len() != 3 {
		t.Errorf("cut to 3: %d rows, %d values", b.Count(), b.Columns[2].Len())
	}
}

func TestFragmentEncoding(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for range 500 {
		tab := randomTable(rng, 0)
		f := &Fragment{
			Project: catalog.ProjectID(rng.Uint32()), Copies: rng.IntN(2) == 0, Runs: rng.IntN(2) == 0, Limit: rng.Int64N(3),
			Columns: append(tab.columns, Column{Source: SourceDupKind, Hidden: true}),
		}
		if rng.IntN(2) == 0 {
			f.AsOf = catalog.IngestID{Time: rng.Uint64(), Edge: 1}
			f.Policy = &catalog.Policy{Disabled: true, Key: catalog.KeyID, Missing: catalog.MissingContent}
			f.Filter = randomExpr(rng, tab.columns, 4)
		}
		if rng.IntN(2) == 0 {
			f.Computed = []Computed{{Function: "f(x)", Args: []int{0}, Type: catalog.TypeInt}, {Function: "g", Type: catalog.TypeDecimal, Precision: 9, Scale: 2, Hidden: true}}
			f.Group = &Group{Keys: []int{0, len(f.Columns)}, MaxGroups: 7, Aggregates: []Aggregate{
				{Op: AggCount}, {Op: AggPercentile, Args: []int{len(f.Columns)}, Params: []catalog.Value{catalog.Double(0.5)}}}}
			f.Order = []Order{{Column: 3, Descending: true}, {Column: 0}}
		}
		if rng.IntN(3) == 0 {
			f.Buckets = []uint16{0, 1, 7, catalog.MaxBuckets - 1}[rng.IntN(2) : rng.IntN(3)+2]
		}
		f.Measured = rng.IntN(3) == 0
		encoded := AppendFragment(nil, f)
		back, err := DecodeFragment(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(f.Buckets, back.Buckets) || (f.Buckets == nil) != (back.Buckets == nil) || f.Measured != back.Measured {
			t.Fatalf("buckets %v came back as %v, measured %t as %t", f.Buckets, back.Buckets, f.Measured, back.Measured)
		}
		if again := AppendFragment(nil, back); string(again) != string(encoded) {
			t.Fatalf("%+v came back as %+v", f, back)
		}
		for cut := range encoded {
			if _, err := DecodeFragment(encoded[:cut]); err == nil {
				t.Fatalf("the first %d of %d bytes are a fragment too", cut, len(encoded))
			}
		}
	}
	if _, err := DecodeFragment([]byte{measuredFragment + 1}); !errors.Is(err, ErrVersion) {
		t.Errorf("a newer version: %v", err)
	}
}

func TestValidate(t *testing.T) {
	column := []Column{property("n", catalog.TypeInt), property("s", catalog.TypeString)}
	nested := func(depth int) *Expr {
		x := &Expr{Op: OpIsNull}
		for range depth - 1 {
			x = &Expr{Op: OpNot, Args: []*Expr{x}}
		}
		return x
	}
	many := func(n int) []catalog.Value { return slices.Repeat([]catalog.Value{catalog.Int(1)}, n) }
	number := func(text string) *Expr {
		return &Expr{Op: OpEqual, Values: []catalog.Value{{Kind: catalog.KindNumber, Text: text}}}
	}
	tests := []struct {
		name string
		f    Fragment
		ok   bool
	}{
		{"nothing", Fragment{}, true},
		{"columns at the limit", Fragment{Columns: make([]Column, MaxColumns)}, true},
		{"columns past it", Fragment{Columns: make([]Column, MaxColumns+1)}, false},
		{"depth at the limit", Fragment{Columns: column, Filter: nested(MaxExprDepth)}, true},
		{"depth past it", Fragment{Columns: column, Filter: nested(MaxExprDepth + 1)}, false},
		{"a function at the limit", Fragment{Computed: []Computed{{Function: strings.Repeat("f", MaxFunctionBytes), Type: catalog.TypeInt}}}, true},
		{"functions past it", Fragment{Computed: []Computed{{Function: strings.Repeat("f", MaxFunctionBytes), Type: catalog.TypeInt}, {Function: "f", Type: catalog.TypeInt}}}, false},
		{"constants at the limit", Fragment{Columns: column, Filter: &Expr{Op: OpIn, Values: many(MaxExprValues)}}, true},
		{"constants past it", Fragment{Columns: column, Filter: &Expr{Op: OpIn, Values: many(MaxExprValues + 1)}}, false},
		{"expressions past the limit", Fragment{Columns: column, Filter: &Expr{Op: OpAnd, Args: slices.Repeat([]*Expr{{Op: OpIsNull}}, MaxExprNodes)}}, false},
		{"exponent at the limit", Fragment{Columns: column, Filter: number(fmt.Sprintf("1e%d", MaxExponent))}, true},
		{"exponent past it", Fragment{Columns: column, Filter: number(fmt.Sprintf("1e%d", MaxExponent+1))}, false},
		{"digits past the limit", Fragment{Columns: column, Filter: number(strings.Repeat("1", MaxNumberBytes+1))}, false},
		{"a fraction", Fragment{Columns: column, Filter: number("1/3")}, false},
		{"hexadecimal", Fragment{Columns: column, Filter: number("0x10")}, false},
		{"no such column", Fragment{Columns: column, Filter: &Expr{Op: OpIsNull, Column: 2}}, false},
		{"a text for a number", Fragment{Columns: column, Filter: &Expr{Op: OpEqual, Values: []catalog.Value{catalog.String("1")}}}, false},
		{"a number for a text", Fragment{Columns: column, Filter: &Expr{Op: OpEqual, Column: 1, Values: many(1)}}, false},
		{"prefix of a number", Fragment{Columns: column, Filter: &Expr{Op: OpPrefix, Values: many(1)}}, false},
		{"not a number", Fragment{Columns: column, Filter: &Expr{Op: OpEqual, Values: []catalog.Value{catalog.Double(math.NaN())}}}, false},
		{"and of nothing", Fragment{Columns: column, Filter: &Expr{Op: OpAnd}}, false},
		{"no such operator", Fragment{Columns: column, Filter: &Expr{Op: 99}}, false},
		{"no such source", Fragment{Columns: []Column{{Source: SourceShard + 1}}}, false},
		{"no such type", Fragment{Columns: []Column{{Type: catalog.TypeDecimal + 1}}}, false},
		{"a limit below nothing", Fragment{Limit: -1}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.f.Validate(); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrFragment) {
				t.Errorf("Validate: %v, want ok=%v", err, tt.ok)
			}
		})
	}
}

// FuzzDecodeFragment: whatever the bytes, they are a valid fragment that encodes
// to the same meaning, or an error.
func FuzzDecodeFragment(f *testing.F) {
	rng := rand.New(rand.NewPCG(6, 6))
	for range 20 {
		tab := randomTable(rng, 0)
		f.Add(AppendFragment(nil, &Fragment{Project: 3, Columns: tab.columns, Filter: randomExpr(rng, tab.columns, 3)}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fragment, err := DecodeFragment(b)
		if err != nil {
			return
		}
		again, err := DecodeFragment(AppendFragment(nil, fragment))
		if err != nil {
			t.Fatalf("what was decoded does not decode again: %v", err)
		}
		if string(AppendFragment(nil, again)) != string(AppendFragment(nil, fragment)) {
			t.Fatal("what was decoded changes when encoded again")
		}
	})
}
