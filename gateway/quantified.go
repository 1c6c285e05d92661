package gateway

import (
	"fmt"
	"strings"

	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// x > ALL (SELECT …), x > ANY (SELECT …) and SOME, which the grammar does not know: the text
// calls a function instead, and the parsed statement compares with the greatest or least of
// the rows, where NULLs and no rows mean what they mean in MySQL.

// The functions that stand for the words in a text.
const (
	allFunction = "arbor_all"
	anyFunction = "arbor_any"
)

// quantifier reads ALL (…), ANY (…) and SOME (…) behind a comparison.
func (r *idiomRewriter) quantifier(i int) {
	if i == 0 || r.word(i+1) != "(" || !strings.Contains("=<>", r.word(i-1)) {
		return
	}
	name := anyFunction
	if r.word(i) == "ALL" {
		name = allFunction
	}
	depth := r.tokens[i+1].depth
	for j := i + 2; j < len(r.tokens); j++ {
		if r.tokens[j].depth == depth && r.word(j) == ")" {
			r.edit(r.tokens[i].start, r.tokens[i].end, name+"(")
			r.edit(r.tokens[j].end, r.tokens[j].end, ")")
			return
		}
	}
}

// opposite are the comparisons that hold where others do not.
var opposite = map[string]string{
	sqlparser.EqualStr: sqlparser.NotEqualStr, sqlparser.NotEqualStr: sqlparser.EqualStr,
	sqlparser.LessThanStr: sqlparser.GreaterEqualStr, sqlparser.GreaterEqualStr: sqlparser.LessThanStr,
	sqlparser.GreaterThanStr: sqlparser.LessEqualStr, sqlparser.LessEqualStr: sqlparser.GreaterThanStr,
}

// writeQuantified puts what the library knows in the place of such a comparison, nil for
// other expressions.
func writeQuantified(e sqlparser.Expr) sqlparser.Expr {
	c, ok := e.(*sqlparser.ComparisonExpr)
	if !ok {
		return nil
	}
	f, ok := c.Right.(*sqlparser.FuncExpr)
	if !ok || len(f.Exprs) != 1 || f.Name.Lowered() != allFunction && f.Name.Lowered() != anyFunction {
		return nil
	}
	argument, ok := f.Exprs[0].(*sqlparser.AliasedExpr)
	if !ok {
		return nil
	}
	rows, ok := argument.Expr.(*sqlparser.Subquery)
	if !ok {
		return nil
	}
	all := f.Name.EqualString(allFunction)
	switch {
	case !all && c.Operator == sqlparser.EqualStr:
		return &sqlparser.ComparisonExpr{Operator: sqlparser.InStr, Left: c.Left, Right: rows}
	case all && c.Operator == sqlparser.NotEqualStr:
		return &sqlparser.ComparisonExpr{Operator: sqlparser.NotInStr, Left: c.Left, Right: rows}
	case opposite[c.Operator] == "":
		return nil
	}
	operator := c.Operator
	if !all {
		operator = opposite[operator] // x > ANY is NOT (x <= ALL)
	}
	text := comparedWithAll(sqlparser.String(c.Left), operator, rows.Select)
	if !all {
		text = "not (" + text + ")"
	}
	s, err := sqlparser.Parse("select " + text)
	if err != nil {
		return nil
	}
	return s.(*sqlparser.Select).SelectExprs[0].(*sqlparser.AliasedExpr).Expr
}

// comparedWithAll is the text of x op ALL (rows): true for no rows, false where a value
// does not compare so, unknown where else one is NULL. <> is NOT IN, and not for here.
func comparedWithAll(x, operator string, rows sqlparser.SelectStatement) string {
	bound := func(name string) string { return "(" + sqlparser.String(aggregateOf(rows, name)) + ")" }
	holds := x + " " + operator + " " + bound("max")
	switch operator {
	case sqlparser.LessThanStr, sqlparser.LessEqualStr:
		holds = x + " " + operator + " " + bound("min")
	case sqlparser.EqualStr:
		holds = "(" + holds + " and " + x + " = " + bound("min") + ")"
	}
	count := bound(countRows)
	return fmt.Sprintf("case when %s = 0 then true when not (%s) then false when %s <> %s then null else %s end", count, holds, count, bound("count"), holds)
}

// countRows names COUNT(*) among the aggregates.
const countRows = "count(*)"

// aggregateOf is a SELECT of an aggregate over the rows of another one. Where that one is
// plain the aggregate is put into it, so that it may look at columns around it.
func aggregateOf(rows sqlparser.SelectStatement, name string) sqlparser.SelectStatement {
	over := func(e sqlparser.SelectExpr) sqlparser.SelectExprs {
		f := &sqlparser.FuncExpr{Name: sqlparser.NewColIdent(name), Exprs: sqlparser.SelectExprs{e}}
		if name == countRows {
			f.Name, f.Exprs = sqlparser.NewColIdent("count"), sqlparser.SelectExprs{&sqlparser.StarExpr{}}
		}
		return sqlparser.SelectExprs{&sqlparser.AliasedExpr{Expr: f}}
	}
	if s, ok := rows.(*sqlparser.Select); ok && len(s.SelectExprs) == 1 && len(s.GroupBy) == 0 && s.Having == nil && s.Limit == nil && s.With == nil && !holdsAggregate(s.SelectExprs) {
		if a, ok := s.SelectExprs[0].(*sqlparser.AliasedExpr); ok {
			plain := *s
			plain.QueryOpts, plain.OrderBy, plain.SelectExprs = sqlparser.QueryOpts{}, nil, over(&sqlparser.AliasedExpr{Expr: a.Expr})
			return &plain
		}
	}
	return &sqlparser.Select{SelectExprs: over(&sqlparser.AliasedExpr{Expr: sqlparser.NewColName("v")}), From: sqlparser.TableExprs{&sqlparser.AliasedTableExpr{
		Expr: &sqlparser.Subquery{Select: rows, Columns: sqlparser.Columns{sqlparser.NewColIdent("v")}}, As: sqlparser.NewTableIdent("arbor rows")}}}
}
