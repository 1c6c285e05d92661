package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"arbor/engine/dot"
	"arbor/engine/event"
)

// DefaultMaxLoggedEvents is how many events may be logged and in no indexed file before
// appends wait. What is known of them takes about 120 bytes each in memory, and as much
// again for each older state of a shard that a long query still holds.
const DefaultMaxLoggedEvents = 4 << 20

// maxShardLogged is how many of them may be one shard's: for each file that comes of a
// shard, a question looks anew for duplicates among all that is still in the log.
const maxShardLogged = 1 << 20

// backlog is what is logged and in no indexed file yet. When it has too many events,
// since they come faster than they are indexed, appends wait for the indexer: memory is
// bounded, and so is what a question has to go through.
type backlog struct {
	// most is how many events there may be before appends wait, and shardMost how many
	// of one shard; 0 is any number.
	most, shardMost int64
	// pressed has room for one signal to the goroutine that indexes.
	pressed chan struct{}

	mu       sync.Mutex     // guards what follows; never held during I/O
	segments map[uint64]int // batches of each log segment
	events   int64
	// freed is closed when there are fewer events; nil if nobody waits for it.
	freed chan struct{}
}

// open sets the bound, 0 for none.
func (b *backlog) open(most int64) {
	b.most, b.shardMost, b.pressed, b.segments = most, min(most, maxShardLogged), make(chan struct{}, 1), map[uint64]int{}
}

// add counts a batch that was published.
func (b *backlog) add(segment uint64, events int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.segments[segment]++
	if b.events += int64(events); b.isPressed() {
		b.press()
	}
}

// settle counts batches as indexed.
func (b *backlog) settle(refs []logRef) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range refs {
		b.events -= int64(r.events)
		if b.segments[r.segment]--; b.segments[r.segment] <= 0 {
			delete(b.segments, r.segment)
		}
	}
	if b.freed != nil {
		close(b.freed)
		b.freed = nil
	}
}

// needs reports whether a segment holds batches that are in no file.
func (b *backlog) needs(segment uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.segments[segment] > 0
}

// pressing reports whether all that is logged is due, however young or small it is.
func (b *backlog) pressing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.isPressed()
}

// isPressed: from three quarters on, so that appends need not wait as a rule.
func (b *backlog) isPressed() bool { return b.most > 0 && b.events >= b.most-b.most/4 }

// press tells the indexer.
func (b *backlog) press() {
	select {
	case b.pressed <- struct{}{}:
	default:
	}
}

// isFull reports whether there are too many events, those of damaged shards among them.
func (b *backlog) isFull() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.events >= b.most
}

// next tells the indexer, and gives what is closed when something is indexed.
func (b *backlog) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.freed == nil {
		b.freed = make(chan struct{})
	}
	b.press()
	return b.freed
}

// waitsIndexed is how long at most an append waits before it looks again whether it has
// to: shards may have been found damaged since.
const waitsIndexed = time.Second

// admitNamedWithin bounds how long AppendNamed waits for room: who sends to several
// replicas goes on without one that is behind, and comes again.
const admitNamedWithin = 2 * time.Second

// admit waits until there is room in the backlog for records, whatever their size. It says
// so if the context ends before. The caller has begun nothing that the indexer waits for.
func (e *Engine) admit(ctx context.Context, records [][]byte) error {
	if e.backlog.most == 0 {
		return nil
	}
	shards, err := e.shardsOfRecords(records)
	if err != nil {
		return err
	}
	freed, full := e.full(shards)
	if full == "" {
		return nil
	}
	e.metrics.AppendWaits.Add(1)
	look := time.NewTicker(waitsIndexed)
	defer look.Stop()
	for ; full != ""; freed, full = e.full(shards) {
		select {
		case <-freed:
		case <-look.C:
		case <-e.life.Done():
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("%w: nothing was written, since %s wait for that already, the most that may: %w", dot.ErrBacklog, full, context.Cause(ctx))
		}
	}
	return nil
}

// full says what is full, everything or one of some shards, and gives what is closed when
// it is worth looking again; nothing if there is room.
func (e *Engine) full(shards []*shard) (freed <-chan struct{}, what string) {
	for _, s := range shards {
		if s.failure() == nil && s.loggedEvents() >= e.backlog.shardMost {
			return e.backlog.next(), fmt.Sprintf("%d events of shard %s", s.loggedEvents(), s.key)
		}
	}
	if e.backlog.isFull() && e.indexable() >= e.backlog.most {
		return e.backlog.next(), fmt.Sprintf("%d events", e.indexable())
	}
	return nil, ""
}

// shardsOfRecords are the shards that records are of and that have something already.
func (e *Engine) shardsOfRecords(records [][]byte) ([]*shard, error) {
	shards := make([]*shard, 0, 8)
	e.mu.RLock()
	defer e.mu.RUnlock()
	for i, r := range records {
		k, err := event.ShardOf(r)
		if err != nil {
			return nil, fmt.Errorf("record %d of %d: %w", i, len(records), err)
		}
		if s := e.shards[k.Project][k]; s != nil {
			shards = append(shards, s)
		}
	}
	return shards, nil
}

// indexable is how many events are logged in shards that are sound: those of damaged ones
// stay in the log until the damage is repaired, and nobody is to wait for that.
func (e *Engine) indexable() (events int64) {
	for _, s := range e.allShards() {
		if s.failure() == nil {
			events += s.loggedEvents()
		}
	}
	return events
}
