package engine

import (
	"context"
	"errors"
	"testing"
	"time"

	"arbor/engine/dot"
	"arbor/engine/event"
	"arbor/engine/vfs"
)

// backlogged opens an engine that takes so many events without indexing them, and so many
// of a shard, and fills one shard with a hundred. Nobody indexes before the func that it
// returns is called.
func backlogged(t *testing.T, most, shardMost int64) (e *Engine, s *sample, index func()) {
	t.Helper()
	options := memOptions(vfs.NewMem())
	options.Manual, options.TickEvery, options.MaxLoggedEvents = false, time.Hour, most
	e, err := Open(testContext, options)
	if err != nil {
		t.Fatal(err)
	}
	e.backlog.shardMost = shardMost
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := e.indexer.planning.take(testContext); err != nil {
		t.Fatal(err)
	}
	s = newSample()
	s.fill(t, e, 100, 10) // up to the limit
	if n := e.metrics.AppendWaits.Load(); n != 0 {
		t.Fatalf("%d appends waited below the limit", n)
	}
	return e, s, e.indexer.planning.give
}

// waiting waits until so many appends wait, or have waited.
func waiting(t *testing.T, e *Engine, appends int64) {
	t.Helper()
	late := time.Now().Add(5 * time.Minute)
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for ; e.metrics.AppendWaits.Load() < appends; <-look.C {
		if time.Now().After(late) {
			t.Fatalf("%d appends wait, want %d", e.metrics.AppendWaits.Load(), appends)
		}
	}
}

// TestBacklog: who comes when too much waits to be indexed waits too, or gives up and has
// left nothing.
func TestBacklog(t *testing.T) {
	for name, most := range map[string][2]int64{"everything": {100, 1000}, "a shard": {1000, 100}} {
		t.Run(name, func(t *testing.T) { testBacklog(t, most[0], most[1]) })
	}
}

func testBacklog(t *testing.T, most, shardMost int64) {
	e, s, index := backlogged(t, most, shardMost)
	record, err := event.AppendBatch(nil, s.batch(1))
	if err != nil {
		t.Fatal(err)
	}
	impatient, giveUp := context.WithCancel(testContext)
	results := make(chan error)
	go func() { results <- e.Append(impatient, [][]byte{record}) }()
	waiting(t, e, 1)
	giveUp()
	if err := <-results; !errors.Is(err, dot.ErrBacklog) || !errors.Is(err, context.Canceled) {
		t.Errorf("one past the limit: %v", err)
	}
	if _, err := e.AppendNamed(impatient, []dot.Named{named(1, record)}); !errors.Is(err, dot.ErrBacklog) {
		t.Errorf("by a name: %v", err)
	}
	if n := e.metrics.AppendedEvents.Load(); n != 100 {
		t.Errorf("%d events are there, want 100", n)
	}
	want := int64(101)
	if most > shardMost { // another shard has room
		want++
		s.day++
		other, err := event.AppendBatch(nil, s.batch(1))
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Append(testContext, [][]byte{other}); err != nil {
			t.Errorf("another shard: %v", err)
		}
	}
	before := e.metrics.AppendWaits.Load()
	go func() { results <- e.Append(testContext, [][]byte{record}) }()
	waiting(t, e, before+1)
	index() // what is logged is young and little, and due all the same
	if err := <-results; err != nil {
		t.Fatal(err)
	}
	if n := e.metrics.AppendedEvents.Load(); n != want {
		t.Errorf("%d events are there, want %d", n, want)
	}
	if n := countEvents(t, e); n != want {
		t.Errorf("%d events are seen, want %d", n, want)
	}
}

// TestBacklogOfDamage: nobody waits for a shard that cannot be indexed.
func TestBacklogOfDamage(t *testing.T) {
	e, s, index := backlogged(t, 100, 100)
	defer index()
	shard := sampleShard(e)
	shard.mu.Lock()
	shard.broken = ErrDamaged
	shard.mu.Unlock()
	s.fill(t, e, 50, 10)
	if n := e.metrics.AppendWaits.Load(); n != 0 {
		t.Errorf("%d appends waited", n)
	}
}

// TestBacklogAtClose: who waits learns that the engine is closed.
func TestBacklogAtClose(t *testing.T) {
	e, s, index := backlogged(t, 100, 100)
	defer index()
	record, err := event.AppendBatch(nil, s.batch(1))
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan error)
	go func() { result <- e.Append(testContext, [][]byte{record}) }()
	waiting(t, e, 1)
	go e.Close()
	if err := <-result; !errors.Is(err, ErrClosed) {
		t.Errorf("append to a closed engine: %v", err)
	}
}
