package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
	"arbor/engine/event"
)

// Limits of what Records gives at once.
const (
	recordsEvents = 4096
	recordsBytes  = 1 << 20
)

// Records gives all that is stored of a shard, as batches of their own: its events,
// copies and deleted ones too, each once, then its deletes and undos. What it gives can be
// appended elsewhere, and is the same set there. Of what was erased it gives nothing,
// and of records that share an id neither. A batch is the receiver's.
func (e *Engine) Records(ctx context.Context, k catalog.ShardKey, yield func(*event.Batch) error) error {
	leave, err := e.enter()
	if err != nil {
		return err
	}
	defer leave()
	e.mu.RLock()
	s := e.shards[k.Project][k]
	e.mu.RUnlock()
	if s == nil {
		return nil
	}
	v, err := s.view(e)
	if err == nil {
		defer v.release()
		err = v.blame(v.records(ctx, e.catalog.Load(), yield))
	}
	if err != nil {
		return fmt.Errorf("records of shard %s: %w", k, err)
	}
	return nil
}

func (v *view) records(ctx context.Context, c *catalog.Catalog, yield func(*event.Batch) error) error {
	k := v.shard.key
	r := rulesFor(c, k, catalog.IngestID{}, nil)
	r.stored, r.upTo = true, catalog.IngestID{}
	st, err := v.state(ctx, r)
	if err != nil {
		return err
	}
	g := recordGiver{shard: k, yield: yield, erased: c.Suppressed(k.Project, k.Bucket)}
	for i, f := range v.files.files {
		if err := g.file(ctx, f, &st.files[i]); err != nil {
			return err
		}
	}
	err = v.eachLogged(ctx, func(number uint32, e *event.Event) {
		if g.err == nil && st.log.there(number) {
			g.add(e)
		}
	})
	if err == nil {
		err = g.err
	}
	if err == nil {
		err = g.give()
	}
	if err != nil {
		return err
	}
	marks, err := v.tombstones(ctx)
	if err != nil {
		return err
	}
	return g.marks(&marks)
}

// there says whether a record is neither absent nor gone.
func (m *marks) there(ordinal uint32) bool {
	if _, absent := slices.BinarySearch(m.absent, ordinal); absent {
		return false
	}
	return m.gone == nil || !m.gone.Has(int(ordinal))
}

// recordGiver collects events into batches.
type recordGiver struct {
	shard  catalog.ShardKey
	yield  func(*event.Batch) error
	erased *catalog.Suppression
	events []event.Event
	bytes  int
	err    error // the first of yield's
}

func (g *recordGiver) file(ctx context.Context, f *file, m *marks) error {
	c := f.cursor()
	for row := range f.rows() {
		if row%recordsEvents == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if !m.there(uint32(row)) {
			continue
		}
		e, err := c.event(row)
		if err != nil {
			return err
		}
		if g.add(e); g.err != nil {
			return g.err
		}
	}
	return nil
}

// add takes an event with memory of its own, and gives those that are enough.
func (g *recordGiver) add(e *event.Event) {
	if g.erased != nil && e.ID.Compare(g.erased.UpTo(e.DistinctID)) <= 0 {
		return
	}
	own := *e
	own.Name, own.DistinctID, own.InsertID = strings.Clone(e.Name), strings.Clone(e.DistinctID), strings.Clone(e.InsertID)
	own.Properties = slices.Clone(e.Properties)
	for i := range own.Properties {
		p := &own.Properties[i]
		p.Name, p.Value.Text = strings.Clone(p.Name), strings.Clone(p.Value.Text)
	}
	g.events = append(g.events, own)
	if g.bytes += event.CanonicalSize(e); g.bytes >= recordsBytes || len(g.events) == recordsEvents {
		g.err = g.give()
	}
}

func (g *recordGiver) give() error {
	if len(g.events) == 0 {
		return nil
	}
	b := event.Batch{Shard: g.shard, Events: g.events}
	g.events, g.bytes = nil, 0
	return g.yield(&b)
}

// marks gives deletes and undos, so many at once as a batch may have.
func (g *recordGiver) marks(t *tombstones) error {
	for len(t.deletes) > 0 {
		n, targets := 0, 0
		for n < len(t.deletes) && n < recordsEvents && (n == 0 || targets+len(t.deletes[n].Targets) <= event.MaxBatchDeletes) {
			targets += len(t.deletes[n].Targets)
			n++
		}
		if err := g.yield(&event.Batch{Shard: g.shard, Deletes: t.deletes[:n]}); err != nil {
			return err
		}
		t.deletes = t.deletes[n:]
	}
	for undos := range slices.Chunk(t.undos, recordsEvents) {
		if err := g.yield(&event.Batch{Shard: g.shard, Undos: undos}); err != nil {
			return err
		}
	}
	return nil
}

// ShardsOf names the shards that the engine has of a project, ascending.
func (e *Engine) ShardsOf(p catalog.ProjectID) (keys []catalog.ShardKey) {
	for _, s := range e.shardsOf(p) {
		keys = append(keys, s.key)
	}
	slices.SortFunc(keys, catalog.ShardKey.Compare)
	return keys
}

// recordColumn is the hashes of the rows [lo, hi) as records.
func (f *file) recordColumn(lo, hi int) (arrow.Array, error) {
	b := newColumnBuilder(catalog.TypeString, hi-lo)
	c := f.cursor()
	for row := lo; row < hi; row++ {
		e, err := c.event(row)
		if err != nil {
			return nil, err
		}
		b.append(catalog.String(recordHash(e)), true)
	}
	return b.array(), nil
}

// recordHash is exec.SourceRecord of an event.
func recordHash(e *event.Event) string { return event.RecordHash(e).String() }
