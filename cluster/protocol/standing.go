package protocol

// Standing is how a member stands to a bucket that it holds, or held.
type Standing struct {
	Bucket  Bucket
	Replica Replica
	Config  Config
	// Member says that the replica is one of the config's.
	Member bool
	// CaughtUp says that it may answer for the bucket.
	CaughtUp bool
	// Batches is how many it has, and Lacks how many it has heard of besides.
	Batches, Lacks uint64
}

// Standings are those of all buckets that are on the member's record, in order.
func (r *Holder) Standings() []Standing {
	all := make([]Standing, 0, len(r.buckets))
	for _, h := range r.sorted() {
		c := h.record.Config
		s := Standing{Bucket: h.bucket, Replica: r.self(h), Config: c, Member: c.Has(r.self(h)), Batches: h.dots.Len()}
		s.CaughtUp = s.Member && (h.record.Synced == c.Epoch || h.record.Synced > 0 && !c.Joint())
		for _, source := range h.pull.sources {
			lacking := source.Dots.Minus(&h.dots)
			s.Lacks = max(s.Lacks, lacking.Len())
		}
		all = append(all, s)
	}
	return all
}

// Alone says that this replica is the bucket's only one, durably, and has heard of
// no other config: nobody else can have acknowledged anything of it, or will before
// this replica has learnt of the change. So it answers without asking anybody.
func (r *Holder) Alone(b Bucket) bool {
	h := r.buckets[b]
	if r.broken || h == nil || h.saving || h.next != nil || h.record.Synced == 0 {
		return false
	}
	c := &h.record.Config
	return len(c.Old) == 1 && !c.Joint() && c.Old[0] == r.self(h)
}
