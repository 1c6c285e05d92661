package exec

import (
	"math/rand/v2"
	"testing"
)

// TestBitmapBetween holds the ways to look at a part of a bitmap against looking
// row by row.
func TestBitmapBetween(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 9))
	for range 2000 {
		rows := 1 + rng.IntN(200)
		b := NewBitmap(rows)
		for range rng.IntN(6) {
			b.Set(rng.IntN(rows))
		}
		lo := rng.IntN(rows)
		hi := lo + rng.IntN(rows-lo+1)
		want, got := 0, 0
		for i := lo; i < hi; i++ {
			if b.Has(i) {
				want++
			}
		}
		for i := lo >> 6; i<<6 < hi; i++ {
			for w := b.wordBetween(i, lo, hi); w != 0; w &= w - 1 {
				if row := i*64 + trailing(w); row < lo || row >= hi || !b.Has(row) {
					t.Fatalf("row %d of [%d, %d)", row, lo, hi)
				}
				got++
			}
		}
		if got != want || b.any(lo, hi) != (want > 0) {
			t.Fatalf("[%d, %d) of %d rows: %d, any %v, want %d", lo, hi, rows, got, b.any(lo, hi), want)
		}
	}
}
