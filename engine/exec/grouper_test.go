package exec

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"arbor/catalog"
)

// halves is a Functions for tests: "half" halves an int, "len" is a text's length
// or null for the empty one, "join" joins the texts of its arguments, "day" is the
// day of a moment.
type halves struct{}

func (halves) Function(name string) (Function, error) { return halfFunction(name), nil }

type halfFunction string

func (f halfFunction) Eval(args []catalog.Value) (catalog.Value, error) {
	switch f {
	case "half":
		if args[0].Kind == catalog.KindNull {
			return catalog.Null, nil
		}
		return catalog.Int(args[0].Int() / 2), nil
	case "len":
		if args[0].Kind == catalog.KindNull || args[0].Text == "" {
			return catalog.Null, nil
		}
		return catalog.Int(int64(len(args[0].Text))), nil
	case "day":
		return catalog.Int(floorDiv(args[0].Int(), 86400_000_000)), nil
	}
	var b strings.Builder
	for _, a := range args {
		fmt.Fprintf(&b, "%d:%d:%s;", a.Kind, a.Bits, a.Text)
	}
	return catalog.String(b.String()), nil
}

// groupTable is a random table of a column of each type that can be grouped.
func groupTable(rng *rand.Rand, rows int) ([]Column, [][]catalog.Value) {
	columns := []Column{
		{Source: SourceEvent, Type: catalog.TypeString},
		{Source: SourceProperty, Property: "i", Type: catalog.TypeInt},
		{Source: SourceProperty, Property: "d", Type: catalog.TypeDouble},
		{Source: SourceProperty, Property: "b", Type: catalog.TypeBool},
		{Source: SourceProperty, Property: "m", Type: catalog.TypeDecimal, Precision: 9, Scale: 2},
		{Source: SourceTime},
		{Source: SourceIngestID},
	}
	table := make([][]catalog.Value, rows)
	many := []int{3, 40, 5000}[rng.IntN(3)]
	null := func(v catalog.Value) catalog.Value {
		if rng.IntN(7) == 0 {
			return catalog.Null
		}
		return v
	}
	for i := range table {
		n := int64(rng.IntN(many)) - int64(many/2)
		table[i] = []catalog.Value{
			catalog.String(strings.Repeat("x", rng.IntN(3)) + fmt.Sprint(rng.IntN(many))),
			null(catalog.Int(n)),
			null(catalog.Double(float64(n) * []float64{0.1, 1e30, 1e-30, 0}[rng.IntN(4)])),
			null(catalog.Bool(n%2 == 0)),
			null(catalog.Value{Kind: catalog.KindNumber, Text: fmt.Sprintf("%d.%02d", n, rng.IntN(100))}),
			catalog.Int(int64(rng.IntN(5)) * 50_000_000_000),
			catalog.String(fmt.Sprintf("%032d", i)),
		}
		if i%11 == 0 {
			table[i][1] = catalog.Int(math.MaxInt64 - int64(rng.IntN(3)))
		}
	}
	return columns, table
}

// batchOf makes a batch of rows; texts and, if coded, numbers are dictionaries.
func batchOf(t testing.TB, columns []Column, rows [][]catalog.Value, coded bool) *Batch {
	t.Helper()
	b := &Batch{Rows: len(rows)}
	for c := range columns {
		column := columns[c].Result()
		a, err := valueArray(column, len(rows), func(i int) catalog.Value { return rows[i][c] })
		if err != nil {
			t.Fatal(err)
		}
		if coded {
			a = codedArray(t, column, a)
		}
		b.Columns = append(b.Columns, a)
	}
	return b
}

// codedArray is an array as a dictionary of its values, with codes of a type that the
// number of rows chooses.
func codedArray(t testing.TB, typ catalog.Type, a arrow.Array) arrow.Array {
	t.Helper()
	v, err := VectorOf(a, typ)
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[catalog.Value]int32{}
	var entries []catalog.Value
	codes := array.NewInt32Builder(goMemory)
	for i := range v.Rows {
		value := v.plain(i)
		if value.Kind == catalog.KindNull {
			codes.AppendNull()
			continue
		}
		n, ok := numbers[value]
		if !ok {
			n = int32(len(entries))
			numbers[value] = n
			entries = append(entries, value)
		}
		codes.Append(n)
	}
	values, err := valueArray(typ, len(entries), func(i int) catalog.Value { return entries[i] })
	if err != nil {
		t.Fatal(err)
	}
	indices := arrow.Array(codes.NewArray())
	switch n := len(entries); {
	case n <= 1<<8 && v.Rows%4 > 0:
		indices = narrowed[uint8](indices.(*array.Int32), arrow.PrimitiveTypes.Uint8)
	case n <= 1<<16 && v.Rows%4 > 1:
		indices = narrowed[uint16](indices.(*array.Int32), arrow.PrimitiveTypes.Uint16)
	}
	dt := &arrow.DictionaryType{IndexType: indices.DataType(), ValueType: values.DataType()}
	return array.NewDictionaryArray(dt, indices, values)
}

// narrowed are codes of a smaller type, behind some that a slice leaves out.
func narrowed[C uint8 | uint16](codes *array.Int32, t arrow.DataType) arrow.Array {
	const before = 3
	values := make([]C, before+codes.Len())
	valid := make([]byte, len(values)/8+1)
	for i := range codes.Len() {
		values[before+i] = C(codes.Value(i))
		if codes.IsValid(i) {
			valid[(before+i)>>3] |= 1 << ((before + i) & 7)
		}
	}
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), len(values)*int(unsafe.Sizeof(values[0])))
	buffers := []*memory.Buffer{memory.NewBufferBytes(valid), memory.NewBufferBytes(bytes)}
	a := array.MakeFromData(array.NewData(t, len(values), buffers, nil, array.UnknownNullCount, 0))
	return array.NewSlice(a, before, int64(len(values)))
}

// TestGrouper holds groups of random tables, in batches of several forms, some
// rows hidden, merged from several Groupers, against groups made row by row.
func TestGrouper(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 12
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 1))
		columns, table := groupTable(rng, 1+rng.IntN(20000))
		f := &Fragment{Columns: columns, Computed: []Computed{
			{Function: "half", Args: []int{1}, Type: catalog.TypeInt},
			{Function: "len", Args: []int{0}, Type: catalog.TypeInt},
			{Function: "join", Args: []int{0, 3}, Type: catalog.TypeString},
			{Function: "day", Args: []int{5}, Type: catalog.TypeInt, Period: 86400_000_000},
		}}
		g := &Group{}
		for range rng.IntN(4) {
			g.Keys = append(g.Keys, []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 10}[rng.IntN(10)])
		}
		for range rng.IntN(6) {
			g.Aggregates = append(g.Aggregates, randomAggregate(rng))
		}
		f.Group = g
		if n := len(g.Keys) + len(g.Aggregates); n > 0 && rng.IntN(3) == 0 {
			f.Order = []Order{{Column: rng.IntN(n), Descending: rng.IntN(2) == 0}, {Column: rng.IntN(n)}}
		}
		if rng.IntN(2) == 0 {
			f.Filter = &Expr{Op: OpMore, Column: 1, Values: []catalog.Value{catalog.Int(-2)}}
			if rng.IntN(2) == 0 {
				f.Filter = &Expr{Op: OpAnd, Args: []*Expr{f.Filter, {Op: OpNot, Args: []*Expr{{Op: OpTrue, Column: 8}}}}}
			}
		}
		if err := f.Validate(); err != nil {
			t.Fatal(err)
		}
		checkGroups(t, seed, rng, f, table)
	}
}

// TestByCode holds groups by one key, whose rows are counted, or whose values are,
// against groups made row by row.
func TestByCode(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 7))
		columns, table := groupTable(rng, 1+rng.IntN(2000))
		g := &Group{Keys: []int{[]int{0, 0, 0, 1, 2, 3, 4}[rng.IntN(7)]}}
		value := []int{1, 2, 4}[rng.IntN(3)]
		for range rng.IntN(4) {
			g.Aggregates = append(g.Aggregates, Aggregate{Op: AggCount})
			if seed%2 == 0 {
				g.Aggregates[len(g.Aggregates)-1] = Aggregate{Op: AggPercentile, Args: []int{value}, Params: []catalog.Value{catalog.Double(rng.Float64())}}
			}
		}
		f := &Fragment{Columns: columns, Group: g}
		if rng.IntN(2) == 0 {
			f.Filter = &Expr{Op: OpMore, Column: 1, Values: []catalog.Value{catalog.Int(-2)}}
		}
		checkGroups(t, seed, rng, f, table)
	}
}

func randomAggregate(rng *rand.Rand) Aggregate {
	number := []int{1, 2, 4, 7, 8}[rng.IntN(5)]
	any := rng.IntN(11)
	switch rng.IntN(9) {
	case 0:
		return Aggregate{Op: AggCount}
	case 1:
		return Aggregate{Op: AggCount, Args: []int{any}}
	case 2:
		return Aggregate{Op: AggCountDistinct, Args: []int{any}}
	case 3:
		return Aggregate{Op: AggCountDistinct, Args: []int{any, number}}
	case 4:
		return Aggregate{Op: AggSum, Args: []int{number}}
	case 5:
		return Aggregate{Op: []AggregateOp{AggMin, AggMax}[rng.IntN(2)], Args: []int{any}}
	case 6:
		return Aggregate{Op: []AggregateOp{AggPercentile, AggPercentileDisc}[rng.IntN(2)], Args: []int{number}, Params: []catalog.Value{catalog.Double(rng.Float64())}}
	case 7:
		return Aggregate{Op: []AggregateOp{AggBitAnd, AggBitOr, AggBitXor}[rng.IntN(3)], Args: []int{[]int{1, 3, 7}[rng.IntN(3)]}}
	}
	return Aggregate{Op: []AggregateOp{AggFirst, AggLast}[rng.IntN(2)], Args: []int{any, 5, 6}}
}

func checkGroups(t *testing.T, seed uint64, rng *rand.Rand, f *Fragment, table [][]catalog.Value) {
	t.Helper()
	plan, err := NewPlan(f, Options{Functions: halves{}, Domains: NewDomains(1 << 20)})
	if err != nil {
		t.Fatal(err)
	}
	hidden := rng.IntN(3) // of 8 rows; 0 is none
	var meant [][]catalog.Value
	var workers []*Grouper
	for range 1 + rng.IntN(3) {
		w, err := NewGrouper(plan)
		if err != nil {
			t.Fatal(err)
		}
		workers = append(workers, w)
	}
	rows, filter := NewRows(plan), plan.NewFilter()
	for lo := 0; lo < len(table); {
		hi := min(len(table), lo+1+rng.IntN(9000))
		b := batchOf(t, f.Columns, table[lo:hi], rng.IntN(2) == 0)
		selected := NewBitmap(hi - lo)
		for i := range hi - lo {
			if hidden == 0 || rng.IntN(8) >= hidden*3 {
				selected.Set(i)
				meant = append(meant, table[lo+i])
			}
		}
		b.Runs = selected.AppendRuns(make([]Run, 0))
		if filter == nil && rng.IntN(3) == 0 && !touched(f) {
			addWeighted(t, workers[rng.IntN(len(workers))], rows, b, selected)
			lo = hi
			continue
		}
		if err := workers[rng.IntN(len(workers))].AddBatch(rows, filter, b); err != nil {
			t.Fatal(err)
		}
		lo = hi
	}
	answer := workers[0].Answer
	if rng.IntN(2) == 0 {
		answer = mergedPartials(t, rng, f, workers).Answer
	} else {
		for _, w := range workers[1:] {
			if err := workers[0].Merge(w); err != nil {
				t.Fatal(err)
			}
		}
	}
	var got []string
	err = answer(func(b *Batch) error {
		for i := range b.Rows {
			var cells []string
			for _, a := range b.Columns {
				cells = append(cells, cellText(a, i))
			}
			got = append(got, strings.Join(cells, "|"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := naiveGroups(f, meant)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		for i := range max(len(got), len(want)) {
			g, w := "nothing", "nothing"
			if i < len(got) {
				g = got[i]
			}
			if i < len(want) {
				w = want[i]
			}
			if g != w {
				t.Fatalf("seed %d, %+v, filter %v: group %d of %d is\n%s, want\n%s", seed, f.Group, f.Filter != nil, i, len(want), g, w)
			}
		}
	}
}

// touched reports whether an aggregate looks at rows one by one.
func touched(f *Fragment) bool {
	return slices.ContainsFunc(f.Group.Aggregates, func(a Aggregate) bool { return a.Op == AggFirst || a.Op == AggLast })
}

// addWeighted adds each row of a batch a second time by weight, and takes it off
// what is meant elsewhere: rows that are selected count once, by weights of 1 and
// of 0.
func addWeighted(t *testing.T, g *Grouper, r *Rows, b *Batch, selected Bitmap) {
	t.Helper()
	r.Reset(b.Rows)
	weights := make([]int64, b.Rows)
	for i, a := range b.Columns {
		v, err := VectorOf(a, g.plan.Fragment.Columns[i].Result())
		if err != nil {
			t.Fatal(err)
		}
		r.Set(i, v)
	}
	for i := range weights {
		if selected.Has(i) {
			weights[i] = 1
		}
	}
	if err := g.AddWeighted(r, nil, weights); err != nil {
		t.Fatal(err)
	}
}

// TestWeights: a row with a weight is as many rows.
func TestWeights(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for range 60 {
		columns, table := groupTable(rng, 200)
		f := &Fragment{Columns: columns, Group: &Group{Keys: []int{3}}}
		for op := AggCount; op <= AggPercentileDisc; op++ {
			a := Aggregate{Op: op, Args: []int{[]int{1, 2, 3, 4}[rng.IntN(4)]}}
			switch op {
			case AggPercentile, AggPercentileDisc:
				a.Params = []catalog.Value{catalog.Double(rng.Float64())}
			case AggBitAnd, AggBitOr, AggBitXor:
				a.Args[0] = 1
			}
			f.Group.Aggregates = append(f.Group.Aggregates, a)
		}
		if err := f.Validate(); err != nil {
			t.Fatal(err)
		}
		weights := make([]int64, len(table))
		var all [][]catalog.Value
		for i := range weights {
			weights[i] = int64(rng.IntN(4))
			for range weights[i] {
				all = append(all, table[i])
			}
		}
		if one, many := answerOf(t, f, table, weights), answerOf(t, f, all, nil); one != many {
			t.Fatalf("by weights\n%s, by rows\n%s", one, many)
		}
	}
}

// answerOf is the answer to a fragment over a table, as text.
func answerOf(t *testing.T, f *Fragment, table [][]catalog.Value, weights []int64) string {
	t.Helper()
	plan, err := NewPlan(f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := NewGrouper(plan)
	if err != nil {
		t.Fatal(err)
	}
	b, r := batchOf(t, f.Columns, table, true), NewRows(plan)
	if weights == nil {
		err = g.AddBatch(r, nil, b)
	} else {
		r.Reset(b.Rows)
		for i, a := range b.Columns {
			v, err := VectorOf(a, f.Columns[i].Result())
			if err != nil {
				t.Fatal(err)
			}
			r.Set(i, v)
		}
		err = g.AddWeighted(r, nil, weights)
	}
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	if err := g.Answer(func(b *Batch) error {
		for i := range b.Rows {
			var cells []string
			for _, a := range b.Columns {
				cells = append(cells, cellText(a, i))
			}
			lines = append(lines, strings.Join(cells, "|"))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func cellText(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return "NULL"
	}
	switch x := a.(type) {
	case *array.Int64:
		return fmt.Sprint(x.Value(i))
	case *array.Timestamp:
		return fmt.Sprint(int64(x.Value(i)))
	case *array.Float64:
		return fmt.Sprint(x.Value(i))
	case *array.Boolean:
		return fmt.Sprint(x.Value(i))
	case *array.String:
		return x.Value(i)
	}
	return fmt.Sprintf("%T", a)
}

func valueText(v catalog.Value) string {
	switch v.Kind {
	case catalog.KindNull:
		return "NULL"
	case catalog.KindBool:
		return fmt.Sprint(v.Bool())
	case catalog.KindInt:
		return fmt.Sprint(v.Int())
	case catalog.KindDouble:
		if v.Double() == 0 {
			return "0"
		}
		return fmt.Sprint(v.Double())
	}
	return v.Text
}

// naiveGroups makes the groups row by row.
func naiveGroups(f *Fragment, table [][]catalog.Value) []string {
	cell := func(row []catalog.Value, column int) catalog.Value {
		if column < len(f.Columns) {
			return row[column]
		}
		c := f.Computed[column-len(f.Columns)]
		var args []catalog.Value
		for _, a := range c.Args {
			args = append(args, row[a])
		}
		v, _ := halfFunction(c.Function).Eval(args)
		return v
	}
	groups := map[string][][]catalog.Value{}
	if len(f.Group.Keys) == 0 {
		groups[""] = nil
	}
	for _, row := range table {
		if f.Filter != nil {
			if v := row[1]; v.Kind == catalog.KindNull || v.Int() <= -2 {
				continue
			}
			if f.Filter.Op == OpAnd {
				if v := cell(row, 8); v.Kind == catalog.KindNull || v.Int() != 0 {
					continue
				}
			}
		}
		var key []string
		for _, k := range f.Group.Keys {
			key = append(key, valueText(cell(row, k)))
		}
		groups[strings.Join(key, "|")] = append(groups[strings.Join(key, "|")], row)
	}
	var out []string
	for key, rows := range groups {
		var cells []string
		if len(f.Group.Keys) > 0 {
			cells = append(cells, key)
		}
		for i := range f.Group.Aggregates {
			a := &f.Group.Aggregates[i]
			cells = append(cells, naiveAggregate(f, a, rows, cell))
		}
		out = append(out, strings.Join(cells, "|"))
	}
	return out
}

func naiveAggregate(f *Fragment, a *Aggregate, rows [][]catalog.Value, cell func([]catalog.Value, int) catalog.Value) string {
	if a.Op == AggCount && len(a.Args) == 0 {
		return fmt.Sprint(len(rows))
	}
	t, _, scale := f.ColumnType(a.Args[0])
	var values []catalog.Value
	distinct := map[string]bool{}
	best, at := catalog.Null, ""
	bits := uint64(0)
	if a.Op == AggBitAnd {
		bits = math.MaxUint64
	}
	for _, row := range rows {
		v := cell(row, a.Args[0])
		text := valueText(v)
		null := v.Kind == catalog.KindNull
		for _, more := range a.Args[1:] {
			m := cell(row, more)
			null = null || m.Kind == catalog.KindNull
			text += "|" + valueText(m)
		}
		if null {
			continue
		}
		values = append(values, v)
		distinct[text] = true
		switch a.Op {
		case AggBitAnd:
			bits &= v.Bits
		case AggBitOr:
			bits |= v.Bits
		case AggBitXor:
			bits ^= v.Bits
		case AggMin:
			if best.Kind == catalog.KindNull || compareValues(v, best, t) < 0 {
				best = v
			}
		case AggMax:
			if best.Kind == catalog.KindNull || compareValues(v, best, t) > 0 {
				best = v
			}
		case AggFirst, AggLast:
			place := fmt.Sprintf("%020d %s", row[5].Int(), row[6].Text)
			if at == "" || a.Op == AggFirst && place < at || a.Op == AggLast && place > at {
				best, at = v, place
			}
		}
	}
	switch a.Op {
	case AggCount:
		return fmt.Sprint(len(values))
	case AggCountDistinct:
		return fmt.Sprint(len(distinct))
	case AggBitAnd, AggBitOr, AggBitXor:
		return fmt.Sprint(int64(bits))
	case AggMin, AggMax, AggFirst, AggLast:
		return valueText(best)
	}
	if len(values) == 0 {
		return "NULL"
	}
	slices.SortFunc(values, func(x, y catalog.Value) int { return compareValues(x, y, t) })
	switch a.Op {
	case AggSum:
		sum := new(big.Rat)
		for _, v := range values {
			r, _ := rationalOf(v)
			if unit := math.Round(v.Double() * 1e6); t == catalog.TypeDouble && unit/1e6 == v.Double() && math.Abs(unit) < 1<<43 {
				r = new(big.Rat).SetFrac64(int64(unit), 1e6)
			}
			sum.Add(sum, r)
		}
		switch t {
		case catalog.TypeDouble:
			d, _ := sum.Float64()
			return fmt.Sprint(d)
		case catalog.TypeDecimal:
			return sum.FloatString(int(scale))
		}
		return sum.FloatString(0)
	case AggPercentileDisc:
		return valueText(values[max(0, int(math.Ceil(a.Params[0].Double()*float64(len(values))))-1)])
	}
	place := a.Params[0].Double() * float64(len(values)-1)
	low, _ := doubleOf(values[int(place)])
	high, _ := doubleOf(values[min(int(place)+1, len(values)-1)])
	return fmt.Sprint(low + (place-math.Floor(place))*(high-low))
}

// TestMergeOfHiddenRows: a worker that has seen hidden rows alone adds nothing, to
// one that has seen none either.
func TestMergeOfHiddenRows(t *testing.T) {
	columns, table := groupTable(rand.New(rand.NewPCG(4, 4)), 100)
	f := &Fragment{Columns: columns, Group: &Group{Keys: []int{0}}}
	for _, op := range []AggregateOp{AggCount, AggCountDistinct, AggSum, AggMin, AggVarPop, AggBitOr} {
		f.Group.Aggregates = append(f.Group.Aggregates, Aggregate{Op: op, Args: []int{1}})
	}
	plan, err := NewPlan(f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	none, err := NewGrouper(plan)
	if err != nil {
		t.Fatal(err)
	}
	hidden, err := NewGrouper(plan)
	if err != nil {
		t.Fatal(err)
	}
	r := NewRows(plan)
	r.Reset(len(table))
	for i, a := range batchOf(t, columns, table, true).Columns {
		v, err := VectorOf(a, columns[i].Result())
		if err != nil {
			t.Fatal(err)
		}
		r.Set(i, v)
	}
	if err := hidden.AddWeighted(r, nil, make([]int64, len(table))); err != nil {
		t.Fatal(err)
	}
	if err := none.Merge(hidden); err != nil {
		t.Fatal(err)
	}
	if err := none.Answer(func(b *Batch) error { t.Errorf("%d groups of no rows", b.Rows); return nil }); err != nil {
		t.Fatal(err)
	}
}
