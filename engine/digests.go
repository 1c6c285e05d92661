package engine

import (
	"context"
	"errors"
	"fmt"

	"arbor/catalog"
	"arbor/engine/dot"
	"arbor/engine/event"
)

// Digests gives the content of each of some slots that holds anything, as it is
// seen under the catalog in force: what replicas with the same dots compare. A slot
// that changes meanwhile has the content of some moment.
func (e *Engine) Digests(ctx context.Context, which func(catalog.Slot) bool) (map[catalog.Slot]event.Content, error) {
	leave, err := e.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	c := e.catalog.Load()
	slots := map[catalog.Slot]event.Content{}
	for _, s := range e.allShards() {
		slot := s.key.Slot()
		if !which(slot) {
			continue
		}
		v, err := s.view(e)
		if err != nil {
			return nil, fmt.Errorf("digest of shard %s: %w", s.key, err)
		}
		content, err := v.content(ctx, c)
		v.release()
		if err != nil {
			return nil, fmt.Errorf("digest of shard %s: %w", s.key, err)
		}
		if content != (event.Content{}) {
			slots[slot] = slots[slot].Add(content)
		}
	}
	return slots, nil
}

// Holdings gives what each of some shards holds. which is asked with a hash of the
// names of a shard's batches; what a holding says is of exactly those. A shard that is
// damaged, or has batches without names, is left out: nobody else can hold the same. So
// is one that somebody's events are being erased from, which is not done everywhere at
// one moment.
func (e *Engine) Holdings(ctx context.Context, which func(k catalog.ShardKey, batches uint64) bool) ([]event.Holding, error) {
	leave, err := e.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	c := e.catalog.Load()
	var all []event.Holding
	for _, s := range e.allShards() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if c.Erasing(s.key.Project, s.key.Bucket) != nil {
			continue
		}
		h := event.Holding{Shard: s.key, Catalog: c.Version}
		held, err := e.holding(ctx, c, s, &h, which)
		if err != nil && !errors.Is(err, ErrDamaged) {
			return nil, fmt.Errorf("what shard %s holds: %w", s.key, err)
		}
		if held && err == nil {
			all = append(all, h)
		}
	}
	return all, nil
}

func (e *Engine) holding(ctx context.Context, c *catalog.Catalog, s *shard, h *event.Holding, which func(catalog.ShardKey, uint64) bool) (held bool, err error) {
	v, err := s.view(e)
	if err != nil {
		return false, err
	}
	defer v.release()
	dots, named := v.dots()
	if h.Batches = dots.Hash(); !named || dots.IsEmpty() || !which(s.key, h.Batches) {
		return false, nil
	}
	h.Content, err = v.content(ctx, c)
	return true, err
}

// dots are those of all batches of the view, and named is whether all of them have
// one.
func (v *view) dots() (dots dot.Set, named bool) {
	named = true
	for _, f := range v.files.files {
		of := f.dots()
		dots.AddSet(&of)
		named = named && !of.IsEmpty()
	}
	for _, r := range v.logs {
		if r.dot.IsZero() {
			named = false
		} else {
			dots.Add(r.dot)
		}
	}
	return dots, named
}

// content is all of the view, as it is seen under a catalog.
func (v *view) content(ctx context.Context, c *catalog.Catalog) (content event.Content, err error) {
	if content.Records, err = v.digest(ctx, c); err != nil {
		return content, err
	}
	st, err := v.state(ctx, rulesFor(c, v.shard.key, catalog.IngestID{}, nil))
	if err != nil {
		return content, err
	}
	content.Accepted, content.Deleted, content.Quarantined = st.accepted, st.deleted, st.quarantined
	for i, f := range v.files.files {
		for _, row := range st.files[i].hidden {
			id, err := f.reader.IngestID(int(row))
			if err != nil {
				return content, v.blame(err)
			}
			content.Hidden.AddID(id)
		}
	}
	if len(st.log.hidden) == 0 {
		return content, nil
	}
	next := 0
	err = v.eachLogged(ctx, func(number uint32, e *event.Event) {
		if next < len(st.log.hidden) && st.log.hidden[next] == number {
			content.Hidden.AddID(e.ID)
			next++
		}
	})
	return content, v.blame(err)
}
