package gateway

import "github.com/dolthub/vitess/go/vt/sqlparser"

// nameColumns gives the columns of a UNION's SELECTs that are no table's the names
// that they have anyway. Without one, the SQL library sorts all rows by a constant
// itself, and so not at all, and does not number a column that it converts.
func nameColumns(s sqlparser.SelectStatement) {
	switch s := s.(type) {
	case *sqlparser.SetOp:
		nameColumns(s.Left)
		nameColumns(s.Right)
	case *sqlparser.ParenSelect:
		nameColumns(s.Select)
	case *sqlparser.Select:
		for _, e := range s.SelectExprs {
			a, ok := e.(*sqlparser.AliasedExpr)
			if !ok || !a.As.IsEmpty() {
				continue
			}
			if _, isColumn := a.Expr.(*sqlparser.ColName); isColumn {
				continue
			}
			v, isConstant := a.Expr.(*sqlparser.SQLVal)
			if isConstant && v.Type == sqlparser.ValArg {
				continue
			}
			nameColumn(a)
			name := a.InputExpression
			if name == "" && isConstant {
				name = string(v.Val)
			}
			if name != "" {
				a.As = sqlparser.NewColIdent(name)
			}
		}
	}
}
