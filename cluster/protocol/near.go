package protocol

import "arbor/engine/dot"

// QueryNear is Query by the replicas that near names, where it names one that answers
// soon and can: for answers that cost less from who gave them the last time.
func (r *Reader) QueryNear(e *Effects, now Moment, id uint64, plan []byte, buckets []Bucket, near func(Bucket) (MemberID, bool)) {
	if r.queries[id] != nil {
		e.Answered = append(e.Answered, Answered{ID: id, Err: ErrBusy})
		return
	}
	q := &query{id: id, plan: plan, progress: now, near: near}
	for _, b := range buckets {
		q.buckets = append(q.buckets, &asked{bucket: b, tried: map[Replica]bool{}, replies: map[Replica]dot.Set{}})
	}
	r.queries[id] = q
	r.ask(e, now, q, q.buckets)
	r.finish(e, q)
}

// nearest is the replica that near names, if it replied and was not tried. What it lacks
// it gets from the others.
func (q *query) nearest(a *asked) (Replica, bool) {
	to, ok := q.nearOf(a)
	_, replied := a.replies[to]
	return to, ok && replied && !a.tried[to]
}

// awaits says whether the replica that near names may still say what it has.
func (q *query) awaits(a *asked, now Moment) bool {
	to, ok := q.nearOf(a)
	_, replied := a.replies[to]
	return ok && !replied && !a.tried[to] && now-a.sent < setsAgainAfter
}

func (q *query) nearOf(a *asked) (Replica, bool) {
	if q.near == nil {
		return Replica{}, false
	}
	member, ok := q.near(a.bucket)
	if !ok {
		return Replica{}, false
	}
	for _, x := range a.config.Members() {
		if x.Member == member {
			return x, true
		}
	}
	return Replica{}, false
}
