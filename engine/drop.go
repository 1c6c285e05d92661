package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"arbor/catalog"
	"arbor/engine/dot"
)

// Drop moves all that some slots have to the trash, durably, what is damaged
// included: they are empty afterwards, and hold no dots. Nothing of them may be
// appended meanwhile. If it fails, or the machine stops, each shard is there whole or
// not at all, and dropping again goes on.
func (e *Engine) Drop(ctx context.Context, which func(catalog.Slot) bool) error {
	leave, err := e.enter()
	if err != nil {
		return err
	}
	defer leave()
	if err := e.flights.wait(ctx); err != nil {
		return err
	}
	slots := map[catalog.Slot]bool{}
	for _, s := range e.allShards() {
		if slot := s.key.Slot(); which(slot) {
			slots[slot] = true
			if err := e.dropShard(ctx, s); err != nil {
				return fmt.Errorf("drop shard %s: %w", s.key, err)
			}
		}
	}
	for _, slot := range e.holdings.those(which) {
		slots[slot] = true
	}
	for slot := range slots {
		if err := e.ledger.forgetVoid(slot); err != nil {
			return fmt.Errorf("drop what slot %s had: %w", slot, err)
		}
		e.holdings.forget(slot)
	}
	return nil
}

// dropShard puts on record that all that the shard has is dropped, and then moves it
// away. From the record on neither its files nor what the log has of it count.
func (e *Engine) dropShard(ctx context.Context, s *shard) error {
	if err := s.building.take(ctx); err != nil {
		return err
	}
	defer s.building.give()
	names, last, err := e.namesOf(s)
	if err != nil {
		return err
	}
	d := e.ledger.dropped(s.key) // what was dropped before stays so
	d.sequence = max(d.sequence, last)
	for _, upTo := range []cut{s.indexedTo(), s.lastCut()} {
		if d.cut.before(upTo) {
			d.cut = upTo
		}
	}
	if err := e.ledger.drop(s.key, d); err != nil {
		return err
	}
	old := s.swapAll()
	s.mu.Lock()
	s.broken, s.cut = nil, d.cut
	s.mu.Unlock()
	e.backlog.settle(old)
	// What cannot be moved now is litter; sweepLitter tries again.
	if err := e.trash.retire(s, names); err != nil {
		e.logger.Warn("dropped files stay for now", "shard", s.key.String(), "error", err)
	}
	return nil
}

// namesOf are the indexed files that lie in a shard's directory, in use or not, and
// the greatest sequence of them and of those in use.
func (e *Engine) namesOf(s *shard) (names []string, last uint64, err error) {
	for _, n := range s.mustHave() {
		names, last = append(names, n.String()), max(last, n.sequence)
	}
	there, err := e.fs.List(s.dir)
	if err != nil && !isNotExist(err) {
		return nil, 0, err
	}
	for _, name := range there {
		if n, ok := parseFileName(name); ok && !slices.Contains(names, name) {
			names, last = append(names, name), max(last, n.sequence)
		}
	}
	return names, last, nil
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// drop records that a shard was dropped, and has no files.
func (l *ledger) drop(k catalog.ShardKey, d drop) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	return l.recordAll([]ledgerEntry{
		{kind: ledgerDropped, shard: k, drop: d},
		{kind: ledgerShard, shard: k},
	}, func() {
		l.drops[k] = d
		delete(l.files, k)
		l.notes.keep(k, nil)
	})
}

// dropped is up to where a shard was dropped; zero if it never was.
func (l *ledger) dropped(k catalog.ShardKey) drop {
	l.turn.Lock()
	defer l.turn.Unlock()
	return l.drops[k]
}

// makeVoid records the dots of batches whose project was purged: they stay held.
func (l *ledger) makeVoid(s catalog.Slot, dots dot.Set) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	known := l.voids[s]
	if known.Includes(&dots) {
		return nil
	}
	dots.AddSet(&known)
	return l.record(ledgerEntry{kind: ledgerVoid, slot: s, dots: dots}, func() { l.voids[s] = dots })
}

// forgetVoid takes them back.
func (l *ledger) forgetVoid(s catalog.Slot) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	if _, any := l.voids[s]; !any {
		return nil
	}
	return l.record(ledgerEntry{kind: ledgerVoid, slot: s}, func() { delete(l.voids, s) })
}

// voidDots are those that are held without events.
func (l *ledger) voidDots(s catalog.Slot) dot.Set {
	l.turn.Lock()
	defer l.turn.Unlock()
	dots := l.voids[s]
	return dots.Clone()
}

// openVoids makes the dots of purged projects known.
func (e *Engine) openVoids() {
	e.ledger.turn.Lock()
	defer e.ledger.turn.Unlock()
	for slot, dots := range e.ledger.voids {
		e.holdings.addFile(slot, &dots)
	}
}

// keepDots puts all dots of a slot of a purged project on record, before the events
// go.
func (e *Engine) keepDots(s catalog.Slot) error {
	if dots := e.holdings.of(s); !dots.IsEmpty() {
		return e.ledger.makeVoid(s, dots)
	}
	return nil
}

// of is a slot's set.
func (h *holdings) of(s catalog.Slot) dot.Set {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at := h.slots[s]; at != nil {
		return at.dots.Clone()
	}
	return dot.Set{}
}

// those are the slots of which anything is known.
func (h *holdings) those(which func(catalog.Slot) bool) (slots []catalog.Slot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.slots {
		if which(s) {
			slots = append(slots, s)
		}
	}
	return slots
}

// pruneDrops forgets drops of which nothing is left: neither a segment of the log that
// reaches back so far, nor a file that could not be moved. The caller has the
// ledger's turn.
func (l *ledger) pruneDrops() {
	for k, d := range l.drops {
		if l.logged.next <= d.cut.segment || slices.ContainsFunc(l.logged.live, func(id uint64) bool { return id <= d.cut.segment }) {
			continue
		}
		there, err := l.engine.fs.List(l.engine.shardDir(k))
		left := slices.ContainsFunc(there, func(name string) bool {
			n, ok := parseFileName(name)
			return ok && n.sequence <= d.sequence
		})
		if !left && (err == nil || isNotExist(err)) {
			delete(l.drops, k)
		}
	}
}
