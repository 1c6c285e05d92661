package engine

import (
	"encoding/binary"
	"fmt"
	"slices"

	"arbor/catalog"
	"arbor/engine/dot"
	"arbor/engine/event"
)

// ledgerVersion is that of the newest entries that we read. The kinds that are older
// are written as version 1, so that an arbor that knows no others reads them. The
// checksum that guards it is the frame's.
const ledgerVersion = 4

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
	// ledgerLost says, by a 1, that of named batches more may have been acknowledged
	// than is here, and by a 0 that it is not so any more.
	ledgerLost = 4
	// ledgerDropped says that all is dropped that a shard had up to some moment:
	// project, day, bucket, the segment and the offset that the log had come to, and
	// the greatest sequence of its files.
	ledgerDropped = 5
	// ledgerVoid names batches that are held and whose events are not, since their
	// project was purged: project, bucket, and a set of dots.
	ledgerVoid = 6
	// ledgerBatches names the batches whose events are in one of the live files of a
	// shard, so that it is known what is lost with it: project, day, bucket, the file's
	// sequence and its random part, 4 bytes, and a set of dots; an empty one says that it
	// is not known any more.
	ledgerBatches = 7
	// ledgerSum says what the bytes of a live file came to when it was proven: project,
	// day, bucket, the file's sequence and its random part, 4 bytes, the checksum of its
	// footer, 8 bytes, little-endian, and the SHA-256 of all of it, 32 bytes.
	ledgerSum = 8
)

type ledgerEntry struct {
	kind   byte
	shard  catalog.ShardKey
	files  []fileName
	file   fileName
	logged loggedSegments
	lost   bool
	drop   drop
	slot   catalog.Slot
	dots   dot.Set
	sum    provenSum
}

// drop is up to where a shard was dropped: what the log holds of it before cut, and
// its files up to sequence, do not count.
type drop struct {
	cut      cut
	sequence uint64
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
	b := []byte{ledgerVersionOf(e.kind), e.kind}
	switch e.kind {
	case ledgerShard:
		b = e.appendShard(b)
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
	case ledgerLost:
		if e.lost {
			return append(b, 1)
		}
		return append(b, 0)
	case ledgerDropped:
		b = e.appendShard(b)
		b = binary.AppendUvarint(b, e.drop.cut.segment)
		b = binary.AppendUvarint(b, uint64(e.drop.cut.offset))
		b = binary.AppendUvarint(b, e.drop.sequence)
	case ledgerVoid:
		b = binary.AppendUvarint(b, uint64(e.slot.Project))
		b = binary.AppendUvarint(b, uint64(e.slot.Bucket))
		b = e.dots.Append(b)
	case ledgerBatches:
		b = e.dots.Append(e.appendFile(b))
	case ledgerSum:
		b = binary.LittleEndian.AppendUint64(e.appendFile(b), e.sum.seal)
		b = append(b, e.sum.hash[:]...)
	}
	return b
}

func (e *ledgerEntry) appendShard(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(e.shard.Project))
	b = binary.AppendVarint(b, int64(e.shard.Day))
	return binary.AppendUvarint(b, uint64(e.shard.Bucket))
}

func (e *ledgerEntry) appendFile(b []byte) []byte {
	b = e.appendShard(b)
	b = binary.AppendUvarint(b, e.file.sequence)
	return binary.LittleEndian.AppendUint32(b, e.file.random)
}

// ledgerVersionOf is the version in which a kind came up.
func ledgerVersionOf(kind byte) byte {
	switch {
	case kind >= ledgerSum:
		return 4
	case kind >= ledgerBatches:
		return 3
	case kind >= ledgerLost:
		return 2
	}
	return 1
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
	d := ledgerDecoder{b: b[2:], bad: b[0] == 0 || b[0] < ledgerVersionOf(b[1])}
	switch e.kind = b[1]; e.kind {
	case ledgerBegin:
	case ledgerShard:
		e.shard = d.shard()
		e.files = d.files()
	case ledgerLog:
		e.logged.next = d.number(1<<64 - 1)
		e.logged.live = d.ids()
	case ledgerLost:
		e.lost = d.number(1) == 1
	case ledgerDropped:
		e.shard = d.shard()
		e.drop.cut = cut{d.number(1<<64 - 1), int64(d.number(1<<63 - 1))}
		e.drop.sequence = d.number(1<<64 - 1)
	case ledgerVoid:
		e.slot.Project = catalog.ProjectID(d.number(1<<32 - 1))
		e.slot.Bucket = uint16(d.number(1<<16 - 1))
		e.dots = d.set()
	case ledgerBatches:
		e.shard = d.shard()
		e.file = fileName{sequence: d.number(1<<64 - 1), random: d.random()}
		e.dots = d.set()
	case ledgerSum:
		e.shard = d.shard()
		e.file = fileName{sequence: d.number(1<<64 - 1), random: d.random()}
		e.sum.seal = d.seal()
		d.bytes(e.sum.hash[:])
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

func (d *ledgerDecoder) shard() (k catalog.ShardKey) {
	k.Project = catalog.ProjectID(d.number(1<<32 - 1))
	k.Day = catalog.Day(d.signed(-1<<31, 1<<31-1))
	k.Bucket = uint16(d.number(1<<16 - 1))
	return k
}

func (d *ledgerDecoder) set() dot.Set {
	if d.bad {
		return dot.Set{}
	}
	s, rest, err := dot.DecodeSet(d.b)
	d.b, d.bad = rest, err != nil
	return s
}

func (d *ledgerDecoder) number(most uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	if d.bad = d.bad || n <= 0 || v > most; d.bad {
		return 0
	}
	d.b = d.b[n:]
	return v
}

// random is that part of a file's name.
func (d *ledgerDecoder) random() uint32 {
	var b [4]byte
	d.bytes(b[:])
	return binary.LittleEndian.Uint32(b[:])
}

// seal is the checksum of a file's footer.
func (d *ledgerDecoder) seal() uint64 {
	var b [8]byte
	d.bytes(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// bytes fills b.
func (d *ledgerDecoder) bytes(b []byte) {
	if d.bad = d.bad || len(d.b) < len(b); d.bad {
		return
	}
	d.b = d.b[copy(b, d.b):]
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
		n := fileName{sequence: d.after(last.sequence), random: d.random()}
		if d.bad = d.bad || i > 0 && last.compare(n) >= 0; d.bad {
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
