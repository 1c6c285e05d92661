package engine

import (
	"context"
	"sync"
	"time"

	"arbor/catalog"
)

// follower makes logged batches known to their shards' tails soon after they
// came, so that the first question after a burst finds duplicates matched and
// columns made. Nobody waits for it: Append only leaves the shard's name, and a
// question makes known itself what is missing. It is one goroutine, which while
// appends are under way rests as long as it has worked, and it leaves a shard
// whose columns are full to the questions that need it, so that what it makes
// known is bounded as they are.
type follower struct {
	engine *Engine
	// wake has room for one signal; nil means that nobody follows.
	wake chan struct{}

	mu      sync.Mutex // guards what follows
	waiting map[*shard]struct{}
}

// Sizes of the follower's work.
const (
	// followAfter is how long batches gather before they are looked at.
	followAfter = 5 * time.Millisecond
	// followEvents is how many events are made known before others have a turn at
	// the tail.
	followEvents = 1 << 14
)

// add says that a batch of the shard was published.
func (f *follower) add(s *shard) {
	if f.wake == nil {
		return
	}
	f.mu.Lock()
	if f.waiting == nil {
		f.waiting = map[*shard]struct{}{}
	}
	f.waiting[s] = struct{}{}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// take takes the shards that wait.
func (f *follower) take() map[*shard]struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	waiting := f.waiting
	f.waiting = nil
	return waiting
}

// run ends when the engine is closed.
func (f *follower) run(ctx context.Context) {
	defer f.engine.work.Done()
	for f.rest(ctx, 0) {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		}
		if !f.rest(ctx, followAfter) {
			return
		}
		for s := range f.take() {
			f.follow(ctx, s)
		}
	}
}

// rest waits, and reports whether the engine is still open.
func (f *follower) rest(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// follow makes all batches of a shard known. An error ends it: a question that
// meets it too says so.
func (f *follower) follow(ctx context.Context, s *shard) {
	for more := true; more; {
		start := time.Now()
		var err error
		if more, err = f.step(ctx, s); err != nil {
			if ctx.Err() == nil {
				f.engine.logger.Warn("logged events wait for the next question", "shard", s.key.String(), "error", err)
			}
			return
		}
		if f.engine.flights.some() && !f.rest(ctx, time.Since(start)) {
			return
		}
	}
}

// step makes some batches of a shard known and reports whether there are more.
func (f *follower) step(ctx context.Context, s *shard) (more bool, err error) {
	v, err := s.view(f.engine)
	if err != nil || len(v.logs) == 0 {
		if err == nil {
			v.release()
		}
		return false, err
	}
	defer v.release()
	t := v.tail
	if err := t.turn.take(ctx); err != nil {
		return false, err
	}
	defer t.turn.give()
	if t.columns.isFull() {
		return false, nil
	}
	if err := t.extend(ctx, v.upTo(t.batches, followEvents)); err != nil {
		return false, v.blame(err)
	}
	if t.batches < len(v.logs) {
		return true, nil
	}
	if f.engine.flights.some() {
		return false, nil // more is to come
	}
	// Who is visible is worked out too, as most questions will ask.
	_, err = v.reckoned(rulesFor(f.engine.catalog.Load(), s.key, catalog.IngestID{}, nil))
	return false, v.blame(err)
}

// upTo is the view without the batches beyond so many events after the first
// batches.
func (v *view) upTo(batches, events int) *view {
	some := *v
	for i := batches; i < len(v.logs); i++ {
		if events -= int(v.logs[i].events); events <= 0 {
			some.logs = v.logs[:i+1]
			break
		}
	}
	return &some
}
