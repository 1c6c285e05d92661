package gateway

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation"
	"github.com/dolthub/go-mysql-server/sql/planbuilder"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// percentile is an aggregate that gives the value at a share p of a group's sorted
// values: PERCENTILE_CONT(x, p) and its other names between neighbours in
// proportion, PERCENTILE_DISC(x, p) the first value at or above that share. All of
// them are exact.
type percentile struct {
	name  string
	disc  bool
	child sql.Expression
	share sql.Expression // a constant from 0 to 1
	id    sql.ColumnId
}

var (
	_ sql.Aggregation        = (*percentile)(nil)
	_ sql.FunctionExpression = (*percentile)(nil)
	_ sql.CollationCoercible = (*percentile)(nil)
)

// moreAggregates are the aggregates that MySQL does not have.
var moreAggregates = map[string]sql.Function{
	"approx_count_distinct": sql.Function1{Name: "approx_count_distinct", Fn: func(_ *sql.Context, e sql.Expression) sql.Expression {
		return aggregation.NewCountDistinct(e)
	}},
	"median": sql.Function1{Name: "median", Fn: func(_ *sql.Context, e sql.Expression) sql.Expression {
		return &percentile{name: "median", child: e, share: expression.NewLiteral(0.5, types.Float64)}
	}},
	"percentile_cont":   percentileFunction("percentile_cont", false),
	"percentile_disc":   percentileFunction("percentile_disc", true),
	"quantile":          percentileFunction("quantile", false),
	"approx_percentile": percentileFunction("approx_percentile", false),
}

func percentileFunction(name string, disc bool) sql.Function {
	return sql.Function2{Name: name, Fn: func(_ *sql.Context, e, share sql.Expression) sql.Expression {
		return &percentile{name: name, disc: disc, child: e, share: share}
	}}
}

// installAggregates tells the SQL library's planner of the aggregates. The list is
// the process's.
func installAggregates() {
	known := planbuilder.IsAggregateFunc
	planbuilder.IsAggregateFunc = func(ctx *sql.Context, name string) (bool, error) {
		if _, ok := moreAggregates[name]; ok {
			return true, nil
		}
		return known(ctx, name)
	}
}

// value is the share.
func (p *percentile) value(ctx *sql.Context) (float64, error) {
	wrong := refuse(erWrongArguments, "HY000", "Incorrect arguments to %s: the share is a constant from 0 to 1", strings.ToUpper(p.name))
	if !constantSides(ctx, p.share) {
		return 0, wrong
	}
	v, err := p.share.Eval(ctx, nil)
	if err != nil {
		return 0, err
	}
	f, ok := number(v)
	if !ok || !(f >= 0 && f <= 1) {
		return 0, wrong
	}
	return f, nil
}

// Type is DOUBLE, or the argument's type.
func (p *percentile) Type(ctx *sql.Context) sql.Type {
	if p.disc {
		return p.child.Type(ctx)
	}
	return types.Float64
}

// NewBuffer makes the state of one group.
func (p *percentile) NewBuffer(ctx *sql.Context) (sql.AggregationBuffer, error) {
	share, err := p.value(ctx)
	if err != nil {
		return nil, err
	}
	child, err := transform.Clone(ctx, p.child)
	if err != nil {
		return nil, err
	}
	return &percentileBuffer{child: child, typ: p.child.Type(ctx), share: share, disc: p.disc, holding: newHolding(ctx)}, nil
}

// percentileBuffer holds all values of a group.
type percentileBuffer struct {
	child   sql.Expression
	typ     sql.Type
	share   float64
	disc    bool
	holding *holding
	doubles []float64
	values  []any
}

// Update adds a row.
func (b *percentileBuffer) Update(ctx *sql.Context, row sql.Row) error {
	v, err := b.child.Eval(ctx, row)
	if err != nil {
		return err
	}
	if v, err = sql.UnwrapAny(ctx, v); err != nil || v == nil {
		return err
	}
	if b.disc {
		b.values = append(b.values, v)
		return b.holding.take(valueOverhead + valueBytes(v))
	}
	f, err := asDouble(ctx, v)
	if err != nil {
		return err
	}
	b.doubles = append(b.doubles, f)
	return b.holding.take(8)
}

// Eval gives the value.
func (b *percentileBuffer) Eval(ctx *sql.Context) (any, error) {
	if b.disc {
		return b.discrete(ctx)
	}
	if len(b.doubles) == 0 {
		return nil, nil
	}
	slices.Sort(b.doubles)
	at := b.share * float64(len(b.doubles)-1)
	low := int(at)
	if low >= len(b.doubles)-1 {
		return b.doubles[len(b.doubles)-1], nil
	}
	from, to := b.doubles[low], b.doubles[low+1]
	return from + (to-from)*(at-float64(low)), nil
}

func (b *percentileBuffer) discrete(ctx context.Context) (_ any, err error) {
	if len(b.values) == 0 {
		return nil, nil
	}
	slices.SortFunc(b.values, func(x, y any) int {
		order, e := b.typ.Compare(ctx, x, y)
		if e != nil && err == nil {
			err = e
		}
		return order
	})
	n := int(math.Ceil(b.share * float64(len(b.values))))
	return b.values[max(n, 1)-1], err
}

// Dispose frees the values.
func (b *percentileBuffer) Dispose(ctx *sql.Context) {
	expression.Dispose(ctx, b.child)
	b.doubles, b.values = nil, nil
	b.holding.release()
}

// NewWindowFunction refuses: a percentile is no window function.
func (p *percentile) NewWindowFunction(*sql.Context) (sql.WindowFunction, error) {
	return nil, notSupported("%s with OVER", strings.ToUpper(p.name))
}

// Window is nil.
func (p *percentile) Window() *sql.WindowDefinition { return nil }

// WithWindow changes nothing.
func (p *percentile) WithWindow(*sql.Context, *sql.WindowDefinition) sql.WindowAdaptableExpression {
	return p
}

// Id is the column that the planner gave the result.
func (p *percentile) Id() sql.ColumnId { return p.id }

// WithId gives the result a column.
func (p *percentile) WithId(id sql.ColumnId) sql.IdExpression {
	q := *p
	q.id = id
	return &q
}

// Eval is not how an aggregate is computed.
func (p *percentile) Eval(*sql.Context, sql.Row) (any, error) {
	return nil, aggregation.ErrEvalUnsupportedOnAggregation.New(p.name)
}

// Children are the argument and the share.
func (p *percentile) Children() []sql.Expression { return []sql.Expression{p.child, p.share} }

// WithChildren replaces them.
func (p *percentile) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 2 {
		return nil, sql.ErrInvalidChildrenNumber.New(p, len(children), 2)
	}
	q := *p
	q.child, q.share = children[0], children[1]
	return &q, nil
}

// Resolved reports whether both are known.
func (p *percentile) Resolved() bool { return expression.ExpressionsResolved(p.child, p.share) }

// IsNullable is true: there may be no value.
func (p *percentile) IsNullable(*sql.Context) bool { return true }

// CollationCoercibility is the argument's.
func (p *percentile) CollationCoercibility(ctx *sql.Context) (sql.CollationID, byte) {
	if p.disc {
		return sql.GetCoercibility(ctx, p.child)
	}
	return sql.Collation_binary, 5
}

// FunctionName is the name in SQL.
func (p *percentile) FunctionName() string { return p.name }

// Description says what the function does.
func (p *percentile) Description() string { return "returns the value at a share of the sorted values" }

// String is the text that the planner knows the aggregate by.
func (p *percentile) String() string {
	if p.name == "median" {
		return fmt.Sprintf("MEDIAN(%s)", p.child)
	}
	return fmt.Sprintf("%s(%s,%s)", strings.ToUpper(p.name), p.child, p.share)
}
