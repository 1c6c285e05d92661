package exec

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"arbor/catalog"
)

var rewritePartial = flag.Bool("rewrite-partial", false, "write the golden partial anew")

// endStats are what the scans of the tests did.
var endStats = ScanStats{RowsIndexed: 3, Work: Work{FilesPruned: 1, Blocks: 5, BlocksPruned: 2, RowsZone: 300, RowsFound: 4, BytesFiles: 1 << 40, BytesLog: 7, BytesMemory: 8, TimeVisible: 9, TimeRows: 10}}

// piecesOf are the pieces of what a Grouper has, none much longer than it must be
// if small is set.
func piecesOf(t testing.TB, g *Grouper, small bool) (pieces [][]byte) {
	t.Helper()
	w := NewPartialWriter(g.plan.Fragment, func(piece []byte) error {
		pieces = append(pieces, bytes.Clone(piece))
		return nil
	})
	if small {
		w.pieceBytes, w.stateRun = 300, 7
	}
	if err := errors.Join(g.WritePartial(w), w.End(endStats)); err != nil {
		t.Fatal(err)
	}
	return pieces
}

// mergedPartials sends what each worker has made as a partial, and merges them in
// any order.
func mergedPartials(t *testing.T, rng *rand.Rand, f *Fragment, workers []*Grouper) *Merger {
	t.Helper()
	m, err := NewMerger(f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	small := rng.IntN(3) == 0
	for _, i := range rng.Perm(len(workers)) {
		p, err := m.NewPart()
		if err != nil {
			t.Fatal(err)
		}
		for _, piece := range piecesOf(t, workers[i], small) {
			if p.Ended() {
				t.Fatal("it ended before its last piece")
			}
			if err := p.Add(piece); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Take(p); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := m.Stats().RowsIndexed, int64(3*len(workers)); got != want {
		t.Fatalf("%d rows were indexed, want %d", got, want)
	}
	return m
}

// everyAggregate is a fragment with each kind of state, over the columns of
// groupTable.
func everyAggregate(columns []Column) *Fragment {
	f := &Fragment{Project: 1, Columns: columns, Group: &Group{Keys: []int{3, 0}}}
	for _, column := range []int{1, 2, 4} {
		for op := AggSum; op <= AggPercentileDisc; op++ {
			a := Aggregate{Op: op, Args: []int{column}}
			if op == AggPercentile || op == AggPercentileDisc {
				a.Params = []catalog.Value{catalog.Double(0.5)}
			}
			if (op == AggBitAnd || op == AggBitOr || op == AggBitXor) && column != 1 {
				continue
			}
			f.Group.Aggregates = append(f.Group.Aggregates, a)
		}
	}
	f.Group.Aggregates = append(f.Group.Aggregates, Aggregate{Op: AggCount}, Aggregate{Op: AggCount, Args: []int{3}},
		Aggregate{Op: AggCountDistinct, Args: []int{0}}, Aggregate{Op: AggCountDistinct, Args: []int{0, 2}},
		Aggregate{Op: AggFirst, Args: []int{4, 5, 6}}, Aggregate{Op: AggLast, Args: []int{0, 5, 6}},
		Aggregate{Op: AggBehaviour, Args: []int{5, 6, 3, 1}, Params: []catalog.Value{catalog.String(BehaviourFunnel), catalog.Int(86400)}},
		Aggregate{Op: AggBehaviour, Args: []int{5, 6, 3}, Params: []catalog.Value{catalog.String(BehaviourRetention)}})
	return f
}

func grouperOf(t testing.TB, f *Fragment, table [][]catalog.Value) *Grouper {
	t.Helper()
	plan, err := NewPlan(f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := NewGrouper(plan)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.AddBatch(NewRows(plan), nil, batchOf(t, f.Columns, table, false)); err != nil {
		t.Fatal(err)
	}
	return g
}

func answerLines(t *testing.T, answer func(func(*Batch) error) error) (lines []string) {
	t.Helper()
	err := answer(func(b *Batch) error {
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
	return lines
}

// TestPartialsAddUp divides random tables, and holds what partials of the parts
// give, in any order, against groups of the whole, for every aggregate.
func TestPartialsAddUp(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 5))
		columns, table := groupTable(rng, 1+rng.IntN(3000))
		for i := range table {
			if rng.IntN(40) == 0 { // what no fixed-point sum holds
				table[i][2] = catalog.Double([]float64{1e300, -1e300, 5e-324, math.MaxFloat64, 1.0 / 3}[rng.IntN(5)])
			}
		}
		f := everyAggregate(columns)
		f.Group.Keys = [][]int{{}, {3}, {3, 0}, {0}}[rng.IntN(4)]
		if n := len(f.Group.Aggregates); rng.IntN(2) == 0 {
			f.Order = []Order{{Column: rng.IntN(n)}}
			f.Limit = int64(1 + rng.IntN(50))
		}
		want := answerLines(t, grouperOf(t, f, table).Answer)
		parts := make([][][]catalog.Value, 1+rng.IntN(5))
		for _, row := range table {
			i := rng.IntN(len(parts))
			parts[i] = append(parts[i], row)
		}
		var workers []*Grouper
		for _, part := range parts {
			workers = append(workers, grouperOf(t, f, part))
		}
		got := answerLines(t, mergedPartials(t, rng, f, workers).Answer)
		if !slices.Equal(got, want) {
			for i := range min(len(got), len(want)) {
				if got[i] != want[i] {
					t.Fatalf("seed %d: row %d is\n%s, want\n%s", seed, i, got[i], want[i])
				}
			}
			t.Fatalf("seed %d: %d rows, want %d", seed, len(got), len(want))
		}
	}
}

// TestPartialGolden holds the bytes of a partial against those of version 1, and of
// version 3 where it is measured.
func TestPartialGolden(t *testing.T) {
	columns, _ := groupTable(rand.New(rand.NewPCG(1, 1)), 1)
	table := [][]catalog.Value{
		{catalog.String("view"), catalog.Int(-2), catalog.Double(0.25), catalog.Bool(true), {Kind: catalog.KindNumber, Text: "1.50"}, catalog.Int(1000), catalog.String(fmt.Sprintf("%032d", 1))},
		{catalog.String("buy"), catalog.Null, catalog.Double(1e300), catalog.Bool(true), catalog.Null, catalog.Int(2000), catalog.String(fmt.Sprintf("%032d", 2))},
		{catalog.String("view"), catalog.Int(math.MaxInt64), catalog.Double(1.0 / 3), catalog.Null, {Kind: catalog.KindNumber, Text: "-7.25"}, catalog.Int(900), catalog.String(fmt.Sprintf("%032d", 3))},
	}
	for _, version := range []int{pieceVersion, measuredVersion} {
		f := everyAggregate(columns)
		f.Measured = version == measuredVersion
		compareGolden(t, fmt.Sprintf("testdata/partial.v%d", version), piecesOf(t, grouperOf(t, f, table), false))
	}
}

func compareGolden(t *testing.T, golden string, pieces [][]byte) {
	t.Helper()
	var text bytes.Buffer
	for i, piece := range pieces {
		fmt.Fprintf(&text, "piece %d\n%s", i, hex.Dump(piece))
	}
	if *rewritePartial {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(golden, text.Bytes(), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text.Bytes(), want) {
		t.Fatalf("got\n%s\nwant\n%s", text.Bytes(), want)
	}
}

// TestMeasuredPartials: what scans did comes with their partials where it is asked for, also
// from an arbor that counts more than this one, and not from others.
func TestMeasuredPartials(t *testing.T) {
	columns, table := groupTable(rand.New(rand.NewPCG(3, 1)), 50)
	for _, measured := range []bool{false, true} {
		f := everyAggregate(columns)
		f.Measured = measured
		m := mergedPartials(t, rand.New(rand.NewPCG(3, 2)), f, []*Grouper{grouperOf(t, f, table), grouperOf(t, f, table[:20])})
		got := m.Stats()
		want := ScanStats{RowsIndexed: 6, Measured: measured}
		if measured {
			want.Work.Add(endStats.Work)
			want.Work.Add(endStats.Work)
		}
		want.Partials, want.BytesPartials, want.TimeMerge = 2, got.BytesPartials, got.TimeMerge
		if got != want || got.BytesPartials == 0 {
			t.Errorf("measured %t: %+v, want %+v", measured, got, want)
		}
	}
	var body []byte
	for n := range uint64(11) {
		body = binary.AppendUvarint(body, n)
	}
	known := len((&Work{}).numbers())
	body = binary.AppendUvarint(body, uint64(known+2))
	for n := range uint64(known + 2) {
		body = binary.AppendUvarint(body, 100+n)
	}
	s, err := endOf(body, measuredVersion)
	if err != nil || s.RowsGiven != 10 || s.FilesPruned != 100 || s.TimeMerge != 112 {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := endOf(body, pieceVersion); !errors.Is(err, ErrPartial) {
		t.Errorf("version 1 with more numbers: %v", err)
	}
	if _, err := endOf(body[:len(body)-1], measuredVersion); !errors.Is(err, ErrPartial) {
		t.Errorf("cut off: %v", err)
	}
}

// TestPartIsWholeOrNothing: what breaks off, comes twice, is damaged or answers
// something else is refused and changes nothing.
func TestPartIsWholeOrNothing(t *testing.T) {
	columns, table := groupTable(rand.New(rand.NewPCG(9, 1)), 200)
	f := everyAggregate(columns)
	pieces := piecesOf(t, grouperOf(t, f, table), true)
	m, err := NewMerger(f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	part := func() *Part {
		p, err := m.NewPart()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	refused := func(what string, err error, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	p := part()
	for _, piece := range pieces[:len(pieces)-1] {
		if err := p.Add(piece); err != nil {
			t.Fatal(err)
		}
	}
	refused("not whole", m.Take(p), ErrPartial)
	refused("twice", p.Add(pieces[len(pieces)-2]), ErrPartial)
	refused("after a mistake", p.Add(pieces[len(pieces)-1]), ErrPartial)
	refused("out of turn", part().Add(pieces[1]), ErrPartial)
	newer := bytes.Clone(pieces[0])
	newer[3] = measuredVersion + 1
	binary.LittleEndian.PutUint32(newer[4:], pieceSum(newer))
	refused("newer", part().Add(newer), ErrVersion)
	for i := range pieces[0] {
		damaged := bytes.Clone(pieces[0])
		damaged[i] ^= 0x10
		refused(fmt.Sprintf("byte %d damaged", i), part().Add(damaged), ErrPartial)
	}
	other := *f
	other.Filter = &Expr{Op: OpIsNull, Column: 1}
	refused("another question", func() error {
		m, err := NewMerger(&other, Options{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := m.NewPart()
		return errors.Join(err, p.Add(pieces[0]))
	}(), ErrPartial)

	p = part()
	for _, piece := range pieces {
		if err := p.Add(piece); err != nil {
			t.Fatal(err)
		}
	}
	refused("after the end", p.Add(pieces[0]), ErrPartial)
	p = part()
	for _, piece := range pieces {
		if err := p.Add(piece); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Take(p); err != nil {
		t.Fatal(err)
	}
	refused("taken twice", m.Take(p), ErrPartial)
	if got, want := answerLines(t, m.Answer), answerLines(t, grouperOf(t, f, table).Answer); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// FuzzPart gives bodies of pieces to a part: they are refused or added, and what is
// added can be answered.
func FuzzPart(f *testing.F) {
	columns, table := groupTable(rand.New(rand.NewPCG(2, 1)), 30)
	groups := everyAggregate(columns)
	rows := &Fragment{Project: 1, Columns: columns, Order: []Order{{Column: 1}}}
	plan, err := NewPlan(groups, Options{})
	if err != nil {
		f.Fatal(err)
	}
	g, err := NewGrouper(plan)
	if err != nil {
		f.Fatal(err)
	}
	b := &Batch{Rows: len(table)}
	for c := range columns {
		a, err := valueArray(columns[c].Result(), len(table), func(i int) catalog.Value { return table[i][c] })
		if err != nil {
			f.Fatal(err)
		}
		b.Columns = append(b.Columns, a)
	}
	if err := g.AddBatch(NewRows(plan), nil, b); err != nil {
		f.Fatal(err)
	}
	add := func(piece []byte) { f.Add(piece[pieceHeader+1] == pieceRows, piece[pieceHeader+1:]) }
	for _, piece := range piecesOf(f, g, true) {
		if piece[pieceHeader+1] <= pieceEnd { // its number is one byte
			add(piece)
		}
	}
	tied := WithTies(rows)
	b.Columns = append(b.Columns, b.Columns[5], b.Columns[6])
	out := NewPartialWriter(rows, func(piece []byte) error { add(piece); return nil })
	if err := out.WriteRows(tied, b); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, asRows bool, body []byte) {
		fragment := groups
		if asRows {
			fragment = rows
		}
		m, err := NewMerger(fragment, Options{MaxBytes: 64 << 20})
		if err != nil {
			t.Fatal(err)
		}
		p, err := m.NewPart()
		if err != nil {
			t.Fatal(err)
		}
		if len(body) == 0 {
			return
		}
		var pieces [][]byte
		out := NewPartialWriter(fragment, func(piece []byte) error { pieces = append(pieces, bytes.Clone(piece)); return nil })
		if err := errors.Join(out.write(body[0], body[1:]), out.End(ScanStats{})); err != nil {
			return
		}
		for _, piece := range pieces {
			if err := p.Add(piece); err != nil {
				return
			}
		}
		if err := m.Take(p); err != nil {
			return
		}
		if err := m.Answer(func(*Batch) error { return nil }); err != nil && !errors.Is(err, ErrArray) && !errors.Is(err, ErrMemory) {
			t.Fatal(err)
		}
	})
}
