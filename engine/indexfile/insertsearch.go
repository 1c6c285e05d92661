package indexfile

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"sync"
)

// InsertSearch looks for some insert ids in files, one next to the other: no id of a
// file becomes a text or a key. Of each packed id one word is read, four ids at a time;
// if one id is looked for it is compared, if many are, its hash says whether it may be
// one of them.
//
// It may be used by many goroutines at once.
type InsertSearch struct {
	keys  map[InsertKey]struct{} // of ids that their keys stand for
	texts map[string]struct{}    // all others

	mu   sync.Mutex // guards sets
	sets map[insertInfo]*packedTargets
}

// NewInsertSearch looks for ids; the empty one is nobody's.
func NewInsertSearch(ids []string) *InsertSearch {
	s := &InsertSearch{keys: map[InsertKey]struct{}{}, texts: map[string]struct{}{}, sets: map[insertInfo]*packedTargets{}}
	for _, id := range ids {
		switch k := InsertKeyOf(id); {
		case k.Form == FormNone:
		case k.Exact():
			s.keys[k] = struct{}{}
		default:
			s.texts[id] = struct{}{}
		}
	}
	return s
}

// HasKey reports whether an id that its key stands for is looked for.
func (s *InsertSearch) HasKey(k InsertKey) bool {
	_, ok := s.keys[k]
	return ok
}

// Has reports whether an id is looked for.
func (s *InsertSearch) Has(id string) bool {
	if k := InsertKeyOf(id); k.Exact() {
		return s.HasKey(k)
	}
	return s.HasText(id)
}

// HasText reports whether an id that no key stands for is looked for.
func (s *InsertSearch) HasText(id string) bool {
	_, ok := s.texts[id]
	return ok
}

// packedTargets are those of the ids that files with one way to pack them can have
// packed.
type packedTargets struct {
	some bool
	// rest says that others are looked for too.
	rest bool
	// word is that of the only id.
	word uint64
	// maybe has a bit for each hash of an id's word, if there are several ids; the
	// highest bits of a hash from shift on are its number.
	maybe []uint64
	shift uint
}

// bitsPerTarget is how many bits there are for each id, so that few others have the
// bit of one.
const bitsPerTarget = 64

// targets are the ids as a file packs them.
func (s *InsertSearch) targets(info insertInfo) *packedTargets {
	info.repeats = false
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.sets[info]; t != nil {
		return t
	}
	t := &packedTargets{rest: len(s.texts) > 0}
	var words []uint64
	for k := range s.keys {
		word, ok := info.word(k)
		if !ok {
			t.rest = true
			continue
		}
		t.word = word
		words = append(words, word)
	}
	t.some = len(words) > 0
	if len(words) > 1 {
		size := max(bits.Len(uint(len(words)*bitsPerTarget)), 10)
		t.maybe, t.shift = make([]uint64, 1<<(size-6)), uint(64-size)
		for _, word := range words {
			h := hashWord(word) >> t.shift
			t.maybe[h>>6] |= 1 << (h & 63)
		}
	}
	s.sets[info] = t
	return t
}

func hashWord(word uint64) uint64 { return word * 0x9e3779b97f4a7c15 }

// shortWord is the part of a short id's first word that one load has, wherever the
// id begins.
const shortWord = 1<<58 - 1

// word is what is compared of an id where it is packed; not ok if the file does not pack
// it. Of short ids it is most of the first word, of others both words, mixed.
func (i insertInfo) word(k InsertKey) (word uint64, ok bool) {
	if k.Form != i.form {
		return 0, false
	}
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], k.Hi)
	binary.BigEndian.PutUint64(id[8:], k.Lo)
	if i.shared == 0 {
		return mixWords(binary.LittleEndian.Uint64(id[:]), binary.LittleEndian.Uint64(id[8:])), true
	}
	if agreedOf(&id) != i.shared {
		return 0, false
	}
	var room [16 + packedSpare]byte
	shorten(room[:], 0, id)
	return binary.LittleEndian.Uint64(room[:]) & shortWord, true
}

func mixWords(a, b uint64) uint64 { return a ^ bits.RotateLeft64(b, 29) }

// is reports whether a word may be that of an id.
func (t *packedTargets) is(word uint64) bool {
	if t.maybe == nil {
		return word == t.word
	}
	h := hashWord(word) >> t.shift
	return t.maybe[h>>6]>>(h&63)&1 != 0
}

// FindInsertIDs appends the rows of [lo, hi) whose insert id is looked for, ascending.
func (r *Reader) FindInsertIDs(s *InsertSearch, lo, hi int, rows []uint32) ([]uint32, error) {
	ids, err := r.insertColumn()
	if err != nil || lo >= hi {
		return rows, err
	}
	t := s.targets(ids.insertInfo)
	from := len(rows)
	if t.some {
		rows = ids.find(s, t, lo, hi, rows)
	}
	if t.rest && !ids.rest.empty() {
		var last recent
		err = ids.rest.rowsOf(lo, hi, func(row, slot int) error {
			v, err := ids.rest.value(slot, &last)
			if err == nil && s.Has(v.Text) {
				rows = append(rows, uint32(row))
			}
			return err
		})
	}
	slices.Sort(rows[from:])
	return rows, err
}

// find appends the rows of [lo, hi) whose packed id is looked for.
func (s *insertIDs) find(search *InsertSearch, t *packedTargets, lo, hi int, rows []uint32) []uint32 {
	if s.of.len() == 0 {
		from := len(rows)
		rows = s.slots(t, lo, hi, rows)
		return s.confirmed(search, rows, from)
	}
	before, until := s.of.ranks.before(lo), s.of.ranks.before(hi)
	from := len(rows)
	rows = s.slots(t, lo-before, hi-until, rows)
	for i, slot := range rows[from:] {
		rows[from+i] = uint32(s.of.row(int(slot), lo, hi))
	}
	// Rows that repeat an id are where the bitmap has ones.
	for n, row := before, lo; n < until; n++ {
		row = s.of.next(row)
		if first := int(s.of.firsts[n]); t.is(s.wordAt(first - s.of.ranks.before(first))) {
			rows = append(rows, uint32(row))
		}
		row++
	}
	return s.confirmed(search, rows, from)
}

// confirmed leaves those of the rows behind from whose ids are looked for.
func (s *insertIDs) confirmed(search *InsertSearch, rows []uint32, from int) []uint32 {
	kept := rows[:from]
	for _, row := range rows[from:] {
		if _, other := s.rest.slot(int(row)); !other && search.HasKey(s.key(int(row))) {
			kept = append(kept, row)
		}
	}
	return kept
}

// word is what is compared of the id in a slot.
func (s *insertIDs) wordAt(slot int) uint64 {
	if s.shared == 0 {
		b := s.packed[16*slot:]
		return mixWords(binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]))
	}
	bit := slot * shortBits
	return binary.LittleEndian.Uint64(s.packed[bit>>3:]) >> (bit & 7) & shortWord
}

// slots appends the slots of [lo, hi) whose words may be those of ids.
func (s *insertIDs) slots(t *packedTargets, lo, hi int, out []uint32) []uint32 {
	switch {
	case s.shared == 0:
		for slot := lo; slot < hi; slot++ {
			if t.is(s.wordAt(slot)) {
				out = append(out, uint32(slot))
			}
		}
		return out
	case t.maybe == nil:
		return s.shortSlots(t, lo, hi, out)
	}
	return s.manyShortSlots(t, lo, hi, out)
}

// fourShort is how many bytes four short ids take.
const fourShort = 4 * shortBits / 8

// shortSlots is slots for one id, four slots at a time: they begin with a byte.
func (s *insertIDs) shortSlots(t *packedTargets, lo, hi int, out []uint32) []uint32 {
	slot := lo
	for ; slot < hi && slot%4 != 0; slot++ {
		if s.wordAt(slot) == t.word {
			out = append(out, uint32(slot))
		}
	}
	w := t.word
	for b := s.packed[slot/4*fourShort:]; slot+4 <= hi; slot += 4 {
		four := b[:45+8]
		x0 := (binary.LittleEndian.Uint64(four) ^ w) & shortWord
		x1 := (binary.LittleEndian.Uint64(four[15:]) ^ w<<2) & (shortWord << 2)
		x2 := (binary.LittleEndian.Uint64(four[30:]) ^ w<<4) & (shortWord << 4)
		x3 := (binary.LittleEndian.Uint64(four[45:]) ^ w<<6) & (shortWord << 6)
		if x0 == 0 || x1 == 0 || x2 == 0 || x3 == 0 {
			for i := range 4 {
				if s.wordAt(slot+i) == w {
					out = append(out, uint32(slot+i))
				}
			}
		}
		b = b[fourShort:]
	}
	for ; slot < hi; slot++ {
		if s.wordAt(slot) == w {
			out = append(out, uint32(slot))
		}
	}
	return out
}

// manyShortSlots is slots for several ids.
func (s *insertIDs) manyShortSlots(t *packedTargets, lo, hi int, out []uint32) []uint32 {
	slot := lo
	for ; slot < hi && slot%4 != 0; slot++ {
		if t.is(s.wordAt(slot)) {
			out = append(out, uint32(slot))
		}
	}
	maybe, shift := t.maybe, t.shift&63
	for b := s.packed[slot/4*fourShort:]; slot+4 <= hi; slot += 4 {
		four := b[:45+8]
		h0 := hashWord(binary.LittleEndian.Uint64(four)&shortWord) >> shift
		h1 := hashWord(binary.LittleEndian.Uint64(four[15:])>>2&shortWord) >> shift
		h2 := hashWord(binary.LittleEndian.Uint64(four[30:])>>4&shortWord) >> shift
		h3 := hashWord(binary.LittleEndian.Uint64(four[45:])>>6&shortWord) >> shift
		found := maybe[h0>>6]>>(h0&63) | maybe[h1>>6]>>(h1&63) | maybe[h2>>6]>>(h2&63) | maybe[h3>>6]>>(h3&63)
		if found&1 != 0 {
			for i := range 4 {
				if t.is(s.wordAt(slot + i)) {
					out = append(out, uint32(slot+i))
				}
			}
		}
		b = b[fourShort:]
	}
	for ; slot < hi; slot++ {
		if t.is(s.wordAt(slot)) {
			out = append(out, uint32(slot))
		}
	}
	return out
}

// row is the row of [lo, hi) whose id is in a slot.
func (r *repeats) row(slot, lo, hi int) int {
	for lo < hi {
		if mid := (lo + hi) / 2; mid+1-r.ranks.before(mid+1) <= slot {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// next is the first row from one on that repeats an id; there is one.
func (r *repeats) next(row int) int {
	for i := row >> 3; ; i++ {
		b := r.ranks.bitmap[i]
		if i == row>>3 {
			b &^= 1<<(row&7) - 1
		}
		if b != 0 {
			return i<<3 + bits.TrailingZeros8(b)
		}
	}
}
