package gateway

import (
	"math"
	"math/big"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
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
	args := []sql.Expression{e.LeftChild, e.RightChild}
	whole := true
	for i, a := range args {
		if n := numberOperand(ctx, a); n != nil {
			args[i] = n
		}
		t := args[i].Type(ctx)
		if types.IsDeferredType(t) || t == types.Null {
			return nil
		}
		whole = whole && types.IsInteger(t)
	}
	if whole {
		return nil
	}
	return &plainFunction{kind: moduloKind, args: args}
}
