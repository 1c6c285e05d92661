package gateway

import (
	"cmp"
	"strconv"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// Numbers compare as MySQL's do: integers and decimals exactly, whatever their
// size and scale, and where one of two is a floating-point number (or a text),
// both as DOUBLE.

// compareExactly compares two integers or decimals.
func compareExactly(a, b any) (int, bool) {
	x, okX := asInteger(a)
	y, okY := asInteger(b)
	if okX && okY {
		return cmp.Compare(x, y), true
	}
	d, okD := asDecimal(a)
	e, okE := asDecimal(b)
	if !okD || !okE {
		return 0, false
	}
	return d.Cmp(e), true
}

func asDecimal(v any) (*apd.Decimal, bool) {
	switch v := v.(type) {
	case *apd.Decimal:
		return v, v.Form == apd.Finite
	case apd.Decimal:
		return &v, v.Form == apd.Finite
	}
	n, ok := bigInteger(v)
	if !ok {
		return nil, false
	}
	return apd.NewWithBigInt(new(apd.BigInt).SetMathBigInt(n), 0), true
}

// numberAsDouble is a number, or a text, as a DOUBLE.
func numberAsDouble(ctx *sql.Context, v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case float32:
		return float64(v), true
	case uint64:
		return float64(v), true
	case *apd.Decimal:
		f, err := v.Float64()
		return f, err == nil
	case string:
		return textAsDouble(ctx, v)
	case []byte:
		return textAsDouble(ctx, string(v))
	}
	if n, ok := asInteger(v); ok {
		return float64(n), true
	}
	return 0, false
}

// textAsDouble reads the number that a text begins with, 0 for none.
func textAsDouble(ctx *sql.Context, s string) (float64, bool) {
	v, _, err := types.Float64.Convert(ctx, s)
	if err != nil && !sql.ErrTruncatedIncorrect.Is(err) {
		return 0, false
	}
	f, ok := v.(float64)
	return f, ok || v == nil
}

// exactKey is a text that integers and decimals have in common when they are
// equal, and only then.
func exactKey(v any) (string, bool) {
	if n, ok := asInteger(v); ok {
		return strconv.FormatInt(n, 10), true
	}
	d, ok := asDecimal(v)
	if !ok {
		return "", false
	}
	var r apd.Decimal
	r.Reduce(d)
	if r.IsZero() {
		return "0", true
	}
	return r.Text('f'), true
}
