package gateway

import (
	"fmt"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// aggregate is SUM, AVG, a standard deviation or a variance, as a group's
// aggregate and as a window function. The SQL library's own sum everything as
// floating-point numbers, which loses the low digits of large integers and of
// decimals, and give deviations the type of their argument. These have MySQL's
// types: exact arguments give a DECIMAL sum or average, others a DOUBLE;
// deviations are DOUBLE.
type aggregate struct {
	kind   aggregateKind
	child  sql.Expression
	window *sql.WindowDefinition
	id     sql.ColumnId
	// shown is the type of the result where the argument has more digits than count for
	// it, else nil; see exactQuotients.
	shown sql.DecimalType
}

// aggregateKind is which of them.
type aggregateKind uint8

const (
	aggregateSum aggregateKind = iota
	aggregateAvg
	aggregateStdPop
	aggregateStdSamp
	aggregateVarPop
	aggregateVarSamp
)

// aggregateNames are the functions' names in SQL.
var aggregateNames = map[string]aggregateKind{
	"sum": aggregateSum, "avg": aggregateAvg,
	"std": aggregateStdPop, "stddev": aggregateStdPop, "stddev_pop": aggregateStdPop, "stddev_samp": aggregateStdSamp,
	"variance": aggregateVarPop, "var_pop": aggregateVarPop, "var_samp": aggregateVarSamp,
}

var aggregateTexts = [...]string{"SUM", "AVG", "STDDEV_POP", "STDDEV_SAMP", "VAR_POP", "VAR_SAMP"}

var (
	_ sql.Aggregation        = (*aggregate)(nil)
	_ sql.FunctionExpression = (*aggregate)(nil)
	_ sql.CollationCoercible = (*aggregate)(nil)
)

// Digits that MySQL adds to those of an argument.
const (
	sumDigits = 22
	avgDigits = 4 // div_precision_increment
)

// Type is MySQL's type of the result.
func (a *aggregate) Type(ctx *sql.Context) sql.Type {
	if a.shown != nil {
		return a.shown
	}
	precision, scale, ok := exactDigits(a.child.Type(ctx))
	switch {
	case !ok || a.kind > aggregateAvg:
		return types.Float64
	case a.kind == aggregateSum:
		precision += sumDigits
	default:
		precision, scale = precision+avgDigits, scale+avgDigits
	}
	scale = min(scale, types.DecimalTypeMaxScale)
	return types.MustCreateDecimalType(uint8(min(precision, types.DecimalTypeMaxPrecision)), uint8(scale))
}

// exactDigits gives the digits of a type whose values are exact numbers, and how
// many of them are behind the point.
func exactDigits(t sql.Type) (precision, scale int, ok bool) {
	switch {
	case types.IsDecimal(t):
		d := t.(sql.DecimalType)
		return int(d.Precision()), int(d.Scale()), true
	case types.IsInteger(t):
		return integerDigits(t), 0, true
	case types.IsYear(t):
		return 4, 0, true
	case types.IsBit(t):
		return 20, 0, true
	}
	return 0, 0, false
}

func integerDigits(t sql.Type) int {
	switch t {
	case types.Int8, types.Uint8, types.Boolean:
		return 3
	case types.Int16, types.Uint16:
		return 5
	case types.Int24, types.Uint24:
		return 8
	case types.Int32, types.Uint32:
		return 10
	case types.Uint64:
		return 20
	}
	return 19
}

// NewBuffer makes the state of one group.
func (a *aggregate) NewBuffer(ctx *sql.Context) (sql.AggregationBuffer, error) {
	child, err := transform.Clone(ctx, a.child)
	if err != nil {
		return nil, err
	}
	return newAggregateBuffer(ctx, a, child), nil
}

// NewWindowFunction makes the function that a window is computed by.
func (a *aggregate) NewWindowFunction(ctx *sql.Context) (sql.WindowFunction, error) {
	child, err := transform.Clone(ctx, a.child)
	if err != nil {
		return nil, err
	}
	w := &aggregateWindow{buffer: newAggregateBuffer(ctx, a, child)}
	if a.window != nil && a.window.Frame != nil {
		w.framer, err = a.window.Frame.NewFramer(a.window)
	}
	return w, err
}

// Window is the OVER clause, nil for none.
func (a *aggregate) Window() *sql.WindowDefinition { return a.window }

// WithWindow gives the function an OVER clause.
func (a *aggregate) WithWindow(_ *sql.Context, w *sql.WindowDefinition) sql.WindowAdaptableExpression {
	b := *a
	b.window = w
	return &b
}

// Id is the column that the planner gave the result.
func (a *aggregate) Id() sql.ColumnId { return a.id }

// WithId gives the result a column.
func (a *aggregate) WithId(id sql.ColumnId) sql.IdExpression {
	b := *a
	b.id = id
	return &b
}

// Eval is not how an aggregate is computed.
func (a *aggregate) Eval(*sql.Context, sql.Row) (any, error) {
	return nil, aggregation.ErrEvalUnsupportedOnAggregation.New(a.FunctionName())
}

// Children are the argument and what the window is made of.
func (a *aggregate) Children() []sql.Expression {
	children := []sql.Expression{a.child}
	if a.window != nil {
		children = append(children, a.window.ToExpressions()...)
	}
	return children
}

// WithChildren replaces them.
func (a *aggregate) WithChildren(ctx *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) < 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(a, len(children), 1)
	}
	b := *a
	b.child = children[0]
	if len(children) > 1 && a.window != nil {
		w, err := a.window.FromExpressions(ctx, children[1:])
		if err != nil {
			return nil, err
		}
		b.window = w
	}
	return &b, nil
}

// Resolved reports whether all parts are known.
func (a *aggregate) Resolved() bool {
	if _, ok := a.child.(*expression.Star); ok {
		return true
	}
	return expression.ExpressionsResolved(a.Children()...)
}

// IsNullable is true: nothing to add up gives NULL.
func (a *aggregate) IsNullable(*sql.Context) bool { return true }

// CollationCoercibility is that of a number.
func (a *aggregate) CollationCoercibility(*sql.Context) (sql.CollationID, byte) {
	return sql.Collation_binary, 5
}

// FunctionName is the name in SQL.
func (a *aggregate) FunctionName() string { return strings.ToLower(aggregateTexts[a.kind]) }

// Description says what the function does.
func (a *aggregate) Description() string {
	return [...]string{
		"returns the sum of expr in all rows", "returns the average value of expr in all rows",
		"returns the population standard deviation of expr", "returns the sample standard deviation of expr",
		"returns the population variance of expr", "returns the sample variance of expr",
	}[a.kind]
}

// String is the text that the planner knows the aggregate by.
func (a *aggregate) String() string {
	text := fmt.Sprintf("%s(%s)", aggregateTexts[a.kind], a.child)
	if a.window != nil {
		text += " " + a.window.String()
	}
	return text
}

// aggregateWindow computes an aggregate over a window's frames. A frame that
// goes on from the last one costs only the rows that are new; where rows fall
// out, exact numbers are taken off again and others added up anew.
type aggregateWindow struct {
	buffer *aggregateBuffer
	framer sql.WindowFramer
	frame  sql.WindowInterval
	values []any // of the rows of the partition
	start  int   // the partition's first row
}

// Dispose frees what the argument holds.
func (w *aggregateWindow) Dispose(ctx *sql.Context) { w.buffer.Dispose(ctx) }

// DefaultFramer is the frame of an OVER without one.
func (w *aggregateWindow) DefaultFramer() sql.WindowFramer {
	if w.framer != nil {
		return w.framer
	}
	return aggregation.NewPartitionFramer()
}

// StartPartition reads the argument's values.
func (w *aggregateWindow) StartPartition(ctx *sql.Context, in sql.WindowInterval, rows sql.WindowBuffer) error {
	w.start = in.Start
	w.frame = sql.WindowInterval{Start: in.Start, End: in.Start}
	w.buffer.reset()
	w.values = w.values[:0]
	for _, row := range rows[in.Start:in.End] {
		v, err := w.buffer.child.Eval(ctx, row)
		if err != nil {
			return err
		}
		w.values = append(w.values, v)
	}
	return nil
}

// Compute gives the aggregate of a frame.
func (w *aggregateWindow) Compute(ctx *sql.Context, in sql.WindowInterval, _ sql.WindowBuffer) (any, error) {
	if in.End <= in.Start {
		return nil, nil
	}
	if in.Start != w.frame.Start || in.End < w.frame.End {
		if !w.buffer.removable() || in.Start < w.frame.Start || in.End < w.frame.End || in.Start > w.frame.End {
			w.buffer.reset()
			w.frame = sql.WindowInterval{Start: in.Start, End: in.Start}
		}
		for ; w.frame.Start < in.Start; w.frame.Start++ {
			if err := w.buffer.remove(ctx, w.values[w.frame.Start-w.start]); err != nil {
				return nil, err
			}
		}
	}
	for ; w.frame.End < in.End; w.frame.End++ {
		if err := w.buffer.add(ctx, w.values[w.frame.End-w.start]); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return w.buffer.Eval(ctx)
}
