package engine

import (
	"encoding/binary"
	"fmt"

	"arbor/catalog"
	"arbor/engine/appendlog"
	"arbor/engine/dot"
	"arbor/engine/event"
)

// logRef is where a shard's batch is in the log. It is small, since at rest the
// refs are all that is known of what is not indexed yet.
type logRef struct {
	segment uint64
	offset  int64
	length  int32
	events  int32
	// marks is set when the batch holds deletes or undos.
	marks bool
	// at is when the batch came, in microseconds; after a restart, when the
	// engine was opened.
	at int64
	// dot is the batch's name; zero if it has none.
	dot dot.Dot
	// record tells the batch's record from others; zero if the batch was there when
	// the engine was opened.
	record recordKey
}

// recordKey tells a record of a shard from others without reading it. Ids are given by
// servers, each once, so that two records with one id are the same, or damage, which has
// another checksum.
type recordKey struct {
	first catalog.IngestID
	sum   uint32
}

// recordKeyOf is the key of a record; first is the least ingest id in it.
func recordKeyOf(record []byte, first catalog.IngestID) recordKey {
	return recordKey{first, event.Sum(record)}
}

func (r logRef) position() appendlog.Position {
	return appendlog.Position{Segment: r.segment, Offset: r.offset, Length: r.length}
}

// end is a cut behind the batch, and before the next one.
func (r logRef) end() cut { return cut{r.segment, r.offset + int64(r.length)} }

// cut is a place in the log: the batches of a shard before it are in the
// shard's indexed files, those at or behind it are not. Since a shard's batches
// are indexed in the order of the log, one place says it exactly, whatever a
// crash left undone after the file was renamed.
type cut struct {
	segment uint64
	offset  int64
}

func (c cut) before(o cut) bool {
	return c.segment < o.segment || c.segment == o.segment && c.offset < o.offset
}

// covers reports whether a batch is before the cut.
func (c cut) covers(pos appendlog.Position) bool {
	return cut{pos.Segment, pos.Offset}.before(c)
}

// An indexed file says in indexfile.Meta.LogCut up to where the log is in it and
// its elders, and which named batches' events are in it:
//
//	version   byte     1, or 2 if there are dots
//	segment   8 bytes  big-endian
//	offset    8 bytes  big-endian
//	dots      a set    in version 2, as package dot has it
const (
	cutVersion      = 1
	cutVersionNamed = 2
	cutBytes        = 17
)

func encodeCut(c cut, dots *dot.Set) []byte {
	b := []byte{cutVersion}
	b = binary.BigEndian.AppendUint64(b, c.segment)
	b = binary.BigEndian.AppendUint64(b, uint64(c.offset))
	if dots.IsEmpty() {
		return b
	}
	b[0] = cutVersionNamed
	return dots.Append(b)
}

func decodeCut(b []byte) (c cut, dots dot.Set, err error) {
	if len(b) > 0 && b[0] > cutVersionNamed {
		return cut{}, dot.Set{}, fmt.Errorf("log cut of version %d, this arbor knows %d: %w", b[0], cutVersionNamed, event.ErrVersion)
	}
	if len(b) < cutBytes || b[0] == 0 {
		return cut{}, dot.Set{}, fmt.Errorf("log cut of %d bytes: %w", len(b), ErrDamaged)
	}
	c = cut{binary.BigEndian.Uint64(b[1:]), int64(binary.BigEndian.Uint64(b[9:]))}
	rest := b[cutBytes:]
	if b[0] == cutVersionNamed {
		if dots, rest, err = dot.DecodeSet(rest); err != nil {
			return cut{}, dot.Set{}, fmt.Errorf("log cut: %w: %w", ErrDamaged, err)
		}
	}
	if len(rest) > 0 {
		return cut{}, dot.Set{}, fmt.Errorf("log cut of %d bytes: %w", len(b), ErrDamaged)
	}
	return c, dots, nil
}
