package gateway

import (
	"unicode/utf8"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/vt/sqlparser"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// Nearly all values of nearly all rows are texts for columns of texts, short numbers for
// columns of numbers, and a time as it is usually written. A row of such values becomes
// an event here, in the memory of the row before: what there is to know of columns is
// found out once for a statement, and nothing is allocated for a row. A row with any
// other value, or with one that is wrong, is left to literalEvent as a whole, which
// takes the same values for the same.

// quickColumn is what a row's quick way needs to know of a column.
type quickColumn struct {
	source int // place in the row
	read   quickRead
	place  quickPlace
	// longest is up to how many bytes a text has not more characters than it may.
	longest  int
	nullable bool
	property string
}

// quickRead says how a column's values are read.
type quickRead uint8

const (
	ofOthers quickRead = iota // by literalEvent
	ofTexts
	ofInts
	ofDoubles
	ofTimes
)

// quickPlace says which part of an event a column is.
type quickPlace uint8

const (
	placeProperty quickPlace = iota
	placeEvent
	placeTime
	placeDistinctID
	placeInsertID
)

// quickRows reads rows quickly. Its columns are in the order in which events have their
// properties.
type quickRows struct {
	columns    []quickColumn
	ascii      bool               // all texts of the rows are
	properties []catalog.Property // of the row at hand
	day        [dateLength]byte   // of the last time, as it was written; begins with 0 for none
	dayMicros  int64              // its first moment, since 1970
	// hold gives a name that holds until the events are stored, where a row does not.
	hold     func(string) string
	kinds    map[rowKind]int
	last     rowKind
	lastKind int
}

// rowKind is what rows have in common whose events have the same name, and properties of
// the same names.
type rowKind struct {
	event string
	given uint64 // a bit for each of the columns
}

// Limits of the kinds of rows that are told apart.
const (
	maxRowKinds    = 255
	maxKindColumns = 64
)

// quickRowsOf finds out about columns, in the given order.
func quickRowsOf(columns []insertColumn, order []int) quickRows {
	q := quickRows{columns: make([]quickColumn, 0, len(columns)), properties: make([]catalog.Property, 0, len(columns))}
	for _, i := range order {
		c := &columns[i]
		k := quickColumn{source: c.source, nullable: c.nullable, property: c.exec.Property, longest: 1<<31 - 1}
		switch c.name {
		case firstColumns[columnEvent].name:
			k.place = placeEvent
		case firstColumns[columnTime].name:
			k.place = placeTime
		case firstColumns[columnDistinctID].name:
			k.place = placeDistinctID
		case firstColumns[columnInsertID].name:
			k.place = placeInsertID
		}
		if t, ok := c.sqlType.(sql.StringType); ok {
			k.longest = int(min(t.MaxCharacterLength(), int64(k.longest)))
		}
		switch c.exec.Type {
		case catalog.TypeNull, catalog.TypeString:
			k.read = ofTexts
		case catalog.TypeInt:
			k.read = ofInts
		case catalog.TypeDouble:
			k.read = ofDoubles
		case catalog.TypeDatetime:
			if c.exec.Source != exec.SourceProperty {
				k.read = ofTimes
			}
		}
		if k.place == placeProperty && (c.exec.Source != exec.SourceProperty || c.name == propertiesColumn.name) {
			k.read = ofOthers
		}
		q.columns = append(q.columns, k)
	}
	return q
}

// event makes an event of a row, and says of which kind it is, 0 for none. It does not,
// and says so, if a value is not among the usual.
func (q *quickRows) event(row []literal, e *event.Event) (kind int, ok bool) {
	*e = event.Event{ServerTime: true}
	given := uint64(0)
	properties := q.properties[:0]
	for i := range q.columns {
		c := &q.columns[i]
		v := &row[c.source]
		if v.kind == literalNull {
			if !c.nullable {
				return 0, false
			}
			continue
		}
		var value catalog.Value
		switch c.read {
		case ofTexts:
			if v.kind != sqlparser.StrVal || len(v.text) > c.longest || !q.ascii && !utf8.ValidString(v.text) {
				return 0, false
			}
			value = catalog.Value{Kind: catalog.KindString, Text: v.text}
		case ofInts:
			n, ok := shortInt(v)
			if !ok {
				return 0, false
			}
			value = catalog.Int(n)
		case ofDoubles:
			f, ok := shortDouble(v)
			if !ok {
				return 0, false
			}
			value = catalog.Double(f)
		case ofTimes:
			at, ok := q.time(v)
			if !ok {
				return 0, false
			}
			if at != serverTimeMicros {
				e.Time, e.ServerTime = at, false
			}
			continue
		default:
			return 0, false
		}
		switch c.place {
		case placeProperty:
			given |= 1 << (i % maxKindColumns)
			properties = append(properties, catalog.Property{Name: c.property, Value: value})
		case placeEvent:
			if e.Name = v.text; q.hold != nil {
				e.Name = q.hold(v.text)
			}
		case placeDistinctID:
			e.DistinctID = v.text
		case placeInsertID:
			e.InsertID = v.text
		}
	}
	e.Properties = properties
	if len(q.columns) <= maxKindColumns {
		kind = q.kind(rowKind{e.Name, given})
	}
	return kind, true
}

// kind numbers the kinds of rows from 1 on.
func (q *quickRows) kind(k rowKind) int {
	if k == q.last && q.lastKind > 0 {
		return q.lastKind
	}
	n, ok := q.kinds[k]
	if !ok {
		if len(q.kinds) == maxRowKinds {
			return 0
		}
		if q.kinds == nil {
			q.kinds = make(map[rowKind]int)
		}
		n = len(q.kinds) + 1
		q.kinds[k] = n
	}
	q.last, q.lastKind = k, n
	return n
}

// forget forgets the kinds, with the names in them.
func (q *quickRows) forget() { q.kinds, q.last, q.lastKind = nil, rowKind{}, 0 }

// time reads a time in microseconds since 1970. Times one after the other are often of
// one day.
func (q *quickRows) time(v *literal) (micros int64, ok bool) {
	s := v.text
	if v.kind != sqlparser.StrVal || len(s) < dateLength {
		return 0, false
	}
	since, ok := quickClock(s[dateLength:])
	if !ok {
		return 0, false
	}
	if q.day[0] == 0 || s[:dateLength] != string(q.day[:]) {
		at, ok := quickDay(s[:dateLength])
		if !ok {
			return 0, false
		}
		copy(q.day[:], s)
		q.dayMicros = at
	}
	return q.dayMicros + since, true
}

// shortInt reads an integer of up to 18 digits, or a text of those that quickNumber reads.
func shortInt(v *literal) (int64, bool) {
	s := v.text
	switch v.kind {
	case sqlparser.IntVal:
		if len(s) > maxQuickInt-1 {
			return v.quickInt()
		}
	case sqlparser.StrVal:
		if len(s) > maxQuickText {
			return 0, false
		}
	default:
		return 0, false
	}
	negative := len(s) > 0 && s[0] == '-'
	if negative {
		s = s[1:]
	}
	if s == "" {
		return 0, false
	}
	n, ok := digitText(s)
	if negative {
		n = -n
	}
	return n, ok
}

// shortDouble reads a decimal of up to 15 digits, which is not zero: both the digits and
// the power of ten by which they are divided are doubles, so that the quotient is the
// one nearest to the decimal.
func shortDouble(v *literal) (float64, bool) {
	s, negative := v.text, false
	switch v.kind {
	case sqlparser.IntVal, sqlparser.FloatVal, sqlparser.StrVal:
		if negative = len(s) > 0 && s[0] == '-'; negative {
			s = s[1:]
		}
	case literalNegative:
		negative = true
	default:
		return 0, false
	}
	if len(s) > maxQuickText && v.kind == sqlparser.FloatVal {
		return v.quickDouble()
	}
	if len(s) > maxQuickText || s == "" || s[0] == '.' || s[len(s)-1] == '.' {
		return 0, false
	}
	n, point := int64(0), -1
	for i := range len(s) {
		switch c := s[i]; {
		case c-'0' <= 9:
			n = n*10 + int64(c-'0')
		case c == '.' && point < 0:
			point = i
		case c == 'e' && v.kind == sqlparser.FloatVal: // as drivers bind a double
			return v.quickDouble()
		default:
			return 0, false
		}
	}
	f := float64(n)
	if point >= 0 {
		f /= powersOfTen[len(s)-1-point]
	}
	if negative {
		f = -f
	}
	return f, n != 0
}

// powersOfTen are doubles without an error.
var powersOfTen = [maxQuickText]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14}

// dateLength is how long a day is written, as 2006-01-02.
const dateLength = 10
