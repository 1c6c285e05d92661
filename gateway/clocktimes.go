package gateway

import (
	"fmt"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// Times of day and spans of time: TIME, which may be negative and long.

// clockFunctions are those of them.
func clockFunctions() []*plainKind {
	return []*plainKind{
		{name: "sec_to_time", least: 1, most: 1, typ: ofType(types.Time), eval: func(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
			micros, ok := secondsOf(ctx, v[0])
			if !ok {
				warn(ctx, erWrongValue, "Truncated incorrect time value: '%.80v'", v[0])
				if micros = spanMost; strings.HasPrefix(fmt.Sprint(v[0]), "-") {
					micros = -spanMost
				}
			}
			return boundedSpan(micros), nil
		}},
		{name: "addtime", least: 2, most: 2, typ: addTimeType, eval: func(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
			return addTime(ctx, args, v, 1)
		}},
		{name: "subtime", least: 2, most: 2, typ: addTimeType, eval: func(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
			return addTime(ctx, args, v, -1)
		}},
		{name: "time_to_sec", least: 1, most: 1, typ: ofType(types.Int64), eval: func(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
			if s, ok := v[0].(string); ok && isMomentText(s) {
				micros, ok := clockOf(ctx, s)
				if !ok {
					return nil, nil
				}
				return micros / 1_000_000, nil
			}
			if _, ok := v[0].(time.Time); ok {
				micros, _ := clockOf(ctx, v[0])
				return micros / 1_000_000, nil
			}
			micros, ok := spanOf(ctx, v[0])
			if !ok {
				return nil, nil
			}
			return micros / 1_000_000, nil
		}},
		{name: "time_format", least: 2, most: 2, typ: ofType(types.LongText), eval: timeFormat},
	}
}

// spanMost is the longest TIME, 838:59:59.
const spanMost = (838*3600 + 59*60 + 59) * 1_000_000

func boundedSpan(micros int64) types.Timespan {
	return types.Timespan(max(-spanMost, min(spanMost, micros)))
}

// addTimeType is DATETIME or TIME as the first argument is, and a text for a text.
func addTimeType(ctx *sql.Context, args []sql.Expression) sql.Type {
	switch t := args[0].Type(ctx); {
	case types.IsTimespan(t):
		return types.Time
	case types.IsTime(t):
		return datetimeOf(max(fractionDigits(ctx, args[0]), spanDigits(ctx, args[1])))
	}
	return types.LongText
}

// spanDigits are the digits of a TIME's fraction.
func spanDigits(ctx *sql.Context, e sql.Expression) int {
	if t := e.Type(ctx); types.IsTimespan(t) || types.IsInteger(t) {
		return 0
	}
	return fractionDigits(ctx, e)
}

// addTime adds a time to a moment or to a time.
func addTime(ctx *sql.Context, args []sql.Expression, v []any, sign int64) (any, error) {
	if s, ok := v[1].(string); ok && isMomentText(s) {
		return nil, nil // the second one must be a time
	}
	if _, ok := v[1].(time.Time); ok {
		return nil, nil
	}
	by, ok := spanOf(ctx, v[1])
	if !ok {
		return nil, nil
	}
	_, isMoment := v[0].(time.Time)
	text, isText := v[0].(string)
	if isMoment || isText && (isMomentText(text) || types.IsTime(args[0].Type(ctx))) {
		t, ok := argumentMoment(ctx, v[0])
		if !ok {
			return nil, nil
		}
		t, ok = moved(t, sign*by, 0)
		if !ok {
			return nil, nil
		}
		if !isText || types.IsTime(args[0].Type(ctx)) {
			return t, nil
		}
		if t.Nanosecond() > 0 {
			return t.Format("2006-01-02 15:04:05.000000"), nil
		}
		return t.Format(time.DateTime), nil
	}
	of, ok := spanOf(ctx, v[0])
	if !ok {
		return nil, nil
	}
	sum := boundedSpan(of + sign*by)
	if types.IsTimespan(args[0].Type(ctx)) {
		return sum, nil
	}
	return sum.String(), nil
}

// isMomentText reports whether a text has a date in it.
func isMomentText(s string) bool {
	return len(s) > 4 && strings.ContainsAny(s[1:], "-T") || len(s) > 10 && !strings.ContainsRune(s, ':')
}

// spanOf is a value as a TIME, in microseconds. A text may count days before its
// hours.
func spanOf(ctx *sql.Context, v any) (int64, bool) {
	days := int64(0)
	if s, ok := v.(string); ok {
		s = strings.TrimSpace(s)
		if front, back, ok := strings.Cut(s, " "); ok {
			negative := strings.HasPrefix(front, "-")
			if _, err := fmt.Sscanf(strings.TrimPrefix(front, "-")+"|", "%d|", &days); err != nil || days < 0 || days > 34 {
				return 0, false
			}
			if s = back; !strings.ContainsRune(s, ':') {
				s += ":00:00"
			}
			if negative {
				s = "-" + s
			}
		}
		v = s
	}
	out, _, err := types.Time.Convert(ctx, v)
	span, ok := out.(types.Timespan)
	if err != nil || !ok {
		return 0, false
	}
	micros := days * 86_400_000_000
	if span < 0 || strings.HasPrefix(fmt.Sprint(v), "-") {
		micros = -micros
	}
	return int64(boundedSpan(int64(span) + micros)), true
}

// timeFormat is TIME_FORMAT: hours may be more than 23, and there are no dates.
func timeFormat(ctx *sql.Context, _ []sql.Expression, v []any) (any, error) {
	format, ok := v[1].(string)
	if !ok {
		return nil, nil
	}
	var span int64
	if t, isMoment := v[0].(time.Time); isMoment {
		span = t.Sub(time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)).Microseconds()
	} else if s, isText := v[0].(string); isText && isMomentText(s) {
		if span, ok = clockOf(ctx, s); !ok {
			return nil, nil
		}
	} else if span, ok = spanOf(ctx, v[0]); !ok {
		return nil, nil
	}
	sign := ""
	if span < 0 {
		sign, span = "-", -span
	}
	hours, minutes, seconds, micros := span/3_600_000_000, span/60_000_000%60, span/1_000_000%60, span%1_000_000
	half := hours % 12
	if half == 0 {
		half = 12
	}
	noon := "AM"
	if hours%24 >= 12 {
		noon = "PM"
	}
	var b strings.Builder
	b.WriteString(sign)
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		switch format[i] {
		case 'H':
			fmt.Fprintf(&b, "%02d", hours)
		case 'k':
			fmt.Fprint(&b, hours)
		case 'h', 'I':
			fmt.Fprintf(&b, "%02d", half)
		case 'l':
			fmt.Fprint(&b, half)
		case 'i':
			fmt.Fprintf(&b, "%02d", minutes)
		case 'S', 's':
			fmt.Fprintf(&b, "%02d", seconds)
		case 'f':
			fmt.Fprintf(&b, "%06d", micros)
		case 'p':
			b.WriteString(noon)
		case 'r':
			fmt.Fprintf(&b, "%02d:%02d:%02d %s", half, minutes, seconds, noon)
		case 'T':
			fmt.Fprintf(&b, "%02d:%02d:%02d", hours, minutes, seconds)
		case 'Y':
			b.WriteString("0000")
		case 'y', 'm', 'd':
			b.WriteString("00")
		case 'c', 'e':
			b.WriteString("0")
		case 'a', 'b', 'D', 'j', 'M', 'U', 'u', 'V', 'v', 'W', 'w', 'X', 'x':
			return nil, nil // a time has none
		default:
			b.WriteByte(format[i])
		}
	}
	return b.String(), nil
}

// unixMost is the last second that FROM_UNIXTIME knows: 3001-01-18 23:59:59.
const unixMost = 32536771199

// unixMoments is FROM_UNIXTIME.
func unixMoments() []*plainKind {
	return []*plainKind{{name: "from_unixtime", least: 1, most: 2,
		typ: func(ctx *sql.Context, args []sql.Expression) sql.Type {
			if len(args) == 2 {
				return types.LongText
			}
			return datetimeOf(numberDigits(ctx, args[0]))
		},
		eval: func(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
			micros, ok := secondsOf(ctx, v[0])
			if !ok || micros < 0 || micros > unixMost*1_000_000+999_999 {
				return nil, nil
			}
			zone, err := ctx.GetSessionVariable(ctx, "time_zone")
			if err != nil {
				return nil, err
			}
			place, ok := zoneNamed(zone)
			if !ok {
				return nil, fmt.Errorf("time_zone %v is not known", zone)
			}
			there := time.UnixMicro(micros).In(place)
			t := time.Date(there.Year(), there.Month(), there.Day(), there.Hour(), there.Minute(), there.Second(), there.Nanosecond(), time.UTC)
			if len(v) == 1 {
				return t, nil
			}
			format, err := valueText(ctx, v[1], args[1])
			if err != nil {
				return nil, err
			}
			return formatMoment(t, format), nil
		}}}
}
