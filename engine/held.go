package engine

import (
	"context"
	"fmt"
	"sync"

	"arbor/catalog"
	"arbor/engine/appendlog"
	"arbor/engine/dot"
)

// holdings are the dots of all named batches that the engine holds: by slot, since
// that is what replicas hold together. A dot is in once its batch is durable and seen by
// scans, and then for as long as there is a shard of the slot; what makes it so are
// the name before each record in the log and the dots in each indexed file, which is
// made durable before what it was made of may go. So opening finds a dot wherever
// its events are, and nowhere else.
type holdings struct {
	mu    sync.Mutex // guards what follows; never held during I/O
	slots map[catalog.Slot]*holding
	// segments are the dots of each segment of the log, those of segments in the
	// trash included, as far as they are known.
	segments map[uint64]map[catalog.Slot]*dot.Set
	// doubt is why no set may be believed; nil if all may.
	doubt error
}

// holding is what is held of a slot.
type holding struct {
	dots dot.Set
	// logged are the batches that are in the log, indexed or not.
	logged map[dot.Dot]appendlog.Position
	// arriving are batches on their way to disk. Each channel is closed when it is
	// known whether one got there.
	arriving map[dot.Dot]chan struct{}
}

func (h *holdings) slot(s catalog.Slot) *holding {
	at := h.slots[s]
	if at == nil {
		if h.slots == nil {
			h.slots = map[catalog.Slot]*holding{}
		}
		at = &holding{logged: map[dot.Dot]appendlog.Position{}, arriving: map[dot.Dot]chan struct{}{}}
		h.slots[s] = at
	}
	return at
}

// addLogged says that a named batch is in the log, durably.
func (h *holdings) addLogged(s catalog.Slot, d dot.Dot, pos appendlog.Position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.slot(s)
	at.dots.Add(d)
	if _, ok := at.logged[d]; !ok {
		at.logged[d] = pos
	}
	if h.segments == nil {
		h.segments = map[uint64]map[catalog.Slot]*dot.Set{}
	}
	of := h.segments[pos.Segment]
	if of == nil {
		of = map[catalog.Slot]*dot.Set{}
		h.segments[pos.Segment] = of
	}
	if of[s] == nil {
		of[s] = &dot.Set{}
	}
	of[s].Add(d)
}

// addFile says that an indexed file has the dots.
func (h *holdings) addFile(s catalog.Slot, dots *dot.Set) {
	if dots.IsEmpty() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.slot(s).dots.AddSet(dots)
}

// leftLog says that a segment is no longer part of the log. It stays known what is in
// it.
func (h *holdings) leftLog(segment uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s, dots := range h.segments[segment] {
		at := h.slot(s)
		for d := range dots.All() {
			if at.logged[d].Segment == segment {
				delete(at.logged, d)
			}
		}
	}
}

// forget drops all that is known of a slot.
func (h *holdings) forget(s catalog.Slot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.slots, s)
	for _, of := range h.segments {
		delete(of, s)
	}
}

// distrust says that more may have been acknowledged than is there.
func (h *holdings) distrust(why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.doubt == nil {
		h.doubt = why
	}
}

func (h *holdings) trust() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.doubt = nil
}

// some says whether any dot is held.
func (h *holdings) some() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, at := range h.slots {
		if !at.dots.IsEmpty() {
			return true
		}
	}
	return false
}

// Held gives the dots of all named batches that were made durable, by slot. A shard that
// is damaged answers nobody until it is repaired, and is held all the same, if it is known
// which batches it lost. A slot of which a shard lost others, so that it may hold less than
// was acknowledged, is not in the map but in lost, with the reason. If that may be so of every slot, there
// is an error that wraps ErrDamaged: after damage to the log or the ledger, which say
// what must be there, and until all is dropped and Trust was called.
func (e *Engine) Held(ctx context.Context) (held map[catalog.Slot]dot.Set, lost map[catalog.Slot]error, err error) {
	leave, err := e.enter()
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	lost = map[catalog.Slot]error{}
	for _, s := range e.allShards() {
		if err := s.failure(); err != nil && s.isShort() {
			lost[s.key.Slot()] = err
		}
	}
	h := &e.holdings
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.doubt != nil {
		return nil, nil, fmt.Errorf("what must be there is not known: %w: %w", ErrDamaged, h.doubt)
	}
	held = map[catalog.Slot]dot.Set{}
	for s, at := range h.slots {
		if lost[s] == nil && !at.dots.IsEmpty() {
			held[s] = at.dots.Clone()
		}
	}
	return held, lost, ctx.Err()
}
