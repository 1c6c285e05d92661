package engine

import (
	"context"
	"errors"
	"slices"
	"sync"

	"arbor/engine/indexfile"
)

// idFilter says of an insert id that no row of a file has it, or that one may. Nearly all
// events that are indexed have an id that no older file has: then nobody has to look
// through their user's rows there.
//
// It is a Bloom filter in blocks of half a cache line (Putze, Sanders and Singler, Cache-,
// Hash- and Space-Efficient Bloom Filters, 2007). An id has two bits in each word of its
// block, so that adding it is four stores, none of which waits for another. It is filled while a new
// file is proven, from the rows as its reader gives them. It is in memory only: a file that
// was there when the engine was opened gets one when events are looked for in it.
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
	// unfilteredShare is the share of a file's rows, one in so many, of events that are looked
	// for in it before it gets a filter: by then that took as long as making one does.
	unfilteredShare = 16
)

// newIDFilter makes the filter of a file with so many rows; nil where it would take more
// than half of what all may.
func newIDFilter(rows int) *idFilter { return newIDFilterWithin(rows, maxIDFilters/2) }

func newIDFilterWithin(rows int, most int64) *idFilter {
	takes := filterBytes(rows)
	if takes > most {
		return nil
	}
	return &idFilter{blocks: make([]filterBlock, takes/filterBlockBytes)}
}

// filterBytes is how many bytes the filter of a file with so many rows takes.
func filterBytes(rows int) int64 {
	return (int64(rows)*filterRowBits/(filterBlockBytes*8) + 1) * filterBlockBytes
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
	// wanted are files without one in which events are looked for.
	wanted []*file
}

// filterFor is the filter for so many events that are to be looked for, or nil. Where many
// are, and there is none, one is made in the background.
func (f *file) filterFor(events int) *idFilter {
	ids := f.ids.Load()
	if ids == nil && f.filters != nil && f.unfiltered.Add(int64(events))*unfilteredShare >= int64(f.rows()) {
		f.unfiltered.Store(0)
		f.filters.want(f)
	}
	return ids
}

func (all *idFilters) want(f *file) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if !slices.Contains(all.wanted, f) {
		all.wanted = append(all.wanted, f)
	}
}

// takeWanted are the files that are to get a filter, and to which it would take nothing from
// others.
func (all *idFilters) takeWanted() (fit []*file) {
	all.mu.Lock()
	defer all.mu.Unlock()
	room := all.most - all.bytes
	for _, f := range all.wanted {
		if takes := filterBytes(f.rows()); f.ids.Load() == nil && takes <= min(room, all.most/2) {
			fit, room = append(fit, f), room-takes
		}
	}
	all.wanted = nil
	return fit
}

// makeIDFilters makes the filters that are wanted, of files that are still there.
func (e *Engine) makeIDFilters(ctx context.Context) error {
	var errs []error
	for _, f := range e.idFilters.takeWanted() {
		s := e.existing(f.meta.Shard)
		if s == nil {
			continue // it was dropped meanwhile
		}
		v, err := s.view(e)
		if err != nil {
			continue // the shard is damaged, as its questions say
		}
		if slices.Contains(v.files.files, f) {
			errs = append(errs, v.blame(f.makeFilter(ctx)))
		}
		v.release()
	}
	return errors.Join(errs...)
}

// makeFilter fills a filter from the file's rows.
func (f *file) makeFilter(ctx context.Context) error {
	filter := newIDFilterWithin(f.rows(), f.filters.most/2)
	if filter == nil {
		return nil
	}
	rows := f.reader.Cursor()
	hashes := make([]uint32, 0, pieceRows)
	for row := range f.rows() {
		if row%pieceRows == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			filter.add(hashes)
			hashes = hashes[:0]
		}
		k, err := rows.InsertKey(row)
		if err != nil {
			return err
		}
		if k.Form == indexfile.FormNone {
			filter.some = true
			continue
		}
		hashes = append(hashes, uint32(copyHashOf(keyHash(k))>>32))
	}
	filter.add(hashes)
	f.filters.keep(f, filter)
	return nil
}

// keep gives a file its filter, for which those of older files may have to go.
func (all *idFilters) keep(f *file, filter *idFilter) {
	if filter == nil {
		return
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	f.ids.Store(filter)
	all.files = append(all.files, f)
	for all.bytes += filter.bytes(); all.bytes > all.most; {
		all.remove(0)
	}
}

// drop takes the filter of a file that is closed, which is not to get one either.
func (all *idFilters) drop(f *file) {
	if all == nil {
		return
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	if i := slices.Index(all.files, f); i >= 0 {
		all.remove(i)
	}
	all.wanted = slices.DeleteFunc(all.wanted, func(w *file) bool { return w == f })
}

// remove takes the filter of one of the files. The caller has mu.
func (all *idFilters) remove(i int) {
	all.bytes -= all.files[i].ids.Swap(nil).bytes()
	all.files = slices.Delete(all.files, i, i+1)
}
