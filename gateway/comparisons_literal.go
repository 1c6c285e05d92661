package gateway

import (
	"context"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// keepDigits keeps the planner from rounding a decimal constant to the scale of
// the column that it is compared with, which it does before any rule sees it.
func keepDigits(c *sqlparser.ComparisonExpr) {
	switch c.Operator {
	case sqlparser.EqualStr, sqlparser.NotEqualStr, sqlparser.NullSafeEqualStr, sqlparser.LessThanStr,
		sqlparser.LessEqualStr, sqlparser.GreaterThanStr, sqlparser.GreaterEqualStr:
		c.Left, c.Right = keptDigits(c.Left), keptDigits(c.Right)
	}
}

func keptDigits(e sqlparser.Expr) sqlparser.Expr {
	l, ok := e.(*sqlparser.SQLVal)
	if !ok || l.Type != sqlparser.FloatVal && l.Type != sqlparser.IntVal && l.Type != sqlparser.ValArg {
		return e
	}
	const longestInteger = 18 // digits that an integer surely has
	if l.Type == sqlparser.IntVal && len(l.Val) <= longestInteger {
		return e
	}
	return sqlparser.InjectedExpr{
		Auth:       sqlparser.AuthInformation{AuthType: sqlparser.AuthType_IGNORE, TargetType: sqlparser.AuthTargetType_Ignore},
		Expression: digitsMark{text: sqlparser.String(l)},
		Children:   sqlparser.Exprs{l},
	}
}

// digitsMark makes the planned expression from the planned constant.
type digitsMark struct{ text string }

// String is the constant in a statement's text.
func (m digitsMark) String() string { return m.text }

// WithResolvedChildren takes the planned constant.
func (m digitsMark) WithResolvedChildren(ctx context.Context, children []any) (any, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(m, len(children), 1)
	}
	e, ok := children[0].(sql.Expression)
	if !ok {
		return nil, sql.ErrInvalidChildType.New(m, children[0], e)
	}
	if l, ok := e.(*expression.Literal); ok && types.IsDecimal(l.Typ) {
		return &keptLiteral{Expression: l}, nil
	}
	return e, nil
}

// keptLiteral is a decimal constant until the rules begin, which put the
// constant itself in its place.
type keptLiteral struct{ sql.Expression }

// Children is the constant.
func (k *keptLiteral) Children() []sql.Expression { return []sql.Expression{k.Expression} }

// WithChildren puts another constant in its place.
func (k *keptLiteral) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(k, len(children), 1)
	}
	return &keptLiteral{Expression: children[0]}, nil
}
