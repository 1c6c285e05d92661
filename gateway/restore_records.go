package gateway

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// What GET /restore/records answers: a line that names it, then frames, each of a byte and
// what follows it:
//
//	R  the ingest id of a stored event, 16 bytes, and the hash of its record, 16 bytes
//	V  the ingest id of one that is not deleted, 16 bytes
//	E  how many frames there were, 8 bytes, big-endian; the end
const (
	recordsMagic  = "arbor records 1\n"
	frameRecord   = 'R'
	frameUndelete = 'V'
	frameEnd      = 'E'
)

// serveRestoreRecords says which records a project has, or takes records in.
func (g *Gateway) serveRestoreRecords(w http.ResponseWriter, r *http.Request) error {
	user, err := g.mayRestore(r)
	if err != nil {
		return err
	}
	p, err := g.restoreTarget(r)
	if err != nil {
		return err
	}
	if r.Method == http.MethodPost {
		return g.takeRecords(w, r, p, user)
	}
	day, err := time.Parse(time.DateOnly, r.URL.Query().Get("day"))
	if err != nil {
		return fmt.Errorf("%w: day is one such as 2026-01-31", ErrRestoreRequest)
	}
	return g.listRecords(w, r, p, catalog.DayOf(day.UnixMicro()))
}

// listRecords answers with the records of a day.
func (g *Gateway) listRecords(w http.ResponseWriter, r *http.Request, p *catalog.Project, day catalog.Day) error {
	list := recordList{w: w, buffer: []byte(recordsMagic)}
	w.Header().Set("Content-Type", "application/octet-stream")
	for _, stored := range []bool{true, false} {
		f := &exec.Fragment{Project: p.ID, Copies: true, Columns: []exec.Column{{Source: exec.SourceIngestID}, {Source: exec.SourceTime, Hidden: true}}}
		if stored {
			f.Columns = append(f.Columns, exec.Column{Source: exec.SourceRecord})
		}
		f.Filter = &exec.Expr{Op: exec.OpAnd, Args: []*exec.Expr{
			{Op: exec.OpMoreEq, Column: 1, Values: []catalog.Value{catalog.Int(day.Start())}},
			{Op: exec.OpLess, Column: 1, Values: []catalog.Value{catalog.Int((day + 1).Start())}},
		}}
		if err := g.scanRows(r.Context(), f, list.add); err != nil {
			return err
		}
	}
	list.buffer = append(list.buffer, frameEnd)
	list.buffer = binary.BigEndian.AppendUint64(list.buffer, list.frames)
	return list.flush()
}

// recordList writes frames.
type recordList struct {
	w      io.Writer
	buffer []byte
	frames uint64
}

// add adds a row: an id, and the hash of its record if it is asked for.
func (l *recordList) add(row sql.Row) error {
	text, _ := row[0].(string)
	id, err := catalog.ParseIngestID(text)
	if err != nil {
		return err
	}
	kind, hash := byte(frameUndelete), ""
	if len(row) > 1 {
		kind = frameRecord
		hash, _ = row[1].(string)
	}
	l.buffer = append(l.buffer, kind)
	l.buffer, _ = id.AppendBinary(l.buffer)
	if kind == frameRecord {
		h, err := event.ParseHash(hash)
		if err != nil {
			return err
		}
		l.buffer = append(l.buffer, h[:]...)
	}
	l.frames++
	if len(l.buffer) < 64<<10 {
		return nil
	}
	return l.flush()
}

func (l *recordList) flush() error {
	_, err := l.w.Write(l.buffer)
	l.buffer = l.buffer[:0]
	return err
}

// takenRecords says what became of the records of a request.
type takenRecords struct {
	// Events, Deletes and Undos are on disk, and Erased are the events that were left out
	// because somebody had their user erased.
	Events  int `json:"events"`
	Deletes int `json:"deletes"`
	Undos   int `json:"undos"`
	Erased  int `json:"erased"`
}

// takeRecords takes records in under their own ids: the body is encoded batches, each
// behind its length as a uvarint. "of" names the project that they were of and "buckets"
// how many user buckets it had. When it answers they are durable.
func (g *Gateway) takeRecords(w http.ResponseWriter, r *http.Request, p *catalog.Project, user string) (err error) {
	q := r.URL.Query()
	buckets, err := strconv.ParseUint(q.Get("buckets"), 10, 16)
	if err != nil || buckets == 0 || buckets > catalog.MaxBuckets {
		return fmt.Errorf("%w: buckets is a number from 1 to %d", ErrRestoreRequest, catalog.MaxBuckets)
	}
	entry, err := g.auditRestore(r, user, p)
	if err != nil {
		return err
	}
	defer func() { entry.ended(g.logger, err) }()
	l := loan{budget: &g.bodies}
	defer l.end()
	body, err := readBody(nil, r, maxBodyBytes, &l)
	if err != nil {
		return err
	}
	if err := l.grow(2 * len(body)); err != nil { // decoded, and encoded anew
		return err
	}
	in := restoreIntake{gateway: g, project: p, buckets: uint16(buckets), of: map[catalog.ShardKey]*event.Batch{}}
	in.origin, _ = g.Catalog().Project(q.Get("of"))
	if err := in.read(body); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), g.storeTimeout)
	defer cancel()
	if err := in.store(ctx); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, in.done)
	return nil
}

// restoreIntake sorts records that come back into the shards of their project.
type restoreIntake struct {
	gateway *Gateway
	project *catalog.Project
	// origin is the project that the records were of, as it is now; nil if it is not.
	origin  *catalog.Project
	buckets uint16 // that the records were divided into
	of      map[catalog.ShardKey]*event.Batch
	seen    seenProperties
	done    takenRecords
}

// read sorts the records of a body, whose bytes stay where they are.
func (in *restoreIntake) read(body []byte) error {
	for n := 0; len(body) > 0; n++ {
		size, used := binary.Uvarint(body)
		if used <= 0 || size > uint64(len(body)-used) {
			return fmt.Errorf("%w: batch %d is cut off", ErrRestoreRequest, n)
		}
		var b event.Batch
		if err := event.DecodeBatch(body[used:][:size], &b); err != nil {
			return fmt.Errorf("%w: batch %d: %w", ErrRestoreRequest, n, err)
		}
		if err := in.batch(&b); err != nil {
			return fmt.Errorf("%w: batch %d: %w", ErrRestoreRequest, n, err)
		}
		body = body[used:][size:]
	}
	return nil
}

func (in *restoreIntake) batch(b *event.Batch) error {
	latest := uint64(in.gateway.now().Add(maxEdgeAhead).UnixNano())
	ahead := func(id catalog.IngestID) error {
		if id.Time > latest {
			return fmt.Errorf("record %s is more than %s ahead of the server's clock", id, maxEdgeAhead)
		}
		return nil
	}
	for i := range b.Events {
		e := &b.Events[i]
		if err := event.Check(e); err != nil {
			return fmt.Errorf("event %s: %w", e.ID, err)
		}
		if err := ahead(e.ID); err != nil {
			return err
		}
		if in.isErased(e) {
			in.done.Erased++
			continue
		}
		in.done.Events++
		in.seen.add(e.Properties, 0)
		into := in.shard(in.project.Shard(e.Time, e.DistinctID, e.InsertID))
		into.Events = append(into.Events, *e)
	}
	for i := range b.Deletes {
		if err := ahead(b.Deletes[i].ID); err != nil {
			return err
		}
	}
	for i := range b.Undos {
		if err := ahead(b.Undos[i].ID); err != nil {
			return err
		}
	}
	in.done.Deletes += len(b.Deletes)
	in.done.Undos += len(b.Undos)
	if len(b.Deletes)+len(b.Undos) == 0 {
		return nil
	}
	// Which events a delete names is not known here. Where users are divided otherwise
	// they may be in any bucket of the day, and in the others it deletes nothing.
	first, last := b.Shard.Bucket, b.Shard.Bucket
	if in.buckets != in.project.Buckets {
		first, last = 0, in.project.Buckets-1
	}
	if last >= in.project.Buckets {
		return fmt.Errorf("bucket %d of %d", last, in.project.Buckets)
	}
	for bucket := first; bucket <= last; bucket++ {
		into := in.shard(catalog.ShardKey{Project: in.project.ID, Day: b.Shard.Day, Bucket: bucket})
		into.Deletes = append(into.Deletes, b.Deletes...)
		into.Undos = append(into.Undos, b.Undos...)
	}
	return nil
}

// isErased reports whether an event's user was erased from the project that it was of. The
// project that it goes to has erasures of its own, which appending looks at.
func (in *restoreIntake) isErased(e *event.Event) bool {
	if in.origin == nil {
		return false
	}
	k := in.origin.Shard(e.Time, e.DistinctID, e.InsertID)
	s := in.gateway.Catalog().Suppressed(k.Project, k.Bucket)
	return s != nil && e.ID.Compare(s.UpTo(e.DistinctID)) <= 0
}

func (in *restoreIntake) shard(k catalog.ShardKey) *event.Batch {
	b := in.of[k]
	if b == nil {
		b = &event.Batch{Shard: k}
		in.of[k] = b
	}
	return b
}

// store makes all of it durable.
func (in *restoreIntake) store(ctx context.Context) error {
	g := in.gateway
	if in.done.Events > 0 {
		if err := g.observe(ctx, in.project, &in.seen); err != nil {
			return err
		}
	}
	var records [][]byte
	for _, b := range in.of {
		for first := true; first || len(b.Events) > 0; first = false {
			part := event.Batch{Shard: b.Shard, Events: b.Events[:min(len(b.Events), recordEvents)]}
			if first {
				part.Deletes, part.Undos = b.Deletes, b.Undos
			}
			b.Events = b.Events[len(part.Events):]
			record, err := event.AppendBatch(nil, &part)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrRestoreRequest, err)
			}
			records = append(records, record)
		}
	}
	slices.SortFunc(records, func(a, b []byte) int { return slices.Compare(a, b) })
	if len(records) == 0 {
		return nil
	}
	if err := g.cluster.Append(ctx, records); err != nil {
		return fmt.Errorf("%w: %w", errStorage, err)
	}
	return nil
}
