package indexfile

import (
	"strings"

	"arbor/catalog"
)

// Row is one stored event. Its fields are those of event.Event, in the same
// order, so that either converts to the other.
type Row struct {
	ID         catalog.IngestID
	Name       string
	Time       int64
	ServerTime bool
	DistinctID string
	InsertID   string
	Properties []catalog.Property
}

// Compare orders rows as a file holds them: by distinct id as bytes, then by
// time, then by ingest id.
func (r *Row) Compare(o *Row) int {
	if c := strings.Compare(r.DistinctID, o.DistinctID); c != 0 {
		return c
	}
	return r.compareTime(o)
}

// compareTime is Compare for rows of one user.
func (r *Row) compareTime(o *Row) int {
	switch {
	case r.Time < o.Time:
		return -1
	case r.Time > o.Time:
		return 1
	}
	return r.ID.Compare(o.ID)
}
