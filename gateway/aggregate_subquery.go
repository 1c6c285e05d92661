package gateway

import (
	"context"
	"reflect"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// A subquery within an aggregate's argument, COUNT(CASE WHEN x IN (SELECT …) THEN 1 END).
// The SQL library knows an aggregate by its text, and writes a subquery into it in two ways:
// as it was written, and as it is planned. It then finds the aggregate by neither, and says
// that its argument is not grouped. So such an argument has one text.

// hasQueriedArguments reports whether a node is an aggregate with a subquery in an argument.
func hasQueriedArguments(n any) bool {
	for _, a := range aggregateArguments(n) {
		if holdsSubquery(a.Expr) {
			return true
		}
	}
	return false
}

// aggregateArguments are the arguments of an aggregate of a group, none of what is no such.
func aggregateArguments(n any) (arguments []*sqlparser.AliasedExpr) {
	var exprs sqlparser.SelectExprs
	switch n := n.(type) {
	case *sqlparser.FuncExpr:
		if isGroupAggregate(n) {
			exprs = n.Exprs
		}
	case *sqlparser.GroupConcatExpr:
		exprs = n.Exprs
	}
	for _, e := range exprs {
		if a, ok := e.(*sqlparser.AliasedExpr); ok {
			arguments = append(arguments, a)
		}
	}
	return arguments
}

func holdsSubquery(e sqlparser.Expr) (found bool) {
	w := syntaxWalk{node: func(n any, _ bool) {
		_, is := n.(*sqlparser.Subquery)
		found = found || is
	}}
	w.walk(reflect.ValueOf(&e), false)
	return found
}

// nameQueriedArguments gives a statement's arguments of that kind their texts, in place.
func nameQueriedArguments(s sqlparser.Statement) {
	w := syntaxWalk{node: func(n any, _ bool) {
		for _, a := range aggregateArguments(n) {
			if !isNamed(a.Expr) && holdsSubquery(a.Expr) {
				a.Expr = sqlparser.InjectedExpr{
					Auth:       sqlparser.AuthInformation{AuthType: sqlparser.AuthType_IGNORE, TargetType: sqlparser.AuthTargetType_Ignore},
					Expression: namedMark{text: exactText(sqlparser.String(a.Expr))},
					Children:   sqlparser.Exprs{a.Expr},
				}
			}
		}
	}}
	w.walk(reflect.ValueOf(s), false)
}

// isNamed reports whether an argument has its text.
func isNamed(e sqlparser.Expr) bool {
	i, ok := e.(sqlparser.InjectedExpr)
	if !ok {
		return false
	}
	_, named := i.Expression.(namedMark)
	return named
}

// exactText is a text that differs from every other one in lower case, too.
func exactText(text string) string {
	if strings.ToLower(text) == text {
		return text
	}
	return text + bytesComment(text)
}

// namedMark makes the planned expression from the planned argument.
type namedMark struct{ text string }

// String is the expression in a statement's text.
func (m namedMark) String() string { return m.text }

// WithResolvedChildren takes the planned argument.
func (m namedMark) WithResolvedChildren(_ context.Context, children []any) (any, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(m, len(children), 1)
	}
	e, ok := children[0].(sql.Expression)
	if !ok {
		return nil, sql.ErrInvalidChildType.New(m, children[0], e)
	}
	return &namedExpression{Expression: e, text: m.text}, nil
}

// namedExpression is an expression whose text stays as it is, however it is planned.
type namedExpression struct {
	sql.Expression
	text string
}

// String is the text.
func (n *namedExpression) String() string { return n.text }

// Children is the expression.
func (n *namedExpression) Children() []sql.Expression { return []sql.Expression{n.Expression} }

// WithChildren puts another expression in its place.
func (n *namedExpression) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(n, len(children), 1)
	}
	return &namedExpression{Expression: children[0], text: n.text}, nil
}

// CollationCoercibility is the expression's.
func (n *namedExpression) CollationCoercibility(ctx *sql.Context) (sql.CollationID, byte) {
	return sql.GetCoercibility(ctx, n.Expression)
}
