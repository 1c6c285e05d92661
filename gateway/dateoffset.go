package gateway

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// A moment and an interval. The SQL library's sum rounds seconds to whole ones,
// begins over after 292 years of hours, and gives a DATETIME(6) where MySQL gives
// a DATE or a DATETIME. So the statement calls functions of arbor's instead, which
// get the interval's number and its unit as arguments of their own.

// The functions' names, as they travel.
const (
	offsetOnFunction   = "arbor_date_add"
	offsetBackFunction = "arbor_date_sub"
)

// offsetFunctions are the two.
func offsetFunctions() []*plainKind {
	kind := func(name, shown string, back bool) *plainKind {
		return &plainKind{name: name, least: 3, most: 3, typ: offsetType,
			shown: func(args []string) string {
				return fmt.Sprintf("%s(%s,INTERVAL %s %s)", shown, args[0], args[1], offsetWord(args[2]))
			},
			eval: func(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
				return offsetMoment(ctx, args, v, back)
			}}
	}
	return []*plainKind{kind(offsetOnFunction, "date_add", false), kind(offsetBackFunction, "date_sub", true)}
}

// offsetWord is the unit in a call's text.
func offsetWord(text string) string {
	word, _, _ := strings.Cut(strings.Trim(text, "'"), "'")
	return word
}

// writeOffsets puts those functions in the place of all sums of a moment and an
// interval.
func writeOffsets(s sqlparser.Statement) {
	w := syntaxWalk{expr: func(e sqlparser.Expr, _ bool) sqlparser.Expr {
		switch e := e.(type) {
		case *sqlparser.BinaryExpr:
			back := e.Operator == sqlparser.MinusStr
			if !back && e.Operator != sqlparser.PlusStr {
				return nil
			}
			if i, ok := e.Right.(*sqlparser.IntervalExpr); ok {
				return offsetCall(e.Left, i.Expr, i.Unit, back)
			}
			if i, ok := e.Left.(*sqlparser.IntervalExpr); ok && !back {
				return offsetCall(e.Right, i.Expr, i.Unit, false)
			}
		case *sqlparser.FuncExpr:
			back := strings.HasPrefix(e.Name.Lowered(), "sub") || e.Name.EqualString("date_sub")
			switch e.Name.Lowered() {
			case "date_add", "date_sub", "adddate", "subdate":
			default:
				return nil
			}
			if len(e.Exprs) != 2 || !e.Qualifier.IsEmpty() {
				return nil
			}
			of, ok1 := e.Exprs[0].(*sqlparser.AliasedExpr)
			by, ok2 := e.Exprs[1].(*sqlparser.AliasedExpr)
			if !ok1 || !ok2 {
				return nil
			}
			if i, ok := by.Expr.(*sqlparser.IntervalExpr); ok {
				return offsetCall(of.Expr, i.Expr, i.Unit, back)
			}
			if e.Name.EqualString("adddate") || e.Name.EqualString("subdate") {
				return offsetCall(of.Expr, by.Expr, "DAY", back)
			}
		case *sqlparser.TimestampFuncExpr:
			if strings.EqualFold(e.Name, "timestampadd") {
				return offsetCall(e.Expr2, e.Expr1, e.Unit, false)
			}
		}
		return nil
	}}
	w.walk(reflect.ValueOf(s), false)
}

// offsetCall is a call of one of the functions, nil for a unit that they do not know.
func offsetCall(of, by sqlparser.Expr, unit string, back bool) sqlparser.Expr {
	unit = strings.ToUpper(unit)
	if !simpleUnits[unit] {
		return nil
	}
	name := offsetOnFunction
	if back {
		name = offsetBackFunction
	}
	f := &sqlparser.FuncExpr{Name: sqlparser.NewColIdent(name)}
	for _, e := range []sqlparser.Expr{of, by, sqlparser.NewStrVal([]byte(unit))} {
		f.Exprs = append(f.Exprs, &sqlparser.AliasedExpr{Expr: e})
	}
	return f
}

// offsetUnit is the unit of a call.
func offsetUnit(args []sql.Expression) string {
	if l, ok := constantOf(args[2]); ok {
		unit, _ := l.Val.(string)
		return unit
	}
	return ""
}

// ofDays reports whether a unit is a day or longer.
func ofDays(unit string) bool {
	switch unit {
	case "YEAR", "QUARTER", "MONTH", "WEEK", "DAY":
		return true
	}
	return false
}

// offsetType is the sum's type: a DATE stays one if the unit is of days, a text is
// a text, and all else is a DATETIME with the digits of both.
func offsetType(ctx *sql.Context, args []sql.Expression) sql.Type {
	of, unit := args[0].Type(ctx), offsetUnit(args)
	digits := 0
	switch unit {
	case "MICROSECOND":
		digits = 6
	case "SECOND":
		digits = numberDigits(ctx, args[1])
	}
	switch {
	case of == types.Null:
		return types.Null
	case types.IsTimespan(of) && !ofDays(unit):
		return types.Time
	case types.IsDateType(of) && ofDays(unit):
		return types.Date
	case types.IsTime(of):
		return datetimeOf(max(digits, fractionDigits(ctx, args[0])))
	case types.IsTimespan(of):
		return types.DatetimeMaxPrecision
	}
	return types.LongText
}

// numberDigits are the decimals of a number, as MySQL counts them for seconds.
func numberDigits(ctx *sql.Context, e sql.Expression) int {
	t := e.Type(ctx)
	if types.IsInteger(t) {
		return 0
	}
	if d, ok := t.(sql.DecimalType); ok {
		return min(int(d.Scale()), 6)
	}
	return 6
}

// offsetMoment is the sum.
func offsetMoment(ctx *sql.Context, args []sql.Expression, v []any, back bool) (any, error) {
	unit := offsetUnit(args)
	micros, months, ok := offsetBy(ctx, v[1], unit)
	if back {
		micros, months = -micros, -months
	}
	if types.IsTimespan(args[0].Type(ctx)) {
		if s, isText := v[0].(string); isText {
			span, _ := spanOf(ctx, s)
			v[0] = types.Timespan(span)
		}
	}
	if n, whole := asInteger(v[0]); whole {
		v[0] = fmt.Sprint(n)
	}
	if span, isTime := v[0].(types.Timespan); isTime {
		if !ofDays(unit) {
			return boundedSpan(int64(span) + micros), nil
		}
		now := ctx.QueryTime()
		v[0] = time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC).Add(span.AsTimeDuration())
	}
	text, isText := v[0].(string)
	if isText && offsetType(ctx, args) == types.Date {
		isText = false // a DATE that the SQL library gives as a text
	}
	t, known := argumentMoment(ctx, v[0])
	if !known {
		warn(ctx, erWrongValue, "Incorrect datetime value: '%.80v'", v[0])
		return nil, nil
	}
	if ok {
		t, ok = moved(t, micros, months)
	}
	if !ok {
		warn(ctx, erFieldOverflow, "Datetime function: datetime field overflow")
		return nil, nil
	}
	if !isText || !types.IsText(offsetType(ctx, args)) {
		return t, nil
	}
	switch {
	case t.Nanosecond() > 0:
		return t.Format("2006-01-02 15:04:05.000000"), nil
	case ofDays(unit) && !strings.ContainsAny(strings.TrimSpace(text), ": T") && len(text) < len("20060102150405"):
		return t.Format(time.DateOnly), nil
	}
	return t.Format(time.DateTime), nil
}

// offsetMost bounds an interval in microseconds: it is more than all years.
const offsetMost = 10_000 * 366 * 86_400_000_000

// offsetBy reads an interval's number as microseconds, or as months; not ok for one
// beyond all dates.
func offsetBy(ctx *sql.Context, v any, unit string) (micros, months int64, ok bool) {
	if unit == "SECOND" {
		micros, ok = secondsOf(ctx, v)
		return micros, 0, ok
	}
	n := int64(0)
	switch x := v.(type) {
	case float64:
		if math.Abs(x) > offsetMost {
			return 0, 0, false
		}
		n = int64(math.RoundToEven(x))
	default:
		var known bool
		if n, known = argumentNumber(ctx, v); !known {
			n = 0
		}
	}
	if n > offsetMost || n < -offsetMost {
		return 0, 0, false
	}
	size := map[string]int64{"MICROSECOND": 1, "MINUTE": 60_000_000, "HOUR": 3_600_000_000, "DAY": 86_400_000_000, "WEEK": 7 * 86_400_000_000}[unit]
	if size == 0 {
		months = n * map[string]int64{"MONTH": 1, "QUARTER": 3, "YEAR": 12}[unit]
		return 0, months, months <= 12*10_000 && months >= -12*10_000
	}
	if n > offsetMost/size || n < -offsetMost/size {
		return 0, 0, false
	}
	return n * size, 0, true
}

// secondsOf reads a number of seconds, which may have a fraction, as microseconds.
func secondsOf(ctx *sql.Context, v any) (int64, bool) {
	var d *apd.Decimal
	switch x := v.(type) {
	case *apd.Decimal:
		d = x
	case int64:
		d = apd.New(x, 0)
	default:
		text := fmt.Sprint(v)
		if s, ok := v.(string); ok {
			text = numberPrefix(s)
		}
		var err error
		if d, _, err = apd.NewFromString(text); err != nil {
			f, _, err := types.Float64.Convert(ctx, v)
			n, ok := f.(float64)
			if err != nil || !ok || math.Abs(n) > offsetMost {
				return 0, false
			}
			return int64(math.Round(n * 1e6)), true
		}
	}
	var micros apd.Decimal
	c := apd.BaseContext.WithPrecision(40)
	if _, err := c.Mul(&micros, d, apd.New(1, 6)); err != nil {
		return 0, false
	}
	if _, err := c.Quantize(&micros, &micros, 0); err != nil {
		return 0, false
	}
	n, err := micros.Int64()
	return n, err == nil && n <= offsetMost && n >= -offsetMost
}

// numberPrefix is the number at the beginning of a text, "0" for none.
func numberPrefix(s string) string {
	s = strings.TrimSpace(s)
	end, dot := 0, false
	for end < len(s) {
		c := s[end]
		if c == '.' && !dot {
			dot = true
		} else if (c < '0' || c > '9') && !(end == 0 && (c == '-' || c == '+')) {
			break
		}
		end++
	}
	if strings.Trim(s[:end], "+-.") == "" {
		return "0"
	}
	return s[:end]
}

// moved is a moment moved by an interval, not ok beyond the years that a DATE has.
func moved(t time.Time, micros, months int64) (time.Time, bool) {
	if months != 0 {
		t = expression.TimeDelta{Months: months}.Add(t)
	}
	const day = int64(24 * time.Hour / time.Microsecond)
	days := micros / day
	t = t.AddDate(0, 0, int(days)).Add(time.Duration(micros-days*day) * time.Microsecond)
	return t, t.Year() >= 0 && t.Year() <= 9999
}
