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
//
// Who is visible it works out when events have stopped, and not for a shard again before
// it has rested from that as long as it would have while they came: where statements come one
// after the other, each pause between two of them looks like the end.
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
	// reckoned are shards whose state was worked out lately.
	reckoned map[*shard]reckonedLately
}

// reckonedLately says that a shard's state is not to be worked out again before a moment,
// and whether it is to be then.
type reckonedLately struct {
	until time.Time
	again bool
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
		if !f.sleep(ctx) || !f.rest(ctx, followAfter) {
			return
		}
		f.takeDue(time.Now())
		for s := f.next(); s != nil; s = f.next() {
			start := time.Now()
			f.follow(ctx, s)
			if !f.pause(ctx, time.Since(start)) {
				return
			}
		}
	}
}

// sleep waits for a batch, or until a state may be worked out again, and reports whether
// the engine is still open.
func (f *follower) sleep(ctx context.Context) bool {
	var due <-chan time.Time
	if at, ok := f.nextDue(); ok {
		timer := time.NewTimer(time.Until(at))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-f.wake:
	case <-due:
	}
	return true
}

// nextDue is the moment at which the first shard's state may be worked out again, if
// there is any to be.
func (f *follower) nextDue() (at time.Time, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.reckoned {
		if r.again && (!ok || r.until.Before(at)) {
			at, ok = r.until, true
		}
	}
	return at, ok
}

// takeDue lets the shards wait whose states are to be worked out again by now.
func (f *follower) takeDue(now time.Time) {
	f.mu.Lock()
	var due []*shard
	for s, r := range f.reckoned {
		if r.until.After(now) {
			continue
		}
		delete(f.reckoned, s)
		if r.again {
			due = append(due, s)
		}
	}
	f.mu.Unlock()
	for _, s := range due {
		f.put(s)
	}
}

// mayReckon reports whether a shard's state may be worked out. If not, that is put off.
func (f *follower) mayReckon(s *shard) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, lately := f.reckoned[s]
	if lately {
		r.again = true
		f.reckoned[s] = r
	}
	return !lately
}

// restFromReckoning says that a shard's state has been worked out, and how long that took.
func (f *follower) restFromReckoning(s *shard, took time.Duration) {
	if took < followAfter {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reckoned == nil {
		f.reckoned = map[*shard]reckonedLately{}
	}
	f.reckoned[s] = reckonedLately{until: time.Now().Add(followRests * took)}
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
	if !f.mayReckon(s) {
		return false, nil
	}
	// Who is visible is worked out too, as most questions will ask.
	start := time.Now()
	_, err = v.reckoned(rulesFor(f.engine.catalog.Load(), s.key, catalog.IngestID{}, nil))
	f.restFromReckoning(s, time.Since(start))
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
