package indexfile

import (
	"encoding/binary"
	"sort"

	"arbor/catalog"
)

// Texts that are too many and too different for a dictionary are kept in the
// order of their slots, in chunks that are compressed one by one:
//
//	chunk   the length of each text (varint), then the texts
//	index   16 bytes a chunk: its first slot (4), its length as texts and
//	        lengths (4), where it ends among the chunks (8)
//
// In a column of several kinds each text is a cell: its kind (1 byte), then its
// 8 bytes of Bits or its text. A chunk is compressed if it is shorter on disk
// than its length.

// chunkBytes is about how much a chunk holds, unless one text is longer, and
// chunkSlots how many texts at most; maxChunk is what the two can come to.
const (
	chunkBytes = 64 << 10
	chunkSlots = 8192
	maxChunk   = chunkBytes + MaxTextBytes + 9 + chunkSlots*5
)

const chunkEntry = 16

// chunkWriter makes chunks of texts.
type chunkWriter struct {
	bytes []byte // chunks done
	index []byte
	ends  []uint32 // of the texts of the chunk at hand
	texts []byte
	size  int // a chunk is cut at this many bytes
	slots int // added so far
	raw   []byte
}

func (w *chunkWriter) add(s string) {
	w.texts = append(w.texts, s...)
	w.ends = append(w.ends, uint32(len(w.texts)))
	w.slots++
	if len(w.texts) >= w.size || len(w.ends) == chunkSlots {
		w.flush()
	}
}

func (w *chunkWriter) flush() {
	if len(w.ends) == 0 {
		return
	}
	w.raw = w.raw[:0]
	last := uint32(0)
	for _, end := range w.ends {
		w.raw = binary.AppendUvarint(w.raw, uint64(end-last))
		last = end
	}
	w.raw = append(w.raw, w.texts...)
	w.bytes, _ = compress(w.bytes, w.raw)
	w.index = binary.LittleEndian.AppendUint32(w.index, uint32(w.slots-len(w.ends)))
	w.index = binary.LittleEndian.AppendUint32(w.index, uint32(len(w.raw)))
	w.index = binary.LittleEndian.AppendUint64(w.index, uint64(len(w.bytes)))
	w.ends, w.texts = w.ends[:0], w.texts[:0]
}

// chunks reads them.
type chunks struct {
	bytes []byte
	index []byte
	slots int
}

// readChunks checks the index, so that every chunk lies inside the bytes and
// holds at least one slot.
func readChunks(bytes, index []byte, slots int) (c *chunks, ok bool) {
	c = &chunks{bytes: bytes, index: index, slots: slots}
	if len(index)%chunkEntry != 0 || (len(index) == 0) != (slots == 0) {
		return nil, false
	}
	slot, end := -1, uint64(0)
	for k := range c.len() {
		e := index[k*chunkEntry:]
		first, rawLen, stored := int(binary.LittleEndian.Uint32(e)), binary.LittleEndian.Uint32(e[4:]), binary.LittleEndian.Uint64(e[8:])
		if k == 0 && first != 0 || first <= slot || first >= slots || c.first(k+1)-first > chunkSlots ||
			stored < end || stored > uint64(len(bytes)) || rawLen > maxChunk {
			return nil, false
		}
		slot, end = first, stored
	}
	return c, end == uint64(len(bytes))
}

func (c *chunks) len() int { return len(c.index) / chunkEntry }

func (c *chunks) first(k int) int {
	if k == c.len() {
		return c.slots
	}
	return int(binary.LittleEndian.Uint32(c.index[k*chunkEntry:]))
}

// find is the chunk that holds a slot.
func (c *chunks) find(slot int) int {
	return sort.Search(c.len(), func(k int) bool { return c.first(k) > slot }) - 1
}

// chunk is a decoded one. It is not changed after it was made, so its texts
// outlive it.
type chunk struct {
	first int // slot
	ends  []uint32
	texts []byte
}

// decode reads chunk k.
func (c *chunks) decode(k int) (*chunk, error) {
	start, e := uint64(0), c.index[k*chunkEntry:]
	if k > 0 {
		start = binary.LittleEndian.Uint64(c.index[(k-1)*chunkEntry+8:])
	}
	stored, rawLen := c.bytes[start:binary.LittleEndian.Uint64(e[8:])], int(binary.LittleEndian.Uint32(e[4:]))
	encoding := uint8(encodingRaw)
	if len(stored) < rawLen {
		encoding = encodingZstd
	}
	b, err := decompress(stored, encoding, rawLen)
	if err != nil {
		return nil, err
	}
	out := &chunk{first: c.first(k), ends: make([]uint32, c.first(k+1)-c.first(k))}
	end := uint64(0)
	for i := range out.ends {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)) {
			return nil, errFrame
		}
		b, end = b[size:], end+n
		out.ends[i] = uint32(end)
	}
	if end != uint64(len(b)) {
		return nil, errFrame
	}
	out.texts = b
	return out, nil
}

// holds reports whether the chunk has a slot.
func (c *chunk) holds(slot int) bool {
	return c != nil && slot >= c.first && slot < c.first+len(c.ends)
}

// at is the text of a slot.
func (c *chunk) at(slot int) []byte {
	i := slot - c.first
	start := uint32(0)
	if i > 0 {
		start = c.ends[i-1]
	}
	return c.texts[start:c.ends[i]]
}

// appendCell encodes a value of a column of several kinds.
func appendCell(dst []byte, v catalog.Value) []byte {
	dst = append(dst, byte(v.Kind))
	if fixedKind(v.Kind) {
		return binary.LittleEndian.AppendUint64(dst, v.Bits)
	}
	return append(dst, v.Text...)
}

// readCell reads what appendCell wrote.
func readCell(b []byte) (v catalog.Value, ok bool) {
	if len(b) == 0 || b[0] > byte(catalog.KindJSON) {
		return v, false
	}
	v.Kind, b = catalog.Kind(b[0]), b[1:]
	switch {
	case fixedKind(v.Kind):
		if len(b) != 8 {
			return v, false
		}
		v.Bits = binary.LittleEndian.Uint64(b)
	case v.Kind == catalog.KindNull:
		return v, len(b) == 0
	default:
		v.Text = text(b)
	}
	return v, true
}
