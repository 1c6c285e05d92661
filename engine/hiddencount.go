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
// hidden as duplicates now. Their keys say it, if no copy is deleted or damaged; else it
// looks at the copies of these events alone, unless one of them is indexed already: then who
// is visible is worked out for the whole shard, as a scan does.
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
// own groups, if all are logged. have is the batch that they are of.
func (v *view) hiddenAmong(ctx context.Context, r rules, ids []catalog.IngestID, have *decodedRecord) (hidden int64, counted bool, err error) {
	t := v.tail
	if err := t.turn.take(ctx); err != nil {
		return 0, false, err
	}
	defer t.turn.give()
	if err := t.extendKeys(ctx, v, have); err != nil {
		return 0, false, err
	}
	var groups []int32
	asked := make([]uint32, 0, len(ids))
	for _, id := range ids {
		number, ok := t.find(id)
		if !ok || int64(number) >= v.events {
			return 0, false, nil
		}
		if n := t.entries.at(number); n.group >= 0 {
			groups, asked = append(groups, n.group), append(asked, number)
		}
	}
	slices.Sort(groups)
	slices.Sort(asked)
	k := &groupCount{view: v, rules: r, targets: t.targetsInForce(v), asked: asked}
	for _, g := range slices.Compact(groups) {
		k.count(&t.groups[g])
	}
	return k.hidden, !k.repeated, nil
}

// groupCount counts the hidden ones of some logged events by judging their groups.
type groupCount struct {
	view    *view
	rules   rules
	targets map[catalog.IngestID]struct{} // of deletes in force
	asked   []uint32                      // the events' numbers, ascending
	hidden  int64
	// repeated says that one of them repeats a record that may be in a file, which is not
	// looked at.
	repeated bool
	members  []member // scratch
}

// count judges a group of the tail as reckoning does, but looks up who of it is gone
// instead of having marked all that is.
func (k *groupCount) count(g *tailGroup) {
	t := k.view.tail
	k.members = k.members[:0]
	for _, number := range g.entries {
		if int64(number) < k.view.events {
			k.members = append(k.members, t.member(number))
		}
	}
	k.members = append(k.members, g.rows...)
	// One distinct id is that of the whole group.
	upTo := k.rules.upTo
	if e := k.rules.erasing; e != nil {
		if erased := e.UpTo(t.users.list[t.entries.at(g.entries[0]).user]); erased.Compare(upTo) > 0 {
			upTo = erased
		}
	}
	alive := slices.DeleteFunc(k.members, func(m member) bool { return t.damaged.isDamaged(m.id) || t.files.marks.isDamaged(m.id) })
	alive = dropRepeats(alive, func(m *member) { k.repeated = k.repeated || k.isAsked(m) })
	alive = slices.DeleteFunc(alive, func(m member) bool {
		_, deleted := k.targets[m.id]
		return deleted || m.id.Compare(upTo) <= 0
	})
	judge(alive, g.keyed, k.rules.policy, func(m, _ *member, _ kind) {
		if k.isAsked(m) {
			k.hidden++
		}
	})
}

func (k *groupCount) isAsked(m *member) bool {
	if m.at.source != inLog {
		return false
	}
	_, asked := slices.BinarySearch(k.asked, m.at.ordinal)
	return asked
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
