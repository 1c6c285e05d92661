package gateway

import (
	"fmt"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

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
	l, ok := constantOf(e)
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
	if at.Unix() < 1 || at.Year() > lastZoneYear {
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
