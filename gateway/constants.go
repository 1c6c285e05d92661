package gateway

import (
	"context"
	"reflect"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// admitConstants lets NOW(), @@version and the like stand beside an aggregate.
// The SQL library's check of ONLY_FULL_GROUP_BY takes whatever has no arguments
// for a column that is not grouped.
func admitConstants(s sqlparser.Statement) {
	w := syntaxWalk{expr: func(e sqlparser.Expr, inside bool) sqlparser.Expr {
		if !inside || !withoutColumns(e) {
			return nil
		}
		return sqlparser.InjectedExpr{
			Auth:       sqlparser.AuthInformation{AuthType: sqlparser.AuthType_IGNORE, TargetType: sqlparser.AuthTargetType_Ignore},
			Expression: groupedMark{text: sqlparser.String(e)},
			Children:   sqlparser.Exprs{e},
		}
	}}
	w.walk(reflect.ValueOf(s), false)
}

// withoutColumns reports whether an expression has no parts, and is no column.
func withoutColumns(e sqlparser.Expr) bool {
	switch e := e.(type) {
	case *sqlparser.FuncExpr:
		return len(e.Exprs) == 0 && e.Over == nil && !e.IsAggregate()
	case *sqlparser.ColName:
		return strings.HasPrefix(e.Name.String(), "@") || strings.HasPrefix(e.Qualifier.Name.String(), "@")
	}
	return false
}

// groupedMark makes the planned expression from the planned one.
type groupedMark struct{ text string }

// String is the expression in a statement's text.
func (m groupedMark) String() string { return m.text }

// WithResolvedChildren takes the planned expression.
func (m groupedMark) WithResolvedChildren(_ context.Context, children []any) (any, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(m, len(children), 1)
	}
	e, ok := children[0].(sql.Expression)
	if !ok {
		return nil, sql.ErrInvalidChildType.New(m, children[0], e)
	}
	if _, ok := e.(sql.Aggregation); ok {
		return e, nil
	}
	return &grouped{Expression: e}, nil
}

// grouped is an expression without columns that seems to be made of a constant,
// to those who look for columns.
type grouped struct{ sql.Expression }

// Children is a constant.
func (g *grouped) Children() []sql.Expression {
	return []sql.Expression{expression.NewLiteral(int8(0), types.Int8)}
}

// WithChildren changes nothing.
func (g *grouped) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(g, len(children), 1)
	}
	return g, nil
}

// IsNonDeterministic is the expression's.
func (g *grouped) IsNonDeterministic() bool {
	n, ok := g.Expression.(sql.NonDeterministicExpression)
	return ok && n.IsNonDeterministic()
}

// CollationCoercibility is the expression's.
func (g *grouped) CollationCoercibility(ctx *sql.Context) (sql.CollationID, byte) {
	return sql.GetCoercibility(ctx, g.Expression)
}
