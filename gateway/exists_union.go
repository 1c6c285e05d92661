package gateway

import (
	"slices"
	"strconv"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// writeExists writes EXISTS of a UNION as one EXISTS for each of its queries, with OR between
// them, and gives nil for other expressions. Of a union that looks at the row outside the
// library makes a join, in which views and derived tables count their columns from another
// place than the conditions do: rows are missed, or it fails.
func writeExists(e sqlparser.Expr) sqlparser.Expr {
	x, ok := e.(*sqlparser.ExistsExpr)
	if !ok {
		return nil
	}
	queries := united(nil, x.Subquery.Select)
	if len(queries) < 2 || !alikeColumns(queries) {
		return nil
	}
	var all sqlparser.Expr
	for _, q := range queries {
		one := &sqlparser.ExistsExpr{Subquery: &sqlparser.Subquery{Select: q}}
		if all == nil {
			all = one
			continue
		}
		all = &sqlparser.OrExpr{Left: all, Right: one}
	}
	return &sqlparser.ParenExpr{Expr: all}
}

// leavesSome reports whether a bound leaves one of any rows.
func leavesSome(l *sqlparser.Limit) bool {
	if l == nil {
		return true
	}
	count, ok := l.Rowcount.(*sqlparser.SQLVal)
	if !ok || l.Offset != nil || count.Type != sqlparser.IntVal {
		return false
	}
	n, err := strconv.ParseUint(string(count.Val), 10, 64)
	return err == nil && n > 0
}

// united appends the queries of a union, or the query itself where it is none, or has a bound
// that may leave no row or definitions of its own, which concern all of them.
func united(queries []sqlparser.SelectStatement, s sqlparser.SelectStatement) []sqlparser.SelectStatement {
	switch s := s.(type) {
	case *sqlparser.ParenSelect:
		return united(queries, s.Select)
	case *sqlparser.SetOp:
		switch s.Type {
		case sqlparser.UnionStr, sqlparser.UnionAllStr, sqlparser.UnionDistinctStr:
			if leavesSome(s.Limit) && s.With == nil && s.Into == nil && (s.Lock == nil || s.Lock.Type == "") {
				return united(united(queries, s.Left), s.Right)
			}
		}
	}
	return append(queries, s)
}

// alikeColumns reports whether all queries name as many columns, and no star, so that nothing
// is to be refused in their union.
func alikeColumns(queries []sqlparser.SelectStatement) bool {
	n := 0
	for _, q := range queries {
		s, ok := q.(*sqlparser.Select)
		if !ok || hasStar(s.SelectExprs) || n != 0 && len(s.SelectExprs) != n {
			return false
		}
		n = len(s.SelectExprs)
	}
	return true
}

// refusedExistence refuses the join that the library makes of EXISTS of a set operation that
// looks at the row outside, where views or derived tables are in it and it could not be written
// otherwise: rows are missed, or it fails.
func refusedExistence(n *plan.JoinNode) error {
	right := unwrapped(n.Right())
	for {
		switch x := right.(type) {
		case *plan.Limit:
			right = x.Child
			continue
		case *plan.Project:
			right = x.Child
			continue
		}
		break
	}
	s, ok := right.(*plan.SetOp)
	if !ok {
		return nil
	}
	if outside := tableColumns(n.Left()); !readsDerived(s) || !looksAt(s, outside) {
		return nil
	}
	return unsupported("EXISTS of INTERSECT, EXCEPT or a UNION with LIMIT and OFFSET over a view or a derived table, where it looks at the row outside: " +
		"write EXISTS of the first query, with EXISTS or NOT EXISTS of the others in its WHERE, which compare what is selected; and an EXISTS for each query of a UNION, with OR between them")
}

// readsDerived reports whether there is a view or a derived table below a node.
func readsDerived(n sql.Node) bool {
	if _, derived := n.(*plan.SubqueryAlias); derived {
		return true
	}
	return slices.ContainsFunc(n.Children(), readsDerived)
}

// tableColumns are the columns of the tables below a node.
func tableColumns(n sql.Node) (columns sql.ColSet) {
	if t, ok := n.(plan.TableIdNode); ok {
		columns = columns.Union(t.Columns())
	}
	for _, c := range n.Children() {
		columns = columns.Union(tableColumns(c))
	}
	return columns
}

// looksAt reports whether an expression of a node, or of one below it, has one of some columns.
func looksAt(n sql.Node, columns sql.ColSet) (looks bool) {
	if x, ok := n.(sql.Expressioner); ok {
		for _, e := range x.Expressions() {
			sql.Inspect(nil, e, func(_ *sql.Context, e sql.Expression) bool {
				f, is := e.(*expression.GetField)
				looks = looks || is && columns.Contains(f.Id())
				return !looks
			})
		}
	}
	return looks || slices.ContainsFunc(n.Children(), func(c sql.Node) bool { return looksAt(c, columns) })
}
