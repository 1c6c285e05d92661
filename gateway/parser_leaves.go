package gateway

import (
	"strings"

	"github.com/dolthub/vitess/go/vt/sqlparser"
)

func hasStar(exprs sqlparser.SelectExprs) bool {
	for _, e := range exprs {
		if _, ok := e.(*sqlparser.StarExpr); ok {
			return true
		}
	}
	return false
}

func (r *rewriter) anyEvents(leaves []sqlparser.TableExpr) bool {
	for _, leaf := range leaves {
		if _, ok := r.project(leaf); ok {
			return true
		}
	}
	return false
}

// appendLeaves appends the tables of a FROM in their order.
func appendLeaves(leaves []sqlparser.TableExpr, t sqlparser.TableExpr, merged *bool) []sqlparser.TableExpr {
	switch t := t.(type) {
	case *sqlparser.JoinTableExpr:
		if t.Condition.Using != nil || strings.HasPrefix(t.Join, "natural") {
			*merged = true
		}
		return appendLeaves(appendLeaves(leaves, t.LeftExpr, merged), t.RightExpr, merged)
	case *sqlparser.ParenTableExpr:
		for _, e := range t.Exprs {
			leaves = appendLeaves(leaves, e, merged)
		}
		return leaves
	default:
		return append(leaves, t)
	}
}

// qualifier is the name by which the rest of the statement knows a table.
func qualifier(t sqlparser.TableExpr) sqlparser.TableName {
	switch t := t.(type) {
	case *sqlparser.AliasedTableExpr:
		if !t.As.IsEmpty() {
			return sqlparser.TableName{Name: t.As}
		}
		if name, ok := t.Expr.(sqlparser.TableName); ok {
			return name
		}
	case *sqlparser.JSONTableExpr:
		return sqlparser.TableName{Name: t.Alias}
	case *sqlparser.TableFuncExpr:
		if !t.Alias.IsEmpty() {
			return sqlparser.TableName{Name: t.Alias}
		}
		return sqlparser.TableName{Name: sqlparser.NewTableIdent(t.Name)}
	}
	return sqlparser.TableName{}
}

func names(t sqlparser.TableExpr, name sqlparser.TableName) bool {
	q := qualifier(t)
	if !strings.EqualFold(q.Name.String(), name.Name.String()) {
		return false
	}
	return q.DbQualifier.IsEmpty() || name.DbQualifier.IsEmpty() ||
		q.DbQualifier.String() == name.DbQualifier.String()
}
