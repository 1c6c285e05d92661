package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"arbor/catalog"
	"arbor/engine/event"
)

// CutFiles takes a cut of some slots' shards that is files alone: what is logged of them
// is indexed first. All that was acknowledged before the call is in it, and perhaps some
// of what came later. So replicas that divide their slots among them make one copy of
// what they hold together, and nothing in it depends on whose log an event was in.
// A shard that is damaged keeps no other away, and what files it has that can be read
// are there, beside its name among the damaged ones.
func (e *Engine) CutFiles(ctx context.Context, which func(catalog.Slot) bool) (*event.FileCut, error) {
	leave, err := e.enter()
	if err != nil {
		return nil, err
	}
	c := &Cut{engine: e, leave: leave}
	c.unpin.Do(func() {}) // it needs no segment of the log
	out, err := c.files(ctx, which)
	if err != nil {
		c.Release()
		return nil, fmt.Errorf("cut into files: %w", err)
	}
	out.Release = c.Release
	return out, nil
}

// Catalog is the one in force.
func (e *Engine) Catalog() *catalog.Catalog { return e.catalog.Load() }

// files takes hold of the files, and reckons.
func (c *Cut) files(ctx context.Context, which func(catalog.Slot) bool) (*event.FileCut, error) {
	if err := c.holdIndexed(ctx, which); err != nil {
		return nil, err
	}
	out := &event.FileCut{Catalog: c.Catalog.Version, Damaged: c.Damaged}
	for _, s := range c.engine.log.Segments() {
		out.LogEnd = max(out.LogEnd, s.ID)
	}
	for _, s := range c.Shards {
		out.LogEnd = max(out.LogEnd, s.upTo.segment)
		d, visible, err := s.Reckon(ctx)
		if err != nil && slices.ContainsFunc(out.Damaged, func(d event.DamagedShard) bool { return d.Key == s.Key }) {
			continue // as was said
		}
		if errors.Is(err, ErrDamaged) || isDamage(err) {
			out.Damaged = append(out.Damaged, event.DamagedShard{Key: s.Key, Reason: err.Error()})
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reckon shard %s: %w", s.Key, err)
		}
		shard := event.ShardCut{Shard: s.Key, Digest: d, Visible: visible}
		for _, f := range s.Files {
			shard.Files = append(shard.Files, event.CutFile{Path: f.Path, Size: f.Size, Rows: f.Rows, Digest: f.Digest, Content: f.reader.Content(), Sum: func(ctx context.Context) (hash, quick string, err error) {
				sums, err := f.Sum(ctx, func(int) error { return ctx.Err() })
				return sums.Hash, sums.Quick, err
			}})
		}
		out.Shards = append(out.Shards, shard)
	}
	return out, nil
}

// holdIndexed indexes what is logged of each shard, and takes hold of its files before
// anybody else builds one.
func (c *Cut) holdIndexed(ctx context.Context, which func(catalog.Slot) bool) error {
	e := c.engine
	if err := e.indexer.planning.take(ctx); err != nil {
		return err
	}
	defer e.indexer.planning.give()
	c.At = e.now()
	for _, s := range e.allShards() {
		if !which(s.key.Slot()) {
			continue
		}
		err := e.indexer.alone(ctx, s, func() error {
			if s.failure() == nil {
				if err := e.indexer.index(ctx, s); err != nil && s.failure() == nil {
					return err
				}
			}
			if c.holdShard(s) == nil {
				s.mu.Lock()
				defer s.mu.Unlock()
				c.holdFiles(s)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	c.Catalog = e.catalog.Load()
	return nil
}
