package gateway

import (
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/vitess/go/sqltypes"
)

// The moments of TIMESTAMP columns are stored in UTC, and a statement sees and writes them
// by the clocks of its session's time zone, as in MySQL. They are converted where rows leave
// a mutable table and where they come back. An hour that clocks show twice names two
// moments: what is written means the earlier one, and a row that is changed or removed is
// found by both and keeps the one that it has.

// sessionClocks are the time zone of a session, nil for UTC.
func sessionClocks(ctx *sql.Context) *time.Location {
	name, err := function.SessionTimeZone(ctx)
	if err != nil {
		return nil
	}
	if offset, ok := zoneOffset(name); ok && offset == 0 {
		return nil
	}
	place, ok := zoneNamed(name)
	if !ok {
		return nil
	}
	return place
}

// timestamps are the places of columns that are TIMESTAMPs.
func (s *mutableShape) timestamps() []int {
	var places []int
	for i, t := range s.types {
		if t.Type() == sqltypes.Timestamp {
			places = append(places, i)
		}
	}
	return places
}

// clocks convert the TIMESTAMPs of rows; the zero value leaves them as they are.
type clocks struct {
	place   *time.Location
	columns []int
}

// clocksOf are those of a table in a session.
func (s *mutableShape) clocksOf(ctx *sql.Context) clocks {
	if columns := s.timestamps(); len(columns) > 0 {
		if place := sessionClocks(ctx); place != nil {
			return clocks{place, columns}
		}
	}
	return clocks{}
}

// changed are those of columns that are TIMESTAMPs in one of two shapes of a table and
// something else in the other one, when its rows are written again.
func (c clocks) changed(shape, other *mutableShape) clocks {
	out := clocks{place: c.place}
	for _, i := range c.columns {
		at, ok := other.places[shape.Columns[i].ID]
		if !ok || other.types[at].Type() != sqltypes.Timestamp {
			out.columns = append(out.columns, i)
		}
	}
	return out
}

// zeroMoment reports whether a moment is before all TIMESTAMPs, as 0000-00-00 is.
func zeroMoment(t time.Time) bool { return t.Unix() < 1 }

// show makes a stored row, in place, what the session sees.
func (c clocks) show(row sql.Row) {
	for _, i := range c.columns {
		if t, ok := row[i].(time.Time); ok && !zeroMoment(t) {
			row[i] = shownAt(t, c.place)
		}
	}
}

// shownAt is what the clocks of a place show at a moment.
func shownAt(t time.Time, place *time.Location) time.Time {
	t = t.In(place)
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// store is a row that the session writes, as it is stored. A time that no moment of a
// TIMESTAMP has in that place is refused.
func (c clocks) store(row sql.Row, names func(int) string) (sql.Row, error) {
	if len(c.columns) == 0 {
		return row, nil
	}
	out := row.Copy()
	for _, i := range c.columns {
		t, ok := row[i].(time.Time)
		if !ok || t.Year() < 1 {
			continue
		}
		at := momentIn(t, c.place).UTC()
		if zeroMoment(at) || at.After(lastTimestamp) || !shownAt(at, c.place).Equal(t) {
			return nil, refuse(erWrongValue, "22007", "Incorrect datetime value: '%s' for column '%s' at row 1", t.Format(time.DateTime), names(i))
		}
		out[i] = at
	}
	return out, nil
}

// lastTimestamp is the last moment of a TIMESTAMP.
var lastTimestamp = time.Date(2038, 1, 19, 3, 14, 7, 999_999_000, time.UTC)

// moments are those at which the clocks of a place show a time: one, or two where they
// are set back.
func moments(t time.Time, place *time.Location) []time.Time {
	first := momentIn(t, place)
	all := []time.Time{first.UTC()}
	if _, end := first.ZoneBounds(); !end.IsZero() {
		_, before := first.Zone()
		_, after := end.Zone()
		later := first.Add(time.Duration(before-after) * time.Second)
		if later.After(first) && !later.Before(end) && shownAt(later, place).Equal(t) {
			all = append(all, later.UTC())
		}
	}
	return all
}

// maxTwice bounds how many TIMESTAMPs of a row may be in hours that clocks show twice, for
// the row to be found by all of them.
const maxTwice = 6

// seen are the stored rows of which a session sees this one.
func (c clocks) seen(row sql.Row) []sql.Row {
	all := []sql.Row{row}
	if len(c.columns) == 0 {
		return all
	}
	all[0] = row.Copy()
	twice := 0
	for _, i := range c.columns {
		t, ok := row[i].(time.Time)
		if !ok || t.Year() < 1 {
			continue
		}
		at := moments(t, c.place)
		for _, r := range all {
			r[i] = at[0]
		}
		if len(at) == 1 || twice == maxTwice {
			continue
		}
		twice++
		for _, r := range all[:len(all):len(all)] {
			other := r.Copy()
			other[i] = at[1]
			all = append(all, other)
		}
	}
	return all
}

// kept puts the moments of a stored row into the row that takes its place, where the
// session has not changed what it sees of them.
func (c clocks) kept(stored, next, seenOld, seenNext sql.Row) {
	for _, i := range c.columns {
		a, ok1 := seenOld[i].(time.Time)
		b, ok2 := seenNext[i].(time.Time)
		if ok1 && ok2 && a.Equal(b) {
			next[i] = stored[i]
		}
	}
}
