package engine

import (
	"math/rand/v2"
	"testing"

	"arbor/catalog"
)

// TestIDIndex: the first entry of each id is found, whatever the order of the ids
// and however many runs a request has; what is not there is not found.
func TestIDIndex(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 9))
		var l entries
		x := idIndex{entries: &l}
		first := map[catalog.IngestID]uint32{}
		requests, indices := 1+rng.IntN(6), 1+rng.IntN(300)
		next := catalog.IngestID{}
		for range 2000 {
			switch next.Index++; rng.IntN(1 + int(seed%8)*4) {
			case 1:
				next = catalog.IngestID{Time: 5 + uint64(rng.IntN(requests)), Edge: uint32(rng.IntN(2)), Index: uint32(rng.IntN(indices))}
			case 2:
				next.Index -= min(next.Index, uint32(rng.IntN(3)))
			}
			number := l.add(entry{id: next})
			want, there := first[next]
			if got, found := x.add(number); found != there || found && got != want {
				t.Fatalf("seed %d: entry %d of %v is a copy of %d (%v), want %d (%v)", seed, number, next, got, found, want, there)
			}
			if !there {
				first[next] = number
			}
		}
		for id, want := range first {
			if got, found := x.look(id); !found || got != want {
				t.Fatalf("seed %d: %v is entry %d (%v), want %d", seed, id, got, found, want)
			}
			for _, other := range []catalog.IngestID{{Time: id.Time + 100, Index: id.Index}, {Time: id.Time, Edge: 7, Index: id.Index}, {Time: id.Time, Edge: id.Edge, Index: 1 << 30}} {
				if _, found := x.look(other); found {
					t.Fatalf("seed %d: %v is found", seed, other)
				}
			}
		}
	}
}
