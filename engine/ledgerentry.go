package engine

import (
	"encoding/binary"
	"fmt"
	"slices"

	"arbor/catalog"
	"arbor/engine/event"
)

// ledgerVersion is that of the entries we write, and the newest that we read.
// The checksum that guards it is the frame's.
const ledgerVersion = 1

// The kinds of entries, and their bodies. Numbers are varints, that of the day a
// signed one.
const (
	// ledgerBegin voids all entries before it. It has no body.
	ledgerBegin = 1
	// ledgerShard names the live files of a shard: project, day, bucket, how many
	// files, and of each the sequence, from the second on less the one before,
	// and the random part, 4 bytes, little-endian. They ascend.
	ledgerShard = 2
	// ledgerLog names the segments of the log that must be there: next, how many,
	// and of each its number, from the second on less the one before.
	ledgerLog = 3
)

type ledgerEntry struct {
	kind   byte
	shard  catalog.ShardKey
	files  []fileName
	logged loggedSegments
}

// loggedSegments says which segments of the log must be there: those in live,
// and of those from next on, of which it knows nothing, what later ones name as
// having come before them. The others below next were retired or held nothing.
type loggedSegments struct {
	next uint64
	live []uint64
}

func (s loggedSegments) equal(o loggedSegments) bool {
	return s.next == o.next && slices.Equal(s.live, o.live)
}

func (n fileName) compare(o fileName) int {
	switch {
	case n == o:
		return 0
	case n.sequence < o.sequence || n.sequence == o.sequence && n.random < o.random:
		return -1
	}
	return 1
}

func (e ledgerEntry) encode() []byte {
	b := []byte{ledgerVersion, e.kind}
	switch e.kind {
	case ledgerShard:
		b = binary.AppendUvarint(b, uint64(e.shard.Project))
		b = binary.AppendVarint(b, int64(e.shard.Day))
		b = binary.AppendUvarint(b, uint64(e.shard.Bucket))
		b = binary.AppendUvarint(b, uint64(len(e.files)))
		last := uint64(0)
		for _, f := range e.files {
			b = binary.AppendUvarint(b, f.sequence-last)
			b = binary.LittleEndian.AppendUint32(b, f.random)
			last = f.sequence
		}
	case ledgerLog:
		b = binary.AppendUvarint(b, e.logged.next)
		b = binary.AppendUvarint(b, uint64(len(e.logged.live)))
		last := uint64(0)
		for _, id := range e.logged.live {
			b = binary.AppendUvarint(b, id-last)
			last = id
		}
	}
	return b
}

// decodeLedgerEntry is the inverse of encode. It gives ErrDamaged, or
// event.ErrVersion for an entry of a newer arbor.
func decodeLedgerEntry(b []byte) (e ledgerEntry, err error) {
	if len(b) < 2 {
		return e, fmt.Errorf("ledger entry of %d bytes: %w", len(b), ErrDamaged)
	}
	if b[0] > ledgerVersion {
		return e, fmt.Errorf("ledger entry of version %d, this arbor knows %d: %w", b[0], ledgerVersion, event.ErrVersion)
	}
	d := ledgerDecoder{b: b[2:], bad: b[0] == 0}
	switch e.kind = b[1]; e.kind {
	case ledgerBegin:
	case ledgerShard:
		e.shard.Project = catalog.ProjectID(d.number(1<<32 - 1))
		e.shard.Day = catalog.Day(d.signed(-1<<31, 1<<31-1))
		e.shard.Bucket = uint16(d.number(1<<16 - 1))
		e.files = d.files()
	case ledgerLog:
		e.logged.next = d.number(1<<64 - 1)
		e.logged.live = d.ids()
	default:
		d.bad = true
	}
	if d.bad || len(d.b) > 0 {
		return ledgerEntry{}, fmt.Errorf("ledger entry of kind %d and %d bytes: %w", b[1], len(b), ErrDamaged)
	}
	return e, nil
}

// ledgerDecoder reads numbers. After a bad one it reads zeros.
type ledgerDecoder struct {
	b   []byte
	bad bool
}

func (d *ledgerDecoder) number(most uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	if d.bad = d.bad || n <= 0 || v > most; d.bad {
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *ledgerDecoder) signed(least, most int64) int64 {
	v, n := binary.Varint(d.b)
	if d.bad = d.bad || n <= 0 || v < least || v > most; d.bad {
		return 0
	}
	d.b = d.b[n:]
	return v
}

// after is a number behind the last one: it is stored as the difference.
func (d *ledgerDecoder) after(last uint64) uint64 {
	v := d.number(1<<64 - 1 - last)
	return last + v
}

func (d *ledgerDecoder) files() (files []fileName) {
	last := fileName{}
	for i := range d.number(uint64(len(d.b))) {
		n := fileName{sequence: d.after(last.sequence)}
		if d.bad = d.bad || len(d.b) < 4; d.bad {
			return nil
		}
		n.random = binary.LittleEndian.Uint32(d.b)
		d.b = d.b[4:]
		if d.bad = i > 0 && last.compare(n) >= 0; d.bad {
			return nil
		}
		files, last = append(files, n), n
	}
	return files
}

func (d *ledgerDecoder) ids() (ids []uint64) {
	last := uint64(0)
	for range d.number(uint64(len(d.b))) {
		id := d.after(last)
		if d.bad = d.bad || id == last; d.bad {
			return nil
		}
		ids, last = append(ids, id), id
	}
	return ids
}
