package engine

// hashtable finds numbers by hash: a slot holds the upper half of a hash and a
// number. It finds candidates only; who asks confirms them on the real key. A
// map of strings would be twenty times dearer.
type hashtable struct {
	slots []uint64 // hash<<32 | number+1; 0 is empty
	used  int
}

// The greatest share of slots in use, in tenths.
const fullTenths = 6

// reset empties the table and makes room for n numbers.
func (h *hashtable) reset(n int) {
	size := 16
	for size*fullTenths < n*10 {
		size *= 2
	}
	h.used = 0
	if len(h.slots) == size {
		clear(h.slots)
		return
	}
	if cap(h.slots) >= size {
		h.slots = h.slots[:size]
		clear(h.slots)
		return
	}
	h.slots = make([]uint64, size)
}

// find gives the number that is equal, as same says of candidates; if there is
// none it puts the given number in and reports false.
func (h *hashtable) find(hash uint64, number uint32, same func(uint32) bool) (uint32, bool) {
	if h.used*10 >= len(h.slots)*fullTenths {
		h.grow()
	}
	mask := uint64(len(h.slots) - 1)
	tag := hash &^ (1<<32 - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		slot := h.slots[i]
		if slot == 0 {
			h.slots[i] = tag | uint64(number+1)
			h.used++
			return number, false
		}
		if slot&^(1<<32-1) == tag {
			if n := uint32(slot) - 1; same(n) {
				return n, true
			}
		}
	}
}

// look is find that puts nothing in.
func (h *hashtable) look(hash uint64, same func(uint32) bool) (uint32, bool) {
	if len(h.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(h.slots) - 1)
	tag := hash &^ (1<<32 - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		slot := h.slots[i]
		if slot == 0 {
			return 0, false
		}
		if slot&^(1<<32-1) == tag {
			if n := uint32(slot) - 1; same(n) {
				return n, true
			}
		}
	}
}

// grow doubles the table. A slot's place follows from the lower half of the
// hash, which slots do not keep, so it must be spread from the upper half too:
// see spread.
func (h *hashtable) grow() {
	old := h.slots
	h.slots = make([]uint64, max(16, 2*len(old)))
	mask := uint64(len(h.slots) - 1)
	for _, slot := range old {
		if slot == 0 {
			continue
		}
		i := spread(slot>>32) & mask
		for h.slots[i] != 0 {
			i = (i + 1) & mask
		}
		h.slots[i] = slot
	}
}

// spread makes a hash whose lower half follows from its upper half, which is
// what the table's slots keep.
func spread(upper uint64) uint64 { return upper<<32 | (upper * 0x9e3779b1 & (1<<32 - 1)) }

// tableHash is a hash as the table wants it.
func tableHash(h uint64) uint64 { return spread(h >> 32) }
