package gateway

import (
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// Periods of time, in microseconds. Each is a multiple of those below it, so that
// what follows from several parts of a moment is the same for the shortest of
// their periods.
const (
	periodNone   = 1
	periodSecond = 1_000_000
	periodMinute = 60 * periodSecond
	periodHour   = 60 * periodMinute
	periodDay    = 24 * periodHour
	periodEver   = 1 << 62
)

// periodOf is the period for which a function of one moment is the same, 0 if
// nothing is known of it.
func periodOf(ctx *sql.Context, c *composite) int64 {
	if p := periodOfPart(ctx, c.expr, c.over); p >= periodSecond && p < periodEver {
		return p
	}
	return 0
}

// periodOfPart is the period of a part of a function.
func periodOfPart(ctx *sql.Context, e sql.Expression, over []slot) int64 {
	switch x := e.(type) {
	case *expression.Alias:
		return periodOfPart(ctx, x.Child, over)
	case *expression.Literal:
		return periodEver
	case *expression.GetField:
		if i := x.Index(); i >= 0 && i < len(over) {
			switch over[i].kind {
			case slotConstant:
				return periodEver
			case slotComputed:
				return periodOfPart(ctx, over[i].of.expr, over[i].of.over)
			}
		}
		return periodNone
	}
	if p, of := naturalPeriod(ctx, e); of != nil {
		if steps := stepsOf(ctx, of, over); steps > 0 {
			return max(periodNone, min(p, steps))
		}
	}
	if p := unixPeriod(ctx, e, over); p > 0 {
		return p
	}
	p := int64(periodEver)
	for _, c := range e.Children() {
		p = min(p, periodOfPart(ctx, c, over))
	}
	return p
}

// stepsOf says of an expression that is the moment itself, or that moved by a
// constant, of which periods the constant is a multiple: 0 for others.
func stepsOf(ctx *sql.Context, e sql.Expression, over []slot) int64 {
	switch x := e.(type) {
	case *expression.GetField:
		if i := x.Index(); i >= 0 && i < len(over) && types.IsTime(x.Type(ctx)) {
			switch over[i].kind {
			case slotColumn:
				return periodDay
			case slotComputed:
				return stepsOf(ctx, over[i].of.expr, over[i].of.over)
			}
		}
		return 0
	case *plainFunction:
		if x.kind.name != "convert_tz" {
			return 0
		}
		children := x.Children()
		steps := stepsOf(ctx, children[0], over)
		for _, zone := range children[1:] {
			l, ok := zone.(*expression.Literal)
			if !ok {
				return 0
			}
			steps = min(steps, zoneSteps(l.Val))
		}
		return steps
	}
	return 0
}

// zoneSteps is the period of which all offsets of a time zone are multiples.
func zoneSteps(zone any) int64 {
	name, _ := zone.(string)
	if name == "UTC" {
		return periodDay
	}
	if at, err := time.Parse("-07:00", name); err == nil {
		_, offset := at.Zone()
		for _, p := range []int64{periodDay, periodHour, periodMinute} {
			if int64(offset)*periodSecond%p == 0 {
				return p
			}
		}
	}
	return max(periodSecond, zones.stepsNamed(name))
}

// dayFunctions depend on the day of their first argument alone.
var dayFunctions = map[string]bool{
	"date": true, "year": true, "month": true, "day": true, "dayofmonth": true, "dayofweek": true, "dayofyear": true,
	"weekday": true, "week": true, "weekofyear": true, "yearweek": true, "quarter": true, "last_day": true,
	"dayname": true, "monthname": true, "to_days": true, "datediff": true,
}

// naturalPeriod is the period of a function of a moment, with what gives the
// moment; nil if it is not known.
func naturalPeriod(ctx *sql.Context, e sql.Expression) (int64, sql.Expression) {
	if day, ok := dayOf(e); ok {
		return periodDay, day
	}
	f, ok := e.(sql.FunctionExpression)
	if !ok {
		return 0, nil
	}
	children, name := e.Children(), strings.ToLower(f.FunctionName())
	if len(children) == 0 {
		return 0, nil
	}
	for _, c := range children[1:] {
		if _, constant := c.(*expression.Literal); !constant && name != "extract" {
			return 0, nil
		}
	}
	switch {
	case dayFunctions[name]:
		return periodDay, children[0]
	case name == "hour":
		return periodHour, children[0]
	case name == "minute":
		return periodMinute, children[0]
	case name == "second":
		return periodSecond, children[0]
	case name == "date_format" && len(children) == 2:
		format, ok := children[1].(*expression.Literal).Val.(string)
		if !ok {
			return 0, nil
		}
		return formatPeriod(format), children[0]
	case name == "extract" && len(children) == 2:
		if unit, ok := children[0].(*expression.Literal); ok {
			return unitPeriod(unit.Val), children[1]
		}
	}
	return 0, nil
}

// formatPeriod is the period of the finest part of a date that a format shows.
func formatPeriod(format string) int64 {
	p := int64(periodDay)
	for i := 0; i+1 < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		i++
		switch format[i] {
		case 'a', 'b', 'c', 'D', 'd', 'e', 'j', 'M', 'm', 'U', 'u', 'V', 'v', 'W', 'w', 'X', 'x', 'Y', 'y', '%':
		case 'H', 'h', 'I', 'k', 'l', 'p':
			p = min(p, periodHour)
		case 'i':
			p = min(p, periodMinute)
		case 'S', 's', 'r', 'T':
			p = min(p, periodSecond)
		default:
			return periodNone
		}
	}
	return p
}

// unitPeriod is the period of what EXTRACT takes out of a moment.
func unitPeriod(unit any) int64 {
	name, _ := unit.(string)
	switch strings.ToUpper(name) {
	case "YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "YEAR_MONTH":
		return periodDay
	case "HOUR", "DAY_HOUR":
		return periodHour
	case "MINUTE", "DAY_MINUTE", "HOUR_MINUTE":
		return periodMinute
	case "SECOND", "DAY_SECOND", "HOUR_SECOND", "MINUTE_SECOND":
		return periodSecond
	}
	return periodNone
}

// unixPeriod is the period of UNIX_TIMESTAMP(moment) DIV n where the session is in
// UTC, 0 for all else.
func unixPeriod(ctx *sql.Context, e sql.Expression, over []slot) int64 {
	switch d := e.(type) {
	case *expression.IntDiv:
	case *plainFunction:
		if d.kind.name != divideFunction {
			return 0
		}
	default:
		return 0
	}
	parts := e.Children()
	u, ok := parts[0].(*unixTimestamp)
	if !ok || len(u.Children()) != 1 {
		return 0
	}
	l, ok := parts[1].(*expression.Literal)
	if !ok {
		return 0
	}
	n, ok := asInteger(l.Val)
	zone, err := function.SessionTimeZone(ctx)
	if !ok || n <= 0 || err != nil || zoneSteps(zone) != periodDay || zone != "UTC" && zone != "+00:00" {
		return 0
	}
	steps := stepsOf(ctx, u.Children()[0], over)
	for _, p := range []int64{periodDay, periodHour, periodMinute, periodSecond} {
		if n*periodSecond%p == 0 {
			return min(p, steps)
		}
	}
	return 0
}
