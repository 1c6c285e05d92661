package indexfile

import (
	"encoding/binary"
	"strings"

	"arbor/catalog"
)

// The rows of a user follow each other. The distinct ids are the texts of the
// column columnDistinctID, in order, one slot a user, and the lengths of the
// runs of rows are varints. The first text of each chunk stands by itself, to
// find a user by.

// userChunkBytes is about how much a chunk of distinct ids holds: finding one
// user decodes one chunk.
const userChunkBytes = 16 << 10

// userBuilder collects users.
type userBuilder struct {
	chunks  chunkWriter
	firsts  []string
	last    []byte // the last user
	run     uint64 // rows of the last user
	lengths []byte
	count   int
}

func (b *userBuilder) init() { b.chunks.size, b.chunks.encoder = userChunkBytes, zstdQuick() }

// again takes another row of the last user.
func (b *userBuilder) again() { b.run++ }

// add takes the first row of the next user.
func (b *userBuilder) add(distinctID string) {
	b.endRun()
	b.last = append(b.last[:0], distinctID...)
	b.run = 1
	b.count++
	if b.chunks.empty() {
		b.firsts = append(b.firsts, strings.Clone(distinctID))
	}
	b.chunks.add(distinctID)
}

func (b *userBuilder) endRun() {
	if b.run > 0 {
		b.lengths = binary.AppendUvarint(b.lengths, b.run)
	}
	b.run = 0
}

// encode gives the column and the file's part.
func (b *userBuilder) encode(s *scratch) (columnInfo, []part, part) {
	b.endRun()
	b.chunks.flush()
	info := columnInfo{placement: placeAll, layout: layoutChunks, slots: b.count}
	info.kinds[catalog.KindString] = int32(b.count)
	return info, []part{
		b.chunks.part(s),
		{kind: partChunkIndex, bytes: b.chunks.index},
		{kind: partFirsts, bytes: appendTexts(nil, b.firsts), cold: true},
	}, part{kind: partRunLengths, bytes: b.lengths, cold: true}
}

// users reads them.
type users struct {
	ends   []uint32 // where each user's rows end
	firsts textList
	chunks *chunks
	column *column // of the distinct ids, loaded
}

// readRunLengths gives where each run ends; the runs make up all rows.
func readRunLengths(d *decoder, users, rows int) []uint32 {
	if users > len(d.bytes) {
		d.fail("run lengths")
		return nil
	}
	ends := make([]uint32, users)
	end := 0
	for k := range ends {
		n := d.count("run length", rows-end)
		if n == 0 {
			d.fail("run length")
			return nil
		}
		end += n
		ends[k] = uint32(end)
	}
	if end != rows {
		d.fail("run lengths")
	}
	return ends
}
