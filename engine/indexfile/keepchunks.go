package indexfile

import (
	"sync"
	"sync/atomic"
)

// Distinct ids that are asked for one by one, to find a user or to say whose a row
// is, each take a chunk of them decoded. The newest events of a day are of as many
// chunks as there are events, and a user is asked for again by every page that shows
// one: the chunks that were asked for last are kept, in a share of what Kept may take
// beside it.

const (
	// keptChunkShare is what share of the limit of Kept chunks may take, beside it.
	keptChunkShare = 16
	// fewTexts is how many texts may be asked for so that their chunks are kept:
	// who asks for many goes through the file.
	fewTexts = 64
)

// chunkKey names a chunk.
type chunkKey struct {
	column *column
	number int
}

// keptChunk is one that is kept.
type keptChunk struct {
	key   chunkKey
	chunk *chunk
	asked atomic.Bool // since the ring's hand came by
}

func (k *keptChunk) bytes() int64 { return int64(len(k.chunk.texts) + 4*len(k.chunk.ends)) }

// keptChunks are the chunks that are kept.
type keptChunks struct {
	limit int64

	mu     sync.RWMutex // guards what follows
	used   int64
	chunks map[chunkKey]*keptChunk
	ring   []*keptChunk
	hand   int // where in the ring is looked next
}

// get gives a chunk that is kept, nil if it is not.
func (k *keptChunks) get(key chunkKey) *chunk {
	k.mu.RLock()
	defer k.mu.RUnlock()
	c := k.chunks[key]
	if c == nil {
		return nil
	}
	if !c.asked.Load() {
		c.asked.Store(true)
	}
	return c.chunk
}

// add keeps a chunk, unless it does not fit.
func (k *keptChunks) add(key chunkKey, c *chunk) {
	added := &keptChunk{key: key, chunk: c}
	size := added.bytes()
	if size > k.limit {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if key.column.reader.closed.Load() || k.chunks[key] != nil {
		return
	}
	for k.used+size > k.limit {
		if k.hand >= len(k.ring) {
			k.hand = 0
		}
		if k.ring[k.hand].asked.Swap(false) {
			k.hand++
		} else {
			k.removeAt(k.hand)
		}
	}
	if k.chunks == nil {
		k.chunks = map[chunkKey]*keptChunk{}
	}
	k.chunks[key], k.ring = added, append(k.ring, added)
	k.used += size
}

func (k *keptChunks) removeAt(i int) {
	old := k.ring[i]
	k.used -= old.bytes()
	delete(k.chunks, old.key)
	last := len(k.ring) - 1
	k.ring[i], k.ring[last] = k.ring[last], nil
	k.ring = k.ring[:last]
}

// forget lets go of a reader's chunks; it is closed.
func (k *keptChunks) forget(r *Reader) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := len(k.ring) - 1; i >= 0; i-- {
		if k.ring[i].key.column.reader == r {
			k.removeAt(i)
		}
	}
}

// fewOf is chunk n, kept if it can be.
func (c *column) fewOf(n int) (*chunk, error) {
	kept := c.reader.kept
	if kept == nil {
		return c.chunk(n)
	}
	key := chunkKey{c, n}
	if found := kept.chunks.get(key); found != nil {
		return found, nil
	}
	found, err := c.chunk(n)
	if err == nil {
		kept.chunks.add(key, found)
	}
	return found, err
}
