package gateway

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation"
)

// concatBuffer is the state of a GROUP_CONCAT in one group. The SQL library keeps
// each row and each value until the end of the group. The rows are counted by
// their reader; values that are computed, and may be much longer, are counted
// here.
type concatBuffer struct {
	sql.AggregationBuffer
	holding *holding
}

func newConcatBuffer(ctx *sql.Context, g *aggregation.GroupConcat) (sql.AggregationBuffer, error) {
	args, h := g.Children(), newHolding(ctx)
	first := len(args) - len(g.OutputExpressions()) // what it is ordered by comes before
	if first < len(args) {
		if _, column := args[first].(*expression.GetField); !column {
			args = append([]sql.Expression(nil), args...)
			args[first] = &heldValue{Expression: args[first], holding: h}
			e, err := g.WithChildren(ctx, args...)
			if err != nil {
				return nil, err
			}
			g = e.(*aggregation.GroupConcat)
		}
	}
	b, err := g.NewBuffer(ctx)
	return &concatBuffer{AggregationBuffer: b, holding: h}, err
}

// Update adds a row. The library appends to it, which must not reach another
// GROUP_CONCAT of the same row.
func (b *concatBuffer) Update(ctx *sql.Context, row sql.Row) error {
	return b.AggregationBuffer.Update(ctx, row[:len(row):len(row)])
}

// Dispose frees the values.
func (b *concatBuffer) Dispose(ctx *sql.Context) {
	b.AggregationBuffer.Dispose(ctx)
	b.holding.release()
}

// newCollectBuffer makes the state of an aggregate that keeps the values of its
// arguments: those that are computed are counted, as those of GROUP_CONCAT are.
func newCollectBuffer(ctx *sql.Context, a sql.Aggregation, args []sql.Expression) (sql.AggregationBuffer, error) {
	h := newHolding(ctx)
	held := make([]sql.Expression, len(args))
	for i, e := range args {
		held[i] = &heldValue{Expression: e, holding: h}
	}
	counted, err := a.WithChildren(ctx, held...)
	if err != nil {
		return nil, err
	}
	b, err := counted.(sql.Aggregation).NewBuffer(ctx)
	return &concatBuffer{AggregationBuffer: b, holding: h}, err
}

// heldValue is an expression whose values are kept.
type heldValue struct {
	sql.Expression
	holding *holding
}

// Eval gives a value, and counts it.
func (h *heldValue) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	v, err := h.Expression.Eval(ctx, row)
	if err != nil || v == nil {
		return v, err
	}
	return v, h.holding.take(valueBytes(v))
}

// WithChildren puts other arguments in their place: the library copies expressions so.
func (h *heldValue) WithChildren(ctx *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	e, err := h.Expression.WithChildren(ctx, children...)
	if err != nil {
		return nil, err
	}
	return &heldValue{Expression: e, holding: h.holding}, nil
}
