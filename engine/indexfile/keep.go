package indexfile

import (
	"sync"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow/memory"
)

// Kept is memory in which readers keep columns decoded that are asked for again
// and again, at most so many bytes of all files together. A column is kept from
// when more than a quarter of its rows were asked for: a question that looks at few
// rows decodes what it needs and nothing else. What was not asked for lately gives
// way.
//
// Arrays that were made of a column go on using its memory after it gave way.
type Kept struct {
	limit   int64
	chunks  keptChunks
	decoded decodedParts

	mu      sync.Mutex // guards what follows
	used    int64
	columns []*column // that are kept, in a ring
	hand    int       // where in the ring is looked next
}

// keptFrom is the part of a column's rows that must have been asked for.
const keptFrom = 4

// NewKept makes room for that many bytes.
func NewKept(limit int64) *Kept {
	return &Kept{limit: limit, chunks: keptChunks{limit: limit / keptChunkShare}, decoded: decodedParts{limit: limit}}
}

// Decoded is how much readers hold of what they decoded to answer anything.
func (k *Kept) Decoded() int64 { return k.decoded.bytes() }

// Bytes is how much is kept, without what Decoded says.
func (k *Kept) Bytes() int64 {
	k.chunks.mu.RLock()
	used := k.chunks.used
	k.chunks.mu.RUnlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.used + used
}

// keptCodes are a column's codes, decoded.
type keptCodes struct {
	codes  codes
	buffer *memory.Buffer
	asked  atomic.Bool // since the ring's hand came by
}

// Keep makes the reader keep columns in k. It is to be called before the reader
// is used.
func (r *Reader) Keep(k *Kept) { r.kept = k }

// add keeps a column's codes, unless they do not fit.
func (k *Kept) add(c *column, codes *keptCodes) {
	size := int64(len(codes.codes.bytes))
	if size > k.limit {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.reader.closed.Load() {
		return
	}
	for k.used+size > k.limit {
		if k.hand >= len(k.columns) {
			k.hand = 0
		}
		if old := k.columns[k.hand].kept.Load(); old.asked.Swap(false) {
			k.hand++
		} else {
			k.removeAt(k.hand)
		}
	}
	k.columns = append(k.columns, c)
	k.used += size
	c.kept.Store(codes)
}

func (k *Kept) removeAt(i int) {
	c := k.columns[i]
	k.used -= int64(len(c.kept.Load().codes.bytes))
	c.kept.Store(nil)
	c.asked.Store(0)
	last := len(k.columns) - 1
	k.columns[i] = k.columns[last]
	k.columns[last] = nil
	k.columns = k.columns[:last]
}

// forget lets go of what a reader keeps; it is closed.
func (k *Kept) forget(r *Reader) {
	k.decoded.forget(r)
	k.forgetColumns(r)
}

// forgetColumns lets go of a reader's columns and chunks.
func (k *Kept) forgetColumns(r *Reader) {
	k.chunks.forget(r)
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := len(k.columns) - 1; i >= 0; i-- {
		if k.columns[i].reader == r {
			k.removeAt(i)
		}
	}
}

// codeWindow are codes that hold those of some rows: of row lo in slot at.
type codeWindow struct {
	codes  codes
	buffer *memory.Buffer
	at     int
}

// window gives the codes of the slots [lo, hi), in place where they lie decoded
// in the file or in memory. Otherwise they are new, from a slot before lo on whose
// bit begins a byte of the bitmap of rows.
func (c *column) window(lo, hi int) codeWindow {
	if c.info.coding == codingWhole {
		return codeWindow{c.codes, c.codesBuffer, lo}
	}
	if k := c.kept.Load(); k != nil {
		if !k.asked.Load() {
			k.asked.Store(true)
		}
		return codeWindow{k.codes, k.buffer, lo}
	}
	if r := c.reader; r.kept != nil && keptFrom*c.asked.Add(int64(hi-lo)) > int64(c.info.slots) && c.keeping.TryLock() {
		defer c.keeping.Unlock()
		k := c.kept.Load()
		if k == nil {
			k = &keptCodes{codes: c.decode(0, c.info.slots)}
			k.buffer = memory.NewBufferBytes(k.codes.bytes)
			r.kept.add(c, k)
		}
		return codeWindow{k.codes, k.buffer, lo}
	}
	from := lo &^ 7
	some := c.decode(from, hi)
	return codeWindow{some, memory.NewBufferBytes(some.bytes), lo - from}
}

// decode gives the codes of the slots [lo, hi); lo is a multiple of 8.
func (c *column) decode(lo, hi int) codes {
	out := codes{width: c.info.width, bytes: aligned((hi - lo) * int(c.info.width))}
	c.stored.fill(out.bytes, out.width, lo, hi-lo)
	return out
}
