package indexfile

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestRankTexts holds the ranks of texts that begin alike, end in zeros, or go on after
// the bytes that are compared as numbers, against sorting them.
func TestRankTexts(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	pieces := []string{"", "\x00", "\x00\x00\x00\x00\x00\x00\x00\x00", "a", "b", "\xff", "$device:", "user-000", "0123456", "a long beginning that goes on for more than 64 bytes, so that it does not end soon"}
	for run := range 300 {
		met := map[string]bool{}
		many := 200
		if run%10 == 0 {
			many = 8 * manyTexts
		}
		for range r.IntN(many) {
			text := ""
			for range r.IntN(5) {
				text += pieces[r.IntN(len(pieces))]
			}
			if r.IntN(2) == 0 {
				text += fmt.Sprint(r.IntN(5 * many))
			}
			met[text] = true
		}
		var texts []string
		for text := range met {
			texts = append(texts, text)
		}
		sorted := slices.Sorted(slices.Values(texts))
		ranks := RankTexts(texts)
		for i, text := range texts {
			if sorted[ranks[i]] != text {
				t.Fatalf("seed %d, run %d: %q has rank %d, which is that of %q", seed, run, text, ranks[i], sorted[ranks[i]])
			}
		}
	}
}
