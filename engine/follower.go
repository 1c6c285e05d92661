package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"arbor/catalog"
)

// follower makes logged batches known to their shards' tails, so that the first
// question after a burst finds duplicates matched and columns made. Nobody waits
// for it: Append only leaves the shard's name, and a question makes known itself
// what is missing. What it does is for nothing if the events are indexed before
// somebody asks, so that it takes a small part of the time while events come, and
// does the rest when they stop; a shard that is being indexed, or is about to be,
// it leaves alone. It lags behind by followLagBytes of each shard at most, as long
// as half of its goroutine's time is enough for that. It leaves a shard whose
// columns are full to the questions that need it, so that what it makes known is
// bounded as they are.
type follower struct {
	engine *Engine
	// wake has room for one signal; nil means that nobody follows.
	wake chan struct{}
	// came is when the last batch was published, in nanoseconds.
	came atomic.Int64

	mu sync.Mutex // guards what follows
	// waiting are shards with batches to be looked at, urgent those of them that
	// lag too far.
	waiting, urgent map[*shard]struct{}
}

// Sizes of the follower's work.
const (
	// followAfter is how long batches gather before they are looked at.
	followAfter = 5 * time.Millisecond
	// followEvents is how many events are made known before others have a turn at
	// the tail.
	followEvents = 1 << 13
	// followQuiet is for how long no batch must have come for the follower to work
	// without a rest.
	followQuiet = 25 * time.Millisecond
	// followRests is how many times longer than it worked it rests otherwise.
	followRests = 19
	// followLagBytes is how much of a shard's log may be unknown before it rests only
	// as long as it worked. A first question makes so much known in about 1.2 s
	// of CPU by estimate.
	followLagBytes = 128 << 20
)

// add says that a batch of the shard was published, or that it has another tail.
func (f *follower) add(s *shard) {
	if f.wake == nil {
		return
	}
	f.came.Store(time.Now().UnixNano())
	f.put(s)
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// put lets the shard wait.
func (f *follower) put(s *shard) {
	late := s.unknown() > followLagBytes
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting == nil {
		f.waiting, f.urgent = map[*shard]struct{}{}, map[*shard]struct{}{}
	}
	f.waiting[s] = struct{}{}
	if late {
		f.urgent[s] = struct{}{}
	}
}

// next takes a shard that waits, an urgent one if there is any; nil if none does.
func (f *follower) next() *shard {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, of := range []map[*shard]struct{}{f.urgent, f.waiting} {
		for s := range of {
			delete(f.urgent, s)
			delete(f.waiting, s)
			return s
		}
	}
	return nil
}

// isLate reports whether some shard lags too far.
func (f *follower) isLate() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.urgent) > 0
}

// isQuiet reports whether no events come.
func (f *follower) isQuiet() bool {
	return !f.engine.flights.some() && time.Since(time.Unix(0, f.came.Load())) > followQuiet
}

// run ends when the engine is closed.
func (f *follower) run(ctx context.Context) {
	defer f.engine.work.Done()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		}
		if !f.rest(ctx, followAfter) {
			return
		}
		for s := f.next(); s != nil; s = f.next() {
			start := time.Now()
			f.follow(ctx, s)
			if !f.pause(ctx, time.Since(start)) {
				return
			}
		}
	}
}

// pause rests after work, as long as events come, and reports whether the engine is
// still open.
func (f *follower) pause(ctx context.Context, worked time.Duration) bool {
	for rested := time.Duration(0); rested < followRests*worked && !f.isQuiet(); {
		if rested >= worked && f.isLate() {
			break
		}
		d := min(followRests*worked-rested, max(worked, followAfter), followQuiet)
		if !f.rest(ctx, d) {
			return false
		}
		rested += d
	}
	return ctx.Err() == nil
}

// rest waits, and reports whether the engine is still open.
func (f *follower) rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// follow does a step for a shard, which waits again if there is more to do. An
// error ends that: a question that meets it too says so.
func (f *follower) follow(ctx context.Context, s *shard) {
	if s.isSealing(f.engine.catalog.Load()) && s.unknown() <= followLagBytes {
		return // what is known now is thrown away then, and what is left comes again
	}
	more, err := f.step(ctx, s)
	if err != nil {
		if ctx.Err() == nil {
			f.engine.logger.Warn("logged events wait for the next question", "shard", s.key.String(), "error", err)
		}
		return
	}
	if more {
		f.put(s)
	}
}

// step makes some batches of a shard known and reports whether there is more to do.
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
	if err := t.extend(ctx, v.upTo(t.columns.batches(), followEvents)); err != nil {
		return false, v.blame(err)
	}
	if t.columns.batches() < len(v.logs) {
		return true, nil
	}
	if f.wake != nil && !f.isQuiet() {
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
