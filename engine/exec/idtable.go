package exec

// idTable finds numbers by hash: open addressing, half full at most. It keeps the
// hashes' high halves, so that it grows and compares without asking for values.
type idTable struct {
	slots []uint64 // high half of the hash, number+1; 0 is empty
	count int
}

// find gives the number of what is equal, or adds fresh.
func (t *idTable) find(hash uint64, fresh uint32, equal func(uint32) bool) (number uint32, found bool) {
	if 2*(t.count+1) > len(t.slots) {
		t.grow()
	}
	mask := uint64(len(t.slots) - 1)
	high := hash &^ (1<<32 - 1)
	for at := hash >> 32 & mask; ; at = (at + 1) & mask {
		s := t.slots[at]
		if s == 0 {
			t.slots[at] = high | uint64(fresh+1)
			t.count++
			return fresh, false
		}
		if s&^(1<<32-1) == high && equal(uint32(s)-1) {
			return uint32(s) - 1, true
		}
	}
}

func (t *idTable) grow() {
	old := t.slots
	t.slots = make([]uint64, max(64, 2*len(old)))
	mask := uint64(len(t.slots) - 1)
	for _, s := range old {
		if s == 0 {
			continue
		}
		at := s >> 32 & mask
		for t.slots[at] != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = s
	}
}

// pairTable numbers pairs of numbers, from 0 on in the order in which they come.
type pairTable struct {
	keys  []uint64 // by slot
	slots []uint32 // number+1; 0 is empty
	pairs []uint64 // by number
}

func pairHash(k uint64) uint64 {
	k *= 0x9e3779b97f4a7c15
	return k ^ k>>32
}

// number gives a pair its number, and whether it is new.
func (t *pairTable) number(a, b uint32) (n uint32, fresh bool) {
	if 2*(len(t.pairs)+1) > len(t.slots) {
		t.grow()
	}
	key := uint64(a)<<32 | uint64(b)
	mask := uint64(len(t.slots) - 1)
	for at := pairHash(key) & mask; ; at = (at + 1) & mask {
		s := t.slots[at]
		if s == 0 {
			t.keys[at] = key
			t.pairs = append(t.pairs, key)
			t.slots[at] = uint32(len(t.pairs))
			return uint32(len(t.pairs) - 1), true
		}
		if t.keys[at] == key {
			return s - 1, false
		}
	}
}

func (t *pairTable) grow() {
	n := max(64, 2*len(t.slots))
	t.slots, t.keys = make([]uint32, n), make([]uint64, n)
	mask := uint64(n - 1)
	for i, key := range t.pairs {
		at := pairHash(key) & mask
		for t.slots[at] != 0 {
			at = (at + 1) & mask
		}
		t.slots[at], t.keys[at] = uint32(i+1), key
	}
}
