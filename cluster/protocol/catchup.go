package protocol

import (
	"slices"

	"arbor/engine/dot"
)

// catchUp is a replica's way into a bucket: old replicas, each at the epoch of the
// change and so past acknowledging anything before it, say what they have. Who
// has all that a majority of them has, has all that was ever acknowledged before.
// It need not have what any other said: that one may be lost meanwhile, and with
// it batches that nobody else has, and that were never acknowledged.
type catchUp struct {
	call  Call
	from  map[Replica]dot.Set
	asked Moment
	told  Moment
}

// catchUpTick goes on with catching up, and tells the mover once it is done.
func (r *Holder) catchUpTick(e *Effects, h *held) {
	c := &h.record.Config
	self := r.self(h)
	if h.saving || h.next != nil || !c.Has(self) {
		return
	}
	if h.record.Synced == c.Epoch || h.record.Synced > 0 && !c.Joint() {
		r.tellSynced(e, h)
		return
	}
	if h.catchUp == nil {
		h.catchUp = &catchUp{call: r.call(), from: map[Replica]dot.Set{}, asked: r.now - catchUpEvery}
	}
	u := h.catchUp
	if u.complete(c, &h.dots, r.bug) {
		next := h.record
		next.Synced = c.Epoch
		h.next = &next
		r.save(e, h)
		return
	}
	if r.now-u.asked < catchUpEvery {
		return
	}
	u.asked = r.now
	for _, old := range c.Old {
		if old == self {
			u.from[old] = dot.Set{} // what it has it has
			continue
		}
		// Those who answered are asked again, too: a source that was silent was
		// forgotten, and this is how it is heard of again.
		e.send(old.Member, &SetsRequest{Call: u.call, All: true, Asks: []Ask{{old, h.bucket, *c}}})
	}
}

// complete says whether dots have all of a majority of the old replicas.
func (u *catchUp) complete(c *Config, dots *dot.Set, bug bug) bool {
	has := func(o Replica) bool {
		told, ok := u.from[o]
		return ok && dots.Includes(&told)
	}
	if bug == bugSyncFromOne {
		return slices.ContainsFunc(c.Old, has)
	}
	return majority(c.Old, has)
}

// catchUpFrom counts an old replica's set, if it is of this very change.
func (r *Holder) catchUpFrom(h *held, call Call, s *Held) {
	u := h.catchUp
	if u == nil || call != u.call {
		return
	}
	if s.Config.Epoch != h.record.Config.Epoch && r.bug != bugStaleSyncEpoch {
		return
	}
	if _, ok := u.from[s.From]; !ok { // the first is enough, and comes to an end
		u.from[s.From] = s.Dots.Clone()
	}
}

// tellSynced tells the members of the bucket, one of which may lead the
// metadata; the driver takes it to whoever does.
func (r *Holder) tellSynced(e *Effects, h *held) {
	c := &h.record.Config
	if !c.Joint() || h.record.Synced != c.Epoch {
		return
	}
	if h.catchUp == nil {
		h.catchUp = &catchUp{told: r.now - syncedEvery}
	}
	if r.now-h.catchUp.told < syncedEvery {
		return
	}
	h.catchUp.told = r.now
	if r.damaged(h.bucket) && r.bug != bugDamagedJoins {
		return
	}
	e.Synced = append(e.Synced, Synced{From: r.self(h), Bucket: h.bucket, Epoch: c.Epoch})
}
