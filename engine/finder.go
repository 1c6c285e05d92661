package engine

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/indexfile"
)

// finder finds the copies among the rows of a file as they are written. Since
// all copies share a user and a user's rows lie together, its memory is that of
// the largest user, 8 bytes a row, and its bitmaps and table fit into the processor's
// cache: of a user with many rows it takes a part of the hashes at a time.
type finder struct {
	source rowSource
	first  uint32   // the ordinal of the user's first row in the new file
	hashes []uint64 // of the user's rows: of what makes one a copy
	table  hashtable
	once   exec.Bitmap // bits of hashes that were met
	twice  exec.Bitmap // and met again
	pairs  [][2]uint32 // numbers of a row of the user and of the first one of its key
	copies []uint32    // numbers of rows that are copies of earlier ones, ascending
	groups []indexfile.Group
	hidden []uint32

	numbers []uint32 // scratch
	members []member
	classes classNumbers
	slab    []indexfile.Member // of the groups
}

// begin makes room for the next user, whose first row has that ordinal.
func (f *finder) begin(first uint32) {
	f.first, f.hashes, f.pairs, f.copies = first, f.hashes[:0], f.pairs[:0], f.copies[:0]
}

// add takes a row of the user at hand.
func (f *finder) add(hash uint64) { f.hashes = append(f.hashes, hash) }

// keyHash is equal for copies with an insert id, contentHash for those without.
func keyHash(k indexfile.InsertKey) uint64 { return k.Lo ^ k.Hi*hashFactor }

// hashFactor spreads a number over the upper bits of its product.
const hashFactor = 0x9e3779b97f4a7c15

func contentHash(p fingerprint, time int64) uint64 {
	return p.hi ^ p.lo ^ uint64(time)*hashFactor
}

// copyHashOf is a keyHash or contentHash as copyHash gives it: in the upper half, which
// tables look at.
func copyHashOf(hash uint64) uint64 { return hash * hashFactor >> 32 << 32 }

// copyKey is what copies share beside their user.
type copyKey struct {
	key      indexfile.InsertKey
	insertID string // where the key does not stand for it
	content  form   // where there is no insert id
}

func copyKeyOf(l *looked) copyKey {
	if l.key.Form == indexfile.FormNone {
		return copyKey{content: form{l.member.payload, l.member.time}}
	}
	return copyKey{key: l.key, insertID: l.insertID}
}

func fingerprintOf(e *event.Event) fingerprint {
	hi, lo := event.PayloadHash(e)
	return fingerprint{hi, lo}
}

// few is up to how many rows of a user are compared each with each, and many how
// many hashes are in the table at a time.
const (
	few  = 8
	many = 1 << 20
)

// group finds the groups of the user at hand, whose rows were added.
func (f *finder) group(rows []sourceRow) error {
	switch n := len(f.hashes); {
	case n < 2:
		return nil
	case n <= few:
		for i := 1; i < n; i++ {
			for j := range i {
				if f.hashes[i] == f.hashes[j] {
					f.pairs = append(f.pairs, [2]uint32{uint32(i), uint32(j)})
					break
				}
			}
		}
	default:
		parts := uint64((n + many - 1) / many)
		for part := range parts {
			f.pair(part, parts)
		}
	}
	if len(f.pairs) == 0 {
		return nil
	}
	return f.confirm(rows)
}

// pair finds the pairs among one part of the hashes. Most rows are no copies: only those
// whose bit of a bitmap is met twice are looked up.
func (f *finder) pair(part, parts uint64) {
	const bitsPerHash = 16
	size := bits.Len(uint(len(f.hashes) / int(parts) * bitsPerHash))
	shift := 64 - size
	f.once, f.twice = f.once.Reset(1<<size), f.twice.Reset(1<<size)
	for _, hash := range f.hashes {
		if parts > 1 && partOf(hash, parts) != part {
			continue
		}
		bit := hash >> shift
		f.twice[bit/64] |= f.once[bit/64] & (1 << (bit % 64))
		f.once[bit/64] |= 1 << (bit % 64)
	}
	f.numbers = f.numbers[:0]
	for i, hash := range f.hashes {
		bit := hash >> shift
		if f.twice[bit/64]>>(bit%64)&1 != 0 && (parts == 1 || partOf(hash, parts) == part) {
			f.numbers = append(f.numbers, uint32(i))
		}
	}
	if len(f.numbers) < 2 {
		return
	}
	f.table.reset(len(f.numbers))
	for _, i := range f.numbers {
		hash := f.hashes[i]
		first, found := f.table.find(tableHash(hash), i, func(n uint32) bool { return f.hashes[n] == hash })
		if found {
			f.pairs = append(f.pairs, [2]uint32{i, first})
		}
	}
}

// partOf is the part of a hash.
func partOf(hash, parts uint64) uint64 { return mixHash(hash) >> 32 % parts }

// isCopy reports whether a row of the user is a copy of an earlier one.
func (f *finder) isCopy(number int) bool {
	_, copied := slices.BinarySearch(f.copies, uint32(number))
	return copied
}

// confirm turns the rows of one hash into groups by their real keys.
func (f *finder) confirm(rows []sourceRow) error {
	slices.SortStableFunc(f.pairs, func(a, b [2]uint32) int { return cmp.Compare(a[1], b[1]) })
	for lo := 0; lo < len(f.pairs); {
		first := f.pairs[lo][1]
		f.numbers = append(f.numbers[:0], first)
		for ; lo < len(f.pairs) && f.pairs[lo][1] == first; lo++ {
			f.numbers = append(f.numbers, f.pairs[lo][0])
		}
		if err := f.confirmHash(rows, f.numbers); err != nil {
			return err
		}
	}
	slices.Sort(f.copies)
	return nil
}

// confirmPair is confirmHash for two rows that are the same event sent twice, as nearly all
// are: of those nothing has to be looked at that does not differ.
func (f *finder) confirmPair(rows []sourceRow, a, b uint32) (bool, error) {
	if alike, err := f.source.alike(rows[a], rows[b]); err != nil || !alike {
		return false, err
	}
	f.members = f.members[:0]
	for _, n := range [...]uint32{a, b} {
		time, id, err := f.source.place(rows[n])
		if err != nil {
			return false, err
		}
		f.members = append(f.members, member{id: id, time: time, at: place{ordinal: f.first + n}})
	}
	f.copies = append(f.copies, b)
	f.addGroup(f.members, true)
	return true, nil
}

// confirmHash splits rows of one hash by their keys, nearly always into one
// group. It uses numbers up.
func (f *finder) confirmHash(rows []sourceRow, numbers []uint32) error {
	if len(numbers) == 2 {
		if done, err := f.confirmPair(rows, numbers[0], numbers[1]); err != nil || done {
			return err
		}
	}
	for len(numbers) > 1 {
		var key copyKey
		f.members = f.members[:0]
		others := numbers[:0]
		for i, n := range numbers {
			l, err := f.source.look(rows[n])
			if err != nil {
				return err
			}
			m := l.member
			m.at = place{ordinal: f.first + n}
			switch {
			case i == 0:
				key = copyKeyOf(&l)
				key.insertID = strings.Clone(key.insertID)
			case key != copyKeyOf(&l):
				others = append(others, n)
				continue
			default:
				f.copies = append(f.copies, n)
			}
			f.members = append(f.members, m)
		}
		if len(f.members) > 1 {
			f.addGroup(f.members, key.key.Form != indexfile.FormNone)
		}
		numbers = others
	}
	return nil
}

// addGroup adds a group, and what of it the default policy hides.
func (f *finder) addGroup(members []member, keyed bool) {
	if len(members) == 2 {
		if members[1].id.Compare(members[0].id) < 0 {
			members[0], members[1] = members[1], members[0]
		}
	} else {
		slices.SortFunc(members, func(a, b member) int {
			return cmp.Or(a.id.Compare(b.id), cmp.Compare(a.at.ordinal, b.at.ordinal))
		})
	}
	first := len(f.slab)
	f.classes.reset()
	for _, m := range members {
		f.slab = append(f.slab, indexfile.Member{Ordinal: m.at.ordinal, Class: f.classes.of(m.payload)})
	}
	f.groups = append(f.groups, indexfile.Group{Members: f.slab[first:len(f.slab):len(f.slab)]})
	if len(f.slab) > cap(f.slab)/2 {
		f.slab = make([]indexfile.Member, 0, 4096) // groups keep the old one
	}
	judge(members, keyed, catalog.DefaultPolicy, f.hide)
}

func (f *finder) hide(m, _ *member, _ kind) { f.hidden = append(f.hidden, m.at.ordinal) }

// finish sorts what was found.
func (f *finder) finish() {
	slices.Sort(f.hidden)
	slices.SortFunc(f.groups, func(a, b indexfile.Group) int { return cmp.Compare(a.Members[0].Ordinal, b.Members[0].Ordinal) })
}

// classNumbers numbers payloads in the order in which they appear. Nearly always
// there is one.
type classNumbers struct {
	few  []fingerprint
	many map[fingerprint]uint32
}

func (c *classNumbers) reset() { c.few, c.many = c.few[:0], nil }

func (c *classNumbers) of(p fingerprint) uint32 {
	if c.many == nil {
		if i := slices.Index(c.few, p); i >= 0 {
			return uint32(i)
		}
		if len(c.few) < few {
			c.few = append(c.few, p)
			return uint32(len(c.few) - 1)
		}
		c.many = map[fingerprint]uint32{}
		for i, f := range c.few {
			c.many[f] = uint32(i)
		}
	}
	n, ok := c.many[p]
	if !ok {
		n = uint32(len(c.many))
		c.many[p] = n
	}
	return n
}
