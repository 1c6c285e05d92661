package gateway

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/vt/sqlparser"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// literalValue is a column's value in a row of literals.
type literalValue struct {
	value catalog.Value
	given bool // it is not NULL
}

// runLiterals takes all rows in that literalRowsOf has put aside.
func (in *insertion) runLiterals(ctx *sql.Context) error {
	in.orderColumns()
	in.quick.ascii = in.literals.ascii
	rows := in.literals.count()
	if in.replace {
		in.events, in.indexes = make([]event.Event, 0, rows), make([]uint32, 0, rows)
	} else {
		in.direct = in.gateway.borrowIntake()
		defer func() { in.gateway.returnIntake(in.direct) }()
		if err := in.beginPart(); err != nil {
			return err
		}
	}
	for i := range rows {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		in.row++
		if err := in.addLiterals(ctx, in.literals.row(i)); err != nil {
			return err
		}
	}
	return in.store(ctx)
}

// addLiterals makes an event of a row of literals.
func (in *insertion) addLiterals(ctx *sql.Context, row []literal) error {
	if in.direct != nil {
		if kind, ok := in.quick.event(row, &in.event); ok && in.isSound(&in.event) {
			return in.take(ctx, &in.event, kind)
		}
	}
	e, err := in.literalEvent(ctx, row)
	if in.quick.hold != nil && err == nil {
		e.Name = in.quick.hold(e.Name)
	}
	if err := in.keep(ctx, e, err); err != nil {
		return err
	}
	if in.direct != nil {
		in.arena = in.arena[:0] // what the event was made of
	}
	return nil
}

// isSound reports whether check has nothing to say about an event that was read quickly.
func (in *insertion) isSound(e *event.Event) bool {
	now := int64(in.options.ID.Time / 1000)
	if e.ServerTime {
		e.Time = now
	}
	return e.Time <= now+MaxFuture && event.CheckLimits(e) == nil
}

// beginPart begins a part of the rows that are stored together.
func (in *insertion) beginPart() error {
	o := in.options
	o.checked = true
	in.quick.forget()
	if in.load != nil {
		in.load.names = nil
	}
	return in.direct.begin(in.gateway, o, false)
}

// orderColumns finds the order of the columns in which events have them.
func (in *insertion) orderColumns() {
	if in.order != nil {
		return // by the last one of the same plan
	}
	in.values = make([]literalValue, len(in.columns))
	for i := range in.columns {
		in.order = append(in.order, i)
	}
	slices.SortFunc(in.order, func(a, b int) int {
		return cmp.Compare(in.columns[a].exec.Property, in.columns[b].exec.Property)
	})
	in.quick = quickRowsOf(in.columns, in.order)
}

// rowsAtOnce is about how many rows are stored together.
func (in *insertion) rowsAtOnce() int {
	switch {
	case in.direct != nil:
		return 1
	case in.load != nil:
		return insertRows
	}
	return in.literals.count()
}

// literalEvent makes an event of a row of literals, as event does of a row.
func (in *insertion) literalEvent(ctx *sql.Context, row []literal) (event.Event, error) {
	e := event.Event{ServerTime: true}
	var all []catalog.Property // of `properties`
	for i := range in.columns {
		c := &in.columns[i]
		in.values[i].given = false
		written := row[c.source]
		value, ok, err := in.quickValue(c, written)
		if !ok && err == nil {
			var v any
			if v, err = in.writtenValue(ctx, c, written); err != nil {
				return e, err
			}
			if v == nil {
				if err := refuseNull(c); err != nil && !in.load.defaults(ctx, in, c) {
					return e, err
				}
				continue
			}
			if c.name == propertiesColumn.name {
				if all, err = in.properties(ctx, v); err != nil {
					return e, err
				}
				continue
			}
			value, err = in.value(ctx, c, v)
		}
		if err != nil {
			if !in.ignore || !c.nullable {
				return e, err
			}
			in.warn(ctx, err)
			continue
		}
		if c.exec.Source != exec.SourceProperty {
			in.set(&e, c, value)
			continue
		}
		in.values[i] = literalValue{value, true}
	}
	e.Properties = in.given()
	if len(all) > 0 {
		e.Properties = in.merge(all, e.Properties)
	}
	return e, nil
}

// writtenValue is what the SQL library makes of what a row has for a column.
func (in *insertion) writtenValue(ctx *sql.Context, c *insertColumn, written literal) (any, error) {
	if written.kind == literalComputed {
		return in.load.computed[c.source], nil
	}
	return in.literals.value(ctx, written)
}

// given are the properties that the row gives by columns, sorted.
func (in *insertion) given() []catalog.Property {
	if cap(in.arena)-len(in.arena) < len(in.columns) {
		in.arena = make([]catalog.Property, 0, len(in.columns)*min(in.rowsAtOnce(), 512))
	}
	start := len(in.arena)
	for _, i := range in.order {
		if in.values[i].given {
			in.arena = append(in.arena, catalog.Property{Name: in.columns[i].exec.Property, Value: in.values[i].value})
		}
	}
	return in.arena[start:len(in.arena):len(in.arena)]
}

// quickValue converts the usual literals for the usual columns, as value does
// with what the library makes of them; false is for all others.
func (in *insertion) quickValue(c *insertColumn, v literal) (catalog.Value, bool, error) {
	if c.name == propertiesColumn.name {
		return catalog.Null, false, nil
	}
	if v.kind == sqlparser.StrVal {
		switch c.exec.Type {
		case catalog.TypeInt, catalog.TypeDouble:
			value, ok := quickNumber(c.exec.Type, v.text)
			return value, ok, nil
		case catalog.TypeNull, catalog.TypeString:
			value, err := in.string(c, v.text)
			return value, true, err
		case catalog.TypeDatetime:
			if c.exec.Source == exec.SourceProperty {
				return catalog.Null, false, nil
			}
			at, ok := quickDatetime(v.text)
			return catalog.Int(at), ok, nil
		}
		return catalog.Null, false, nil
	}
	switch c.exec.Type {
	case catalog.TypeInt:
		n, ok := v.quickInt()
		return catalog.Int(n), ok, nil
	case catalog.TypeDouble:
		f, ok := v.quickDouble()
		return catalog.Double(f), ok, nil
	}
	return catalog.Null, false, nil
}

// quickNumber reads a number from a text that is nothing but digits, a point and a
// minus, and as short as the numbers that are read from literals.
func quickNumber(t catalog.Type, text string) (catalog.Value, bool) {
	digits := strings.TrimPrefix(text, "-")
	if digits == "" || len(digits) > maxQuickText || digits[0] == '.' || digits[len(digits)-1] == '.' {
		return catalog.Null, false
	}
	points := 0
	for i := range len(digits) {
		if digits[i] == '.' {
			points++
		} else if digits[i]-'0' > 9 {
			return catalog.Null, false
		}
	}
	switch {
	case points > 1:
	case t == catalog.TypeInt && points == 0:
		n, err := strconv.ParseInt(text, 10, 64)
		return catalog.Int(n), err == nil
	case t == catalog.TypeDouble:
		f, err := strconv.ParseFloat(text, 64)
		return catalog.Double(f), err == nil && f != 0 // zero has a sign that the library knows
	}
	return catalog.Null, false
}

// maxQuickText is the length up to which texts are read as numbers here: that
// many digits fit into a 64-bit integer.
const maxQuickText = 15

// quickDatetime reads a datetime as it is usually written,
// 2006-01-02 15:04:05.999999 with any number of digits up to six, in microseconds
// since 1970.
func quickDatetime(s string) (micros int64, ok bool) {
	if len(s) < dateLength {
		return 0, false
	}
	day, ok1 := quickDay(s[:dateLength])
	since, ok2 := quickClock(s[dateLength:])
	return day + since, ok1 && ok2
}

// quickDay reads a day, as 2006-01-02, and gives its first moment in microseconds since
// 1970.
func quickDay(s string) (micros int64, ok bool) {
	if s[4] != '-' || s[7] != '-' {
		return 0, false
	}
	year, ok1 := digitText(s[:4])
	month, ok2 := digitText(s[5:7])
	day, ok3 := digitText(s[8:10])
	if !(ok1 && ok2 && ok3) || year < 1000 || month < 1 || month > 12 || day < 1 || day > daysOf(year, month) {
		return 0, false
	}
	return daysSince1970(year, month, day) * catalog.DayMicros, true
}

// quickClock reads what stands behind a day, as " 15:04:05.999999", in microseconds since
// the day began.
func quickClock(s string) (micros int64, ok bool) {
	const layout = " 15:04:05"
	if len(s) < len(layout) || s[0] != ' ' || s[3] != ':' || s[6] != ':' {
		return 0, false
	}
	hour, ok1 := digitText(s[1:3])
	minute, ok2 := digitText(s[4:6])
	second, ok3 := digitText(s[7:9])
	if !(ok1 && ok2 && ok3) || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	fraction := int64(0)
	if rest := s[len(layout):]; rest != "" {
		if rest[0] != '.' || len(rest) < 2 || len(rest) > 7 {
			return 0, false
		}
		n, ok := digitText(rest[1:])
		if !ok {
			return 0, false
		}
		for range 7 - len(rest) {
			n *= 10
		}
		fraction = n
	}
	return (hour*3600+minute*60+second)*catalog.Second + fraction, true
}

// digitText reads a number that is nothing but digits.
func digitText(s string) (n int64, ok bool) {
	for i := 0; i < len(s); i++ {
		if s[i]-'0' > 9 {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

// daysOf is the number of days of a month.
func daysOf(year, month int64) int64 {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSince1970 counts from 1970-01-01 to a day of the Gregorian calendar. Years
// begin in March here, so that the day that some have more is their last.
func daysSince1970(year, month, day int64) int64 {
	month = (month + 9) % 12
	year -= month / 10
	return 365*year + year/4 - year/100 + year/400 + (month*306+5)/10 + day - 1 - 719_468
}
