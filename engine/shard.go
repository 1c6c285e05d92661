package engine

import (
	"fmt"
	"sync"
	"time"

	"arbor/catalog"
)

// shard is a project's events of one UTC day and user bucket. It owns little:
// the set of its files, the refs of its logged batches, and what is known of
// those. Views take all three at once.
type shard struct {
	key catalog.ShardKey
	dir string
	// building is held by whoever builds a file of this shard, so that files
	// are built one after the other.
	building turn

	mu sync.Mutex // guards what follows; never held during I/O
	// now is what a view takes.
	now contents
	// broken is why the shard cannot be read; nil if it can.
	broken error
	// absent are files that must be there and could not be opened, in order. The shard
	// is broken for as long as there are any.
	absent []absent
	// cut is up to where the log is in the files.
	cut cut
	// litter are names of replaced files that could not be moved to the trash.
	// They are named as replaced by the next file too, until they are gone.
	litter []string
	// resting is how long the plan leaves the shard alone after a build that
	// failed, and awake when that ends.
	resting time.Duration
	awake   time.Time
}

// contents is all that a shard holds at one moment. files and tail are replaced
// together; logs grows in place, and the part that a view has taken stays.
type contents struct {
	files *fileset
	logs  []logRef
	// events is the number of events in logs, bytes their batches' size.
	events, bytes int64
	// oldest is the oldest segment of the log that logs name; 0 for none.
	oldest uint64
	tail   *tail
}

func newShard(k catalog.ShardKey, dir string) *shard {
	s := &shard{key: k, dir: dir, building: newTurn()}
	s.now.files = newFileset(nil)
	s.now.tail = newTail(s.now.files)
	return s
}

// publish makes a batch visible to the views taken from now on.
func (s *shard) publish(r logRef) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.add(r)
}

func (c *contents) add(r logRef) {
	c.logs = append(c.logs, r)
	if c.oldest == 0 || r.segment < c.oldest {
		c.oldest = r.segment
	}
	c.events += int64(r.events)
	c.bytes += int64(r.length)
}

// loggedEvents is how many events of the shard are in no file.
func (s *shard) loggedEvents() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.events
}

// unknown is how many bytes of the shard's log its tail does not hold yet.
func (s *shard) unknown() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.bytes - s.now.tail.columns.bytes.Load()
}

// isSealing reports whether the shard gets another tail soon: a file of it is being
// built, or its log is long enough for one.
func (s *shard) isSealing(c *catalog.Catalog) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.building) > 0 || s.now.bytes >= c.SealAfterBytes()
}

// view takes what the shard holds now. The caller releases it.
func (s *shard) view(e *Engine) (*view, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return nil, s.broken
	}
	return s.viewNow(e), nil
}

// viewNow is view, whether the shard is damaged or not. The caller has the lock.
func (s *shard) viewNow(e *Engine) *view {
	v := &view{engine: e, shard: s, contents: s.now}
	v.logs = s.now.logs[:len(s.now.logs):len(s.now.logs)]
	v.files.acquire()
	v.pinned = v.oldest
	e.pins.pinFrom(v.pinned)
	return v
}

// fail makes the shard's queries fail from now on. It reports whether that is new.
func (s *shard) fail(cause error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return false
	}
	s.broken = fmt.Errorf("shard %s: %w: %w", s.key, ErrDamaged, cause)
	return true
}

func (s *shard) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// swap exchanges files: removed are replaced by added, which holds the log up
// to upTo; foreign says that it may hold more than that and what removed have. It
// returns the refs that are in the files now. The caller holds building.
func (s *shard) swap(removed []*file, added *file, upTo cut, foreign bool) (indexed []logRef) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.now
	next := contents{files: old.files.replace(removed, added)}
	for _, r := range old.logs {
		if upTo.covers(r.position()) {
			indexed = append(indexed, r)
		} else {
			next.add(r)
		}
	}
	next.tail = newTail(next.files)
	next.tail.succeed(&old, upTo.covers, foreign)
	s.now = next
	if s.cut.before(upTo) {
		s.cut = upTo
	}
	old.tail.columns.drop()
	old.files.release()
	return indexed
}

// close releases the shard's files.
func (s *shard) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.tail.columns.drop()
	return s.now.files.release()
}

// view is a shard at one moment. It does not change, and what it refers to
// stays until it is released.
type view struct {
	engine *Engine
	shard  *shard
	contents
	pinned uint64
}

func (v *view) release() {
	v.engine.pins.unpin(v.pinned)
	if err := v.files.release(); err != nil {
		v.engine.logger.Warn("close indexed files", "shard", v.shard.key.String(), "error", err)
	}
}

// blame turns an error of reading the view into one that says whose it is. Damage
// found makes the shard fail from now on, and is an alarm.
func (v *view) blame(err error) error {
	if err == nil || !isDamage(err) {
		return err
	}
	if v.shard.fail(err) {
		v.engine.alarms.raise(alarmDamage, v.shard.key, "", err.Error())
	}
	return v.shard.failure()
}

// pins says which log segments views still read: none at or above the oldest
// segment of a view may be retired.
type pins struct {
	mu     sync.Mutex // guards counts
	counts map[uint64]int
}

// pinFrom holds a segment and all newer ones; 0 holds nothing.
func (p *pins) pinFrom(oldest uint64) {
	if oldest == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.counts == nil {
		p.counts = map[uint64]int{}
	}
	p.counts[oldest]++
}

func (p *pins) unpin(oldest uint64) {
	if oldest == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.counts[oldest]--; p.counts[oldest] == 0 {
		delete(p.counts, oldest)
	}
}

// holds reports whether some view may read the segment.
func (p *pins) holds(segment uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for oldest := range p.counts {
		if oldest <= segment {
			return true
		}
	}
	return false
}
