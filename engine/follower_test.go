package engine

import (
	"sync"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/engine/exec"
	"arbor/engine/vfs"
)

// followedBatches waits until a shard's tail knows so many batches and nobody asked.
func followedBatches(t *testing.T, s *shard, batches int) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		s.mu.Lock()
		tail := s.now.tail
		s.mu.Unlock()
		if err := tail.turn.take(testContext); err != nil {
			t.Fatal(err)
		}
		known := tail.batches
		tail.turn.give()
		if known == batches {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d batches are known after half a minute", known, batches)
		}
	}
}

// TestFollower: what is appended, and what is found at opening, becomes known
// without a question.
func TestFollower(t *testing.T) {
	fs := vfs.NewMem()
	options := memOptions(fs)
	options.Manual, options.TickEvery = false, time.Hour
	for opening := range 2 {
		e, err := Open(testContext, options)
		if err != nil {
			t.Fatal(err)
		}
		if opening == 0 {
			newSample().fill(t, e, 2000, 100)
		}
		followedBatches(t, sampleShard(e), 20)
		if batches, rows := sampleShard(e).now.tail.columns.held(&view{contents: sampleShard(e).now}); batches != 20 || rows != 2000 {
			t.Errorf("%d batches with %d events are held", batches, rows)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if err := e.Append(testContext, nil); err == nil {
			t.Error("append after Close")
		}
	}
}

// TestFollowerAfterIndex: what an index leaves in the log is known again without a
// question.
func TestFollowerAfterIndex(t *testing.T) {
	options := memOptions(vfs.NewMem())
	options.Manual, options.TickEvery = false, time.Hour
	e, err := Open(testContext, options)
	if err != nil {
		t.Fatal(err)
	}
	newSample().fill(t, e, 2000, 100)
	s := sampleShard(e)
	followedBatches(t, s, 20)
	refs, err := e.indexer.due(testContext, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.indexer.alone(testContext, s, func() error { return e.indexer.build(testContext, s, taskIndex, refs[:5], nil) }); err != nil {
		t.Fatal(err)
	}
	followedBatches(t, s, 15)
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// TestFollowerInSteps: a backlog of more than a step is made known whole, but not
// beyond full columns.
func TestFollowerInSteps(t *testing.T) {
	skipShort(t)
	for _, tt := range []struct {
		budget         int64
		steps, batches int
	}{{0, 3, 25}, {1, 2, 9}} {
		e := openBudgeted(t, tt.budget)
		newSample().fill(t, e, 3*followEvents, 1000)
		shard := sampleShard(e)
		steps := 0
		for more := true; more; steps++ {
			var err error
			if more, err = e.follower.step(testContext, shard); err != nil {
				t.Fatal(err)
			}
		}
		if n := shard.now.tail.batches; n != tt.batches || steps != tt.steps {
			t.Errorf("after %d steps %d of %d batches are known, want %d after %d", steps, n, len(shard.now.logs), tt.batches, tt.steps)
		}
		if states := len(shard.now.tail.states); states != tt.steps-2 {
			t.Errorf("%d states are known", states)
		}
	}
}

// TestFollowerRestsFromReckoning: a state that took long to work out is not worked out again
// for each batch, but once when the rest is over.
func TestFollowerRestsFromReckoning(t *testing.T) {
	e := openSample(t, vfs.NewMem(), "data")
	sample, f := newSample(), &e.follower
	step := func(states int) {
		t.Helper()
		if more, err := f.step(testContext, sampleShard(e)); more || err != nil {
			t.Fatal(more, err)
		}
		if known := len(sampleShard(e).now.tail.states); known != states {
			t.Fatalf("%d states are known, want %d", known, states)
		}
	}
	sample.fill(t, e, 100, 100)
	step(1)
	s := sampleShard(e)
	f.restFromReckoning(s, followAfter-1) // which is not long
	if len(f.reckoned) > 0 {
		t.Error("it rests from next to nothing")
	}
	f.restFromReckoning(s, time.Hour)
	if _, due := f.nextDue(); due {
		t.Error("a state is due with nothing new")
	}
	for range 2 {
		sample.fill(t, e, 100, 100)
		step(1)
	}
	due, ok := f.nextDue()
	if !ok || time.Until(due) < time.Hour {
		t.Fatalf("the next state is due at %v, %v", due, ok)
	}
	f.takeDue(due.Add(-1))
	if f.next() != nil {
		t.Error("the shard waits before its time")
	}
	f.takeDue(due)
	if f.next() != s || f.next() != nil {
		t.Error("the shard does not wait when it is due")
	}
	step(2)
}

// TestAskWhileAppending: with appends, questions, the follower and the indexer at
// once, each question sees what was acknowledged before it, once.
func TestAskWhileAppending(t *testing.T) {
	options := memOptions(vfs.NewMem())
	options.Manual, options.TickEvery, options.Workers = false, time.Hour, 2
	e, err := Open(testContext, options)
	if err != nil {
		t.Fatal(err)
	}
	const batches, each = 60, 50
	shop := newOddShop()
	columns := []exec.Column{{Source: exec.SourceEvent}, {Source: exec.SourceInsertID}, {Property: "any", Type: catalog.TypeString}, {Property: "late", Type: catalog.TypeInt},
		{Property: "words", Type: catalog.TypeString}, {Property: "mixed", Type: catalog.TypeDouble}, {Source: exec.SourceProperties}, {Source: exec.SourceDistinctID}}
	var work sync.WaitGroup
	var mu sync.Mutex // guards appended
	appended := 0
	work.Go(func() {
		for range batches {
			record := shop.record(t, each)
			if err := e.Append(testContext, [][]byte{record}); err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			appended += each
			mu.Unlock()
		}
	})
	for asker := range 2 {
		work.Go(func() {
			for {
				mu.Lock()
				least := appended
				mu.Unlock()
				f := exec.Fragment{Columns: columns, Copies: true, Runs: true}
				if asker == 1 {
					f.Filter = &exec.Expr{Op: exec.OpNot, Args: []*exec.Expr{{Op: exec.OpIsNull, Column: 0}}}
				}
				if n := len(rowsOf(t, e, f)); n < least {
					t.Errorf("%d rows of %d acknowledged", n, least)
				}
				if least == batches*each || t.Failed() {
					return
				}
			}
		})
	}
	work.Go(func() {
		for range 3 {
			if err := e.Index(testContext, 0, false); err != nil {
				t.Error(err)
			}
		}
	})
	work.Wait()
	read := openBudgeted(t, 1)
	again := newOddShop()
	for range batches {
		if err := read.Append(testContext, [][]byte{again.record(t, each)}); err != nil {
			t.Fatal(err)
		}
	}
	f := exec.Fragment{Columns: columns}
	compareRows(t, "in the end", rowsOf(t, e, f), rowsOf(t, read, f))
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// TestLongDictionary: columns with too long a dictionary take no further batch.
func TestLongDictionary(t *testing.T) {
	skipShort(t)
	for limit, batches := range map[int]int{20_000: 1, 2_000_000: 4} {
		e := openBudgeted(t, 0)
		e.columnBudget.maxDictionary = limit
		newSample().fill(t, e, 8000, 2000)
		f := exec.Fragment{Columns: []exec.Column{{Property: "url", Type: catalog.TypeString}}, Copies: true}
		if n := len(rowsOf(t, e, f)); n != 8000 {
			t.Errorf("%d rows", n)
		}
		if n := len(sampleShard(e).now.tail.columns.ends); n != batches {
			t.Errorf("%d batches are held, want %d", n, batches)
		}
	}
}

// TestColumnBudget: what the columns take is counted, up to the limit and one
// batch, and given back when the events are indexed.
func TestColumnBudget(t *testing.T) {
	e := openBudgeted(t, 300<<10)
	s := newSample()
	s.fill(t, e, 4000, 500)
	count := exec.Fragment{Group: countAll}
	rowsOf(t, e, count)
	if held := len(sampleShard(e).now.tail.columns.ends); held == 0 || held == 8 {
		t.Errorf("%d of 8 batches are held", held)
	}
	columns := &sampleShard(e).now.tail.columns
	if taken := e.columnBudget.taken.Load(); taken != columns.size || taken < 100<<10 || taken > 300<<10 {
		t.Errorf("%d bytes of %d are taken, the columns have %d", taken, e.columnBudget.limit, columns.size)
	}
	// Arrays beyond the budget are made, and not kept.
	price := exec.Fragment{Columns: []exec.Column{{Property: "price", Type: catalog.TypeString}}}
	e.columnBudget.limit = e.columnBudget.taken.Load()
	want := rowsOf(t, e, price)
	compareRows(t, "again", rowsOf(t, e, price), want)
	if err := e.Index(testContext, 0, false); err != nil {
		t.Fatal(err)
	}
	if taken := e.columnBudget.taken.Load(); taken != 0 {
		t.Errorf("%d bytes are taken by nothing", taken)
	}
	compareRows(t, "from the file", rowsOf(t, e, price), want)
}
