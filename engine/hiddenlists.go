package engine

import (
	"slices"
	"sync"
)

// maxHiddenLists is for how many lists of hidden rows of a file something is kept: so
// many policies, or moments, can be asked about in turn.
const maxHiddenLists = 4

// byHidden is what was made of the rows of a file without those of a list, for each of
// the lists that were asked for last, the last of them first. The zero value keeps nothing.
type byHidden[T any] struct {
	lists []madeWithout[T]
}

type madeWithout[T any] struct {
	hidden []uint32
	made   T
}

// get is what was made without the rows of a list.
func (b *byHidden[T]) get(hidden []uint32) (made T, ok bool) {
	for i, l := range b.lists {
		if sameRows(l.hidden, hidden) {
			copy(b.lists[1:], b.lists[:i])
			b.lists[0] = l
			return l.made, true
		}
	}
	return made, false
}

// put keeps what was made without the rows of a list that has nothing yet. It gives what
// is kept no longer.
func (b *byHidden[T]) put(hidden []uint32, made T) (dropped T, full bool) {
	if n := len(b.lists); n == maxHiddenLists {
		dropped, full = b.lists[n-1].made, true
	} else {
		b.lists = append(b.lists, madeWithout[T]{})
	}
	copy(b.lists[1:], b.lists)
	b.lists[0] = madeWithout[T]{hidden, made}
	return dropped, full
}

// remove forgets what was made without the rows of a list.
func (b *byHidden[T]) remove(hidden []uint32) {
	for i, l := range b.lists {
		if sameRows(l.hidden, hidden) {
			b.lists = append(b.lists[:i], b.lists[i+1:]...)
			return
		}
	}
}

// sameRows reports whether two lists of rows are one.
func sameRows(a, b []uint32) bool {
	return len(a) == len(b) && (len(b) == 0 || &a[0] == &b[0])
}

// hiddenLists are the lists of rows of a file that were hidden last. Who is hidden is
// worked out anew with each batch that is logged, and mostly comes to the same: then it
// is the same list, and what was made without its rows is found again.
type hiddenLists struct {
	mu   sync.Mutex // guards last
	last byHidden[struct{}]
}

// same is the list with the same rows that was had before, or else the given one.
func (h *hiddenLists) same(hidden []uint32) []uint32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.last.get(hidden); ok {
		return hidden
	}
	for _, l := range h.last.lists {
		if slices.Equal(l.hidden, hidden) {
			h.last.get(l.hidden) // which puts it first
			return l.hidden
		}
	}
	h.last.put(hidden, struct{}{})
	return hidden
}
