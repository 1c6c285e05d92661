package gateway

import (
	"io"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation/window"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/sorters"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
)

// framed gives the window functions of n frames that are right. The SQL
// library's RANGE frames, which is what an ORDER BY without more means, look at
// the first expression of the order only, take it for ascending, and stumble
// over NULL: a running total ORDER BY x DESC is the same in all rows.
func framed(ctx *sql.Context, n *plan.Window) *plan.Window {
	exprs := make([]sql.Expression, len(n.SelectExprs))
	for i, e := range n.SelectExprs {
		if a, ok := e.(*expression.Alias); ok {
			exprs[i], _ = a.WithChildren(ctx, framedFunction(ctx, a.Child))
		} else {
			exprs[i] = framedFunction(ctx, e)
		}
	}
	return plan.NewWindow(exprs, n.Child)
}

func framedFunction(ctx *sql.Context, e sql.Expression) sql.Expression {
	switch w := e.(type) {
	case sql.Aggregation, *window.FirstValue, *window.LastValue:
	case *windowValue:
		if w.name == cumeDistName { // it has a frame of its own
			return framedBy(ctx, w, rangeFrame{WindowFrame: plan.NewRangeUnboundedPrecedingToCurrentRowFrame()})
		}
	default:
		return e // its value does not depend on a frame
	}
	f := e.(sql.WindowAdaptableExpression)
	def := f.Window()
	if def == nil {
		return e
	}
	own := *def
	switch {
	case def.Frame == nil && len(def.OrderBy) > 0:
		own.Frame = rangeFrame{WindowFrame: plan.NewRangeUnboundedPrecedingToCurrentRowFrame()}
	case def.Frame == nil:
		own.Frame = stoppableFrame{WindowFrame: plan.NewRowsUnboundedPrecedingToUnboundedFollowingFrame()}
	case strings.HasPrefix(def.Frame.String(), "RANGE"):
		own.Frame = rangeFrame{WindowFrame: def.Frame}
	default:
		own.Frame = stoppableFrame{WindowFrame: def.Frame}
	}
	return f.WithWindow(ctx, &own)
}

// framedBy is a window function of a frame.
func framedBy(ctx *sql.Context, f sql.WindowAdaptableExpression, frame sql.WindowFrame) sql.Expression {
	own := *f.Window()
	own.Frame = frame
	return f.WithWindow(ctx, &own)
}

// stoppableFrame is a frame whose computation ends with the statement. The
// library computes a whole window without looking.
type stoppableFrame struct{ sql.WindowFrame }

// NewFramer makes what gives the frames of rows.
func (f stoppableFrame) NewFramer(def *sql.WindowDefinition) (sql.WindowFramer, error) {
	framer, err := f.WindowFrame.NewFramer(def)
	return stoppableFramer{WindowFramer: framer}, err
}

type stoppableFramer struct {
	sql.WindowFramer
	part sql.WindowInterval
}

// NewFramer makes the framer of a partition.
func (f stoppableFramer) NewFramer(part sql.WindowInterval) (sql.WindowFramer, error) {
	framer, err := f.WindowFramer.NewFramer(part)
	return stoppableFramer{framer, part}, err
}

// Next gives the next row's frame. The library has one that ends before the partition
// begin there too.
func (f stoppableFramer) Next(ctx *sql.Context, rows sql.WindowBuffer) (sql.WindowInterval, error) {
	if err := ctx.Err(); err != nil {
		return sql.WindowInterval{}, err
	}
	frame, err := f.WindowFramer.Next(ctx, rows)
	return sql.WindowInterval{Start: max(frame.Start, f.part.Start), End: max(frame.End, f.part.Start)}, err
}

// rangeFrame is a RANGE frame.
type rangeFrame struct{ sql.WindowFrame }

// NewFramer makes what gives the frames of rows.
func (f rangeFrame) NewFramer(def *sql.WindowDefinition) (sql.WindowFramer, error) {
	byValue := f.StartNPreceding() != nil || f.StartNFollowing() != nil || f.EndNPreceding() != nil || f.EndNFollowing() != nil
	if byValue && len(def.OrderBy) != 1 {
		return nil, mysql.NewSQLError(3587, stateGeneral,
			"Window '<unnamed window>' with RANGE N PRECEDING/FOLLOWING frame requires exactly one ORDER BY expression, of numeric or temporal type")
	}
	return &rangeFramer{frame: f.WindowFrame, order: def.OrderBy, byValue: byValue}, nil
}

// rangeFramer gives the frame of each row of a partition, which is sorted. Rows
// that are equal in order are peers: they have the same frame.
type rangeFramer struct {
	frame   sql.WindowFrame
	order   sql.SortConditions
	byValue bool // a bound is so much before or after the row's value

	part  sql.WindowInterval
	row   int
	peers sql.WindowInterval // of row
	now   sql.WindowInterval // the row's frame

	// For bounds by value: the rows whose value is not NULL, and their values.
	known  sql.WindowInterval
	values []any
}

// NewFramer makes the framer of a partition.
func (f *rangeFramer) NewFramer(part sql.WindowInterval) (sql.WindowFramer, error) {
	return &rangeFramer{frame: f.frame, order: f.order, byValue: f.byValue, part: part, row: part.Start,
		peers: sql.WindowInterval{Start: part.Start, End: part.Start}}, nil
}

// Next gives the next row's frame.
func (f *rangeFramer) Next(ctx *sql.Context, rows sql.WindowBuffer) (sql.WindowInterval, error) {
	if f.row >= f.part.End {
		return sql.WindowInterval{}, io.EOF
	}
	if err := ctx.Err(); err != nil {
		return sql.WindowInterval{}, err
	}
	if f.byValue && f.values == nil {
		if err := f.readValues(ctx, rows); err != nil {
			return sql.WindowInterval{}, err
		}
	}
	if f.row >= f.peers.End {
		if err := f.nextPeers(ctx, rows); err != nil {
			return sql.WindowInterval{}, err
		}
		start, err := f.bound(ctx, rows, true)
		if err != nil {
			return sql.WindowInterval{}, err
		}
		end, err := f.bound(ctx, rows, false)
		if err != nil {
			return sql.WindowInterval{}, err
		}
		f.now = sql.WindowInterval{Start: start, End: max(start, end)}
	}
	f.row++
	return f.now, nil
}

// nextPeers finds the rows that are equal in order to the current one.
func (f *rangeFramer) nextPeers(ctx *sql.Context, rows sql.WindowBuffer) error {
	sorter := sorters.NewRowSorter(ctx, f.order)
	end := f.row + 1
	for end < f.part.End && sorter.CompareRows(rows[f.row], rows[end]) == 0 {
		end++
	}
	f.peers = sql.WindowInterval{Start: f.row, End: end}
	return sorter.GetError()
}

// bound is where the frame of the current row begins, or ends.
func (f *rangeFramer) bound(ctx *sql.Context, rows sql.WindowBuffer, start bool) (int, error) {
	before, after, current := f.frame.EndNPreceding(), f.frame.EndNFollowing(), f.frame.EndCurrentRow()
	if start {
		before, after, current = f.frame.StartNPreceding(), f.frame.StartNFollowing(), f.frame.StartCurrentRow()
	}
	known := f.byValue && f.known.Start <= f.row && f.row < f.known.End
	switch {
	case current || (before != nil || after != nil) && !known: // NULL is as far from everything as from itself
		if start {
			return f.peers.Start, nil
		}
		return f.peers.End, nil
	case before != nil:
		return f.search(ctx, rows, before, false, start)
	case after != nil:
		return f.search(ctx, rows, after, true, start)
	case start:
		return f.part.Start, nil
	}
	return f.part.End, nil
}

// search finds the first row that is not before a value, or that is behind it,
// in the direction of the order. The value is the current row's, moved by n.
func (f *rangeFramer) search(ctx *sql.Context, rows sql.WindowBuffer, n sql.Expression, onwards, start bool) (int, error) {
	descending := f.order[0].Order == sql.Descending
	op := "-"
	if onwards != descending {
		op = "+"
	}
	e := f.order[0].Expr
	moved := expression.NewArithmetic(e, n, op)
	limit, err := moved.Eval(ctx, rows[f.row])
	if at, isMoment := f.values[f.row-f.part.Start].(time.Time); isMoment {
		limit, err = movedMoment(ctx, at, n, op, limit, err)
	}
	if err != nil {
		return 0, err
	}
	common := types.GetCompareType(e.Type(ctx), moved.Type(ctx))
	low, high := f.known.Start, f.known.End
	for low < high {
		middle := (low + high) / 2
		c, err := 0, error(nil)
		if a, b, moments := bothMoments(f.values[middle-f.part.Start], limit); moments {
			c = a.Compare(b) // by the microsecond, which the common type may not know
		} else if c, err = common.Compare(ctx, f.values[middle-f.part.Start], limit); err != nil {
			return 0, err
		}
		if descending {
			c = -c
		}
		if c < 0 || c == 0 && !start {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}

// movedMoment is a moment with an interval added or taken off, which the library's
// arithmetic rounds to seconds.
func movedMoment(ctx *sql.Context, at time.Time, n sql.Expression, op string, limit any, err error) (any, error) {
	i, ok := n.(*expression.Interval)
	if !ok || err != nil || limit == nil {
		return limit, err
	}
	d, err := i.EvalDelta(ctx, nil)
	switch {
	case err != nil || d == nil:
		return limit, err
	case op == "+":
		return d.Add(at), nil
	}
	return d.Sub(at), nil
}

func bothMoments(a, b any) (x, y time.Time, ok bool) {
	x, ok = a.(time.Time)
	y, also := b.(time.Time)
	return x, y, ok && also
}

// readValues reads the values that the partition is sorted by. NULLs are all at
// one end.
func (f *rangeFramer) readValues(ctx *sql.Context, rows sql.WindowBuffer) error {
	f.values = make([]any, 0, f.part.End-f.part.Start)
	f.known = sql.WindowInterval{Start: f.part.End, End: f.part.End}
	for i := f.part.Start; i < f.part.End; i++ {
		v, err := f.order[0].Expr.Eval(ctx, rows[i])
		if err != nil {
			return err
		}
		f.values = append(f.values, v)
		switch {
		case v != nil && f.known.Start == f.part.End:
			f.known.Start = i
		case v == nil && f.known.Start < f.part.End && f.known.End == f.part.End:
			f.known.End = i
		}
	}
	return nil
}

// FirstIdx is the frame's first row.
func (f *rangeFramer) FirstIdx() int { return f.now.Start }

// LastIdx is the frame's last row.
func (f *rangeFramer) LastIdx() int { return f.now.End - 1 }

// Interval is the current frame.
func (f *rangeFramer) Interval() (sql.WindowInterval, error) { return f.now, nil }
