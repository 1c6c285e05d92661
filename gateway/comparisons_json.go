package gateway

import (
	"slices"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// jsonFirst is a comparison of something else with JSON the other way round, nil for
// other expressions: the library compares as JSON only what JSON stands in front of, and
// 1 = JSON_EXTRACT(…) as texts.
func jsonFirst(ctx *sql.Context, e sql.Expression) sql.Expression {
	if in, ok := e.(*expression.InTuple); ok {
		return jsonAmong(ctx, in)
	}
	c, ok := e.(expression.Comparer)
	if !ok || !behindOther(ctx, c.Left(), c.Right()) {
		return nil
	}
	switch e.(type) {
	case *expression.Equals:
		return expression.NewEquals(c.Right(), c.Left())
	case *expression.NullSafeEquals:
		return expression.NewNullSafeEquals(c.Right(), c.Left())
	case *expression.LessThan:
		return expression.NewGreaterThan(c.Right(), c.Left())
	case *expression.LessThanOrEqual:
		return expression.NewGreaterThanOrEqual(c.Right(), c.Left())
	case *expression.GreaterThan:
		return expression.NewLessThan(c.Right(), c.Left())
	case *expression.GreaterThanOrEqual:
		return expression.NewLessThanOrEqual(c.Right(), c.Left())
	}
	return nil
}

// jsonAmong is x IN (…) with JSON in its list as x's comparisons with each of it.
func jsonAmong(ctx *sql.Context, in *expression.InTuple) sql.Expression {
	list, ok := in.Right().(expression.Tuple)
	if !ok || !slices.ContainsFunc(list, func(v sql.Expression) bool { return behindOther(ctx, in.Left(), v) }) {
		return nil
	}
	var any sql.Expression
	for _, v := range list {
		equal := ownComparisonFor(ctx, expression.NewEquals(in.Left(), v))
		if any == nil {
			any = equal
		} else {
			any = expression.NewOr(any, equal)
		}
	}
	return any
}

// behindOther reports whether the second of two expressions is JSON, and the first
// something else that has a type.
func behindOther(ctx *sql.Context, left, right sql.Expression) bool {
	l := left.Type(ctx)
	return types.IsJSON(right.Type(ctx)) && !types.IsJSON(l) && l != types.Null && !types.IsTuple(l)
}
