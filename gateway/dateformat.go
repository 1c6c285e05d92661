package gateway

import (
	"fmt"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// DATE_FORMAT. The SQL library's reads its format anew for each value, shortens years
// before 2010 to one digit, and fails where a text is no moment.

// momentFormats are that function.
func momentFormats() []*plainKind {
	return []*plainKind{{name: "date_format", least: 2, most: 2, typ: ofType(types.LongText),
		collation: func(ctx *sql.Context, _ []sql.Expression) (sql.CollationID, byte) { return ctx.GetCollation(), 4 },
		eval: func(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
			t, ok := argumentMoment(ctx, v[0])
			if !ok {
				ctx.Warn(codeWrongValue, "Incorrect datetime value: '%v'", v[0])
				return nil, nil
			}
			format, err := valueText(ctx, v[1], args[1])
			if err != nil {
				return nil, err
			}
			return formatMoment(t, format), nil
		}}}
}

// formatMoment writes a moment as a format of DATE_FORMAT says. A sign that means nothing
// stands for itself.
func formatMoment(t time.Time, format string) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		writeMomentPart(&b, t, format[i])
	}
	return b.String()
}

// Weeks' modes that DATE_FORMAT's signs name.
const (
	weekModeU = 0
	weekModeu = 1
	weekModeV = 2
	weekModev = 3
)

// writeMomentPart writes what a sign of a format stands for.
func writeMomentPart(b *strings.Builder, t time.Time, sign byte) {
	week := func(mode int64) int { _, w := calendarWeek(t, mode); return w }
	yearOfWeek := func(mode int64) int { y, _ := calendarWeek(t, mode); return y }
	hour := (t.Hour()+11)%12 + 1
	half := "AM"
	if t.Hour() >= 12 {
		half = "PM"
	}
	switch sign {
	case 'a':
		b.WriteString(t.Weekday().String()[:3])
	case 'b':
		b.WriteString(t.Month().String()[:3])
	case 'c':
		fmt.Fprintf(b, "%d", t.Month())
	case 'D':
		fmt.Fprintf(b, "%d%s", t.Day(), ordinalEnd(t.Day()))
	case 'd':
		fmt.Fprintf(b, "%02d", t.Day())
	case 'e':
		fmt.Fprintf(b, "%d", t.Day())
	case 'f':
		fmt.Fprintf(b, "%06d", t.Nanosecond()/1000)
	case 'H':
		fmt.Fprintf(b, "%02d", t.Hour())
	case 'h', 'I':
		fmt.Fprintf(b, "%02d", hour)
	case 'i':
		fmt.Fprintf(b, "%02d", t.Minute())
	case 'j':
		fmt.Fprintf(b, "%03d", t.YearDay())
	case 'k':
		fmt.Fprintf(b, "%d", t.Hour())
	case 'l':
		fmt.Fprintf(b, "%d", hour)
	case 'M':
		b.WriteString(t.Month().String())
	case 'm':
		fmt.Fprintf(b, "%02d", t.Month())
	case 'p':
		b.WriteString(half)
	case 'r':
		fmt.Fprintf(b, "%02d:%02d:%02d %s", hour, t.Minute(), t.Second(), half)
	case 'S', 's':
		fmt.Fprintf(b, "%02d", t.Second())
	case 'T':
		fmt.Fprintf(b, "%02d:%02d:%02d", t.Hour(), t.Minute(), t.Second())
	case 'U':
		fmt.Fprintf(b, "%02d", week(weekModeU))
	case 'u':
		fmt.Fprintf(b, "%02d", week(weekModeu))
	case 'V':
		fmt.Fprintf(b, "%02d", week(weekModeV))
	case 'v':
		fmt.Fprintf(b, "%02d", week(weekModev))
	case 'W':
		b.WriteString(t.Weekday().String())
	case 'w':
		fmt.Fprintf(b, "%d", t.Weekday())
	case 'X':
		fmt.Fprintf(b, "%04d", yearOfWeek(weekModeV))
	case 'x':
		fmt.Fprintf(b, "%04d", yearOfWeek(weekModev))
	case 'Y':
		fmt.Fprintf(b, "%04d", t.Year())
	case 'y':
		fmt.Fprintf(b, "%02d", t.Year()%100)
	default:
		b.WriteByte(sign)
	}
}

// ordinalEnd is what follows a day's number: 1st, 2nd, 3rd, 4th, 11th.
func ordinalEnd(day int) string {
	if day/10 != 1 {
		switch day % 10 {
		case 1:
			return "st"
		case 2:
			return "nd"
		case 3:
			return "rd"
		}
	}
	return "th"
}
