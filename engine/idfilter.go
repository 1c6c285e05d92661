package engine

import (
	"slices"
	"sync"
)

// idFilter says of an insert id that no row of a file has it, or that one may. Nearly all
// events that are indexed have an id that no older file has: then nobody has to look
// through their user's rows there.
//
// It is a Bloom filter in blocks of half a cache line (Putze, Sanders and Singler, Cache-,
// Hash- and Space-Efficient Bloom Filters, 2007). An id has two bits in each word of its
// block, so that adding it is four stores, none of which waits for another. It is filled while a new
// file is proven, from the rows as its reader gives them. It is in memory only: a file that
// was there when the engine was opened has none.
type idFilter struct {
	blocks []filterBlock
	// some says that rows without an insert id are in the file, which it knows nothing of.
	some bool
}

type filterBlock [4]uint64

const (
	// filterRowBits is how many bits a filter has for each row: with them one id in about
	// eight hundred may be there that is not.
	filterRowBits    = 16
	filterBlockBytes = 32
	// maxIDFilters is how many bytes the filters of all files take at most: those of the
	// oldest are dropped.
	maxIDFilters = 64 << 20
)

// newIDFilter makes the filter of a file with so many rows; nil where it would take more
// than half of what all may.
func newIDFilter(rows int) *idFilter { return newIDFilterWithin(rows, maxIDFilters/2) }

func newIDFilterWithin(rows int, most int64) *idFilter {
	blocks := int64(rows)*filterRowBits/(filterBlockBytes*8) + 1
	if blocks*filterBlockBytes > most {
		return nil
	}
	return &idFilter{blocks: make([]filterBlock, blocks)}
}

func (f *idFilter) bytes() int64 { return int64(len(f.blocks)) * filterBlockBytes }

// add adds rows by the upper halves of their insert ids' copyHashes.
func (f *idFilter) add(hashes []uint32) {
	for _, hash := range hashes {
		block, bits := f.place(uint64(hash) << 32)
		block[0] |= onesOf(bits)
		block[1] |= onesOf(bits >> 12)
		block[2] |= onesOf(bits >> 24)
		block[3] |= onesOf(bits >> 36)
	}
}

// may reports whether a row may have the insert id with a copyHash.
func (f *idFilter) may(hash uint64) bool {
	block, bits := f.place(hash)
	for _, word := range block {
		if ones := onesOf(bits); word&ones != ones {
			return false
		}
		bits >>= 12
	}
	return true
}

// place is the block of a copyHash, and the numbers of the bits that stand for it there,
// six bits for each.
func (f *idFilter) place(hash uint64) (*filterBlock, uint64) {
	hash = (hash ^ hash>>29) * 0xbf58476d1ce4e5b9
	hash ^= hash >> 32
	bits := hash * 0x94d049bb133111eb
	return &f.blocks[hash>>32*uint64(len(f.blocks))>>32], bits ^ bits>>31
}

// onesOf are the two bits of a word.
func onesOf(bits uint64) uint64 { return 1<<(bits&63) | 1<<(bits>>6&63) }

// mayAny reports whether a row may be a copy of one with one of the copyHashes. No filter
// says that it may.
func (f *idFilter) mayAny(hashes []uint64) bool {
	return f == nil || f.some || slices.ContainsFunc(hashes, f.may)
}

// idFilters are those of all files.
type idFilters struct {
	most int64

	mu    sync.Mutex // guards what follows
	files []*file    // that have one, the oldest first
	bytes int64
}

// keep gives a file its filter, for which those of older files may have to go.
func (all *idFilters) keep(f *file, filter *idFilter) {
	if filter == nil {
		return
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	f.ids.Store(filter)
	f.filters = all
	all.files = append(all.files, f)
	for all.bytes += filter.bytes(); all.bytes > all.most; {
		all.remove(0)
	}
}

// drop takes the filter of a file that is closed.
func (all *idFilters) drop(f *file) {
	if all == nil {
		return
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	if i := slices.Index(all.files, f); i >= 0 {
		all.remove(i)
	}
}

// remove takes the filter of one of the files. The caller has mu.
func (all *idFilters) remove(i int) {
	all.bytes -= all.files[i].ids.Swap(nil).bytes()
	all.files = slices.Delete(all.files, i, i+1)
}
