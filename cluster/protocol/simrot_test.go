package protocol

import (
	"slices"
	"time"

	"arbor/engine/dot"
)

// isRotten says whether a file of the bucket cannot be read.
func (b *diskBucket) isRotten() bool {
	return slices.ContainsFunc(b.files, func(f *diskFile) bool { return f.rotten })
}

// sound is the bucket without what cannot be read.
func (b *diskBucket) sound() *diskBucket {
	return &diskBucket{log: b.log, files: slices.DeleteFunc(slices.Clone(b.files), func(f *diskFile) bool { return f.rotten })}
}

// rottenHas says whether one of the batches is held and cannot be compared.
func (d *disk) rottenHas(b Bucket, batches []Batch) bool {
	at := d.bucket(b)
	return slices.ContainsFunc(batches, func(x Batch) bool { return at.find(x.Dot) != nil && at.sound().find(x.Dot) == nil })
}

// rotsFile damages an indexed file of a node that was down for a while: not more than the
// replicas of the bucket can bear. The node goes on as who it is, since it knows what was
// in the file, and gets that from others.
func (w *world) rotsFile() {
	n := w.nodes[w.rots.IntN(len(w.nodes))]
	b := w.buckets[w.rots.IntN(len(w.buckets))]
	if len(n.disk.bucket(b).files) == 0 || !w.bears(n, b) {
		return
	}
	n.stop()
	files := n.disk.bucket(b).files // a crash may have taken some
	if len(files) > 0 {
		f := files[w.rots.IntN(len(files))]
		f.rotten = true
		w.note("rotten", n.index, uint64(len(f.rows)))
		w.repairs(n, b, f)
	}
	w.after(time.Duration(w.rots.Int64N(int64(2*time.Second))), func() {
		if !n.up {
			n.start()
		}
	})
}

// repairs tries now and then to get again what was in a file.
func (w *world) repairs(n *node, b Bucket, f *diskFile) {
	w.after(time.Duration(w.rots.Int64N(int64(3*time.Second))), func() {
		if !f.rotten || !slices.Contains(n.disk.bucket(b).files, f) {
			return
		}
		if n.up && !n.full {
			n.repair(b, f)
		}
		w.repairs(n, b, f)
	})
}

// repair asks all others who hold the bucket.
func (n *node) repair(b Bucket, f *diskFile) {
	w, c := n.w, n.disk.ledger[b].Config
	found := map[dot.Dot]*entry{}
	all := true // have answered
	for _, r := range c.Members() {
		other := w.nodeOf(r)
		at := other.disk.bucket(b)
		switch {
		case other == n:
		case !other.up || at.isRotten() || w.blocked[[2]int{n.index, other.index}] || w.blocked[[2]int{other.index, n.index}]:
			all = false
		default:
			for _, e := range at.all("") {
				found[e.dot] = e
			}
		}
	}
	var rows []*entry
	for _, e := range f.rows {
		if there := found[e.dot]; there != nil {
			rows = append(rows, &entry{row: there.row, record: there.record, synced: true})
		}
	}
	switch {
	case len(rows) == len(f.rows):
		f.rows, f.rotten, f.name = rows, false, w.fileName()
		w.note("repaired", n.index, uint64(len(rows)))
	case all && !c.Joint() && len(c.Members()) > 1:
		n.disk.disowned[b] = true
		n.stop() // somebody has to start it again
		w.after(time.Duration(w.rots.Int64N(int64(time.Second))), func() {
			if !n.up {
				n.start()
			}
		})
	}
}

// giveUp has a node that starts hold anew what nobody has of what it lost.
func (n *node) giveUp() {
	w := n.w
	var which []Bucket
	for _, b := range w.buckets {
		if n.disk.disowned[b] || n.disk.ledger[b].Generation == 0 { // as losesDisk has it
			which = append(which, b)
		}
	}
	if len(n.disk.disowned) == 0 || slices.ContainsFunc(which, func(b Bucket) bool { return !w.bears(n, b) }) {
		return
	}
	for _, b := range which {
		w.declareLost(n, b)
		delete(n.disk.buckets, b)
		delete(n.disk.ledger, b)
	}
	clear(n.disk.disowned)
	n.disk.generation = 0
	w.note("disowned", n.index, uint64(len(which)))
}

// someday is a pace that admits what is asked for now and then.
type someday struct{ w *world }

// Admit is Pace's.
func (s someday) Admit(int) bool { return s.w.paces.IntN(4) == 0 }

// Correct is Pace's.
func (s someday) Correct(int) {}
