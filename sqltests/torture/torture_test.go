package torture

import (
	"context"
	"flag"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	histories = flag.Int("histories", 300, "how many histories TestHistories lives through")
	firstSeed = flag.Uint64("seed", 1, "the seed of the first history; the others count on from it")
	length    = flag.Int("length", 25, "how many operations a history has")
	onlyOps   = flag.String("ops", "", "run only these operations of a history, by number, as 0,3,7")
)

// opsOf is the history of a seed, cut to what -ops asks for.
func opsOf(t *testing.T, seed uint64) []op {
	all := makeOps(seed, *length)
	if *onlyOps == "" {
		return all
	}
	var ops []op
	for _, s := range strings.Split(*onlyOps, ",") {
		i, err := strconv.Atoi(s)
		if err != nil || i < 0 || i >= len(all) {
			t.Fatalf("-ops: %q is not an operation of a history of %d", s, len(all))
		}
		ops = append(ops, all[i])
	}
	return ops
}

// survey lives through histories on all cores and reports the first that fails,
// shrunk.
func survey(t *testing.T, open newSubject, first uint64, count int) {
	t.Helper()
	began := time.Now()
	seeds := make(chan uint64)
	var wg sync.WaitGroup
	var once sync.Once
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := range seeds {
				ops := opsOf(t, seed)
				if _, err := live(t.Context(), open, ops); err != nil {
					once.Do(func() { report(t, open, seed, ops, err) })
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
	t.Logf("%d histories of %d operations, seeds %d to %d, in %s", count, *length, first, first+uint64(count)-1, time.Since(began).Round(time.Millisecond))
}

// report shrinks a failing history and prints it with the command that repeats
// it.
func report(t *testing.T, open newSubject, seed uint64, ops []op, err error) {
	t.Helper()
	small, smallErr := shrink(t.Context(), open, ops, err)
	all := makeOps(seed, *length)
	var numbers []string
	for next, o := 0, 0; next < len(small); o++ {
		if all[o] == small[next] {
			numbers = append(numbers, strconv.Itoa(o))
			next++
		}
	}
	history, _ := live(t.Context(), open, small)
	t.Errorf("history %d: %v\n\nshrunk to %d operations:\n%s\n\n%v\n\nagain: go test ./sqltests/torture -run '^%s$' -seed=%d -histories=1 -length=%d -ops=%s",
		seed, err, len(small), history, smallErr, t.Name(), seed, *length, strings.Join(numbers, ","))
}

// shrinkTime bounds how long a failing history is made smaller.
const shrinkTime = 20 * time.Second

// shrink drops operations, last first, for as long as the history fails.
func shrink(ctx context.Context, open newSubject, ops []op, err error) ([]op, error) {
	deadline := time.Now().Add(shrinkTime)
	for again := true; again; {
		again = false
		for i := len(ops) - 1; i >= 0 && time.Now().Before(deadline); i-- {
			fewer := append(append([]op{}, ops[:i]...), ops[i+1:]...)
			if _, e := live(ctx, open, fewer); e != nil {
				ops, err, again = fewer, e, true
			}
		}
	}
	return ops, err
}
