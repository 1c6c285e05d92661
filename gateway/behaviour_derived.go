package gateway

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// showOrder sees to it that a table of a FROM has the columns that order events.
// A derived table is given them, if more columns in it change nothing that is
// read; a view or a common table expression that is seen not to have them is
// refused, with what to do. Of the rest the planner says that it does not know
// the column.
func (r *rewriter) showOrder(t sqlparser.TableExpr, in *sqlparser.Select, function string, change bool) error {
	s, scope := r.selectOf(t, in)
	if s == nil {
		return nil
	}
	missing := scope.missingOrder(s, newLooks())
	if len(missing) == 0 {
		return nil
	}
	var from sqlparser.TableName
	if change = change && isDerived(t); change {
		from, change = r.orderWithin(s, function)
	}
	if !change {
		return wrongArguments(function, fmt.Sprintf("it orders events by time and _ingest_id: select %s, too, in %s",
			strings.Join(missing, " and "), qualifier(t).Name.String()))
	}
	for _, column := range r.missingOrder(s, newLooks()) { // what is read may have been given them meanwhile
		s.SelectExprs = append(s.SelectExprs, &sqlparser.AliasedExpr{
			Expr: &sqlparser.ColName{Name: sqlparser.NewColIdent(column), Qualifier: from},
			As:   sqlparser.NewColIdent(column),
		})
	}
	return nil
}

// isDerived reports whether a table of a FROM is a derived table, which nothing
// else reads.
func isDerived(t sqlparser.TableExpr) bool {
	a, ok := t.(*sqlparser.AliasedTableExpr)
	if !ok {
		return false
	}
	_, ok = a.Expr.(*sqlparser.Subquery)
	return ok
}

// selectOf is the SELECT that a table of another's FROM stands for, nil where it
// is none or not seen, and the rewriter that knows its names.
func (r *rewriter) selectOf(t sqlparser.TableExpr, in *sqlparser.Select) (*sqlparser.Select, *rewriter) {
	a, ok := t.(*sqlparser.AliasedTableExpr)
	if !ok {
		return nil, nil
	}
	switch e := a.Expr.(type) {
	case *sqlparser.Subquery:
		return plainSelectOf(e), r
	case sqlparser.TableName:
		if r.isCTE(e, in) {
			return r.withs[strings.ToLower(e.Name.String())], r
		}
		scope := &rewriter{catalog: r.catalog, database: e.DbQualifier.String()}
		if scope.database == "" {
			scope.database = r.database
		}
		if p, ok := r.catalog.Project(scope.database); ok {
			if v, ok := p.View(e.Name.String()); ok {
				if query, err := viewQuery(v.Statement); err == nil {
					scope.findCTEs(query)
					s, _ := query.(*sqlparser.Select)
					return s, scope
				}
			}
		}
	}
	return nil, nil
}

// plainSelectOf is a subquery's SELECT, if it is one whose columns bear their own
// names.
func plainSelectOf(q *sqlparser.Subquery) *sqlparser.Select {
	if len(q.Columns) > 0 {
		return nil
	}
	s, _ := q.Select.(*sqlparser.Select)
	return s
}

// maxOrderLooks is how many SELECTs are looked through for the columns that order
// events: names may go round in circles, and stand for many things many times.
const maxOrderLooks = 256

func newLooks() *int {
	n := maxOrderLooks
	return &n
}

// missingOrder are the columns that order events and that a SELECT is seen not
// to have. What takes too many looks may have them.
func (r *rewriter) missingOrder(s *sqlparser.Select, looks *int) []string {
	if *looks--; *looks < 0 {
		return nil
	}
	missing := []string{orderTime, orderID}
	have := func(name string) {
		missing = slices.DeleteFunc(missing, func(m string) bool { return m == name })
	}
	for _, e := range s.SelectExprs {
		switch e := e.(type) {
		case *sqlparser.StarExpr:
			if have(orderTime); !r.onlyEvents(s, looks) {
				have(orderID)
			}
		case *sqlparser.AliasedExpr:
			if c, ok := e.Expr.(*sqlparser.ColName); ok && e.As.IsEmpty() {
				have(c.Name.Lowered())
			}
			have(e.As.Lowered())
		}
	}
	return missing
}

// onlyEvents reports whether the * of a SELECT has the columns of events tables
// only, or of derived tables that have no ingest id.
func (r *rewriter) onlyEvents(s *sqlparser.Select, looks *int) bool {
	var leaves []sqlparser.TableExpr
	for _, t := range s.From {
		leaves = appendLeaves(leaves, t, new(bool))
	}
	for _, leaf := range leaves {
		if r.readsEvents(leaf, s) {
			continue
		}
		inner, scope := r.selectOf(leaf, s)
		if inner == nil || !slices.Contains(scope.missingOrder(inner, looks), orderID) {
			return false
		}
	}
	return true
}

// orderWithin is the table in a derived table's SELECT whose events its rows are.
// It is not ok where the rows are no events any more.
func (r *rewriter) orderWithin(s *sqlparser.Select, function string) (from sqlparser.TableName, ok bool) {
	if len(s.GroupBy) > 0 || s.Having != nil || s.QueryOpts.Distinct || holdsAggregate(s.SelectExprs) {
		return from, false
	}
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
		return qualifier(events[0]), true
	case len(events) == 0 && len(leaves) == 1 && r.showOrder(leaves[0], s, function, true) == nil:
		return qualifier(leaves[0]), true
	}
	return from, false
}

// holdsAggregate reports whether there is an aggregate among expressions.
func holdsAggregate(exprs sqlparser.SelectExprs) bool {
	found := false
	sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) {
		switch n := n.(type) {
		case *sqlparser.Subquery:
			return false, nil
		case *sqlparser.GroupConcatExpr:
			found = true
		case *sqlparser.FuncExpr:
			found = found || n != nil && n.Over == nil && (n.IsAggregate() || orderedNames[n.Name.Lowered()])
		}
		return true, nil
	}, exprs)
	return found
}
