package indexfile

import "slices"

// How many bytes of the file stand for a column: its parts as they are stored, which
// may be compressed, and its dictionary. Short parts count with their bytes in the pool.

// PropertyBytes is that of a property, or of all that have no column, where it may be
// among those.
func (r *Reader) PropertyBytes(name string) int64 {
	if c := r.property(name); c != nil {
		return r.storedBytes(c.number)
	}
	return r.storedBytes(columnOthers)
}

// PropertiesBytes is that of all properties together.
func (r *Reader) PropertiesBytes() (n int64) {
	for c := columnOthers; c < len(r.columns); c++ {
		n += r.storedBytes(c)
	}
	return n
}

// EventBytes is that of the event names.
func (r *Reader) EventBytes() int64 { return r.storedBytes(columnEvent) }

// UserBytes is that of the distinct ids.
func (r *Reader) UserBytes() int64 {
	return r.storedBytes(columnDistinctID) + r.storedBytes(columnFile, partRunLengths)
}

// TimeBytes is that of the times.
func (r *Reader) TimeBytes() int64 { return r.storedBytes(columnFile, partTimes) }

// ServerTimeBytes is that of who gave no time.
func (r *Reader) ServerTimeBytes() int64 { return r.storedBytes(columnServerTime) }

// InsertIDBytes is that of the insert ids.
func (r *Reader) InsertIDBytes() int64 {
	return r.storedBytes(columnFile, partPackedIDs) + r.storedBytes(columnInsertText)
}

// IngestIDBytes is that of the ingest ids.
func (r *Reader) IngestIDBytes() int64 {
	return r.storedBytes(columnFile, partRequests, partRequestCodes, partIndexes, partIngestTimes, partEdgeCodes, partKnots, partDiffers, partLateRows, partLate)
}

// storedBytes is that of a column's parts, of these kinds if any are named.
func (r *Reader) storedBytes(column int, kinds ...partKind) (n int64) {
	for _, ref := range r.columns[column].parts {
		switch {
		case len(kinds) > 0 && !slices.Contains(kinds, ref.kind):
		case ref.pooled:
			n += int64(ref.to - ref.from)
		default:
			n += r.sections[ref.section].info.stored
		}
	}
	return n
}
