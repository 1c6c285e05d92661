package gateway

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation"

	"arbor/catalog"
	"arbor/engine/exec"
)

const (
	firstTouchName = "first_touch"
	lastTouchName  = "last_touch"
)

// touch is FIRST_TOUCH or LAST_TOUCH: the value of the group's first or last
// event, by time and ingest id, in which it is not NULL. The parser puts these
// two behind the value where they were not written.
type touch struct {
	name  string
	child sql.Expression
	order []sql.Expression // the moment and the ingest id
	id    sql.ColumnId
}

var (
	_ sql.Aggregation        = (*touch)(nil)
	_ sql.FunctionExpression = (*touch)(nil)
	_ sql.CollationCoercible = (*touch)(nil)
)

func newTouch(_ *sql.Context, name string, args []sql.Expression) (sql.Expression, error) {
	if err := refuseDistinct(name, args); err != nil {
		return nil, err
	}
	if len(args) != 3 {
		return nil, wrongArguments(name, "it takes a value: write "+name+"(utm_source), or "+name+"(utm_source, time, _ingest_id)")
	}
	return &touch{name: name, child: args[0], order: args[1:]}, nil
}

// execAggregate is the aggregate in the words of a fragment, as behaviour's is.
func (t *touch) execAggregate() (op exec.AggregateOp, params []catalog.Value, args []sql.Expression) {
	op = exec.AggFirst
	if t.name == lastTouchName {
		op = exec.AggLast
	}
	return op, nil, t.Children()
}

// Type is the value's.
func (t *touch) Type(ctx *sql.Context) sql.Type { return t.child.Type(ctx) }

// IsNullable is true: there may be no value.
func (t *touch) IsNullable(*sql.Context) bool { return true }

// Children are the value, the moment and the ingest id.
func (t *touch) Children() []sql.Expression {
	return append([]sql.Expression{t.child}, t.order...)
}

// WithChildren replaces them.
func (t *touch) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 1+len(t.order) {
		return nil, sql.ErrInvalidChildrenNumber.New(t, len(children), 1+len(t.order))
	}
	next := *t
	next.child, next.order = children[0], children[1:]
	return &next, nil
}

// Resolved reports whether all arguments are known.
func (t *touch) Resolved() bool { return expression.ExpressionsResolved(t.Children()...) }

// FunctionName is the name in SQL.
func (t *touch) FunctionName() string { return t.name }

// Description says what the function does.
func (t *touch) Description() string {
	return "returns the value of a group's first or last event that has one."
}

// String is the call.
func (t *touch) String() string { return callText(t.name, t.Children()) }

// CollationCoercibility is the value's.
func (t *touch) CollationCoercibility(ctx *sql.Context) (sql.CollationID, byte) {
	return sql.GetCoercibility(ctx, t.child)
}

// Eval is not how an aggregate is computed.
func (t *touch) Eval(*sql.Context, sql.Row) (any, error) {
	return nil, aggregation.ErrEvalUnsupportedOnAggregation.New(t.FunctionName())
}

// Id is the column that the planner gave the result.
func (t *touch) Id() sql.ColumnId { return t.id }

// WithId gives the result a column.
func (t *touch) WithId(id sql.ColumnId) sql.IdExpression {
	next := *t
	next.id = id
	return &next
}

// Window is nil: there is no OVER.
func (t *touch) Window() *sql.WindowDefinition { return nil }

// WithWindow changes nothing, as behaviour's.
func (t *touch) WithWindow(*sql.Context, *sql.WindowDefinition) sql.WindowAdaptableExpression {
	return t
}

// NewWindowFunction refuses.
func (t *touch) NewWindowFunction(*sql.Context) (sql.WindowFunction, error) {
	return nil, notSupported("%s is no window function; use it with GROUP BY, or FIRST_VALUE and LAST_VALUE", strings.ToUpper(t.name))
}

// NewBuffer makes the state of one group.
func (t *touch) NewBuffer(ctx *sql.Context) (sql.AggregationBuffer, error) {
	exprs, err := cloneAll(ctx, t.Children())
	if err != nil {
		return nil, err
	}
	return &touchBuffer{child: exprs[0], order: exprs[1:], last: t.name == lastTouchName, holding: newHolding(ctx)}, nil
}

// touchBuffer is the first value so far, or the last.
type touchBuffer struct {
	child   sql.Expression
	order   []sql.Expression
	last    bool
	value   any // nil for none
	at      int64
	id      catalog.IngestID
	holding *holding
}

// Update looks at a row.
func (b *touchBuffer) Update(ctx *sql.Context, row sql.Row) error {
	v, err := b.child.Eval(ctx, row)
	if err != nil || v == nil {
		return err
	}
	if v, err = sql.UnwrapAny(ctx, v); err != nil || v == nil {
		return err
	}
	at, id, ok, err := evalOrder(ctx, b.order, row)
	if err != nil || !ok || b.value != nil && !b.before(at, id) {
		return err
	}
	b.value, b.at, b.id = v, at, id
	b.holding.release()
	return b.holding.take(valueBytes(v))
}

// before reports whether an event goes before the one that is kept, or behind it
// where the last one is wanted.
func (b *touchBuffer) before(at int64, id catalog.IngestID) bool {
	if b.last {
		return at > b.at || at == b.at && id.Compare(b.id) > 0
	}
	return at < b.at || at == b.at && id.Compare(b.id) < 0
}

// Eval is the value.
func (b *touchBuffer) Eval(*sql.Context) (any, error) { return b.value, nil }

// Dispose frees the value.
func (b *touchBuffer) Dispose(ctx *sql.Context) {
	expression.Dispose(ctx, b.child)
	for _, e := range b.order {
		expression.Dispose(ctx, e)
	}
	b.holding.release()
}
