package engine

import (
	"encoding/binary"
	"fmt"

	"arbor/engine/appendlog"
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

const cutVersion = 1

// encode is the form in indexfile.Meta.LogCut: version, segment, offset.
func (c cut) encode() []byte {
	b := []byte{cutVersion}
	b = binary.BigEndian.AppendUint64(b, c.segment)
	return binary.BigEndian.AppendUint64(b, uint64(c.offset))
}

func decodeCut(b []byte) (cut, error) {
	if len(b) > 0 && b[0] > cutVersion {
		return cut{}, fmt.Errorf("log cut of version %d, this arbor knows %d: %w", b[0], cutVersion, event.ErrVersion)
	}
	if len(b) != 17 || b[0] != cutVersion {
		return cut{}, fmt.Errorf("log cut of %d bytes: %w", len(b), ErrDamaged)
	}
	return cut{binary.BigEndian.Uint64(b[1:]), int64(binary.BigEndian.Uint64(b[9:]))}, nil
}
