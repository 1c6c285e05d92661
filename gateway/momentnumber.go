package gateway

import (
	"fmt"
	"math"
	"strings"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// A moment where a number is wanted is its digits in MySQL: 20260131 for a DATE,
// 20260131235959.5 for a DATETIME(1). The SQL library takes the year of one, the seconds
// since 1970 of another, or loses the fraction.

// momentNumberFunction is the name under which those digits travel.
const momentNumberFunction = "arbor_moment_number"

// momentNumbers are the function that makes them. A call looks like its argument.
func momentNumbers() []*plainKind { return []*plainKind{momentNumberKind, evenKind} }

var momentNumberKind = &plainKind{name: momentNumberFunction, least: 1, most: 1, typ: momentNumberType,
	shown: func(args []string) string { return args[0] },
	eval: func(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
		if span, ok := v[0].(types.Timespan); ok {
			return spanNumber(int64(span)), nil
		}
		t, ok := argumentMoment(ctx, v[0])
		if !ok {
			return nil, nil
		}
		whole := int64(t.Year()*10000 + int(t.Month())*100 + t.Day())
		if types.IsDateType(args[0].Type(ctx)) || isToday(args[0]) {
			return whole, nil
		}
		whole = whole*1_000_000 + int64(t.Hour()*10000+t.Minute()*100+t.Second())
		digits := shownDigits(ctx, args[0])
		if digits == 0 {
			return whole, nil
		}
		d, _, err := apd.NewFromString(fmt.Sprintf("%d.%06d", whole, t.Nanosecond()/1000))
		if err != nil {
			return nil, err
		}
		return decimalWith(apd.RoundDown, d, int32(digits)), nil
	}}

// dateTimeDigits are those of 20260131235959.
const dateTimeDigits = len("20260131235959")

// spanNumber is a TIME's number: 102030.5 for 10:20:30.5.
func spanNumber(micros int64) float64 {
	sign := 1.0
	if micros < 0 {
		micros, sign = -micros, -1
	}
	seconds := micros / microSecond
	whole := seconds/3600*10000 + seconds/60%60*100 + seconds%60
	return sign * (float64(whole) + float64(micros%microSecond)/microSecond)
}

// momentNumberType is BIGINT, or a decimal for a moment with a fraction; DOUBLE for a TIME,
// whose type does not tell whether it has one.
func momentNumberType(ctx *sql.Context, args []sql.Expression) sql.Type {
	t := args[0].Type(ctx)
	if types.IsTimespan(t) {
		return types.Float64
	}
	if !types.IsTime(t) || types.IsDateType(t) {
		return types.Int64
	}
	digits := shownDigits(ctx, args[0])
	if digits == 0 {
		return types.Int64
	}
	return types.MustCreateDecimalType(uint8(dateTimeDigits+digits), uint8(digits))
}

// numberOperand is an operand as a number, if it is a moment or a time; nil for others.
func numberOperand(ctx *sql.Context, e sql.Expression) sql.Expression {
	if e == nil || !e.Resolved() || !types.IsTime(e.Type(ctx)) && !types.IsTimespan(e.Type(ctx)) && !isToday(e) {
		return nil
	}
	return &plainFunction{kind: momentNumberKind, args: []sql.Expression{e}}
}

// isToday reports whether an expression is CURDATE(), which is a text in the SQL library.
func isToday(e sql.Expression) bool {
	f, ok := e.(sql.FunctionExpression)
	return ok && (strings.EqualFold(f.FunctionName(), "curdate") || strings.EqualFold(f.FunctionName(), "current_date"))
}

// withMomentNumbers is an expression that computes with numbers, and has moments among its
// operands; nil for others.
func withMomentNumbers(ctx *sql.Context, e sql.Expression) sql.Expression {
	switch e := e.(type) {
	case *expression.Arithmetic, *checkedArithmetic, *expression.Div, *expression.IntDiv, *expression.Mod, *expression.UnaryMinus, *aggregate:
	case *expression.Convert:
		switch strings.ToLower(hidden(e, "castToType").String()) {
		case expression.ConvertToSigned, expression.ConvertToUnsigned:
			if types.IsFloat(e.Child.Type(ctx)) {
				return withChild(ctx, e, &plainFunction{kind: evenKind, args: []sql.Expression{e.Child}})
			}
		case expression.ConvertToDouble, expression.ConvertToFloat, expression.ConvertToReal:
		default:
			return nil
		}
	case sql.FunctionExpression:
		if !numberFunctions[strings.ToLower(e.FunctionName())] {
			return nil
		}
	default:
		return nil
	}
	children := e.Children()
	var changed []sql.Expression
	_, grouped := e.(*aggregate)
	for i, c := range children {
		if _, interval := c.(*expression.Interval); interval {
			return nil
		}
		if grouped && i > 0 {
			break // what the window is made of
		}
		if n := numberOperand(ctx, c); n != nil {
			if changed == nil {
				changed = append(changed, children...)
			}
			changed[i] = n
		}
	}
	if changed == nil {
		return nil
	}
	if a, ok := e.(*checkedArithmetic); ok {
		return expression.NewArithmetic(changed[0], changed[1], a.Op)
	}
	out, err := e.WithChildren(ctx, changed...)
	if err != nil {
		return nil
	}
	return out
}

// withTimesAsTruths is a XOR or a NOT of moments and times, which are numbers there, nil for other
// expressions.
func withTimesAsTruths(ctx *sql.Context, e sql.Expression) sql.Expression {
	switch e.(type) {
	case *expression.Xor, *expression.Not, *expression.And, *expression.Or:
	default:
		return nil
	}
	children := append([]sql.Expression(nil), e.Children()...)
	found := false
	for i, c := range children {
		if n := numberOperand(ctx, c); n != nil {
			children[i], found = n, true
		}
	}
	if !found {
		return nil
	}
	out, err := e.WithChildren(ctx, children...)
	if err != nil {
		return nil
	}
	return out
}

// withChild is an expression of another child, nil if it takes none.
func withChild(ctx *sql.Context, e sql.Expression, child sql.Expression) sql.Expression {
	if p, ok := e.Children()[0].(*plainFunction); ok && p.kind == evenKind {
		return nil
	}
	out, err := e.WithChildren(ctx, child)
	if err != nil {
		return nil
	}
	return out
}

// evenFunction rounds a DOUBLE that becomes a whole number: halves to the even one, where
// the library takes them away from zero.
const evenFunction = "arbor_even"

var evenKind = &plainKind{name: evenFunction, least: 1, most: 1, typ: ofType(types.Float64),
	shown: func(args []string) string { return args[0] },
	eval: func(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
		f, ok := numberAsDouble(ctx, v[0])
		if !ok {
			return v[0], nil
		}
		return math.RoundToEven(f), nil
	}}

// withClockParts are EXTRACT(WEEK …), which counts as WEEK() does, and TIME() of a TIME, which
// is that; nil for other expressions.
func withClockParts(ctx *sql.Context, e sql.Expression) sql.Expression {
	f, ok := e.(sql.FunctionExpression)
	if !ok {
		return nil
	}
	children := e.Children()
	switch name := strings.ToLower(f.FunctionName()); {
	case name == "extract" && len(children) == 2:
		unit, ok := children[0].(*expression.Literal)
		if text, _ := unit.Value().(string); !ok || !strings.EqualFold(text, "WEEK") {
			return nil
		}
		week, _ := ownFunction("week")
		out, err := week.NewInstance(ctx, children[1:])
		if err != nil {
			return nil
		}
		return out
	case name == "time" && len(children) == 1 && types.IsTimespan(children[0].Type(ctx)):
		return children[0]
	}
	return nil
}

// numberFunctions are functions of one number.
var numberFunctions = map[string]bool{"abs": true, "sign": true, "ceil": true, "ceiling": true, "floor": true, "sqrt": true, "bit_count": true, bitNotFunction: true}
