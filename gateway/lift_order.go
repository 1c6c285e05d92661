package gateway

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// liftedRows is the derived table of a SELECT DISTINCT.
const liftedRows = "arbor rows"

// liftOrder writes a SELECT as two, of which the outer one sorts: a SELECT DISTINCT
// that shows an expression twice, since the SQL library looks for the order's columns
// in rows that have lost them, and one that is sorted by a user variable that it
// gives a value, since the library would give it another one for each comparison.
func liftOrder(s *sqlparser.Select) {
	if len(s.OrderBy) == 0 || s.Into != nil {
		return
	}
	texts := make([]string, len(s.SelectExprs))
	names := make([]string, len(s.SelectExprs))
	twice, assigns := false, make([]bool, len(s.SelectExprs))
	for i, e := range s.SelectExprs {
		a, ok := e.(*sqlparser.AliasedExpr)
		if !ok {
			return
		}
		texts[i] = sqlparser.String(a.Expr)
		twice = twice || s.QueryOpts.Distinct && slices.Contains(texts[:i], texts[i])
		assigns[i] = strings.Contains(texts[i], assignFunction)
		nameColumn(a)
		switch c, isColumn := a.Expr.(*sqlparser.ColName); {
		case !a.As.IsEmpty():
			names[i] = a.As.String()
		case isColumn:
			names[i] = c.Name.String()
		default:
			names[i] = a.InputExpression
		}
	}
	if !twice && !slices.Contains(assigns, true) {
		return
	}
	column := func(i int) *sqlparser.ColName {
		return &sqlparser.ColName{Name: sqlparser.NewColIdent(fmt.Sprintf(liftedValue, i)), Qualifier: sqlparser.TableName{Name: sqlparser.NewTableIdent(liftedRows)}}
	}
	outer := &sqlparser.Select{With: s.With, Limit: s.Limit, Lock: s.Lock}
	for _, o := range s.OrderBy {
		at := -1
		if v, ok := o.Expr.(*sqlparser.SQLVal); ok && v.Type == sqlparser.IntVal {
			if n, err := strconv.Atoi(string(v.Val)); err == nil {
				at = n - 1
			}
		} else {
			if c, ok := o.Expr.(*sqlparser.ColName); ok && c.Qualifier.IsEmpty() {
				at = slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(name, c.Name.String()) })
			}
			if at < 0 {
				at = slices.Index(texts, sqlparser.String(o.Expr))
			}
		}
		if at < 0 || at >= len(names) {
			return
		}
		twice = twice || assigns[at]
		outer.OrderBy = append(outer.OrderBy, &sqlparser.Order{Expr: column(at), Direction: o.Direction})
	}
	if !twice {
		return // rows are numbered in their order
	}
	inner := *s
	inner.With, inner.Limit, inner.Lock, inner.OrderBy, inner.SelectExprs = nil, nil, nil, nil, nil
	for i, e := range s.SelectExprs {
		inner.SelectExprs = append(inner.SelectExprs, &sqlparser.AliasedExpr{Expr: e.(*sqlparser.AliasedExpr).Expr, As: sqlparser.NewColIdent(fmt.Sprintf(liftedValue, i))})
		outer.SelectExprs = append(outer.SelectExprs, &sqlparser.AliasedExpr{Expr: column(i), As: sqlparser.NewColIdent(names[i])})
	}
	outer.From = sqlparser.TableExprs{&sqlparser.AliasedTableExpr{
		Expr: &sqlparser.Subquery{Select: &inner}, As: sqlparser.NewTableIdent(liftedRows),
		Auth: sqlparser.AuthInformation{AuthType: sqlparser.AuthType_IGNORE, TargetType: sqlparser.AuthTargetType_Ignore},
	}}
	*s = *outer
}
