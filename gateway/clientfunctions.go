package gateway

import (
	stdjson "encoding/json"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function/json"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// clientFunctions are those that clients and BI tools call and the SQL library has
// not, or answers otherwise than MySQL.
func clientFunctions() []*plainKind {
	return []*plainKind{
		{name: "get_format", least: 2, most: 2, typ: ofType(types.Text), eval: getFormat},
		{name: intervalIndex, least: 2, most: maxIntervalBounds, typ: ofType(types.Int64), nulls: true, eval: placeAmong},
		{name: "current_role", least: 0, most: 0, typ: ofType(types.Text), eval: currentRole},
		{name: "charset", least: 1, most: 1, typ: ofType(types.Text), nulls: true, eval: charsetOf},
	}
}

// intervalIndex is INTERVAL(n, a, b, …), which the grammar takes for the other one.
const (
	intervalIndex     = "arbor_interval_index"
	maxIntervalBounds = 256
)

// placeAmong is how many of the sorted numbers are not above the first one.
func placeAmong(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
	if v[0] == nil {
		return int64(-1), nil
	}
	f := func(x any) float64 {
		n, _, _ := types.Float64.Convert(ctx, x)
		d, _ := n.(float64)
		return d
	}
	n := int64(0)
	for _, bound := range v[1:] {
		if bound != nil && f(v[0]) < f(bound) {
			break
		}
		n++
	}
	return n, nil
}

var dateFormats = map[string]map[string]string{
	"DATE":     {"USA": "%m.%d.%Y", "JIS": "%Y-%m-%d", "ISO": "%Y-%m-%d", "EUR": "%d.%m.%Y", "INTERNAL": "%Y%m%d"},
	"DATETIME": {"USA": "%Y-%m-%d %H.%i.%s", "JIS": "%Y-%m-%d %H:%i:%s", "ISO": "%Y-%m-%d %H:%i:%s", "EUR": "%Y-%m-%d %H.%i.%s", "INTERNAL": "%Y%m%d%H%i%s"},
	"TIME":     {"USA": "%h:%i:%s %p", "JIS": "%H:%i:%s", "ISO": "%H:%i:%s", "EUR": "%H.%i.%s", "INTERNAL": "%H%i%s"},
}

func getFormat(_ *sql.Context, _ []sql.Expression, v []any) (any, error) {
	kind, _ := v[0].(string)
	place, _ := v[1].(string)
	format, ok := dateFormats[strings.ToUpper(kind)][strings.ToUpper(place)]
	if !ok {
		return nil, nil
	}
	return format, nil
}

func charsetOf(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
	if t, ok := args[0].Type(ctx).(sql.StringType); ok {
		return t.CharacterSet().Name(), nil
	}
	return "binary", nil
}

// momentFunctions stand in for the SQL library's where the kind of their result
// depends on more than types.
func momentFunctions() map[string]sql.Function {
	midnight := func(t time.Time) any { return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC) }
	clock := func(t time.Time) any {
		return types.Timespan(int64(t.Hour()*3600+t.Minute()*60+t.Second()) * 1_000_000)
	}
	all := map[string]sql.Function{
		"utc_date":      utcNow("utc_date", types.Date, midnight),
		"utc_time":      utcNow("utc_time", types.Time, clock),
		"utc_timestamp": sql.FunctionN{Name: "utc_timestamp", Fn: newUTCTimestamp},
		"timestamp":     sql.FunctionN{Name: "timestamp", Fn: newTimestamp},
		"json_value":    sql.FunctionN{Name: "json_value", Fn: newJSONValue},
	}
	for _, name := range []string{"session_user", "system_user"} {
		all[name] = sql.FunctionN{Name: name, Fn: func(ctx *sql.Context, args ...sql.Expression) (sql.Expression, error) {
			if len(args) > 0 {
				return nil, sql.ErrInvalidArgumentNumber.New(strings.ToUpper(name), 0, len(args))
			}
			f, _ := stockFunctions()["user"]
			return f.NewInstance(ctx, nil)
		}}
	}
	for _, name := range []string{"hour", "minute", "second", "microsecond"} {
		all[name] = sql.FunctionN{Name: name, Fn: func(ctx *sql.Context, args ...sql.Expression) (sql.Expression, error) {
			if len(args) != 1 {
				return nil, sql.ErrInvalidArgumentNumber.New(strings.ToUpper(name), 1, len(args))
			}
			return newClockPart(ctx, name, args[0])
		}}
	}
	return all
}

// newClockPart is HOUR, MINUTE, SECOND or MICROSECOND: the SQL library's of a
// moment, and of a time of day one of arbor's.
func newClockPart(ctx *sql.Context, name string, e sql.Expression) (sql.Expression, error) {
	stock, err := stockFunctions()[name].NewInstance(ctx, []sql.Expression{e})
	if err != nil || !e.Resolved() {
		return stock, err
	}
	if t := e.Type(ctx); types.IsTime(t) && !types.IsTimespan(t) || types.IsDeferredType(t) {
		return stock, nil
	}
	return (&plainKind{name: name, least: 1, most: 1, typ: ofType(types.Int64), eval: func(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
		micros, ok := clockOf(ctx, v[0])
		if !ok {
			return nil, nil
		}
		switch name {
		case "hour":
			return micros / 3_600_000_000, nil
		case "minute":
			return micros / 60_000_000 % 60, nil
		case "second":
			return micros / 1_000_000 % 60, nil
		}
		return micros % 1_000_000, nil
	}}).function().NewInstance(ctx, []sql.Expression{e})
}

// clockOf is the time of day of a value, in microseconds; a text may be a moment or
// a time.
func clockOf(ctx *sql.Context, v any) (int64, bool) {
	if s, ok := v.(string); ok && strings.ContainsAny(strings.TrimSpace(s), " T-") && !strings.HasPrefix(s, "-") {
		t, ok := argumentMoment(ctx, s)
		return int64(t.Hour()*3600+t.Minute()*60+t.Second())*1_000_000 + int64(t.Nanosecond()/1000), ok
	}
	if t, ok := v.(time.Time); ok {
		return int64(t.Hour()*3600+t.Minute()*60+t.Second())*1_000_000 + int64(t.Nanosecond()/1000), true
	}
	span, _, err := types.Time.Convert(ctx, v)
	s, ok := span.(types.Timespan)
	if err != nil || !ok {
		return 0, false
	}
	return max(int64(s), -int64(s)), true
}

// newJSONValue is JSON_VALUE, which gives a string without its quotes, and NULL for
// null and for what is no scalar. With a type behind it, it is the SQL library's.
func newJSONValue(ctx *sql.Context, args ...sql.Expression) (sql.Expression, error) {
	if len(args) != 2 {
		return json.NewJsonValue(ctx, args...)
	}
	extract := stockFunctions()["json_extract"]
	return (&plainKind{name: "json_value", least: 2, most: 2, typ: ofType(types.LongText), eval: func(ctx *sql.Context, a []sql.Expression, v []any) (any, error) {
		made, err := extract.NewInstance(ctx, []sql.Expression{expression.NewLiteral(v[0], a[0].Type(ctx)), expression.NewLiteral(v[1], a[1].Type(ctx))})
		if err != nil {
			return nil, err
		}
		out, err := made.Eval(ctx, nil)
		if err != nil {
			return nil, err
		}
		w, ok := out.(sql.JSONWrapper)
		if !ok {
			return nil, nil
		}
		text, err := jsonDocumentText(ctx, w)
		if err != nil || len(text) == 0 || string(text) == "null" || text[0] == '{' || text[0] == '[' {
			return nil, err
		}
		if text[0] != '"' {
			return string(text), nil
		}
		var s string
		err = stdjson.Unmarshal(text, &s)
		return s, err
	}}).function().NewInstance(ctx, args)
}
