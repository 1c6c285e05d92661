package track

import (
	"math"
	"strconv"
	"strings"
	"time"

	"arbor/catalog"
)

// A time before 1971 is a mistake, as it is for Mixpanel: most often seconds
// that were divided by a thousand once too often. The latest is decided where
// the clock is.
const (
	minTime = 365 * catalog.DayMicros
	// maxSeconds parts seconds from milliseconds: as seconds it is in the year
	// 5138, as milliseconds in March 1973.
	maxSeconds = 100_000_000_000
	maxMillis  = 253_402_300_800_000 // the year 10000
)

// wantTime is what to do about a time that cannot be read.
const wantTime = "send seconds or milliseconds since 1970 UTC, or a string like 2006-01-02T15:04:05.999Z"

// parseTime reads an event's time: seconds or milliseconds since 1970 UTC, as a
// number with any fraction or as a string, or a date and time as RFC 3339 has
// it, UTC where it names no zone. The problem is "" when it is a time.
func parseTime(v catalog.Value) (micros int64, problem string) {
	literal := v.Text
	switch v.Kind {
	case catalog.KindInt:
		return scaleTime(v.Int(), 0)
	case catalog.KindDouble:
		literal = string(v.AppendJSON(nil))
	case catalog.KindNumber:
	case catalog.KindString:
		literal = strings.TrimSpace(literal)
		if t, ok := parseDate(literal); ok {
			return inRange(t)
		}
	default:
		return 0, "it is not a number; " + wantTime
	}
	if whole, billionths, ok := decimal(literal); ok {
		return scaleTime(whole, billionths)
	}
	if f, err := strconv.ParseFloat(literal, 64); err == nil && math.Abs(f) < maxMillis {
		whole := math.Floor(f)
		return scaleTime(int64(whole), int64((f-whole)*1e9))
	} else if err == nil {
		return 0, outOfRange
	}
	return 0, "it is not a time; " + wantTime
}

// scaleTime makes microseconds of seconds or milliseconds, whichever whole is,
// and of billionths of the same.
func scaleTime(whole, billionths int64) (micros int64, problem string) {
	switch {
	case whole >= maxMillis:
		return 0, outOfRange
	case whole < maxSeconds:
		return inRange(whole*catalog.Second + billionths/1000)
	default:
		return inRange(whole*catalog.Millisecond + billionths/1_000_000)
	}
}

const outOfRange = "it is out of range; " + wantTime

func inRange(micros int64) (int64, string) {
	if micros < minTime {
		return 0, "it is before 1971-01-01; " + wantTime
	}
	if micros >= maxMillis*catalog.Millisecond {
		return 0, outOfRange
	}
	return micros, ""
}

// decimal reads a plain decimal number exactly: its whole part and the first
// nine digits of its fraction.
func decimal(s string) (whole, billionths int64, ok bool) {
	i := 0
	for ; i < len(s) && s[i]-'0' <= 9; i++ {
		if i == 18 {
			return 0, 0, false
		}
		whole = whole*10 + int64(s[i]-'0')
	}
	if i == 0 || i == len(s) {
		return whole, 0, i > 0
	}
	if s[i] != '.' || i+1 == len(s) {
		return 0, 0, false
	}
	unit := int64(100_000_000)
	for i++; i < len(s); i++ {
		if s[i]-'0' > 9 {
			return 0, 0, false
		}
		billionths += int64(s[i]-'0') * unit
		unit /= 10
	}
	return whole, billionths, true
}

// dateLayouts are the written times that are read. A fraction of a second is
// read behind any of the seconds.
var dateLayouts = [...]string{
	time.RFC3339,
	"2006-01-02T15:04:05",
	"2006-01-02 15:04:05",
	"2006-01-02 15:04:05Z07:00",
	time.DateOnly,
}

// parseDate reads a written time, UTC where it names no zone.
func parseDate(s string) (micros int64, ok bool) {
	if len(s) < len(time.DateOnly) || s[4] != '-' {
		return 0, false
	}
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixMicro(), true
		}
	}
	return 0, false
}
