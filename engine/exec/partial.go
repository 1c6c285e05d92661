package exec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/zeebo/xxh3"
)

// A partial is what one member knows of an answer: of the shards of the user
// buckets that its fragment names, before anything is ordered or limited that
// others have a part in. It comes in pieces, so that neither side needs it in one
// buffer, and a Merger makes the answer of partials over disjoint shards. A piece:
//
//	┌───────┬─────────┬────────┬───────────────┬────────┬──────┬────────┐
//	│ "exp" │ version │ CRC32C │ fragment hash │ number │ kind │ body … │
//	│ 3     │ 1       │ 4 LE   │ 8 LE          │ varint │ 1    │        │
//	└───────┴─────────┴────────┴───────────────┴────────┴──────┴────────┘
//
// The checksum is of all other bytes. The hash is that of the fragment without its
// buckets. Pieces are numbered from 0, and the last is of kind end. Numbers are
// unsigned varints unless it says otherwise.
//
//	groups   columns, and for each: column number · values, and each value as its
//	         type has it (int, datetime: signed varint; double: 8 bytes LE; bool: 1
//	         byte; others: length · bytes). From here on a value is its number in its
//	         column of this piece, from 1 on, and 0 is null.
//	         Then records up to the end of the piece:
//	         1 · the keys · rows · the state of each aggregate
//	         2 · the keys · the aggregate's number · more of its state, which was too
//	         large for the piece in which the group is
//	rows     rows · columns, and for each: whether there are nulls, 1 byte · if so
//	         their bitmap · values of the rows that have one, as above
//	end      what the scan did: eleven numbers, as ScanStats has them. In version 3 there
//	         follow how many more, and these, as Work has them; who does not know the
//	         last ones passes over them
//
// States add up, piece by piece as partial by partial:
//
//	COUNT            of a column: number; of rows: nothing; neither where its sum is
//	COUNT(DISTINCT)  combinations · a value for each column of each; of one column
//	                 that is an insert or ingest id behind that: form, 1 byte · texts ·
//	                 16 bytes each, for each form, and 0
//	SUM of doubles   count · millionths, signed · flags, 1 byte: 1 large millionths
//	                 follow (big), 2 an exact sum
//	SUM of others    count · 128 bits LE · flag, 1 byte · big if it is 1
//	MIN, MAX         value
//	BIT_*            8 bytes LE
//	variances        count · exact sum · exact sum of squares
//	percentiles      values · for each: value · how often; only the first of those
//	                 of one column has any
//	first, last      value · if not 0: time, signed · ingest id, 16
//	behaviour        conditions met · events · for each: time, signed · ingest id,
//	                 16 · conditions
//	exact sum        192 bits LE · flags, 1 byte: 1 a big number and its exponent,
//	                 signed, follow; 2 a special double, 8 bytes LE
//	big              sign, 1 byte · length · bytes
const (
	pieceMagic   = "exp"
	pieceVersion = 1
	// manyVersion is of partials with packed texts.
	manyVersion = 2
	// measuredVersion is of partials of a fragment that is measured, of any kind.
	measuredVersion = 3
	pieceHeader     = len(pieceMagic) + 1 + crc32.Size + 8

	pieceGroups = 1
	pieceRows   = 2
	pieceEnd    = 3

	recordGroup = 1
	recordMore  = 2
)

// Sizes of pieces.
const (
	// MaxPieceBytes is the most that a piece may have.
	MaxPieceBytes = 64 << 20
	// pieceBytes is where a piece ends, if it can.
	pieceBytes = 1 << 20
	// stateRun is how many parts of one state are written between two looks at
	// the piece's size.
	stateRun = 1 << 13
)

// ErrPartial means that a piece is damaged, is not of this answer or comes out of
// its turn.
var ErrPartial = errors.New("bad partial result")

var pieceSums = crc32.MakeTable(crc32.Castagnoli)

// PartialWriter makes the pieces of a partial.
type PartialWriter struct {
	hash    uint64
	version byte
	number  uint64
	yield   func(piece []byte) error
	out     []byte
	// pieceBytes and stateRun are the constants, but in tests.
	pieceBytes, stateRun int
}

// NewPartialWriter is for the partial of a fragment. A piece is valid until yield
// returns.
func NewPartialWriter(f *Fragment, yield func(piece []byte) error) *PartialWriter {
	return &PartialWriter{hash: partialHash(f), version: partialVersion(f), yield: yield, pieceBytes: pieceBytes, stateRun: stateRun}
}

// partialHash names the question that a partial answers: which shards are asked is
// no part of it.
func partialHash(f *Fragment) uint64 {
	whole := *f
	whole.Buckets = nil
	return xxh3.Hash(AppendFragment(nil, &whole))
}

// partialVersion is the version of a fragment's partials.
func partialVersion(f *Fragment) byte {
	if f.Measured {
		return measuredVersion
	}
	if f.Group != nil {
		for i := range f.Group.Aggregates {
			if f.manyDistinct(&f.Group.Aggregates[i]) {
				return manyVersion
			}
		}
	}
	return pieceVersion
}

// write yields a piece.
func (w *PartialWriter) write(kind byte, body ...[]byte) error {
	w.out = append(append(w.out[:0], pieceMagic...), w.version, 0, 0, 0, 0)
	w.out = binary.LittleEndian.AppendUint64(w.out, w.hash)
	w.out = binary.AppendUvarint(w.out, w.number)
	w.out = append(w.out, kind)
	for _, b := range body {
		w.out = append(w.out, b...)
	}
	if len(w.out) > MaxPieceBytes {
		return fmt.Errorf("%w: a piece of %d bytes, at most %d", ErrMemory, len(w.out), MaxPieceBytes)
	}
	binary.LittleEndian.PutUint32(w.out[4:], pieceSum(w.out))
	w.number++
	return w.yield(w.out)
}

// pieceSum is the checksum of all bytes of a piece but its own.
func pieceSum(piece []byte) uint32 {
	return crc32.Update(crc32.Checksum(piece[:4], pieceSums), pieceSums, piece[8:])
}

// End writes the last piece.
func (w *PartialWriter) End(s ScanStats) error {
	var body []byte
	for _, n := range s.numbers() {
		body = binary.AppendUvarint(body, uint64(*n))
	}
	if w.version == measuredVersion {
		work := s.Work.numbers()
		body = binary.AppendUvarint(body, uint64(len(work)))
		for _, n := range work {
			body = binary.AppendUvarint(body, uint64(*n))
		}
	}
	return w.write(pieceEnd, body)
}

// numbers are the counts of Work, in an order that does not change; new ones come last.
func (w *Work) numbers() []*int64 {
	return []*int64{&w.FilesPruned, &w.Blocks, &w.BlocksPruned, &w.RowsZone, &w.RowsFound, &w.BytesFiles, &w.BytesLog, &w.BytesMemory,
		&w.TimeVisible, &w.TimeRows, &w.Partials, &w.BytesPartials, &w.TimeMerge}
}

// Add adds what another scan did.
func (w *Work) Add(o Work) {
	mine := w.numbers()
	for i, n := range o.numbers() {
		*mine[i] += *n
	}
}

// numbers are the counts of ScanStats, in an order that does not change.
func (s *ScanStats) numbers() []*int64 {
	shards, pruned, files := int64(s.Shards), int64(s.ShardsPruned), int64(s.Files)
	return []*int64{&shards, &pruned, &files, &s.RowsIndexed, &s.RowsLogged, &s.RowsPruned, &s.RowsDuplicate, &s.RowsDeleted,
		&s.RowsFiltered, &s.RowsTallied, &s.RowsGiven}
}

// Add adds what another scan did. Measured stays as it is.
func (s *ScanStats) Add(o ScanStats) {
	s.Work.Add(o.Work)
	s.Shards, s.ShardsPruned, s.Files = s.Shards+o.Shards, s.ShardsPruned+o.ShardsPruned, s.Files+o.Files
	mine := s.numbers()
	for i, n := range o.numbers() {
		*mine[i] += *n
	}
}

// pieceOf checks a piece's frame and gives what is in it.
func pieceOf(piece []byte, version byte, hash, number uint64) (kind byte, body []byte, err error) {
	if len(piece) > MaxPieceBytes || len(piece) < pieceHeader+2 || string(piece[:len(pieceMagic)]) != pieceMagic {
		return 0, nil, fmt.Errorf("%w: %d bytes that are no piece", ErrPartial, len(piece))
	}
	if binary.LittleEndian.Uint32(piece[4:]) != pieceSum(piece) {
		return 0, nil, fmt.Errorf("%w: the checksum of a piece is wrong", ErrPartial)
	}
	if v := piece[len(pieceMagic)]; v > measuredVersion {
		return 0, nil, fmt.Errorf("%w: a partial of version %d, this arbor knows %d", ErrVersion, v, measuredVersion)
	} else if v != version {
		return 0, nil, fmt.Errorf("%w: version %d of an answer that has %d", ErrPartial, v, version)
	}
	if binary.LittleEndian.Uint64(piece[8:]) != hash {
		return 0, nil, fmt.Errorf("%w: it answers another question", ErrPartial)
	}
	d := decoder{rest: piece[pieceHeader:]}
	n := d.uvarint()
	kind = d.byte()
	if d.bad {
		return 0, nil, fmt.Errorf("%w: a piece of %d bytes", ErrPartial, len(piece))
	}
	if n != number {
		return 0, nil, fmt.Errorf("%w: piece %d came, piece %d was to come", ErrPartial, n, number)
	}
	return kind, d.rest, nil
}

// maxWork is more than any version will have numbers of Work.
const maxWork = 1 << 10

// endOf reads the body of the last piece.
func endOf(body []byte, version byte) (s ScanStats, err error) {
	d := decoder{rest: body}
	s.Shards, s.ShardsPruned, s.Files = int(d.below(1<<31)), int(d.below(1<<31)), int(d.below(1<<31))
	for _, n := range s.numbers()[3:] {
		*n = int64(d.below(1 << 62))
	}
	if version == measuredVersion {
		work := s.Work.numbers()
		for i := range d.below(maxWork) {
			n := int64(d.below(1 << 62))
			if i < uint64(len(work)) {
				*work[i] = n
			}
		}
	}
	if d.bad || len(d.rest) > 0 {
		return ScanStats{}, fmt.Errorf("%w: its end has %d bytes", ErrPartial, len(body))
	}
	return s, nil
}
