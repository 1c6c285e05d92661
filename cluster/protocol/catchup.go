package protocol

import "arbor/engine/dot"

// catchUp is a replica's way into a bucket: a majority of the old replicas, each
// at the epoch of the change and so past acknowledging anything before it, say
// what they have; who has all of that has all that was ever acknowledged before.
type catchUp struct {
	call     Call
	from     map[Replica]bool
	required dot.Set
	asked    Moment
	told     Moment
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
		h.catchUp = &catchUp{call: r.call(), from: map[Replica]bool{}, asked: r.now - catchUpEvery}
	}
	u := h.catchUp
	if u.complete(c, r.bug) && h.dots.Includes(&u.required) {
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
		switch {
		case old == self:
			u.from[old] = true
			u.required.AddSet(&h.dots)
		case !u.from[old] || !u.complete(c, r.bug) || !h.dots.Includes(&u.required):
			// Those who answered are asked again, too: a source that was silent
			// was forgotten, and this is how it is heard of again.
			e.send(old.Member, &SetsRequest{Call: u.call, All: true, Asks: []Ask{{old, h.bucket, *c}}})
		}
	}
}

// complete says whether enough old replicas have told what they have.
func (u *catchUp) complete(c *Config, bug bug) bool {
	if bug == bugSyncFromOne {
		return len(u.from) > 0
	}
	return majority(c.Old, func(o Replica) bool { return u.from[o] })
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
	u.from[s.From] = true
	u.required.AddSet(&s.Dots)
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
	e.Synced = append(e.Synced, Synced{From: r.self(h), Bucket: h.bucket, Epoch: c.Epoch})
}
