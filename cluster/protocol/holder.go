package protocol

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"arbor/engine/dot"
)

// Holder is a member's side of all buckets that it holds. Its rules, in one
// place:
//
//   - It answers a request of its own epoch only. A later epoch is learnt, made
//     durable, and then answered; an earlier one is refused with the config to use.
//   - It acknowledges batches after they are synced, and only if its epoch is still
//     that of the request. From the moment that it hears of a later epoch it
//     acknowledges nothing of an earlier one: the set that it then reports has all
//     that it ever acknowledged.
//   - Its set of dots has what is synced, and only grows.
//   - A bucket that came to it is scanned when it has caught up, and not before.
type Holder struct {
	member  MemberID
	process dot.Stream
	// generation is the member's for buckets that it holds nothing of. One that it
	// holds keeps its own until it is lost.
	generation uint32
	buckets    map[Bucket]*held
	order      []*held // of all buckets; nil when one has come since
	folded     func(dot.Stream) bool
	damaged    func(Bucket) bool
	pace       Pace
	dropAfter  time.Duration
	bug        bug

	now    Moment // of what happens now
	number uint64 // of the last task or call
	tasks  map[uint64]func(*Effects, Result)
	scans  []*scanning
	broken bool

	nextSummary Moment
	peer        int // whom the next summary is for
}

// held is one bucket of a holder.
type held struct {
	bucket Bucket
	// record is what is durable; next is what is being made durable, or waits for
	// that; saving says that a task is under way.
	record Record
	next   *Record
	saving bool
	// saveAgain is when what found no room on the disk is tried again.
	saveAgain Moment
	// parked are requests that wait for the next record.
	parked []parked
	// dots are synced; arriving counts the batches that are on their way to disk.
	dots     dot.Set
	arriving map[dot.Dot]int
	// adopting are those of a file that is on its way; nil if none is.
	adopting *dot.Set
	pull     pull
	catchUp  *catchUp
	retired  Moment // when it ceased to be a member; 0 while it is one
	// emptyAgain is true when it is left and the disk had no room to put on record that
	// all of it is dropped.
	emptyAgain bool
}

// parked is a request that came with an epoch which is not durable yet.
type parked struct {
	from MemberID
	m    Message
}

// Kept is a bucket as it was found on disk.
type Kept struct {
	Record Record
	Dots   dot.Set
}

// NewHolder makes the machine from what is on disk. Process is the stream of
// this start of the process, generation the member's in the metadata: a member
// whose directory is empty, or older than the metadata knows, has had it raised
// before.
func NewHolder(member MemberID, process dot.Stream, generation uint32, kept map[Bucket]Kept) *Holder {
	r := &Holder{
		member: member, process: process, generation: generation,
		buckets: map[Bucket]*held{}, tasks: map[uint64]func(*Effects, Result){},
		folded: func(dot.Stream) bool { return false }, damaged: func(Bucket) bool { return false }, dropAfter: dropAfter,
	}
	for b, s := range kept {
		h := r.bucket(b)
		h.record, h.dots = s.Record, s.Dots.Clone()
	}
	return r
}

func (r *Holder) bucket(b Bucket) *held {
	h := r.buckets[b]
	if h == nil {
		h = &held{bucket: b, arriving: map[dot.Dot]int{}}
		r.buckets[b], r.order = h, nil
	}
	return h
}

// sorted are the buckets in order, so that the same events have the same effects. None
// goes away again.
func (r *Holder) sorted() []*held {
	if r.order == nil {
		r.order = slices.SortedFunc(maps.Values(r.buckets), func(a, b *held) int { return int(a.bucket) - int(b.bucket) })
	}
	return r.order
}

// Fold says which streams are left out of sets, since all replicas have all of
// them.
func (r *Holder) Fold(folded func(dot.Stream) bool) { r.folded = folded }

// Damaged says which buckets have something that cannot be read here until it is
// repaired. Their dots are held, and yet nobody must rely on this replica: a change of the
// bucket's replicas waits for it as for one that has not caught up.
func (r *Holder) Damaged(damaged func(Bucket) bool) { r.damaged = damaged }

// Pace bounds the bytes of what moves here. Its methods do not wait.
type Pace interface {
	// Admit counts bytes that are about to be asked for, or says that it is too early.
	Admit(bytes int) bool
	// Correct counts by how many bytes more came than were admitted, or less.
	Correct(bytes int)
}

// Pace bounds the batches that come for buckets which are new here. What a replica missed
// that was one already is not bounded: others do its part until it has it. Nor are
// writes, which come to a new replica by themselves.
func (r *Holder) Pace(p Pace) { r.pace = p }

// self is this replica of a bucket.
func (r *Holder) self(h *held) Replica { return Replica{r.member, h.record.Generation} }

// newest is the greatest epoch that the replica has heard of.
func (h *held) newest() uint64 {
	if h.next != nil {
		return h.next.Config.Epoch
	}
	return h.record.Config.Epoch
}

func (h *held) newestConfig() Config {
	if h.next != nil {
		return h.next.Config
	}
	return h.record.Config
}

// Learn takes a config from the metadata or from a message.
func (r *Holder) Learn(e *Effects, now Moment, b Bucket, c Config) {
	r.now = now
	r.learn(e, b, c)
}

func (r *Holder) learn(e *Effects, b Bucket, c Config) {
	if r.broken || c.Epoch == 0 {
		return
	}
	h := r.buckets[b]
	mine := Replica{r.member, r.generation}
	if h == nil && !c.Has(mine) {
		return // nothing of it is here, and nothing will be
	}
	if h == nil {
		h = r.bucket(b)
	}
	if c.Epoch <= h.newest() {
		return
	}
	next := h.record
	if h.next != nil {
		next = *h.next
	}
	if next.Config = c; next.Generation == 0 && c.Has(mine) {
		next.Generation, next.Synced = mine.Generation, 0
	}
	if self := (Replica{r.member, next.Generation}); c.Epoch == 1 && slices.Contains(c.Old, self) {
		next.Synced = 1 // the bucket begins here, empty
	}
	h.next = &next
	r.save(e, h)
}

// save makes the next record durable, one at a time.
func (r *Holder) save(e *Effects, h *held) {
	if h.saving || h.next == nil {
		return
	}
	h.saving = true
	record := *h.next
	done := func(e *Effects, res Result) {
		h.saving = false
		if errors.Is(res.Err, ErrFull) { // what waits for it goes on waiting
			h.saveAgain = r.now + saveAgainAfter
			return
		}
		if res.Err != nil {
			r.fail(e, fmt.Errorf("save the config of bucket %d: %w", h.bucket, res.Err))
			return
		}
		r.saved(e, h, record)
	}
	if r.bug == bugEpochNotSaved {
		r.task(e, Task{Bucket: h.bucket, Save: &record}, func(*Effects, Result) {})
		done(e, Result{})
		return
	}
	r.task(e, Task{Bucket: h.bucket, Save: &record}, done)
}

// saved puts a record in force and takes up what waited for it.
func (r *Holder) saved(e *Effects, h *held, record Record) {
	if record.Config.Epoch > h.record.Config.Epoch {
		h.catchUp = nil
		h.pull.sources = nil
	}
	h.record = record
	if h.next != nil && h.next.Config.Epoch == record.Config.Epoch && h.next.Synced == record.Synced && h.next.Generation == record.Generation {
		h.next = nil
	}
	if h.next != nil {
		r.save(e, h)
	}
	if h.record.Config.Has(r.self(h)) {
		h.retired = 0
	} else if h.retired == 0 {
		h.retired = max(r.now, 1)
	}
	r.unpark(e, h)
}

func (r *Holder) unpark(e *Effects, h *held) {
	waiting := h.parked
	h.parked = nil
	for _, p := range waiting {
		r.Receive(e, r.now, p.from, p.m)
	}
}

// Receive takes a message. Kinds that are not a replica's are none of its
// business.
func (r *Holder) Receive(e *Effects, now Moment, from MemberID, m Message) {
	if r.now = now; r.broken {
		return
	}
	switch m := m.(type) {
	case *AppendRequest:
		r.append(e, from, m)
	case *SetsRequest:
		r.tellSets(e, from, m)
	case *SetsReply:
		r.takeSets(e, m)
	case *FetchRequest:
		r.fetch(e, from, m)
	case *FetchReply:
		r.fetched(e, from, m)
	case *Summary:
		r.compare(e, from, m)
	case *ScanRequest:
		r.scan(e, from, m)
	}
}

// at says how the replica stands to a request of some epoch: OK if it is at it,
// durably, as who was asked for. 0 means that it is parked until then.
func (r *Holder) at(e *Effects, from MemberID, ask Ask, m Message) (Status, Config) {
	if ask.To.Member != r.member {
		return NotHere, Config{}
	}
	if sets, ok := m.(*SetsRequest); ok && sets.All && r.bug == bugStaleSyncEpoch && r.buckets[ask.Bucket] != nil {
		return OK, r.buckets[ask.Bucket].record.Config
	}
	r.learn(e, ask.Bucket, ask.Config)
	h := r.buckets[ask.Bucket]
	if h == nil {
		return NotHere, Config{}
	}
	c := h.newestConfig()
	if r.bug == bugNoFence && ask.Config.Epoch < c.Epoch && h.record.Config.Has(ask.To) {
		return OK, ask.Config
	}
	switch {
	case ask.Config.Epoch < c.Epoch:
		return Stale, c
	case h.saving || h.next != nil:
		if len(h.parked) < maxParked {
			h.parked = append(h.parked, parked{from, m})
		}
		return 0, c
	case !ask.Config.Equal(&c):
		e.Alarms = append(e.Alarms, fmt.Sprintf("bucket %d has two configs of one epoch: %v and %v", ask.Bucket, c, ask.Config))
		return Conflict, c
	case r.self(h) != ask.To || !c.Has(ask.To):
		return NotHere, c
	}
	return OK, c
}

// maxParked is how many requests wait for one config; more are forgotten, and
// come again.
const maxParked = 1024

// append makes batches durable and acknowledges them.
func (r *Holder) append(e *Effects, from MemberID, m *AppendRequest) {
	reply := func(e *Effects, status Status, c Config) {
		e.send(from, &AppendReply{Call: m.Call, From: m.To, Bucket: m.Bucket, Config: c, Status: status})
	}
	status, c := r.at(e, from, Ask{m.To, m.Bucket, m.Config}, m)
	if status == 0 {
		return
	}
	if status != OK {
		reply(e, status, c)
		return
	}
	h := r.buckets[m.Bucket]
	r.store(e, h, m.Batches, func(e *Effects, err error) {
		newest := h.newestConfig()
		switch {
		case errors.Is(err, ErrFull):
			reply(e, Full, newest)
		case err != nil:
			reply(e, Conflict, newest)
		case newest.Epoch != m.Config.Epoch && r.bug != bugNoFence:
			reply(e, Stale, newest)
		default:
			reply(e, OK, m.Config)
		}
	})
}

// errDiffers: a dot names two contents.
var errDiffers = errors.New("a dot names two contents")

// store brings batches to disk and then into the set.
func (r *Holder) store(e *Effects, h *held, batches []Batch, then func(*Effects, error)) {
	for _, b := range batches {
		h.arriving[b.Dot]++
	}
	r.task(e, Task{Bucket: h.bucket, Append: batches}, func(e *Effects, res Result) {
		for _, b := range batches {
			if h.arriving[b.Dot]--; h.arriving[b.Dot] == 0 {
				delete(h.arriving, b.Dot)
			}
		}
		err := res.Err
		if err != nil && !errors.Is(err, ErrFull) {
			r.fail(e, fmt.Errorf("append to bucket %d: %w", h.bucket, err))
			return
		}
		if err == nil && len(res.Outcomes) != len(batches) {
			r.fail(e, fmt.Errorf("append to bucket %d: %d outcomes for %d batches", h.bucket, len(res.Outcomes), len(batches)))
			return
		}
		for i, o := range res.Outcomes {
			if o == Stored {
				h.dots.Add(batches[i].Dot)
				continue
			}
			err = errDiffers
			e.Alarms = append(e.Alarms, fmt.Sprintf("bucket %d: %v names two contents", h.bucket, batches[i].Dot))
		}
		then(e, err)
	})
}

// tellSets answers with the sets of all buckets that are asked for.
func (r *Holder) tellSets(e *Effects, from MemberID, m *SetsRequest) {
	reply := &SetsReply{Call: m.Call}
	for _, ask := range m.Asks {
		status, c := r.at(e, from, ask, m)
		if status == 0 {
			return
		}
		held := Held{From: ask.To, Bucket: ask.Bucket, Config: c, Status: status}
		if status == OK {
			held.Dots = r.tell(r.buckets[ask.Bucket], m.All)
		}
		reply.Sets = append(reply.Sets, held)
	}
	e.send(from, reply)
}

// tell is the set that is told to others.
func (r *Holder) tell(h *held, all bool) dot.Set {
	if all {
		return h.dots.Clone()
	}
	return h.dots.Without(r.folded)
}

// Complete takes the end of a task.
func (r *Holder) Complete(e *Effects, now Moment, number uint64, res Result) {
	done := r.tasks[number]
	delete(r.tasks, number)
	r.now = now
	if done == nil || r.broken {
		return
	}
	done(e, res)
	r.wake(e)
}

// Tick does what is due. A driver calls it every few dozen milliseconds.
func (r *Holder) Tick(e *Effects, now Moment) {
	if r.now = now; r.broken {
		return
	}
	for _, h := range r.sorted() {
		r.catchUpTick(e, h)
		r.pullTick(e, h)
		if now < h.saveAgain {
			continue
		}
		if h.emptyAgain {
			r.empty(e, h)
			continue
		}
		r.save(e, h)
		if h.retired == 0 && !h.dots.IsEmpty() && !h.record.Config.Has(r.self(h)) {
			h.retired = max(now, 1) // before this process began
		}
		if h.retired != 0 && now-h.retired >= r.dropAfter {
			r.drop(e, h)
		}
	}
	r.summarize(e)
	r.wake(e)
}

// drop forgets a bucket that went elsewhere long ago. Its record stays: the epoch,
// and the identity, which counts nowhere until it has caught up again. Until all is done the bucket counts as being saved, so that
// nothing else happens to it.
func (r *Holder) drop(e *Effects, h *held) {
	if h.saving || h.next != nil || len(h.arriving) > 0 || h.adopting != nil {
		return
	}
	h.saving = true
	record := h.record
	record.Synced = 0
	r.task(e, Task{Bucket: h.bucket, Save: &record}, func(e *Effects, res Result) {
		if errors.Is(res.Err, ErrFull) {
			h.saving, h.saveAgain = false, r.now+saveAgainAfter
			r.unpark(e, h)
			return
		}
		if res.Err != nil {
			r.fail(e, fmt.Errorf("leave bucket %d: %w", h.bucket, res.Err))
			return
		}
		h.record, h.dots, h.retired = record, dot.Set{}, 0
		r.empty(e, h)
	})
}

// empty drops what the disk has of a bucket that was left. On a full disk that takes until
// there is room, and the bucket is being saved for so long.
func (r *Holder) empty(e *Effects, h *held) {
	h.emptyAgain = false
	r.task(e, Task{Bucket: h.bucket, Drop: true}, func(e *Effects, res Result) {
		if errors.Is(res.Err, ErrFull) {
			h.emptyAgain, h.saveAgain = true, r.now+saveAgainAfter
			return
		}
		if res.Err != nil {
			r.fail(e, fmt.Errorf("drop bucket %d: %w", h.bucket, res.Err))
			return
		}
		h.saving = false
		if h.next != nil {
			r.save(e, h)
			return
		}
		r.unpark(e, h)
	})
}

func (r *Holder) task(e *Effects, t Task, done func(*Effects, Result)) {
	r.number++
	t.Number = r.number
	r.tasks[t.Number] = done
	e.Tasks = append(e.Tasks, t)
}

func (r *Holder) call() Call {
	r.number++
	return Call{r.process, r.number}
}

// fail ends the machine: it answers nothing any more.
func (r *Holder) fail(e *Effects, err error) {
	r.broken = true
	e.Broken = err
}
