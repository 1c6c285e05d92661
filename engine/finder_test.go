package engine

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestPairsAreThoseOfEqualHashes holds the pairs that bitmaps and a table find against those
// of a map, with all hashes at a time and in parts.
func TestPairsAreThoseOfEqualHashes(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 1))
	var f finder
	for _, rows := range []int{2, 3, few + 1, 63, 64, 65, 1000, 20_000} {
		for _, distinct := range []int{1, rows/2 + 1, 50 * rows} {
			f.begin(0)
			first := map[uint64]uint32{}
			var want [][2]uint32
			for i := range uint32(rows) {
				hash := copyHashOf(uint64(rng.IntN(distinct)) * 3)
				if of, found := first[hash]; found {
					want = append(want, [2]uint32{i, of})
				} else {
					first[hash] = i
				}
				f.add(hash)
			}
			for _, parts := range []uint64{1, 2, 5} {
				f.pairs = f.pairs[:0]
				for part := range parts {
					f.pair(part, parts)
				}
				slices.SortFunc(f.pairs, func(a, b [2]uint32) int { return cmp.Compare(a[0], b[0]) })
				if !slices.Equal(f.pairs, want) {
					t.Fatalf("%d rows of %d hashes in %d parts have %d pairs, want %d, or others", rows, distinct, parts, len(f.pairs), len(want))
				}
			}
		}
	}
}
