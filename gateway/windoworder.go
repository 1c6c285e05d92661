package gateway

import (
	"slices"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation/window"
	"github.com/dolthub/go-mysql-server/sql/plan"
)

// windowInOrder is a Sort whose rows come in its order without it.
type windowInOrder struct {
	above  []*plan.Project // between the Sort and the window, from the top
	window *plan.Window
	pushed *pushedWindow
	order  sql.SortConditions // the Sort's, of the window's rows
}

// inWindowOrder is a Sort whose child's rows come in its order, nil if they do not: those
// of a window that is computed by column come sorted by its partitions, then by its order,
// of which ROW_NUMBER is one too.
func inWindowOrder(ctx *sql.Context, n *plan.Sort, run *runner) (*windowInOrder, error) {
	in := &windowInOrder{}
	fields := make([]int, len(n.SortConditions))
	for i, c := range n.SortConditions {
		f, ok := bareColumn(c.Expr)
		if !ok || c.NullOrdering != sql.NullsFirst {
			return nil, nil
		}
		fields[i] = f.Index()
	}
	child := n.Child
	for {
		p, ok := child.(*plan.Project)
		if !ok {
			break
		}
		for i, at := range fields {
			if at < 0 || at >= len(p.Projections) {
				return nil, nil
			}
			f, ok := bareColumn(p.Projections[at])
			if !ok {
				return nil, nil
			}
			fields[i] = f.Index()
		}
		in.above = append(in.above, p)
		child = p.Child
	}
	w, ok := child.(*plan.Window)
	if !ok {
		return nil, nil
	}
	if moments, err := withNumberMoments(ctx, w); err != nil || moments != nil {
		return nil, err
	}
	partition, order, ok := windowOrder(w)
	if !ok {
		return nil, nil
	}
	decided := false
	for i, at := range fields {
		c := n.SortConditions[i]
		if at < 0 || at >= len(w.SelectExprs) || !decided && !comesBy(w, at, c.Order, i, partition, order) {
			return nil, nil
		}
		_, numbers := unnamed(w.SelectExprs[at]).(*window.RowNumber)
		decided = decided || numbers // what follows decides nothing
		e := w.SelectExprs[at]
		c.Expr = expression.NewGetField(at, e.Type(ctx), e.String(), e.IsNullable(ctx))
		in.order = append(in.order, c)
	}
	if err := run.passed(ctx, w); err != nil {
		return nil, err
	}
	pushed, err := newPushedWindow(ctx, w, run)
	if err != nil || pushed == nil {
		return nil, err
	}
	in.window, in.pushed = w, pushed
	return in, nil
}

// withoutSort is what stands below a Sort that is left out, as it is run. Where the window
// cannot be computed by column, its rows are sorted after all.
func (x *executor) withoutSort(ctx *sql.Context, in *windowInOrder) (sql.Node, error) {
	windows, err := own(in.window, func(ctx *sql.Context, _ sql.NodeExecBuilder, row sql.Row) (sql.RowIter, error) {
		return x.stockWindow(ctx, in.window, row)
	})
	if err != nil {
		return nil, err
	}
	in.pushed.stock = func(ctx *sql.Context, row sql.Row) (sql.RowIter, error) {
		return x.counted(ctx, plan.NewSort(in.order, windows), row)
	}
	n := sql.Node(in.pushed)
	for _, p := range slices.Backward(in.above) {
		if n, err = p.WithChildren(ctx, n); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// comesBy reports whether output at of a window is what its rows are sorted by in place i.
func comesBy(w *plan.Window, at int, direction sql.SortOrder, i int, partition []sql.Expression, order sql.SortConditions) bool {
	e := unnamed(w.SelectExprs[at])
	switch r, numbers := e.(*window.RowNumber); {
	case numbers:
		return i == len(partition) && direction == sql.Ascending && len(r.Window().OrderBy) == len(order)
	case i < len(partition):
		return direction == sql.Ascending && e.String() == partition[i].String()
	case i-len(partition) < len(order):
		c := order[i-len(partition)]
		return direction == c.Order && c.NullOrdering == sql.NullsFirst && e.String() == c.Expr.String()
	}
	return false
}
