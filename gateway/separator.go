package gateway

import (
	"context"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// showSeparator makes the text of a GROUP_CONCAT show the bytes of its
// separator, if that has letters: the SQL library knows aggregates by their text
// in lower case, and takes two for one that differ in the separator's case.
func showSeparator(g *sqlparser.GroupConcatExpr) {
	s := g.Separator.SeparatorString
	if g.Separator.DefaultSeparator || strings.ToLower(s) == s && strings.ToUpper(s) == s || len(g.Exprs) != 1 {
		return
	}
	e, ok := g.Exprs[0].(*sqlparser.AliasedExpr)
	if !ok {
		return
	}
	g.Exprs = sqlparser.SelectExprs{&sqlparser.AliasedExpr{As: e.As, InputExpression: e.InputExpression, Expr: sqlparser.InjectedExpr{
		Auth:       sqlparser.AuthInformation{AuthType: sqlparser.AuthType_IGNORE, TargetType: sqlparser.AuthTargetType_Ignore},
		Expression: separatorMark{text: sqlparser.String(e.Expr), separator: s},
		Children:   sqlparser.Exprs{e.Expr},
	}}}
}

// separatorMark makes the planned expression from what is concatenated.
type separatorMark struct{ text, separator string }

// String is the expression in a statement's text.
func (m separatorMark) String() string { return m.text }

// WithResolvedChildren takes what is concatenated.
func (m separatorMark) WithResolvedChildren(_ context.Context, children []any) (any, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(m, len(children), 1)
	}
	e, ok := children[0].(sql.Expression)
	if !ok {
		return nil, sql.ErrInvalidChildType.New(m, children[0], e)
	}
	return &separated{Expression: e, separator: m.separator}, nil
}

// separated is an expression whose text shows a separator. Its value and type
// are the expression's.
type separated struct {
	sql.Expression
	separator string
}

// String shows the separator's bytes beside the text.
func (s *separated) String() string { return s.Expression.String() + bytesComment(s.separator) }

// Children is the expression.
func (s *separated) Children() []sql.Expression { return []sql.Expression{s.Expression} }

// WithChildren puts another expression in its place.
func (s *separated) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(s, len(children), 1)
	}
	return &separated{Expression: children[0], separator: s.separator}, nil
}

// CollationCoercibility is the expression's.
func (s *separated) CollationCoercibility(ctx *sql.Context) (sql.CollationID, byte) {
	return sql.GetCoercibility(ctx, s.Expression)
}
