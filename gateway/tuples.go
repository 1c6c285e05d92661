package gateway

import "github.com/dolthub/vitess/go/vt/sqlparser"

// Rows of values, (a, b) IN ((1, 2), (3, 4)) and (a, b) < (1, 2), as comparisons of their
// values: the SQL library takes a NULL in one for a difference, or fails.

// maxTupleValues bounds the values of a list that is written so: longer ones stay.
const maxTupleValues = 10_000

// writeTuples puts comparisons of values in the place of one of rows, nil for other
// expressions.
func writeTuples(e sqlparser.Expr) sqlparser.Expr {
	c, ok := e.(*sqlparser.ComparisonExpr)
	if !ok {
		return nil
	}
	left, ok := tupleOf(c.Left)
	if !ok {
		return nil
	}
	right, ok := tupleOf(c.Right)
	if !ok {
		if list, isList := c.Right.(sqlparser.ValTuple); isList && len(list) == 1 && (c.Operator == sqlparser.InStr || c.Operator == sqlparser.NotInStr) {
			right, ok = list, true
		}
	}
	if !ok || len(right)*len(left) > maxTupleValues {
		return nil
	}
	switch c.Operator {
	case sqlparser.InStr, sqlparser.NotInStr:
		var any []sqlparser.Expr
		for _, r := range right {
			row, ok := tupleOf(r)
			if !ok || len(row) != len(left) {
				return nil
			}
			any = append(any, rowsCompared(left, row, sqlparser.EqualStr))
		}
		return negatedIf(c.Operator == sqlparser.NotInStr, balanced(any, func(a, b sqlparser.Expr) sqlparser.Expr { return &sqlparser.OrExpr{Left: a, Right: b} }))
	case sqlparser.EqualStr, sqlparser.NullSafeEqualStr, sqlparser.LessThanStr, sqlparser.LessEqualStr, sqlparser.GreaterThanStr, sqlparser.GreaterEqualStr:
		if len(right) == len(left) {
			return &sqlparser.ParenExpr{Expr: rowsCompared(left, right, c.Operator)}
		}
	case sqlparser.NotEqualStr:
		if len(right) == len(left) {
			return negatedIf(true, rowsCompared(left, right, sqlparser.EqualStr))
		}
	}
	return nil
}

// tupleOf is a row of two values or more.
func tupleOf(e sqlparser.Expr) (sqlparser.ValTuple, bool) {
	t, ok := e.(sqlparser.ValTuple)
	return t, ok && len(t) > 1
}

func negatedIf(not bool, e sqlparser.Expr) sqlparser.Expr {
	e = &sqlparser.ParenExpr{Expr: e}
	if not {
		return &sqlparser.ParenExpr{Expr: &sqlparser.NotExpr{Expr: e}}
	}
	return e
}

// rowsCompared compares two rows of one length: value by value, or, for what is less or
// greater, by the first value that differs.
func rowsCompared(left, right sqlparser.ValTuple, operator string) sqlparser.Expr {
	compare := func(i int, operator string) sqlparser.Expr {
		return &sqlparser.ComparisonExpr{Operator: operator, Left: copied(left[i]), Right: copied(right[i])}
	}
	last := len(left) - 1
	if operator == sqlparser.EqualStr || operator == sqlparser.NullSafeEqualStr {
		all := compare(0, operator)
		for i := 1; i <= last; i++ {
			all = &sqlparser.AndExpr{Left: all, Right: compare(i, operator)}
		}
		return &sqlparser.ParenExpr{Expr: all}
	}
	strict := map[string]string{sqlparser.LessEqualStr: sqlparser.LessThanStr, sqlparser.GreaterEqualStr: sqlparser.GreaterThanStr}[operator]
	if strict == "" {
		strict = operator
	}
	out := compare(last, operator)
	for i := last - 1; i >= 0; i-- {
		out = &sqlparser.ParenExpr{Expr: &sqlparser.OrExpr{Left: compare(i, strict), Right: &sqlparser.ParenExpr{Expr: &sqlparser.AndExpr{Left: compare(i, sqlparser.EqualStr), Right: out}}}}
	}
	return out
}

// balanced joins expressions to a tree of little depth.
func balanced(all []sqlparser.Expr, join func(a, b sqlparser.Expr) sqlparser.Expr) sqlparser.Expr {
	if len(all) == 1 {
		return all[0]
	}
	half := len(all) / 2
	return &sqlparser.ParenExpr{Expr: join(balanced(all[:half], join), balanced(all[half:], join))}
}

// copied is an expression that shares nothing with another one, since what changes a
// statement changes each of its parts once.
func copied(e sqlparser.Expr) sqlparser.Expr {
	switch e := e.(type) {
	case *sqlparser.ColName:
		c := *e
		return &c
	case *sqlparser.SQLVal:
		v := *e
		return &v
	case *sqlparser.NullVal:
		return &sqlparser.NullVal{}
	}
	s, err := sqlparser.Parse("select " + sqlparser.String(e))
	if err != nil {
		return e
	}
	return s.(*sqlparser.Select).SelectExprs[0].(*sqlparser.AliasedExpr).Expr
}
