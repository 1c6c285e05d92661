package indexfile

import (
	"context"
	"fmt"
	"math"

	"arbor/catalog"
)

// OrderCheck holds all rows of a file, which are given one after the other, against the
// order in which a file has them, and their times and ids against the bounds that the
// file states.
type OrderCheck struct {
	reader *Reader
	users  *users
	user   int // at hand
	chunk  int // the next one of users' chunks to begin
	row    int // the next one
	last   Row

	zoneEnd             int // up to which row the zone at hand goes
	zone                [2]int64
	earliest, latest    int64
	leastID, greatestID catalog.IngestID
}

// OrderCheck returns a new one.
func (r *Reader) OrderCheck() (*OrderCheck, error) {
	users, err := r.userColumn()
	if err != nil {
		return nil, err
	}
	if _, err := r.insertColumn(); err != nil {
		return nil, err
	}
	return &OrderCheck{
		reader: r, users: users, earliest: math.MaxInt64, latest: math.MinInt64, leastID: catalog.MaxIngestID,
	}, nil
}

// Row takes the next row, of which properties, name and insert id do not count. Its
// distinct id must hold until the next call.
func (o *OrderCheck) Row(row *Row) error {
	i, r := o.row, o.reader
	switch {
	case o.user == len(o.users.ends):
		return r.corrupt(partRunLengths.String(), fmt.Sprintf("row %d of no user", i))
	case i == 0:
	case i < int(o.users.ends[o.user]):
		if row.DistinctID != o.last.DistinctID || o.last.compareTime(row) > 0 {
			return r.corrupt(partTimes.String(), fmt.Sprintf("order at row %d", i))
		}
	default:
		if o.user++; o.user == len(o.users.ends) || row.DistinctID <= o.last.DistinctID {
			return r.corrupt(columnNames[columnDistinctID], fmt.Sprintf("order at user %d", o.user))
		}
	}
	if u := o.users; o.chunk < u.chunks.len() && u.chunks.first(o.chunk) == o.user {
		// The texts by which users are found.
		if row.DistinctID != u.firsts.at(o.chunk) {
			return u.column.corrupt(partFirsts, fmt.Sprintf("chunk %d", o.chunk))
		}
		o.chunk++
	}
	if i >= o.zoneEnd {
		var err error
		if o.zone[0], o.zone[1], err = r.BlockTime(i / BlockRows); err != nil {
			return err
		}
		o.zoneEnd = (i/BlockRows + 1) * BlockRows
	}
	if row.Time < o.zone[0] || row.Time > o.zone[1] {
		return r.corrupt(partTimeZones.String(), fmt.Sprintf("row %d", i))
	}
	o.earliest, o.latest = min(o.earliest, row.Time), max(o.latest, row.Time)
	if row.ID.Compare(o.leastID) < 0 {
		o.leastID = row.ID
	}
	if row.ID.Compare(o.greatestID) > 0 {
		o.greatestID = row.ID
	}
	o.last.DistinctID, o.last.Time, o.last.ID = row.DistinctID, row.Time, row.ID
	o.row++
	return nil
}

// End is called when all rows were given.
func (o *OrderCheck) End() error {
	r := o.reader
	if o.row != r.Rows() {
		return fmt.Errorf("%d rows checked of %d: %w", o.row, r.Rows(), ErrOrder)
	}
	if r.Rows() == 0 {
		return nil
	}
	if o.user != len(o.users.ends)-1 {
		return r.corrupt(partRunLengths.String(), "users without rows")
	}
	if a, b := r.TimeBounds(); a != o.earliest || b != o.latest {
		return r.corrupt("footer", "bounds of times")
	}
	if a, b := r.IngestBounds(); a != o.leastID || b != o.greatestID {
		return r.corrupt("footer", "bounds of ingest ids")
	}
	return nil
}

// verifyOrder walks all rows: users, times and ingest ids.
func (r *Reader) verifyOrder(ctx context.Context) error {
	ingest, err := r.ingestColumn()
	if err != nil {
		return err
	}
	times, err := r.timeColumn()
	if err != nil {
		return err
	}
	check, err := r.OrderCheck()
	if err != nil {
		return err
	}
	cursor := r.Cursor()
	for k := range r.Users() {
		id, lo, hi, err := cursor.User(k)
		if err != nil {
			return err
		}
		for i := lo; i < hi; i++ {
			if err := check.Row(&Row{ID: ingest.at(i), Time: times.at(i), DistinctID: id}); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return check.End()
}
