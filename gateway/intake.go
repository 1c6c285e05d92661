package gateway

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"arbor/catalog"
	"arbor/engine/event"
)

// intake is a request's events while they are taken in: checked and stamped one
// by one, and written to the records of their shards as they come, so that none
// of them is kept. Its zero value is ready for begin; it is reused for its
// buffers, by one goroutine at a time.
type intake struct {
	gateway *Gateway
	options IngestOptions
	// decoded says that a decoder made the events, so that only their limits are
	// checked.
	decoded bool
	now     int64 // in microseconds
	done    Ingested

	// parts are those of the projects; spare are some of earlier requests.
	parts, spare []*part
	// recorders make the records, in the order in which their shards came first;
	// used is how many of them are in use, and places where each shard's is, the
	// last one's if it has several.
	recorders []*event.Recorder
	used      int
	places    map[catalog.ShardKey]int
	last      *event.Recorder

	// loan pays for the recorders of a request over HTTP; nil is for others.
	loan *loan

	buffer []byte // of the records
	id     []byte // scratch for an insert id
}

// part is a project's part of the events.
type part struct {
	project                        *catalog.Project
	stored, unidentified, rejected int
	seen                           seenProperties
}

// recorderBytes is about what a recorder takes beside its events.
const recorderBytes = 2 << 10

// begin begins a request.
func (in *intake) begin(g *Gateway, o IngestOptions, decoded bool) error {
	in.end()
	if err := checkIdempotencyKey(o.IdempotencyKey); err != nil {
		return err
	}
	if o.ID.IsZero() {
		o.ID = g.stamper.Stamp()
	}
	in.gateway, in.options, in.decoded, in.now = g, o, decoded, int64(o.ID.Time/1000)
	in.done = Ingested{ID: o.ID}
	return nil
}

// end forgets the request. Its records may be overwritten from now on.
func (in *intake) end() {
	clear(in.places)
	for _, r := range in.recorders[:in.used] {
		r.Reset(catalog.ShardKey{}) // which lets go of the request's strings
	}
	for _, p := range in.parts {
		p.seen.reset()
		*p = part{seen: p.seen}
	}
	in.spare = append(in.spare, in.parts...)
	in.parts, in.used, in.last, in.done = in.parts[:0], 0, nil, Ingested{}
	in.gateway, in.options = nil, IngestOptions{}
}

// footprint is about how many bytes the buffers have.
func (in *intake) footprint() int {
	const place, part = 64, 1 << 10
	n := cap(in.buffer) + len(in.recorders)*recorderBytes + len(in.places)*place + len(in.spare)*part
	for _, r := range in.recorders {
		n += r.Footprint()
	}
	return n
}

// part gives the project's part of the request.
func (in *intake) part(project *catalog.Project) *part {
	for _, p := range in.parts {
		if p.project.ID == project.ID {
			return p
		}
	}
	p := new(part)
	if n := len(in.spare); n > 0 {
		p, in.spare = in.spare[n-1], in.spare[:n-1]
	}
	p.project = project
	in.parts = append(in.parts, p)
	return p
}

// add takes one event in, or notes why it is refused. The event gets its ingest
// id, and the server's time and an insert id where it needs them. Of its strings
// those that are names must hold until the request has ended. A kind above 0 is
// as event.Recorder has it.
func (in *intake) add(p *part, e *event.Event, index uint32, kind int) error {
	e.ID = catalog.IngestID{Time: in.options.ID.Time, Edge: in.options.ID.Edge, Index: index}
	if e.ServerTime {
		e.Time = in.now
	}
	if e.InsertID == "" && in.options.IdempotencyKey != "" {
		in.id = append(append(in.id[:0], in.options.IdempotencyKey...), ':')
		in.id = strconv.AppendUint(in.id, uint64(index), 10)
		e.InsertID = unsafe.String(unsafe.SliceData(in.id), len(in.id))
		defer func() { e.InsertID = "" }() // before the bytes are those of another
	}
	if refused := in.check(e); refused != nil {
		p.rejected++
		in.done.Rejected = append(in.done.Rejected, *refused)
		return nil
	}
	p.stored++
	if e.InsertID == "" {
		p.unidentified++
	}
	p.seen.add(e.Properties, kind)
	key := p.project.Shard(e.Time, e.DistinctID, e.InsertID)
	r := in.last
	if r == nil || r.Shard() != key || r.Len() >= recordEvents || r.Room() >= recordBytes {
		var err error
		if r, err = in.recorder(key); err != nil {
			return err
		}
		in.last = r
	}
	return r.Add(e, kind)
}

// recorder gives the recorder that the shard's next event goes to.
func (in *intake) recorder(key catalog.ShardKey) (*event.Recorder, error) {
	if at, ok := in.places[key]; ok {
		if r := in.recorders[at]; r.Len() < recordEvents && r.Room() < recordBytes {
			return r, nil
		}
	}
	if in.loan != nil {
		if err := in.loan.grow(recorderBytes); err != nil {
			return nil, err
		}
	}
	if in.used == len(in.recorders) {
		in.recorders = append(in.recorders, new(event.Recorder))
	}
	if in.places == nil {
		in.places = make(map[catalog.ShardKey]int)
	}
	r := in.recorders[in.used]
	in.places[key] = in.used
	in.used++
	r.Reset(key)
	return r, nil
}

// check returns what is wrong with a stamped event, or nil.
func (in *intake) check(e *event.Event) *RecordError {
	switch {
	case in.options.RequireInsertID && e.InsertID == "":
		return refuseEvent(e, "properties.$insert_id", "'properties.$insert_id' is missing: send one that is unique to the event and the same in every retry")
	case e.Time > in.now+MaxFuture:
		return refuseEvent(e, "properties.time", "'properties.time' is invalid: it is more than 48 hours ahead of the server's clock; send seconds or milliseconds since 1970 UTC")
	}
	var err error
	switch {
	case in.options.checked:
	case in.decoded:
		err = event.CheckLimits(e)
	default:
		err = event.Check(e)
	}
	if err != nil {
		field, message := explainCheck(err)
		return refuseEvent(e, field, message)
	}
	return nil
}

// refuseEvent keeps nothing of the event itself.
func refuseEvent(e *event.Event, field, message string) *RecordError {
	return &RecordError{Index: int(e.ID.Index), InsertID: strings.Clone(e.InsertID), Field: field, Message: message}
}

// store makes all that was added durable, and says what became of it. What it
// gives holds until the request has ended.
func (in *intake) store(ctx context.Context) (Ingested, error) {
	g := in.gateway
	if in.options.Atomic && len(in.done.Rejected) > 0 {
		return in.done, fmt.Errorf("%w: %w", ErrRefused, &in.done.Rejected[0])
	}
	for _, p := range in.parts {
		if p.stored == 0 {
			continue
		}
		if err := g.observe(ctx, p.project, &p.seen); err != nil {
			return in.done, err
		}
	}
	records, err := in.records()
	if err != nil {
		return in.done, err
	}
	if len(records) > 0 {
		if err := g.cluster.Append(ctx, records); err != nil {
			return in.done, fmt.Errorf("%w: %w", errStorage, err)
		}
	}
	in.done.Records = records
	for _, p := range in.parts {
		in.done.Stored += p.stored
		in.done.Unidentified += p.unidentified
		g.metrics.ingested(p)
	}
	return in.done, nil
}

// records encodes what was added, into one buffer.
func (in *intake) records() ([][]byte, error) {
	room := 0
	for _, r := range in.recorders[:in.used] {
		room += r.Room()
	}
	if cap(in.buffer) < room {
		in.buffer = make([]byte, 0, room)
	}
	b := in.buffer[:0]
	records := make([][]byte, 0, in.used)
	for _, r := range in.recorders[:in.used] {
		start := len(b)
		var err error
		if b, err = r.AppendRecord(b); err != nil {
			return nil, err
		}
		records = append(records, b[start:len(b):len(b)])
	}
	return records, nil
}
