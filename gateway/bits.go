package gateway

import (
	"math"
	"math/bits"
	"strings"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// &, |, ^, <<, >>, ~ and BIT_COUNT look at 64 bits. The SQL library has no ~, and takes
// operands that are not both signed, or both unsigned, as DOUBLE, which loses bits.

// bitNotFunction is ~, as it travels.
const bitNotFunction = "arbor_bit_not"

// bitKinds are the operators by their signs.
var bitKinds = map[string]*plainKind{
	sqlparser.BitAndStr:     bitKind("and", sqlparser.BitAndStr, func(a, b uint64) uint64 { return a & b }),
	sqlparser.BitOrStr:      bitKind("or", sqlparser.BitOrStr, func(a, b uint64) uint64 { return a | b }),
	sqlparser.BitXorStr:     bitKind("xor", sqlparser.BitXorStr, func(a, b uint64) uint64 { return a ^ b }),
	sqlparser.ShiftLeftStr:  bitKind("left", sqlparser.ShiftLeftStr, func(a, b uint64) uint64 { return a << b }),
	sqlparser.ShiftRightStr: bitKind("right", sqlparser.ShiftRightStr, func(a, b uint64) uint64 { return a >> b }),
}

// bitFunctions are those that travel by name.
func bitFunctions() []*plainKind {
	all := []*plainKind{
		{name: bitNotFunction, least: 1, most: 1, typ: ofType(types.Uint64),
			shown: func(args []string) string { return "~" + args[0] },
			eval: func(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
				return ^bitsOf(ctx, v[0]), nil
			}},
		{name: "bit_count", least: 1, most: 1, typ: ofType(types.Int64),
			eval: func(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
				return int64(bits.OnesCount64(bitsOf(ctx, v[0]))), nil
			}},
	}
	for _, k := range bitKinds {
		all = append(all, k)
	}
	return all
}

func bitKind(name, sign string, of func(a, b uint64) uint64) *plainKind {
	return &plainKind{name: "arbor_bit_" + name, least: 2, most: 2, typ: ofType(types.Uint64),
		shown: func(args []string) string { return "(" + args[0] + " " + sign + " " + args[1] + ")" },
		eval: func(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
			return of(bitsOf(ctx, v[0]), bitsOf(ctx, v[1])), nil
		}}
}

// withBits is an operator of bits whose operands the library would take as DOUBLE, nil for
// others.
func withBits(ctx *sql.Context, e *expression.BitOp) sql.Expression {
	kind := bitKinds[strings.ToLower(e.Op)]
	if kind == nil {
		return nil
	}
	left, right := e.LeftChild.Type(ctx), e.RightChild.Type(ctx)
	if types.IsSigned(left) && types.IsSigned(right) || types.IsUnsigned(left) && types.IsUnsigned(right) || types.IsDeferredType(left) || types.IsDeferredType(right) {
		return nil
	}
	args := []sql.Expression{e.LeftChild, e.RightChild}
	for i, a := range args {
		if n := numberOperand(ctx, a); n != nil {
			args[i] = n
		}
	}
	return &plainFunction{kind: kind, args: args}
}

// bitsOf are the bits of a value as BIGINT UNSIGNED: a negative number's are those of its
// two's complement, a fraction is rounded, and what is too large has all bits.
func bitsOf(ctx *sql.Context, v any) uint64 {
	if n, ok := asInteger(v); ok {
		return uint64(n)
	}
	switch v := v.(type) {
	case uint64:
		return v
	case uint:
		return uint64(v)
	case bool:
		if v {
			return 1
		}
		return 0
	case *apd.Decimal:
		whole := decimalWith(apd.RoundHalfUp, v, 0)
		text := whole.Text('f')
		if n, ok := textBits(text); ok {
			return n
		}
		if whole.Negative {
			return 1 << 63
		}
		return math.MaxUint64
	case float32:
		return doubleBits(float64(v))
	case float64:
		return doubleBits(v)
	case string:
		return wholeOfText(v)
	case []byte:
		return wholeOfText(string(v))
	}
	f, _ := numberAsDouble(ctx, v)
	return doubleBits(f)
}

// doubleBits are those of a double, rounded to the nearest whole number.
func doubleBits(f float64) uint64 {
	switch f = math.RoundToEven(f); {
	case f != f:
		return 0
	case f < -(1 << 63):
		return 1 << 63
	case f < 0:
		return uint64(int64(f))
	case f >= 1<<64:
		return math.MaxUint64
	}
	return uint64(f)
}

// textBits reads the digits of a whole number.
func textBits(text string) (uint64, bool) {
	digits, negative := strings.CutPrefix(text, "-")
	var n uint64
	for _, d := range []byte(digits) {
		high, low := bits.Mul64(n, 10)
		sum, carry := bits.Add64(low, uint64(d-'0'), 0)
		if high != 0 || carry != 0 {
			return 0, false
		}
		n = sum
	}
	if !negative {
		return n, true
	}
	return -n, n <= 1<<63
}

// wholeOfText is the whole number that a text begins with.
func wholeOfText(text string) uint64 {
	text = strings.TrimLeft(text, " \t\r\n")
	end := 0
	if strings.HasPrefix(text, "-") || strings.HasPrefix(text, "+") {
		end = 1
	}
	for end < len(text) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	n, ok := textBits(strings.TrimPrefix(text[:end], "+"))
	if !ok {
		if text[0] == '-' {
			return 1 << 63
		}
		return math.MaxUint64
	}
	return n
}

// writeBitNot puts a call in the place of ~x, nil for other expressions.
func writeBitNot(e sqlparser.Expr) sqlparser.Expr {
	u, ok := e.(*sqlparser.UnaryExpr)
	if !ok || u.Operator != sqlparser.TildaStr {
		return nil
	}
	return &sqlparser.FuncExpr{Name: sqlparser.NewColIdent(bitNotFunction), Exprs: sqlparser.SelectExprs{&sqlparser.AliasedExpr{Expr: u.Expr}}}
}
