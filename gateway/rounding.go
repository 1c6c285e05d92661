package gateway

import (
	"math"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// ROUND, TRUNCATE, CEIL and FLOOR of decimals. The SQL library gives the first two
// the argument's digits, so that ROUND(2.50) is 3.00, and the other two change
// their argument in place.

// roundings are those functions.
func roundings() []*plainKind {
	places := func(name string, least int, up bool) *plainKind {
		return &plainKind{name: name, least: least, most: 2, typ: roundedType, eval: func(ctx *sql.Context, args []sql.Expression, values []any) (any, error) {
			places := int64(0)
			if len(values) == 2 {
				var ok bool
				if places, ok = argumentNumber(ctx, values[1]); !ok {
					return nil, nil
				}
			}
			return roundValue(ctx, roundedType(ctx, args), values[0], clampPlaces(places), up)
		}}
	}
	whole := func(name string, sign int, double func(float64) float64) *plainKind {
		return &plainKind{name: name, least: 1, most: 1, typ: wholeType, eval: func(ctx *sql.Context, args []sql.Expression, values []any) (any, error) {
			return wholeValue(ctx, wholeType(ctx, args), values[0], sign, double)
		}}
	}
	return []*plainKind{
		places("round", 1, true), places("truncate", 2, false),
		whole("ceil", 1, math.Ceil), whole("ceiling", 1, math.Ceil), whole("floor", -1, math.Floor),
	}
}

func clampPlaces(n int64) int32 {
	return int32(min(max(n, -types.DecimalTypeMaxPrecision), types.DecimalTypeMaxScale))
}

// roundedType is that of ROUND and TRUNCATE: an integer's is BIGINT, a decimal has
// as many digits behind its point as are asked for, if that is a constant.
func roundedType(ctx *sql.Context, args []sql.Expression) sql.Type {
	t := args[0].Type(ctx)
	if v, ok := t.(sql.SystemVariableType); ok {
		t = v.UnderlyingType()
	}
	switch {
	case types.IsUnsigned(t):
		return types.Uint64
	case types.IsInteger(t), types.IsSigned(t):
		return types.Int64
	case !types.IsDecimal(t):
		return types.Float64
	}
	d := t.(sql.DecimalType)
	places := int32(0)
	if len(args) == 2 {
		l, ok := constantPlaces(ctx, args[1])
		if !ok {
			return t
		}
		places = l
	}
	scale := min(int32(d.Scale()), max(places, 0))
	whole := int32(d.Precision()) - int32(d.Scale()) + 1
	made, err := types.CreateDecimalType(uint8(min(max(whole, 1)+scale, types.DecimalTypeMaxPrecision)), uint8(scale))
	if err != nil {
		return t
	}
	return made
}

// constantPlaces is the number of digits that a constant asks for.
func constantPlaces(ctx *sql.Context, e sql.Expression) (int32, bool) {
	switch e.(type) {
	case *expression.Literal, *expression.UnaryMinus:
	default:
		return 0, false
	}
	if !constantSides(ctx, e) {
		return 0, false
	}
	v, err := e.Eval(ctx, nil)
	if err != nil || v == nil {
		return 0, false
	}
	n, ok := argumentNumber(ctx, v)
	return clampPlaces(n), ok
}

// roundValue rounds half up, or towards zero, to places digits behind the point.
// Doubles round half to even, as MySQL's do.
func roundValue(ctx *sql.Context, t sql.Type, v any, places int32, up bool) (any, error) {
	if t == types.Float64 {
		x, _, err := types.Float64.Convert(ctx, v)
		if err != nil && !sql.ErrTruncatedIncorrect.Is(err) {
			return nil, err
		}
		f, ok := x.(float64)
		if !ok {
			return nil, nil
		}
		return roundDouble(f, places, up), nil
	}
	if !types.IsDecimal(t) && places >= 0 {
		out, _, err := t.Convert(ctx, v)
		return out, err
	}
	d, err := decimalCopy(ctx, v)
	if err != nil || d == nil {
		return nil, err
	}
	rounded := decimalWith(apd.RoundHalfUp, d, places)
	if !up {
		rounded = decimalWith(apd.RoundDown, d, places)
	}
	if !types.IsDecimal(t) {
		out, _, err := t.Convert(ctx, rounded)
		return out, err
	}
	scale := int32(t.(sql.DecimalType).Scale())
	if places > scale {
		rounded = decimalWith(apd.RoundHalfUp, d, scale)
	}
	if rounded.Exponent > 0 || -rounded.Exponent < scale {
		rounded = decimalWith(apd.RoundHalfUp, rounded, scale)
	}
	return rounded, nil
}

// decimalCopy is a value as a decimal of its own.
func decimalCopy(ctx *sql.Context, v any) (*apd.Decimal, error) {
	x, _, err := types.InternalDecimalType.Convert(ctx, v)
	if err != nil && !sql.ErrTruncatedIncorrect.Is(err) {
		return nil, err
	}
	d, ok := x.(*apd.Decimal)
	if !ok || d == nil {
		return nil, nil
	}
	return new(apd.Decimal).Set(d), nil
}

// decimalWith is a decimal with places digits behind its point; with fewer than
// none, zeros before it.
func decimalWith(round apd.Rounder, d *apd.Decimal, places int32) *apd.Decimal {
	c := apd.BaseContext.WithPrecision(2 * types.DecimalTypeMaxPrecision)
	c.Rounding = round
	out := new(apd.Decimal)
	c.Quantize(out, d, -places)
	if places < 0 {
		c.Quantize(out, out, 0)
	}
	if out.IsZero() {
		out.Negative = false
	}
	return out
}

func roundDouble(f float64, places int32, up bool) float64 {
	round := math.RoundToEven
	if !up {
		round = math.Trunc
	}
	scale := math.Pow(10, math.Abs(float64(places)))
	var out float64
	switch {
	case math.IsInf(scale, 0) || math.IsNaN(f) || math.IsInf(f, 0):
		if places < 0 {
			return 0
		}
		return f
	case places >= 0:
		if math.IsInf(f*scale, 0) {
			return f
		}
		out = round(f*scale) / scale
	default:
		out = round(f/scale) * scale
	}
	return out
}

// wholeType is that of CEIL and FLOOR.
func wholeType(ctx *sql.Context, args []sql.Expression) sql.Type {
	t := args[0].Type(ctx)
	switch {
	case types.IsUnsigned(t):
		return types.Uint64
	case types.IsDecimal(t):
		d := t.(sql.DecimalType)
		whole := int(d.Precision()) - int(d.Scale()) + 1
		if whole > 18 {
			return types.MustCreateDecimalType(uint8(min(whole, types.DecimalTypeMaxPrecision)), 0)
		}
		return types.Int64
	case types.IsInteger(t), types.IsSigned(t):
		return types.Int64
	}
	return types.Float64
}

// wholeValue rounds up for a sign of 1 and down for -1.
func wholeValue(ctx *sql.Context, t sql.Type, v any, sign int, double func(float64) float64) (any, error) {
	if d, ok := v.(*apd.Decimal); ok {
		whole := decimalWith(apd.RoundDown, d, 0)
		if d.Cmp(whole) == sign { // the decimals' own rounding up and down forgets what is below a tenth
			if _, err := apd.BaseContext.WithPrecision(2*types.DecimalTypeMaxPrecision).Add(whole, whole, apd.New(int64(sign), 0)); err != nil {
				return nil, err
			}
		}
		if types.IsDecimal(t) {
			return whole, nil
		}
		out, _, err := t.Convert(ctx, whole)
		return out, err
	}
	if t != types.Float64 {
		out, _, err := t.Convert(ctx, v)
		return out, err
	}
	x, _, err := types.Float64.Convert(ctx, v)
	if err != nil && !sql.ErrTruncatedIncorrect.Is(err) {
		return nil, err
	}
	f, ok := x.(float64)
	if !ok {
		return nil, nil
	}
	return double(f), nil
}
