package gateway

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/vt/sqlparser"
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

// readFunction is the function that a user variable becomes which a statement gives
// a value and also shows as it is.
const readFunction = "arbor_variable"

// readAssigned makes the columns of a result that are user variables, to which the
// same statement gives values, be read row by row. The SQL library reads such a
// column once, before there is a value.
func readAssigned(s sqlparser.Statement) {
	assigned := make(map[string]bool)
	w := syntaxWalk{node: func(n any, _ bool) {
		f, ok := n.(*sqlparser.FuncExpr)
		if !ok || f == nil || f.Name.Lowered() != assignFunction || len(f.Exprs) != 2 {
			return
		}
		if a, ok := f.Exprs[0].(*sqlparser.AliasedExpr); ok {
			if v, ok := a.Expr.(*sqlparser.SQLVal); ok {
				assigned[strings.ToLower(string(v.Val))] = true
			}
		}
	}}
	w.walk(reflect.ValueOf(s), false)
	if len(assigned) == 0 {
		return
	}
	w = syntaxWalk{node: func(n any, _ bool) {
		a, ok := n.(*sqlparser.AliasedExpr)
		if !ok || a == nil {
			return
		}
		c, ok := a.Expr.(*sqlparser.ColName)
		if !ok || !c.Qualifier.IsEmpty() {
			return
		}
		name, isVariable := strings.CutPrefix(c.Name.Lowered(), "@")
		if !isVariable || !assigned[name] {
			return
		}
		a.Expr = &sqlparser.FuncExpr{Name: sqlparser.NewColIdent(readFunction),
			Exprs: sqlparser.SelectExprs{&sqlparser.AliasedExpr{Expr: sqlparser.NewStrVal([]byte(name))}}}
	}}
	w.walk(reflect.ValueOf(s), false)
}

// newAssignedRead reads a user variable for each row.
func newAssignedRead(ctx *sql.Context, name sql.Expression) sql.Expression {
	return newVolatile(ctx, &assignedRead{expression.UnaryExpressionStub{Child: name}})
}

// assignedRead is the value that a user variable has when a row is computed. It is a
// text: what it will be is not known before.
type assignedRead struct{ expression.UnaryExpressionStub }

// FunctionName is that of its rewritten form.
func (a *assignedRead) FunctionName() string { return readFunction }

// Description says what it does.
func (a *assignedRead) Description() string { return "reads a user variable" }

// String is the expression's text.
func (a *assignedRead) String() string { return "@" + strings.Trim(a.Child.String(), "'") }

// Type is a text.
func (a *assignedRead) Type(*sql.Context) sql.Type { return types.LongText }

// IsNullable is true.
func (a *assignedRead) IsNullable(*sql.Context) bool { return true }

// IsNonDeterministic is true: it is not to be computed ahead.
func (a *assignedRead) IsNonDeterministic() bool { return true }

// CollationCoercibility is that of a variable.
func (a *assignedRead) CollationCoercibility(ctx *sql.Context) (sql.CollationID, byte) {
	return ctx.GetCollation(), 3
}

// Eval reads the variable.
func (a *assignedRead) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	name, err := a.Child.Eval(ctx, row)
	if err != nil {
		return nil, err
	}
	text, _ := name.(string)
	_, v, err := ctx.GetUserVariable(ctx, text)
	if err != nil || v == nil {
		return nil, err
	}
	v, _, err = types.LongText.Convert(ctx, v)
	return v, err
}

// WithChildren replaces the name.
func (a *assignedRead) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(a, len(children), 1)
	}
	return &assignedRead{expression.UnaryExpressionStub{Child: children[0]}}, nil
}
