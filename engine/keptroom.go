package engine

// What files keep of groups, steps and pairs has a limit, maxPairBytes. What has no room
// takes the place of what nobody has asked for in a while; what is asked for again and
// again stays, so that questions that take turns do not make everything anew each time.

const (
	// keptIdle is after how many questions to the engine something counts as not asked
	// for in a while.
	keptIdle = 256
	// keptLook is how many questions there are at least between two looks for such.
	keptLook = 64
)

// keptRoom reports whether something that is kept of a file may be made.
func (e *Engine) keptRoom() bool {
	if e.pairBytes.Load() < maxPairBytes {
		return true
	}
	now, last := e.questions.Load(), e.keptLooked.Load()
	if now-last < keptLook || !e.keptLooked.CompareAndSwap(last, now) {
		return false
	}
	for _, s := range e.allShards() {
		for _, f := range s.files() {
			f.groups.forgetIdle(now - keptIdle)
			f.pairs.forgetIdle(now - keptIdle)
		}
	}
	return e.pairBytes.Load() < maxPairBytes
}

// forgetIdle forgets what has been made and was last asked for by a question before the
// given one.
func (k *keptGroups) forgetIdle(before int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, of := range k.known {
		for i := len(of.lists) - 1; i >= 0; i-- {
			if g := of.lists[i].made; g.bytes > 0 && g.used < before {
				k.remove(name, g)
			}
		}
		if len(of.lists) == 0 {
			delete(k.known, name)
		}
	}
}

// forgetIdle forgets the tallies that were last asked for by a question before the given
// one.
func (p *pairTallies) forgetIdle(before int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.known {
		if t.bytes > 0 && t.used < before {
			p.remove(t)
		}
	}
}
