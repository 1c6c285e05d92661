package gateway

import "github.com/dolthub/vitess/go/vt/sqlparser"

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

// united appends the queries of a union, or the query itself where it is none, or has a bound
// or definitions of its own, which concern all of them.
func united(queries []sqlparser.SelectStatement, s sqlparser.SelectStatement) []sqlparser.SelectStatement {
	switch s := s.(type) {
	case *sqlparser.ParenSelect:
		return united(queries, s.Select)
	case *sqlparser.SetOp:
		switch s.Type {
		case sqlparser.UnionStr, sqlparser.UnionAllStr, sqlparser.UnionDistinctStr:
			if s.Limit == nil && s.With == nil && s.Into == nil && (s.Lock == nil || s.Lock.Type == "") {
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
