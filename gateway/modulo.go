package gateway

import (
	"math"
	"math/big"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
)

// a % b and MOD(a, b) of numbers that are not both integers. The SQL library divides decimals
// with few digits, and fails where the quotient has more: 7 % 0.5.

// moduloFunction is the name under which it travels.
const moduloFunction = "arbor_modulo"

var moduloKind = &plainKind{name: moduloFunction, least: 2, most: 2, typ: moduloType,
	shown: func(args []string) string { return args[0] + " % " + args[1] },
	eval: func(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
		if moduloType(ctx, args) == types.Float64 {
			x, okX := numberAsDouble(ctx, v[0])
			y, okY := numberAsDouble(ctx, v[1])
			if !okX || !okY || y == 0 {
				return nil, nil
			}
			return math.Mod(x, y), nil
		}
		x, okX := asDecimal(v[0])
		y, okY := asDecimal(v[1])
		if !okX || !okY || y.IsZero() {
			return nil, nil
		}
		exponent := min(x.Exponent, y.Exponent, 0)
		rest := new(big.Int).Rem(wholeUnits(x, exponent), wholeUnits(y, exponent))
		return apd.NewWithBigInt(new(apd.BigInt).SetMathBigInt(rest), exponent), nil
	}}

// moduloType is DOUBLE where an operand is one, or a text, else the decimal that holds both
// operands.
func moduloType(ctx *sql.Context, args []sql.Expression) sql.Type {
	digits, scale := 0, 0
	for _, a := range args {
		p, s, ok := exactDigits(a.Type(ctx))
		if !ok {
			return types.Float64
		}
		digits, scale = max(digits, p-s), max(scale, s)
	}
	return types.MustCreateDecimalType(uint8(min(digits+scale, types.DecimalTypeMaxPrecision)), uint8(min(scale, types.DecimalTypeMaxScale)))
}

// wholeUnits is how many times a decimal is ten to the power of an exponent, which is not
// above its own.
func wholeUnits(d *apd.Decimal, exponent int32) *big.Int {
	n := d.Coeff.MathBigInt()
	if d.Negative {
		n = new(big.Int).Neg(n)
	}
	return new(big.Int).Mul(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.Exponent-exponent)), nil))
}

// withModulo is the remainder of numbers that are not both integers, nil for others.
func withModulo(ctx *sql.Context, e *expression.Mod) sql.Expression {
	return ofNumbers(ctx, moduloKind, e.LeftChild, e.RightChild, func(a sql.Expression) bool { return types.IsInteger(a.Type(ctx)) })
}

// ofNumbers is a call with two operands, of which moments are numbers; nil where the library
// computes rightly with both, or the type of one is not known.
func ofNumbers(ctx *sql.Context, kind *plainKind, left, right sql.Expression, rightly func(sql.Expression) bool) sql.Expression {
	args := []sql.Expression{left, right}
	both := true
	for i, a := range args {
		if n := numberOperand(ctx, a); n != nil {
			args[i] = n
		}
		if t := args[i].Type(ctx); types.IsDeferredType(t) || t == types.Null {
			return nil
		}
		both = both && rightly(args[i])
	}
	if both {
		return nil
	}
	return &plainFunction{kind: kind, args: args}
}

// divideFunction is the name under which a DIV b travels.
const divideFunction = "arbor_divide"

// divideKind is a DIV b of numbers that are not both signed integers. The SQL library rounds
// what is not whole, and takes a negative quotient of an unsigned number for a large one.
var divideKind = &plainKind{name: divideFunction, least: 2, most: 2, typ: divideType,
	shown: func(args []string) string { return "(" + args[0] + " div " + args[1] + ")" },
	eval: func(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
		x, okX := decimalOperand(ctx, v[0])
		y, okY := decimalOperand(ctx, v[1])
		if !okX || !okY || y.IsZero() {
			return nil, nil
		}
		exponent := min(x.Exponent, y.Exponent, 0)
		quotient := new(big.Int).Quo(wholeUnits(x, exponent), wholeUnits(y, exponent))
		unsigned := divideType(ctx, args) == types.Uint64
		switch {
		case unsigned && quotient.IsUint64():
			return quotient.Uint64(), nil
		case !unsigned && quotient.IsInt64():
			return quotient.Int64(), nil
		}
		kind := "BIGINT"
		if unsigned {
			kind = "BIGINT UNSIGNED"
		}
		return nil, mysql.NewSQLError(codeNumberRange, "22003", "%s value is out of range in '%s DIV %s'", kind, args[0], args[1])
	}}

// divideType is BIGINT UNSIGNED where an operand is unsigned, else BIGINT.
func divideType(ctx *sql.Context, args []sql.Expression) sql.Type {
	for _, a := range args {
		if isUnsigned(ctx, a) {
			return types.Uint64
		}
	}
	return types.Int64
}

// decimalOperand is a number, or the number that a text begins with, as a decimal.
func decimalOperand(ctx *sql.Context, v any) (*apd.Decimal, bool) {
	if d, ok := asDecimal(v); ok {
		return d, true
	}
	f, ok := numberAsDouble(ctx, v)
	if !ok || math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, false
	}
	d, err := new(apd.Decimal).SetFloat64(f)
	return d, err == nil
}

// withDivide is a DIV of numbers that are not both signed integers, nil for others.
func withDivide(ctx *sql.Context, e *expression.IntDiv) sql.Expression {
	return ofNumbers(ctx, divideKind, e.LeftChild, e.RightChild, func(a sql.Expression) bool {
		return types.IsInteger(a.Type(ctx)) && !isUnsigned(ctx, a)
	})
}
