package exec

import (
	"math/bits"
	"math/rand/v2"
)

// packedKey is a PackedText of a form that is known.
type packedKey struct{ hi, lo uint64 }

// packedSet is a set of keys that is written down first, and in which what comes
// twice is looked for later: part by part, each of which fits into a near cache
// where one table of all keys would cost a look into memory for each. What is
// written down is looked through whenever it has grown to twice what was different
// before.
type packedSet struct {
	few   []packedKey // all keys, while there are few; some may come twice
	parts *[packedParts]packedPart
}

// packedPart is the keys whose hash begins with the part's number.
type packedPart struct {
	blocks  []*[packedBlock]packedKey // all full but the last
	count   int
	settled int // how many were different when it was last looked
}

const (
	packedParts = 256
	packedBlock = 512
	// packedFew is how many keys a set has before it has parts.
	packedFew = 8 * packedParts
	// packedRest is how many keys are written down at least between two looks.
	packedRest = 4 * packedBlock
)

// packedSeeds keep clients from choosing ids whose hashes are equal.
var packedSeeds = [2]uint64{rand.Uint64(), rand.Uint64()}

func (k packedKey) hash() uint64 {
	hi, lo := bits.Mul64(k.hi^packedSeeds[0], k.lo^packedSeeds[1])
	lo ^= hi
	lo *= 0x9e3779b97f4a7c15
	return lo ^ bits.RotateLeft64(k.hi+k.lo, 32)*0xff51afd7ed558ccd
}

// add adds a key, and says how many bytes the set has grown by, which may be less
// than 0. The table is room that is used again.
func (s *packedSet) add(k packedKey, table *[]uint32) (size int64) {
	if s.parts != nil {
		h := k.hash()
		return s.parts[h>>56].add(k, table)
	}
	if len(s.few) == cap(s.few) && len(s.few) > 0 {
		before := cap(s.few)
		s.few = differentKeys(s.few, table)
		if 2*len(s.few) > before {
			if len(s.few) >= packedFew {
				return s.split(table) + s.add(k, table)
			}
			s.few = append(make([]packedKey, 0, 2*before), s.few...)
		}
		size = int64(cap(s.few)-before) * sizeOf[packedKey]()
	} else if cap(s.few) == 0 {
		s.few = make([]packedKey, 0, 4)
		size = 4 * sizeOf[packedKey]()
	}
	s.few = append(s.few, k)
	return size
}

// split gives the set parts.
func (s *packedSet) split(table *[]uint32) (size int64) {
	few := s.few
	s.few, s.parts = nil, new([packedParts]packedPart)
	size = packedParts*sizeOf[packedPart]() - int64(cap(few))*sizeOf[packedKey]()
	for _, k := range few {
		size += s.add(k, table)
	}
	return size
}

const packedBlockBytes = packedBlock * 16

func (p *packedPart) add(k packedKey, table *[]uint32) (size int64) {
	if p.count == len(p.blocks)*packedBlock {
		if p.count >= 2*p.settled+packedRest {
			size = p.settle(table)
		}
		if p.count == len(p.blocks)*packedBlock {
			p.blocks = append(p.blocks, new([packedBlock]packedKey))
			size += packedBlockBytes
		}
	}
	p.blocks[p.count/packedBlock][p.count%packedBlock] = k
	p.count++
	return size
}

// settle removes what comes twice, and says how many bytes the part has grown by.
func (p *packedPart) settle(table *[]uint32) (size int64) {
	if p.settled == p.count {
		return 0
	}
	slots := emptySlots(table, p.count)
	kept := 0
	for i := range p.count {
		k := p.blocks[i/packedBlock][i%packedBlock]
		for at := k.hash() & uint64(len(slots)-1); ; at = (at + 1) & uint64(len(slots)-1) {
			n := slots[at]
			if n == 0 {
				p.blocks[kept/packedBlock][kept%packedBlock] = k
				kept++
				slots[at] = uint32(kept)
				break
			}
			if p.blocks[(n-1)/packedBlock][(n-1)%packedBlock] == k {
				break
			}
		}
	}
	p.count, p.settled = kept, kept
	blocks := (kept + packedBlock - 1) / packedBlock
	size = -int64(len(p.blocks)-blocks) * packedBlockBytes
	clear(p.blocks[blocks:])
	p.blocks = p.blocks[:blocks]
	return size
}

// emptySlots is a table for n keys, half full at most.
func emptySlots(table *[]uint32, n int) []uint32 {
	size := 16
	for size < 2*n {
		size *= 2
	}
	if cap(*table) < size {
		*table = make([]uint32, size)
		return *table
	}
	slots := (*table)[:size]
	clear(slots)
	return slots
}

// differentKeys removes what comes twice.
func differentKeys(keys []packedKey, table *[]uint32) []packedKey {
	slots := emptySlots(table, len(keys))
	kept := keys[:0]
	for _, k := range keys {
		for at := k.hash() & uint64(len(slots)-1); ; at = (at + 1) & uint64(len(slots)-1) {
			n := slots[at]
			if n == 0 {
				kept = append(kept, k)
				slots[at] = uint32(len(kept))
				break
			}
			if kept[n-1] == k {
				break
			}
		}
	}
	return kept
}

// settle removes what comes twice, looking now and then whether the query has ended,
// and says how many keys there are.
func (s *packedSet) settle(plan *Plan, table *[]uint32) (count int, size int64, err error) {
	if s.parts == nil {
		s.few = differentKeys(s.few, table)
		return len(s.few), 0, nil
	}
	for i := range s.parts {
		if err := plan.ended(0); err != nil {
			return 0, size, err
		}
		size += s.parts[i].settle(table)
		count += s.parts[i].count
	}
	return count, size, nil
}

func (s *packedSet) empty() bool { return len(s.few) == 0 && s.parts == nil }

// unite adds the keys of another set, which is of no use afterwards, and says how many bytes
// this one has grown by beyond the other.
func (s *packedSet) unite(o *packedSet, table *[]uint32) (size int64) {
	switch {
	case o.empty():
		return 0
	case s.empty():
		*s = *o
		return 0
	case s.parts == nil && o.parts != nil:
		*s, *o = *o, *s
	}
	if o.parts == nil {
		for _, k := range o.few {
			size += s.add(k, table)
		}
		return size - int64(cap(o.few))*sizeOf[packedKey]()
	}
	for i := range s.parts {
		mine, other := &s.parts[i], &o.parts[i]
		full := other.count / packedBlock
		mine.blocks = append(other.blocks[:full:full], mine.blocks...)
		mine.count, mine.settled = mine.count+full*packedBlock, 0
		for n := full * packedBlock; n < other.count; n++ {
			size += mine.add(other.blocks[full][n%packedBlock], table)
		}
		if full < len(other.blocks) {
			size -= packedBlockBytes
		}
	}
	return size - packedParts*sizeOf[packedPart]()
}

// from gives the keys from the n-th on of a set that was settled, in an order that
// stays.
func (s *packedSet) from(n int, yield func(packedKey) bool) {
	if s.parts == nil {
		for _, k := range s.few[min(n, len(s.few)):] {
			if !yield(k) {
				return
			}
		}
		return
	}
	for i := range s.parts {
		p := &s.parts[i]
		if n >= p.count {
			n -= p.count
			continue
		}
		for ; n < p.count; n++ {
			if !yield(p.blocks[n/packedBlock][n%packedBlock]) {
				return
			}
		}
		n = 0
	}
}

// len is how many keys a set that was settled has.
func (s *packedSet) len() int {
	n := len(s.few)
	if s.parts != nil {
		for i := range s.parts {
			n += s.parts[i].count
		}
	}
	return n
}
