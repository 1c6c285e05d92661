// Package dot names batches. A dot is a stream and a sequence number; a stream
// is 16 random bytes that a process draws when it starts and never writes down,
// so that no two processes, no clone of a machine and no restored directory
// ever give two batches one name. Replicas of a bucket exchange sets of dots to
// learn what each of them lacks.
//
// Sequence numbers are counted for each bucket apart and without gaps as long as
// nothing fails, so that the set of all that a stream wrote to a bucket is
// mostly one interval.
package dot

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"math"
)

// Stream names what one process wrote between its start and its end.
type Stream [16]byte

// String is the stream in hexadecimal.
func (s Stream) String() string { return hex.EncodeToString(s[:]) }

// Compare orders streams by their bytes.
func (s Stream) Compare(o Stream) int { return bytes.Compare(s[:], o[:]) }

// MaxSeq is the greatest sequence number, one less than fits, so that the end
// of an interval fits.
const MaxSeq = math.MaxUint64 - 1

// Dot names one batch of a bucket.
type Dot struct {
	Stream Stream
	// Seq counts from 1.
	Seq uint64
}

// String is the dot as stream:seq.
func (d Dot) String() string { return fmt.Sprintf("%s:%d", d.Stream, d.Seq) }

// Compare orders dots by stream and number.
func (d Dot) Compare(o Dot) int {
	if c := d.Stream.Compare(o.Stream); c != 0 {
		return c
	}
	return cmp.Compare(d.Seq, o.Seq)
}

// IsZero says whether d names nothing.
func (d Dot) IsZero() bool { return d == Dot{} }
