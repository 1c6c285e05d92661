package gateway

import "github.com/dolthub/vitess/go/vt/sqlparser"

// nameConstants gives the constants of the first SELECT of a UNION with ORDER BY
// the names that their columns have anyway: without one, the SQL library sorts
// all rows by the constant itself, and so not at all.
func nameConstants(u *sqlparser.SetOp) {
	if len(u.OrderBy) == 0 {
		return
	}
	for left := u.Left; ; {
		switch l := left.(type) {
		case *sqlparser.SetOp:
			left = l.Left
			continue
		case *sqlparser.ParenSelect:
			left = l.Select
			continue
		case *sqlparser.Select:
			for _, e := range l.SelectExprs {
				a, ok := e.(*sqlparser.AliasedExpr)
				if !ok || !a.As.IsEmpty() {
					continue
				}
				if v, ok := a.Expr.(*sqlparser.SQLVal); ok && v.Type != sqlparser.ValArg {
					name := a.InputExpression
					if name == "" {
						name = string(v.Val)
					}
					a.As = sqlparser.NewColIdent(name)
				}
			}
		}
		return
	}
}
