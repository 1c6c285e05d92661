// Package wide copies short bytes as numbers. Go copies an array, or a slice whose length it
// does not know, by a call that first looks whether both overlap; where an event has thirty
// names and values of a few bytes each, that is much of what it takes to walk it.
package wide

import "encoding/binary"

// Size is how many bytes Copy copies, whether there are as many or not: that is more than
// most names and values have.
const Size = 32

// Copy copies Size bytes, which do not overlap.
func Copy(to, from []byte) {
	_, _ = to[Size-1], from[Size-1]
	a, b := binary.LittleEndian.Uint64(from), binary.LittleEndian.Uint64(from[8:])
	c, d := binary.LittleEndian.Uint64(from[16:]), binary.LittleEndian.Uint64(from[24:])
	binary.LittleEndian.PutUint64(to, a)
	binary.LittleEndian.PutUint64(to[8:], b)
	binary.LittleEndian.PutUint64(to[16:], c)
	binary.LittleEndian.PutUint64(to[24:], d)
}
