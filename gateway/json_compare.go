package gateway

import (
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// jsonCompares are the functions that compare parts of JSON values. The SQL library's know
// no numbers but doubles, and refuse others or take them for unequal. The number says how
// many of the first arguments are values.
var jsonCompares = map[string]int{"json_contains": 2, "json_overlaps": 2}

// jsonCompare is one of them, over values whose numbers can be compared.
func jsonCompare(name string, values int, stock sql.Function) sql.Function {
	return sql.FunctionN{Name: name, Fn: func(ctx *sql.Context, args ...sql.Expression) (sql.Expression, error) {
		own := make([]sql.Expression, len(args))
		for i, e := range args {
			own[i] = e
			if i < values {
				own[i] = jsonNumbered{e}
			}
		}
		return stock.NewInstance(ctx, own)
	}}
}

// jsonNumbered is a JSON value in which equal numbers are equal, and no others: doubles,
// or texts that no JSON value has where a double would be another number.
type jsonNumbered struct{ sql.Expression }

// Eval gives the value.
func (n jsonNumbered) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	v, err := n.Expression.Eval(ctx, row)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case string:
		d := json.NewDecoder(strings.NewReader(v))
		d.UseNumber()
		var plain any
		if d.Decode(&plain) != nil {
			return v, nil // the function says what is wrong
		}
		if _, err := d.Token(); err != io.EOF {
			return v, nil
		}
		return types.JSONDocument{Val: numbered(plain)}, nil
	case sql.JSONWrapper:
		plain, err := v.ToInterface(ctx)
		if err != nil {
			return nil, err
		}
		return types.JSONDocument{Val: numbered(plain)}, nil
	}
	return v, nil
}

// numbered has comparable numbers in the place of others.
func numbered(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = numbered(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = numbered(e)
		}
		return out
	case int64:
		return numberOf(strconv.FormatInt(v, 10))
	case uint64:
		return numberOf(strconv.FormatUint(v, 10))
	case json.Number:
		return numberOf(v.String())
	case *apd.Decimal:
		return numberOf(v.Text('f'))
	case bool:
		return v
	}
	if n, ok := asInteger(v); ok {
		return numberOf(strconv.FormatInt(n, 10))
	}
	return v
}

// numberOf is a number that text says: the double, or what stands for the number where
// there is none.
func numberOf(text string) any {
	exact, _, err := apd.NewFromString(text)
	if err != nil {
		return text
	}
	f, err := strconv.ParseFloat(text, 64)
	if err == nil {
		if d, err := new(apd.Decimal).SetFloat64(f); err == nil && (d.Cmp(exact) == 0 || strings.ContainsAny(text, ".eE")) {
			return f // a number with a point is a double, as in MySQL
		}
	}
	return "\x00" + exact.Text('f')
}

// Children is the value.
func (n jsonNumbered) Children() []sql.Expression { return []sql.Expression{n.Expression} }

// WithChildren replaces the value.
func (n jsonNumbered) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(n, len(children), 1)
	}
	return jsonNumbered{children[0]}, nil
}
