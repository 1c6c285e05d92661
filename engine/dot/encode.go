package dot

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zeebo/xxh3"
)

// A set is encoded so:
//
//	┌─────────┬─────────┬───────────────────────────────────────────────┐
//	│ version │ streams │ for each, ascending: stream, 16 · intervals · │
//	│ 1       │ varint  │ for each, ascending: gap · length − 1         │
//	└─────────┴─────────┴───────────────────────────────────────────────┘
//
// Numbers are unsigned varints. The gap of the first interval is its least
// number − 1; that of a later one is how many numbers lie between it and the one
// before, less 1, for intervals do not touch. Every set has one encoding, and
// bytes that are not one are refused. There is no checksum: a set is always part
// of something that has one.
const setVersion = 1

// Errors of DecodeSet.
var (
	// ErrCorrupt: the bytes are not a set's.
	ErrCorrupt = errors.New("set of dots is corrupt")
	// ErrVersion: the set was written by a newer arbor.
	ErrVersion = errors.New("set of dots is of a newer version")
)

// Append appends the set's encoding to b.
func (s *Set) Append(b []byte) []byte {
	b = append(b, setVersion)
	b = binary.AppendUvarint(b, uint64(len(s.ranges)))
	for _, r := range s.ranges {
		b = append(b, r.Stream[:]...)
		b = binary.AppendUvarint(b, uint64(len(r.Intervals)))
		least := uint64(1)
		for _, in := range r.Intervals {
			b = binary.AppendUvarint(b, in.Lo-least)
			b = binary.AppendUvarint(b, in.Hi-in.Lo-1)
			least = in.Hi + 1
		}
	}
	return b
}

// DecodeSet reads a set from the beginning of b and gives what follows it. The
// set does not alias b.
func DecodeSet(b []byte) (s Set, rest []byte, err error) {
	if len(b) == 0 {
		return Set{}, nil, fmt.Errorf("%w: it is empty", ErrCorrupt)
	}
	if b[0] > setVersion {
		return Set{}, nil, fmt.Errorf("%w: %d, and this arbor knows %d", ErrVersion, b[0], setVersion)
	}
	if b[0] != setVersion {
		return Set{}, nil, fmt.Errorf("%w: version %d", ErrCorrupt, b[0])
	}
	d := setDecoder{b: b[1:]}
	streams := d.count(len(Stream{}) + 3)
	for range streams {
		d.readRange(&s)
	}
	if d.broken {
		return Set{}, nil, ErrCorrupt
	}
	return s, d.b, nil
}

type setDecoder struct {
	b      []byte
	broken bool
}

// readRange reads one stream's intervals.
func (d *setDecoder) readRange(s *Set) {
	var r Range
	if d.broken = d.broken || len(d.b) < len(r.Stream); d.broken {
		return
	}
	d.b = d.b[copy(r.Stream[:], d.b):]
	if n := len(s.ranges); n > 0 && s.ranges[n-1].Stream.Compare(r.Stream) >= 0 {
		d.broken = true
		return
	}
	n := d.count(2)
	if d.broken = d.broken || n == 0; d.broken {
		return
	}
	r.Intervals = make([]Interval, n)
	least := uint64(1)
	for i := range r.Intervals {
		gap, length := d.uvarint(), d.uvarint()
		lo := least + gap
		hi := lo + length + 1
		if d.broken = d.broken || lo < least || least == 0 || hi <= lo; d.broken {
			return
		}
		r.Intervals[i] = Interval{lo, hi}
		least = hi + 1
	}
	s.ranges = append(s.ranges, r)
}

// count reads how many there are of what takes at least size bytes each.
func (d *setDecoder) count(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.b)/size) {
		d.broken = true
		return 0
	}
	return int(n)
}

// uvarint reads a number in its one shortest form.
func (d *setDecoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if d.broken = d.broken || n <= 0 || n > 1 && d.b[n-1] == 0; d.broken {
		return 0
	}
	d.b = d.b[n:]
	return v
}

func hashOf(b []byte) uint64 { return xxh3.Hash(b) }
