package protocol

import "slices"

// scanning is a scan that waits for what is required, or is under way.
type scanning struct {
	from    MemberID
	m       *ScanRequest
	since   Moment
	told    Moment
	running bool
	over    bool
}

// scan takes a scan in, has what it lacks pulled, and starts it when nothing
// lacks.
func (r *Holder) scan(e *Effects, from MemberID, m *ScanRequest) {
	refusal := &ScanReply{Call: m.Call}
	for i := range m.Scans {
		ask := m.Scans[i].Ask
		status, c := r.at(e, from, ask, m)
		if status == 0 {
			return
		}
		if h := r.buckets[ask.Bucket]; status == OK && h.record.Synced == 0 && r.bug != bugNoFence {
			status = NotReady // it may lack what all others have, and leave out of their sets
		}
		if status != OK {
			refusal.Status = status
			refusal.Moved = append(refusal.Moved, Moved{ask.Bucket, c})
		}
	}
	if refusal.Status != 0 {
		e.send(from, refusal)
		return
	}
	for i := range m.Scans {
		s := &m.Scans[i]
		h := r.buckets[s.Ask.Bucket]
		for _, source := range s.Sources {
			r.offer(h, source.Replica, &source.Dots)
		}
		r.pullTick(e, h)
	}
	r.scans = append(r.scans, &scanning{from: from, m: m, since: r.now, told: r.now})
	r.wake(e)
}

// wake starts the scans that lack nothing, ends those that waited too long, and
// says of the others that they go on.
func (r *Holder) wake(e *Effects) {
	if r.broken {
		return
	}
	for _, s := range r.scans {
		switch {
		case s.over:
		case s.running:
			if r.now-s.told >= workingEvery {
				s.told = r.now
				e.send(s.from, &ScanReply{Call: s.m.Call, Status: Working})
			}
		case r.has(s.m):
			r.execute(e, s)
		case r.now-s.since >= scanWaits:
			s.over = true
			e.send(s.from, &ScanReply{Call: s.m.Call, Status: NotReady})
		}
	}
	r.scans = slices.DeleteFunc(r.scans, func(s *scanning) bool { return s.over })
}

// has says whether all that a scan requires is synced.
func (r *Holder) has(m *ScanRequest) bool {
	if r.bug == bugReadRepairSkip {
		return true
	}
	for i := range m.Scans {
		h := r.buckets[m.Scans[i].Ask.Bucket]
		if !h.dots.Includes(&m.Scans[i].Required) {
			return false
		}
	}
	return true
}

func (r *Holder) execute(e *Effects, s *scanning) {
	s.running = true
	task := &ScanTask{From: s.from, Call: s.m.Call, Plan: s.m.Plan}
	for i := range s.m.Scans {
		task.Buckets = append(task.Buckets, s.m.Scans[i].Ask.Bucket)
	}
	r.task(e, Task{Scan: task}, func(e *Effects, res Result) {
		s.over = true
		reply := &ScanReply{Call: s.m.Call, Status: OK, Part: res.Part}
		for i := range s.m.Scans { // it was the bucket's holder all the time
			scan := &s.m.Scans[i]
			if h := r.buckets[scan.Ask.Bucket]; r.self(h) != scan.Ask.To || !r.has(s.m) {
				reply = &ScanReply{Call: s.m.Call, Status: NotReady}
			}
		}
		if res.Err != nil {
			reply = &ScanReply{Call: s.m.Call, Status: Failed}
		}
		e.send(s.from, reply)
	})
}
