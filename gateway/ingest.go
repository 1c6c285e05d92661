package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/gateway/track"
)

// Errors of Ingest, beside those of the cluster's Append.
var (
	// ErrRefused says that an atomic ingest stored nothing because an event of
	// it was refused; it wraps the first RecordError.
	ErrRefused = errors.New("nothing was stored")
	// ErrIdempotencyKey says that an idempotency key cannot be used.
	ErrIdempotencyKey = errors.New("invalid idempotency key")
)

// Limits on what is taken in.
const (
	// MaxIdempotencyKey leaves room for a colon and a record's number in an
	// insert id.
	MaxIdempotencyKey = event.MaxInsertID - len(":4294967295")
	// MaxFuture is how far an event's time may be ahead of the server's clock.
	MaxFuture = 48 * 3600 * catalog.Second
)

// IngestOptions say how a request's events are taken in. The zero value stores
// the good events and reports the others.
type IngestOptions struct {
	// ID is the request's stamp; the zero value asks for a new one.
	ID catalog.IngestID
	// FirstIndex is the place of the first event in its request, for a request
	// that is taken in by several calls.
	FirstIndex uint32
	// Indexes are the events' places in their request, where they do not follow
	// each other from FirstIndex. They must be distinct.
	Indexes []uint32
	// Atomic stores nothing at all when an event is refused.
	Atomic bool
	// RequireInsertID refuses events without an insert id.
	RequireInsertID bool
	// IdempotencyKey gives events without an insert id one made of the key and
	// their place in the request, so that the request may be repeated.
	IdempotencyKey string
}

// Ingested says what became of the events.
type Ingested struct {
	// ID is the request's stamp. The event in place i of the request bears it
	// with i as Index.
	ID catalog.IngestID
	// Stored counts the events that are durable.
	Stored int
	// Unidentified counts those of them without an insert id, which no retry can
	// be recognised by.
	Unidentified int
	// Rejected are the events that were not stored, by their places in the request.
	Rejected []RecordError
	// Records are the encoded batches as they were appended, for
	// Cluster.Duplicates.
	Records [][]byte
}

// RecordError says why one event of a request was refused.
type RecordError = track.RecordError

// Ingest takes a request's events in: it checks them, stamps them, lets the
// project have the columns they need, and appends them. When it returns
// without an error, what Ingested counts as stored is durable. When it returns
// an error of the cluster, any of the events may have been stored; taking them
// in again is what their insert ids are for.
//
// An event with ServerTime set gets the server's clock as its time. Events are
// changed in place and belong to Ingest. The context bounds the waiting only.
func (g *Gateway) Ingest(ctx context.Context, project *catalog.Project, events []event.Event, o IngestOptions) (Ingested, error) {
	return g.ingest(ctx, []share{{project: project, events: events, indexes: o.Indexes}}, o)
}

// share is one project's part of a request.
type share struct {
	project *catalog.Project
	events  []event.Event
	// indexes are the events' places in the request, nil where they follow each
	// other.
	indexes []uint32
}

// ingest takes in a request's shares, which all become durable together.
func (g *Gateway) ingest(ctx context.Context, shares []share, o IngestOptions) (Ingested, error) {
	if err := checkIdempotencyKey(o.IdempotencyKey); err != nil {
		return Ingested{}, err
	}
	if o.ID.IsZero() {
		o.ID = g.stamper.Stamp()
	}
	done := Ingested{ID: o.ID}
	stored := make([]stamped, len(shares))
	for i, s := range shares {
		o.Indexes = s.indexes
		stored[i] = stamp(s.events, o)
		done.Rejected = append(done.Rejected, stored[i].rejected...)
	}
	if o.Atomic && len(done.Rejected) > 0 {
		return done, fmt.Errorf("%w: %w", ErrRefused, &done.Rejected[0])
	}
	var records [][]byte
	for i, s := range shares {
		var err error
		if records, err = g.encode(ctx, records, s.project, stored[i].events); err != nil {
			return done, err
		}
	}
	if len(records) > 0 {
		if err := g.cluster.Append(ctx, records); err != nil {
			return done, fmt.Errorf("%w: %w", errStorage, err)
		}
	}
	done.Records = records
	for i, s := range shares {
		done.Stored += len(stored[i].events)
		done.Unidentified += stored[i].unidentified
		g.metrics.ingested(s.project, &stored[i])
	}
	return done, nil
}

// encode makes the project ready for checked events and encodes them, shard by
// shard, into records.
func (g *Gateway) encode(ctx context.Context, records [][]byte, project *catalog.Project, events []event.Event) ([][]byte, error) {
	if len(events) == 0 {
		return records, nil
	}
	project, err := g.observe(ctx, project, events)
	if err != nil {
		return nil, err
	}
	for _, b := range byShard(project, events) {
		if records, err = appendRecords(records, b); err != nil {
			return nil, err
		}
	}
	return records, nil
}

func checkIdempotencyKey(key string) error {
	if len(key) > MaxIdempotencyKey {
		return fmt.Errorf("%w: it has %d bytes, at most %d are allowed; use a UUID or a hash", ErrIdempotencyKey, len(key), MaxIdempotencyKey)
	}
	for i := 0; i < len(key); i++ {
		if key[i] <= ' ' || key[i] > '~' {
			return fmt.Errorf("%w: only visible ASCII characters are allowed; use a UUID or a hash", ErrIdempotencyKey)
		}
	}
	return nil
}

// stamped is what is left of a request's events after the checks.
type stamped struct {
	events       []event.Event
	unidentified int
	rejected     []RecordError
}

// stamp gives each event its ingest id, and the server's time and an insert id
// where it needs them; it keeps those that pass all checks.
func stamp(events []event.Event, o IngestOptions) stamped {
	now := int64(o.ID.Time / 1000)
	in := stamped{events: events[:0]}
	for i := range events {
		e := &events[i]
		index := o.FirstIndex + uint32(i)
		if o.Indexes != nil {
			index = o.Indexes[i]
		}
		e.ID = catalog.IngestID{Time: o.ID.Time, Edge: o.ID.Edge, Index: index}
		if e.ServerTime {
			e.Time = now
		}
		if e.InsertID == "" && o.IdempotencyKey != "" {
			e.InsertID = o.IdempotencyKey + ":" + strconv.FormatUint(uint64(index), 10)
		}
		if refused := checkEvent(e, now, o.RequireInsertID); refused != nil {
			in.rejected = append(in.rejected, *refused)
			continue
		}
		if e.InsertID == "" {
			in.unidentified++
		}
		if kept := len(in.events); kept < i {
			in.events = append(in.events, *e)
		} else {
			in.events = events[:kept+1]
		}
	}
	return in
}

// checkEvent returns what is wrong with a stamped event, or nil.
func checkEvent(e *event.Event, now int64, requireInsertID bool) *RecordError {
	refuse := func(field, message string) *RecordError {
		return &RecordError{Index: int(e.ID.Index), InsertID: e.InsertID, Field: field, Message: message}
	}
	switch {
	case requireInsertID && e.InsertID == "":
		return refuse("properties.$insert_id", "'properties.$insert_id' is missing: send one that is unique to the event and the same in every retry")
	case e.Time > now+MaxFuture:
		return refuse("properties.time", "'properties.time' is invalid: it is more than 48 hours ahead of the server's clock; send seconds or milliseconds since 1970 UTC")
	}
	if err := event.Check(e); err != nil {
		field, message := explainCheck(err)
		return refuse(field, message)
	}
	return nil
}

// observe gives the project the columns that the events need, and gives back
// the project as it then is. The columns come before the events: whoever sees an
// event can ask for its properties by name.
func (g *Gateway) observe(ctx context.Context, project *catalog.Project, events []event.Event) (*catalog.Project, error) {
	// The caller's project may be older than the catalog in force.
	project, err := live(g.Catalog(), project)
	if err != nil {
		return nil, err
	}
	for some := range slices.Chunk(needs(project, events), catalog.MaxObserved) {
		c, err := g.cluster.Change(ctx, catalog.Observe{Project: project.ID, Properties: some})
		if err != nil {
			return nil, fmt.Errorf("add columns to project %s: %w", project.Name, err)
		}
		if project, err = live(c, project); err != nil {
			return nil, err
		}
	}
	return project, nil
}

// live is the project as a catalog has it; a dropped one takes no events.
func live(c *catalog.Catalog, project *catalog.Project) (*catalog.Project, error) {
	p, ok := c.ProjectByID(project.ID)
	if !ok || p.DroppedAt != 0 {
		return nil, fmt.Errorf("project %s: %w: it was dropped", project.Name, catalog.ErrNoProject)
	}
	return p, nil
}

// needs is what the project has to observe in the events, each thing once.
func needs(project *catalog.Project, events []event.Event) []catalog.Observed {
	var needed []catalog.Observed
	var seen map[catalog.Observed]bool
	for i := range events {
		for _, o := range project.Needs(events[i].Properties) {
			if seen[o] {
				continue
			}
			if seen == nil {
				seen = make(map[catalog.Observed]bool)
			}
			seen[o] = true
			needed = append(needed, o)
		}
	}
	return needed
}

// checkedFields are the fields of event.Check in Mixpanel's words.
var checkedFields = map[string]string{
	"event":       "event",
	"time":        "properties.time",
	"distinct_id": "properties.distinct_id",
	"insert_id":   "properties.$insert_id",
	"properties":  "properties",
}

// explainCheck puts an error of event.Check in the words of a RecordError.
func explainCheck(err error) (field, message string) {
	var fault *event.CheckError
	if !errors.As(err, &fault) {
		return "event", err.Error()
	}
	field, ok := checkedFields[fault.Field]
	if !ok {
		field = "properties." + fault.Field
	}
	return field, fmt.Sprintf("'%s' is invalid: %s; %s", field, fault.Problem, fault.Advice)
}
