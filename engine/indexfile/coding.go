package indexfile

import (
	"encoding/binary"
	"slices"
)

// coding says how the numbers of a column's slots are stored: the codes of a
// dictionary, integers less their base, or decimals. A user's rows follow each
// other, and most of what is known about a user is the same in all of them, so
// the numbers of runs of rows are often all there is to store.
type coding uint8

// The codings. The numbers are on disk: append only.
const (
	codingWhole  coding = 0 // codes of 1, 2 or 4 bytes a slot, read in place
	codingPacked coding = 1 // packed, a number a slot
	codingRanked coding = 2 // packed, a number for each row in the bitmap
	codingUsers  coding = 3 // packed, a number for all rows of a user
	codingRuns   coding = 4 // packed, a number for each run of slots; the runs' lengths are a part
)

var codingNames = [...]string{codingWhole: "whole", codingPacked: "packed", codingRanked: "packed values",
	codingUsers: "packed by user", codingRuns: "packed runs"}

// slotNumbers reads the numbers of slots in any coding but whole.
type slotNumbers struct {
	coding coding
	packed packed
	ends   []uint32 // users and runs: where the slots of each number end
	ranks  ranks    // ranked
}

// at is the number of a slot. Of runs, hint is the one looked at last: reading
// slots in order needs no search.
func (s *slotNumbers) at(slot int, hint *int) uint64 {
	switch s.coding {
	case codingRanked:
		return s.packed.at(s.ranks.before(slot))
	case codingUsers, codingRuns:
		return s.packed.at(s.run(slot, hint))
	}
	return s.packed.at(slot)
}

// run is the run that a slot is in.
func (s *slotNumbers) run(slot int, hint *int) int {
	k := 0
	if hint != nil {
		k = *hint
		if s.inRun(k, slot) {
			return k
		}
		if k++; s.inRun(k, slot) {
			*hint = k
			return k
		}
	}
	k, found := slices.BinarySearch(s.ends, uint32(slot))
	if found {
		k++
	}
	if hint != nil {
		*hint = k
	}
	return k
}

func (s *slotNumbers) inRun(k, slot int) bool {
	return k < len(s.ends) && slot < int(s.ends[k]) && (k == 0 || slot >= int(s.ends[k-1]))
}

// fill puts the numbers of n slots from lo on into dst, as integers of width
// bytes each. Where a number is stored only for rows that have a value, lo is a
// multiple of 8, and the other rows get the number of one that has.
func (s *slotNumbers) fill(dst []byte, width uint8, lo, n int) {
	dst = dst[:n*int(width)]
	switch {
	case s.packed.width == 0:
		fillPattern(dst, pattern(s.packed.base, width), 0, len(dst))
	case s.coding == codingRanked:
		s.fillRanked(dst, width, lo, n)
	case s.coding == codingUsers || s.coding == codingRuns:
		s.fillRuns(dst, width, lo, n)
	default:
		s.packed.fill(dst, width, lo)
	}
}

// fillSlots is about how many slots are decoded at a time where that takes two
// steps.
const fillSlots = 1024

func (s *slotNumbers) fillRanked(dst []byte, width uint8, lo, n int) {
	var values [fillSlots + expandSpare]uint64
	room := raw(values[:])
	from := s.ranks.before(lo)
	for n > 0 {
		rows := min(n, fillSlots)
		end := s.ranks.before(lo + rows)
		s.packed.fill(room[:(end-from)*int(width)], width, from)
		bitmap := s.ranks.bitmap[lo>>3:]
		switch width {
		case 1:
			expand(dst[:rows], room, bitmap)
		case 2:
			expand(view[uint16](dst[:2*rows]), view[uint16](room), bitmap)
		case 4:
			expand(view[uint32](dst[:4*rows]), view[uint32](room), bitmap)
		case 8:
			expand(view[uint64](dst[:8*rows]), values[:], bitmap)
		}
		dst, lo, n, from = dst[rows*int(width):], lo+rows, n-rows, end
	}
}

// expandSpare is how much longer than the values src must be.
const expandSpare = 8

// expand gives each row whose bit is set the next value, and the others some
// value: a row takes the value at hand, and its bit says whether the one after
// it takes another. So there is nothing to predict.
func expand[T uint8 | uint16 | uint32 | uint64](dst, src []T, bitmap []byte) {
	at := 0
	for len(dst) >= 8 {
		d := (*[8]T)(dst)
		s := (*[8]T)(src[at:])
		b := uint(bitmap[0])
		k := uint(0)
		d[0] = s[0]
		k += b & 1
		d[1] = s[k&7]
		k += b >> 1 & 1
		d[2] = s[k&7]
		k += b >> 2 & 1
		d[3] = s[k&7]
		k += b >> 3 & 1
		d[4] = s[k&7]
		k += b >> 4 & 1
		d[5] = s[k&7]
		k += b >> 5 & 1
		d[6] = s[k&7]
		k += b >> 6 & 1
		d[7] = s[k&7]
		k += b >> 7 & 1
		at += int(k)
		dst, bitmap = dst[8:], bitmap[1:]
	}
	for i := range dst {
		dst[i] = src[at]
		at += int(bitmap[0] >> i & 1)
	}
}

func (s *slotNumbers) fillRuns(dst []byte, width uint8, lo, n int) {
	var numbers [256]int64
	w := int(width)
	for k, row := s.run(lo, nil), lo; row < lo+n; {
		some := numbers[:min(len(numbers), len(s.ends)-k)]
		s.packed.unpack(some, k)
		for i, number := range some {
			end := min(int(s.ends[k+i]), lo+n)
			fillPattern(dst, pattern(uint64(number), width), (row-lo)*w, (end-lo)*w)
			if row = end; row == lo+n {
				break
			}
		}
		k += len(some)
	}
}

// pattern is 8 bytes of a number of width bytes, again and again.
func pattern(number uint64, width uint8) uint64 {
	switch width {
	case 1:
		return number * 0x0101010101010101
	case 2:
		return number * 0x0001000100010001
	case 4:
		return number | number<<32
	}
	return number
}

// fillPattern fills dst[from:to] with a pattern, 8 bytes at a time: what lies
// behind is overwritten, too, as far as there is room, and is filled later.
func fillPattern(dst []byte, pattern uint64, from, to int) {
	for ; from < to && from+8 <= len(dst); from += 8 {
		binary.LittleEndian.PutUint64(dst[from:], pattern)
	}
	for ; from < to; from++ {
		dst[from] = byte(pattern)
		pattern = pattern>>8 | pattern<<56
	}
}
