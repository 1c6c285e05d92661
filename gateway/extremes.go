package gateway

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// extreme is GREATEST or LEAST. The SQL library's compare integers and decimals
// as DOUBLE, which makes others of them, and give 0 for a time beside a text.
type extreme struct {
	name string
	sign int // 1 for the greatest, -1 for the least
	args []sql.Expression
	as   extremeKind
	typ  sql.Type
}

var (
	_ sql.FunctionExpression = (*extreme)(nil)
	_ sql.CollationCoercible = (*extreme)(nil)
)

// extremeKind is what values are compared as.
type extremeKind uint8

const (
	extremeInteger extremeKind = iota
	extremeDecimal
	extremeDouble
	extremeText
	extremeMoment
)

// newExtreme makes the function's expressions.
func newExtreme(name string, sign int) sql.Function {
	return sql.FunctionN{Name: name, Fn: func(ctx *sql.Context, args ...sql.Expression) (sql.Expression, error) {
		if len(args) < 2 {
			return nil, sql.ErrInvalidArgumentNumber.New(strings.ToUpper(name), "2 or more", len(args))
		}
		e := &extreme{name: name, sign: sign, args: args}
		return e, e.resolve(ctx)
	}}
}

// resolve finds out what the values are compared as.
func (x *extreme) resolve(ctx *sql.Context) error {
	var c extremeTypes
	for _, a := range x.args {
		if !a.Resolved() {
			return nil
		}
		t := a.Type(ctx)
		if types.IsDeferredType(t) {
			x.typ = t
			return nil
		}
		if err := c.add(t); err != nil {
			return err
		}
	}
	x.as, x.typ = c.result()
	if x.as != extremeMoment {
		return nil
	}
	x.args = append([]sql.Expression(nil), x.args...)
	for i, a := range x.args {
		if !types.IsNumber(a.Type(ctx)) {
			continue
		}
		var err error
		if x.args[i], err = momentOf(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// extremeTypes are the types of a function's arguments.
type extremeTypes struct {
	moments, texts, doubles, decimals, signed, unsigned bool
	others                                              bool // than DATE among the moments
	digits, scale                                       int
}

func (c *extremeTypes) add(t sql.Type) error {
	if v, ok := t.(sql.SystemVariableType); ok {
		t = v.UnderlyingType()
	}
	switch {
	case t == types.Null:
	case types.IsTime(t):
		c.moments = true
		c.others = c.others || !types.IsDateType(t)
	case types.IsFloat(t):
		c.doubles = true
	case types.IsDecimal(t):
		d := t.(sql.DecimalType)
		c.decimals = true
		c.scale = max(c.scale, int(d.Scale()))
		c.digits = max(c.digits, int(d.Precision())-int(d.Scale()))
	case types.IsUnsigned(t):
		c.unsigned = true
	case types.IsNumber(t):
		c.signed = true
	case types.IsText(t):
		c.texts = true
	default:
		return notSupported("GREATEST and LEAST do not compare values of type %s; CAST them to CHAR, DECIMAL or DATETIME", strings.ToUpper(t.String()))
	}
	return nil
}

// result follows MySQL: texts make texts of numbers, but moments of moments.
func (c *extremeTypes) result() (extremeKind, sql.Type) {
	numbers := c.doubles || c.decimals || c.signed || c.unsigned
	switch {
	case c.moments && !c.others && !c.texts && !numbers:
		return extremeMoment, types.Date
	case c.moments:
		return extremeMoment, datetimeType
	case c.texts:
		return extremeText, types.LongText
	case c.doubles:
		return extremeDouble, types.Float64
	case c.decimals, c.signed && c.unsigned:
		if c.signed || c.unsigned {
			c.digits = max(c.digits, len("18446744073709551615"))
		}
		precision := min(c.digits+c.scale, types.DecimalTypeMaxPrecision)
		return extremeDecimal, types.MustCreateDecimalType(uint8(precision), uint8(c.scale))
	case c.unsigned:
		return extremeInteger, types.Uint64
	case c.signed:
		return extremeInteger, types.Int64
	}
	return extremeText, types.Null
}

// Eval gives the extreme value, or NULL if one is NULL.
func (x *extreme) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	var best any
	for _, a := range x.args {
		v, err := a.Eval(ctx, row)
		if err != nil || v == nil {
			return nil, err
		}
		if v, err = sql.UnwrapAny(ctx, v); err != nil {
			return nil, err
		}
		if v, err = x.operand(ctx, v); err != nil || v == nil {
			return nil, err
		}
		if best == nil || x.order(v, best)*x.sign > 0 {
			best = v
		}
	}
	if d, ok := best.(*apd.Decimal); ok { // with all digits of its type
		wide, result := apd.BaseContext.WithPrecision(2*types.DecimalTypeMaxPrecision), new(apd.Decimal)
		_, err := wide.Quantize(result, d, -int32(x.typ.(sql.DecimalType).Scale()))
		return result, err
	}
	result, _, err := x.typ.Convert(ctx, best)
	return result, err
}

// operand gives a value as it is compared.
func (x *extreme) operand(ctx *sql.Context, v any) (any, error) {
	var as sql.Type
	switch x.as {
	case extremeInteger:
		as = x.typ
	case extremeDecimal:
		as = types.InternalDecimalType
	case extremeDouble:
		return asDouble(ctx, v)
	case extremeMoment:
		as = datetimeType
	default:
		as = types.LongText
	}
	converted, _, err := as.Convert(ctx, v)
	return converted, err
}

func (x *extreme) order(a, b any) int {
	switch a := a.(type) {
	case int64:
		return cmp.Compare(a, b.(int64))
	case uint64:
		return cmp.Compare(a, b.(uint64))
	case float64:
		return cmp.Compare(a, b.(float64))
	case *apd.Decimal:
		return a.Cmp(b.(*apd.Decimal))
	case time.Time:
		return a.Compare(b.(time.Time))
	case string:
		return strings.Compare(a, b.(string))
	}
	return 0
}

// Type is that of the result.
func (x *extreme) Type(*sql.Context) sql.Type { return x.typ }

// Resolved reports whether the type is known.
func (x *extreme) Resolved() bool {
	for _, a := range x.args {
		if !a.Resolved() {
			return false
		}
	}
	return x.typ != nil
}

// IsNullable reports whether an argument may be NULL.
func (x *extreme) IsNullable(ctx *sql.Context) bool {
	for _, a := range x.args {
		if a.IsNullable(ctx) {
			return true
		}
	}
	return false
}

// Children are the arguments.
func (x *extreme) Children() []sql.Expression { return x.args }

// WithChildren replaces them.
func (x *extreme) WithChildren(ctx *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	return newExtreme(x.name, x.sign).NewInstance(ctx, children)
}

// String is the call's text.
func (x *extreme) String() string {
	args := make([]string, len(x.args))
	for i, a := range x.args {
		args[i] = a.String()
	}
	return fmt.Sprintf("%s(%s)", x.name, strings.Join(args, ","))
}

// FunctionName is the function's.
func (x *extreme) FunctionName() string { return x.name }

// Description says what the function gives.
func (x *extreme) Description() string { return "returns the " + x.name + " of its arguments." }

// CollationCoercibility is that of the first text.
func (x *extreme) CollationCoercibility(ctx *sql.Context) (sql.CollationID, byte) {
	if x.as != extremeText {
		return sql.Collation_binary, 5
	}
	for _, a := range x.args {
		if types.IsText(a.Type(ctx)) {
			return sql.GetCoercibility(ctx, a)
		}
	}
	return sql.Collation_binary, 5
}
