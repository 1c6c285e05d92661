package event

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"arbor/catalog"
)

// Recorder makes the record of one shard's events while they come, one after the
// other. The record is, byte for byte, the one that AppendBatch makes of them
// all; but no event has to be kept until then. A Recorder is reused for its
// buffers, by one goroutine at a time.
//
// What an event's bytes need of the events to come are the least time and the
// least id, which are in the header. So Add writes all that stands behind an
// event's time, and AppendRecord, when the header is known, what stands before
// it.
type Recorder struct {
	encoder // buf has what stands behind the times
	header  Header
	noted   []noted
	// user is where the last event's distinct id is in buf.
	user struct{ from, to int }
	// last is the shape of the last event, or -1.
	last int
	// ofKind are the shapes of the kinds that came, by their numbers, plus one.
	ofKind []int32
}

// noted is what of an event waits for the header.
type noted struct {
	id    catalog.IngestID
	time  int64
	end   int // of the rest of the event in buf
	flags byte
}

// maxKinds bounds the numbers of kinds that a Recorder remembers.
const maxKinds = 1 << 10

// Reset begins a record of the shard.
func (r *Recorder) Reset(shard catalog.ShardKey) {
	if r.names == nil {
		r.names, r.latest = map[string]uint64{}, map[string]int{}
	}
	clear(r.names)
	clear(r.latest)
	clear(r.shapes)
	clear(r.sorted)
	r.buf, r.shapes, r.sorted = r.buf[:0], r.shapes[:0], r.sorted[:0]
	r.header = Header{Shard: shard, FirstID: catalog.MaxIngestID}
	r.noted, r.ofKind = r.noted[:0], r.ofKind[:0]
	r.user.from, r.user.to, r.last = 0, 0, -1
}

// Shard is the shard that the record is of.
func (r *Recorder) Shard() catalog.ShardKey { return r.header.Shard }

// Len is the number of events in the record.
func (r *Recorder) Len() int { return len(r.noted) }

// Room is at least what the record will take.
func (r *Recorder) Room() int {
	return maxRecordHeader + len(r.buf) + len(r.noted)*maxEventHead
}

// The most that a record's header takes, and that an event has before its
// distinct id.
const (
	maxRecordHeader = headerOffset + 9*binary.MaxVarintLen64 + 2*catalog.IngestIDSize
	maxEventHead    = 1 + catalog.IngestIDSize + binary.MaxVarintLen64
)

// Footprint is about how many bytes the Recorder's buffers have.
func (r *Recorder) Footprint() int {
	return cap(r.buf) + cap(r.noted)*int(unsafe.Sizeof(noted{})) + cap(r.ofKind)*4 +
		cap(r.shapes)*int(unsafe.Sizeof(encodedShape{})) + cap(r.sorted)*int(unsafe.Sizeof(""))
}

// Add adds an event to the record. Of its strings those that are names must hold
// until the record is made; the others are copied. A kind above 0 says that all
// events of this kind that are added between two calls of Reset have the same
// name and properties of the same names. Add checks what AppendBatch does; after
// an error the record is of no use.
func (r *Recorder) Add(e *Event, kind int) error {
	if len(e.Name) > MaxEventName || len(e.DistinctID) > MaxDistinctID || len(e.InsertID) > MaxInsertID || len(e.Properties) > MaxProperties {
		return r.refuse(Check(e))
	}
	n := noted{id: e.ID, time: e.Time}
	if e.ServerTime {
		n.flags = flagServerTime
	}
	if e.DistinctID == string(r.buf[r.user.from:r.user.to]) {
		n.flags |= flagSameUser
	} else {
		r.shortText(e.DistinctID)
		r.user.from, r.user.to = len(r.buf)-len(e.DistinctID), len(r.buf)
	}
	r.shortText(e.InsertID)
	if err := r.shapeOf(e, kind); err != nil {
		return r.refuse(err)
	}
	buf, ok := r.buf, true
	for i := range e.Properties {
		if buf, ok = appendValue(buf, &e.Properties[i].Value); !ok {
			return r.refuse(Check(e))
		}
	}
	r.buf = buf
	n.end = len(buf)
	r.note(e, n)
	return nil
}

// refuse says of which event an error is.
func (r *Recorder) refuse(err error) error {
	return fmt.Errorf("encode event %d of a batch of shard %s: %w", len(r.noted), r.header.Shard, err)
}

// shapeOf writes the event's shape.
func (r *Recorder) shapeOf(e *Event, kind int) (err error) {
	if kind > 0 && kind < len(r.ofKind) && r.ofKind[kind] > 0 {
		r.last = int(r.ofKind[kind] - 1)
		r.number(uint64(r.last))
		return nil
	}
	if r.last, err = r.shape(e, r.last); err != nil {
		return err
	}
	if kind > 0 && kind < maxKinds {
		for len(r.ofKind) <= kind {
			r.ofKind = append(r.ofKind, 0)
		}
		r.ofKind[kind] = int32(r.last + 1)
	}
	return nil
}

// note puts the event into the header.
func (r *Recorder) note(e *Event, n noted) {
	h := &r.header
	if len(r.noted) == 0 {
		h.MinTime, h.MaxTime = e.Time, e.Time
	}
	h.MinTime, h.MaxTime = min(h.MinTime, e.Time), max(h.MaxTime, e.Time)
	h.include(e.ID)
	h.Properties += len(e.Properties)
	r.noted = append(r.noted, n)
}

// AppendRecord appends the record to dst. An error leaves dst as it was.
func (r *Recorder) AppendRecord(dst []byte) ([]byte, error) {
	h := &r.header
	h.Events = len(r.noted)
	switch {
	case h.Events == 0:
		h.FirstID = catalog.IngestID{}
	case h.Events > MaxBatchEvents:
		return dst, r.refuse(fmt.Errorf("%w: at most %d events are allowed", ErrLimit, MaxBatchEvents))
	case h.FirstID.IsZero():
		return dst, r.refuse(fmt.Errorf("%w: a record has no ingest id", ErrInvalid))
	case catalog.DayOf(h.MinTime) != h.Shard.Day || catalog.DayOf(h.MaxTime) != h.Shard.Day:
		return dst, r.refuse(fmt.Errorf("%w: times %d to %d are not of the shard's day", ErrInvalid, h.MinTime, h.MaxTime))
	}
	w := encoder{buf: append(append(dst, recordMagic...), recordVersion, 0, 0, 0, 0)}
	w.header(h)
	w.buf = r.appendEvents(w.buf)
	rec := w.buf[len(dst):]
	if len(rec) > MaxBatchBytes {
		return dst, r.refuse(fmt.Errorf("%w: %d bytes, at most %d are allowed; send fewer events at once", ErrLimit, len(rec), MaxBatchBytes))
	}
	binary.LittleEndian.PutUint32(rec[sumOffset:], checksum(rec))
	return w.buf, nil
}

// appendEvents puts both parts of each event together.
func (r *Recorder) appendEvents(buf []byte) []byte {
	before := r.header.FirstID
	before.Index--
	start := 0
	for i := range r.noted {
		n := &r.noted[i]
		flags, time := n.flags, uint64(n.time-r.header.MinTime)
		follows := n.id.Time == before.Time && n.id.Edge == before.Edge
		if follows {
			flags |= flagIDFollows
		}
		if time%1000 == 0 {
			flags |= flagMilliseconds
			time /= 1000
		}
		buf = append(buf, flags)
		if follows {
			buf = binary.AppendUvarint(buf, uint64(n.id.Index-before.Index-1))
		} else {
			buf, _ = n.id.AppendBinary(buf)
		}
		buf = binary.AppendUvarint(buf, time)
		buf = append(buf, r.buf[start:n.end]...)
		before, start = n.id, n.end
	}
	return buf
}
