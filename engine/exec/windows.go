package exec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
)

// Window functions over rows that come in order: those of one partition together, and
// sorted within it. Nothing is kept but the rows of the partition that is not known to
// be complete; all partitions that are complete in a batch are computed at once, column
// by column:
//
//	rows that were kept │ a batch                    │
//	────────────────────┼───────────────────┬────────┤
//	      partition 7   │      │   8   │ 9  │   10   │ … partition 10 is kept
//	      └────────── one block ────────────┘

// WindowOp is a window function.
type WindowOp uint8

// The window functions. Those with a value of a row of the frame or partition give the
// argument's type.
const (
	WindowRowNumber   WindowOp = iota // int
	WindowRank                        // int
	WindowDenseRank                   // int
	WindowPercentRank                 // double
	WindowCumeDist                    // double
	WindowTiles                       // double, a whole number; N is how many
	WindowBefore                      // the value N rows before, or after if N is less than 0; Default where there is none
	WindowFirst                       // of the frame
	WindowLast                        // of the frame
	WindowNth                         // of the frame, N from 1
	WindowCount                       // int, rows of the frame whose argument is not null
	WindowSum                         // of exact numbers decimal, of doubles double
	WindowAverage                     // likewise, with Scale digits behind the point
	WindowMin                         // of the frame
	WindowMax                         // of the frame
)

// WindowFunction is a function over the window of each row.
type WindowFunction struct {
	Op WindowOp
	// Arg is the column that it looks at, less than 0 for none.
	Arg int
	N   int64
	// Default is a value of the argument's type, for WindowBefore.
	Default catalog.Value
	// Order is by how many columns of the order rows are told apart: rows that are
	// equal in those are peers.
	Order int
	Frame WindowFrame
	// ArgScale and Scale are the digits behind the point of a decimal argument and of
	// an average.
	ArgScale, Scale int
}

// WindowFrame is the rows of a partition that a function looks at for one of them.
type WindowFrame struct {
	// ByRows counts rows; otherwise bounds are at peers, or at values of the one column
	// of the order, of integers or moments.
	ByRows     bool
	Start, End WindowBound
}

// WindowBound is where a frame starts or ends.
type WindowBound struct {
	Kind BoundKind
	// N is how many rows, or how much, before or after the row.
	N int64
}

// BoundKind is what a bound goes by.
type BoundKind uint8

// The kinds of bounds.
const (
	BoundNone    BoundKind = iota // the partition's first or last row
	BoundCurrent                  // the row, or its peers
	BoundBefore
	BoundAfter
)

// WindowPlan says how windows are computed.
type WindowPlan struct {
	// Types are those of the columns of the batches.
	Types []catalog.Type
	// Partition and Order are the columns by which the rows are sorted.
	Partition []int
	Order     []int
	// Descending says so of each of Order.
	Descending []bool
	// Unique says that the rows are told apart by one more column of the order, which is
	// not there: a function with it in its Order has no peers.
	Unique    bool
	Functions []WindowFunction
	// Take counts memory; it fails if there is too much.
	Take func(bytes int64) error
}

// Windows computes window functions over batches of sorted rows.
type Windows struct {
	plan  *WindowPlan
	yield func(*Batch) error
	keys  []int           // the columns of the partition and of the order
	last  []catalog.Value // the keys of the row before
	begun bool
	kept  []segment
	rows  int // that are kept
	held  int64
	// piece is how many rows of a partition are kept at least before some are given, 0 for
	// all of them; running is what is known of those that were given.
	piece   int
	tried   int // rows that were kept when no piece was found
	running *runningPartition
	taker   Taker
	runs    []Run
	block   windowBlock
}

// segment is some rows of a block that are of one batch.
type segment struct {
	columns []arrow.Array
	rows    int
	// levels say of each row which key is the first that tells it from the row before:
	// the number of keys if none does.
	levels []uint8
}

// NewWindows gives batches with a column more for each function to yield.
func NewWindows(p *WindowPlan, yield func(*Batch) error) (*Windows, error) {
	w := &Windows{plan: p, yield: yield, keys: append(slices.Clone(p.Partition), p.Order...)}
	if len(w.keys) > MaxColumns || len(p.Order) != len(p.Descending) {
		return nil, fmt.Errorf("%w: windows by %d columns", ErrFragment, len(w.keys))
	}
	for i := range p.Functions {
		f := &p.Functions[i]
		most := len(p.Order)
		if p.Unique {
			most++
		}
		if f.Arg >= len(p.Types) || f.Order > most || (f.Op == WindowTiles || f.Op == WindowNth) && f.N < 1 {
			return nil, fmt.Errorf("%w: window function %d", ErrFragment, i)
		}
		if !f.Frame.ByRows && (f.Frame.Start.byValue() || f.Frame.End.byValue()) && f.Order != 1 {
			return nil, fmt.Errorf("%w: a frame by the values of %d columns", ErrFragment, f.Order)
		}
	}
	w.block.plan = p
	if p.runs() {
		w.piece = windowPieceRows
	}
	return w, nil
}

func (b WindowBound) byValue() bool { return b.Kind == BoundBefore || b.Kind == BoundAfter }

// Add takes a batch of rows that come after those before.
func (w *Windows) Add(b *Batch) error {
	if b.Runs != nil || len(b.Columns) != len(w.plan.Types) {
		return fmt.Errorf("%w: %d columns, want %d, in one run", ErrArray, len(b.Columns), len(w.plan.Types))
	}
	if b.Rows == 0 {
		return nil
	}
	s := segment{columns: b.Columns, rows: b.Rows}
	if err := w.compare(&s); err != nil {
		return err
	}
	begin := b.Rows - 1 // of the last partition
	for begin >= 0 && int(s.levels[begin]) >= len(w.plan.Partition) {
		begin--
	}
	if begin < 0 {
		if err := w.keep(&s, 0); err != nil {
			return err
		}
		return w.giveRunning()
	}
	if begin > 0 || len(w.kept) > 0 || w.running != nil {
		block := w.kept
		if w.running != nil {
			end := 0 // of the partition that goes on
			for int(s.levels[end]) >= len(w.plan.Partition) {
				end++
			}
			if end > 0 {
				block = append(block, s.slice(0, end))
			}
			if err := w.endRunning(block); err != nil {
				return err
			}
			block, s, begin = nil, s.slice(end, s.rows), begin-end
		}
		if begin > 0 {
			block = append(block, s.slice(0, begin))
		}
		if len(block) > 0 {
			if err := w.compute(block); err != nil {
				return err
			}
		}
	}
	if err := w.keep(&s, begin); err != nil {
		return err
	}
	return w.giveRunning()
}

// Finish computes the last partition.
func (w *Windows) Finish() error {
	switch {
	case w.running != nil:
		return w.endRunning(w.kept)
	case len(w.kept) == 0:
		return nil
	}
	return w.compute(w.kept)
}

// slice is the rows [lo, hi) of a segment.
func (s *segment) slice(lo, hi int) segment {
	out := segment{columns: make([]arrow.Array, len(s.columns)), rows: hi - lo, levels: s.levels[lo:hi]}
	for i, a := range s.columns {
		out.columns[i] = a
		if lo > 0 || hi < s.rows {
			out.columns[i] = array.NewSlice(a, int64(lo), int64(hi))
		}
	}
	return out
}

// keep copies the rows from lo on: the batch is gone when the next one comes.
func (w *Windows) keep(s *segment, lo int) error {
	kept, size, err := w.copied(s, lo, s.rows)
	if err != nil {
		return err
	}
	w.kept, w.rows, w.held = append(w.kept, kept), w.rows+kept.rows, w.held+size
	return w.plan.Take(size)
}

// copied is the rows [lo, hi) of a segment in memory of their own, of so many bytes.
func (w *Windows) copied(s *segment, lo, hi int) (kept segment, size int64, err error) {
	w.taker = Taker{} // what it gives is kept
	w.runs = append(w.runs[:0], Run{Lo: lo, Hi: hi})
	kept = segment{rows: hi - lo, levels: slices.Clone(s.levels[lo:hi])}
	size = int64(kept.rows)
	for _, a := range s.columns {
		c, err := w.taker.Take(a, w.runs, kept.rows)
		if err != nil {
			return kept, 0, err
		}
		kept.columns = append(kept.columns, c)
		if d, ok := c.(*array.Dictionary); ok { // the words are others'
			size += arrayBytes(d.Indices())
		} else {
			size += arrayBytes(c)
		}
	}
	return kept, size, nil
}

// compute computes the functions for the rows of complete partitions and gives them.
func (w *Windows) compute(block []segment) error {
	rows := 0
	for i := range block {
		rows += block[i].rows
	}
	size := int64(rows) * w.block.rowBytes()
	if err := w.plan.Take(size); err != nil {
		return err
	}
	results, err := w.block.compute(block, rows)
	if err == nil {
		err = w.give(block, results)
	}
	if err != nil {
		return err
	}
	w.kept, w.rows, w.tried = nil, 0, 0
	err = w.plan.Take(-size - w.held)
	w.held = 0
	return err
}

// give gives the rows of a block with the functions' results.
func (w *Windows) give(block []segment, results []arrow.Array) error {
	at := int64(0)
	for i := range block {
		s := &block[i]
		for lo := 0; lo < s.rows; lo += MaxBatchRows {
			n := min(MaxBatchRows, s.rows-lo)
			part := s.slice(lo, lo+n)
			for _, a := range results {
				part.columns = append(part.columns, array.NewSlice(a, at, at+int64(n)))
			}
			if err := w.yield(&Batch{Columns: part.columns, Rows: n}); err != nil {
				return err
			}
			at += int64(n)
		}
	}
	return nil
}

// compare finds out which rows of a segment differ from the one before, and in what.
func (w *Windows) compare(s *segment) error {
	s.levels = make([]uint8, s.rows)
	for i := range s.levels {
		s.levels[i] = uint8(len(w.keys))
	}
	for level := len(w.keys) - 1; level >= 0; level-- {
		column := w.keys[level]
		if err := markChanges(s.levels, uint8(level), s.columns[column], w.plan.Types[column]); err != nil {
			return err
		}
	}
	values := make([]catalog.Value, len(w.keys))
	if !w.begun {
		s.levels[0] = 0
	}
	for level, column := range w.keys {
		at, err := valuesOf(s.columns[column], w.plan.Types[column])
		if err != nil {
			return err
		}
		if w.begun && int(s.levels[0]) > level && !sameKey(at(0), w.last[level], w.plan.Types[column]) {
			s.levels[0] = uint8(level)
		}
		values[level] = at(s.rows - 1)
		values[level].Text = strings.Clone(values[level].Text)
	}
	w.last, w.begun = values, true
	return nil
}

// sameKey reports whether two values are equal in an order.
func sameKey(a, b catalog.Value, t catalog.Type) bool {
	switch {
	case a.Kind == catalog.KindNull || b.Kind == catalog.KindNull:
		return a.Kind == b.Kind
	case t == catalog.TypeDouble:
		return a.Double() == b.Double()
	case t == catalog.TypeDecimal:
		return a.Text == b.Text || string(appendNumberKey(nil, a.Text)) == string(appendNumberKey(nil, b.Text))
	}
	return a.Bits == b.Bits && a.Text == b.Text
}

// markChanges puts a level where a row's value is another than that of the row before.
func markChanges(levels []uint8, level uint8, a arrow.Array, t catalog.Type) error {
	if a.NullN() > 0 {
		at, err := valuesOf(a, t)
		if err != nil {
			return err
		}
		mark(levels, level, func(i int) bool { return !sameKey(at(i), at(i-1), t) })
		return nil
	}
	switch a := a.(type) {
	case *array.Int64:
		markNumbers(levels, level, a.Int64Values())
	case *array.Timestamp:
		markNumbers(levels, level, a.TimestampValues())
	case *array.Float64:
		markNumbers(levels, level, a.Float64Values())
	case *array.Boolean:
		mark(levels, level, func(i int) bool { return a.Value(i) != a.Value(i-1) })
	case *array.String:
		if t == catalog.TypeDecimal {
			return markDecimals(levels, level, a)
		}
		mark(levels, level, func(i int) bool { return a.Value(i) != a.Value(i-1) })
	case *array.Dictionary:
		at, err := valuesOf(a, t)
		if err != nil {
			return err
		}
		mark(levels, level, func(i int) bool {
			return a.GetValueIndex(i) != a.GetValueIndex(i-1) && !sameKey(at(i), at(i-1), t)
		})
	default:
		return fmt.Errorf("%w: %s", ErrArray, a.DataType())
	}
	return nil
}

func mark(levels []uint8, level uint8, differs func(row int) bool) {
	for i := 1; i < len(levels); i++ {
		if differs(i) {
			levels[i] = level
		}
	}
}

func markNumbers[T int64 | float64 | arrow.Timestamp](levels []uint8, level uint8, values []T) {
	for i := 1; i < len(levels); i++ {
		if values[i] != values[i-1] {
			levels[i] = level
		}
	}
}

func markDecimals(levels []uint8, level uint8, a *array.String) error {
	mark(levels, level, func(i int) bool {
		return !sameKey(catalog.Value{Kind: catalog.KindNumber, Text: a.Value(i)}, catalog.Value{Kind: catalog.KindNumber, Text: a.Value(i - 1)}, catalog.TypeDecimal)
	})
	return nil
}
