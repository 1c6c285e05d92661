package torture

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	histories = flag.Int("histories", 140, "how many histories TestHistories lives through")
	firstSeed = flag.Uint64("seed", 1, "the seed of the first history; the others count on from it")
	length    = flag.Int("length", 25, "how many operations a history has")
	onlyOps   = flag.String("ops", "", "run only these operations of a history, by number, as 0,3,7")
)

// exhaustive reports whether to try all there is, as make torture does.
func exhaustive() bool { return *crashAll || *histories >= 10_000 }

// skipShort leaves out what has no concurrency of its own, and would take long
// under the race detector.
func skipShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("not in short mode")
	}
}

// shortHistories are as many as short mode has time for.
const shortHistories = 20

// story is a history that has not happened yet.
type story struct {
	seed  uint64
	world world
	ops   []op
}

// storyOf is the story of a seed, cut to what -ops asks for. One in three takes
// place on one day, where more events meet in fewer shards; one in ten is long.
func storyOf(seed uint64) (story, error) {
	s := story{seed: seed, world: everywhere}
	if seed%3 == 0 {
		s.world = oneDay
	}
	count := *length
	if seed%10 == 0 {
		count *= 4
	}
	all := makeOps(seed, count)
	if *onlyOps == "" {
		s.ops = all
		return s, nil
	}
	for _, text := range strings.Split(*onlyOps, ",") {
		i, err := strconv.Atoi(text)
		if err != nil || i < 0 || i >= len(all) {
			return s, fmt.Errorf("-ops: %q is not an operation of a history of %d", text, len(all))
		}
		s.ops = append(s.ops, all[i])
	}
	return s, nil
}

// survey lives through histories on all cores and reports the first that fails,
// shrunk.
func survey(t *testing.T, open newSubject, first uint64, count int) {
	t.Helper()
	if testing.Short() {
		count = min(count, shortHistories)
	}
	began := time.Now()
	seeds := make(chan uint64)
	var wg sync.WaitGroup
	var once sync.Once
	var ops, groups, steps, answered atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := range seeds {
				s, err := storyOf(seed)
				if err != nil {
					t.Error(err)
					continue
				}
				ops.Add(int64(len(s.ops)))
				history, err := live(t.Context(), open, s)
				if err != nil {
					once.Do(func() { report(t, open, s, err) })
				}
				if m, ok := history.subject.(*member); ok {
					groups.Add(m.keptGroups)
					steps.Add(m.keptSteps)
					answered.Add(1)
				}
			}
		})
	}
	for i := range count {
		if t.Failed() {
			break
		}
		seeds <- first + uint64(i)
	}
	close(seeds)
	wg.Wait()
	if count >= shortHistories && answered.Load() > 0 && (groups.Load() < int64(count) || steps.Load() < int64(count)) {
		t.Errorf("of %d histories %d files were answered by groups that are kept and %d by steps: too few to show anything", count, groups.Load(), steps.Load())
	}
	t.Logf("%d files were answered by groups that are kept, %d by steps", groups.Load(), steps.Load())
	t.Logf("%d histories, seeds %d to %d, of %d operations together, in %s", count, first, first+uint64(count)-1, ops.Load(), time.Since(began).Round(time.Millisecond))
}

// report shrinks a failing history and prints it with the command that repeats
// it.
func report(t *testing.T, open newSubject, s story, err error) {
	t.Helper()
	all := s.ops
	small, smallErr := shrink(t.Context(), open, s, err)
	var numbers []string
	for next, o := 0, 0; next < len(small.ops); o++ {
		if all[o] == small.ops[next] {
			numbers = append(numbers, strconv.Itoa(o))
			next++
		}
	}
	if *onlyOps != "" {
		numbers = []string{"…"} // of those asked for
	}
	history, _ := live(t.Context(), open, small)
	t.Errorf("history %d: %v\n\nshrunk to %d operations:\n%s\n\n%v\n\nagain: go test ./sqltests/torture -run '^%s$' -seed=%d -histories=1 -length=%d -ops=%s",
		s.seed, err, len(small.ops), history, smallErr, t.Name(), s.seed, *length, strings.Join(numbers, ","))
}

// shrinkTime bounds how long a failing history is made smaller.
const shrinkTime = 20 * time.Second

// shrink drops operations, last first, for as long as the history fails.
func shrink(ctx context.Context, open newSubject, s story, err error) (story, error) {
	deadline := time.Now().Add(shrinkTime)
	for again := true; again; {
		again = false
		for i := len(s.ops) - 1; i >= 0 && time.Now().Before(deadline); i-- {
			fewer := s
			fewer.ops = append(append([]op{}, s.ops[:i]...), s.ops[i+1:]...)
			if _, e := live(ctx, open, fewer); e != nil {
				s, err, again = fewer, e, true
			}
		}
	}
	return s, err
}
