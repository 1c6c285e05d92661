package gateway

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/planbuilder"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/catalog"
	"arbor/engine/exec"
)

// behaviourNames are the aggregate functions over events in their order, other
// than FIRST_TOUCH and LAST_TOUCH.
var behaviourNames = []string{
	exec.BehaviourFunnel, exec.BehaviourRetention, exec.BehaviourSequenceMatch,
	exec.BehaviourSequenceCount, exec.BehaviourSessions, exec.BehaviourSessionSeconds,
}

// orderedNames are all aggregate functions that the SQL library does not know.
var orderedNames = func() map[string]bool {
	names := map[string]bool{firstTouchName: true, lastTouchName: true}
	for _, name := range behaviourNames {
		names[name] = true
	}
	return names
}()

var behavioursInstalled sync.Once

// installBehaviours tells the SQL library's planner, which is the process's, that
// there are more aggregates than it knows.
func installBehaviours() {
	behavioursInstalled.Do(func() {
		stock := planbuilder.IsAggregateFunc
		planbuilder.IsAggregateFunc = func(ctx *sql.Context, name string) (bool, error) {
			if orderedNames[name] {
				return true, nil
			}
			return stock(ctx, name)
		}
	})
}

// behaviourFunctions makes the functions by their names.
func behaviourFunctions() map[string]sql.Function {
	all := make(map[string]sql.Function)
	for _, name := range behaviourNames {
		all[name] = sql.FunctionN{Name: name, Fn: func(ctx *sql.Context, args ...sql.Expression) (sql.Expression, error) {
			return newBehaviour(ctx, name, args)
		}}
	}
	for _, name := range []string{firstTouchName, lastTouchName} {
		all[name] = sql.FunctionN{Name: name, Fn: func(ctx *sql.Context, args ...sql.Expression) (sql.Expression, error) {
			return newTouch(ctx, name, args)
		}}
	}
	return all
}

// behaviour is a behavioural function as an aggregate: WINDOW_FUNNEL and its kin.
// Its arguments are, in this order, the moment and the ingest id that order the
// events (where they were not written the parser has put them there), constants,
// and conditions.
type behaviour struct {
	name   string
	order  []sql.Expression // the moment, and the ingest id unless it is left out
	params []sql.Expression
	conds  []sql.Expression
	// made is nil as long as a constant is not known: in a statement that is
	// being prepared.
	made   exec.Behaviour
	values []catalog.Value // of params
	id     sql.ColumnId
}

var (
	_ sql.Aggregation        = (*behaviour)(nil)
	_ sql.FunctionExpression = (*behaviour)(nil)
	_ sql.CollationCoercible = (*behaviour)(nil)
)

// newBehaviour sorts the arguments of a call.
func newBehaviour(ctx *sql.Context, name string, args []sql.Expression) (sql.Expression, error) {
	if err := refuseDistinct(name, args); err != nil {
		return nil, err
	}
	b := &behaviour{name: name}
	b.order, args = splitOrder(ctx, name, args)
	if len(b.order) == 0 && name != exec.BehaviourRetention {
		return nil, wrongArguments(name, "it needs events to look at, FROM events or from what has their columns time and _ingest_id")
	}
	n := 0
	switch name {
	case exec.BehaviourFunnel:
		for n = min(1, len(args)); n < len(args) && isMode(ctx, args[n]); n++ {
		}
	case exec.BehaviourSequenceMatch, exec.BehaviourSequenceCount, exec.BehaviourSessions, exec.BehaviourSessionSeconds:
		n = min(1, len(args))
	}
	b.params, b.conds = args[:n], args[n:]
	for _, c := range b.conds {
		if c.Resolved() && types.IsTime(c.Type(ctx)) {
			return nil, wrongArguments(name, fmt.Sprintf("%s is a moment, which as a condition is true of all events; they come in the order of their time by themselves", c))
		}
	}
	for _, p := range b.params {
		if hasColumn(ctx, p) || hasSubquery(ctx, p) {
			return nil, wrongArguments(name, fmt.Sprintf("%s must be a constant", p))
		}
		if isPlaceholder(ctx, p) {
			return b, nil
		}
	}
	return b, b.make(ctx)
}

// make makes the function itself.
func (b *behaviour) make(ctx *sql.Context) error {
	b.values = make([]catalog.Value, len(b.params))
	for i, p := range b.params {
		var err error
		if b.values[i], err = constantValue(ctx, p); err != nil {
			return err
		}
	}
	var err error
	if b.made, err = exec.NewBehaviour(b.name, b.values, len(b.conds)); errors.Is(err, exec.ErrBehaviour) {
		err = refuse(erWrongArguments, stateGeneral, "%s", err)
	}
	return err
}

// wrongArguments is the error for arguments that a function cannot take, in the
// words of exec.ErrBehaviour.
func wrongArguments(name, why string) error {
	return refuse(erWrongArguments, stateGeneral, "incorrect arguments to %s: %s", name, why)
}

func refuseDistinct(name string, args []sql.Expression) error {
	for _, a := range args {
		if _, ok := a.(*expression.DistinctExpression); ok {
			return wrongArguments(name, "DISTINCT has no meaning in it")
		}
	}
	return nil
}

// splitOrder takes the moment and the ingest id off the front of the arguments.
// They are the columns that stand before the constants; RETENTION, which has no
// constants, is given its by the parser only.
func splitOrder(ctx *sql.Context, name string, args []sql.Expression) (order, rest []sql.Expression) {
	if name == exec.BehaviourRetention {
		if len(args) >= 2 && isColumn(args[0], "time") && isColumn(args[1], "_ingest_id") {
			return args[:2], args[2:]
		}
		return nil, args
	}
	n := 0
	for n < min(2, len(args)) && hasColumn(ctx, args[n]) {
		n++
	}
	return args[:n], args[n:]
}

// isColumn reports whether an expression is a column of that name.
func isColumn(e sql.Expression, name string) bool {
	f, ok := e.(*expression.GetField)
	return ok && strings.EqualFold(f.Name(), name)
}

// hasColumn reports whether an expression depends on a row.
func hasColumn(ctx *sql.Context, e sql.Expression) bool {
	return transform.InspectExpr(ctx, e, func(_ *sql.Context, e sql.Expression) bool {
		switch e.(type) {
		case *expression.GetField, sql.Aggregation:
			return true
		}
		return false
	})
}

func hasSubquery(ctx *sql.Context, e sql.Expression) bool {
	return transform.InspectExpr(ctx, e, func(_ *sql.Context, e sql.Expression) bool {
		_, ok := e.(*plan.Subquery)
		return ok
	})
}

func isPlaceholder(ctx *sql.Context, e sql.Expression) bool {
	return transform.InspectExpr(ctx, e, func(_ *sql.Context, e sql.Expression) bool {
		_, ok := e.(*expression.BindVar)
		return ok
	})
}

// isMode reports whether an argument is a constant string, or may become one.
func isMode(ctx *sql.Context, e sql.Expression) bool {
	if _, ok := e.(*expression.BindVar); ok {
		return true
	}
	return !hasColumn(ctx, e) && types.IsText(e.Type(ctx))
}

// constantValue is the value of an expression without columns.
func constantValue(ctx *sql.Context, e sql.Expression) (catalog.Value, error) {
	v, err := e.Eval(ctx, nil)
	if err != nil {
		return catalog.Null, err
	}
	if v, err = sql.UnwrapAny(ctx, v); err != nil {
		return catalog.Null, err
	}
	switch v := v.(type) {
	case nil:
		return catalog.Null, nil
	case string:
		return catalog.String(v), nil
	case float32:
		return catalog.Double(float64(v)), nil
	case float64:
		return catalog.Double(v), nil
	case *apd.Decimal:
		return catalog.Number(v.Text('f')), nil
	}
	if n, ok := asInteger(v); ok {
		return catalog.Int(n), nil
	}
	return catalog.Number(fmt.Sprint(v)), nil
}

// execAggregate is the aggregate in the words of a fragment: what to compute, of
// which constants, and of which arguments, the moment and the ingest id first. It
// is 0 where there is no such aggregate, since no ingest id orders the events.
func (b *behaviour) execAggregate() (op exec.AggregateOp, params []catalog.Value, args []sql.Expression) {
	if b.made == nil || len(b.order) != 2 {
		return 0, nil, nil
	}
	params = append([]catalog.Value{catalog.String(b.name)}, b.values...)
	return exec.AggBehaviour, params, append(b.order[:2:2], b.conds...)
}

// Type is BIGINT, or DOUBLE.
func (b *behaviour) Type(*sql.Context) sql.Type {
	if b.name == exec.BehaviourSessionSeconds {
		return types.Float64
	}
	return types.Int64
}

// IsNullable is false: no events are no steps, no sessions.
func (b *behaviour) IsNullable(*sql.Context) bool { return false }

// Children are all arguments.
func (b *behaviour) Children() []sql.Expression {
	children := make([]sql.Expression, 0, len(b.order)+len(b.params)+len(b.conds))
	return append(append(append(children, b.order...), b.params...), b.conds...)
}

// WithChildren replaces the arguments.
func (b *behaviour) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if n := len(b.order) + len(b.params) + len(b.conds); len(children) != n {
		return nil, sql.ErrInvalidChildrenNumber.New(b, len(children), n)
	}
	next := *b
	next.order, children = children[:len(b.order):len(b.order)], children[len(b.order):]
	next.params, next.conds = children[:len(b.params):len(b.params)], children[len(b.params):]
	return &next, nil
}

// Resolved reports whether all arguments are known.
func (b *behaviour) Resolved() bool { return expression.ExpressionsResolved(b.Children()...) }

// FunctionName is the name in SQL.
func (b *behaviour) FunctionName() string { return b.name }

// Description says what the function does.
func (b *behaviour) Description() string {
	return "computes " + b.name + " of a group's events in the order of their time."
}

// String is the call.
func (b *behaviour) String() string { return callText(b.name, b.Children()) }

func callText(name string, args []sql.Expression) string {
	texts := make([]string, len(args))
	for i, e := range args {
		texts[i] = e.String()
	}
	return strings.ToUpper(name) + "(" + strings.Join(texts, ", ") + ")"
}

// CollationCoercibility is that of a number.
func (b *behaviour) CollationCoercibility(*sql.Context) (sql.CollationID, byte) {
	return sql.Collation_binary, 5
}

// Eval is not how an aggregate is computed.
func (b *behaviour) Eval(*sql.Context, sql.Row) (any, error) {
	return nil, aggregation.ErrEvalUnsupportedOnAggregation.New(b.FunctionName())
}

// Id is the column that the planner gave the result.
func (b *behaviour) Id() sql.ColumnId { return b.id }

// WithId gives the result a column.
func (b *behaviour) WithId(id sql.ColumnId) sql.IdExpression {
	next := *b
	next.id = id
	return &next
}

// Window is nil: there is no OVER.
func (b *behaviour) Window() *sql.WindowDefinition { return nil }

// WithWindow changes nothing: the grammar has no OVER for functions that it does
// not know.
func (b *behaviour) WithWindow(*sql.Context, *sql.WindowDefinition) sql.WindowAdaptableExpression {
	return b
}

// NewWindowFunction refuses.
func (b *behaviour) NewWindowFunction(*sql.Context) (sql.WindowFunction, error) {
	return nil, notSupported("%s is no window function; use it with GROUP BY", strings.ToUpper(b.name))
}
