package gateway

import (
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// Functions of dates that the SQL library lacks, or answers otherwise than MySQL.

// dateFunctions are those of them that depend on their arguments alone.
func dateFunctions() []*plainKind {
	return []*plainKind{
		{name: "makedate", least: 2, most: 2, typ: ofType(types.Date), eval: makeDate},
		{name: "maketime", least: 3, most: 3, typ: ofType(types.Time), eval: makeTime},
		{name: "week", least: 1, most: 2, typ: ofType(types.Int64), eval: weekOf},
		{name: "yearweek", least: 1, most: 2, typ: ofType(types.Int64), eval: yearWeekOf},
		{name: "weekofyear", least: 1, most: 1, typ: ofType(types.Int64), eval: func(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
			return weekWithMode(ctx, v[0], 3, false)
		}},
		{name: "to_seconds", least: 1, most: 1, typ: ofType(types.Int64), eval: toSeconds},
		{name: "period_add", least: 2, most: 2, typ: ofType(types.Int64), eval: periodAdd},
		{name: "period_diff", least: 2, most: 2, typ: ofType(types.Int64), eval: periodDiff},
		{name: "str_to_date", least: 2, most: 2, typ: strToDateType, eval: strToDate},
		{name: "convert_tz", least: 3, most: 3, typ: convertTzType, eval: convertTz},
		{name: intervalFunction, least: 2, most: 2, typ: ofType(types.Int64), eval: compoundInterval},
	}
}

// argumentMoment is a value as a moment, not ok for one that is none.
func argumentMoment(ctx *sql.Context, v any) (time.Time, bool) {
	if t, ok := v.(time.Time); ok {
		return t, true
	}
	x, err := types.DatetimeMaxPrecision.ConvertWithoutRangeCheck(ctx, v)
	if err != nil || x.IsZero() {
		return time.Time{}, false
	}
	return x, true
}

func makeDate(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
	year, ok1 := argumentNumber(ctx, v[0])
	day, ok2 := argumentNumber(ctx, v[1])
	if !ok1 || !ok2 || year < 0 || year > 9999 || day <= 0 || day > 4_000_000 {
		return nil, nil
	}
	if year < 70 {
		year += 2000
	} else if year < 100 {
		year += 1900
	}
	t := time.Date(int(year), 1, int(day), 0, 0, 0, 0, time.UTC)
	if t.Year() > 9999 {
		return nil, nil
	}
	return t, nil
}

func makeTime(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
	hours, ok1 := argumentNumber(ctx, v[0])
	minutes, ok2 := argumentNumber(ctx, v[1])
	seconds, _, err := types.Float64.Convert(ctx, v[2])
	f, ok3 := seconds.(float64)
	if !ok1 || !ok2 || !ok3 || err != nil || minutes < 0 || minutes > 59 || f < 0 || f >= 60 {
		return nil, nil
	}
	negative := hours < 0
	if negative {
		hours = -hours
	}
	micros := (min(hours, 838)*3600+minutes*60)*1_000_000 + int64(f*1_000_000+0.5)
	if hours > 838 {
		micros = (838*3600 + 59*60 + 59) * 1_000_000
	}
	if negative {
		micros = -micros
	}
	return types.Timespan(micros), nil
}

// dayNumber is TO_DAYS: days since the year 0.
func dayNumber(t time.Time) int64 {
	const of1970 = 719528
	return of1970 + floorDiv(time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC).Unix(), 86400)
}

func floorDiv(a, b int64) int64 {
	if a < 0 {
		return -((-a + b - 1) / b)
	}
	return a / b
}

func toSeconds(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
	t, ok := argumentMoment(ctx, v[0])
	if !ok {
		return nil, nil
	}
	return dayNumber(t)*86400 + int64(t.Hour()*3600+t.Minute()*60+t.Second()), nil
}

// periodMonths reads a period YYYYMM or YYMM as months.
func periodMonths(p int64) (int64, bool) {
	year, month := p/100, p%100
	if p <= 0 || month < 1 || month > 12 {
		return 0, false
	}
	if year < 70 {
		year += 2000
	} else if year < 100 {
		year += 1900
	}
	return year*12 + month - 1, true
}

func errPeriod(name string) error {
	return refuse(erWrongArguments, "HY000", "Incorrect arguments to %s", name)
}

func periodAdd(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
	p, _ := argumentNumber(ctx, v[0])
	n, _ := argumentNumber(ctx, v[1])
	months, ok := periodMonths(p)
	if !ok {
		return nil, errPeriod("period_add")
	}
	months += n
	return months/12*100 + months%12 + 1, nil
}

func periodDiff(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
	a, _ := argumentNumber(ctx, v[0])
	b, _ := argumentNumber(ctx, v[1])
	x, ok1 := periodMonths(a)
	y, ok2 := periodMonths(b)
	if !ok1 || !ok2 {
		return nil, errPeriod("period_diff")
	}
	return x - y, nil
}

// utcNow is UTC_DATE and UTC_TIME, which are of the moment at which the statement began.
func utcNow(name string, t sql.Type, of func(time.Time) any) sql.Function {
	return sql.FunctionN{Name: name, Fn: func(ctx *sql.Context, args ...sql.Expression) (sql.Expression, error) {
		if len(args) > 1 {
			return nil, sql.ErrInvalidArgumentNumber.New(strings.ToUpper(name), "0 or 1", len(args))
		}
		return expression.NewLiteral(of(ctx.QueryTime().UTC()), t), nil
	}}
}

// newUTCTimestamp is UTC_TIMESTAMP, whose fraction has the digits asked for, or none.
func newUTCTimestamp(ctx *sql.Context, args ...sql.Expression) (sql.Expression, error) {
	stock, err := stockFunctions()["utc_timestamp"].NewInstance(ctx, args) // checks the digits
	if err != nil || len(args) > 0 && !args[0].Resolved() {
		return stock, err
	}
	digits := 0
	if len(args) > 0 {
		v, err := args[0].Eval(ctx, nil)
		if err != nil {
			return nil, err
		}
		n, _, err := types.Int64.Convert(ctx, v)
		if err != nil {
			return nil, err
		}
		digits = int(n.(int64))
	}
	unit := time.Second
	for range digits {
		unit /= 10
	}
	return expression.NewLiteral(ctx.QueryTime().UTC().Truncate(unit), datetimeOf(digits)), nil
}

// newTimestamp is TIMESTAMP of a moment, or of a moment and a time to add to it.
func newTimestamp(ctx *sql.Context, args ...sql.Expression) (sql.Expression, error) {
	return (&plainKind{name: "timestamp", least: 1, most: 2, typ: func(ctx *sql.Context, args []sql.Expression) sql.Type {
		digits := fractionDigits(ctx, args[0])
		if len(args) == 2 {
			digits = max(digits, spanDigits(ctx, args[1]))
		}
		return datetimeOf(digits)
	},
		eval: func(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
			t, ok := argumentMoment(ctx, v[0])
			if !ok {
				warn(ctx, erWrongValue, "Incorrect datetime value: '%.80v'", v[0])
				return nil, nil
			}
			if len(v) == 1 {
				return t, nil
			}
			span, ok := spanOf(ctx, v[1])
			if !ok {
				return nil, nil
			}
			if t, ok = moved(t, span, 0); !ok {
				return nil, nil
			}
			return t, nil
		}}).function().NewInstance(ctx, args)
}
