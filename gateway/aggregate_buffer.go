package gateway

import (
	"fmt"
	"math"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// aggregateBuffer is the state of an aggregate: a count and a sum, exact or not,
// or a mean and the squares of the distances from it.
type aggregateBuffer struct {
	kind  aggregateKind
	child sql.Expression
	exact bool
	scale int // digits behind the point of an average
	seen  *keySet
	shown sql.DecimalType // of the aggregate

	count int64
	// The exact sum is small + large, which is nil until small has overflowed
	// or a decimal has come.
	small int64
	large *apd.Decimal
	// The sum of floating-point numbers.
	double float64
	// Welford's mean and sum of squared distances, of the values' distances from the
	// first one: far from zero, those keep the digits that the values would lose.
	first, mean, squares float64
}

func newAggregateBuffer(ctx *sql.Context, a *aggregate, child sql.Expression) *aggregateBuffer {
	b := &aggregateBuffer{kind: a.kind, child: child, shown: a.shown}
	if d, ok := child.(*expression.DistinctExpression); ok {
		b.child = d.Child
		b.seen = newKeySet(ctx, []sql.Type{d.Child.Type(ctx)})
	}
	if t, ok := a.Type(ctx).(sql.DecimalType); ok {
		b.exact, b.scale = true, int(t.Scale())
	}
	return b
}

// reset makes the state that of no rows.
func (b *aggregateBuffer) reset() {
	b.count, b.small, b.large, b.double, b.first, b.mean, b.squares = 0, 0, nil, 0, 0, 0, 0
	if b.seen != nil {
		b.seen.clear()
	}
}

// Update adds a row.
func (b *aggregateBuffer) Update(ctx *sql.Context, row sql.Row) error {
	v, err := b.child.Eval(ctx, row)
	if err != nil {
		return err
	}
	return b.add(ctx, v)
}

// add adds a value; NULL adds nothing.
func (b *aggregateBuffer) add(ctx *sql.Context, v any) error {
	v, err := sql.UnwrapAny(ctx, v)
	if err != nil || v == nil {
		return err
	}
	if b.seen != nil {
		if fresh, err := b.seen.add(ctx, v); err != nil || !fresh {
			return err
		}
	}
	if b.exact {
		b.count++
		return b.addExact(ctx, v, false)
	}
	f, err := asDouble(ctx, v)
	if err != nil {
		return err
	}
	if b.count == 0 {
		b.first = f
	}
	b.count++
	b.double += f
	from := f - b.first
	delta := from - b.mean
	b.mean += delta / float64(b.count)
	b.squares += delta * (from - b.mean)
	return nil
}

// removable reports whether values can be taken off again without an error.
func (b *aggregateBuffer) removable() bool { return b.exact && b.seen == nil }

// remove takes a value off an exact sum.
func (b *aggregateBuffer) remove(ctx *sql.Context, v any) error {
	v, err := sql.UnwrapAny(ctx, v)
	if err != nil || v == nil {
		return err
	}
	b.count--
	return b.addExact(ctx, v, true)
}

// addExact adds a value to the exact sum, or takes it off.
func (b *aggregateBuffer) addExact(ctx *sql.Context, v any, off bool) error {
	if n, ok := asInteger(v); ok && n != math.MinInt64 {
		if off {
			n = -n
		}
		if s := b.small + n; (s > b.small) == (n > 0) {
			b.small = s
			return nil
		}
		b.spill()
		b.small = n
		return nil
	}
	d, _, err := types.InternalDecimalType.Convert(ctx, v)
	if err != nil {
		return err
	}
	n, ok := d.(*apd.Decimal)
	if !ok {
		return fmt.Errorf("add up %T: not a number", v)
	}
	if b.large == nil {
		b.large = new(apd.Decimal)
	}
	if off {
		_, err = unrounded.Sub(b.large, b.large, n)
	} else {
		_, err = unrounded.Add(b.large, b.large, n)
	}
	return err
}

// unrounded computes with as many digits as there are.
var unrounded = apd.BaseContext.WithPrecision(0)

// spill moves the small part of the sum into the large one.
func (b *aggregateBuffer) spill() {
	if b.large == nil {
		b.large = new(apd.Decimal)
	}
	unrounded.Add(b.large, b.large, apd.New(b.small, 0))
	b.small = 0
}

// asInteger gives a Go integer or boolean as an int64, if it is one that fits.
func asInteger(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case int32:
		return int64(v), true
	case int16:
		return int64(v), true
	case int8:
		return int64(v), true
	case int:
		return int64(v), true
	case uint64:
		return int64(v), v <= math.MaxInt64
	case uint32:
		return int64(v), true
	case uint16:
		return int64(v), true
	case uint8:
		return int64(v), true
	case uint:
		return int64(v), uint64(v) <= math.MaxInt64
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// asDouble gives a value as MySQL adds it up: of a string, the number that it
// begins with.
func asDouble(ctx *sql.Context, v any) (float64, error) {
	f, _, err := types.Float64.Convert(ctx, v)
	if err != nil && !sql.ErrTruncatedIncorrect.Is(err) && !sql.ErrInvalidValue.Is(err) && f == nil {
		return 0, nil
	}
	d, _ := f.(float64)
	return d, nil
}

// Eval gives the aggregate of the rows so far.
func (b *aggregateBuffer) Eval(*sql.Context) (any, error) {
	n := float64(b.count)
	switch {
	case b.count == 0, b.count == 1 && (b.kind == aggregateStdSamp || b.kind == aggregateVarSamp):
		return nil, nil
	case b.kind == aggregateStdPop:
		return math.Sqrt(b.squares / n), nil
	case b.kind == aggregateStdSamp:
		return math.Sqrt(b.squares / (n - 1)), nil
	case b.kind == aggregateVarPop:
		return b.squares / n, nil
	case b.kind == aggregateVarSamp:
		return b.squares / (n - 1), nil
	case !b.exact && b.kind == aggregateSum:
		return b.double, nil
	case !b.exact:
		return b.double / n, nil
	case b.kind == aggregateSum:
		return roundedSum(b.sum(), b.shown)
	}
	return b.average()
}

// sum is the exact sum.
func (b *aggregateBuffer) sum() *apd.Decimal {
	d := apd.New(b.small, 0)
	if b.large != nil {
		unrounded.Add(d, d, b.large)
	}
	return d
}

// average is the exact sum over the count, rounded to MySQL's number of digits.
func (b *aggregateBuffer) average() (any, error) {
	wide := apd.BaseContext.WithPrecision(2 * types.DecimalTypeMaxPrecision)
	d := new(apd.Decimal)
	if _, err := wide.Quo(d, b.sum(), apd.New(b.count, 0)); err != nil {
		return nil, err
	}
	_, err := wide.Quantize(d, d, int32(-b.scale))
	return d, err
}

// Dispose frees what the argument holds.
func (b *aggregateBuffer) Dispose(ctx *sql.Context) {
	expression.Dispose(ctx, b.child)
	if b.seen != nil {
		b.seen.release()
	}
}
