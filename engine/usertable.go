package engine

import (
	"math/rand/v2"
	"slices"
	"unsafe"

	"github.com/zeebo/xxh3"
)

// userTable numbers distinct ids in the order in which they come. It tells them
// apart by 96 bits of a hash, so that the texts, which are no more in the
// processor's caches, need not be looked at. Nobody can choose ids whose hashes
// are equal, for the seed is a random one; would two be so nevertheless, the file
// that is built could not be proven, and the next attempt has another seed.
type userTable struct {
	seed  uint64
	slots []userSlot // a power of two
	names []string   // by number
	room  []byte     // where the next names go
	held  [userBatch]xxh3.Uint128
	// fetched is of no use, but without it no slot would be fetched.
	fetched uint64
}

// userSlot is 1 + the number of the user with a hash, or 0.
type userSlot struct {
	hash   uint64
	more   uint32
	number uint32
}

// userBatch is how many ids are looked up at a time.
const userBatch = 256

// The least slots, and the greatest share of those in use, in tenths.
const (
	leastUserSlots = 1 << 10
	usersTenths    = 6
)

func newUserTable() userTable {
	return userTable{seed: rand.Uint64(), slots: make([]userSlot, leastUserSlots)}
}

// renew makes an empty table of one whose names are not used any more, with room for so
// many users.
func (t *userTable) renew(users int) {
	t.seed = rand.Uint64()
	most := leastUserSlots
	for most*usersTenths < users*10 {
		most *= 2
	}
	t.slots = t.slots[:min(len(t.slots), most)]
	clear(t.slots)
}

// add appends the numbers of distinct ids. First it looks at all their slots, so that
// the processor fetches them from memory at the same time.
func (t *userTable) add(numbers []uint32, ids []string) []uint32 {
	for ids := range slices.Chunk(ids, userBatch) {
		for (len(t.names)+userBatch)*10 > len(t.slots)*usersTenths {
			t.grow()
		}
		mask := uint64(len(t.slots) - 1)
		for i, id := range ids {
			t.held[i] = xxh3.HashString128Seed(id, t.seed)
		}
		for i := range ids {
			t.fetched += t.slots[t.held[i].Lo&mask].hash
		}
		for i, id := range ids {
			numbers = append(numbers, t.number(t.held[i], id))
		}
	}
	return numbers
}

// number is the number of a distinct id with a hash.
func (t *userTable) number(h xxh3.Uint128, id string) uint32 {
	mask := uint64(len(t.slots) - 1)
	more := uint32(h.Hi)
	for i := h.Lo & mask; ; i = (i + 1) & mask {
		slot := &t.slots[i]
		if slot.number == 0 {
			t.names = append(t.names, t.hold(id))
			*slot = userSlot{h.Lo, more, uint32(len(t.names))}
			return slot.number - 1
		}
		if slot.hash == h.Lo && slot.more == more {
			return slot.number - 1
		}
	}
}

func (t *userTable) grow() {
	old := t.slots
	t.slots = make([]userSlot, 2*len(old))
	mask := uint64(len(t.slots) - 1)
	for _, slot := range old {
		if slot.number == 0 {
			continue
		}
		i := slot.hash & mask
		for t.slots[i].number != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = slot
	}
}

// holdBytes is how much room texts get at a time.
const holdBytes = 256 << 10

// hold copies a text, so that it outlives its batch.
func (t *userTable) hold(text string) string {
	if len(text) > cap(t.room)-len(t.room) {
		t.room = make([]byte, 0, max(holdBytes, len(text)))
	}
	from := len(t.room)
	t.room = append(t.room, text...)
	return unsafe.String(unsafe.SliceData(t.room[from:]), len(text)) // room is only appended to
}
