package exec

import "math/bits"

// Bitmap is a set of a batch's rows: row i is bit i%64 of word i/64. Bits
// beyond the last row are zero.
type Bitmap []uint64

// NewBitmap returns a set of none of the rows.
func NewBitmap(rows int) Bitmap { return make(Bitmap, (rows+63)/64) }

// Reset returns a set of none of the rows, in b's memory if it suffices.
func (b Bitmap) Reset(rows int) Bitmap {
	n := (rows + 63) / 64
	if cap(b) < n {
		return make(Bitmap, n)
	}
	b = b[:n]
	clear(b)
	return b
}

// Fill makes b the set of all rows.
func (b Bitmap) Fill(rows int) {
	for i := range b {
		b[i] = ^uint64(0)
	}
	if r := rows % 64; r != 0 {
		b[len(b)-1] = 1<<r - 1
	}
}

// Set adds row i, and Unset removes it.
func (b Bitmap) Set(i int) { b[i>>6] |= 1 << (i & 63) }

// Unset removes row i.
func (b Bitmap) Unset(i int) { b[i>>6] &^= 1 << (i & 63) }

// Has reports whether row i is in the set.
func (b Bitmap) Has(i int) bool { return b[i>>6]>>(i&63)&1 != 0 }

// Count is the number of rows in the set.
func (b Bitmap) Count() (n int) {
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// Empty reports whether no row is in the set.
func (b Bitmap) Empty() bool {
	for _, w := range b {
		if w != 0 {
			return false
		}
	}
	return true
}

// Each calls f for the rows in the set, ascending.
func (b Bitmap) Each(f func(row int)) {
	for i, w := range b {
		for w != 0 {
			f(i*64 + bits.TrailingZeros64(w))
			w &= w - 1
		}
	}
}

// wordBetween is word i of the set without the rows outside of [lo, hi), which must
// have some in it.
func (b Bitmap) wordBetween(i, lo, hi int) uint64 {
	w := b[i]
	if i == lo>>6 {
		w &= ^uint64(0) << (lo & 63)
	}
	if i == hi>>6 {
		w &= 1<<(hi&63) - 1
	}
	return w
}

// any reports whether one of the rows [lo, hi) is in the set.
func (b Bitmap) any(lo, hi int) bool {
	for i := lo >> 6; i<<6 < hi; i++ {
		if b.wordBetween(i, lo, hi) != 0 {
			return true
		}
	}
	return false
}

// And keeps the rows that o has too.
func (b Bitmap) And(o Bitmap) {
	for i, w := range o[:len(b)] {
		b[i] &= w
	}
}

// Or adds the rows of o.
func (b Bitmap) Or(o Bitmap) {
	for i, w := range o[:len(b)] {
		b[i] |= w
	}
}

// AndNot removes the rows of o.
func (b Bitmap) AndNot(o Bitmap) {
	for i, w := range o[:len(b)] {
		b[i] &^= w
	}
}

// appendPositions appends the rows in the set.
func (b Bitmap) appendPositions(at []int32) []int32 {
	for i, w := range b {
		for w != 0 {
			at = append(at, int32(i*64+bits.TrailingZeros64(w)))
			w &= w - 1
		}
	}
	return at
}

func trailing(w uint64) int { return bits.TrailingZeros64(w) }

// Run is the rows [Lo, Hi).
type Run struct{ Lo, Hi int }

// AppendRuns appends the runs of neighbouring rows that are in the set.
func (b Bitmap) AppendRuns(runs []Run) []Run {
	start := -1 // of the run that is open
	for i, w := range b {
		switch {
		case w == 0 && start < 0:
			continue
		case w == ^uint64(0) && start >= 0:
			continue
		}
		for at := 0; at < 64; {
			if start < 0 {
				at += bits.TrailingZeros64(w >> at)
				if at >= 64 {
					break
				}
				start = i*64 + at
			}
			ones := bits.TrailingZeros64(^(w >> at))
			if at += ones; at >= 64 {
				break // the run may go on in the next word
			}
			runs = append(runs, Run{start, i*64 + at})
			start = -1
		}
	}
	if start >= 0 {
		runs = append(runs, Run{start, len(b) * 64})
	}
	return runs
}
