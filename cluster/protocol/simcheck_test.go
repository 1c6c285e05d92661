package protocol

import (
	"slices"
	"time"

	"arbor/engine/dot"
)

// checkMessage holds what a node says against its disk, which no machine can
// see: a reply may say no more than what is durable.
func (w *world) checkMessage(n *node, m Message) {
	durable := func(what string, r Replica, b Bucket, c Config) {
		record := n.disk.ledger[b]
		if record.Config.Epoch < c.Epoch {
			w.violate("I6: %s of bucket %d at epoch %d, %d is durable", what, b, c.Epoch, record.Config.Epoch)
		}
		if c.Epoch < record.Config.Epoch {
			w.violate("FENCE: %s of bucket %d at epoch %d after %d", what, b, c.Epoch, record.Config.Epoch)
		}
		if w.lost[b][r] {
			w.violate("I13: %s of bucket %d by %v, which is lost", what, b, r)
		}
	}
	switch m := m.(type) {
	case *AppendRequest:
		for _, x := range m.Batches {
			event := readEvent(x.Record)
			if known, ok := w.contents[m.Bucket][x.Dot]; ok && known != event {
				w.violate("I11: %v names two contents", x.Dot)
			}
			w.contents[m.Bucket][x.Dot] = event
		}
	case *AppendReply:
		if m.Status == OK {
			durable("acknowledgement", m.From, m.Bucket, m.Config)
		}
	case *SetsReply:
		for i := range m.Sets {
			s := &m.Sets[i]
			if s.Status != OK {
				continue
			}
			durable("set", s.From, s.Bucket, s.Config)
			w.checkSet(n, s.Bucket, &s.Dots)
		}
	}
}

// checkSet: every dot that is told is on disk.
func (w *world) checkSet(n *node, b Bucket, s *dot.Set) {
	on := n.disk.bucket(b)
	all := on.all("")
	synced := make(map[dot.Dot]bool, len(all))
	for _, e := range all {
		synced[e.dot] = true
	}
	for d := range s.All() {
		if !synced[d] {
			w.violate("I1: node %d tells of %v in bucket %d, which is not on its disk", n.index, d, b)
		}
	}
}

func readEvent(record []byte) (event uint64) {
	for _, b := range record {
		event = event<<8 | uint64(b)
	}
	return event
}

// checkSynced: who says that it has caught up has all that was acknowledged when
// the change began, and so all that is acknowledged now, but for what the new
// replicas of the change acknowledged themselves.
func (w *world) checkSynced(n *node, s Synced) {
	if r := n.disk.ledger[s.Bucket]; r.Config.Epoch != s.Epoch || r.Synced != s.Epoch {
		w.violate("I6: synced with bucket %d at epoch %d, which is not durable", s.Bucket, s.Epoch)
	}
	if n.disk.bucket(s.Bucket).isRotten() {
		w.violate("I5: synced with bucket %d at epoch %d, of which a file is damaged", s.Bucket, s.Epoch)
	}
}

// checkHeld: I1 for one event, under the config in force.
func (w *world) checkHeld(event uint64) {
	b := w.bucketOf[event]
	c := w.placement.Configs[b]
	holders, lost := 0, 0
	for _, r := range c.Old {
		if w.lost[b][r] {
			lost++
		} else if w.holds(r, b, event) {
			holders++
		}
	}
	if need := len(c.Old) - (len(c.Old)/2 + 1) + 1; holders+lost < need {
		w.violate("I1: event %d of bucket %d is on %d replicas of %v, and %d are lost", event, b, holders, c, lost)
	}
}

// checkLeast: what wants to be on so many disks is on them when it is acknowledged.
func (w *world) checkLeast(event uint64, least int) {
	b := w.bucketOf[event]
	// Who lost it may have had it, and who left the bucket since, and dropped it, had it
	// when it said so. Only here is that in less time than a write may take.
	holders := len(w.lost[b]) + w.dropped[event]
	for _, n := range w.nodes {
		if n.disk.bucket(b).has(event) {
			holders++
		}
	}
	if holders < least {
		w.violate("I1: event %d of bucket %d has to be on %d disks, and is on %d", event, b, least, holders)
	}
}

// checkConfig: I1 for all events of a bucket.
func (w *world) checkConfig(b Bucket) {
	for _, event := range w.ackedIn[b] {
		w.checkHeld(event)
	}
}

// checkEnd: I5, when a change ends. Majorities of the old and of the new replicas
// had the joint epoch on disk, and a majority of the new ones has all.
func (w *world) checkEnd(b Bucket, joint Config) {
	at := func(r Replica) bool {
		return w.lost[b][r] || w.nodeOf(r).disk.ledger[b].Config.Epoch >= joint.Epoch
	}
	if !majority(joint.Old, at) {
		w.violate("I5: the change of bucket %d to %v ends, and the old replicas are not fenced", b, joint)
	}
	synced := func(r Replica) bool {
		record := w.nodeOf(r).disk.ledger[b]
		return w.lost[b][r] || record.Generation == r.Generation && record.Synced >= joint.Epoch
	}
	if !majority(joint.New, synced) {
		w.violate("I5: the change of bucket %d to %v ends, and the new replicas have not caught up", b, joint)
	}
}

// answered is the end of a query: all that was acknowledged before it began,
// nothing that was never sent, and everything once.
func (w *world) answered(x Answered) {
	q := w.queries[x.ID]
	if q == nil {
		w.violate("query %d ended twice, or after its process", x.ID)
		return
	}
	delete(w.queries, x.ID)
	if x.Err != nil {
		w.note("unanswered", q.node, x.ID)
		return
	}
	w.note("answered", q.node, x.ID)
	seen, physical := map[uint64]bool{}, map[scanned]bool{}
	for _, part := range x.Parts {
		for _, s := range readPart(part) {
			if physical[s] {
				w.violate("I2: event %d of bucket %d is counted twice", s.row.event, s.bucket)
			}
			physical[s], seen[s.row.event] = true, true
			if w.bucketOf[s.row.event] != s.bucket {
				w.violate("I4: event %d is in bucket %d", s.row.event, s.bucket)
			}
			if !slices.Contains(q.buckets, s.bucket) {
				w.violate("I14: bucket %d was not asked for", s.bucket)
			}
		}
	}
	for _, event := range q.acked {
		if !seen[event] {
			w.violate("I3: event %d of bucket %d was acknowledged before the query, which does not have it", event, w.bucketOf[event])
		}
	}
}

// checkHealed: I8 and I7, when all faults have been over for long.
func (w *world) checkHealed() {
	for _, b := range w.buckets {
		c := w.placement.Configs[b]
		if c.Joint() || w.lostOf(b, c.Old) > 0 {
			w.violate("I8: bucket %d is still at %v", b, c)
			return
		}
		var first *Replica
		for _, r := range c.Old {
			n := w.nodeOf(r)
			h := n.holder.buckets[b]
			if h == nil || n.holder.self(h) != r || h.record.Synced == 0 {
				w.violate("I8: %v of bucket %d has not caught up", r, b)
				return
			}
			if n.disk.bucket(b).isRotten() {
				w.violate("I8: %v of bucket %d is damaged still", r, b)
				return
			}
			if first == nil {
				first = &r
				continue
			}
			other := w.nodeOf(*first)
			if o := other.holder.buckets[b]; !o.dots.Equal(&h.dots) {
				w.violate("I8: in bucket %d %v has %v and %v has %v", b, r, h.dots, *first, o.dots)
			} else if !slices.Equal(rows(n.disk, b), rows(other.disk, b)) {
				w.violate("I7: in bucket %d %v and %v have equal sets and different rows", b, r, *first)
			}
		}
	}
	w.checkAll()
}

func (w *world) checkAll() {
	for _, b := range w.buckets {
		w.checkConfig(b)
	}
}

func rows(d *disk, b Bucket) (rs []uint64) {
	for _, e := range d.bucket(b).all("") {
		rs = append(rs, e.event)
	}
	slices.Sort(rs)
	return rs
}

// finalQueries: when all is well every node answers, and takes a write.
func (w *world) finalQueries() {
	for _, n := range w.nodes {
		w.query(n)
	}
	w.clientWrites()
	w.run(w.now + 15*time.Second)
	if w.violation == nil && (w.counts["answered"] == 0 || w.counts["acked"] == 0 || len(w.queries)+len(w.writes) > 0) {
		w.violate("I8: %d queries and %d writes hang", len(w.queries), len(w.writes))
	}
}
