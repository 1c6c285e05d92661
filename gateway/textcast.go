package gateway

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// mendCast makes casts of what the SQL library casts otherwise than MySQL: CHAR(n) keeps n
// characters, and a number is a date by its digits.
func mendCast(c *sqlparser.ConvertExpr) {
	if c.Type == nil {
		return
	}
	switch strings.ToLower(c.Type.Type) {
	case expression.ConvertToChar, expression.ConvertToNChar:
		if c.Type.Length != nil {
			whole := *c.Type
			whole.Length = nil
			c.Expr = &sqlparser.FuncExpr{Name: sqlparser.NewColIdent(cutName), Exprs: sqlparser.SelectExprs{
				&sqlparser.AliasedExpr{Expr: &sqlparser.ConvertExpr{Name: c.Name, Expr: c.Expr, Type: &whole}},
				&sqlparser.AliasedExpr{Expr: sqlparser.NewIntVal(c.Type.Length.Val)},
			}}
		}
	case expression.ConvertToDate, expression.ConvertToDatetime:
		c.Expr = digitsOfMoment(c.Expr)
	}
}

// cutName is the function that cuts a text.
const cutName = "left"

// mendDate makes DATE() of a number that of its digits.
func mendDate(f *sqlparser.FuncExpr) {
	if len(f.Exprs) != 1 || !f.Name.EqualString("date") {
		return
	}
	if a, ok := f.Exprs[0].(*sqlparser.AliasedExpr); ok {
		a.Expr = digitsOfMoment(a.Expr)
	}
}

// Digits of numbers that are a day and a moment.
const (
	dayLength    = len("20260131")
	momentLength = len("20260131235959")
)

// digitsOfMoment makes a text of a number that is a day or a moment, as 20260131 is.
func digitsOfMoment(e sqlparser.Expr) sqlparser.Expr {
	if v, ok := e.(*sqlparser.SQLVal); ok && v.Type == sqlparser.IntVal && (len(v.Val) == dayLength || len(v.Val) == momentLength) {
		return sqlparser.NewStrVal(v.Val)
	}
	return e
}
