package protocol

import (
	"errors"
	"fmt"
	"slices"

	"arbor/engine/dot"
)

// ErrIncomplete: some buckets have no replica that is known to be complete and
// answers; the error names them.
var ErrIncomplete = errors.New("no complete answer")

// Reader finds, for each bucket of a query, what was acknowledged before the
// query began, and one replica that answers with all of it.
type Reader struct {
	process dot.Stream
	configs *Configs
	prefer  func(MemberID) int
	bug     bug

	number  uint64
	queries map[uint64]*query
	asks    map[Call]*query
	scans   map[Call]*attempt
}

// query is one question over some buckets.
type query struct {
	id       uint64
	plan     []byte
	progress Moment
	near     func(Bucket) (MemberID, bool) // nil for a query without
	buckets  []*asked
	attempts []*attempt
	parts    []part
}

// asked is one bucket of a query.
type asked struct {
	bucket  Bucket
	config  Config
	replies map[Replica]dot.Set
	sent    Moment
	ready   bool // majorities have said what they have
	running int  // attempts that have the bucket
	done    bool
	tried   map[Replica]bool
}

// attempt is one scan: one member, some buckets, one part.
type attempt struct {
	query   *query
	call    Call
	buckets []*asked
	heard   Moment
	over    bool
}

// part is the answer over some buckets.
type part struct {
	least Bucket
	bytes []byte
}

// NewReader makes a reader. Prefer ranks members, the least first: this one, then
// those of the zone.
func NewReader(process dot.Stream, configs *Configs, prefer func(MemberID) int) *Reader {
	return &Reader{process: process, configs: configs, prefer: prefer, queries: map[uint64]*query{}, asks: map[Call]*query{}, scans: map[Call]*attempt{}}
}

// Query asks a plan over buckets, each given once. Answered with this id has the
// parts.
func (r *Reader) Query(e *Effects, now Moment, id uint64, plan []byte, buckets []Bucket) {
	r.QueryNear(e, now, id, plan, buckets, nil)
}

// Cancel forgets a query.
func (r *Reader) Cancel(id uint64) {
	if q := r.queries[id]; q != nil {
		r.forget(q)
	}
}

// QueryOf is the query that a scan is made for, while it may still be answered.
func (r *Reader) QueryOf(scan Call) (id uint64, ok bool) {
	at := r.scans[scan]
	if at == nil {
		return 0, false
	}
	return at.query.id, true
}

// ask asks all replicas of some buckets for their sets, one message a member.
func (r *Reader) ask(e *Effects, now Moment, q *query, buckets []*asked) {
	byMember := map[MemberID][]Ask{}
	var order []MemberID
	for _, a := range buckets {
		c := r.configs.Get(a.bucket)
		a.config, a.sent, a.ready = c, now, false
		a.replies, a.tried = map[Replica]dot.Set{}, map[Replica]bool{}
		for _, to := range c.Members() {
			if byMember[to.Member] == nil {
				order = append(order, to.Member)
			}
			byMember[to.Member] = append(byMember[to.Member], Ask{to, a.bucket, c})
		}
	}
	for _, to := range order {
		r.number++
		call := Call{r.process, r.number}
		r.asks[call] = q
		e.send(to, &SetsRequest{Call: call, Asks: byMember[to]})
	}
}

// Sets takes what a member's replicas have.
func (r *Reader) Sets(e *Effects, now Moment, m *SetsReply) {
	for i := range m.Sets {
		r.configs.Learn(e, m.Sets[i].Bucket, m.Sets[i].Config)
	}
	q := r.asks[m.Call]
	if q == nil {
		return
	}
	delete(r.asks, m.Call)
	var again []*asked
	for i := range m.Sets {
		s := &m.Sets[i]
		a := q.find(s.Bucket)
		if a == nil || a.done || a.ready && (q.near == nil || a.running > 0) {
			continue
		}
		if r.configs.Get(a.bucket).Epoch > a.config.Epoch {
			again = append(again, a)
			continue
		}
		if s.Status != OK || s.Config.Epoch != a.config.Epoch || !a.config.Has(s.From) {
			continue
		}
		a.replies[s.From] = s.Dots
		a.ready = r.quorum(a)
	}
	if len(again) > 0 {
		r.ask(e, now, q, again)
	}
	r.start(e, now, q)
}

// quorum says whether enough replicas said what they have.
func (r *Reader) quorum(a *asked) bool {
	has := func(x Replica) bool { _, ok := a.replies[x]; return ok }
	switch r.bug {
	case bugReadOne:
		return len(a.replies) > 0
	case bugJointReadOldOnly:
		return majority(a.config.Old, has)
	}
	return a.config.Quorum(has)
}

func (q *query) find(b Bucket) *asked {
	at := slices.IndexFunc(q.buckets, func(a *asked) bool { return a.bucket == b })
	if at < 0 {
		return nil
	}
	return q.buckets[at]
}

// start begins scans for all buckets that have none, once every bucket is ready
// or done, so that a member gets one scan over all its buckets.
func (r *Reader) start(e *Effects, now Moment, q *query) {
	for _, a := range q.buckets {
		if !a.done && (!a.ready || q.awaits(a, now)) {
			return
		}
	}
	r.scan(e, now, q, func(a *asked) bool { return !a.done && a.running == 0 })
}

// scan begins scans for some buckets, each on its best replica that was not tried.
func (r *Reader) scan(e *Effects, now Moment, q *query, which func(*asked) bool) {
	byMember := map[MemberID]*ScanRequest{}
	attempts := map[MemberID]*attempt{}
	var order []MemberID
	var again []*asked
	for _, a := range q.buckets {
		if !which(a) {
			continue
		}
		to, ok := q.nearest(a)
		if !ok {
			to, ok = r.best(a)
		}
		if !ok {
			if a.running == 0 && now-a.sent >= setsAgainAfter {
				again = append(again, a)
			}
			continue
		}
		a.tried[to] = true
		if attempts[to.Member] == nil {
			r.number++
			order = append(order, to.Member)
			byMember[to.Member] = &ScanRequest{Call: Call{r.process, r.number}, Plan: q.plan}
			attempts[to.Member] = &attempt{query: q, call: byMember[to.Member].Call, heard: now}
		}
		a.running++
		at := attempts[to.Member]
		at.buckets = append(at.buckets, a)
		m := byMember[to.Member]
		m.Scans = append(m.Scans, a.scanOn(to))
	}
	for _, to := range order {
		q.attempts = append(q.attempts, attempts[to])
		r.scans[attempts[to].call] = attempts[to]
		e.send(to, byMember[to])
	}
	if len(again) > 0 {
		r.ask(e, now, q, again)
	}
}

// best is the replica that lacks least of the union and was not tried.
func (r *Reader) best(a *asked) (best Replica, ok bool) {
	union := a.union()
	var least uint64
	for _, x := range a.config.Members() {
		has, replied := a.replies[x]
		if !replied || a.tried[x] {
			continue
		}
		lacking := union.Minus(&has)
		n := lacking.Len()
		if !ok || n < least || n == least && r.prefer(x.Member) < r.prefer(best.Member) {
			best, least, ok = x, n, true
		}
	}
	return best, ok
}

func (a *asked) union() (union dot.Set) {
	for _, x := range a.config.Members() {
		if has, ok := a.replies[x]; ok {
			union.AddSet(&has)
		}
	}
	return union
}

// scanOn is the bucket's line of a scan by one replica.
func (a *asked) scanOn(to Replica) Scan {
	s := Scan{Ask: Ask{to, a.bucket, a.config}, Required: a.union()}
	has := a.replies[to]
	for _, x := range a.config.Members() {
		other, ok := a.replies[x]
		if !ok || x == to {
			continue
		}
		if lacking := other.Minus(&has); !lacking.IsEmpty() {
			s.Sources = append(s.Sources, Source{x, lacking})
		}
	}
	return s
}

// Part takes a scan's reply.
func (r *Reader) Part(e *Effects, now Moment, m *ScanReply) {
	for _, moved := range m.Moved {
		r.configs.Learn(e, moved.Bucket, moved.Config)
	}
	at := r.scans[m.Call]
	if at == nil || at.over && r.bug != bugDoubleMerge {
		return
	}
	q := at.query
	switch m.Status {
	case Working:
		at.heard, q.progress = now, now
		return
	case OK:
		r.accept(e, now, at, m.Part)
	default:
		r.end(at)
		r.again(e, now, q)
	}
	r.finish(e, q)
}

// accept takes a part whole, if it has no bucket that another part had.
func (r *Reader) accept(e *Effects, now Moment, at *attempt, bytes []byte) {
	q := at.query
	if r.bug != bugDoubleMerge && slices.ContainsFunc(at.buckets, func(a *asked) bool { return a.done }) {
		r.end(at)
		return
	}
	least := at.buckets[0].bucket
	for _, a := range at.buckets {
		a.done = true
		least = min(least, a.bucket)
	}
	r.end(at)
	q.progress = now
	q.parts = append(q.parts, part{least, bytes})
	// A scan that shares a bucket with this part can no longer be taken; its
	// other buckets are scanned once more.
	for _, other := range q.attempts {
		if !other.over && slices.ContainsFunc(other.buckets, func(a *asked) bool { return a.done }) && r.bug != bugDoubleMerge {
			r.end(other)
			for _, a := range other.buckets {
				a.tried = map[Replica]bool{}
			}
		}
	}
	r.start(e, now, q)
}

// end takes an attempt away.
func (r *Reader) end(at *attempt) {
	if at.over {
		return
	}
	at.over = true
	if r.bug != bugDoubleMerge {
		delete(r.scans, at.call)
	}
	for _, a := range at.buckets {
		a.running--
	}
}

// again asks for the sets of buckets that moved, and scans the others elsewhere.
func (r *Reader) again(e *Effects, now Moment, q *query) {
	var moved []*asked
	for _, a := range q.buckets {
		if !a.done && a.running == 0 && r.configs.Get(a.bucket).Epoch > a.config.Epoch {
			moved = append(moved, a)
		}
	}
	if len(moved) > 0 {
		r.ask(e, now, q, moved)
	}
	r.start(e, now, q)
}

// Tick asks again where nobody answered, tries another replica where one is
// silent, and gives up a query that gets nowhere.
func (r *Reader) Tick(e *Effects, now Moment) {
	for _, id := range sortedKeys(r.queries) {
		q := r.queries[id]
		if now-q.progress >= queryGivesUpAfter {
			r.giveUp(e, q)
			continue
		}
		var unanswered []*asked
		for _, a := range q.buckets {
			if !a.done && !a.ready && (now-a.sent >= setsAgainAfter || r.configs.Get(a.bucket).Epoch > a.config.Epoch) {
				unanswered = append(unanswered, a)
			}
		}
		if len(unanswered) > 0 {
			r.ask(e, now, q, unanswered)
		}
		r.hedge(e, now, q)
		r.again(e, now, q)
	}
}

// hedge begins other scans beside silent ones, which may still win.
func (r *Reader) hedge(e *Effects, now Moment, q *query) {
	silent := map[*asked]bool{}
	for _, at := range q.attempts {
		if at.over || now-at.heard < attemptEndsAfter {
			continue
		}
		for _, a := range at.buckets {
			silent[a] = true
		}
		if now-at.heard >= 3*attemptEndsAfter {
			r.end(at)
		}
	}
	if len(silent) > 0 {
		r.scan(e, now, q, func(a *asked) bool { return silent[a] && !a.done && a.running < 2 && a.ready })
	}
}

// finish answers when every bucket is done.
func (r *Reader) finish(e *Effects, q *query) {
	if r.queries[q.id] == nil || slices.ContainsFunc(q.buckets, func(a *asked) bool { return !a.done }) {
		return
	}
	slices.SortStableFunc(q.parts, func(a, b part) int { return int(a.least) - int(b.least) })
	answer := Answered{ID: q.id}
	for _, p := range q.parts {
		answer.Parts = append(answer.Parts, p.bytes)
	}
	r.forget(q)
	e.Answered = append(e.Answered, answer)
}

func (r *Reader) giveUp(e *Effects, q *query) {
	var missing []Bucket
	for _, a := range q.buckets {
		if !a.done {
			missing = append(missing, a.bucket)
		}
	}
	r.forget(q)
	e.Answered = append(e.Answered, Answered{ID: q.id, Err: fmt.Errorf("%w: of buckets %v", ErrIncomplete, missing)})
}

func (r *Reader) forget(q *query) {
	delete(r.queries, q.id)
	for call, other := range r.asks {
		if other == q {
			delete(r.asks, call)
		}
	}
	for call, at := range r.scans {
		if at.query == q {
			delete(r.scans, call)
		}
	}
}
