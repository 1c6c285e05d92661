package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"arbor/catalog"
	"arbor/engine/appendlog"
	"arbor/engine/dot"
	"arbor/engine/event"
)

// AppendNamed makes records durable under their dots, and then visible, all
// or none: when it returns without an error all that are Stored are on disk and
// are seen by later scans. One whose dot is held already, from the log or in an indexed
// file, is compared with what is there and not stored again. ctx bounds the waiting
// for others who store the same dots, and not that for the disk: what became of the
// records is always known. After an error that wraps syscall.ENOSPC, and not
// appendlog.ErrBroken, nothing was stored, and the same call may succeed later; it may,
// too, after one that wraps dot.ErrUnreadable, of which some may be stored, and after
// dot.ErrBacklog, of which none is.
//
// What was erased is taken out of the records first: a name stands for what is left.
func (e *Engine) AppendNamed(ctx context.Context, named []dot.Named) ([]dot.Outcome, error) {
	leave, err := e.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	records := make([][]byte, len(named))
	for i := range named {
		records[i] = named[i].Record
	}
	patience, cancel := context.WithTimeout(ctx, admitNamedWithin)
	err = e.admit(patience, records)
	cancel()
	if err != nil {
		return nil, fmt.Errorf("append: %w", err)
	}
	// As in Append: whoever erases waits for those who looked at the catalog before.
	defer e.flights.land(e.flights.depart())
	if named, err = stripNamed(e.catalog.Load(), named); err != nil {
		return nil, fmt.Errorf("append: %w", err)
	}
	a := namedAppend{engine: e, named: named, outcomes: make([]dot.Outcome, len(named))}
	for i := range named {
		if records[i] = named[i].Record; !named[i].Dot.IsValid() {
			return nil, fmt.Errorf("append: record %d of %d: %w: dot %v names nothing", i, len(named), event.ErrInvalid, named[i].Dot)
		}
	}
	if a.headers, err = decodeHeaders(records); err != nil {
		return nil, fmt.Errorf("append: %w", err)
	}
	for left := a.all(); len(left) > 0; {
		if left, err = a.round(ctx, left); err != nil {
			return nil, fmt.Errorf("append: %w", err)
		}
	}
	return a.outcomes, nil
}

// stripNamed takes what was erased out of records.
func stripNamed(c *catalog.Catalog, named []dot.Named) ([]dot.Named, error) {
	if len(c.Erasures) == 0 {
		return named, nil
	}
	left := slices.Clone(named)
	for i := range left {
		record, err := event.Strip(c, left[i].Record)
		if err != nil {
			return nil, fmt.Errorf("record %d of %d: %w", i, len(named), err)
		}
		left[i].Record = record
	}
	return left, nil
}

// namedAppend is one call of AppendNamed.
type namedAppend struct {
	engine   *Engine
	named    []dot.Named
	headers  []event.Header
	outcomes []dot.Outcome
}

func (a *namedAppend) all() (indexes []int) {
	for i := range a.named {
		indexes = append(indexes, i)
	}
	return indexes
}

// round stores those of the records that nobody else stores now, compares those that
// are held, and gives the others back when one of them may be decided. While it waits it
// holds up nobody.
func (a *namedAppend) round(ctx context.Context, indexes []int) (left []int, err error) {
	mine, held, left, wait := a.claim(indexes)
	if err := a.store(mine); err != nil {
		return nil, err
	}
	for _, i := range held {
		same, err := a.engine.holdsSame(ctx, &a.named[i], a.headers[i].Shard)
		if errors.Is(err, ErrDamaged) {
			err = fmt.Errorf("%w: %w", dot.ErrUnreadable, err)
		}
		if err != nil {
			return nil, fmt.Errorf("compare %v with what is held: %w", a.named[i].Dot, err)
		}
		if a.outcomes[i] = dot.Stored; !same {
			a.outcomes[i] = dot.Differs
		}
	}
	if wait == nil {
		return left, nil
	}
	select {
	case <-wait:
		return left, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// claim sorts the records: mine are to be stored, held are known, and left are on their
// way by somebody else's doing, or further up in this call.
func (a *namedAppend) claim(indexes []int) (mine, held, left []int, wait chan struct{}) {
	h := &a.engine.holdings
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, i := range indexes {
		d, at := a.named[i].Dot, h.slot(a.headers[i].Shard.Slot())
		arriving := at.arriving[d]
		switch {
		case at.dots.Contains(d):
			held = append(held, i)
		case arriving != nil:
			left, wait = append(left, i), arriving
		default:
			at.arriving[d] = make(chan struct{})
			mine = append(mine, i)
		}
	}
	return mine, held, left, wait
}

// store appends the records that were claimed.
func (a *namedAppend) store(mine []int) error {
	if len(mine) == 0 {
		return nil
	}
	e := a.engine
	defer a.unclaim(mine)
	if err := e.ledger.begin(); err != nil {
		return err
	}
	heads, records, headers := make([][]byte, len(mine)), make([][]byte, len(mine)), make([]event.Header, len(mine))
	names := make([]byte, 0, len(mine)*dot.NameBytes)
	for k, i := range mine {
		names = dot.AppendName(names, a.named[i].Dot)
		heads[k], records[k], headers[k] = names[k*dot.NameBytes:], a.named[i].Record, a.headers[i]
	}
	defer e.flights.land(e.flights.depart())
	positions, err := e.log.AppendHeaded(context.Background(), heads, records)
	if err != nil {
		e.metrics.AppendErrors.Add(1)
		return err
	}
	now := e.now().UnixMicro()
	for k, i := range mine {
		e.publish(headers[k], a.named[i].Dot, positions[k], now, recordKeyOf(a.named[i].Record, headers[k].FirstID))
		e.holdings.addLogged(headers[k].Shard.Slot(), a.named[i].Dot, positions[k])
		a.outcomes[i] = dot.Stored
	}
	e.metrics.appended(headers, records)
	return nil
}

// unclaim says that it is known what became of the records.
func (a *namedAppend) unclaim(mine []int) {
	h := &a.engine.holdings
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, i := range mine {
		at := h.slot(a.headers[i].Shard.Slot())
		if done := at.arriving[a.named[i].Dot]; done != nil {
			delete(at.arriving, a.named[i].Dot)
			close(done)
		}
	}
}

// holdsSame compares a record with what is held under its dot: with the record in the
// log, or else with the rows of the shard, each of which must be there as it is. Which
// batch rows came with is not kept, so a record that has only rows of others passes:
// storing it again would change nothing.
func (e *Engine) holdsSame(ctx context.Context, n *dot.Named, k catalog.ShardKey) (bool, error) {
	c := e.catalog.Load()
	record, err := e.loggedRecord(k.Slot(), n.Dot)
	if err != nil {
		return false, err
	}
	if record != nil {
		if record, err = event.Strip(c, record); err != nil {
			return false, err
		}
		again, err := event.Strip(c, n.Record) // the catalog may have become another one
		return bytes.Equal(record, again), err
	}
	if void := e.ledger.voidDots(k.Slot()); void.Contains(n.Dot) {
		return true, nil // its project was purged: nothing of it will ever be seen
	}
	var batch event.Batch
	if err := event.DecodeBatch(n.Record, &batch); err != nil {
		return false, err
	}
	s := e.shard(k)
	v, err := s.view(e)
	if err != nil {
		return false, err
	}
	defer v.release()
	same, err := v.files.have(ctx, &batch)
	return same, v.blame(err)
}

// loggedRecord reads the record of a dot from the log; nil if it is not there.
func (e *Engine) loggedRecord(s catalog.Slot, d dot.Dot) ([]byte, error) {
	h := &e.holdings
	h.mu.Lock()
	pos, there := h.slot(s).logged[d]
	h.mu.Unlock()
	if !there {
		return nil, nil
	}
	payload, err := e.log.ReadAt(pos, nil)
	if errors.Is(err, appendlog.ErrNoSegment) {
		return nil, nil // it was retired since
	}
	if err != nil {
		return nil, err
	}
	_, record, err := dot.CutName(payload)
	return record, err
}

// have says whether all of a batch is in the files, as it is.
func (s *fileset) have(ctx context.Context, b *event.Batch) (bool, error) {
	wanted := map[catalog.IngestID][]form{}
	ids := make([]catalog.IngestID, 0, len(b.Events))
	for i := range b.Events {
		e := &b.Events[i]
		wanted[e.ID] = append(wanted[e.ID], formOf(e))
		ids = append(ids, e.ID)
	}
	rows, err := s.locate(sortIDs(ids))
	if err != nil {
		return false, err
	}
	for i, f := range s.files {
		c := f.cursor()
		for _, r := range rows[i] {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			e, err := c.event(int(r.ordinal))
			if err != nil {
				return false, err
			}
			there := formOf(e)
			wanted[r.id] = slices.DeleteFunc(wanted[r.id], func(f form) bool { return f == there })
		}
	}
	for _, forms := range wanted {
		if len(forms) > 0 {
			return false, nil
		}
	}
	return s.marks.have(b), nil
}

// have says whether all deletes and undos of a batch are there.
func (t *tombstones) have(b *event.Batch) bool {
	there := map[event.Digest]bool{}
	for i := range t.deletes {
		var d event.Digest
		d.AddDelete(&t.deletes[i])
		there[d] = true
	}
	for i := range t.undos {
		var d event.Digest
		d.AddUndo(&t.undos[i])
		there[d] = true
	}
	for i := range b.Deletes {
		var d event.Digest
		if d.AddDelete(&b.Deletes[i]); !there[d] {
			return false
		}
	}
	for i := range b.Undos {
		var d event.Digest
		if d.AddUndo(&b.Undos[i]); !there[d] {
			return false
		}
	}
	return true
}
