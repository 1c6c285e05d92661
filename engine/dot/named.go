package dot

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Named is a record under its dot. Neither ever changes.
type Named struct {
	Dot    Dot
	Record []byte
}

// Outcome is what became of a named record that was to be stored.
type Outcome byte

// The outcomes.
const (
	// Stored: it is on disk, now or since before.
	Stored Outcome = 1 + iota
	// Differs: the dot is known, and names other content. Nothing was stored.
	Differs
)

// In a log a named record has its name before it:
//
//	┌───────┬─────────┬────────┬────────┬────────┬──────────┐
//	│ "dot" │ version │ CRC32C │ stream │ number │ record … │
//	│ 3     │ 1       │ 4 LE   │ 16     │ 8 LE   │          │
//	└───────┴─────────┴────────┴────────┴────────┴──────────┘
//
// The checksum is of the first four bytes, the stream and the number; the record
// has its own. A record without a name begins with letters of its own, and stays
// what it is.
const (
	nameMagic   = "dot"
	nameVersion = 1
	nameSum     = 4
	nameStream  = 8
	nameNumber  = nameStream + len(Stream{})

	// NameBytes is how long a name before a record is.
	NameBytes = nameNumber + 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendName appends what stands before a record that has the dot as its name.
func AppendName(b []byte, d Dot) []byte {
	at := len(b)
	b = append(b, nameMagic...)
	b = append(b, nameVersion, 0, 0, 0, 0)
	b = append(b, d.Stream[:]...)
	b = binary.LittleEndian.AppendUint64(b, d.Seq)
	binary.LittleEndian.PutUint32(b[at+nameSum:], nameChecksum(b[at:]))
	return b
}

func nameChecksum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:nameSum], castagnoli), castagnoli, b[nameStream:NameBytes])
}

// CutName takes the name off what a log holds. The dot is zero for a record
// without one. The record aliases b.
func CutName(b []byte) (d Dot, record []byte, err error) {
	if len(b) < len(nameMagic) || string(b[:len(nameMagic)]) != nameMagic {
		return Dot{}, b, nil
	}
	if len(b) < NameBytes {
		return Dot{}, nil, fmt.Errorf("name of a record: %w: it has %d bytes", ErrNameCorrupt, len(b))
	}
	if want, got := binary.LittleEndian.Uint32(b[nameSum:]), nameChecksum(b); got != want {
		return Dot{}, nil, fmt.Errorf("name of a record: %w: checksum is %08x, should be %08x", ErrNameCorrupt, got, want)
	}
	if v := b[len(nameMagic)]; v != nameVersion {
		return Dot{}, nil, fmt.Errorf("name of a record: %w: version %d, and this arbor knows %d", ErrVersion, v, nameVersion)
	}
	copy(d.Stream[:], b[nameStream:])
	if d.Seq = binary.LittleEndian.Uint64(b[nameNumber:]); !d.IsValid() {
		return Dot{}, nil, fmt.Errorf("name of a record: %w: number %d", ErrNameCorrupt, d.Seq)
	}
	return d, b[NameBytes:], nil
}

// ErrNameCorrupt: the bytes before a record are not a name's.
var ErrNameCorrupt = errors.New("name is corrupt")

// IsValid says whether d can name a batch.
func (d Dot) IsValid() bool { return d.Seq > 0 && d.Seq <= MaxSeq }

// Fetched is what an engine has of batches that somebody wants.
type Fetched struct {
	Batches []Named
	Files   []File
}

// Errors of an engine that replicas decide by.
var (
	// ErrUnreadable: what is here of the shard is damaged, so that nothing can be held
	// against it or built of it before it is repaired. Nothing was harmed by asking.
	ErrUnreadable = errors.New("what is held of the shard cannot be read")
	// ErrBacklog: so many events wait to be indexed that no more are taken for now.
	// Nothing was stored.
	ErrBacklog = errors.New("events come faster than they are indexed")
	// ErrNotAdopted: a file that was offered could not be had whole, or is not what was
	// offered. Nothing of it is there, and nothing was harmed.
	ErrNotAdopted = errors.New("file was not adopted")
	// ErrNowhere: all who may have batches that a shard lost were asked, and none has them.
	ErrNowhere = errors.New("no other replica has what was lost, and so the bucket is held anew at the next start")
	// ErrNoFile: the file was replaced, and is gone.
	ErrNoFile = errors.New("no such indexed file")
)

// File is an indexed file and the dots of all batches whose events are in it.
type File struct {
	// Name is the shard's, a slash, and a name that means something to the engine that
	// has the file.
	Name  string
	Bytes int64
	Dots  Set
}

// Source is a replica of a shard, of whom a damaged one gets back what it lost.
type Source struct {
	// Name is the member's.
	Name string
	// Offer gives the files that have some of the wanted batches, all of them if asked
	// until nothing is wanted any more.
	Offer func(ctx context.Context, want Set) ([]File, error)
	// Read hands over the bytes of an offered file.
	Read func(ctx context.Context, file File, take func(piece []byte) error) error
}
