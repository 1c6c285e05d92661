package indexfile

import (
	"sync"
	"unsafe"
)

// What a reader decompresses or decodes to answer anything (dictionaries, the runs of
// users, groups) stays with it, since the next question asks for the same. A member
// has thousands of files, of which most are not asked for lately: all readers together
// hold as much as Kept may take, beside it, and beyond that those let go of theirs that
// were not used since the hand of a clock came by. Who is reading goes on with what it
// has; who comes next decodes it again.

// decodedParts are the readers that hold something decoded.
type decodedParts struct {
	limit int64

	mu   sync.Mutex // guards what follows, and decoded of the readers
	used int64
	ring []*Reader
	hand int // where in the ring is looked next
}

// add counts what a reader has decoded, and gives readers that are to let go.
func (d *decodedParts) add(r *Reader, bytes int64) (idle []*Reader) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.closed.Load() {
		return nil
	}
	if r.decoded == 0 {
		d.ring = append(d.ring, r)
	}
	r.decoded += bytes
	d.used += bytes
	// The second round takes also who is always in use, but not the reader itself, which
	// is about to store what is counted here.
	for looked, all := 0, len(d.ring); d.used > d.limit && len(d.ring) > 1; looked++ {
		if d.hand >= len(d.ring) {
			d.hand = 0
		}
		if old := d.ring[d.hand]; old == r || old.used.Swap(false) && looked < 2*all {
			d.hand++
		} else {
			d.removeAt(d.hand)
			idle = append(idle, old)
		}
	}
	return idle
}

func (d *decodedParts) removeAt(i int) {
	r := d.ring[i]
	d.used -= r.decoded
	r.decoded = 0
	last := len(d.ring) - 1
	d.ring[i], d.ring[last] = d.ring[last], nil
	d.ring = d.ring[:last]
}

// forget counts nothing of a reader any more; it is closed.
func (d *decodedParts) forget(r *Reader) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.ring {
		if d.ring[i] == r {
			d.removeAt(i)
			return
		}
	}
}

// bytes is how much readers hold.
func (d *decodedParts) bytes() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used
}

// holds counts n values that the reader has decoded and is about to hold.
func holds[T any](r *Reader, n int) {
	var t T
	if r.kept == nil || n == 0 {
		return
	}
	for _, idle := range r.kept.decoded.add(r, int64(n)*int64(unsafe.Sizeof(t))) {
		idle.letGo()
	}
}

// letGo forgets everything that can be made again, and needs memory of its own.
func (r *Reader) letGo() {
	r.timeRuns.value.Store(nil)
	r.ingest.value.Store(nil)
	r.inserts.value.Store(nil)
	r.users.value.Store(nil)
	r.duplicates.value.Store(nil)
	r.groups.value.Store(nil)
	r.cross.value.Store(nil)
	r.properties.value.Store(nil)
	for i := range r.columns {
		r.columns[i].loaded.Store(nil)
	}
	for i := range r.sections {
		if s := &r.sections[i]; s.info.encoding != encodingRaw {
			s.loaded.value.Store(nil)
		}
	}
	r.kept.forgetColumns(r) // of columns that nobody finds any more
}

// Borrow is for who reads a file that nobody else may want soon: giveBack lets go of what
// was decoded meanwhile, unless others had used the reader before.
func (r *Reader) Borrow() (giveBack func()) {
	if r.kept == nil || r.used.Load() {
		return func() {}
	}
	return func() {
		r.kept.decoded.forget(r)
		r.letGo()
		r.used.Store(false)
	}
}

// use says that the reader is in use. What it gives stays good when it lets go: a column,
// or what userColumn and its like give, is not to be asked for twice in one step, since
// the second may be another one, not loaded yet.
func (r *Reader) use() {
	if !r.used.Load() {
		r.used.Store(true)
	}
}
