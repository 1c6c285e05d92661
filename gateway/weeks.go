package gateway

import (
	"time"

	"github.com/dolthub/go-mysql-server/sql"
)

// Weeks as MySQL counts them, in eight ways.

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
