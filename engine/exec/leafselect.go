package exec

// selectCodes sets the rows of whose codes that was said.
func selectCodes[C int16 | int32](codes []C, said []uint8, out Bitmap, want uint8, at func(C) int) {
	for w := range out {
		var word uint64
		for i, c := range codes[w*64 : min(w*64+64, len(codes))] {
			if said[at(c)] == want {
				word |= 1 << i
			}
		}
		out[w] = word
	}
}

// selectSpan sets the rows whose values lie in an interval: one subtraction and
// one comparison a row, as unsigned numbers.
func selectSpan(values []int64, s span, out Bitmap) {
	if s.lo > s.hi {
		return
	}
	width := uint64(s.hi) - uint64(s.lo)
	for w := range out {
		var word uint64
		for i, v := range values[w*64 : min(w*64+64, len(values))] {
			if uint64(v)-uint64(s.lo) <= width {
				word |= 1 << i
			}
		}
		out[w] = word
	}
}

func matchRows(rows int, yes Bitmap, match func(int) bool) {
	for i := range rows {
		if match(i) {
			yes.Set(i)
		}
	}
}

func matchValues[T any](values []T, yes Bitmap, match func(T) bool) {
	for i, v := range values {
		if match(v) {
			yes[i>>6] |= 1 << (i & 63)
		}
	}
}
