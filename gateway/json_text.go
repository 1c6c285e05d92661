package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// jsonDocumentText is the text of a JSON value, with its decimals as numbers and its
// moments as MySQL writes them. The SQL library has one way to print values and
// another, which makes strings of decimals, to store them.
func jsonDocumentText(ctx *sql.Context, w sql.JSONWrapper) ([]byte, error) {
	if b, ok := w.(types.JSONBytes); ok {
		return b.GetBytes(ctx)
	}
	v, err := w.ToInterface(ctx)
	if err != nil {
		return nil, err
	}
	if v, err = jsonPlain(ctx, v); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("JSON of a value: %w", err)
	}
	return bytes.TrimRight(out.Bytes(), "\n"), nil
}

const codeInvalidCharacter = 1300

// Layouts of MySQL's JSON.
const (
	jsonDatetime = "2006-01-02 15:04:05.000000"
	jsonDate     = "2006-01-02"
)

// jsonPlain is a value made of what encoding/json writes as MySQL does.
func jsonPlain(ctx *sql.Context, v any) (any, error) {
	switch v := v.(type) {
	case *apd.Decimal:
		return json.Number(v.Text('f')), nil
	case time.Time:
		return v.Format(jsonDatetime), nil
	case types.Timespan:
		return timespanText(v), nil
	case float64:
		if v == 0 && math.Signbit(v) {
			return json.Number("-0.0"), nil
		}
	case string:
		if !utf8.ValidString(v) { // which encoding/json would replace
			return nil, refuse(codeInvalidCharacter, "HY000", "Invalid utf8mb4 character string: '%s'", invalidUTF8(v))
		}
	case sql.JSONWrapper:
		text, err := jsonDocumentText(ctx, v)
		return json.RawMessage(text), err
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			if !utf8.ValidString(k) {
				return nil, refuse(codeInvalidCharacter, "HY000", "Invalid utf8mb4 character string: '%s'", invalidUTF8(k))
			}
			plain, err := jsonPlain(ctx, e)
			if err != nil {
				return nil, err
			}
			out[k] = plain
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			var err error
			if out[i], err = jsonPlain(ctx, e); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}

// timespanText is a TIME with all its digits.
func timespanText(t types.Timespan) string {
	s := t.String()
	if i := bytes.IndexByte([]byte(s), '.'); i < 0 {
		return s + ".000000"
	}
	return s
}

// jsonMoment is a DATE, DATETIME or TIME that becomes part of a JSON value. Once
// it is one, the SQL library knows no more which of them it was.
type jsonMoment struct{ sql.Expression }

// jsonFunction is a function that makes JSON of its arguments.
func jsonFunction(name string, stock sql.Function) sql.Function {
	return sql.FunctionN{Name: name, Fn: func(ctx *sql.Context, args ...sql.Expression) (sql.Expression, error) {
		own := make([]sql.Expression, len(args))
		for i, e := range args {
			own[i] = e
			if t := e.Type(ctx); types.IsTime(t) || types.IsTimespan(t) {
				own[i] = jsonMoment{e}
			}
		}
		return stock.NewInstance(ctx, own)
	}}
}

// Eval gives the text.
func (m jsonMoment) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	v, err := m.Expression.Eval(ctx, row)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case time.Time:
		if types.IsDateType(m.Expression.Type(ctx)) {
			return v.Format(jsonDate), nil
		}
		return v.Format(jsonDatetime), nil
	case types.Timespan:
		return timespanText(v), nil
	}
	return v, nil
}

// Type is that of texts.
func (m jsonMoment) Type(*sql.Context) sql.Type { return stringType }

// Children is the moment.
func (m jsonMoment) Children() []sql.Expression { return []sql.Expression{m.Expression} }

// WithChildren replaces the moment.
func (m jsonMoment) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(m, len(children), 1)
	}
	return jsonMoment{children[0]}, nil
}
