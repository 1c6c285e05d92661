package indexfile

import (
	"encoding/binary"
	"io"
	"sort"

	"github.com/klauspost/compress/zstd"

	"arbor/catalog"
)

// Texts that are too many and too different for a dictionary are kept in the
// order of their slots, in chunks that are compressed one by one:
//
//	chunk   a head for each text (varint): its length<<2 | how it ends; then
//	        the texts
//	index   16 bytes a chunk: its first slot (4), its length as heads and
//	        texts (4), where it ends among the chunks (8)
//
// A text that ends in a UUID or in 32 hexadecimal digits, in lower case, has
// the 16 bytes that they stand for in their place: no compression comes as
// near, and none is as fast to undo. In a column of several kinds each text is a
// cell: its kind (1 byte), then its 8 bytes of Bits or its text. A chunk is
// compressed if it is shorter on disk than its length.

// chunkBytes is about how much text a chunk holds, unless one text is longer,
// and chunkSlots how many texts at most; maxChunk is what the two can come to.
const (
	chunkBytes = 64 << 10
	chunkSlots = 8192
	maxChunk   = chunkBytes + MaxTextBytes + 9 + chunkSlots*5
)

const chunkEntry = 16

// tail says how a text ends. The numbers are on disk: append only.
type tail uint8

const (
	tailPlain tail = 0
	tailUUID  tail = 1
	tailHex   tail = 2
)

// tailForms are the forms that packID and appendID call them, and tailLens
// their lengths in a text.
var (
	tailForms = [...]Form{tailUUID: FormUUID, tailHex: FormHex}
	tailLens  = [...]int{tailUUID: 36, tailHex: 32}
)

// splitTail finds how a text ends, with the bytes that its end stands for.
func splitTail(packed *[16]byte, s string) tail {
	for t := tailUUID; t <= tailHex; t++ {
		if n := len(s) - tailLens[t]; n >= 0 && packID(packed, s[n:]) == tailForms[t] {
			return t
		}
	}
	return tailPlain
}

// chunkWriter makes chunks of texts.
type chunkWriter struct {
	// to takes the chunks as they are done; nil leaves them in bytes.
	to    io.Writer
	err   error // of to
	bytes []byte
	past  []extent // chunks before bytes, that were put aside
	done  uint64   // bytes written or put aside
	index []byte
	size  int // a chunk is cut at this many bytes of text
	slots int // added so far

	encoder *zstd.Encoder

	// Of the chunk at hand:
	heads []byte
	texts []byte
	first int // its first slot
	long  int // its texts' length, as they were added
}

func (w *chunkWriter) add(s string) {
	var packed [16]byte
	t := splitTail(&packed, s)
	w.heads = binary.AppendUvarint(w.heads, uint64(len(s))<<2|uint64(t))
	if t == tailPlain {
		w.texts = append(w.texts, s...)
	} else {
		w.texts = append(w.texts, s[:len(s)-tailLens[t]]...)
		w.texts = append(w.texts, packed[:]...)
	}
	w.long += len(s)
	w.slots++
	if w.long >= w.size || w.slots-w.first == chunkSlots {
		w.flush()
	}
}

// empty reports whether the next text begins a chunk.
func (w *chunkWriter) empty() bool { return w.slots == w.first }

func (w *chunkWriter) flush() {
	if w.empty() {
		return
	}
	w.heads = append(w.heads, w.texts...)
	w.bytes, _ = compress(w.encoder, w.bytes, w.heads)
	w.index = binary.LittleEndian.AppendUint32(w.index, uint32(w.first))
	w.index = binary.LittleEndian.AppendUint32(w.index, uint32(len(w.heads)))
	w.index = binary.LittleEndian.AppendUint64(w.index, w.done+uint64(len(w.bytes)))
	w.heads, w.texts, w.first, w.long = w.heads[:0], w.texts[:0], w.slots, 0
	if w.to != nil && w.err == nil {
		_, w.err = w.to.Write(w.bytes)
		w.drop()
	}
}

// drop lets go of chunks that are elsewhere.
func (w *chunkWriter) drop() {
	w.done += uint64(len(w.bytes))
	w.bytes = w.bytes[:0]
}

// spill puts the chunks aside that are done.
func (w *chunkWriter) spill(s *scratch) error {
	e, err := s.put(w.bytes)
	if err != nil {
		return err
	}
	w.past = append(w.past, e)
	w.drop()
	return nil
}

// part is the chunks, those that were put aside first.
func (w *chunkWriter) part(s *scratch) part {
	if len(w.past) == 0 {
		return part{kind: partChunks, bytes: w.bytes}
	}
	return part{kind: partChunks, write: func(to io.Writer) error {
		for _, e := range w.past {
			b, err := s.get(e)
			if err != nil {
				return err
			}
			if _, err := to.Write(b); err != nil {
				return err
			}
		}
		_, err := to.Write(w.bytes)
		return err
	}}
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
	own   []byte // memory for texts, if they are not as they were stored
}

// decode reads chunk k.
func (c *chunks) decode(k int) (*chunk, error) {
	out := &chunk{}
	return out, c.decodeInto(out, k, nil)
}

// decodeInto reads chunk k in the place of another one, whose memory it uses again, as it
// does room, if that is not nil.
func (c *chunks) decodeInto(out *chunk, k int, room *[]byte) error {
	start, e := uint64(0), c.index[k*chunkEntry:]
	if k > 0 {
		start = binary.LittleEndian.Uint64(c.index[(k-1)*chunkEntry+8:])
	}
	stored, rawLen := c.bytes[start:binary.LittleEndian.Uint64(e[8:])], int(binary.LittleEndian.Uint32(e[4:]))
	encoding := uint8(encodingRaw)
	if len(stored) < rawLen {
		encoding = encodingZstd
	}
	var into []byte
	if room != nil {
		into = *room
	}
	b, err := decompressInto(into, stored, encoding, rawLen)
	if err != nil {
		return err
	}
	if room != nil && encoding != encodingRaw {
		*room = b
	}
	n := c.first(k+1) - c.first(k)
	if out.first = c.first(k); cap(out.ends) < n {
		out.ends = make([]uint32, n)
	}
	out.ends = out.ends[:n]
	return out.read(b)
}

// read takes heads and texts apart: first it finds where each text ends once
// it is whole, and checks that; then it makes the tails whole, if there are any.
func (c *chunk) read(b []byte) error {
	stored, long := uint64(0), uint64(0)
	heads := b
	for i := range c.ends {
		head, size := binary.Uvarint(b)
		n, t := head>>2, tail(head&3)
		if size <= 0 || n > maxChunk || t > tailHex || t != tailPlain && n < uint64(tailLens[t]) {
			return errFrame
		}
		b, long = b[size:], long+n
		if t != tailPlain {
			n += 16 - uint64(tailLens[t])
		}
		stored += n
		c.ends[i] = uint32(long)
	}
	if stored != uint64(len(b)) || long > maxChunk {
		return errFrame
	}
	if stored == long {
		c.texts = b
		return nil
	}
	if uint64(cap(c.own)) < long {
		c.own = make([]byte, 0, long)
	}
	c.texts = c.own[:0]
	for range c.ends {
		head, size := binary.Uvarint(heads)
		heads = heads[size:]
		n := int(head >> 2)
		t := tail(head & 3)
		if t == tailPlain {
			c.texts, b = append(c.texts, b[:n]...), b[n:]
			continue
		}
		n -= tailLens[t]
		c.texts = append(c.texts, b[:n]...)
		c.texts = appendID(c.texts, tailForms[t], (*[16]byte)(b[n:]))
		b = b[n+16:]
	}
	return nil
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
