package indexfile

import (
	"encoding/binary"
	"fmt"
	"iter"
	"slices"

	"arbor/catalog"
)

// Rows may also come in whatever order, while each is in the processor's caches,
// and be put in order when all came: then codes of four bytes move instead of rows
// whose parts lie all over the memory. The file is the same.
//
//	Collect, CollectShaped, … Arrange, Write

// Collect takes a row, in no order, with the key of its insert id. Its distinct id does not count: Arrange is told
// whose rows there are. The row's bytes are copied. What is collected is not put
// aside, whatever the limit. ErrColumns means that the rows must be added in order,
// to a new Builder.
func (b *Builder) Collect(r *Row, key InsertKey) error {
	b.Settle()
	if err := b.checkSize(r); err != nil {
		return fmt.Errorf("row %s: %w", r.ID, err)
	}
	if err := b.find(r); err != nil {
		return fmt.Errorf("row %s: %w", r.ID, err)
	}
	if len(b.otherText) > 0 {
		return ErrColumns // which properties have a column depends on the order
	}
	b.put(r, key)
	return nil
}

// Shape are the columns of rows that have one name and properties of certain names. It
// is the Builder's that found it.
type Shape struct {
	columns []*valueBuilder
	event   coded // the name
}

// Shape finds the columns for a row and those that have its name and properties, as
// Collect does, in the memory of one that is not used any more.
func (b *Builder) Shape(r *Row, into *Shape) error {
	err := b.checkSize(r)
	if err == nil {
		err = b.find(r)
	}
	if err != nil {
		return fmt.Errorf("row %s: %w", r.ID, err)
	}
	if len(b.otherText) > 0 {
		return ErrColumns
	}
	into.columns = append(into.columns[:0], b.found...)
	into.event = b.events.coded(catalog.String(r.Name))
	return nil
}

// CollectShaped is Collect for a row of a shape. The texts of its properties must stay as
// they are until Settle or Arrange.
func (b *Builder) CollectShaped(s *Shape, r *Row, key InsertKey) error {
	if err := b.checkSize(r); err != nil {
		return fmt.Errorf("row %s: %w", r.ID, err)
	}
	for i := range r.Properties {
		if err := checkValue(&r.Properties[i]); err != nil {
			return fmt.Errorf("row %s: %w", r.ID, err)
		}
	}
	row := uint32(b.Rows())
	b.times.add(r.Time)
	b.ids.add(r.ID)
	b.inserts.add(r.InsertID, key)
	b.events.repeat(row, s.event)
	if r.ServerTime {
		b.serverTimes.add(row, catalog.Bool(true))
	}
	b.gather(row, s.columns, r.Properties)
	return nil
}

// Collected are the ingest ids and times of the rows collected so far, in the order in
// which they came. They are not to be changed.
func (b *Builder) Collected() ([]catalog.IngestID, []int64) { return b.ids.tail, b.times.tail }

// InsertKeyOf is the key of a row's insert id, by the number of rows collected before it.
func (b *Builder) InsertKeyOf(collected uint32) InsertKey {
	id := &b.inserts.packed.tail[collected]
	return InsertKey{Hi: binary.BigEndian.Uint64(id[:]), Lo: binary.BigEndian.Uint64(id[8:]), Form: b.inserts.forms.tail[collected]}
}

// HasInsertID reports whether a row has an insert id, by the number of rows collected before
// it.
func (b *Builder) HasInsertID(collected uint32) bool {
	return b.inserts.forms.tail[collected] != FormNone
}

// EventOf is the name of a row's event, by the number of rows collected before it.
func (b *Builder) EventOf(collected uint32) string {
	return b.events.value(b.events.codes.tail[collected]).Text
}

// Arrange puts the collected rows in order: the i-th row of the file is the one that
// was collected as number order[i]. A row may be left out if one with the same values
// is not. users are the distinct ids, ascending, and how many rows each has.
func (b *Builder) Arrange(order []uint32, users iter.Seq2[string, int]) error {
	b.Settle()
	n := b.Rows()
	if len(order) > MaxRows {
		return fmt.Errorf("%d rows in one file: %w", MaxRows, ErrLimit)
	}
	b.times.tail = rearranged(&spareTimes, b.times.tail, order)
	b.ids.tail = rearranged(&spareIDs, b.ids.tail, order)
	if err := b.arrangeUsers(users); err != nil {
		return err
	}
	b.inserts.arrange(order)
	m := &arrangement{order: order, whole: isWhole(order, n), slots: append(spareCodes.get(n), make([]uint32, n)...)}
	for c := range b.columns {
		c.arrange(m)
	}
	spareCodes.put(m.slots)
	spareCodes.put(m.spare)
	return nil
}

// arrangeUsers takes the users, and checks that users and rows, whose times and ids
// were put in order, are in the order of Row.Compare.
func (b *Builder) arrangeUsers(users iter.Seq2[string, int]) error {
	times, ids := b.times.tail, b.ids.tail
	at := 0
	for user, rows := range users {
		if len(user) > MaxTextBytes {
			return fmt.Errorf("text of %d bytes, at most %d: %w", len(user), MaxTextBytes, ErrLimit)
		}
		if at > 0 && user <= text(b.users.last) || rows < 1 || rows > len(times)-at {
			return fmt.Errorf("%d rows of user %q after user %q: %w", rows, user, b.users.last, ErrOrder)
		}
		b.users.add(user)
		b.users.run = uint64(rows)
		for i := at + 1; i < at+rows; i++ {
			if times[i-1] > times[i] || times[i-1] == times[i] && ids[i-1].Compare(ids[i]) > 0 {
				return fmt.Errorf("row %s of user %q after row %s: %w", ids[i], user, ids[i-1], ErrOrder)
			}
		}
		at += rows
	}
	if at != len(times) {
		return fmt.Errorf("%d rows of users, %d in all: %w", at, len(times), ErrOrder)
	}
	return nil
}

// isWhole reports whether each of n rows is in the order once.
func isWhole(order []uint32, n int) bool {
	if len(order) != n {
		return false
	}
	seen := make([]byte, bitmapLen(n))
	for _, from := range order {
		bitSet(seen, int(from))
	}
	return bitCount(seen) == n
}

// arranged puts elements in order, into spare if that is long enough.
func arranged[T element](spare, a []T, order []uint32) []T {
	if cap(spare) < len(order) {
		spare = make([]T, len(order))
	}
	out := spare[:len(order)]
	for i, from := range order {
		out[i] = a[from]
	}
	return out
}

// rearranged is arranged, after which nobody uses the array as it was.
func rearranged[T element](from *spares[T], a []T, order []uint32) []T {
	out := arranged(from.get(len(order)), a, order)
	from.put(a)
	return out
}

// arrangement is how columns are put in order.
type arrangement struct {
	order []uint32
	whole bool     // each row is in it once
	slots []uint32 // scratch: 1 + the code of each collected row, 0 for none
	spare []uint32 // codes of a column that was put in order
	to    []uint32 // where each collected row goes, if whole; made when it is needed
}

// places says where each collected row goes.
func (m *arrangement) places() []uint32 {
	if m.to == nil {
		m.to = make([]uint32, len(m.order))
		for i, from := range m.order {
			m.to[from] = uint32(i)
		}
	}
	return m.to
}

// arrange puts the ids in order, texts too.
func (b *insertBuilder) arrange(order []uint32) {
	b.packed.tail = rearranged(&sparePacks, b.packed.tail, order)
	forms := b.forms.tail
	b.forms.tail = arranged(spareForms.get(len(order)), forms, order)
	defer spareForms.put(forms)
	if b.sizes.len() == 0 {
		return
	}
	numbers := make([]uint32, len(forms)) // of the texts, by row
	starts := make([]int, 0, b.sizes.len()+1)
	at := 0
	for i, f := range forms {
		if f == FormText {
			numbers[i] = uint32(len(starts))
			starts = append(starts, at)
			at += int(b.sizes.tail[numbers[i]])
		}
	}
	starts = append(starts, at)
	texts := make([]byte, 0, at)
	sizes := make([]uint32, 0, len(b.sizes.tail))
	for _, from := range order {
		if forms[from] == FormText {
			n := numbers[from]
			texts = append(texts, b.texts.tail[starts[n]:starts[n+1]]...)
			sizes = append(sizes, b.sizes.tail[n])
		}
	}
	b.texts.tail, b.sizes.tail = texts, sizes
}

// arrange puts the values in order.
func (b *valueBuilder) arrange(m *arrangement) {
	if b.values() == 0 {
		return
	}
	switch {
	case b.dense == len(m.slots):
		codes := b.codes.tail
		b.codes.tail, m.spare = arranged(m.spare, codes, m.order), codes
		b.dense = len(m.order)
	case m.whole && b.values() < len(m.order)/fewValues:
		b.arrangeFew(m.places())
	default:
		b.arrangeSome(m)
	}
	if m.whole {
		return
	}
	b.kinds, b.textBytes = [catalog.KindJSON + 1]int32{}, 0
	for _, code := range b.codes.tail {
		b.kinds[b.entries[code].kind]++
		b.textBytes += int64(b.entries[code].size)
	}
}

// arrangeSome puts values in order by looking at all rows.
func (b *valueBuilder) arrangeSome(m *arrangement) {
	r := b.reader()
	for i, code := range b.codes.tail {
		m.slots[r.row(i)] = code + 1
	}
	b.codes.tail, b.rows.tail, b.dense = b.codes.tail[:0], b.rows.tail[:0], 0
	for i, from := range m.order {
		if slot := m.slots[from]; slot != 0 {
			b.place(uint32(i), slot-1)
		}
	}
	clear(m.slots)
}

// fewValues is the share of rows with a value below which values are sorted instead.
const fewValues = 32

// arrangeFew puts values in order by sorting them.
func (b *valueBuilder) arrangeFew(to []uint32) {
	r := b.reader()
	moved := make([]uint64, b.values())
	for i := range moved {
		moved[i] = uint64(to[r.row(i)])<<32 | uint64(b.codes.tail[i])
	}
	slices.Sort(moved)
	b.codes.tail, b.rows.tail, b.dense = b.codes.tail[:0], b.rows.tail[:0], 0
	for _, m := range moved {
		b.place(uint32(m>>32), uint32(m))
	}
}
