package gateway

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/planbuilder"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// CUME_DIST and NTH_VALUE, which the SQL library has not.

// windowNames are their names.
var windowNames = map[string]bool{cumeDistName: true, nthValueName: true}

const (
	cumeDistName = "cume_dist"
	nthValueName = "nth_value"
)

// installWindowValues tells the SQL library's planner of them. The list is the
// process's.
func installWindowValues() {
	known := planbuilder.IsWindowFunc
	planbuilder.IsWindowFunc = func(ctx *sql.Context, name string) (bool, error) {
		if windowNames[name] {
			return true, nil
		}
		return known(ctx, name)
	}
}

// windowValueFunctions make them.
func windowValueFunctions() map[string]sql.Function {
	return map[string]sql.Function{
		cumeDistName: sql.FunctionN{Name: cumeDistName, Fn: func(_ *sql.Context, args ...sql.Expression) (sql.Expression, error) {
			if len(args) != 0 {
				return nil, sql.ErrInvalidArgumentNumber.New("CUME_DIST", 0, len(args))
			}
			return &windowValue{name: cumeDistName}, nil
		}},
		nthValueName: sql.FunctionN{Name: nthValueName, Fn: func(_ *sql.Context, args ...sql.Expression) (sql.Expression, error) {
			if len(args) != 2 {
				return nil, sql.ErrInvalidArgumentNumber.New("NTH_VALUE", 2, len(args))
			}
			return &windowValue{name: nthValueName, args: args}, nil
		}},
	}
}

// nthPlace is the number of the row that NTH_VALUE wants, from 1.
func nthPlace(e sql.Expression) (int64, bool) {
	l, ok := e.(*expression.Literal)
	if !ok {
		return 0, false
	}
	n, ok := asInteger(l.Val)
	return n, ok && n >= 1
}

// windowValue is one of them.
type windowValue struct {
	name   string
	args   []sql.Expression
	window *sql.WindowDefinition
	id     sql.ColumnId
}

var (
	_ sql.FunctionExpression        = (*windowValue)(nil)
	_ sql.WindowAdaptableExpression = (*windowValue)(nil)
	_ sql.WindowAggregation         = (*windowValue)(nil)
	_ sql.CollationCoercible        = (*windowValue)(nil)
)

// Id is the column's.
func (w *windowValue) Id() sql.ColumnId { return w.id }

// WithId gives it another.
func (w *windowValue) WithId(id sql.ColumnId) sql.IdExpression {
	c := *w
	c.id = id
	return &c
}

// FunctionName is the function's.
func (w *windowValue) FunctionName() string { return w.name }

// Description says what it is.
func (w *windowValue) Description() string { return "as MySQL's " + strings.ToUpper(w.name) }

// Window is what OVER says.
func (w *windowValue) Window() *sql.WindowDefinition { return w.window }

// WithWindow says another.
func (w *windowValue) WithWindow(_ *sql.Context, window *sql.WindowDefinition) sql.WindowAdaptableExpression {
	c := *w
	c.window = window
	return &c
}

// Resolved reports whether all that it names is known.
func (w *windowValue) Resolved() bool {
	return w.window != nil && expression.ExpressionsResolved(append(w.window.ToExpressions(), w.args...)...)
}

// String is its text.
func (w *windowValue) String() string {
	texts := make([]string, len(w.args))
	for i, a := range w.args {
		texts[i] = a.String()
	}
	text := w.name + "(" + strings.Join(texts, ",") + ")"
	if w.window != nil {
		text += " " + w.window.String()
	}
	return text
}

// Type is DOUBLE, or the argument's.
func (w *windowValue) Type(ctx *sql.Context) sql.Type {
	if w.name == cumeDistName {
		return types.Float64
	}
	return w.args[0].Type(ctx)
}

// IsNullable says whether it may be NULL.
func (w *windowValue) IsNullable(*sql.Context) bool { return w.name == nthValueName }

// CollationCoercibility is the argument's.
func (w *windowValue) CollationCoercibility(ctx *sql.Context) (sql.CollationID, byte) {
	if w.name == cumeDistName {
		return sql.Collation_binary, 5
	}
	return sql.GetCoercibility(ctx, w.args[0])
}

// Children are the window's expressions and the arguments.
func (w *windowValue) Children() []sql.Expression {
	return append(w.window.ToExpressions(), w.args...)
}

// WithChildren replaces them.
func (w *windowValue) WithChildren(ctx *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	n := len(children) - len(w.args)
	if n != w.window.ExpressionsLen() {
		return nil, sql.ErrInvalidChildrenNumber.New(w, len(children), w.window.ExpressionsLen()+len(w.args))
	}
	window, err := w.window.FromExpressions(ctx, children[:n])
	if err != nil {
		return nil, err
	}
	c := *w
	c.window, c.args = window, children[n:]
	return &c, nil
}

// Eval refuses: there is no value outside a window.
func (w *windowValue) Eval(*sql.Context, sql.Row) (any, error) {
	return nil, sql.ErrWindowUnsupported.New(w.name)
}

// NewWindowFunction makes what computes it.
func (w *windowValue) NewWindowFunction(*sql.Context) (sql.WindowFunction, error) {
	f := &windowValueRows{}
	frame := w.window.Frame
	if frame == nil {
		frame = rangeFrame{WindowFrame: plan.NewRangeUnboundedPrecedingToCurrentRowFrame()}
	}
	var err error
	if f.framer, err = frame.NewFramer(w.window); err != nil {
		return nil, err
	}
	f.of = w
	if w.name == nthValueName {
		n, ok := nthPlace(w.args[1])
		if !ok {
			return nil, refuse(erWrongArguments, "HY000", "Incorrect arguments to nth_value")
		}
		f.place = n
	}
	return f, nil
}

// windowValueRows computes it for a partition's rows.
type windowValueRows struct {
	of     *windowValue
	framer sql.WindowFramer
	place  int64
	part   sql.WindowInterval
}

// WithWindow changes nothing: the frames come from outside.
func (f *windowValueRows) WithWindow(*sql.Context, *sql.WindowDefinition) (sql.WindowFunction, error) {
	return f, nil
}

// Dispose frees nothing.
func (f *windowValueRows) Dispose(*sql.Context) {}

// StartPartition begins a partition.
func (f *windowValueRows) StartPartition(_ *sql.Context, part sql.WindowInterval, _ sql.WindowBuffer) error {
	f.part = part
	return nil
}

// DefaultFramer gives the frames that the window says.
func (f *windowValueRows) DefaultFramer() sql.WindowFramer { return f.framer }

// Compute gives the value of a row, of whose frame the interval is.
func (f *windowValueRows) Compute(ctx *sql.Context, frame sql.WindowInterval, rows sql.WindowBuffer) (any, error) {
	if f.of.name == cumeDistName { // the frame ends with the row's peers
		return float64(frame.End-f.part.Start) / float64(f.part.End-f.part.Start), nil
	}
	if f.place > int64(frame.End-frame.Start) {
		return nil, nil
	}
	return f.of.args[0].Eval(ctx, rows[frame.Start+int(f.place)-1])
}
