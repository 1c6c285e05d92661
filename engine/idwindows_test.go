package engine

import (
	"math/rand/v2"
	"slices"
	"testing"

	"arbor/catalog"
)

// TestIDWindows: an id that two spans have is in one window, however the windows
// are split, and no window has more of the sample than it may.
func TestIDWindows(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 21))
		most := 1 + rng.IntN(20)
		id := func() catalog.IngestID {
			return catalog.IngestID{Time: uint64(rng.IntN(8)), Edge: uint32(rng.IntN(2)) * ^uint32(0), Index: uint32(rng.IntN(6)) * (^uint32(0) / 5)}
		}
		var spans []idWindow
		var all []catalog.IngestID
		in := map[catalog.IngestID]int{}
		for range 1 + rng.IntN(5) {
			seen := map[catalog.IngestID]bool{}
			first := id()
			w := idWindow{first, first}
			for _, x := range append([]catalog.IngestID{id(), id(), id()}[:rng.IntN(4)], first) {
				if w.least.Compare(x) > 0 {
					w.least = x
				}
				if w.greatest.Compare(x) < 0 {
					w.greatest = x
				}
				if !seen[x] {
					seen[x] = true
					in[x]++
				}
				all = append(all, x)
			}
			spans = append(spans, w)
		}
		slices.SortFunc(all, catalog.IngestID.Compare)
		windows := splitWindows(sharedIDs(slices.Clone(spans)), all, most)
		for x, n := range in {
			windowsOf := 0
			for _, w := range windows {
				if w.has(x) {
					windowsOf++
				}
			}
			if windowsOf > 1 || n > 1 && windowsOf == 0 {
				t.Fatalf("seed %d: %v is in %d spans of %v and %d windows of %v", seed, x, n, spans, windowsOf, windows)
			}
		}
		for _, w := range windows {
			held := slices.DeleteFunc(slices.Clone(all), func(x catalog.IngestID) bool { return !w.has(x) })
			same := 0 // of one id, which stay together
			for _, x := range held {
				same = max(same, len(slices.DeleteFunc(slices.Clone(held), func(y catalog.IngestID) bool { return x != y })))
			}
			if len(held) > 2*most+same {
				t.Fatalf("seed %d: window %v has %d ids, at most %d", seed, w, len(held), most)
			}
		}
	}
}
