package exec

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"arbor/catalog"
)

// joinTypes are the columns of both sides: the key, a moment that rows are sorted by, another
// one that may be null, and values.
var joinTypes = []catalog.Type{
	catalog.TypeString, catalog.TypeDatetime, catalog.TypeDatetime, catalog.TypeInt, catalog.TypeDouble, catalog.TypeDecimal, catalog.TypeString, catalog.TypeBool,
}

// joinRows are random rows in order.
func joinRows(r *rand.Rand, n, keys int) [][]catalog.Value {
	rows := make([][]catalog.Value, n)
	for i := range rows {
		key := catalog.Null
		if r.IntN(8) > 0 {
			key = catalog.String(fmt.Sprint("u", r.IntN(keys)*r.IntN(2)+r.IntN(keys)))
		}
		at := catalog.Int(r.Int64N(20))
		if r.IntN(30) == 0 {
			at = catalog.Int([]int64{math.MaxInt64, math.MinInt64}[r.IntN(2)])
		}
		rows[i] = []catalog.Value{key, at}
		for _, t := range joinTypes[2:] {
			rows[i] = append(rows[i], windowValue(r, t, false))
		}
	}
	slices.SortStableFunc(rows, func(a, b []catalog.Value) int {
		return cmp.Or(cmp.Compare(AppendSortKey(nil, a[0], joinTypes[0], false)[0], AppendSortKey(nil, b[0], joinTypes[0], false)[0]),
			cmp.Compare(a[0].Text, b[0].Text), cmp.Compare(a[1].Int(), b[1].Int()))
	})
	return rows
}

// joinBatches cuts rows into batches.
func joinBatches(t *testing.T, r *rand.Rand, rows [][]catalog.Value) []*Batch {
	var batches []*Batch
	for len(rows) > 0 {
		part := rows[:1+r.IntN(min(len(rows), 40))]
		rows = rows[len(part):]
		b := &Batch{Rows: len(part)}
		coded := r.IntN(2) == 0
		for k, typ := range joinTypes {
			a, err := valueArray(typ, len(part), func(i int) catalog.Value { return part[i][k] })
			if err != nil {
				t.Fatal(err)
			}
			if a = asBatchColumn(a, typ); coded && typ == catalog.TypeString {
				a = asBatchColumn(a, catalog.TypeDecimal) // a dictionary of its words
			}
			b.Columns = append(b.Columns, a)
		}
		batches = append(batches, b)
	}
	return batches
}

// naivePair reports whether two rows fulfil spans and the filter.
func naivePair(p *JoinPlan, filtered bool, l, r []catalog.Value) bool {
	if l[0].Kind == catalog.KindNull || r[0].Kind == catalog.KindNull || l[0].Text != r[0].Text {
		return false
	}
	for _, s := range p.Spans {
		a, b := l[s.Left], r[s.Right]
		if a.Kind == catalog.KindNull || b.Kind == catalog.KindNull || !s.OfLeft.has(a.Int()) || !s.OfRight.has(b.Int()) {
			return false
		}
		if b.Int() < added(a.Int(), s.Least) || b.Int() > added(a.Int(), s.Greatest) {
			return false
		}
	}
	for _, e := range p.Equals {
		a, b := l[e.Left], r[e.Right]
		if a.Kind == catalog.KindNull || b.Kind == catalog.KindNull || a.Text != b.Text {
			return false
		}
	}
	return !filtered || l[3].Kind != catalog.KindNull && r[3].Kind != catalog.KindNull && l[3].Int() > -2 && r[3].Int() < 2
}

func TestJoinsAreAsDefined(t *testing.T) {
	for seed := range uint64(600) {
		r := rand.New(rand.NewPCG(seed, 5))
		keys := 1 + r.IntN(12)
		left, right := joinRows(r, r.IntN(150), keys), joinRows(r, r.IntN(150), keys)
		p := &JoinPlan{Kind: JoinKind(r.IntN(4)), Ended: func() error { return nil }}
		p.Left, p.Right = JoinSide{joinTypes, 0, 1}, JoinSide{joinTypes, 0, 1}
		if r.IntN(3) == 0 {
			p.Right.Then = -1
		}
		for range r.IntN(3) {
			s := JoinSpan{Left: 1 + r.IntN(2), Right: 1 + r.IntN(2), Least: r.Int64N(9) - 4, Greatest: math.MaxInt64, OfLeft: AllMoments, OfRight: AllMoments}
			if r.IntN(2) == 0 {
				s.Greatest = s.Least + r.Int64N(6)
			}
			if r.IntN(3) == 0 {
				s.OfLeft.Least, s.OfRight.Greatest = 3, 15
			}
			p.Spans = append(p.Spans, s)
		}
		if r.IntN(4) == 0 {
			p.Equals = []JoinEqual{{6, 6}}
		}
		partial := p.Kind == JoinSemi || p.Kind == JoinAnti
		filtered := r.IntN(2) == 0
		p.Weighs = !filtered && !partial && r.IntN(3) == 0
		if r.IntN(4) > 0 || filtered {
			for side := range 2 {
				for k := range joinTypes {
					if side == 1 && p.Weighs {
						continue
					}
					p.Columns = append(p.Columns, JoinColumn{side == 1, k})
				}
			}
		}
		if filtered {
			f := &Fragment{Filter: &Expr{Op: OpAnd, Args: []*Expr{
				{Op: OpMore, Column: 3, Values: []catalog.Value{catalog.Int(-2)}}, {Op: OpLess, Column: len(joinTypes) + 3, Values: []catalog.Value{catalog.Int(2)}}}}}
			for _, c := range p.Columns {
				f.Columns = append(f.Columns, Column{Property: fmt.Sprint("p", c.Column, c.Right), Type: joinTypes[c.Column], Precision: 20, Scale: windowScale, Hidden: true})
			}
			var err error
			if p.Filter, err = NewPlan(f, Options{}); err != nil {
				t.Fatal(err)
			}
		}
		held := int64(0)
		p.Take = func(n int64) error { held += n; return nil }

		var want []string
		add := func(l, r []catalog.Value) {
			text := ""
			for _, c := range p.Columns {
				switch {
				case !c.Right:
					text += fmt.Sprint(l[c.Column], " ")
				case r != nil:
					text += fmt.Sprint(r[c.Column], " ")
				case !partial:
					text += fmt.Sprint(catalog.Null, " ")
				}
			}
			want = append(want, text)
		}
		for _, l := range left {
			found := 0
			for _, x := range right {
				if naivePair(p, filtered, l, x) {
					if found++; !partial {
						add(l, x)
					}
				}
			}
			if found == 0 && (p.Kind == JoinLeft || p.Kind == JoinAnti) || found > 0 && p.Kind == JoinSemi {
				add(l, nil)
			}
		}

		var got []string
		last := ""
		batches := joinBatches(t, r, right)
		j, err := NewJoin(p, func() (*Batch, error) {
			if len(batches) == 0 {
				return nil, nil
			}
			b := batches[0]
			batches = batches[1:]
			return b, nil
		}, func(b *Batch) error {
			for row := range b.Rows {
				text := ""
				if len(b.Columns) > 0 {
					at, err := valuesOf(b.Columns[0], catalog.TypeString)
					if err != nil {
						return err
					}
					if key := at(row).Text; key < last {
						t.Errorf("seed %d: %q comes after %q", seed, key, last)
					} else {
						last = key
					}
				}
				for i, a := range b.Columns {
					if a == nil {
						continue
					}
					at, err := valuesOf(a, joinTypes[p.Columns[i].Column])
					if err != nil {
						return err
					}
					text += fmt.Sprint(at(row), " ")
				}
				times := int64(1)
				if b.Weights != nil {
					times = b.Weights[row]
				}
				for range times {
					got = append(got, text)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range joinBatches(t, r, left) {
			if err := j.Add(b); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		if err := j.Finish(); err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d, %d spans, filter %v, kind %d: %d rows, want %d\n%q\n%q", seed, len(p.Spans), filtered, p.Kind, len(got), len(want), got, want)
		}
		if held != 0 {
			t.Fatalf("seed %d: %d bytes are still held", seed, held)
		}
	}
}

// More pairs than a batch has come in several, also where the filter leaves few of them.
func TestJoinOfOneKeyComesInBatches(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	rows := joinRows(r, 700, 1)
	known := 0
	for _, x := range rows {
		if x[0].Kind != catalog.KindNull {
			known++
		}
	}
	for _, columns := range [][]JoinColumn{nil, {{true, 3}}} {
		p := &JoinPlan{Left: JoinSide{joinTypes, 0, 1}, Right: JoinSide{joinTypes, 0, 1}, Columns: columns, Take: func(int64) error { return nil }, Ended: func() error { return nil }}
		batches, got, most := joinBatches(t, r, rows), 0, 0
		j, err := NewJoin(p, func() (*Batch, error) {
			if len(batches) == 0 {
				return nil, nil
			}
			b := batches[0]
			batches = batches[1:]
			return b, nil
		}, func(b *Batch) error {
			got, most = got+b.Rows, max(most, b.Rows)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range joinBatches(t, r, rows) {
			if err := j.Add(b); err != nil {
				t.Fatal(err)
			}
		}
		if got != known*known || most > MaxBatchRows {
			t.Errorf("%d pairs in batches of up to %d, want %d", got, most, known*known)
		}
	}
}

func TestJoinsRefuseWhatIsNotInOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	rows := joinRows(r, 100, 9)
	batches := joinBatches(t, r, rows)
	slices.Reverse(batches)
	p := &JoinPlan{Left: JoinSide{joinTypes, 0, 1}, Right: JoinSide{joinTypes, 0, 1}, Take: func(int64) error { return nil }, Ended: func() error { return nil }}
	for _, wrong := range []string{"left", "right"} {
		left, right := joinBatches(t, r, rows), slices.Clone(batches)
		if wrong == "left" {
			left, right = right, left
		}
		j, err := NewJoin(p, func() (*Batch, error) {
			if len(right) == 0 {
				return nil, nil
			}
			b := right[0]
			right = right[1:]
			return b, nil
		}, func(*Batch) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range left {
			if err = j.Add(b); err != nil {
				break
			}
		}
		if !errors.Is(err, ErrFragment) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}
