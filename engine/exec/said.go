package exec

import (
	"container/list"
	"encoding/binary"

	"arbor/catalog"
)

// What a comparison says of a column's values is asked for again with the next
// question, so a domain remembers it of the comparisons that were made last: then no
// text is looked at, and the memory that they are in stays untouched.

const (
	// maxSaid is how many comparisons a domain remembers.
	maxSaid = 16
	// maxSaidKey is how long one may be, in bytes, to be remembered.
	maxSaidKey = 1 << 10
)

// said is what a domain knows of a comparison.
type said struct {
	key   string
	table *memoTable
	bytes int64 // that were counted
}

// saidKey tells comparisons of one column apart; empty for one that is too long.
func saidKey(x *Expr) string {
	key := []byte{byte(x.Op)}
	for i := range x.Values {
		v := &x.Values[i]
		key = append(key, byte(v.Kind))
		key = binary.LittleEndian.AppendUint64(key, v.Bits)
		key = binary.AppendUvarint(key, uint64(len(v.Text)))
		if key = append(key, v.Text...); len(key) > maxSaidKey {
			return ""
		}
	}
	return string(key)
}

// saidOf is the table of what a comparison says of the domain's values.
func (d *Domain) saidOf(x *Expr) *memoTable {
	key := saidKey(x)
	if key == "" {
		return &memoTable{}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var found *list.Element
	for e := d.said.Front(); e != nil; e = e.Next() {
		s := e.Value.(*said)
		if s.key == key {
			found = e
		}
		// Tables grow while they are used.
		if size := s.table.size() + int64(len(s.key)); size != s.bytes {
			d.bytes.Add(size - s.bytes)
			s.bytes = size
		}
	}
	if found != nil {
		d.said.MoveToFront(found)
		return found.Value.(*said).table
	}
	if d.said.Len() >= maxSaid {
		last := d.said.Back()
		d.bytes.Add(-last.Value.(*said).bytes)
		d.said.Remove(last)
	}
	s := &said{key: key, table: &memoTable{}}
	d.said.PushFront(s)
	return s.table
}

// size is what the table takes.
func (m *memoTable) size() int64 {
	if ids := m.ids.Load(); ids != nil {
		return 4 * int64(len(*ids))
	}
	return 0
}

// compared reports whether values of a type are texts, of which it takes a while to say
// whether they match.
func compared(t catalog.Type) bool {
	return t != catalog.TypeBool && t != catalog.TypeInt && t != catalog.TypeDouble && t != catalog.TypeDatetime
}
