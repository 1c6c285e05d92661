package gateway

import (
	"fmt"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// assignFunction is the function into which @x := expression is rewritten.
const assignFunction = "arbor_assign"

// assignment is @x := expression: it gives a user variable the value of each row in
// turn, and is that value.
type assignment struct {
	expression.UnaryExpressionStub
	name string
}

var (
	_ sql.Expression                 = (*assignment)(nil)
	_ sql.FunctionExpression         = (*assignment)(nil)
	_ sql.CollationCoercible         = (*assignment)(nil)
	_ sql.NonDeterministicExpression = (*assignment)(nil)
)

func newAssignment(ctx *sql.Context, name, e sql.Expression) sql.Expression {
	l, ok := name.(*expression.Literal)
	if !ok {
		return newVolatile(ctx, &assignment{expression.UnaryExpressionStub{Child: e}, ""})
	}
	text, _ := l.Val.(string)
	return newVolatile(ctx, &assignment{expression.UnaryExpressionStub{Child: e}, strings.ToLower(text)})
}

// FunctionName is that of its rewritten form.
func (a *assignment) FunctionName() string { return assignFunction }

// Description says what it does.
func (a *assignment) Description() string { return "gives a user variable a value" }

// String is the expression's text.
func (a *assignment) String() string { return fmt.Sprintf("@%s := %s", a.name, a.Child) }

// Type is the value's; of one that is not known yet, a text, which holds any.
func (a *assignment) Type(ctx *sql.Context) sql.Type {
	if !a.Child.Resolved() {
		return types.LongText
	}
	t := a.Child.Type(ctx)
	if t == types.Null {
		return types.LongText
	}
	return t
}

// IsNonDeterministic is true: it is not to be computed ahead.
func (a *assignment) IsNonDeterministic() bool { return true }

// CollationCoercibility is the value's.
func (a *assignment) CollationCoercibility(ctx *sql.Context) (sql.CollationID, byte) {
	return sql.GetCoercibility(ctx, a.Child)
}

// Eval sets the variable.
func (a *assignment) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	v, err := a.Child.Eval(ctx, row)
	if err != nil {
		return nil, err
	}
	if v, err = sql.UnwrapAny(ctx, v); err != nil {
		return nil, err
	}
	return v, ctx.SetUserVariable(ctx, a.name, v, a.Type(ctx))
}

// WithChildren replaces the value.
func (a *assignment) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(a, len(children), 1)
	}
	return &assignment{expression.UnaryExpressionStub{Child: children[0]}, a.name}, nil
}
