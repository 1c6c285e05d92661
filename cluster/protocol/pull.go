package protocol

import (
	"errors"
	"fmt"
	"slices"

	"arbor/engine/dot"
)

// pull is how a bucket gets what it lacks: others were heard to have it, and are
// asked one after another, one request at a time. What they have as batches comes
// with the reply; of what they offer as files one is adopted at a time, and beside
// that, batches go on coming.
type pull struct {
	sources []Source
	call    Call
	asked   Replica
	since   Moment
	// admitted are the bytes that the pace has counted for the request.
	admitted int
	// waiting are those who had nothing but files while one was being adopted: they
	// are asked again when it is there, or when they have something new.
	waiting []Replica
}

// offer notes that a replica has some dots.
func (r *Holder) offer(h *held, from Replica, dots *dot.Set) {
	lacking := dots.Minus(&h.dots)
	if lacking.IsEmpty() || from.Member == r.member {
		return
	}
	for i := range h.pull.sources {
		if s := &h.pull.sources[i]; s.Replica == from {
			if !s.Dots.Includes(&lacking) {
				s.Dots.AddSet(&lacking)
				h.pull.waiting = slices.DeleteFunc(h.pull.waiting, func(r Replica) bool { return r == from })
			}
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
		r.arrived(h, 0)
	}
	if h.saving || !h.record.Config.Has(r.self(h)) {
		return
	}
	for i := 0; i < len(p.sources); {
		s := &p.sources[i]
		if slices.Contains(p.waiting, s.Replica) {
			i++
			continue
		}
		want := s.Dots.Minus(&h.dots)
		for d := range h.arriving {
			if one := dot.Of(d); want.Contains(d) {
				want = want.Minus(&one)
			}
		}
		if h.adopting != nil {
			want = want.Minus(h.adopting)
		}
		if want.IsEmpty() {
			if have := s.Dots.Minus(&h.dots); !have.IsEmpty() {
				i++ // what is left is on its way to disk
				continue
			}
			p.sources = slices.Delete(p.sources, i, i+1)
			continue
		}
		if !r.admit(h) {
			return
		}
		p.call, p.asked, p.since = r.call(), s.Replica, r.now
		e.send(s.Replica.Member, &FetchRequest{Call: p.call, Bucket: h.bucket, Want: want})
		return
	}
}

// admit says whether a bucket that is new here may ask for more now.
func (r *Holder) admit(h *held) bool {
	if r.pace == nil || h.record.Synced > 0 {
		return true
	}
	if !r.pace.Admit(FetchBytes) {
		return false
	}
	h.pull.admitted = FetchBytes
	return true
}

// arrived counts what came for what was admitted, and reports whether there was anything.
func (r *Holder) arrived(h *held, bytes int) bool {
	admitted := h.pull.admitted
	if admitted == 0 {
		return false
	}
	h.pull.admitted = 0
	r.pace.Correct(bytes - admitted)
	return true
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
		e.send(from, &FetchReply{Call: m.Call, Bucket: m.Bucket, Has: has, Batches: res.Fetched.Batches, Files: res.Fetched.Files})
	})
}

// fetched stores what came, begins to adopt a file, and asks for more.
func (r *Holder) fetched(e *Effects, from MemberID, m *FetchReply) {
	h := r.buckets[m.Bucket]
	if h == nil || m.Call != h.pull.call || from != h.pull.asked.Member {
		return
	}
	asked := h.pull.asked
	h.pull.call = Call{}
	bytes := 0
	for i := range m.Batches {
		bytes += len(m.Batches[i].Record)
	}
	if r.arrived(h, bytes) { // others of the buckets that are new here may go on
		defer r.pullNew(e)
	}
	if h.saving || !h.record.Config.Has(r.self(h)) {
		return
	}
	for i := range h.pull.sources {
		if s := &h.pull.sources[i]; s.Replica == asked {
			s.Dots = s.Dots.And(&m.Has)
		}
	}
	adopts := h.adopting == nil && r.adopt(e, h, asked, m)
	if len(m.Batches) == 0 {
		switch {
		case adopts:
		case h.adopting != nil && len(m.Files) > 0:
			h.pull.waiting = append(h.pull.waiting, asked)
		default:
			h.pull.forget(asked)
		}
		r.pullTick(e, h)
		return
	}
	r.store(e, h, m.Batches, func(e *Effects, err error) {
		if err != nil {
			h.pull.forget(asked)
		}
		r.pullTick(e, h)
	})
}

// pullNew goes on with the buckets that are new here, as far as the pace admits it.
func (r *Holder) pullNew(e *Effects) {
	for _, h := range r.sorted() {
		if h.record.Synced == 0 && len(h.pull.sources) > 0 {
			r.pullTick(e, h)
		}
	}
}

// adopt begins to adopt the file that has the most of what is lacking, if any
// does.
func (r *Holder) adopt(e *Effects, h *held, from Replica, m *FetchReply) bool {
	var file *FileOffer
	most := uint64(0)
	for i := range m.Files {
		if lacking := m.Files[i].Dots.Minus(&h.dots); lacking.Len() > most {
			file, most = &m.Files[i], lacking.Len()
		}
	}
	if file == nil {
		return false
	}
	dots := file.Dots.Clone()
	h.adopting = &dots
	r.task(e, Task{Bucket: h.bucket, Adopt: &Adoption{from.Member, *file}}, func(e *Effects, res Result) {
		h.adopting, h.pull.waiting = nil, nil
		switch {
		case res.Err == nil:
			h.dots.AddSet(&res.Dots)
			if r.bug == bugAdoptWanted {
				h.dots.AddSet(&m.Has)
			}
			if !res.Dots.Includes(&dots) {
				h.pull.forget(from) // or it would be asked for the same file for ever
			}
		case errors.Is(res.Err, ErrFull), errors.Is(res.Err, ErrNotAdopted):
			h.pull.forget(from)
		default:
			r.fail(e, fmt.Errorf("adopt a file of bucket %d: %w", h.bucket, res.Err))
			return
		}
		r.pullTick(e, h)
	})
	return true
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
