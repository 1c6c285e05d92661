package engine

import (
	"slices"
	"sync"

	"arbor/engine/indexfile"
)

// idFilter says of an insert id that no row of a file has it, or that one may. Nearly all
// events that are indexed have an id that no older file has: then nobody has to look
// through their user's rows there.
//
// It is a Bloom filter in blocks of a cache line (Putze, Sanders and Singler, Cache-, Hash-
// and Space-Efficient Bloom Filters, 2007), filled while a new file is proven, from the rows
// as its reader gives them. It is in memory only: a file that was there when the engine was
// opened has none.
type idFilter struct {
	blocks [][filterWords]uint64
	// some says that rows without an insert id are in the file, which it knows nothing of.
	some bool
}

const (
	// filterRowBits is how many bits a filter has for each row: with them one id in about
	// a thousand may be there that is not.
	filterRowBits = 16
	filterWords   = 8
	// filterProbes is how many bits stand for an id.
	filterProbes = 7
	// maxIDFilters is how many bytes the filters of all files take at most: those of the
	// oldest are dropped.
	maxIDFilters = 64 << 20
)

// newIDFilter makes the filter of a file with so many rows; nil where it would take more
// than half of what all may.
func newIDFilter(rows int) *idFilter { return newIDFilterWithin(rows, maxIDFilters/2) }

func newIDFilterWithin(rows int, most int64) *idFilter {
	blocks := int64(rows)*filterRowBits/(filterWords*64) + 1
	if blocks*filterWords*8 > most {
		return nil
	}
	return &idFilter{blocks: make([][filterWords]uint64, blocks)}
}

func (f *idFilter) bytes() int64 { return int64(len(f.blocks)) * filterWords * 8 }

// add adds the insert id of a row.
func (f *idFilter) add(k indexfile.InsertKey) {
	if k.Form == indexfile.FormNone {
		f.some = true
		return
	}
	block, bits := f.place(copyHashOf(keyHash(k)))
	for range filterProbes {
		block[bits>>6&(filterWords-1)] |= 1 << (bits & 63)
		bits >>= 9
	}
}

// place is the block of a copyHash, and the bits that stand for it there, nine for each.
func (f *idFilter) place(hash uint64) (*[filterWords]uint64, uint64) {
	hash = (hash ^ hash>>29) * 0xbf58476d1ce4e5b9
	hash ^= hash >> 32
	bits := hash * 0x94d049bb133111eb
	return &f.blocks[hash>>32*uint64(len(f.blocks))>>32], bits ^ bits>>31
}

// may reports whether a row may have the insert id with a copyHash.
func (f *idFilter) may(hash uint64) bool {
	block, bits := f.place(hash)
	for range filterProbes {
		if block[bits>>6&(filterWords-1)]>>(bits&63)&1 == 0 {
			return false
		}
		bits >>= 9
	}
	return true
}

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
