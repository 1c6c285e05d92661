package catalog

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// IngestID is an event's physical identity: it is stamped once at the edge and
// carried unchanged by replicas, repair, replay and restore. Two records with
// the same IngestID are the same record. Its order is the order in which
// survivors are chosen.
type IngestID struct {
	// Time is the edge's clock in nanoseconds since 1970 UTC. An edge never
	// gives two requests the same Time.
	Time uint64
	// Edge names the edge process; it is drawn at random at each start.
	Edge uint32
	// Index is the record's place in its request.
	Index uint32
}

// IngestIDSize is the length of an encoded IngestID in bytes.
const IngestIDSize = 16

// MaxIngestID is at or after every IngestID; as an as-of bound it means "now".
var MaxIngestID = IngestID{Time: ^uint64(0), Edge: ^uint32(0), Index: ^uint32(0)}

// Compare orders ids by time, then edge, then index.
func (id IngestID) Compare(other IngestID) int {
	if c := cmp.Compare(id.Time, other.Time); c != 0 {
		return c
	}
	if c := cmp.Compare(id.Edge, other.Edge); c != 0 {
		return c
	}
	return cmp.Compare(id.Index, other.Index)
}

// IsZero reports whether id is the zero value, which no record bears.
func (id IngestID) IsZero() bool { return id == IngestID{} }

// At is the moment the edge took the record in, in UTC.
func (id IngestID) At() time.Time { return time.Unix(0, int64(id.Time)).UTC() }

// AppendBinary appends the 16-byte big-endian form, whose byte order is the
// order of Compare.
func (id IngestID) AppendBinary(b []byte) ([]byte, error) {
	b = binary.BigEndian.AppendUint64(b, id.Time)
	b = binary.BigEndian.AppendUint32(b, id.Edge)
	return binary.BigEndian.AppendUint32(b, id.Index), nil
}

// IngestIDFromBytes reads the form written by AppendBinary. b must hold at
// least IngestIDSize bytes.
func IngestIDFromBytes(b []byte) IngestID {
	return IngestID{
		Time:  binary.BigEndian.Uint64(b),
		Edge:  binary.BigEndian.Uint32(b[8:]),
		Index: binary.BigEndian.Uint32(b[12:]),
	}
}

// String is the id in 32 lower-case hexadecimal digits, which sort as Compare does.
func (id IngestID) String() string {
	var b [IngestIDSize]byte
	id.AppendBinary(b[:0])
	return hex.EncodeToString(b[:])
}

// ParseIngestID reads the form that String writes.
func ParseIngestID(s string) (IngestID, error) {
	if len(s) != 2*IngestIDSize {
		return IngestID{}, fmt.Errorf("ingest id %q: want %d hexadecimal digits, got %d characters", s, 2*IngestIDSize, len(s))
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return IngestID{}, fmt.Errorf("ingest id %q: %w", s, err)
	}
	return IngestIDFromBytes(b), nil
}
