package exec

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// sortFragment asks for all columns of windowRows and half of the first number, in a random
// order.
func sortFragment(r *rand.Rand) *Fragment {
	f := &Fragment{}
	for i, t := range windowTypes {
		c := Column{Property: fmt.Sprint(i), Type: t}
		if t == catalog.TypeDecimal {
			c.Precision, c.Scale = catalog.MaxPrecision, windowScale
		}
		f.Columns = append(f.Columns, c)
	}
	f.Computed = []Computed{{Function: "half", Args: []int{3}, Type: catalog.TypeInt}}
	for range 1 + r.IntN(3) {
		f.Order = append(f.Order, Order{Column: r.IntN(len(windowTypes) + 1), Descending: r.IntN(2) == 0})
	}
	if r.IntN(2) == 0 {
		f.Filter = &Expr{Op: OpMore, Column: 3, Values: []catalog.Value{catalog.Int(-2)}}
	}
	return f
}

// naiveOrder compares two rows by columns.
func naiveOrder(order []Order, types []catalog.Type, a, b []catalog.Value) int {
	for _, o := range order {
		x, y := a[o.Column], b[o.Column]
		c := 0
		switch {
		case x.Kind == catalog.KindNull || y.Kind == catalog.KindNull:
			if x.Kind != y.Kind {
				c = 1
				if x.Kind == catalog.KindNull {
					c = -1
				}
			}
		default:
			c = compareValues(x, y, types[o.Column])
		}
		if o.Descending {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// shownRows are the rows of a batch, as text.
func shownRows(t *testing.T, b *Batch, types []catalog.Type) (out []string) {
	t.Helper()
	columns := make([]func(int) catalog.Value, len(types))
	for i := range types {
		var err error
		if columns[i], err = valuesOf(b.Columns[i], types[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i := range b.Rows {
		var words []string
		for _, at := range columns {
			words = append(words, fmt.Sprint(at(i)))
		}
		out = append(out, strings.Join(words, " "))
	}
	return out
}

// sortRows sorts batches and gives the rows as text.
func sortRows(t *testing.T, p *RowSortPlan, types []catalog.Type, batches []*Batch) ([]string, error) {
	t.Helper()
	var got []string
	s, err := NewRowSort(p, func(b *Batch) error {
		if b.Rows == 0 {
			t.Error("an empty batch")
		}
		got = append(got, shownRows(t, b, types)...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		if err := s.Add(b); err != nil {
			if errors.Is(err, ErrEnough) {
				return got, nil
			}
			return got, err
		}
	}
	return got, s.Finish()
}

func TestRowSort(t *testing.T) {
	types := append(slices.Clone(windowTypes), catalog.TypeInt)
	for seed := range uint64(120) {
		r := rand.New(rand.NewPCG(seed, 21))
		f, held, most := sortFragment(r), int64(0), int64(0)
		n := []int{0, 1, 50, 300, 300, 6000}[r.IntN(6)]
		rows := windowRows(r, n, true, false)
		if f.Limit = int64(r.IntN(60)); r.IntN(3) == 0 {
			f.Limit = 0
		}
		p := &RowSortPlan{
			Fragment: f, Options: Options{Functions: halves{}}, Ended: func() error { return nil },
			Take: func(n int64) error { held += n; most = max(most, held); return nil },
		}
		if r.IntN(3) == 0 { // rows come by the first column, and sometimes by the second
			f.Order = append([]Order{{Column: 0}, {Column: 1}}[:1+r.IntN(2)], f.Order...)
			p.Come = 1
		}
		if r.IntN(10) == 0 {
			f.Order, p.Come = nil, 0
		}
		var batches []*Batch
		for rest := rows; len(rest) > 0; {
			part := rest[:1+r.IntN(min(len(rest), n/8+5))]
			batches = append(batches, windowBatch(t, part, r.IntN(2) == 0))
			rest = rest[len(part):]
		}
		var want [][]catalog.Value
		for _, row := range rows {
			if f.Filter != nil && (row[3].Kind == catalog.KindNull || row[3].Int() <= -2) {
				continue
			}
			half, err := halfFunction("half").Eval(row[3:4])
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, append(slices.Clone(row), half))
		}
		slices.SortStableFunc(want, func(a, b []catalog.Value) int { return naiveOrder(f.Order, types, a, b) })
		if f.Limit > 0 {
			want = want[:min(len(want), int(f.Limit))]
		}
		got, err := sortRows(t, p, types, batches)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if len(got) != len(want) {
			t.Fatalf("seed %d: %d rows, want %d", seed, len(got), len(want))
		}
		for i, row := range want {
			if text := strings.Trim(fmt.Sprint(row), "[]"); got[i] != text {
				t.Fatalf("seed %d: row %d of %d, by %+v:\n%s\nwant\n%s", seed, i, len(want), f.Order, got[i], text)
			}
		}
		if held != 0 && (f.Limit == 0 || int64(len(want)) < f.Limit) {
			t.Errorf("seed %d: %d bytes are held at the end", seed, held)
		}
		if f.Limit > 0 && most > 4<<20 { // of rows of less than 200 bytes
			t.Errorf("seed %d: for %d rows of %d %d bytes were held", seed, f.Limit, n, most)
		}
	}
}

// Rows that come in the worst order are all kept for a while, and yet no more than some are
// held.
func TestRowSortHoldsFirstRows(t *testing.T) {
	const limit, batches, each = 10, 40, 1 << 14
	f := &Fragment{Columns: []Column{{Property: "n", Type: catalog.TypeInt}, {Property: "s", Type: catalog.TypeString}}, Order: []Order{{Descending: true}}, Limit: limit}
	held, most := int64(0), int64(0)
	p := &RowSortPlan{Fragment: f, Ended: func() error { return nil }, Take: func(n int64) error { held += n; most = max(most, held); return nil }}
	var given []int64
	s, err := NewRowSort(p, func(b *Batch) error {
		at, err := valuesOf(b.Columns[0], catalog.TypeInt)
		for i := range b.Rows {
			given = append(given, at(i).Int())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for k := range batches {
		b := &Batch{Rows: each}
		for _, c := range f.Columns {
			a, err := valueArray(c.Type, each, func(i int) catalog.Value {
				if c.Type == catalog.TypeInt {
					return catalog.Int(int64(k*each + i))
				}
				return catalog.String(strings.Repeat("x", 100))
			})
			if err != nil {
				t.Fatal(err)
			}
			b.Columns = append(b.Columns, a)
		}
		if err := s.Add(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Finish(); err != nil {
		t.Fatal(err)
	}
	var want []int64
	for i := range int64(limit) {
		want = append(want, batches*each-1-i)
	}
	if !slices.Equal(given, want) {
		t.Errorf("%v, want %v", given, want)
	}
	if held != 0 || most > 4<<20 {
		t.Errorf("%d bytes are held at the end, and were at most: %d", held, most)
	}
}

// All rows are held without a limit, as long as there is memory.
func TestRowSortMemory(t *testing.T) {
	f := &Fragment{Columns: []Column{{Property: "n", Type: catalog.TypeInt}}, Order: []Order{{}}}
	rows, err := valueArray(catalog.TypeInt, 1000, func(i int) catalog.Value { return catalog.Int(int64(-i)) })
	if err != nil {
		t.Fatal(err)
	}
	sorted := func(most int64) error {
		held := int64(0)
		p := &RowSortPlan{Fragment: f, Ended: func() error { return nil }, Take: func(n int64) error {
			if held += n; held > most {
				return ErrMemory
			}
			return nil
		}}
		_, err := sortRows(t, p, []catalog.Type{catalog.TypeInt}, []*Batch{{Columns: []arrow.Array{rows}, Rows: 1000}, {Columns: []arrow.Array{rows}, Rows: 1000}})
		return err
	}
	const needed = 2000 * (sortedRowBytes + 9 + 8)
	if err := sorted(needed); err != nil {
		t.Error(err)
	}
	if err := sorted(needed - 1); !errors.Is(err, ErrMemory) {
		t.Errorf("with a byte less: %v", err)
	}
}
