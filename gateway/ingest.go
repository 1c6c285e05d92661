package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

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
	// checked says that the events have passed event.Check and are not too far
	// ahead.
	checked bool
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
	in := g.borrowIntake()
	defer func() {
		in.buffer = nil // the records are the caller's
		g.returnIntake(in)
	}()
	if err := in.begin(g, o, false); err != nil {
		return Ingested{}, err
	}
	p := in.part(project)
	for i := range events {
		index := o.FirstIndex + uint32(i)
		if o.Indexes != nil {
			index = o.Indexes[i]
		}
		if err := in.add(p, &events[i], index, 0); err != nil {
			return in.done, err
		}
	}
	return in.store(ctx)
}

// borrowIntake gives an intake that is ready to begin.
func (g *Gateway) borrowIntake() *intake {
	if in, ok := g.intakes.Get().(*intake); ok {
		return in
	}
	return new(intake)
}

// returnIntake takes one back, unless it has grown large.
func (g *Gateway) returnIntake(in *intake) {
	in.end()
	if in.footprint() <= keptBufferBytes {
		g.intakes.Put(in)
	}
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

// observe gives the project the columns that the events need. The columns come
// before the events: whoever sees an event can ask for its properties by name.
func (g *Gateway) observe(ctx context.Context, project *catalog.Project, seen *seenProperties) error {
	// The caller's project may be older than the catalog in force.
	project, err := live(g.Catalog(), project)
	if err != nil {
		return err
	}
	needed := seen.needs(project)
	for i := range needed { // the change may outlive the request that they are of
		needed[i].Name = strings.Clone(needed[i].Name)
	}
	for some := range slices.Chunk(needed, catalog.MaxObserved) {
		c, err := g.changeWithin(ctx, catalog.Observe{Project: project.ID, Properties: some})
		if err != nil {
			return fmt.Errorf("add columns to project %s: %w", project.Name, err)
		}
		if _, err = live(c, project); err != nil {
			return err
		}
	}
	return nil
}

// changeWithin changes the catalog, and waits for that no longer than ctx: the disk
// may stall. One change at a time may be left behind so; the others wait for it.
func (g *Gateway) changeWithin(ctx context.Context, change catalog.Change) (*catalog.Catalog, error) {
	select {
	case g.changing <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errStorage, ctx.Err())
	}
	var c *catalog.Catalog
	var err error
	done := make(chan struct{})
	g.changes.Go(func() { // ends when the change has been written; Close waits for it
		defer func() { <-g.changing }()
		defer close(done)
		c, err = g.cluster.Change(context.WithoutCancel(ctx), change)
	})
	select {
	case <-done:
		return c, err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errStorage, ctx.Err())
	}
}

// live is the project as a catalog has it; a dropped one takes no events.
func live(c *catalog.Catalog, project *catalog.Project) (*catalog.Project, error) {
	p, ok := c.ProjectByID(project.ID)
	if !ok || p.DroppedAt != 0 {
		return nil, fmt.Errorf("project %s: %w: it was dropped", project.Name, catalog.ErrNoProject)
	}
	return p, nil
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
