package gateway

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// CAST(x AS DECIMAL(p, s)). The SQL library gives 0 for what has more digits than the
// type, keeps all digits of a DECIMAL(p), and reads no moments. So a statement calls a
// function of arbor's instead, with the type's digits as arguments.

// decimalFunction is its name, as it travels.
const decimalFunction = "arbor_decimal"

// Errors of MySQL for a type's digits.
const (
	codeScaleTooBig     = 1425
	codePrecisionTooBig = 1426
	codeScaleOverDigits = 1427
)

// defaultDecimal are the digits of DECIMAL without any.
const defaultDecimal = 10

// writeDecimalCasts puts calls in the place of a statement's casts.
func writeDecimalCasts(s sqlparser.Statement) {
	w := syntaxWalk{expr: func(e sqlparser.Expr, _ bool) sqlparser.Expr {
		if c, ok := e.(*sqlparser.ConvertExpr); ok && decimalCast(c) {
			return decimalCall(c)
		}
		return nil
	}}
	w.walk(reflect.ValueOf(s), false)
}

// decimalCast reports whether a cast is one to DECIMAL.
func decimalCast(c *sqlparser.ConvertExpr) bool {
	return c.Type != nil && strings.EqualFold(c.Type.Type, expression.ConvertToDecimal)
}

func decimalCall(c *sqlparser.ConvertExpr) sqlparser.Expr {
	digits := [2]string{strconv.Itoa(defaultDecimal), "0"}
	for i, v := range []*sqlparser.SQLVal{c.Type.Length, c.Type.Scale} {
		if v != nil {
			digits[i] = string(v.Val)
		}
	}
	if digits[0] == "0" {
		digits[0] = strconv.Itoa(defaultDecimal) // as in MySQL
	}
	f := &sqlparser.FuncExpr{Name: sqlparser.NewColIdent(decimalFunction)}
	for _, e := range []sqlparser.Expr{c.Expr, sqlparser.NewIntVal([]byte(digits[0])), sqlparser.NewIntVal([]byte(digits[1]))} {
		f.Exprs = append(f.Exprs, &sqlparser.AliasedExpr{Expr: e})
	}
	return f
}

// decimalKind is that function.
var decimalKind = &plainKind{name: decimalFunction, least: 3, most: 3,
	typ: func(_ *sql.Context, args []sql.Expression) sql.Type {
		t, err := castType(args)
		if err != nil {
			return types.InternalDecimalType
		}
		return t
	},
	shown: func(args []string) string {
		if args[2] == "0" {
			return fmt.Sprintf("convert(%s, decimal(%s))", args[0], args[1])
		}
		return fmt.Sprintf("convert(%s, decimal(%s,%s))", args[0], args[1], args[2])
	},
	eval: func(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
		t, err := castType(args)
		if err != nil {
			return nil, err
		}
		return castDecimal(ctx, args[0].Type(ctx), t, v[0], args[0])
	}}

// decimalCastFunction makes its calls, for digits that a DECIMAL can have.
func decimalCastFunction() sql.Function {
	return sql.FunctionN{Name: decimalFunction, Fn: func(ctx *sql.Context, args ...sql.Expression) (sql.Expression, error) {
		e, err := decimalKind.function().NewInstance(ctx, args)
		if err != nil {
			return nil, err
		}
		_, err = castType(args)
		return e, err
	}}
}

// castType is the type that a call's arguments name.
func castType(args []sql.Expression) (sql.DecimalType, error) {
	var digits [2]int64
	for i := range digits {
		l, ok := args[i+1].(*expression.Literal)
		n, whole := int64(0), false
		if ok {
			n, whole = asInteger(l.Val)
		}
		if !whole {
			return nil, fmt.Errorf("digits of a decimal: %s", args[i+1])
		}
		digits[i] = n
	}
	switch p, s := digits[0], digits[1]; {
	case s > types.DecimalTypeMaxScale:
		return nil, mysql.NewSQLError(codeScaleTooBig, "42000", "Too big scale %d specified for '%.80s'. Maximum is %d.", s, args[0], types.DecimalTypeMaxScale)
	case p > types.DecimalTypeMaxPrecision:
		return nil, mysql.NewSQLError(codePrecisionTooBig, "42000", "Too-big precision %d specified for '%.80s'. Maximum is %d.", p, args[0], types.DecimalTypeMaxPrecision)
	case s > p:
		return nil, mysql.NewSQLError(codeScaleOverDigits, "42000", "For float(M,D), double(M,D) or decimal(M,D), M must be >= D (column '%.80s').", args[0])
	default:
		return types.CreateDecimalType(uint8(p), uint8(s))
	}
}

// castDecimal is a value as a decimal: rounded half up, and the largest or the least of
// its type where that does not hold it.
func castDecimal(ctx *sql.Context, of sql.Type, t sql.DecimalType, v any, shown fmt.Stringer) (any, error) {
	v, err := types.ConvertHexBlobToDecimalForNumericContext(v, of)
	if err != nil {
		return nil, err
	}
	d, whole := readDecimal(v, of)
	if !whole {
		warn(ctx, erWrongValue, "Truncated incorrect DECIMAL value: '%.80v'", v)
	}
	digits, scale := int64(t.Precision()), int64(t.Scale())
	// The place of the first digit, counted from the point.
	first := d.NumDigits() + int64(d.Exponent)
	out := new(apd.Decimal)
	switch {
	case d.IsZero() || d.Form == apd.Finite && first < -scale:
		out.Exponent = -int32(scale)
		return out, nil
	case d.Form == apd.Finite && first <= digits-scale:
		out = decimalWith(apd.RoundHalfUp, d, int32(scale))
		if out.NumDigits() <= digits {
			return out, nil
		}
	}
	warn(ctx, codeOutOfRange, "Out of range value for column '%.80s' at row 1", shown)
	out.Coeff.Exp(apd.NewBigInt(10), apd.NewBigInt(digits), nil)
	out.Coeff.Sub(&out.Coeff, apd.NewBigInt(1))
	out.Exponent, out.Negative, out.Form = -int32(scale), d.Negative, apd.Finite
	return out, nil
}

// codeOutOfRange is MySQL's warning for a value that its type does not hold.
const codeOutOfRange = 1264

// readDecimal reads a value as a decimal, as much of it as is one.
func readDecimal(v any, of sql.Type) (d *apd.Decimal, whole bool) {
	switch x := v.(type) {
	case *apd.Decimal:
		return x, true
	case bool:
		if x {
			return apd.New(1, 0), true
		}
		return apd.New(0, 0), true
	case uint64:
		return apd.NewWithBigInt(new(apd.BigInt).SetUint64(x), 0), true
	case float32:
		return doubleDecimal(float64(x), 32), true
	case float64:
		return doubleDecimal(x, 64), true
	case time.Time:
		layout := "20060102150405.000000"
		if types.IsDateType(of) {
			layout = "20060102"
		}
		return textDecimal(x.Format(layout))
	case types.Timespan:
		return textDecimal(strings.ReplaceAll(x.String(), ":", ""))
	case string:
		if types.IsDateType(of) { // which the SQL library gives as a text
			x = strings.ReplaceAll(x, "-", "")
		}
		return textDecimal(x)
	case []byte:
		return textDecimal(string(x))
	}
	if n, ok := asInteger(v); ok {
		return apd.New(n, 0), true
	}
	return textDecimal(fmt.Sprint(v))
}

func doubleDecimal(f float64, bits int) *apd.Decimal {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return &apd.Decimal{Form: apd.Infinite, Negative: f < 0}
	}
	d, _ := textDecimal(strconv.FormatFloat(f, 'g', -1, bits))
	return d
}

// maxExponentDigits is how many digits an exponent may have that is worked with: one with
// more makes a number that no decimal holds, or none that is seen.
const maxExponentDigits = 4

// textDecimal is the number at the beginning of a text, and whether it is all of it.
func textDecimal(s string) (*apd.Decimal, bool) {
	s = strings.TrimSpace(s)
	if len(s) > maxDecimalText {
		s = s[:maxDecimalText]
	}
	end, digits := 0, 0
	sign := func() {
		if end < len(s) && (s[end] == '-' || s[end] == '+') {
			end++
		}
	}
	run := func() (n int) {
		for end < len(s) && s[end] >= '0' && s[end] <= '9' {
			end, n = end+1, n+1
		}
		return n
	}
	sign()
	digits = run()
	if end < len(s) && s[end] == '.' {
		end++
		digits += run()
	}
	if digits == 0 {
		return apd.New(0, 0), false
	}
	if number := end; end < len(s) && (s[end] == 'e' || s[end] == 'E') {
		end++
		minus := end < len(s) && s[end] == '-'
		sign()
		start := end
		if run() == 0 {
			end = number
		} else if len(strings.TrimLeft(s[start:end], "0")) > maxExponentDigits {
			if minus || strings.Trim(s[:number], "+-.0") == "" {
				return apd.New(0, 0), true
			}
			return &apd.Decimal{Form: apd.Infinite, Negative: s[0] == '-'}, true
		}
	}
	d, _, err := apd.NewFromString(s[:end])
	if err != nil {
		return apd.New(0, 0), false
	}
	return d, end == len(s)
}
