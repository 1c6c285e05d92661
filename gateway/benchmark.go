package gateway

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// benchmark is BENCHMARK(n, expression): it computes the expression n times, and is
// 0. max_execution_time and KILL end it.
type benchmark struct {
	expression.BinaryExpressionStub
}

func newBenchmark(ctx *sql.Context, n, e sql.Expression) sql.Expression {
	return newVolatile(ctx, &benchmark{expression.BinaryExpressionStub{LeftChild: n, RightChild: e}})
}

// FunctionName is the function's.
func (b *benchmark) FunctionName() string { return "benchmark" }

// Description says what it does.
func (b *benchmark) Description() string { return "computes an expression many times" }

// String is its text.
func (b *benchmark) String() string {
	return "benchmark(" + b.LeftChild.String() + "," + b.RightChild.String() + ")"
}

// Type is INT.
func (b *benchmark) Type(*sql.Context) sql.Type { return types.Int32 }

// IsNullable is true: it is NULL for NULL or a negative n.
func (b *benchmark) IsNullable(*sql.Context) bool { return true }

// IsNonDeterministic is true: it is not to be computed ahead.
func (b *benchmark) IsNonDeterministic() bool { return true }

// CollationCoercibility is a number's.
func (b *benchmark) CollationCoercibility(*sql.Context) (sql.CollationID, byte) {
	return sql.Collation_binary, 5
}

// Eval computes the expression n times.
func (b *benchmark) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	v, err := b.LeftChild.Eval(ctx, row)
	if err != nil || v == nil {
		return nil, err
	}
	n, ok := argumentNumber(ctx, v)
	if !ok || n < 0 {
		return nil, nil
	}
	for i := range n {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if _, err := b.RightChild.Eval(ctx, row); err != nil {
			return nil, err
		}
	}
	return int32(0), nil
}

// WithChildren replaces the arguments.
func (b *benchmark) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 2 {
		return nil, sql.ErrInvalidChildrenNumber.New(b, len(children), 2)
	}
	return &benchmark{expression.BinaryExpressionStub{LeftChild: children[0], RightChild: children[1]}}, nil
}
