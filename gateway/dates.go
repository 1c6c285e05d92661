package gateway

import (
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
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

// weekOf is WEEK(date, mode); without a mode it is the session's default_week_format.
func weekOf(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
	mode := int64(0)
	if len(v) == 2 {
		mode, _ = argumentNumber(ctx, v[1])
	} else if d, err := ctx.GetSessionVariable(ctx, "default_week_format"); err == nil {
		mode, _ = argumentNumber(ctx, d)
	}
	return weekWithMode(ctx, v[0], mode, false)
}

func yearWeekOf(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
	mode := int64(0)
	if len(v) == 2 {
		mode, _ = argumentNumber(ctx, v[1])
	}
	return weekWithMode(ctx, v[0], mode|weekOfItsYear, true)
}

// Bits of a week's mode, as MySQL's.
const (
	weekFromMonday = 1 // or else from Sunday
	weekOfItsYear  = 2 // counts from 1, in the year that the week belongs to
	weekFirstDay   = 4 // the first week is the one with the year's first Monday or Sunday
)

func weekWithMode(ctx *sql.Context, v any, mode int64, withYear bool) (any, error) {
	t, ok := argumentMoment(ctx, v)
	if !ok {
		return nil, nil
	}
	year, week := calendarWeek(t, mode)
	if withYear {
		return int64(year)*100 + int64(week), nil
	}
	return int64(week), nil
}

// calendarWeek is the week of a day and the year that it is counted in.
func calendarWeek(t time.Time, mode int64) (year, week int) {
	mode &= 7
	if mode&weekFromMonday == 0 {
		mode ^= weekFirstDay // MySQL's odd table: the bit means the opposite there
	}
	ofYear, firstDay := mode&weekOfItsYear != 0, mode&weekFirstDay != 0
	year = t.Year()
	first := weekdayFrom(time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC), mode)
	day := t.YearDay() - 1
	late := func() bool { return firstDay && first != 0 || !firstDay && first >= 4 } // the first week begins after the first of January
	if t.Month() == time.January && t.Day() <= 7-first {
		if !ofYear && late() {
			return year, 0
		}
		ofYear = true
		year--
		day += daysIn(year)
		first = weekdayFrom(time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC), mode)
	}
	if late() {
		day -= 7 - first
	} else {
		day += first
	}
	if ofYear && day >= 52*7 {
		first = (first + daysIn(year)) % 7
		if !late() {
			return year + 1, 1
		}
	}
	return year, day/7 + 1
}

func daysIn(year int) int { return time.Date(year, 12, 31, 0, 0, 0, 0, time.UTC).YearDay() }

// weekdayFrom counts the days since the week's first.
func weekdayFrom(t time.Time, mode int64) int {
	if mode&weekFromMonday != 0 {
		return (int(t.Weekday()) + 6) % 7
	}
	return int(t.Weekday())
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

// fractionDigits are the digits of a moment's fraction that an argument has.
func fractionDigits(ctx *sql.Context, e sql.Expression) int {
	switch t := e.Type(ctx); {
	case types.IsDateType(t):
		return 0
	case types.IsTime(t):
		if d, ok := t.(sql.DatetimeType); ok {
			return d.Precision()
		}
	case types.IsInteger(t):
		return 0
	}
	l, ok := e.(*expression.Literal)
	if !ok {
		return 6
	}
	_, fraction, _ := strings.Cut(fmt.Sprint(l.Val), ".")
	return min(len(fraction), 6)
}

func datetimeOf(digits int) sql.Type {
	t, err := types.CreateDatetimeType(datetimeQueryType, digits)
	if err != nil {
		return types.DatetimeMaxPrecision
	}
	return t
}

func convertTzType(ctx *sql.Context, args []sql.Expression) sql.Type {
	return datetimeOf(fractionDigits(ctx, args[0]))
}

// convertTz is CONVERT_TZ. A time that a change of clocks skips is the moment of the
// change; moments before 1970 or after the year 3000 stay as they are.
func convertTz(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
	t, ok := argumentMoment(ctx, v[0])
	if !ok {
		return nil, nil
	}
	from, ok1 := zoneNamed(v[1])
	to, ok2 := zoneNamed(v[2])
	if !ok1 || !ok2 {
		return nil, nil
	}
	at := momentIn(t, from)
	if at.Unix() < 1 || at.Year() > 3000 {
		return t, nil
	}
	there := at.In(to)
	return time.Date(there.Year(), there.Month(), there.Day(), there.Hour(), there.Minute(), there.Second(), there.Nanosecond(), time.UTC), nil
}

// momentIn is the moment at which the clocks of a place show a time.
func momentIn(t time.Time, place *time.Location) time.Time {
	wanted := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	at := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), place)
	_, offset := at.Zone()
	shown := at.UTC().Add(time.Duration(offset) * time.Second)
	start, end := at.ZoneBounds()
	switch {
	case shown.Equal(wanted):
		if !start.IsZero() { // the earlier one of two
			_, before := start.Add(-time.Nanosecond).Zone()
			if earlier := at.Add(time.Duration(offset-before) * time.Second); before > offset && earlier.Before(start) {
				return earlier
			}
		}
		return at
	case shown.After(wanted):
		return start
	}
	return end
}

var zones zoneCache

// zoneNamed finds a time zone: an offset, a name of the tz database, or SYSTEM.
func zoneNamed(v any) (*time.Location, bool) {
	name, ok := v.(string)
	if !ok {
		return nil, false
	}
	if strings.EqualFold(name, "SYSTEM") {
		name = sql.SystemTimezoneOffset()
	}
	if name == "UTC" {
		return time.UTC, true
	}
	if offset, err := sql.MySQLOffsetToDuration(name); err == nil {
		if offset <= -14*time.Hour || offset > 14*time.Hour {
			return nil, false
		}
		return time.FixedZone(name, int(offset/time.Second)), true
	}
	if strings.EqualFold(name, "local") || name == "" {
		return nil, false
	}
	return zones.named(name)
}

// compoundInterval reads the number of an interval of several units, such as '1:30'
// HOUR_MINUTE, as a number of the smallest of them.
func compoundInterval(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
	text, _, err := types.Text.Convert(ctx, v[0])
	s, ok := text.(string)
	unit, ok2 := v[1].(string)
	c, ok3 := compoundUnits[unit]
	if err != nil || !ok || !ok2 || !ok3 {
		return nil, nil
	}
	if d, ok := v[0].(*apd.Decimal); ok {
		s = d.Text('f')
	}
	negative := strings.HasPrefix(strings.TrimSpace(s), "-")
	fields := strings.FieldsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if len(fields) > len(c.sizes) {
		return nil, nil
	}
	sizes := c.sizes[len(c.sizes)-len(fields):]
	total := int64(0)
	for i, f := range fields {
		n := int64(0)
		if last := i == len(fields)-1; last && c.fraction {
			f = (f + "000000")[:max(6, len(f))]
			if len(f) > 6 {
				f = f[:6]
			}
		}
		if _, err := fmt.Sscan(strings.TrimLeft(f, "0")+"|", &n); err != nil && strings.Trim(f, "0") != "" {
			return nil, nil
		}
		total += n * sizes[i]
	}
	if negative {
		total = -total
	}
	return total, nil
}

// intervalFunction is the function into which the number of such an interval is
// rewritten.
const intervalFunction = "arbor_interval"

// compoundUnit is a unit of intervals that is made of several.
type compoundUnit struct {
	smallest string
	sizes    []int64 // of the units, in the smallest
	fraction bool    // the smallest is microseconds, and counts as a fraction
}

var compoundUnits = map[string]compoundUnit{
	"YEAR_MONTH":         {"MONTH", []int64{12, 1}, false},
	"DAY_HOUR":           {"HOUR", []int64{24, 1}, false},
	"DAY_MINUTE":         {"MINUTE", []int64{1440, 60, 1}, false},
	"DAY_SECOND":         {"SECOND", []int64{86400, 3600, 60, 1}, false},
	"HOUR_MINUTE":        {"MINUTE", []int64{60, 1}, false},
	"HOUR_SECOND":        {"SECOND", []int64{3600, 60, 1}, false},
	"MINUTE_SECOND":      {"SECOND", []int64{60, 1}, false},
	"DAY_MICROSECOND":    {"MICROSECOND", []int64{86400e6, 3600e6, 60e6, 1e6, 1}, true},
	"HOUR_MICROSECOND":   {"MICROSECOND", []int64{3600e6, 60e6, 1e6, 1}, true},
	"MINUTE_MICROSECOND": {"MICROSECOND", []int64{60e6, 1e6, 1}, true},
	"SECOND_MICROSECOND": {"MICROSECOND", []int64{1e6, 1}, true},
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

// newTimestamp is TIMESTAMP of a moment, or of a moment and a time to add to it.
func newTimestamp(ctx *sql.Context, args ...sql.Expression) (sql.Expression, error) {
	if len(args) != 2 {
		return function.NewDatetime(ctx, args...)
	}
	return (&plainKind{name: "timestamp", least: 2, most: 2, typ: ofType(types.DatetimeMaxPrecision),
		eval: func(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
			t, ok := argumentMoment(ctx, v[0])
			if !ok {
				return nil, nil
			}
			span, _, err := types.Time.Convert(ctx, v[1])
			s, ok := span.(types.Timespan)
			if err != nil || !ok {
				return nil, nil
			}
			return t.Add(s.AsTimeDuration()), nil
		}}).function().NewInstance(ctx, args)
}
