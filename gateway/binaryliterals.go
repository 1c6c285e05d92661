package gateway

import (
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// b'101', 0b101, x'41' and 0x41 are strings of bytes in MySQL, and numbers where a number is
// wanted. The SQL library takes the first two for numbers everywhere, and the others nowhere.

// bitsAsBytes makes a literal of bits one of bytes, in place.
func bitsAsBytes(l *sqlparser.SQLVal) {
	if l.Type != sqlparser.BitVal {
		return
	}
	n, ok := new(big.Int).SetString(string(l.Val), 2)
	if !ok {
		return
	}
	b := n.Bytes()
	if size := (len(l.Val) + 7) / 8; len(b) < size {
		b = append(make([]byte, size-len(b)), b...)
	}
	*l = *sqlparser.NewHexVal([]byte(hex.EncodeToString(b)))
}

// binaryNumber is a literal of bytes as a number, nil for other expressions.
func binaryNumber(e sql.Expression) sql.Expression {
	l, ok := e.(*expression.Literal)
	if !ok || !types.IsBinaryType(l.Typ) {
		return nil
	}
	b, ok := l.Val.([]byte)
	if !ok {
		return nil
	}
	var eight [8]byte
	if len(b) > len(eight) {
		b = b[len(b)-len(eight):]
	}
	copy(eight[len(eight)-len(b):], b)
	n := binary.BigEndian.Uint64(eight[:])
	if signed := int64(n); signed >= 0 {
		return expression.NewLiteral(signed, types.Int64)
	}
	return expression.NewLiteral(n, types.Uint64)
}

// withBinaryNumbers is an expression that wants numbers with those of its literals of bytes,
// nil for other expressions.
func withBinaryNumbers(ctx *sql.Context, e sql.Expression) sql.Expression {
	count := -1 // so many from the first want numbers
	switch e := e.(type) {
	case *expression.Arithmetic, *expression.Div, *expression.IntDiv, *expression.Mod, *expression.UnaryMinus, *expression.BitOp,
		*expression.And, *expression.Or, *expression.Xor, *expression.Not:
	case *function.If:
		count = 1
	case *expression.Convert:
		switch strings.ToLower(hidden(e, "castToType").String()) {
		case expression.ConvertToSigned, expression.ConvertToUnsigned, expression.ConvertToDouble, expression.ConvertToFloat, expression.ConvertToReal:
		default:
			return nil
		}
	case *expression.Equals, *expression.NullSafeEquals, *expression.LessThan, *expression.LessThanOrEqual, *expression.GreaterThan,
		*expression.GreaterThanOrEqual, *expression.Between:
		if !anyNumber(ctx, e.Children()) {
			return nil
		}
	case *expression.InTuple:
		if t, ok := e.Right().(expression.Tuple); ok && anyNumber(ctx, []sql.Expression{e.Left()}) {
			if list := numbersOf(t.Children(), -1); list != nil {
				return expression.NewInTuple(e.Left(), expression.NewTuple(list...))
			}
		}
		return nil
	case sql.FunctionExpression:
		switch name := strings.ToLower(e.FunctionName()); {
		case numberFunctions[name], name == "round", name == "truncate", name == decimalFunction:
			count = 1
		default:
			return nil
		}
	default:
		return nil
	}
	changed := numbersOf(e.Children(), count)
	if changed == nil {
		return nil
	}
	if a, ok := e.(*expression.Arithmetic); ok && types.IsInteger(changed[0].Type(ctx)) && types.IsInteger(changed[1].Type(ctx)) {
		return &checkedArithmetic{Arithmetic: expression.NewArithmetic(changed[0], changed[1], a.Op)}
	}
	out, err := e.WithChildren(ctx, changed...)
	if err != nil {
		return nil
	}
	return out
}

// numbersOf are expressions with numbers in the place of literals of bytes, nil if there are
// none.
func numbersOf(all []sql.Expression, count int) (changed []sql.Expression) {
	for i, e := range all {
		if count >= 0 && i >= count {
			break
		}
		if n := binaryNumber(e); n != nil {
			if changed == nil {
				changed = append(changed, all...)
			}
			changed[i] = n
		}
	}
	return changed
}

// anyNumber reports whether one of some expressions is a number.
func anyNumber(ctx *sql.Context, all []sql.Expression) bool {
	for _, e := range all {
		if t := e.Type(ctx); types.IsNumber(t) || types.IsBit(t) || types.IsYear(t) {
			return true
		}
	}
	return false
}
