package gateway

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
)

// Functions of numbers that the SQL library answers otherwise than MySQL: ABS keeps the
// type of a small literal and starts over at its end, SIGN drops fractions, FORMAT goes
// through a double and fails for large ones, and powers beyond a DOUBLE are infinite.

// codeNumberRange is MySQL's error for a number that its type does not hold.
const codeNumberRange = 1690

// formatPlaces are the most digits behind the point that FORMAT writes.
const formatPlaces = 30

// numberKinds are those functions.
func numberKinds() []*plainKind {
	power := func(name string) *plainKind {
		return &plainKind{name: name, least: 2, most: 2, typ: ofType(types.Float64), eval: func(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
			x, _ := numberAsDouble(ctx, v[0])
			y, _ := numberAsDouble(ctx, v[1])
			return finite(math.Pow(x, y), "pow", args)
		}}
	}
	return []*plainKind{
		{name: "abs", least: 1, most: 1, typ: absType, eval: absolute},
		{name: "sign", least: 1, most: 1, typ: ofType(types.Int64), eval: func(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
			if d, ok := asDecimal(v[0]); ok {
				return int64(d.Sign()), nil
			}
			f, _ := numberAsDouble(ctx, v[0])
			switch {
			case f > 0:
				return int64(1), nil
			case f < 0:
				return int64(-1), nil
			}
			return int64(0), nil
		}},
		power("pow"), power("power"),
		{name: "exp", least: 1, most: 1, typ: ofType(types.Float64), eval: func(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
			x, _ := numberAsDouble(ctx, v[0])
			return finite(math.Exp(x), "exp", args)
		}},
		{name: "format", least: 2, most: 3, typ: ofType(types.LongText), nulls: true, eval: formatNumber},
	}
}

// finite is a result that a DOUBLE holds, or MySQL's error.
func finite(f float64, name string, args []sql.Expression) (any, error) {
	switch {
	case math.IsNaN(f):
		return nil, nil
	case math.IsInf(f, 0):
		texts := make([]string, len(args))
		for i, a := range args {
			texts[i] = a.String()
		}
		return nil, mysql.NewSQLError(codeNumberRange, "22003", "DOUBLE value is out of range in '%s(%s)'", name, strings.Join(texts, ","))
	}
	return f, nil
}

// absType is the argument's for exact numbers, an integer's BIGINT.
func absType(ctx *sql.Context, args []sql.Expression) sql.Type {
	t := args[0].Type(ctx)
	if v, ok := t.(sql.SystemVariableType); ok {
		t = v.UnderlyingType()
	}
	switch {
	case types.IsDecimal(t):
		return t
	case types.IsUnsigned(t):
		return types.Uint64
	case types.IsInteger(t), types.IsSigned(t), types.IsBoolean(t):
		return types.Int64
	}
	return types.Float64
}

func absolute(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
	switch t := absType(ctx, args); {
	case types.IsDecimal(t):
		d, err := decimalCopy(ctx, v[0])
		if err != nil || d == nil {
			return nil, err
		}
		d.Negative = false
		return d, nil
	case t == types.Uint64:
		if n, ok := asInteger(v[0]); ok && n != math.MinInt64 {
			return uint64(max(n, -n)), nil // the library takes -x of an unsigned x for unsigned
		}
		n, _, err := types.Uint64.Convert(ctx, v[0])
		return n, err
	case t == types.Int64:
		x, _, err := types.Int64.Convert(ctx, v[0])
		n, ok := x.(int64)
		if err != nil || !ok {
			return nil, err
		}
		if n == math.MinInt64 {
			return nil, mysql.NewSQLError(codeNumberRange, "22003", "BIGINT value is out of range in 'abs(%s)'", args[0])
		}
		return max(n, -n), nil
	}
	f, ok := numberAsDouble(ctx, v[0])
	if !ok {
		return nil, nil
	}
	return math.Abs(f), nil
}

// formatNumber is FORMAT(number, places) and FORMAT(number, places, locale).
func formatNumber(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
	if v[0] == nil || v[1] == nil {
		return nil, nil
	}
	n, ok := argumentNumber(ctx, v[1])
	if !ok {
		return nil, nil
	}
	places := int32(min(max(n, 0), formatPlaces))
	if len(v) == 3 && v[2] != nil && v[2] != "en_US" {
		e, err := function.NewFormat(ctx, expression.NewLiteral(v[0], types.Float64), expression.NewLiteral(int64(places), types.Int64), expression.NewLiteral(v[2], types.LongText))
		if err != nil {
			return nil, err
		}
		return e.Eval(ctx, nil)
	}
	var text string
	if d, ok := asDecimal(v[0]); ok {
		text = decimalWith(apd.RoundHalfUp, d, places).Text('f')
	} else {
		f, ok := numberAsDouble(ctx, v[0])
		if !ok || math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, nil
		}
		text = strconv.FormatFloat(roundDouble(f, places, true), 'f', int(places), 64)
	}
	return grouped3(text), nil
}

// grouped3 puts a comma between each three digits before the point.
func grouped3(text string) string {
	digits, negative := strings.CutPrefix(text, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	var b strings.Builder
	if negative {
		b.WriteByte('-')
	}
	for i, d := range []byte(whole) {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteByte(d)
	}
	if fraction != "" {
		fmt.Fprintf(&b, ".%s", fraction)
	}
	return b.String()
}
