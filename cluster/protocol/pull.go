package protocol

import (
	"slices"

	"arbor/engine/dot"
)

// pull is how a bucket gets what it lacks: others were heard to have it, and are
// asked one after another, one request at a time.
type pull struct {
	sources []Source
	call    Call
	asked   Replica
	since   Moment
}

// offer notes that a replica has some dots.
func (r *Holder) offer(h *held, from Replica, dots *dot.Set) {
	lacking := dots.Minus(&h.dots)
	if lacking.IsEmpty() || from.Member == r.member {
		return
	}
	for i := range h.pull.sources {
		if h.pull.sources[i].Replica == from {
			h.pull.sources[i].Dots.AddSet(&lacking)
			return
		}
	}
	h.pull.sources = append(h.pull.sources, Source{from, lacking})
}

// pullTick asks the next source, unless one is being asked.
func (r *Holder) pullTick(e *Effects, h *held) {
	p := &h.pull
	if p.call != (Call{}) && r.now-p.since < pullAgainAfter {
		return
	}
	if p.call != (Call{}) { // it was silent
		p.forget(p.asked)
		p.call = Call{}
	}
	if h.saving || !h.record.Config.Has(r.self(h)) {
		return
	}
	for len(p.sources) > 0 {
		s := &p.sources[0]
		want := s.Dots.Minus(&h.dots)
		for d := range h.arriving {
			if one := dot.Of(d); want.Contains(d) {
				want = want.Minus(&one)
			}
		}
		if want.IsEmpty() {
			if have := s.Dots.Minus(&h.dots); !have.IsEmpty() {
				return // what is left is on its way to disk
			}
			p.sources = p.sources[1:]
			continue
		}
		p.call, p.asked, p.since = r.call(), s.Replica, r.now
		e.send(s.Replica.Member, &FetchRequest{Call: p.call, Bucket: h.bucket, Want: want})
		return
	}
}

// forget drops a source; it is offered again when somebody hears of it again.
func (p *pull) forget(from Replica) {
	p.sources = slices.DeleteFunc(p.sources, func(s Source) bool { return s.Replica == from })
}

// fetch gives batches to who lacks them.
func (r *Holder) fetch(e *Effects, from MemberID, m *FetchRequest) {
	h := r.buckets[m.Bucket]
	if h == nil {
		e.send(from, &FetchReply{Call: m.Call, Bucket: m.Bucket})
		return
	}
	has := m.Want.And(&h.dots)
	if has.IsEmpty() {
		e.send(from, &FetchReply{Call: m.Call, Bucket: m.Bucket})
		return
	}
	r.task(e, Task{Bucket: m.Bucket, Fetch: &has}, func(e *Effects, res Result) {
		if res.Err != nil {
			return // who asked asks elsewhere
		}
		e.send(from, &FetchReply{Call: m.Call, Bucket: m.Bucket, Has: has, Batches: res.Batches})
	})
}

// fetched stores what came, and asks for more.
func (r *Holder) fetched(e *Effects, from MemberID, m *FetchReply) {
	h := r.buckets[m.Bucket]
	if h == nil || m.Call != h.pull.call || from != h.pull.asked.Member {
		return
	}
	asked := h.pull.asked
	h.pull.call = Call{}
	if h.saving || !h.record.Config.Has(r.self(h)) {
		return
	}
	if len(m.Batches) == 0 {
		h.pull.forget(asked)
		r.pullTick(e, h)
		return
	}
	for i := range h.pull.sources {
		if s := &h.pull.sources[i]; s.Replica == asked {
			s.Dots = s.Dots.And(&m.Has)
		}
	}
	r.store(e, h, m.Batches, func(e *Effects, err error) {
		if err != nil {
			h.pull.forget(asked)
		}
		r.pullTick(e, h)
	})
}

// summarize tells one peer, in turn, what this member has.
func (r *Holder) summarize(e *Effects) {
	if r.now < r.nextSummary {
		return
	}
	r.nextSummary = r.now + summaryEvery
	peers := map[MemberID][]SummaryLine{}
	for _, h := range r.sorted() {
		c := &h.record.Config
		if h.saving || !c.Has(r.self(h)) {
			continue
		}
		told := r.tell(h, false)
		line := SummaryLine{h.bucket, c.Epoch, told.Hash()}
		for _, to := range c.Members() {
			if to.Member != r.member {
				peers[to.Member] = append(peers[to.Member], line)
			}
		}
	}
	ids := make([]MemberID, 0, len(peers))
	for id := range peers {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return
	}
	slices.SortFunc(ids, func(a, b MemberID) int { return slices.Compare(a[:], b[:]) })
	r.peer++
	to := ids[r.peer%len(ids)]
	e.send(to, &Summary{Call: r.call(), Lines: peers[to]})
}

// compare asks for the sets that differ from ours: who learns of a difference
// pulls, and the other side does when it hears our summary.
func (r *Holder) compare(e *Effects, from MemberID, m *Summary) {
	ask := &SetsRequest{}
	for _, line := range m.Lines {
		h := r.buckets[line.Bucket]
		if h == nil || h.saving || h.record.Config.Epoch != line.Epoch || !h.record.Config.Has(r.self(h)) {
			continue
		}
		if told := r.tell(h, false); told.Hash() == line.Hash {
			continue
		}
		for _, peer := range h.record.Config.Members() {
			if peer.Member == from {
				ask.Asks = append(ask.Asks, Ask{peer, h.bucket, h.record.Config})
			}
		}
	}
	if len(ask.Asks) > 0 {
		ask.Call = r.call()
		e.send(from, ask)
	}
}

// takeSets offers what others have, and counts it for the catching up.
func (r *Holder) takeSets(e *Effects, m *SetsReply) {
	if m.Call.Process != r.process {
		return
	}
	for i := range m.Sets {
		s := &m.Sets[i]
		r.learn(e, s.Bucket, s.Config)
		h := r.buckets[s.Bucket]
		if h == nil || s.Status != OK {
			continue
		}
		r.offer(h, s.From, &s.Dots)
		r.catchUpFrom(h, m.Call, s)
		r.pullTick(e, h)
	}
}
