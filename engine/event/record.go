package event

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"arbor/catalog"
)

// A record is an encoded Batch, version 1:
//
//	┌───────┬─────────┬────────┬────────┬──────────┬───────────┬─────────┐
//	│ "evb" │ version │ CRC32C │ header │ events … │ deletes … │ undos … │
//	│ 3     │ 1       │ 4 LE   │        │          │           │         │
//	└───────┴─────────┴────────┴────────┴──────────┴───────────┴─────────┘
//
// The checksum is of all other bytes, and stays where it is in every version,
// so that a damaged version is damage and not a newer one. Numbers are varints
// (unsigned: 7 bits a byte, the lowest first; signed: zigzag) unless it says
// otherwise; an id is the 16 bytes of an ingest id, big-endian.
//
//	header:  project · day, signed · bucket · events · deletes · undos ·
//	         properties of all events together ·
//	         if there are events: least time, signed, µs · greatest − least time ·
//	         if there is anything: least id, 16 · greatest id, 16
//
//	event:   flags, 1 byte:  1 the time is the server's
//	                         2 the id has the time and edge of the one before
//	                         4 the time counts milliseconds, else microseconds
//	                         8 the distinct id is that of the event before
//	         id: with flag 2 the index − the index before − 1, mod 2³²; else 16 bytes
//	         time, after the least time
//	         distinct id: length, 1 byte · bytes; nothing with flag 8
//	         insert id: length, 1 byte · bytes
//	         shape · values, one for each of the shape's properties
//
//	shape:   the number of an earlier shape of the record, or the number of
//	         shapes so far, and then its definition:
//	         event's name · properties, 1 byte · their names, ascending
//	name:    the number of an earlier name of the record, or the number of names
//	         so far, and then the name: length, 1 byte · bytes
//
//	value:   kind in the low 3 bits of a byte, n in the high 5, and then
//	         null    n = 0
//	         bool    n = 0 or 1
//	         int     n bytes, little-endian, of the zigzag value
//	         double  n = 0 · 8 bytes, little-endian
//	         number, string, JSON
//	                 n < 31: n bytes; n = 31: length − 31 · bytes
//
//	delete:  id, 16 · targets · their ids, 16 each
//	undo:    id, 16 · id of the delete, 16
//
// The id before the first event's is the least id with its index less one.
const (
	recordMagic   = "evb"
	recordVersion = 1
	sumOffset     = 4
	headerOffset  = 8

	flagServerTime   = 1
	flagIDFollows    = 2
	flagMilliseconds = 4
	flagSameUser     = 8
	flagsKnown       = 15

	kindBits  = 3
	kindMask  = 1<<kindBits - 1
	longValue = 31 // the n that says that a length follows
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the record's, over all bytes but its own.
func checksum(rec []byte) uint32 {
	return crc32.Update(crc32.Checksum(rec[:sumOffset], castagnoli), castagnoli, rec[headerOffset:])
}

// Header is what a record says of itself.
type Header struct {
	Shard                  catalog.ShardKey
	Events, Deletes, Undos int
	// Properties counts those of all events.
	Properties int
	// MinTime and MaxTime bound the events' times; both are 0 without events.
	MinTime, MaxTime int64
	// FirstID and LastID are the least and the greatest ingest id of the events,
	// deletes and undos; both are zero in an empty record.
	FirstID, LastID catalog.IngestID
}

// DecodeHeader checks the whole record's checksum and reads its header.
func DecodeHeader(rec []byte) (Header, error) {
	h, _, err := decodeHeader(rec)
	return h, err
}

// Sum is the checksum that a record, which was decoded or checked before, bears.
func Sum(rec []byte) uint32 { return binary.LittleEndian.Uint32(rec[sumOffset:]) }

// ShardOf reads which shard a record is of, and nothing else: not its checksum either,
// which whoever stores it looks at.
func ShardOf(rec []byte) (catalog.ShardKey, error) {
	if len(rec) < headerOffset || string(rec[:len(recordMagic)]) != recordMagic {
		return catalog.ShardKey{}, fmt.Errorf("%w: it does not begin with %q", ErrCorrupt, recordMagic)
	}
	if v := rec[len(recordMagic)]; v != recordVersion {
		return catalog.ShardKey{}, fmt.Errorf("%w: version %d, this arbor reads version %d", ErrVersion, v, recordVersion)
	}
	r := reader{rec: rec, at: headerOffset}
	k := r.shard()
	return k, r.err
}

// decodeHeader also gives the offset at which the events begin.
func decodeHeader(rec []byte) (Header, int, error) {
	if len(rec) < headerOffset || string(rec[:len(recordMagic)]) != recordMagic {
		return Header{}, 0, fmt.Errorf("%w: it does not begin with %q", ErrCorrupt, recordMagic)
	}
	if len(rec) > MaxBatchBytes {
		return Header{}, 0, fmt.Errorf("%w: a record of %d bytes, at most %d are allowed", ErrLimit, len(rec), MaxBatchBytes)
	}
	if want, got := binary.LittleEndian.Uint32(rec[sumOffset:]), checksum(rec); got != want {
		return Header{}, 0, fmt.Errorf("%w: checksum is %08x, should be %08x", ErrCorrupt, got, want)
	}
	if v := rec[len(recordMagic)]; v != recordVersion {
		return Header{}, 0, fmt.Errorf("%w: version %d, this arbor reads version %d", ErrVersion, v, recordVersion)
	}
	r := reader{rec: rec, at: headerOffset}
	h := r.header()
	return h, r.at, r.err
}

func (r *reader) shard() (k catalog.ShardKey) {
	k.Project = catalog.ProjectID(r.number("project", 1<<32-1))
	k.Day = r.day()
	k.Bucket = uint16(r.number("bucket", 1<<16-1))
	return k
}

func (r *reader) header() Header {
	h := Header{Shard: r.shard()}
	h.Events = r.count("events", MaxBatchEvents)
	h.Deletes = r.count("deletes", MaxBatchDeletes)
	h.Undos = r.count("undos", MaxBatchDeletes)
	h.Properties = r.count("properties", h.Events*MaxProperties)
	if h.Events > 0 {
		h.MinTime = r.signed("least time")
		span := r.number("span of time", uint64(catalog.DayMicros-1))
		h.MaxTime = h.MinTime + int64(span)
		if r.err == nil && (catalog.DayOf(h.MinTime) != h.Shard.Day || catalog.DayOf(h.MaxTime) != h.Shard.Day) {
			r.fail("times %d to %d are not of the day %s", h.MinTime, h.MaxTime, h.Shard.Day)
		}
	}
	if h.Events+h.Deletes+h.Undos > 0 {
		h.FirstID, h.LastID = r.id(), r.id()
		if r.err == nil && (h.FirstID.IsZero() || h.FirstID.Compare(h.LastID) > 0) {
			r.fail("ids %s to %s are out of order", h.FirstID, h.LastID)
		}
	}
	if r.err != nil {
		return Header{}
	}
	return h
}
