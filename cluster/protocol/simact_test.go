package protocol

import (
	"fmt"
	"slices"
	"time"
)

// faultsLast is how long a seed has faults; healsFor how long it may take after
// that until all is well.
const (
	faultsLast = 20 * time.Second
	healsFor   = 60 * time.Second
)

// live plays a whole seed.
func (w *world) live() error {
	w.every(w.swarm.write, w.clientWrites)
	w.every(w.swarm.read, w.clientReads)
	w.every(w.swarm.crash, w.crashes)
	w.every(w.swarm.cut, w.cuts)
	w.every(w.swarm.reconfigure, w.reconfigures)
	w.every(w.swarm.index, w.indexes)
	w.every(w.swarm.full, w.fills)
	w.every(w.swarm.loseDisk, w.losesDisk)
	w.every(w.swarm.rot, w.rotsFile)
	w.always(300*time.Millisecond, w.leads)
	w.always(max(time.Second, w.swarm.news), func() { // the metadata reaches who was cut off
		for _, n := range w.nodes {
			for _, b := range w.buckets {
				n.hear(b, time.Duration(w.rand.Int64N(int64(time.Second))))
			}
		}
	})
	w.run(faultsLast)
	w.heal()
	w.run(faultsLast + healsFor)
	if w.violation == nil {
		w.checkHealed()
	}
	for range 3 {
		if w.violation == nil {
			w.finalQueries()
		}
	}
	return w.violation
}

// every does something at random intervals around d while there are faults.
func (w *world) every(d time.Duration, do func()) {
	if d == 0 {
		return
	}
	w.after(time.Duration(w.rand.Int64N(int64(2*d))), func() {
		if !w.quiet {
			do()
			w.every(d, do)
		}
	})
}

// always does something at intervals, for ever.
func (w *world) always(d time.Duration, do func()) {
	w.after(d, func() { do(); w.always(d, do) })
}

// clientWrites lets a client write a few events through some node.
func (w *world) clientWrites() {
	up := w.upNodes()
	if len(up) == 0 {
		return
	}
	c := &clientWrite{}
	for range 1 + w.rand.IntN(3) {
		w.events++
		b := w.buckets[w.rand.IntN(len(w.buckets))]
		w.bucketOf[w.events] = b
		c.events = append(c.events, w.events)
		item := Item{Bucket: b, Record: record(w.events)}
		if w.seed%4 == 3 && w.wants.IntN(4) == 0 { // one more than there are replicas is refused
			item.Least = 1 + w.wants.IntN(w.swarm.replicas+1)
		}
		c.items = append(c.items, item)
	}
	w.begin(up[w.rand.IntN(len(up))], c)
}

// begin hands a write to a node.
func (w *world) begin(n *node, c *clientWrite) {
	w.calls++
	id := w.calls
	c.node, c.boot = n.index, n.boot
	w.writes[id] = c
	n.do(func(e *Effects) { n.writer.Write(e, n.moment(), id, c.items) })
}

// written is the end of a write: a client that got an error tries again
// elsewhere, sometimes.
func (w *world) written(x Written) {
	c := w.writes[x.ID]
	if c == nil {
		w.violate("write %d ended twice, or after its process", x.ID)
		return
	}
	delete(w.writes, x.ID)
	if x.Err != nil {
		w.note("refused", c.node, x.ID)
		if up := w.upNodes(); len(up) > 0 && w.rand.IntN(2) == 0 {
			w.begin(up[w.rand.IntN(len(up))], &clientWrite{events: c.events, items: c.items})
		}
		return
	}
	w.note("acked", c.node, x.ID)
	for i, event := range c.events {
		w.checkLeast(event, c.items[i].Least)
		if b := w.bucketOf[event]; !w.acked[event] {
			w.acked[event] = true
			w.ackedIn[b] = append(w.ackedIn[b], event)
		}
		w.checkHeld(event)
	}
}

// clientReads asks some node for all events of some buckets.
func (w *world) clientReads() {
	if up := w.upNodes(); len(up) > 0 {
		w.query(up[w.rand.IntN(len(up))])
	}
}

func (w *world) query(n *node) (id uint64) {
	q := &clientQuery{node: n.index, boot: n.boot}
	for _, b := range w.buckets {
		if w.rand.IntN(3) > 0 || len(q.buckets) == 0 && b == w.buckets[len(w.buckets)-1] {
			q.buckets = append(q.buckets, b)
			q.acked = append(q.acked, w.ackedIn[b]...)
		}
	}
	w.calls++
	id = w.calls
	w.queries[id] = q
	n.do(func(e *Effects) { n.reader.QueryNear(e, n.moment(), id, nil, q.buckets, n.near(id)) })
	return id
}

// crashes stops a node and starts it again later.
func (w *world) crashes() {
	n := w.nodes[w.rand.IntN(len(w.nodes))]
	if !n.up {
		return
	}
	n.stop()
	w.after(time.Duration(w.rand.Int64N(int64(4*time.Second))), func() {
		if !n.up {
			n.start()
		}
	})
}

// cuts cuts the network between some nodes, in one direction or both, or a node
// from the metadata.
func (w *world) cuts() {
	a, b := w.rand.IntN(len(w.nodes)), w.rand.IntN(len(w.nodes))
	var pairs [][2]int
	switch w.rand.IntN(4) {
	case 0: // one way
		pairs = append(pairs, [2]int{a, b})
	case 1: // both ways
		pairs = append(pairs, [2]int{a, b}, [2]int{b, a})
	case 2: // one from all
		for i := range w.nodes {
			pairs = append(pairs, [2]int{a, i}, [2]int{i, a})
		}
	case 3: // two halves
		for i := range w.nodes {
			for j := range w.nodes {
				if i%2 != j%2 {
					pairs = append(pairs, [2]int{i, j})
				}
			}
		}
	}
	for _, p := range pairs {
		if p[0] != p[1] {
			w.blocked[p] = true
		}
	}
	if w.swarm.metadataCut && w.rand.IntN(2) == 0 {
		w.noMetadata[a] = true
	}
	w.after(time.Duration(w.rand.Int64N(int64(5*time.Second))), func() {
		for _, p := range pairs {
			delete(w.blocked, p)
		}
		delete(w.noMetadata, a)
	})
}

// reconfigures begins a change of a bucket, or aims one that is under way
// elsewhere, or gives it up.
func (w *world) reconfigures() {
	b := w.buckets[w.rand.IntN(len(w.buckets))]
	c := w.placement.Configs[b]
	var to []Replica
	if !c.Joint() || w.rand.IntN(4) > 0 {
		to = w.someReplicas(b, 1+w.rand.IntN(min(5, len(w.nodes))))
		if w.rand.IntN(2) == 0 {
			to = w.someReplicas(b, w.swarm.replicas)
		}
	}
	if c.Joint() && w.rand.IntN(3) > 0 {
		return
	}
	w.beginChange(b, to)
}

func (w *world) beginChange(b Bucket, to []Replica) {
	before := w.placement.Configs[b].Epoch
	c, err := w.placement.Begin(Begin{b, before, to})
	w.must(err)
	if c.Epoch != before {
		w.announce(b, c)
	}
}

// leads is what the leader of the metadata does: it ends what is complete, and
// replaces who is lost.
func (w *world) leads() {
	for _, end := range w.mover.Due(w.now, &w.placement) {
		before := w.placement.Configs[end.Bucket]
		c, err := w.placement.End(end)
		w.must(err)
		w.checkEnd(end.Bucket, before)
		w.announce(end.Bucket, c)
	}
	for _, b := range w.buckets {
		c := w.placement.Configs[b]
		stale := w.lostOf(b, c.New) > 0
		if !stale && (c.Joint() || w.lostOf(b, c.Old) == 0) {
			continue
		}
		if !w.quiet && w.rand.IntN(4) > 0 {
			continue
		}
		from := c.Old
		if c.Joint() {
			from = c.New
		}
		var to []Replica
		for _, r := range from {
			if w.lost[b][r] {
				r = w.identity(b, w.nodeOf(r))
			}
			to = append(to, r)
		}
		w.beginChange(b, to)
	}
	if w.rand.IntN(40) == 0 && !w.quiet {
		w.mover = NewMover() // the leader is another one
		w.mover.bug = w.bug
	}
}

// indexes begins to index a bucket's log, and ends later.
func (w *world) indexes() {
	n := w.nodes[w.rand.IntN(len(w.nodes))]
	b := w.buckets[w.rand.IntN(len(w.buckets))]
	if !n.up || n.indexes[b] || n.disk.bucket(b).isRotten() {
		return
	}
	var inputs []*entry
	for _, e := range n.disk.bucket(b).log {
		if e.synced {
			inputs = append(inputs, e)
		}
	}
	var merging []*diskFile
	if files := n.disk.bucket(b).files; len(files) > 1 && w.copies.IntN(3) == 0 {
		for _, f := range files {
			if f.synced {
				merging = append(merging, f)
			}
		}
	}
	boot := n.boot
	n.indexes[b] = true
	w.after(time.Duration(w.rand.Int64N(int64(time.Second))), func() {
		if !n.up || n.boot != boot {
			return
		}
		n.indexes[b] = false
		if at := n.disk.bucket(b); slices.ContainsFunc(merging, func(f *diskFile) bool { return !slices.Contains(at.files, f) }) {
			return // the bucket was dropped meanwhile
		}
		if len(merging) > 1 {
			n.disk.merge(b, w.fileName(), merging, w.bug)
			w.note("merged", n.index, uint64(len(merging)))
			return
		}
		n.disk.index(b, w.fileName(), inputs, w.bug)
		w.note("indexed", n.index, uint64(len(inputs)))
	})
}

// fileName is a name that no file had before.
func (w *world) fileName() string {
	w.files++
	return fmt.Sprint("file ", w.files)
}

// adopt copies a file from who offers it. It comes whole or not at all, a crash
// in between included.
func (n *node) adopt(t Task, in func(time.Duration, func()), wait func() time.Duration, done func(Result)) {
	w, from := n.w, n.w.nodes[t.Adopt.From[0]-1]
	refuse := func(why string) { done(Result{Err: fmt.Errorf("%s: %w", why, ErrNotAdopted)}) }
	in(time.Duration(w.copies.Int64N(int64(w.swarm.copying))+1), func() {
		f := from.disk.file(t.Bucket, t.Adopt.File.Name)
		switch {
		case !from.up || w.blocked[[2]int{from.index, n.index}] || w.blocked[[2]int{n.index, from.index}]:
			refuse("the connection is cut")
			return
		case f == nil || !f.synced:
			refuse("the file was replaced")
			return
		case f.rotten || n.disk.bucket(t.Bucket).isRotten():
			refuse("what is there is damaged")
			return
		case !w.quiet && w.copies.IntN(20) == 0:
			refuse("a checksum is wrong")
			return
		case n.full:
			done(Result{Err: fmt.Errorf("adopt: %w", ErrFull)})
			return
		}
		mine := &diskFile{name: w.fileName()}
		for _, e := range f.rows {
			mine.rows = append(mine.rows, &entry{row: e.row, record: e.record, synced: true})
		}
		at := n.disk.bucket(t.Bucket)
		at.files = append(at.files, mine)
		adopted := func() {
			w.note("adopted", n.index, uint64(len(mine.rows)))
			done(Result{Dots: mine.dots()})
		}
		if w.bug == bugAdoptBeforeSync {
			adopted()
		}
		in(wait(), func() {
			mine.synced = true
			if w.bug != bugAdoptBeforeSync {
				adopted()
			}
		})
	})
}

// fills lets a disk be full for a while.
func (w *world) fills() {
	n := w.nodes[w.rand.IntN(len(w.nodes))]
	n.full = true
	w.after(time.Duration(w.rand.Int64N(int64(3*time.Second))), func() { n.full = false })
}

// losesDisk lets a node lose one bucket, as by a flipped bit in a file, or its
// whole disk: not more than the replicas of each bucket can bear.
func (w *world) losesDisk() {
	n := w.nodes[w.rand.IntN(len(w.nodes))]
	which := slices.Clone(w.buckets)
	if w.rand.IntN(2) == 0 {
		which = which[w.rand.IntN(len(which)):][:1]
	}
	// A bucket that is meant for the generation of now, and has not come yet, is
	// lost with it: the member will be asked for under the next one.
	for _, b := range w.buckets {
		if n.disk.ledger[b].Generation == 0 && !slices.Contains(which, b) {
			which = append(which, b)
		}
	}
	for _, b := range which {
		if !w.bears(n, b) {
			return
		}
	}
	n.stop()
	for _, b := range which {
		w.declareLost(n, b)
		delete(n.disk.buckets, b)
		delete(n.disk.disowned, b)
		if w.bug != bugWipeSameID {
			delete(n.disk.ledger, b)
		}
	}
	n.disk.generation = 0
	w.note("lost", n.index, uint64(len(which)))
	w.after(time.Duration(w.rand.Int64N(int64(2*time.Second))), func() {
		if !n.up {
			n.start()
		}
	})
}

// bears says whether the replicas of a bucket bear the loss of this one.
func (w *world) bears(n *node, b Bucket) bool {
	c := w.placement.Configs[b]
	for _, set := range [][]Replica{c.Old, c.New} {
		lost := w.lostOf(b, set)
		for _, r := range set {
			if !w.lost[b][r] && (r.Member == n.id || w.nodeOf(r).disk.bucket(b).isRotten()) {
				lost++
			}
		}
		if len(set) > 0 && len(set)-lost < len(set)/2+1 {
			return false
		}
	}
	return true
}

// declareLost ends the identities of a node in a bucket: the one on disk and all
// that a config has or will have by its present generation.
func (w *world) declareLost(n *node, b Bucket) {
	if w.bug == bugWipeSameID {
		return
	}
	if g := n.disk.ledger[b].Generation; g > 0 {
		w.lost[b][Replica{n.id, g}] = true
	}
	for g := range w.generations[n.index] + 1 {
		w.lost[b][Replica{n.id, g}] = true
	}
}

// heal ends all faults and starts who is down.
func (w *world) heal() {
	w.quiet = true
	w.after(6*time.Second, func() { // what was cut is joined by then
		w.blocked, w.noMetadata = map[[2]int]bool{}, map[int]bool{}
		for _, n := range w.nodes {
			n.full = false
			if !n.up {
				n.start()
			}
		}
	})
}
