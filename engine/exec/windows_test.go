package exec

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// windowTypes are the types of the columns of windowRows: two that rows are parted and
// sorted by, and arguments.
var windowTypes = []catalog.Type{
	catalog.TypeString, catalog.TypeInt, catalog.TypeDatetime, catalog.TypeInt, catalog.TypeDouble, catalog.TypeDecimal, catalog.TypeString, catalog.TypeBool,
}

const windowScale = 2

// windowValue is a random value of a type, sometimes null or hard.
func windowValue(r *rand.Rand, t catalog.Type, hard bool) catalog.Value {
	if r.IntN(5) == 0 {
		return catalog.Null
	}
	switch t {
	case catalog.TypeInt, catalog.TypeDatetime:
		if hard && r.IntN(4) == 0 {
			return catalog.Int([]int64{math.MaxInt64, math.MinInt64, math.MaxInt64 - 1}[r.IntN(3)])
		}
		return catalog.Int(r.Int64N(7) - 3)
	case catalog.TypeDouble:
		if hard && r.IntN(4) == 0 {
			return catalog.Double([]float64{1e300, 1.0 / 3, 5e-324, -1e17, 0.1234567}[r.IntN(5)])
		}
		return catalog.Double(float64(r.IntN(200)-100) / 8)
	case catalog.TypeDecimal:
		text := fmt.Sprintf("%d.%02d", r.IntN(20)-10, r.IntN(100))
		if hard && r.IntN(4) == 0 {
			text = "123456789012345678901234567890.12"
		}
		return catalog.Value{Kind: catalog.KindNumber, Text: text}
	case catalog.TypeBool:
		return catalog.Bool(r.IntN(2) == 0)
	}
	return catalog.String([]string{"", "a", "b", "ä\x00b", "c"}[r.IntN(5)])
}

// windowRows are random rows sorted by the first two columns, the second one descending
// if that is asked for.
func windowRows(r *rand.Rand, n int, hard, descending bool) [][]catalog.Value {
	rows := make([][]catalog.Value, n)
	for i := range rows {
		for k, t := range windowTypes {
			rows[i] = append(rows[i], windowValue(r, t, hard && k > 0))
		}
	}
	key := func(v catalog.Value, t catalog.Type, down bool) string { return string(AppendSortKey(nil, v, t, down)) }
	slices.SortStableFunc(rows, func(a, b []catalog.Value) int {
		return cmp.Or(cmp.Compare(key(a[0], windowTypes[0], false), key(b[0], windowTypes[0], false)),
			cmp.Compare(key(a[1], windowTypes[1], descending), key(b[1], windowTypes[1], descending)))
	})
	return rows
}

// windowBatch makes a batch of rows, with dictionaries or without.
func windowBatch(t *testing.T, rows [][]catalog.Value, coded bool) *Batch {
	b := &Batch{Rows: len(rows)}
	for k, typ := range windowTypes {
		a, err := valueArray(typ, len(rows), func(i int) catalog.Value { return rows[i][k] })
		if err != nil {
			t.Fatal(err)
		}
		a = asBatchColumn(a, typ)
		if coded && typ == catalog.TypeString {
			a = asBatchColumn(a, catalog.TypeDecimal) // a dictionary of its words
		}
		b.Columns = append(b.Columns, a)
	}
	return b
}

// naiveWindow computes a function for row i of a partition, by its definition.
func naiveWindow(p *WindowPlan, f *WindowFunction, part [][]catalog.Value, i int) string {
	same := func(a, b int) bool {
		if f.Order > len(p.Order) {
			return a == b
		}
		for _, column := range p.Order[:f.Order] {
			if !sameKey(part[a][column], part[b][column], windowTypes[column]) {
				return false
			}
		}
		return true
	}
	first, last := i, i // peers
	for first > 0 && same(first-1, i) {
		first--
	}
	for last+1 < len(part) && same(last+1, i) {
		last++
	}
	groups := 1
	for k := 1; k <= i; k++ {
		if !same(k, k-1) {
			groups++
		}
	}
	show := func(v catalog.Value) string {
		if v.Kind == catalog.KindNull {
			return "NULL"
		}
		return fmt.Sprint(v.Kind, v.Bits, v.Text)
	}
	at := func(k int) string {
		if k < 0 || k >= len(part) {
			return show(f.Default)
		}
		return show(part[k][f.Arg])
	}
	switch f.Op {
	case WindowRowNumber:
		return strconv.Itoa(i + 1)
	case WindowRank:
		return strconv.Itoa(first + 1)
	case WindowDenseRank:
		return strconv.Itoa(groups)
	case WindowPercentRank:
		if len(part) == 1 {
			return "0"
		}
		return fmt.Sprint(float64(first) / float64(len(part)-1))
	case WindowCumeDist:
		return fmt.Sprint(float64(last+1) / float64(len(part)))
	case WindowTiles:
		for tile, row := 1, 0; ; tile++ { // dealt out
			size := len(part) / int(f.N)
			if tile <= len(part)%int(f.N) {
				size++
			}
			if row += size; i < row {
				return strconv.Itoa(tile)
			}
		}
	case WindowBefore:
		return at(i - int(f.N))
	}
	var frame []int
	for k := range part {
		if in(p, f, part, i, k, first, last) {
			frame = append(frame, k)
		}
	}
	var known []catalog.Value
	if f.Arg >= 0 {
		for _, k := range frame {
			if part[k][f.Arg].Kind != catalog.KindNull {
				known = append(known, part[k][f.Arg])
			}
		}
	}
	place := -1
	switch f.Op {
	case WindowFirst:
		place = 0
	case WindowLast:
		place = len(frame) - 1
	case WindowNth:
		place = int(f.N) - 1
	case WindowCount:
		if f.Arg < 0 {
			return strconv.Itoa(len(frame))
		}
		return strconv.Itoa(len(known))
	case WindowSum, WindowAverage:
		return naiveSum(f, known)
	case WindowMin, WindowMax:
		if len(known) == 0 {
			return "NULL"
		}
		best := known[0]
		for _, v := range known[1:] {
			a, b := AppendSortKey(nil, v, windowTypes[f.Arg], f.Op == WindowMax), AppendSortKey(nil, best, windowTypes[f.Arg], f.Op == WindowMax)
			if string(a) < string(b) {
				best = v
			}
		}
		return show(best)
	}
	if place < 0 || place >= len(frame) {
		return "NULL"
	}
	return show(part[frame[place]][f.Arg])
}

// in reports whether row k is in the frame of row i, whose peers are given.
func in(p *WindowPlan, f *WindowFunction, part [][]catalog.Value, i, k, first, last int) bool {
	if f.Frame.ByRows {
		from := map[BoundKind]int{BoundNone: 0, BoundCurrent: i, BoundBefore: i - int(f.Frame.Start.N), BoundAfter: i + int(f.Frame.Start.N)}[f.Frame.Start.Kind]
		to := map[BoundKind]int{BoundNone: len(part) - 1, BoundCurrent: i, BoundBefore: i - int(f.Frame.End.N), BoundAfter: i + int(f.Frame.End.N)}[f.Frame.End.Kind]
		return from <= k && k <= to
	}
	behind := func(b WindowBound, start bool) bool { // k is not before, or not after, the bound
		if b.Kind == BoundNone {
			return true
		}
		mine := part[i][p.Order[0]]
		if b.Kind == BoundCurrent || mine.Kind == catalog.KindNull {
			return start && k >= first || !start && k <= last
		}
		other := part[k][p.Order[0]]
		if other.Kind == catalog.KindNull { // at the beginning, or at the end if descending
			return start == p.Descending[0]
		}
		limit, v := new(big.Int).SetInt64(b.N), big.NewInt(other.Int())
		if (b.Kind == BoundAfter) == p.Descending[0] {
			limit.Neg(limit)
		}
		c := v.Cmp(limit.Add(limit, big.NewInt(mine.Int())))
		if p.Descending[0] {
			c = -c
		}
		return start && c >= 0 || !start && c <= 0
	}
	return behind(f.Frame.Start, true) && behind(f.Frame.End, false)
}

// naiveSum is a sum or an average, exact and rounded once.
func naiveSum(f *WindowFunction, values []catalog.Value) string {
	if len(values) == 0 {
		return "NULL"
	}
	sum := new(big.Rat)
	for _, v := range values {
		x := new(big.Rat)
		switch v.Kind {
		case catalog.KindDouble:
			if unit, ok := millionths(v.Double()); ok {
				x.SetFrac64(unit, million)
			} else {
				x.SetFloat64(v.Double())
			}
		case catalog.KindNumber:
			x.SetString(v.Text)
		default:
			x.SetInt64(int64(v.Bits))
		}
		sum.Add(sum, x)
	}
	scale := 0
	switch t := windowTypes[f.Arg]; {
	case t == catalog.TypeDouble:
		d, _ := sum.Float64()
		if f.Op == WindowAverage {
			d /= float64(len(values))
		}
		return fmt.Sprint(catalog.KindDouble, math.Float64bits(d+0))
	case t == catalog.TypeDecimal:
		scale = windowScale
	}
	if f.Op == WindowAverage {
		sum.Quo(sum, new(big.Rat).SetInt64(int64(len(values))))
		scale = f.Scale
	}
	return sum.FloatString(scale)
}

// TestWindows compares windows over batches of any size with their definition.
func TestWindows(t *testing.T) {
	rounds := 3000
	if testing.Short() {
		rounds = 500
	}
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	running := map[WindowOp]int{} // functions of partitions that were given in pieces
	for round := range rounds {
		descending, hard := r.IntN(2) == 0, r.IntN(3) == 0
		rows := windowRows(r, r.IntN(40), hard, descending)
		p := &WindowPlan{Types: windowTypes, Partition: []int{0}, Order: []int{1}, Descending: []bool{descending}}
		if r.IntN(4) == 0 { // one partition, by the same order
			p.Partition, p.Order, p.Descending = nil, []int{0, 1}, []bool{false, descending}
		}
		p.Unique = r.IntN(4) == 0
		pieces := r.IntN(2) == 0
		for range 1 + r.IntN(4) {
			f := randomWindow(r, p)
			for pieces && !f.runs(len(p.Order)) {
				f = randomWindow(r, p)
			}
			p.Functions = append(p.Functions, f)
		}
		held, most := int64(0), int64(0)
		p.Take = func(n int64) error {
			held += n
			most = max(most, held)
			return nil
		}
		var got [][]string
		w, err := NewWindows(p, func(b *Batch) error {
			for i := range b.Rows {
				got = append(got, shownRow(t, p, b, i))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if pieces {
			w.piece = 1 + r.IntN(6)
		}
		coded := r.IntN(2) == 0
		for lo := 0; lo < len(rows); {
			hi := min(lo+1+r.IntN(12), len(rows))
			if err := w.Add(windowBatch(t, rows[lo:hi], coded)); err != nil {
				t.Fatalf("seed %d round %d: %v", seed, round, err)
			}
			if w.running != nil {
				for _, f := range p.Functions {
					running[f.Op]++
				}
			}
			lo = hi
		}
		if err := w.Finish(); err != nil {
			t.Fatalf("seed %d round %d: %v", seed, round, err)
		}
		if len(got) != len(rows) || held != 0 || len(rows) > 0 && most == 0 {
			t.Fatalf("seed %d round %d: %d rows of %d, %d bytes held, %d at most", seed, round, len(got), len(rows), held, most)
		}
		for lo := 0; lo < len(rows); {
			hi := lo + 1
			for hi < len(rows) && (len(p.Partition) == 0 || sameKey(rows[hi][0], rows[lo][0], windowTypes[0])) {
				hi++
			}
			for i := lo; i < hi; i++ {
				for k := range p.Functions {
					if want := naiveWindow(p, &p.Functions[k], rows[lo:hi], i-lo); got[i][k] != want {
						t.Fatalf("seed %d round %d: row %d of [%d, %d), %+v of %+v: %s, want %s", seed, round, i, lo, hi, p.Functions[k], p, got[i][k], want)
					}
				}
			}
			lo = hi
		}
	}
	for op := WindowRowNumber; op <= WindowMax; op++ {
		never := op == WindowPercentRank || op == WindowCumeDist || op == WindowTiles
		if never != (running[op] == 0) {
			t.Errorf("seed %d: function %d was computed in pieces %d times", seed, op, running[op])
		}
	}
}

// randomWindow is a function that a plan may have.
func randomWindow(r *rand.Rand, p *WindowPlan) WindowFunction {
	f := WindowFunction{Op: WindowOp(r.IntN(int(WindowMax) + 1)), Arg: 3 + r.IntN(len(windowTypes)-3), N: int64(1 + r.IntN(5)), Order: r.IntN(len(p.Order) + 1 + int(boolByte(p.Unique))), ArgScale: windowScale, Scale: 4}
	bound := func() WindowBound { return WindowBound{Kind: BoundKind(r.IntN(4)), N: int64(r.IntN(4))} }
	f.Frame = WindowFrame{ByRows: r.IntN(2) == 0, Start: bound(), End: bound()}
	if !f.Frame.ByRows && (f.Frame.Start.byValue() || f.Frame.End.byValue()) {
		if f.Order = 1; windowTypes[p.Order[0]] != catalog.TypeInt {
			f.Frame.Start.Kind, f.Frame.End.Kind = BoundNone, BoundCurrent
		}
	}
	switch f.Op {
	case WindowBefore:
		if r.IntN(2) == 0 {
			f.N = -f.N
		}
		if r.IntN(2) == 0 {
			for f.Default.Kind == catalog.KindNull {
				f.Default = windowValue(r, windowTypes[f.Arg], false)
			}
		}
	case WindowCount:
		if r.IntN(2) == 0 {
			f.Arg = -1
		}
	case WindowSum, WindowAverage:
		for windowTypes[f.Arg] == catalog.TypeString {
			f.Arg = 3 + r.IntN(len(windowTypes)-3)
		}
		if windowTypes[f.Arg] == catalog.TypeDecimal {
			f.Scale = windowScale + 4
		}
	}
	return f
}

// shownRow are the results of a row.
func shownRow(t *testing.T, p *WindowPlan, b *Batch, row int) []string {
	t.Helper()
	var out []string
	for k := range p.Functions {
		f, a := &p.Functions[k], b.Columns[len(p.Types)+k]
		if a.Len() != b.Rows {
			t.Fatalf("a column of %d rows, want %d", a.Len(), b.Rows)
		}
		typ := catalog.TypeDecimal
		switch {
		case f.Op == WindowBefore || f.Op == WindowFirst || f.Op == WindowLast || f.Op == WindowNth || f.Op == WindowMin || f.Op == WindowMax:
			typ = p.Types[f.Arg]
		case a.DataType().ID() == arrow.INT64:
			typ = catalog.TypeInt
		case a.DataType().ID() == arrow.FLOAT64:
			typ = catalog.TypeDouble
		}
		at, err := valuesOf(a, typ)
		if err != nil {
			t.Fatal(err)
		}
		v := at(row)
		switch {
		case v.Kind == catalog.KindNull:
			out = append(out, "NULL")
		case f.Op >= WindowBefore && f.Op <= WindowNth || f.Op == WindowMin || f.Op == WindowMax:
			out = append(out, fmt.Sprint(v.Kind, v.Bits, v.Text))
		case v.Kind == catalog.KindNumber:
			out = append(out, v.Text)
		case v.Kind == catalog.KindDouble && (f.Op == WindowSum || f.Op == WindowAverage):
			out = append(out, fmt.Sprint(v.Kind, math.Float64bits(v.Double()+0)))
		case v.Kind == catalog.KindDouble:
			out = append(out, fmt.Sprint(v.Double()))
		default:
			out = append(out, strconv.FormatInt(v.Int(), 10))
		}
	}
	return out
}

// TestWindowMemory has a partition that does not fit end with the limit's error: all of one
// where the number of its rows is asked for, and otherwise a piece of it, however many there
// are. At the limit there is an answer, and one byte below there is none.
func TestWindowMemory(t *testing.T) {
	rows := windowRows(rand.New(rand.NewPCG(1, 2)), 64, false, false)
	ask := func(op WindowOp, batches int, limit int64) (most int64, err error) {
		held, given := int64(0), 0
		p := &WindowPlan{Types: windowTypes, Order: []int{1}, Descending: []bool{false}, Functions: []WindowFunction{
			{Op: op, Arg: -1, Order: 1}, {Op: WindowSum, Arg: 3, Order: 1, Frame: WindowFrame{ByRows: true, End: WindowBound{Kind: BoundCurrent}}}, {Op: WindowBefore, N: 5, Arg: 6, Order: 1}}}
		p.Take = func(n int64) error {
			held += n
			if most = max(most, held); held > limit {
				return ErrMemory
			}
			return nil
		}
		w, err := NewWindows(p, func(b *Batch) error { given += b.Rows; return nil })
		if err != nil {
			t.Fatal(err)
		}
		if w.piece > 0 {
			w.piece = 256
		}
		for range batches {
			if err := w.Add(windowBatch(t, rows, false)); err != nil {
				return most, err
			}
		}
		if err := w.Finish(); err != nil {
			return most, err
		}
		if given != batches*len(rows) || held != 0 {
			t.Errorf("function %d gives %d rows of %d, and holds %d bytes", op, given, batches*len(rows), held)
		}
		return most, nil
	}
	for _, op := range []WindowOp{WindowRowNumber, WindowPercentRank} {
		of := map[int]int64{}
		for _, batches := range []int{100, 400} {
			most, err := ask(op, batches, math.MaxInt64)
			if err != nil {
				t.Fatal(err)
			}
			if of[batches] = most; most == 0 {
				t.Errorf("function %d holds nothing", op)
			}
			if _, err := ask(op, batches, most); err != nil {
				t.Errorf("function %d of %d batches, with just enough memory: %v", op, batches, err)
			}
			if _, err := ask(op, batches, most-1); !errors.Is(err, ErrMemory) {
				t.Errorf("function %d of %d batches, with one byte too little: %v", op, batches, err)
			}
		}
		if grows := of[400] > 2*of[100]; grows != (op == WindowPercentRank) {
			t.Errorf("function %d holds %d bytes of four times as many rows as %d", op, of[400], of[100])
		}
	}
}

// TestRoundedSums compares the rounding of exact sums with that of big numbers.
func TestRoundedSums(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		var s exactSum
		for range 1 + r.IntN(8) {
			s.addTimes((r.Float64()-0.5)*math.Ldexp(1, r.IntN(60)-20), 1+r.Uint64N(3))
		}
		if s.rest != nil {
			continue
		}
		want, _ := s.exact().Float64()
		if got := s.rounded(); got != want {
			t.Fatalf("%v, want %v, of %x %x %x", got, want, s.hi, s.mid, s.lo)
		}
	}
}
