package gateway

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation/window"
	"github.com/dolthub/go-mysql-server/sql/plan"
)

// inWindowOrder reports whether the rows of a Sort's child come in its order: those of a
// window that is computed by column come sorted by its partitions, then by its order, of
// which ROW_NUMBER is one too.
func inWindowOrder(ctx *sql.Context, n *plan.Sort, run *runner) (bool, error) {
	fields := make([]int, len(n.SortConditions))
	for i, c := range n.SortConditions {
		f, ok := bareColumn(c.Expr)
		if !ok || c.NullOrdering != sql.NullsFirst {
			return false, nil
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
				return false, nil
			}
			f, ok := bareColumn(p.Projections[at])
			if !ok {
				return false, nil
			}
			fields[i] = f.Index()
		}
		child = p.Child
	}
	w, ok := child.(*plan.Window)
	if !ok {
		return false, nil
	}
	partition, order, ok := windowOrder(w)
	if !ok {
		return false, nil
	}
	for i, at := range fields {
		if at < 0 || at >= len(w.SelectExprs) || !comesBy(w, at, n.SortConditions[i].Order, i, partition, order) {
			return false, nil
		}
		if _, numbers := unnamed(w.SelectExprs[at]).(*window.RowNumber); numbers { // what follows decides nothing
			break
		}
	}
	pushed, err := newPushedWindow(ctx, w, run)
	return pushed != nil, err
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
