package gateway

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/sorters"
)

// Window functions over events. The SQL library reads all rows, sorts them by
// comparing expressions, keeps the results beside them and sorts those back: seconds
// and a gigabyte for each million rows. Here the rows come in the order of the
// partitions from where the data is, and one partition is held at a time. What is
// computed of it is computed by the same functions.

// windowStream is a plan.Window over rows that come partition by partition.
type windowStream struct {
	sorted      *pushedSort
	partitionBy []sql.Expression
	types       []sql.Type // of partitionBy
	outputs     []windowOutput
	orders      []sql.SortConditions // the first is that of the rows
}

// windowOutput is one value of each row: an expression, or a function over a window.
type windowOutput struct {
	expr     sql.Expression
	function sql.WindowAdaptableExpression // nil where there is none
	order    int                           // of the orders
}

// newWindowStream has the rows of a window's partitions sorted where the data is, where
// that is understood; nil where not: for functions over windows of different
// partitions, for those of one partition that is not sorted, and for rows that are
// not events alone.
func newWindowStream(ctx *sql.Context, n *plan.Window, pushSort func(*sql.Context, sql.Node) (*pushedSort, error)) (*windowStream, error) {
	w := &windowStream{}
	found := false
	for _, e := range n.SelectExprs {
		def := windowOf(e)
		if def == nil {
			continue
		}
		if found && !sameExpressions(w.partitionBy, def.PartitionBy) {
			return nil, nil
		}
		w.partitionBy, found = def.PartitionBy, true
		if len(def.OrderBy) > 0 && w.orderOf(def.OrderBy) < 0 {
			w.orders = append(w.orders, def.OrderBy)
		}
	}
	var conditions sql.SortConditions
	for _, e := range w.partitionBy {
		conditions = append(conditions, sql.SortCondition{Expr: e, NullOrdering: sql.NullsFirst})
		w.types = append(w.types, e.Type(ctx))
	}
	if len(w.orders) > 0 {
		conditions = append(conditions, w.orders[0]...)
	}
	if !found || len(conditions) == 0 {
		return nil, nil
	}
	var err error
	if w.sorted, err = pushSort(ctx, plan.NewSort(conditions, n.Child)); err != nil || w.sorted == nil {
		return nil, err
	}
	return w, nil
}

// windowOf is the OVER clause of one of a window's expressions, nil for a plain one.
func windowOf(e sql.Expression) *sql.WindowDefinition {
	if a, ok := e.(*expression.Alias); ok {
		e = a.Child
	}
	if f, ok := e.(sql.WindowAdaptableExpression); ok {
		return f.Window()
	}
	return nil
}

// orderOf is the number of an order, -1 if it is none of those known.
func (w *windowStream) orderOf(order sql.SortConditions) int {
	return slices.IndexFunc(w.orders, func(o sql.SortConditions) bool {
		return slices.EqualFunc(o, order, func(a, b sql.SortCondition) bool { return a.String() == b.String() })
	})
}

func sameExpressions(a, b []sql.Expression) bool {
	return slices.EqualFunc(a, b, func(x, y sql.Expression) bool { return x.String() == y.String() })
}

// start notes what the columns of n are, which is the window with frames that are
// right.
func (w *windowStream) start(n *plan.Window) {
	for _, e := range n.SelectExprs {
		if a, ok := e.(*expression.Alias); ok {
			e = a.Child
		}
		o := windowOutput{expr: e}
		if def := windowOf(e); def != nil {
			o.function = e.(sql.WindowAdaptableExpression)
			if len(def.OrderBy) > 0 {
				o.order = w.orderOf(def.OrderBy)
			}
		}
		w.outputs = append(w.outputs, o)
	}
}

// rows starts to give the rows.
func (w *windowStream) rows(ctx *sql.Context, n *plan.Window) (sql.RowIter, error) {
	w.start(n)
	sorted, err := w.sorted.BuildRowIter(ctx, nil, nil)
	if err != nil {
		return nil, err
	}
	return &windowRows{stream: w, sorted: sorted, holding: newHolding(ctx)}, nil
}

// windowRows gives the rows of one partition after the other.
type windowRows struct {
	stream  *windowStream
	sorted  sql.RowIter
	holding *holding
	next    sql.Row // the first of the next partition
	ended   bool
	results []sql.Row // of the partition
	at      int
}

// Next gives the next row.
func (r *windowRows) Next(ctx *sql.Context) (sql.Row, error) {
	for r.at == len(r.results) {
		if err := r.partition(ctx); err != nil {
			return nil, err
		}
	}
	row := r.results[r.at]
	r.results[r.at] = nil
	r.at++
	return row, nil
}

// Close ends the sorting.
func (r *windowRows) Close(ctx *sql.Context) error {
	r.holding.release()
	return r.sorted.Close(ctx)
}

// partition reads the next partition and computes its rows; io.EOF after the last.
func (r *windowRows) partition(ctx *sql.Context) error {
	r.holding.release()
	var rows sql.WindowBuffer
	if r.next != nil {
		rows = append(rows, r.next)
		r.next = nil
	}
	for !r.ended {
		row, err := r.sorted.Next(ctx)
		if errors.Is(err, io.EOF) {
			r.ended = true
			break
		}
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			same, err := r.stream.together(ctx, rows[0], row)
			if err != nil {
				return err
			}
			if !same {
				r.next = row
				break
			}
		}
		if err := r.holding.take(rowBytes(row) + rowOverhead + int64(len(r.stream.outputs))*valueOverhead); err != nil {
			return err
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return io.EOF
	}
	results, err := r.stream.compute(ctx, rows)
	r.results, r.at = results, 0
	return err
}

// together reports whether two rows are of one partition.
func (w *windowStream) together(ctx *sql.Context, a, b sql.Row) (bool, error) {
	for i, e := range w.partitionBy {
		x, err := e.Eval(ctx, a)
		if err != nil {
			return false, err
		}
		y, err := e.Eval(ctx, b)
		if err != nil {
			return false, err
		}
		if s, ok := x.(string); ok && y == s {
			continue
		}
		c, err := w.types[i].Compare(ctx, x, y)
		if err != nil || c != 0 {
			return false, err
		}
	}
	return true, nil
}

// compute gives the results of a partition's rows, which are in the first order.
func (w *windowStream) compute(ctx *sql.Context, rows sql.WindowBuffer) ([]sql.Row, error) {
	width := len(w.outputs)
	values, results := make([]any, len(rows)*width), make([]sql.Row, len(rows))
	for i := range results {
		results[i] = values[i*width : (i+1)*width : (i+1)*width]
	}
	sorted, places := rows, []int(nil) // places are where the rows of sorted stand in rows
	for order := range max(1, len(w.orders)) {
		if order > 0 {
			var err error
			if sorted, places, err = sortedBy(ctx, rows, w.orders[order]); err != nil {
				return nil, err
			}
		}
		for k := range w.outputs {
			o := &w.outputs[k]
			if o.order != order {
				continue
			}
			if o.function == nil {
				for i, row := range rows {
					if i%checkEvery == 0 && ctx.Err() != nil {
						return nil, ctx.Err()
					}
					v, err := o.expr.Eval(ctx, row)
					if err != nil {
						return nil, err
					}
					results[i][k] = v
				}
				continue
			}
			if err := o.compute(ctx, sorted, func(i int, v any) {
				if places != nil {
					i = places[i]
				}
				results[i][k] = v
			}); err != nil {
				return nil, err
			}
		}
	}
	return results, nil
}

// compute computes a function over a partition, with a state of its own: those of the
// library go on counting rows from one partition to the next.
func (o *windowOutput) compute(ctx *sql.Context, rows sql.WindowBuffer, put func(row int, v any)) error {
	part := sql.WindowInterval{Start: 0, End: len(rows)}
	fn, err := o.function.NewWindowFunction(ctx)
	if err != nil {
		return err
	}
	defer fn.Dispose(ctx)
	if err := fn.StartPartition(ctx, part, rows); err != nil {
		return err
	}
	framer, err := fn.DefaultFramer().NewFramer(part)
	if err != nil {
		return err
	}
	for i := range rows {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		frame, err := framer.Next(ctx, rows)
		if err != nil {
			return fmt.Errorf("frame of row %d of %d: %w", i, len(rows), err)
		}
		v, err := fn.Compute(ctx, frame, rows)
		if err != nil {
			return err
		}
		put(i, v)
	}
	return nil
}

// sortedBy gives a partition's rows in another order, and where each stands in rows.
func sortedBy(ctx *sql.Context, rows sql.WindowBuffer, order sql.SortConditions) (sql.WindowBuffer, []int, error) {
	places := make([]int, len(rows))
	for i := range places {
		places[i] = i
	}
	sorter := sorters.NewRowSorter(ctx, order)
	sort.SliceStable(places, func(a, b int) bool { return sorter.CompareRows(rows[places[a]], rows[places[b]]) < 0 })
	if err := sorter.GetError(); err != nil {
		return nil, nil, err
	}
	sorted := make(sql.WindowBuffer, len(rows))
	for i, p := range places {
		sorted[i] = rows[p]
	}
	return sorted, places, nil
}
