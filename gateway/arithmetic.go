package gateway

import (
	"context"
	"math/big"
	"reflect"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// checkArithmetic makes +, - and * of a statement fail where an integer does not
// hold their result, as MySQL's do. In the SQL library it starts over at the
// other end of the integers.
func checkArithmetic(s sqlparser.Statement) {
	w := syntaxWalk{expr: func(e sqlparser.Expr, _ bool) sqlparser.Expr {
		b, ok := e.(*sqlparser.BinaryExpr)
		if !ok || !checkable(b) {
			return nil
		}
		return sqlparser.InjectedExpr{
			Auth:       sqlparser.AuthInformation{AuthType: sqlparser.AuthType_IGNORE, TargetType: sqlparser.AuthTargetType_Ignore},
			Expression: checkedMark{op: b.Operator, text: sqlparser.String(b)},
			Children:   sqlparser.Exprs{b.Left, b.Right},
		}
	}}
	w.walk(reflect.ValueOf(s), false)
}

// checkable reports whether an expression may be arithmetic of integers.
func checkable(b *sqlparser.BinaryExpr) bool {
	switch b.Operator {
	case sqlparser.PlusStr, sqlparser.MinusStr, sqlparser.MultStr:
		return !isInterval(b.Left) && !isInterval(b.Right)
	}
	return false
}

func isInterval(e sqlparser.Expr) bool {
	_, ok := e.(*sqlparser.IntervalExpr)
	return ok
}

// checkedMark makes the planned expression from the planned operands.
type checkedMark struct{ op, text string }

// String is the expression in a statement's text.
func (m checkedMark) String() string { return m.text }

// WithResolvedChildren takes the planned operands. Other numbers than integers
// are left to the library, which looks at how its own expressions are nested.
func (m checkedMark) WithResolvedChildren(ctx context.Context, children []any) (any, error) {
	if len(children) != 2 {
		return nil, sql.ErrInvalidChildrenNumber.New(m, len(children), 2)
	}
	left, ok := children[0].(sql.Expression)
	right, also := children[1].(sql.Expression)
	if !ok || !also {
		return nil, sql.ErrInvalidChildType.New(m, children[0], left)
	}
	a := expression.NewArithmetic(left, right, m.op)
	if c, ok := ctx.(*sql.Context); ok && types.IsInteger(left.Type(c)) && types.IsInteger(right.Type(c)) {
		return &checkedArithmetic{Arithmetic: a}, nil
	}
	return a, nil
}

// checkedArithmetic is arithmetic of integers.
type checkedArithmetic struct{ *expression.Arithmetic }

var _ expression.ArithmeticOp = (*checkedArithmetic)(nil)

// WithChildren replaces the operands.
func (c *checkedArithmetic) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 2 {
		return nil, sql.ErrInvalidChildrenNumber.New(c, len(children), 2)
	}
	return &checkedArithmetic{Arithmetic: expression.NewArithmetic(children[0], children[1], c.Op)}, nil
}

// Type is BIGINT, or BIGINT UNSIGNED where an operand is.
func (c *checkedArithmetic) Type(ctx *sql.Context) sql.Type {
	t := c.Arithmetic.Type(ctx)
	if types.IsInteger(t) && c.unsigned(ctx) {
		return types.Uint64
	}
	return t
}

// unsigned reports whether the result is: where one operand is.
func (c *checkedArithmetic) unsigned(ctx *sql.Context) bool {
	return isUnsigned(ctx, c.LeftChild) || isUnsigned(ctx, c.RightChild)
}

// isUnsigned reports whether an operand is; a literal is only if BIGINT does not hold it.
func isUnsigned(ctx *sql.Context, e sql.Expression) bool {
	if !types.IsUnsigned(e.Type(ctx)) {
		return false
	}
	l, ok := e.(*expression.Literal)
	if !ok {
		return true
	}
	_, small := asInteger(l.Value())
	return !small
}

// Eval computes the expression.
func (c *checkedArithmetic) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	left, err := c.LeftChild.Eval(ctx, row)
	if err != nil || left == nil {
		return nil, err
	}
	right, err := c.RightChild.Eval(ctx, row)
	if err != nil || right == nil {
		return nil, err
	}
	unsigned := c.unsigned(ctx)
	a, ok := asInteger(left)
	b, also := asInteger(right)
	if ok && also && !unsigned {
		if sum, fits := smallResult(c.Op, a, b); fits {
			return sum, nil
		}
	}
	return c.large(left, right, unsigned)
}

// smallResult computes with int64s, if their result is one.
func smallResult(op string, a, b int64) (int64, bool) {
	switch op {
	case sqlparser.PlusStr:
		r := a + b
		return r, (r > a) == (b > 0)
	case sqlparser.MinusStr:
		r := a - b
		return r, (r < a) == (b > 0)
	}
	r := a * b
	return r, a == 0 || r/a == b && !(a == -1 && b == -1<<63)
}

// large computes with as many digits as it takes.
func (c *checkedArithmetic) large(left, right any, unsigned bool) (any, error) {
	a, okA := bigInteger(left)
	b, okB := bigInteger(right)
	if !okA || !okB {
		return nil, sql.ErrInvalidValueType.New(left, c.Op)
	}
	r := new(big.Int)
	switch c.Op {
	case sqlparser.PlusStr:
		r.Add(a, b)
	case sqlparser.MinusStr:
		r.Sub(a, b)
	default:
		r.Mul(a, b)
	}
	switch {
	case unsigned && r.IsUint64():
		return r.Uint64(), nil
	case !unsigned && r.IsInt64():
		return r.Int64(), nil
	}
	kind := "BIGINT"
	if unsigned {
		kind = "BIGINT UNSIGNED"
	}
	return nil, mysql.NewSQLError(codeNumberRange, "22003", "%s value is out of range in '%s'", kind, c.String())
}

func bigInteger(v any) (*big.Int, bool) {
	if n, ok := asInteger(v); ok {
		return big.NewInt(n), true
	}
	switch v := v.(type) {
	case uint64:
		return new(big.Int).SetUint64(v), true
	case uint:
		return new(big.Int).SetUint64(uint64(v)), true
	}
	return nil, false
}
