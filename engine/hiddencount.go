package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"arbor/catalog"
	"arbor/engine/event"
)

// batches are of records that were decoded, for others to be decoded into.
var batches = sync.Pool{New: func() any { return new(event.Batch) }}

// Duplicates counts the events of records that were appended before and are
// hidden as duplicates now. Their keys say it, if no copy is in a file, deleted or damaged;
// else it looks at the copies of these events alone, unless something is deleted, damaged
// or already indexed: then who is visible is worked out for the whole shard, as a scan does.
func (e *Engine) Duplicates(ctx context.Context, records [][]byte) (int64, error) {
	leave, err := e.enter()
	if err != nil {
		return 0, err
	}
	defer leave()
	var count int64
	for i, record := range records {
		n, err := e.countHidden(ctx, record)
		if err != nil {
			return 0, fmt.Errorf("duplicates: record %d: %w", i, err)
		}
		count += n
	}
	return count, nil
}

// countHidden counts the events of a record that are duplicates.
func (e *Engine) countHidden(ctx context.Context, record []byte) (int64, error) {
	h, err := event.DecodeHeader(record)
	if err != nil || h.Events == 0 {
		return 0, err
	}
	v, err := e.shard(h.Shard).view(e)
	if err != nil {
		return 0, err
	}
	defer v.release()
	r := rulesFor(e.catalog.Load(), h.Shard, catalog.IngestID{}, nil)
	hidden, counted, err := v.hiddenByKeys(ctx, r, record, h.FirstID)
	if err != nil || counted {
		return hidden, v.blame(err)
	}
	b := batches.Get().(*event.Batch)
	defer batches.Put(b)
	if err := event.DecodeBatch(record, b); err != nil {
		return 0, err
	}
	ids := make([]catalog.IngestID, len(b.Events))
	for i := range b.Events {
		ids[i] = b.Events[i].ID
	}
	ids = sortIDs(ids)
	hidden, counted, err = v.hiddenAmong(ctx, r, ids, &decodedRecord{recordKeyOf(record, ids[0]), b})
	if err != nil || counted {
		return hidden, v.blame(err)
	}
	return v.hiddenByState(ctx, r, ids)
}

// hiddenAmong counts the hidden events among the logged ones of these ids by their
// own groups, if all are logged and nothing but their copies can hide them. have is the
// batch that they are of.
func (v *view) hiddenAmong(ctx context.Context, r rules, ids []catalog.IngestID, have *decodedRecord) (hidden int64, counted bool, err error) {
	t := v.tail
	if err := t.turn.take(ctx); err != nil {
		return 0, false, err
	}
	defer t.turn.give()
	if err := t.extendKeys(ctx, v, have); err != nil {
		return 0, false, err
	}
	if len(t.marks) > 0 || !t.damaged.empty() || !v.files.marks.empty() || !r.upTo.IsZero() || r.erasing != nil {
		return 0, false, nil
	}
	k := &reckoning{state: &state{files: make([]marks, len(v.files.files))}, view: v, rules: r,
		reached: make([][]uint32, len(v.files.files)), found: make([][]duplicate, len(v.files.files))}
	var groups []int32
	var numbers []uint32 // of those that are in groups
	for _, id := range ids {
		number, ok := t.find(id)
		if !ok || int64(number) >= v.events {
			return 0, false, nil
		}
		if n := t.entries.at(number); n.group >= 0 {
			groups, numbers = append(groups, n.group), append(numbers, number)
		}
	}
	slices.Sort(groups)
	for _, g := range slices.Compact(groups) {
		k.judgeLogged(&t.groups[g])
	}
	slices.Sort(k.log.absent)
	sortDuplicates(k.logged)
	for _, number := range numbers {
		if _, absent := slices.BinarySearch(k.log.absent, number); absent {
			return 0, false, nil // it repeats a row of a file
		}
		if _, found := slices.BinarySearchFunc(k.logged, number, func(d duplicate, o uint32) int { return int(int64(d.ordinal) - int64(o)) }); found {
			hidden++
		}
	}
	return hidden, true, nil
}

// hiddenByState counts the hidden events of these ids by the state of the shard.
func (v *view) hiddenByState(ctx context.Context, r rules, ids []catalog.IngestID) (int64, error) {
	st, err := v.state(ctx, r)
	if err != nil {
		return 0, err
	}
	hidden, rest, err := v.hiddenInLog(ctx, st, ids)
	if err != nil || len(rest) == 0 {
		return hidden, err
	}
	rows, err := v.files.locate(rest)
	if err != nil {
		return 0, v.blame(err)
	}
	for i := range rows {
		for _, r := range rows[i] {
			if _, found := slices.BinarySearch(st.files[i].hidden, r.ordinal); found {
				hidden++
			}
		}
	}
	return hidden, nil
}

// hiddenInLog counts the hidden events among the logged ones of these ids, and
// gives the ids that are not logged, or only as repeats of rows in files.
func (v *view) hiddenInLog(ctx context.Context, st *state, ids []catalog.IngestID) (hidden int64, rest []catalog.IngestID, err error) {
	t := v.tail
	if err := t.turn.take(ctx); err != nil {
		return 0, nil, err
	}
	defer t.turn.give()
	for _, id := range ids {
		number, ok := t.find(id)
		if !ok || int64(number) >= v.events {
			rest = append(rest, id)
			continue
		}
		if _, absent := slices.BinarySearch(st.log.absent, number); absent {
			rest = append(rest, id)
			continue
		}
		if _, found := slices.BinarySearch(st.log.hidden, number); found {
			hidden++
		}
	}
	return hidden, rest, nil
}
