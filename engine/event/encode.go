package event

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync"

	"arbor/catalog"
)

// AppendBatch appends the batch's record to dst. It checks what DecodeBatch
// will check again, not what only Check does; an error leaves dst as it was. The
// record holds copies of all that the batch refers to.
func AppendBatch(dst []byte, b *Batch) ([]byte, error) {
	h, err := summarize(b)
	if err != nil {
		return dst, fmt.Errorf("encode a batch of shard %s: %w", b.Shard, err)
	}
	enc := encoders.Get().(*encoder)
	defer enc.release()
	enc.buf = append(append(dst, recordMagic...), recordVersion, 0, 0, 0, 0)
	enc.header(&h)
	if err := enc.events(&h, b.Events); err != nil {
		return dst, fmt.Errorf("encode a batch of shard %s: %w", b.Shard, err)
	}
	enc.deletes(b)
	rec := enc.buf[len(dst):]
	if len(rec) > MaxBatchBytes {
		return dst, fmt.Errorf("encode a batch of shard %s: %w: %d bytes, at most %d are allowed; send fewer events at once", b.Shard, ErrLimit, len(rec), MaxBatchBytes)
	}
	binary.LittleEndian.PutUint32(rec[sumOffset:], checksum(rec))
	return enc.buf, nil
}

// summarize makes the batch's header and holds its counts, times and ids to
// their limits.
func summarize(b *Batch) (Header, error) {
	h := Header{Shard: b.Shard, Events: len(b.Events), Deletes: len(b.Deletes), Undos: len(b.Undos)}
	if h.Events > MaxBatchEvents || h.Deletes > MaxBatchDeletes || h.Undos > MaxBatchDeletes {
		return h, fmt.Errorf("%w: %d events, %d deletes and %d undos; at most %d, %d and %d are allowed",
			ErrLimit, h.Events, h.Deletes, h.Undos, MaxBatchEvents, MaxBatchDeletes, MaxBatchDeletes)
	}
	h.FirstID = catalog.MaxIngestID
	for i := range b.Events {
		e := &b.Events[i]
		h.Properties += len(e.Properties)
		h.include(e.ID)
		if i == 0 {
			h.MinTime, h.MaxTime = e.Time, e.Time
		}
		h.MinTime, h.MaxTime = min(h.MinTime, e.Time), max(h.MaxTime, e.Time)
	}
	targets := 0
	for i := range b.Deletes {
		h.include(b.Deletes[i].ID)
		targets += len(b.Deletes[i].Targets)
	}
	for i := range b.Undos {
		h.include(b.Undos[i].ID)
	}
	if h.Events+h.Deletes+h.Undos == 0 {
		h.FirstID = catalog.IngestID{}
	} else if h.FirstID.IsZero() {
		return h, fmt.Errorf("%w: a record has no ingest id", ErrInvalid)
	}
	if targets > MaxBatchTargets {
		return h, fmt.Errorf("%w: deletes of %d targets, at most %d are allowed", ErrLimit, targets, MaxBatchTargets)
	}
	if h.Events > 0 && (catalog.DayOf(h.MinTime) != b.Shard.Day || catalog.DayOf(h.MaxTime) != b.Shard.Day) {
		return h, fmt.Errorf("%w: times %d to %d are not of the shard's day", ErrInvalid, h.MinTime, h.MaxTime)
	}
	return h, nil
}

func (h *Header) include(id catalog.IngestID) {
	if id.Compare(h.FirstID) < 0 {
		h.FirstID = id
	}
	if id.Compare(h.LastID) > 0 {
		h.LastID = id
	}
}

// encoder writes a record. It remembers the record's names and shapes.
type encoder struct {
	buf    []byte
	names  map[string]uint64
	shapes []encodedShape
	latest map[string]int // the last shape of an event's name
	sorted []string       // the shapes' property names, one run a shape
}

// encodedShape is a shape and the number of the one before of that event's
// name, or -1.
type encodedShape struct {
	shape
	before int
}

// shapesTried is how many shapes of an event's name are compared with an event
// before it gets its own: a shape that is written again costs a few bytes.
const shapesTried = 4

var encoders = sync.Pool{New: func() any {
	return &encoder{names: map[string]uint64{}, latest: map[string]int{}}
}}

// release forgets the batch, so that the pool keeps none alive.
func (w *encoder) release() {
	clear(w.names)
	clear(w.latest)
	clear(w.shapes)
	clear(w.sorted)
	w.buf, w.shapes, w.sorted = nil, w.shapes[:0], w.sorted[:0]
	encoders.Put(w)
}

func (w *encoder) number(v uint64) { w.buf = binary.AppendUvarint(w.buf, v) }

func (w *encoder) id(id catalog.IngestID) { w.buf, _ = id.AppendBinary(w.buf) }

// shortText writes a string of at most 255 bytes.
func (w *encoder) shortText(s string) { w.buf = append(append(w.buf, byte(len(s))), s...) }

func (w *encoder) header(h *Header) {
	w.number(uint64(h.Shard.Project))
	w.buf = binary.AppendVarint(w.buf, int64(h.Shard.Day))
	w.number(uint64(h.Shard.Bucket))
	w.number(uint64(h.Events))
	w.number(uint64(h.Deletes))
	w.number(uint64(h.Undos))
	w.number(uint64(h.Properties))
	if h.Events > 0 {
		w.buf = binary.AppendVarint(w.buf, h.MinTime)
		w.number(uint64(h.MaxTime - h.MinTime))
	}
	if h.Events+h.Deletes+h.Undos > 0 {
		w.id(h.FirstID)
		w.id(h.LastID)
	}
}

func (w *encoder) events(h *Header, events []Event) error {
	before := &Event{ID: h.FirstID}
	before.ID.Index--
	last := -1
	for i := range events {
		e := &events[i]
		if len(e.Name) > MaxEventName || len(e.DistinctID) > MaxDistinctID || len(e.InsertID) > MaxInsertID || len(e.Properties) > MaxProperties {
			return fmt.Errorf("event %d: %w", i, Check(e))
		}
		w.event(h, e, before)
		n, err := w.shape(e, last)
		if err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
		for j := range e.Properties {
			if !w.value(&e.Properties[j].Value) {
				return fmt.Errorf("event %d: %w", i, Check(e))
			}
		}
		before, last = e, n
	}
	return nil
}

// event writes what stands before the shape.
func (w *encoder) event(h *Header, e, before *Event) {
	flags := byte(0)
	if e.ServerTime {
		flags |= flagServerTime
	}
	if e.ID.Time == before.ID.Time && e.ID.Edge == before.ID.Edge {
		flags |= flagIDFollows
	}
	time := uint64(e.Time - h.MinTime)
	if time%1000 == 0 {
		flags |= flagMilliseconds
		time /= 1000
	}
	if e.DistinctID == before.DistinctID {
		flags |= flagSameUser
	}
	w.buf = append(w.buf, flags)
	if flags&flagIDFollows != 0 {
		w.number(uint64(e.ID.Index - before.ID.Index - 1))
	} else {
		w.id(e.ID)
	}
	w.number(time)
	if flags&flagSameUser == 0 {
		w.shortText(e.DistinctID)
	}
	w.shortText(e.InsertID)
}

// shape writes the event's shape and gives its number; last is that of the
// event before, most often the same, or -1.
func (w *encoder) shape(e *Event, last int) (int, error) {
	if last >= 0 && w.shapes[last].fits(e) {
		w.number(uint64(last))
		return last, nil
	}
	latest, ok := w.latest[e.Name]
	if !ok {
		latest = -1
	}
	for n, tries := latest, 0; n >= 0 && tries < shapesTried; n, tries = w.shapes[n].before, tries+1 {
		if w.shapes[n].fits(e) {
			w.number(uint64(n))
			return n, nil
		}
	}
	return w.defineShape(e, latest)
}

func (s *shape) fits(e *Event) bool {
	if len(s.properties) != len(e.Properties) || s.event != e.Name {
		return false
	}
	for i, name := range s.properties {
		if name != e.Properties[i].Name {
			return false
		}
	}
	return true
}

func (w *encoder) defineShape(e *Event, before int) (int, error) {
	n, first := len(w.shapes), len(w.sorted)
	w.number(uint64(n))
	w.name(e.Name)
	w.buf = append(w.buf, byte(len(e.Properties)))
	for i := range e.Properties {
		name := e.Properties[i].Name
		if len(name) > MaxPropertyName || i > 0 && name <= e.Properties[i-1].Name {
			return 0, Check(e)
		}
		w.name(name)
		w.sorted = append(w.sorted, name)
	}
	s := shape{event: e.Name, properties: w.sorted[first:len(w.sorted):len(w.sorted)]}
	w.shapes = append(w.shapes, encodedShape{s, before})
	w.latest[e.Name] = n
	return n, nil
}

func (w *encoder) name(name string) {
	n, ok := w.names[name]
	if !ok {
		n = uint64(len(w.names))
		w.names[name] = n
	}
	w.number(n)
	if !ok {
		w.shortText(name)
	}
}

// value writes a value, or is false where its kind is none or it is too long.
func (w *encoder) value(v *catalog.Value) (ok bool) {
	w.buf, ok = appendValue(w.buf, v)
	return ok
}

// appendValue appends a value, or is false where its kind is none or it is too
// long.
func appendValue(buf []byte, v *catalog.Value) ([]byte, bool) {
	switch v.Kind {
	case catalog.KindString, catalog.KindNumber, catalog.KindJSON:
		n := len(v.Text)
		if n > MaxEventBytes {
			return buf, false
		}
		if n < longValue {
			buf = append(buf, byte(v.Kind)|byte(n)<<kindBits)
		} else {
			buf = append(buf, byte(v.Kind)|longValue<<kindBits)
			buf = binary.AppendUvarint(buf, uint64(n-longValue))
		}
		buf = append(buf, v.Text...)
	case catalog.KindInt:
		z := v.Bits<<1 ^ uint64(int64(v.Bits)>>63)
		n := (bits.Len64(z) + 7) / 8
		buf = append(buf, byte(v.Kind)|byte(n)<<kindBits)
		buf = binary.LittleEndian.AppendUint64(buf, z)
		buf = buf[:len(buf)-8+n]
	case catalog.KindDouble:
		buf = append(buf, byte(v.Kind))
		buf = binary.LittleEndian.AppendUint64(buf, v.Bits)
	case catalog.KindBool:
		buf = append(buf, byte(v.Kind)|byte(v.Bits&1)<<kindBits)
	case catalog.KindNull:
		buf = append(buf, byte(v.Kind))
	default:
		return buf, false
	}
	return buf, true
}

func (w *encoder) deletes(b *Batch) {
	for i := range b.Deletes {
		w.id(b.Deletes[i].ID)
		w.number(uint64(len(b.Deletes[i].Targets)))
		for _, t := range b.Deletes[i].Targets {
			w.id(t)
		}
	}
	for i := range b.Undos {
		w.id(b.Undos[i].ID)
		w.id(b.Undos[i].Delete)
	}
}
