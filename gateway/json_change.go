package gateway

import (
	"strconv"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// jsonChanges are the functions that give a changed copy of a JSON value. The SQL
// library's copies have NULL where a decimal or a moment was. The number says how
// many of the first arguments are copied; 0 means all.
var jsonChanges = map[string]int{
	"json_set": 1, "json_insert": 1, "json_replace": 1, "json_remove": 1, "json_array_append": 1, "json_array_insert": 1,
	"json_merge_patch": 0, "json_merge_preserve": 0, "json_merge": 0,
}

// jsonChange is one of them, over values that can be copied.
func jsonChange(name string, copied int, stock sql.Function) sql.Function {
	return sql.FunctionN{Name: name, Fn: func(ctx *sql.Context, args ...sql.Expression) (sql.Expression, error) {
		own := make([]sql.Expression, len(args))
		for i, e := range args {
			own[i] = e
			if copied == 0 || i < copied {
				own[i] = jsonCopied{e}
			}
		}
		return stock.NewInstance(ctx, own)
	}}
}

// jsonCopied is a JSON value without decimals and moments.
type jsonCopied struct{ sql.Expression }

// Eval gives the value.
func (c jsonCopied) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	v, err := c.Expression.Eval(ctx, row)
	if err != nil {
		return nil, err
	}
	w, ok := v.(sql.JSONWrapper)
	if !ok {
		return v, nil
	}
	plain, err := w.ToInterface(ctx)
	if err != nil {
		return nil, err
	}
	plain, err = copyable(plain)
	return types.JSONDocument{Val: plain}, err
}

// copyable has doubles in the place of decimals, where that is no other number,
// and texts in the place of moments.
func copyable(v any) (any, error) {
	switch v := v.(type) {
	case *apd.Decimal:
		f, err := strconv.ParseFloat(v.Text('f'), 64)
		if err != nil {
			return nil, notSupported("%s is more than a JSON value that is changed can hold", clip(v.Text('f')))
		}
		d, err := new(apd.Decimal).SetFloat64(f)
		if err != nil || d.Cmp(v) != 0 {
			return nil, notSupported("%s would lose digits in a JSON value that is changed; put it in as text, or make the value by JSON_OBJECT alone", clip(v.Text('f')))
		}
		return f, nil
	case time.Time:
		return v.Format(jsonDatetime), nil
	case types.Timespan:
		return timespanText(v), nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			var err error
			if out[k], err = copyable(e); err != nil {
				return nil, err
			}
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			var err error
			if out[i], err = copyable(e); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}

// Children is the value.
func (c jsonCopied) Children() []sql.Expression { return []sql.Expression{c.Expression} }

// WithChildren replaces the value.
func (c jsonCopied) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(c, len(children), 1)
	}
	return jsonCopied{children[0]}, nil
}
