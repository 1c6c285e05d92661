package protocol

import (
	"flag"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	seeds     = flag.Uint64("seeds", 200, "how many seeds the simulator plays")
	firstSeed = flag.Uint64("first", 1, "the first of them")
	rewrite   = flag.Bool("rewrite", false, "write the golden files anew")
)

// play plays one seed.
func play(seed uint64, planted bug) (*world, error) {
	w := newWorld(seed, planted)
	return w, w.live()
}

// TestSimulation plays the protocol through seeds full of faults. A failure
// prints the seed: run it alone with -args -first=SEED -seeds=1.
func TestSimulation(t *testing.T) {
	if testing.Short() {
		*seeds = min(*seeds, 8)
	}
	counts := map[string]int{}
	var mu sync.Mutex
	var next atomic.Uint64
	next.Store(*firstSeed)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				seed := next.Add(1) - 1
				if seed >= *firstSeed+*seeds || t.Failed() {
					return
				}
				w, err := play(seed, "")
				if err != nil {
					t.Errorf("seed %d, %+v: %v", seed, w.swarm, err)
				}
				mu.Lock()
				for k, n := range w.counts {
					counts[k] += n
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d seeds: %v", *seeds, counts)
	for _, kind := range []string{"acked", "answered", "refused", "unanswered", "lost", "indexed", "merged", "adopted", "config", "stop", "rotten", "repaired", "disowned"} {
		if counts[kind] == 0 && *seeds >= 100 {
			t.Errorf("the simulator never saw: %s", kind)
		}
	}
}

// TestSameSeedSameTrace: a seed can be played again.
func TestSameSeedSameTrace(t *testing.T) {
	for seed := range uint64(8) {
		a, errA := play(seed, "")
		b, errB := play(seed, "")
		if a.trace != b.trace || fmt.Sprint(errA) != fmt.Sprint(errB) || fmt.Sprint(a.counts) != fmt.Sprint(b.counts) {
			t.Errorf("seed %d: traces %x and %x", seed, a.trace, b.trace)
		}
	}
}
