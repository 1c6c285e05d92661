package event

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"arbor/catalog"
	"github.com/zeebo/xxh3"
)

// Digest stands for a set of records: how many they are, and the sum modulo
// 2^128 of their hashes. Sets with equal digests are equal, but for a chance of
// 2^-128; the digest of a disjoint union is the sum of the digests, in any
// order. A record that is stored twice must be added once.
type Digest struct {
	Count  uint64
	Hi, Lo uint64
}

// Add gives the digest of a disjoint union.
func (d Digest) Add(o Digest) Digest {
	lo, carry := bits.Add64(d.Lo, o.Lo, 0)
	hi, _ := bits.Add64(d.Hi, o.Hi, carry)
	return Digest{Count: d.Count + o.Count, Hi: hi, Lo: lo}
}

// Sub takes a subset's digest away: d.Add(o).Sub(o) is d.
func (d Digest) Sub(o Digest) Digest {
	lo, borrow := bits.Sub64(d.Lo, o.Lo, 0)
	hi, _ := bits.Sub64(d.Hi, o.Hi, borrow)
	return Digest{Count: d.Count - o.Count, Hi: hi, Lo: lo}
}

// AddEvent adds one event.
func (d *Digest) AddEvent(e *Event) {
	var buf hashBuffer
	d.add(xxh3.Hash128(AppendCanonical(buf[:0], e)))
}

// AddCanonical adds the event that has these canonical bytes.
func (d *Digest) AddCanonical(b []byte) { d.add(xxh3.Hash128(b)) }

// AddHashed is AddEvent, and PayloadHash of the same bytes, which are made in room.
func (d *Digest) AddHashed(e *Event, room *[]byte) (hi, lo uint64) {
	b := AppendCanonical((*room)[:0], e)
	*room = b
	d.add(xxh3.Hash128(b))
	h := xxh3.Hash128(b[canonicalHead:])
	return h.Hi, h.Lo
}

// AddWalked is AddHashed for the event that a Walker is at.
func (d *Digest) AddWalked(w *Walker) (hi, lo uint64) {
	d.add(xxh3.Hash128(w.canonical))
	h := xxh3.Hash128(w.canonical[canonicalHead:])
	return h.Hi, h.Lo
}

// AddDelete adds one delete.
func (d *Digest) AddDelete(del *Delete) {
	var buf hashBuffer
	b := append(buf[:0], canonicalDelete)
	b, _ = del.ID.AppendBinary(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(del.Targets)))
	for _, t := range del.Targets {
		b, _ = t.AppendBinary(b)
	}
	d.add(xxh3.Hash128(b))
}

// AddUndo adds one undo.
func (d *Digest) AddUndo(u *Undo) {
	var buf hashBuffer
	b := append(buf[:0], canonicalUndo)
	b, _ = u.ID.AppendBinary(b)
	b, _ = u.Delete.AppendBinary(b)
	d.add(xxh3.Hash128(b))
}

// AddBatch adds all of a batch's records, which must be different ones.
func (d *Digest) AddBatch(b *Batch) {
	for i := range b.Events {
		d.AddEvent(&b.Events[i])
	}
	for i := range b.Deletes {
		d.AddDelete(&b.Deletes[i])
	}
	for i := range b.Undos {
		d.AddUndo(&b.Undos[i])
	}
}

func (d *Digest) add(h xxh3.Uint128) {
	*d = d.Add(Digest{Count: 1, Hi: h.Hi, Lo: h.Lo})
}

// String is the count, a colon, and the sum in 32 hexadecimal digits.
func (d Digest) String() string {
	return fmt.Sprintf("%d:%016x%016x", d.Count, d.Hi, d.Lo)
}

// ParseDigest reads the form that String writes.
func ParseDigest(s string) (Digest, error) {
	count, sum, ok := strings.Cut(s, ":")
	n, err := strconv.ParseUint(count, 10, 64)
	b, hexErr := hex.DecodeString(sum)
	if !ok || err != nil || hexErr != nil || len(b) != 16 {
		return Digest{}, fmt.Errorf("digest %q: %w: want a count, a colon and 32 hexadecimal digits", s, ErrInvalid)
	}
	return Digest{Count: n, Hi: binary.BigEndian.Uint64(b), Lo: binary.BigEndian.Uint64(b[8:])}, nil
}

// AddID adds what an ingest id stands for.
func (d *Digest) AddID(id catalog.IngestID) {
	var buf hashBuffer
	b, _ := id.AppendBinary(buf[:0])
	d.add(xxh3.Hash128(b))
}

// Hash is the hash of one record, what it adds to a Digest.
type Hash [16]byte

// RecordHash is the hash of an event.
func RecordHash(e *Event) (h Hash) {
	var d Digest
	d.AddEvent(e)
	binary.BigEndian.PutUint64(h[:], d.Hi)
	binary.BigEndian.PutUint64(h[8:], d.Lo)
	return h
}

// String is the hash in 32 hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ParseHash reads the form that Hash.String writes.
func ParseHash(s string) (h Hash, err error) {
	if b, err := hex.DecodeString(s); err == nil && len(b) == len(h) {
		return Hash(b), nil
	}
	return h, fmt.Errorf("hash %q: %w: want 32 hexadecimal digits", s, ErrInvalid)
}
