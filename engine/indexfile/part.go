package indexfile

import "io"

// A part is an array that a reader uses as a whole: the codes of a column, its
// dictionary, the ends of its runs. Long parts are sections of their own, short
// ones share one section, the pool.
type part struct {
	kind  partKind
	bytes []byte
	cold  bool // may be compressed: it is decoded before use
	// write gives the bytes piece by piece, when the part is written, instead.
	write func(io.Writer) error
}

type partKind uint8

// The parts. The numbers are on disk: append only.
const (
	partPool         partKind = 1  // of the file: the short parts
	partTimes        partKind = 2  // of the file
	partTimeZones    partKind = 3  // 16 bytes a block: the least and the greatest time
	partRunLengths   partKind = 4  // a varint a user: how many rows
	partRequests     partKind = 5  // 12 bytes a request: time and edge, as two arrays
	partRequestCodes partKind = 6  // packed
	partIndexes      partKind = 7  // packed: the records' places in their requests
	partIngestTimes  partKind = 8  // packed
	partEdgeCodes    partKind = 9  // packed
	partPackedIDs    partKind = 10 // 16 bytes a row, or 122 bits
	partDuplicates   partKind = 11
	partGroups       partKind = 12
	partCross        partKind = 13
	partTombstones   partKind = 14
	partKnots        partKind = 15 // signed varints: the arrival expected of each stretch of time
	partDiffers      partKind = 16 // packed: what arrivals differ by
	partLateRows     partKind = 17 // varints: the rows that differ by more
	partLate         partKind = 18 // varints: what their arrivals differ by

	partPresence   partKind = 32 // a bitmap of rows
	partOrdinals   partKind = 33 // a varint a slot: how many rows after the one before; in version 1 the row, 4 bytes
	partCodes      partKind = 34 // packed, or 1, 2 or 4 bytes a slot
	partDictionary partKind = 35
	partNumbers    partKind = 36 // packed, or 8 bytes a slot
	partKinds      partKind = 37 // 1 byte a slot
	partChunks     partKind = 38
	partChunkIndex partKind = 39
	partZones      partKind = 40 // 8 or 16 bytes a block: the least and the greatest
	partFirsts     partKind = 41 // the first text of each chunk
	partRunEnds    partKind = 42 // a varint a run: how many slots
)

var partNames = map[partKind]string{
	partPool: "pool", partTimes: "times", partTimeZones: "time zones", partRunLengths: "run lengths",
	partRequests: "requests", partRequestCodes: "request codes", partIndexes: "indexes",
	partIngestTimes: "ingest times", partEdgeCodes: "edge codes", partPackedIDs: "packed ids",
	partDuplicates: "duplicates", partGroups: "groups", partCross: "cross", partTombstones: "tombstones",
	partKnots: "arrival knots", partDiffers: "arrivals", partLateRows: "late rows", partLate: "late arrivals",
	partPresence: "presence", partOrdinals: "ordinals", partCodes: "codes", partDictionary: "dictionary",
	partNumbers: "numbers", partKinds: "kinds", partChunks: "chunks", partChunkIndex: "chunk index",
	partZones: "zones", partFirsts: "firsts", partRunEnds: "runs",
}

func (k partKind) String() string {
	if s, ok := partNames[k]; ok {
		return s
	}
	return "unknown part"
}

// partName names the byte that stands for a part.
func partName(kind uint8) string { return partKind(kind).String() }
