package exec

import (
	"math/big"
	"testing"
)

// TestMergedSumsLeaveRoom merges sums that are nearly as great as a small one may be, after
// which as many rows may follow as come before anybody looks again.
func TestMergedSumsLeaveRoom(t *testing.T) {
	for _, sign := range []int64{1, -1} {
		s := doubleSums{small: make([]smallSum, 2)}
		parts := []int64{sign * (1<<61 - 1), sign * (1<<61 - 1), sign * (1 << 61), sign * 5}
		want := new(big.Int)
		for _, part := range parts {
			s.addSmall(1, smallSum{sum: part, count: 1})
			want.Add(want, big.NewInt(part))
			if left := s.small[1].sum; left >= 1<<61 || left <= -1<<61 {
				t.Errorf("after %d the small sum is %d: %d rows of %d do not fit beside it", part, left, maxPending, maxUnit)
			}
		}
		got := big.NewInt(s.small[1].sum)
		if s.large[1] != nil {
			got.Add(got, s.large[1])
		}
		if got.Cmp(want) != 0 || s.small[1].count != int64(len(parts)) {
			t.Errorf("the sum is %d of %d numbers, want %d of %d", got, s.small[1].count, want, len(parts))
		}
	}
}
