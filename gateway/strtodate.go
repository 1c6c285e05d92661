package gateway

import (
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
)

// datetimeQueryType is the protocol's type of DATETIME.
const datetimeQueryType = querypb.Type_DATETIME

// STR_TO_DATE. The SQL library's knows no weeks, no AM and PM, and gives a TIME where
// a DATETIME is asked for.

// strToDateType is DATE, TIME or DATETIME as a constant format has parts of the one,
// the other, or both; a format that is not constant may have all of them.
func strToDateType(ctx *sql.Context, args []sql.Expression) sql.Type {
	if l, ok := constantOf(args[1]); ok {
		if format, ok := l.Val.(string); ok {
			return formatType(format)
		}
	}
	return types.DatetimeMaxPrecision
}

func formatType(format string) sql.Type {
	var date, clock, fraction bool
	for i := 0; i+1 < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		i++
		switch format[i] {
		case 'f':
			clock, fraction = true, true
		case 'H', 'h', 'I', 'i', 'k', 'l', 'p', 'r', 'S', 's', 'T':
			clock = true
		case 'a', 'b', 'c', 'D', 'd', 'e', 'j', 'M', 'm', 'U', 'u', 'V', 'v', 'W', 'w', 'X', 'x', 'Y', 'y':
			date = true
		}
	}
	switch {
	case clock && !date:
		return types.Time
	case !clock:
		return types.Date
	case fraction:
		return types.DatetimeMaxPrecision
	}
	return datetimeOf(0)
}

func strToDate(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
	text, _, err := types.Text.Convert(ctx, v[0])
	if err != nil {
		return nil, err
	}
	layout, _, err := types.Text.Convert(ctx, v[1])
	if err != nil {
		return nil, err
	}
	s, ok1 := text.(string)
	format, ok2 := layout.(string)
	if !ok1 || !ok2 {
		return nil, nil
	}
	r := &dateReader{text: s, weekday: -1, yearDay: -1, week: -1}
	if !r.read(format) {
		warn(ctx, erWrongValue, "Incorrect datetime value: '%s' for function str_to_date", s)
		return nil, nil
	}
	if strToDateType(ctx, args) == types.Time {
		return types.Timespan(r.clock().Microseconds()), nil
	}
	day, ok := r.day()
	if !ok {
		warn(ctx, erWrongValue, "Incorrect datetime value: '%s' for function str_to_date", s)
		return nil, nil
	}
	return day.Add(r.clock()), nil
}

// dateReader reads a text by a format.
type dateReader struct {
	text                          string
	year, month, dayOfMonth       int
	hour, minute, second, micro   int
	half, afternoon               bool // of twelve hours
	weekday, yearDay, week        int  // -1 where not read
	weekMonday, weekISO, weekYear bool
	yearOfWeek                    int
}

// read reads the text; what follows the end of the format does not matter.
func (r *dateReader) read(format string) bool {
	for i := 0; i < len(format); i++ {
		r.skipSpace()
		c := format[i]
		if c == '%' && i+1 < len(format) {
			i++
			if r.text == "" {
				return true // the rest is zero
			}
			if !r.part(format[i]) {
				return false
			}
			continue
		}
		if isBlank(c) {
			continue
		}
		if r.text == "" {
			return true
		}
		if r.text[0] != c {
			return false
		}
		r.text = r.text[1:]
	}
	return true
}

func isBlank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func (r *dateReader) skipSpace() { r.text = strings.TrimLeft(r.text, " \t\r\n\v\f") }

// number reads up to most digits, as a number up to limit.
func (r *dateReader) number(most, least, limit int, into *int) bool {
	n, i := 0, 0
	for ; i < most && i < len(r.text) && r.text[i] >= '0' && r.text[i] <= '9'; i++ {
		n = n*10 + int(r.text[i]-'0')
	}
	if i == 0 || n < least || n > limit {
		return false
	}
	*into, r.text = n, r.text[i:]
	return true
}

// name reads one of names, which may be cut to short letters; it gives its place.
func (r *dateReader) name(names []string, short int) (int, bool) {
	for i, n := range names {
		if short > 0 {
			n = n[:short]
		}
		if len(r.text) >= len(n) && strings.EqualFold(r.text[:len(n)], n) {
			r.text = r.text[len(n):]
			return i, true
		}
	}
	return 0, false
}

var monthNames, weekdayNames = func() (m, d []string) {
	for i := time.January; i <= time.December; i++ {
		m = append(m, i.String())
	}
	for i := range 7 {
		d = append(d, time.Weekday((i+1)%7).String()) // from Monday
	}
	return m, d
}()

// part reads what a letter of the format stands for.
func (r *dateReader) part(letter byte) (ok bool) {
	var n int
	switch letter {
	case 'Y':
		return r.number(4, 0, 9999, &r.year)
	case 'y':
		ok = r.number(2, 0, 99, &n)
		r.year = 2000 + n
		if n >= 70 {
			r.year -= 100
		}
		return ok
	case 'm', 'c':
		return r.number(2, 0, 12, &r.month)
	case 'M', 'b':
		short := 0
		if letter == 'b' {
			short = 3
		}
		n, ok = r.name(monthNames, short)
		r.month = n + 1
		return ok
	case 'd', 'e':
		return r.number(2, 0, 31, &r.dayOfMonth)
	case 'D':
		ok = r.number(2, 0, 31, &r.dayOfMonth)
		r.text = r.text[min(2, len(r.text)):] // st, nd, rd or th
		return ok
	case 'H', 'k':
		return r.number(2, 0, 23, &r.hour)
	case 'h', 'I', 'l':
		r.half = true
		return r.number(2, 1, 12, &r.hour)
	case 'i':
		return r.number(2, 0, 59, &r.minute)
	case 'S', 's':
		return r.number(2, 0, 59, &r.second)
	case 'f':
		before := len(r.text)
		ok = r.number(6, 0, 999999, &r.micro)
		for digits := before - len(r.text); ok && digits < 6; digits++ {
			r.micro *= 10
		}
		return ok
	case 'p':
		n, ok = r.name([]string{"AM", "PM"}, 0)
		r.half, r.afternoon = true, n == 1
		return ok
	case 'r':
		return r.read("%I:%i:%S %p")
	case 'T':
		return r.read("%H:%i:%S")
	case 'W':
		r.weekday, ok = r.name(weekdayNames, 0)
		return ok
	case 'a':
		r.weekday, ok = r.name(weekdayNames, 3)
		return ok
	case 'w':
		ok = r.number(1, 0, 6, &n)
		r.weekday = (n + 6) % 7
		return ok
	case 'j':
		return r.number(3, 1, 366, &r.yearDay)
	case 'U', 'u', 'V', 'v':
		r.weekMonday = letter == 'u' || letter == 'v'
		r.weekISO = letter == 'V' || letter == 'v'
		return r.number(2, 0, 53, &r.week)
	case 'X', 'x':
		r.weekYear = true
		return r.number(4, 0, 9999, &r.yearOfWeek)
	case '.':
		return r.skip(func(c byte) bool { return c > ' ' && c < 127 && !wordByte(c) })
	case '@':
		return r.skip(func(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' })
	case '#':
		return r.skip(func(c byte) bool { return c >= '0' && c <= '9' })
	case '%':
		if r.text[0] != '%' {
			return false
		}
		r.text = r.text[1:]
		return true
	}
	return false
}

func (r *dateReader) skip(is func(byte) bool) bool {
	for r.text != "" && is(r.text[0]) {
		r.text = r.text[1:]
	}
	return true
}

// clock is the time of day.
func (r *dateReader) clock() time.Duration {
	hour := r.hour
	if r.half {
		hour %= 12
		if r.afternoon {
			hour += 12
		}
	}
	return time.Duration(hour)*time.Hour + time.Duration(r.minute)*time.Minute + time.Duration(r.second)*time.Second + time.Duration(r.micro)*time.Microsecond
}

// day is the date, not ok if there is none such.
func (r *dateReader) day() (time.Time, bool) {
	switch {
	case r.yearDay > 0:
		t := time.Date(r.year, 1, r.yearDay, 0, 0, 0, 0, time.UTC)
		return t, t.Year() == r.year
	case r.week >= 0 && r.weekday >= 0:
		return r.dayOfWeek()
	}
	if r.year == 0 && r.month == 0 && r.dayOfMonth == 0 {
		return time.Time{}, false
	}
	t := time.Date(r.year, time.Month(r.month), r.dayOfMonth, 0, 0, 0, 0, time.UTC)
	return t, t.Month() == time.Month(r.month) && t.Day() == r.dayOfMonth && r.year > 0
}

// dayOfWeek is a day of a week of a year. The year must be of the kind that the
// week's letter belongs to: %X with %V, %x with %v, %Y with %U and %u.
func (r *dateReader) dayOfWeek() (time.Time, bool) {
	year := r.year
	if r.weekISO {
		year = r.yearOfWeek
	}
	if r.weekISO != r.weekYear || r.weekISO && r.week == 0 {
		return time.Time{}, false
	}
	first := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
	mode := int64(0)
	if r.weekMonday {
		mode = weekFromMonday
	}
	at := weekdayFrom(first, mode)
	day := 0
	if r.weekMonday {
		if at > 3 {
			day = 7
		}
		day += r.week*7 - at - 7 + r.weekday
	} else {
		if at != 0 {
			day = 7
		}
		day += r.week*7 - at - 7 + (r.weekday+1)%7
	}
	t := first.AddDate(0, 0, day)
	return t, t.Year() >= 1 && t.Year() <= 9999
}
