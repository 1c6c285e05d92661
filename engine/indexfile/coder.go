package indexfile

import "encoding/binary"

// coder chooses the coding of columns, by their bytes.
type coder struct {
	version uint32
	rows    int
	users   []uint32 // where the rows of each user end
	// small is the length of codes, decoded, up to which they stay whole: they go
	// to the pool, which is compressed.
	small int
}

// runs says how a column's values are repeated: how many runs of equal ones
// there are, and whether each user has one value at most. Rows without a value
// are of the run before.
func (b *valueBuilder) runs(users []uint32) (runs int, byUser bool) {
	if p, ok := b.plain(); ok {
		return p.runs(users)
	}
	byUser = users != nil
	last, user, of := ^uint32(0), 0, -1
	r := b.reader()
	for i := range b.values() {
		code := r.code(i)
		changed := r.changes(i, last, code)
		last = code
		if changed {
			runs++
		}
		if !byUser {
			continue
		}
		for row := uint32(r.row(i)); users[user] <= row; {
			user++
		}
		if user != of {
			of = user
		} else if changed {
			byUser = false
		}
	}
	return runs, byUser
}

// runBits is about what the length of a run takes.
const runBits = 9

// repeated is what runs says of a column.
type repeated struct {
	runs   int
	byUser bool
}

// bits is what so many bits a number come to in a placement and the coding that
// takes the fewest, or nearly: what is read faster is preferred to what is hardly
// shorter.
func (k *coder) bits(values, slots int, place placement, width uint8, same repeated) (int64, coding) {
	w := int64(width)
	best, how := int64(slots)*w, codingPacked
	if ranked := int64(values) * w; place == placeBitmap && 4*ranked < 3*best {
		best, how = ranked, codingRanked
	}
	if users := int64(len(k.users)) * w; same.byUser && place != placeSparse && 4*users < 3*best {
		best, how = users, codingUsers
	}
	if runs := int64(same.runs) * (w + runBits); 2*runs < best && 4*same.runs <= slots {
		best, how = runs, codingRuns
	}
	return best, how
}

// place lists the rows of a column that few have. Between a list and a bitmap it
// prefers the bitmap, which is read faster, unless the list takes less than two
// thirds of the bytes.
func (k *coder) place(values int, width uint8) (placement, int) {
	const ordinalBits = 12 // about
	list, bitmap := int64(values)*(ordinalBits+int64(width)), int64(k.rows)+int64(values)*int64(width)
	switch {
	case values == k.rows:
		return placeAll, k.rows
	case 3*list < 2*bitmap:
		return placeSparse, values
	}
	return placeBitmap, k.rows
}

// choose settles placement and coding of numbers of info.bits each.
func (k *coder) choose(info *columnInfo, values int, same repeated) int64 {
	info.placement, info.slots = k.place(values, info.bits)
	var bits int64
	bits, info.coding = k.bits(values, info.slots, info.placement, info.bits, same)
	whole := 8 * int64(info.slots) * int64(info.width)
	if info.layout == layoutDictionary && (whole <= 8*int64(k.small) || 16*bits > 15*whole) {
		bits, info.coding = whole, codingWhole
	}
	if info.coding == codingRuns {
		info.runs = same.runs
	}
	return bits
}

// encode gives the parts of a column's numbers, which at gives by the place of the
// value in the builder.
func (k *coder) encode(info *columnInfo, b *valueBuilder, kind partKind, at func(i int) uint64) []part {
	values := b.values()
	r := b.reader()
	if info.coding == codingWhole {
		width := info.width
		return []part{slotsPart(kind, info.slots, int(width), values, func(i int) int { return r.slot(info, i) }, func(piece []byte, slot, i int) {
			c := codes{width: width, bytes: piece}
			c.put(slot, uint32(at(i)))
		})}
	}
	switch info.coding {
	case codingRanked:
		return []part{packPart(kind, values, info.bits, at)}
	case codingUsers:
		// A user without a value has the first number there is: none is asked for.
		i := 0
		return []part{packPart(kind, len(k.users), info.bits, func(user int) uint64 {
			n := uint64(0)
			for ; i < values && r.row(i) < int(k.users[user]); i++ {
				n = at(i)
			}
			return n
		})}
	case codingRuns:
		var lengths []byte
		numbers := make([]uint64, 0, info.runs)
		start, last := 0, uint32(0)
		for i := range values {
			code := r.code(i)
			changed := r.changes(i, last, code)
			if last = code; !changed {
				continue
			}
			if i > 0 {
				slot := r.slot(info, i)
				lengths = binary.AppendUvarint(lengths, uint64(slot-start))
				start = slot
			}
			numbers = append(numbers, at(i))
		}
		lengths = binary.AppendUvarint(lengths, uint64(info.slots-start))
		return []part{
			packPart(kind, len(numbers), info.bits, func(i int) uint64 { return numbers[i] }),
			{kind: partRunEnds, bytes: lengths, cold: true},
		}
	}
	i := 0
	return []part{packPart(kind, info.slots, info.bits, func(slot int) uint64 {
		if i == values || r.slot(info, i) != slot {
			return 0
		}
		i++
		return at(i - 1)
	})}
}
