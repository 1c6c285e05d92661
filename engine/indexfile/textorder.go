package indexfile

import (
	"cmp"
	"slices"
	"strings"
)

// RankTexts gives for each of different texts how many of them are before it in the
// order of their bytes. Texts are compared eight bytes at a time, which lie beside each
// other; the texts themselves are in no cache. Those with equal bytes, as of a common
// beginning, are sorted by the eight that follow.
func RankTexts(texts []string) []uint32 {
	order := make([]headedText, len(texts))
	for i := range order {
		order[i].number = uint32(i)
	}
	sortTexts(order, texts, 0)
	ranks := make([]uint32, len(texts))
	for rank, t := range order {
		ranks[t.number] = uint32(rank)
	}
	return ranks
}

// headedText is a text's number with the eight bytes at hand.
type headedText struct {
	head   uint64
	number uint32
}

// The bytes after which texts are compared as a whole, and so are few texts.
const (
	headsEnd  = 64
	fewRanked = 8
	// manyTexts is from how many on heads are sorted byte by byte.
	manyTexts = 512
)

// sortHeads sorts many texts by their heads, from the last byte of these to the first;
// bytes in which all agree are left out.
func sortHeads(order []headedText) {
	var counts [8][256]uint32
	for _, t := range order {
		for k := range counts {
			counts[k][byte(t.head>>(8*k))]++
		}
	}
	from, to := order, make([]headedText, len(order))
	for k := range counts {
		places := &counts[k]
		if places[byte(order[0].head>>(8*k))] == uint32(len(order)) {
			continue
		}
		sum := uint32(0)
		for b, n := range places {
			places[b] = sum
			sum += n
		}
		for _, t := range from {
			place := &places[byte(t.head>>(8*k))]
			to[*place] = t
			*place++
		}
		from, to = to, from
	}
	if &from[0] != &order[0] {
		copy(order, from)
	}
}

// sortTexts sorts texts whose first bytes, up to from, are equal.
func sortTexts(order []headedText, texts []string, from int) {
	if from >= headsEnd || len(order) < fewRanked {
		slices.SortFunc(order, func(a, b headedText) int { return strings.Compare(texts[a.number], texts[b.number]) })
		return
	}
	for i := range order {
		order[i].head = headOf(texts[order[i].number], from)
	}
	if len(order) < manyTexts {
		slices.SortFunc(order, func(a, b headedText) int { return cmp.Compare(a.head, b.head) })
	} else {
		sortHeads(order)
	}
	for lo := 0; lo < len(order); {
		hi := lo + 1
		for hi < len(order) && order[hi].head == order[lo].head {
			hi++
		}
		if hi-lo > 1 {
			sortTexts(order[lo:hi], texts, from+8)
		}
		lo = hi
	}
}

// headOf are eight bytes of a text as a number that is in order; zeros follow its end.
func headOf(text string, from int) (head uint64) {
	if len(text) >= from+8 {
		t := text[from : from+8]
		return uint64(t[7]) | uint64(t[6])<<8 | uint64(t[5])<<16 | uint64(t[4])<<24 |
			uint64(t[3])<<32 | uint64(t[2])<<40 | uint64(t[1])<<48 | uint64(t[0])<<56
	}
	for i := from; i < len(text); i++ {
		head |= uint64(text[i]) << (56 - 8*(i-from))
	}
	return head
}
