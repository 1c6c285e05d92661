package vfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// sectorSize is what a disk writes whole or not at all.
const sectorSize = 512

// syncNames makes the pending changes of a directory durable; the caller holds
// mu. A rename between directories waits for both. What is made durable takes
// with it the earlier changes of the same names, as every journal does.
func (m *Mem) syncNames(dir string) {
	keep := make([]bool, len(m.pending))
	for i := range m.pending {
		c := &m.pending[i]
		c.unsynced = slices.DeleteFunc(c.unsynced, func(d string) bool { return d == dir })
		keep[i] = len(c.unsynced) == 0
	}
	m.pending = commit(m.durable, m.pending, keep)
}

// commit applies the changes that are to be kept, and those that they need, to
// names in order, and returns the others.
func commit(names map[string]*inode, changes []nameChange, keep []bool) (rest []nameChange) {
	for i := range slices.Backward(changes) {
		for j := range i {
			keep[j] = keep[j] || keep[i] && changes[j].shares(changes[i])
		}
	}
	for i, c := range changes {
		if keep[i] {
			c.apply(names)
		} else {
			rest = append(rest, c)
		}
	}
	return rest
}

// CrashClone returns what a disk might hold if the power were cut now: all that
// was synced, and of what was not, each sector and each change of a name with
// the probability unsynced. At 0 exactly what was synced is left, at 1 all. The
// original is not changed, but must not be written to meanwhile.
func (m *Mem) CrashClone(rng *rand.Rand, unsynced float64) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := maps.Clone(m.durable)
	keep := make([]bool, len(m.pending))
	for i := range keep {
		keep[i] = rng.Float64() < unsynced
	}
	commit(names, m.pending, keep)

	clone := NewMem()
	// In order, so that a seed always gives the same disk.
	for _, name := range slices.Sorted(maps.Keys(names)) {
		clone.durable[name] = names[name].crash(rng, unsynced)
	}
	// A name is reachable only through directories that are there.
	maps.DeleteFunc(clone.durable, func(name string, _ *inode) bool {
		for dir := parent(name); dir != root; dir = parent(dir) {
			if clone.durable[dir] == nil {
				return true
			}
		}
		return false
	})
	clone.now = maps.Clone(clone.durable)
	return clone
}

// crash returns the file as a disk might hold it.
func (n *inode) crash(rng *rand.Rand, unsynced float64) *inode {
	synced := append(n.data[:n.kept:n.kept], n.tail...)
	size := len(synced)
	switch {
	case rng.Float64() < unsynced:
		size = len(n.data)
	case len(n.data) > size && unsynced > 0:
		size += rng.IntN(len(n.data) - size)
	}
	data := make([]byte, size)
	copy(data, synced)
	for at := n.kept - n.kept%sectorSize; at < size; at += sectorSize {
		n.crashSector(rng, unsynced, data[at:min(at+sectorSize, size)], at)
	}
	c := &inode{dir: n.dir, modified: n.modified, data: data}
	c.sync()
	return c
}

// crashSector puts one of the states that a sector has had since the last Sync
// into b, which holds the one that was synced.
func (n *inode) crashSector(rng *rand.Rand, unsynced float64, b []byte, at int) {
	if rng.Float64() < unsynced {
		if at < len(n.data) {
			copy(b, n.data[at:])
		}
		return
	}
	for _, d := range n.dropped {
		if rng.Float64() < unsynced && at+len(b) > d.at && at < d.at+len(d.data) {
			copy(b[max(d.at-at, 0):], d.data[max(at-d.at, 0):])
		}
	}
}
