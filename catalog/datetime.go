package catalog

import (
	"math"
	"time"
)

// The moments that MySQL's DATETIME(6) can show, in microseconds since 1970.
const (
	MinDatetime int64 = -62_135_596_800_000_000 // 0001-01-01 00:00:00
	MaxDatetime int64 = 253_402_300_799_999_999 // 9999-12-31 23:59:59.999999
)

// millisFrom is where a number stops being seconds and is milliseconds since
// 1970: 1e11 seconds are the year 5138, 1e11 milliseconds 1973.
const millisFrom = 1e11

// toDatetime reads a moment from a string or from a Unix time.
func toDatetime(v Value) (Value, bool) {
	switch v.Kind {
	case KindInt:
		i := v.Int()
		unit := Second
		if i >= millisFrom || i <= -millisFrom {
			unit = Millisecond
		}
		if i > MaxDatetime/unit || i < MinDatetime/unit {
			return Null, false
		}
		return Int(i * unit), true
	case KindDouble, KindNumber:
		d, ok := toDouble(v)
		if !ok {
			return Null, false
		}
		return unixDouble(d.Double())
	case KindString:
		t, ok := ParseDatetime(v.Text)
		return Int(t), ok
	}
	return Null, false
}

func unixDouble(f float64) (Value, bool) {
	unit := float64(Second)
	if math.Abs(f) >= millisFrom {
		unit = float64(Millisecond)
	}
	micros := math.Round(f * unit)
	if !(micros >= float64(MinDatetime) && micros < float64(MaxDatetime)) {
		return Null, false
	}
	return Int(int64(micros)), true
}

// ParseDatetime reads a date or a moment as ISO 8601 and MySQL write them,
//
//	YYYY-MM-DD[(T| )hh:mm[:ss[.f…]][Z|±hh[[:]mm]]]
//
// into microseconds since 1970. Without a zone it is UTC. More than six digits
// after the point are rounded; a date or an hour that no calendar has is refused.
func ParseDatetime(s string) (micros int64, ok bool) {
	p := datetimeParser{rest: trimSpace(s), ok: true}
	year := p.number(4)
	p.expect('-')
	month := p.number(2)
	p.expect('-')
	day := p.number(2)
	if !p.ok || year == 0 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return 0, false
	}
	micros = time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).UnixMicro()
	if p.rest != "" {
		if !p.one('T') && !p.one('t') {
			p.expect(' ')
		}
		micros += p.clock()
		micros -= p.zone()
	}
	return micros, p.ok && p.rest == "" && micros >= MinDatetime && micros <= MaxDatetime
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// datetimeParser takes characters from the front of rest while ok.
type datetimeParser struct {
	rest string
	ok   bool
}

// one takes the character c if it is next.
func (p *datetimeParser) one(c byte) bool {
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *datetimeParser) expect(c byte) {
	if !p.one(c) {
		p.ok = false
	}
}

// number takes exactly n digits.
func (p *datetimeParser) number(n int) int {
	if len(p.rest) < n || digits(p.rest[:n]) != n {
		p.ok = false
		return 0
	}
	v := 0
	for _, c := range []byte(p.rest[:n]) {
		v = v*10 + int(c-'0')
	}
	p.rest = p.rest[n:]
	return v
}

// clock takes hh:mm[:ss[.f…]].
func (p *datetimeParser) clock() int64 {
	hour := p.number(2)
	p.expect(':')
	minute := p.number(2)
	second, micros := 0, int64(0)
	if p.one(':') {
		second = p.number(2)
		if p.one('.') {
			micros = p.fraction()
		}
	}
	if hour > 23 || minute > 59 || second > 59 {
		p.ok = false
	}
	return (int64(hour)*3600+int64(minute)*60+int64(second))*Second + micros
}

// fraction takes the digits after the point, as microseconds.
func (p *datetimeParser) fraction() int64 {
	n := digits(p.rest)
	if n == 0 {
		p.ok = false
	}
	micros := int64(0)
	for i := range 6 {
		micros *= 10
		if i < n {
			micros += int64(p.rest[i] - '0')
		}
	}
	if n > 6 && p.rest[6] >= '5' {
		micros++
	}
	p.rest = p.rest[n:]
	return micros
}

// zone takes Z or an offset, as the microseconds it is ahead of UTC; nothing is UTC.
func (p *datetimeParser) zone() int64 {
	if p.rest == "" || p.one('Z') || p.one('z') {
		return 0
	}
	sign := int64(1)
	if p.one('-') {
		sign = -1
	} else {
		p.expect('+')
	}
	hours, minutes := p.number(2), 0
	if p.one(':') || p.rest != "" {
		minutes = p.number(2)
	}
	if hours > 18 || minutes > 59 {
		p.ok = false
	}
	return sign * (int64(hours)*60 + int64(minutes)) * 60 * Second
}
