package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"arbor/catalog"
	"arbor/engine/appendlog"
	"arbor/engine/dot"
	"arbor/engine/event"
)

// Append makes records durable and then visible: when it returns nil, they are
// on disk and every later scan sees them. When it returns an error each of them
// may or may not be there, now or after the next opening, and appending it again
// is harmless. Where too many events wait to be indexed it waits for room, and gives
// dot.ErrBacklog, with nothing written, when ctx ends before. ctx bounds the waiting, not
// the truth: records that were handed to the log may be written although the caller gave
// up.
func (e *Engine) Append(ctx context.Context, records [][]byte) error {
	leave, err := e.enter()
	if err != nil {
		return err
	}
	defer leave()
	if err := e.admit(ctx, records); err != nil {
		e.metrics.AppendErrors.Add(1)
		return fmt.Errorf("append: %w", err)
	}
	defer e.flights.land(e.flights.depart())
	// The catalog is looked at once the append is under way: whoever erases changes it
	// and then waits for those that are.
	if records, err = event.Suppress(e.catalog.Load(), records); err != nil {
		return fmt.Errorf("append: %w", err)
	}
	headers, err := decodeHeaders(records)
	if err != nil {
		return fmt.Errorf("append: %w", err)
	}
	if len(headers) == 0 {
		return nil // all was erased
	}
	positions, err := e.log.Append(ctx, records)
	if err != nil {
		e.metrics.AppendErrors.Add(1)
		return err
	}
	now := e.now().UnixMicro()
	for i := range records {
		e.publish(headers[i], dot.Dot{}, positions[i], now, recordKeyOf(records[i], headers[i].FirstID))
	}
	e.metrics.appended(headers, records)
	return nil
}

// decodeHeaders checks the records' checksums before they are written.
func decodeHeaders(records [][]byte) ([]event.Header, error) {
	headers := make([]event.Header, len(records))
	for i, r := range records {
		h, err := event.DecodeHeader(r)
		if err != nil {
			return nil, fmt.Errorf("record %d of %d: %w", i, len(records), err)
		}
		headers[i] = h
	}
	return headers, nil
}

// publish makes a logged batch known to its shard. at is when it came; the dot is
// zero if it has no name, and the key if nobody will count its duplicates.
func (e *Engine) publish(h event.Header, d dot.Dot, pos appendlog.Position, at int64, record recordKey) {
	s := e.shard(h.Shard)
	e.backlog.add(pos.Segment, h.Events) // before anybody can settle it
	s.publish(logRef{
		segment: pos.Segment, offset: pos.Offset, length: pos.Length, events: int32(h.Events),
		marks: h.Deletes+h.Undos > 0, at: at, dot: d, record: record,
	})
	e.follower.add(s)
}

// shard finds or makes the shard of that key.
func (e *Engine) shard(k catalog.ShardKey) *shard {
	e.mu.RLock()
	s := e.shards[k.Project][k]
	e.mu.RUnlock()
	if s != nil {
		return s
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.shards[k.Project][k]; s != nil {
		return s
	}
	if e.shards[k.Project] == nil {
		e.shards[k.Project] = map[catalog.ShardKey]*shard{}
	}
	s = newShard(k, e.shardDir(k))
	e.shards[k.Project][k] = s
	return s
}

// flights are the appends whose batches may be in the log without being
// published yet. Whoever needs to know all batches before a place in the log
// waits for those that are under way; later ones land behind.
type flights struct {
	mu sync.Mutex // guards what follows
	// newest are those that began since somebody last waited; earlier are those of
	// before, where some are under way.
	newest  *flight
	earlier []*flight
}

// flight are appends that are waited for together. flights.mu guards it.
type flight struct {
	appends int
	landed  chan struct{} // closed when none is under way; made when somebody waits
}

// depart says that an append begins, and land that its batches are published or will
// never be.
func (f *flights) depart() *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.newest == nil {
		f.newest = new(flight)
	}
	f.newest.appends++
	return f.newest
}

func (f *flights) land(a *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a.appends--; a.appends == 0 && a.landed != nil {
		close(a.landed)
		f.earlier = slices.DeleteFunc(f.earlier, func(e *flight) bool { return e == a })
	}
}

// some reports whether appends are under way.
func (f *flights) some() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.earlier) > 0 || f.newest != nil && f.newest.appends > 0
}

// wait returns when all appends that are under way now have landed.
func (f *flights) wait(ctx context.Context) error {
	f.mu.Lock()
	if f.newest != nil && f.newest.appends > 0 {
		f.newest.landed = make(chan struct{})
		f.earlier, f.newest = append(f.earlier, f.newest), nil
	}
	under := slices.Clone(f.earlier)
	f.mu.Unlock()
	for _, a := range under {
		select {
		case <-a.landed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
