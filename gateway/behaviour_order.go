package gateway

import (
	"slices"
	"strings"

	"github.com/dolthub/vitess/go/vt/sqlparser"

	"arbor/engine/exec"
)

// The functions over events in their order take the time and the ingest id of an
// event without being told. Before a statement is planned, they are written into
// the calls that do not name them, or name the time alone: those of the events table in the FROM of the
// call's SELECT, or else the columns of these names of whatever stands there. A
// derived table gets them, where it selects of an events table; a view or a common
// table expression must have them.

// The columns that events are ordered by.
const (
	orderTime = "time"
	orderID   = "_ingest_id"
)

// namesOrdered reports whether a statement's text holds the name of a function
// over events in their order.
func namesOrdered(text string) bool {
	if !strings.Contains(text, "(") {
		return false
	}
	lower := strings.ToLower(text)
	for name := range orderedNames {
		if strings.Contains(lower, name) {
			return true
		}
	}
	return false
}

// writeOrders writes the order into the calls of a statement. It reports whether
// there were any that need one.
func (r *rewriter) writeOrders(statement sqlparser.SQLNode) (found bool, err error) {
	err = r.visit(func(n sqlparser.SQLNode) error {
		s, ok := n.(*sqlparser.Select)
		if !ok || s == nil {
			return nil
		}
		return sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) {
			switch n := n.(type) {
			case *sqlparser.Subquery:
				return false, nil // its SELECT is visited by itself
			case *sqlparser.FuncExpr:
				if n == nil || !orderedNames[n.Name.Lowered()] {
					return true, nil
				}
				if namesOrder(n) {
					found = r.writeID(s, n) || found
					return true, nil
				}
				found = true
				return true, r.writeOrder(s, n)
			}
			return true, nil
		}, s.SelectExprs, s.Having, s.OrderBy)
	}, statement)
	return found, err
}

// namesOrder reports whether a call says what to order by: before its constants,
// or behind its value.
func namesOrder(f *sqlparser.FuncExpr) bool {
	switch f.Name.Lowered() {
	case firstTouchName, lastTouchName:
		return len(f.Exprs) != 1
	case exec.BehaviourRetention:
		return len(f.Exprs) > 0 && isColumnNamed(f.Exprs[0], orderTime)
	}
	if len(f.Exprs) == 0 {
		return false
	}
	return holdsColumn(f.Exprs[0])
}

// holdsColumn reports whether an expression names a column.
func holdsColumn(e sqlparser.SelectExpr) (named bool) {
	sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) {
		if c, ok := n.(*sqlparser.ColName); ok && !strings.HasPrefix(c.Name.String(), "@") {
			named = true
		}
		return true, nil
	}, e)
	return named
}

func isColumnNamed(e sqlparser.SelectExpr, name string) bool {
	a, ok := e.(*sqlparser.AliasedExpr)
	if !ok {
		return false
	}
	c, ok := a.Expr.(*sqlparser.ColName)
	return ok && c.Name.EqualString(name)
}

// writeOrder writes the order into a call.
func (r *rewriter) writeOrder(s *sqlparser.Select, f *sqlparser.FuncExpr) error {
	name := f.Name.Lowered()
	from, ok, err := r.orderedBy(s, name)
	if err != nil || !ok {
		return err
	}
	order := sqlparser.SelectExprs{
		&sqlparser.AliasedExpr{Expr: &sqlparser.ColName{Name: sqlparser.NewColIdent(orderTime), Qualifier: from}},
		&sqlparser.AliasedExpr{Expr: &sqlparser.ColName{Name: sqlparser.NewColIdent(orderID), Qualifier: from}},
	}
	if name == firstTouchName || name == lastTouchName {
		f.Exprs = append(f.Exprs[:len(f.Exprs):len(f.Exprs)], order...)
	} else {
		f.Exprs = append(order, f.Exprs...)
	}
	return nil
}

// writeID writes the ingest id into a call that orders events by their time alone.
// It reports whether it did: a moment of something else, and the time of what is
// not seen to have an ingest id, stand for themselves.
func (r *rewriter) writeID(s *sqlparser.Select, f *sqlparser.FuncExpr) bool {
	switch f.Name.Lowered() {
	case firstTouchName, lastTouchName, exec.BehaviourRetention:
		return false
	}
	if !isColumnNamed(f.Exprs[0], orderTime) || len(f.Exprs) > 1 && holdsColumn(f.Exprs[1]) {
		return false
	}
	time := f.Exprs[0].(*sqlparser.AliasedExpr).Expr.(*sqlparser.ColName)
	var leaves, events []sqlparser.TableExpr
	for _, t := range s.From {
		leaves = appendLeaves(leaves, t, new(bool))
	}
	for _, leaf := range leaves {
		if !time.Qualifier.IsEmpty() && !strings.EqualFold(qualifier(leaf).Name.String(), time.Qualifier.Name.String()) {
			continue
		}
		if r.readsEvents(leaf, s) {
			events = append(events, leaf)
		} else if len(leaves) == 1 && r.showsID(leaf, s, f) {
			events = append(events, leaf)
		}
	}
	if len(events) != 1 {
		return false
	}
	id := &sqlparser.AliasedExpr{Expr: &sqlparser.ColName{Name: sqlparser.NewColIdent(orderID), Qualifier: qualifier(events[0])}}
	f.Exprs = slices.Insert(f.Exprs, 1, sqlparser.SelectExpr(id))
	return true
}

// showsID reports whether a view, a derived table or a common table expression
// names the ingest id among its columns, as a derived table of events is made to.
func (r *rewriter) showsID(t sqlparser.TableExpr, in *sqlparser.Select, f *sqlparser.FuncExpr) bool {
	of, _ := r.selectOf(t, in)
	if of == nil || r.showOrder(t, in, f.Name.Lowered(), !hasStar(in.SelectExprs)) != nil {
		return false
	}
	return slices.ContainsFunc(of.SelectExprs, func(e sqlparser.SelectExpr) bool {
		a, ok := e.(*sqlparser.AliasedExpr)
		return ok && (a.As.EqualString(orderID) || a.As.IsEmpty() && isColumnNamed(a, orderID))
	})
}

// orderedBy finds the table whose events a call means. It is not ok where the
// call can do without.
func (r *rewriter) orderedBy(s *sqlparser.Select, function string) (from sqlparser.TableName, ok bool, err error) {
	var leaves, events []sqlparser.TableExpr
	for _, t := range s.From {
		leaves = appendLeaves(leaves, t, new(bool))
	}
	for _, leaf := range leaves {
		if r.readsEvents(leaf, s) {
			events = append(events, leaf)
		}
	}
	switch {
	case len(events) == 1:
		return qualifier(events[0]), true, nil
	case function == exec.BehaviourRetention, len(leaves) == 0:
		return from, false, nil // the first needs no order, the second has no events
	case len(events) == 0 && len(leaves) == 1:
		return qualifier(leaves[0]), true, r.showOrder(leaves[0], s, function, !hasStar(s.SelectExprs))
	}
	form := "(e.time, e._ingest_id, …)"
	if function == firstTouchName || function == lastTouchName {
		form = "(value, e.time, e._ingest_id)"
	}
	return from, false, wrongArguments(function, "it is not clear which table's events it orders: name their time and _ingest_id, as in "+function+form)
}

// readsEvents reports whether a table of a SELECT's FROM is an events table.
func (r *rewriter) readsEvents(t sqlparser.TableExpr, in *sqlparser.Select) bool {
	if _, ok := r.project(t); !ok {
		return false
	}
	return !r.isCTE(t.(*sqlparser.AliasedTableExpr).Expr.(sqlparser.TableName), in)
}

// isCTE reports whether a name in a SELECT's FROM is that of a common table
// expression.
func (r *rewriter) isCTE(t sqlparser.TableName, in *sqlparser.Select) bool {
	name := strings.ToLower(t.Name.String())
	return t.DbQualifier.IsEmpty() && r.ctes[name] && !r.defines[in][name]
}
