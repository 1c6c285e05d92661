package engine

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/zeebo/xxh3"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/indexfile"
)

// firstCopies knows which copy of each key survives among a shard's logged events. That is
// enough to say how many of a statement's rows are duplicates, and a small part of what
// a tail knows: a batch is skimmed for it, and nothing is hashed of what its events say.
//
// It holds for one policy, of those whose survivor follows from keys and ids, and for one
// truncation; another one begins it anew. Keys are 128 bits of a hash with a seed of its
// own: whoever has all of them is the one, and nobody can send two that do.
type firstCopies struct {
	// turn is held by whoever uses what follows.
	turn   turn
	policy catalog.Policy
	// upTo is the greatest id that a truncation covers: no copy up to there survives.
	upTo catalog.IngestID
	seed uint64
	// batches is how many of the shard's log refs are known.
	batches int
	slots   []firstCopy // an open hash table
	used    int
	// requests are those that events came with, as ids of which the index does not count.
	// The first is nobody's.
	requests []catalog.IngestID
	touched  uint32 // of no meaning
}

// firstCopy is the surviving copy of a key. Its request is 0 where a slot is empty.
type firstCopy struct {
	key            xxh3.Uint128
	request, index uint32
}

const (
	// fullEighths is the greatest share of slots in use, in eighths.
	fullEighths = 5
	// touchedAtOnce is of how many keys the slots are fetched together.
	touchedAtOnce = 128
)

// use has the table hold for some rules. It begins anew for other ones: where another copy
// survives, it may be one that was not kept.
func (c *firstCopies) use(r *rules) {
	if c.slots != nil && c.policy == r.policy && c.upTo == r.upTo {
		return
	}
	c.policy, c.upTo, c.seed, c.batches, c.used = r.policy, r.upTo, rand.Uint64(), 0, 0
	c.slots, c.requests = make([]firstCopy, 64), make([]catalog.IngestID, 1)
}

// addAll makes copies known, and reports whether none of them has a key that was known.
func (c *firstCopies) addAll(rows []keyedRow) (fresh bool) {
	fresh = true
	for part := range slices.Chunk(rows, touchedAtOnce) {
		c.touch(part)
		for i := range part {
			fresh = c.add(part[i].key, part[i].id) && fresh
		}
	}
	return fresh
}

// touch has the processor fetch the slots of keys, which it does for many at a time where
// nothing that follows depends on what is in them.
func (c *firstCopies) touch(rows []keyedRow) {
	mask, sum := uint64(len(c.slots)-1), uint32(0)
	for i := range rows {
		sum += c.slots[rows[i].key.Lo&mask].request
	}
	c.touched = sum
}

// add makes a copy known, unless it is truncated, and reports whether its key was not.
func (c *firstCopies) add(key xxh3.Uint128, id catalog.IngestID) (fresh bool) {
	if id.Compare(c.upTo) <= 0 {
		return false
	}
	if 8*c.used >= fullEighths*len(c.slots) {
		c.grow()
	}
	s := c.find(key)
	if fresh = s.request == 0; fresh {
		c.used++
	} else if !c.survives(id, c.idOf(s)) {
		return false
	}
	*s = firstCopy{key, c.requestOf(id), id.Index}
	return fresh
}

// requestOf numbers the request of an id. Events of a request come together, so that it has
// one number, or few.
func (c *firstCopies) requestOf(id catalog.IngestID) uint32 {
	id.Index = 0
	if c.requests[len(c.requests)-1] != id {
		c.requests = append(c.requests, id)
	}
	return uint32(len(c.requests) - 1)
}

// idOf is the ingest id of a copy, zero for an empty slot.
func (c *firstCopies) idOf(s *firstCopy) catalog.IngestID {
	id := c.requests[s.request]
	id.Index = s.index
	return id
}

// survives reports whether a copy survives another one.
func (c *firstCopies) survives(id, other catalog.IngestID) bool {
	if c.policy.Survivor == catalog.SurvivorLast {
		id, other = other, id
	}
	return id.Compare(other) < 0
}

// find is the slot of a key, or an empty one for it.
func (c *firstCopies) find(key xxh3.Uint128) *firstCopy {
	mask := uint64(len(c.slots) - 1)
	for i := key.Lo & mask; ; i = (i + 1) & mask {
		if s := &c.slots[i]; s.key == key || s.request == 0 {
			return s
		}
	}
}

func (c *firstCopies) grow() {
	old := c.slots
	c.slots = make([]firstCopy, 2*len(old))
	for i := range old {
		if old[i].request != 0 {
			*c.find(old[i].key) = old[i]
		}
	}
}

// copyCount counts the hidden events of a record by firstCopies. It is reused for its
// buffers.
type copyCount struct {
	view   *view
	rules  rules
	walker event.Walker
	marks  event.Batch // scratch
	key    []byte
	buffer []byte
	probes []probe
	// rows are the record's events that have an insert id; fresh says that nothing in the
	// log has the key of one.
	rows  []keyedRow
	fresh bool
	// inserts are the rows' insert ids, and may those of which a copy may be in the file at hand.
	inserts []indexfile.InsertKey
	may     []*keyedRow
}

// keyedRow is an event whose duplicates are counted. Its strings are the record's.
type keyedRow struct {
	key            xxh3.Uint128
	id             catalog.IngestID
	user, insertID string
	time           int64
	hidden         bool // by a row of a file
}

var copyCounts = sync.Pool{New: func() any { return new(copyCount) }}

// hiddenByKeys counts the hidden events of a record of the view. It does not, and says so,
// where that takes more than the keys of what is logged and of the files' rows: if one may be
// hidden by what is not there any more, or if the policy looks at what events say.
func (v *view) hiddenByKeys(ctx context.Context, r rules, record []byte, first catalog.IngestID) (hidden int64, counted bool, err error) {
	if r.policy.Disabled || r.policy.Conflict != catalog.ConflictMark {
		return 0, r.policy.Disabled, nil
	}
	known := &v.tail.first
	if err := known.turn.take(ctx); err != nil {
		return 0, false, err
	}
	defer known.turn.give()
	known.use(&r)
	k := copyCounts.Get().(*copyCount)
	defer k.end()
	k.view, k.rules = v, r
	if complete, err := k.readRows(record); err != nil || !complete {
		return 0, false, err
	}
	if err := k.extend(ctx, recordKeyOf(record, first)); err != nil {
		return 0, false, err
	}
	left := k.rows
	if !k.fresh {
		left = left[:0] // those that nothing in the log hides
		for _, row := range k.rows {
			// A row that is in a file by now may be the survivor, and not be known here.
			if id := known.idOf(known.find(row.key)); !id.IsZero() && known.survives(id, row.id) {
				hidden++
			} else {
				left = append(left, row)
			}
		}
	}
	inFiles, err := k.hiddenByFiles(ctx, left)
	if hidden += inFiles; err != nil || hidden > 0 && k.hasGone() {
		return 0, false, err
	}
	return hidden, true, nil
}

// end lets go of the record.
func (k *copyCount) end() {
	clear(k.rows[:cap(k.rows)])
	clear(k.probes[:cap(k.probes)])
	clear(k.may[:cap(k.may)])
	k.walker.Forget()
	k.view, k.rules = nil, rules{}
	copyCounts.Put(k)
}

// hasGone reports whether a copy may be one that hides nothing, because it is deleted or
// damaged.
func (k *copyCount) hasGone() bool {
	return k.view.tail.spoiled.Load() || !k.view.files.marks.empty() || k.rules.erasing != nil ||
		slices.ContainsFunc(k.view.logs, func(l logRef) bool { return l.marks })
}

// readRows skims the record for its rows that no truncation covers. They are not complete
// if some have no key here: those without an insert id that are known by their content.
func (k *copyCount) readRows(record []byte) (complete bool, err error) {
	k.rows, complete = k.rows[:0], true
	err = k.skim(record, func(e *event.Event) {
		if e.ID.Compare(k.rules.upTo) <= 0 {
			return
		}
		if e.InsertID == "" {
			complete = complete && k.rules.policy.Missing == catalog.MissingNone
			return
		}
		k.rows = append(k.rows, keyedRow{key: k.keyOf(e), id: e.ID, user: e.DistinctID, insertID: e.InsertID, time: e.Time})
	})
	return complete, err
}

// extend makes all batches of the view known. That of the record whose rows there are is
// not read.
func (k *copyCount) extend(ctx context.Context, have recordKey) error {
	known := &k.view.tail.first
	k.fresh = false
	for ; known.batches < len(k.view.logs); known.batches++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		r := k.view.logs[known.batches]
		if r.record == have {
			k.fresh = known.addAll(k.rows)
			continue
		}
		k.fresh = false
		logged, err := k.view.record(r, &k.buffer)
		if err != nil {
			return err
		}
		err = k.skim(logged, func(e *event.Event) {
			if e.InsertID != "" {
				known.add(k.keyOf(e), e.ID)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// skim calls do with each event of a record, of which it does not read the properties.
func (k *copyCount) skim(record []byte, do func(*event.Event)) error {
	if err := k.walker.Begin(record); err != nil {
		return err
	}
	for e := k.walker.Skim(); e != nil; e = k.walker.Skim() {
		do(e)
	}
	return k.walker.End(&k.marks)
}

// keyOf hashes what makes an event's key under the policy.
func (k *copyCount) keyOf(e *event.Event) xxh3.Uint128 {
	p := &k.rules.policy
	b := append(k.key[:0], byte(len(e.DistinctID)), byte(len(e.InsertID)))
	b = append(append(b, e.DistinctID...), e.InsertID...)
	if p.Key == catalog.KeyExact {
		b = binary.LittleEndian.AppendUint64(b, uint64(millisecond(e.Time)))
	}
	if p.Key != catalog.KeyID {
		b = append(b, e.Name...)
	}
	k.key = b
	return xxh3.Hash128Seed(b, k.view.tail.first.seed)
}

// hiddenByFiles counts those of some rows that a row of a file hides. Nearly always the
// files' filters say that none has a copy there.
func (k *copyCount) hiddenByFiles(ctx context.Context, rows []keyedRow) (hidden int64, err error) {
	files := k.view.files.files
	if len(files) == 0 || len(rows) == 0 {
		return 0, nil
	}
	k.inserts = k.inserts[:0]
	for i := range rows {
		k.inserts = append(k.inserts, indexfile.InsertKeyOf(rows[i].insertID))
	}
	for _, f := range files {
		if f.maxID.Compare(k.rules.upTo) <= 0 {
			continue
		}
		k.may = k.may[:0]
		ids := f.filterFor(len(rows))
		for i := range rows {
			if !rows[i].hidden && (ids == nil || ids.may(copyHashOf(keyHash(k.inserts[i])))) {
				k.may = append(k.may, &rows[i])
			}
		}
		if len(k.may) == 0 {
			continue
		}
		n, err := k.hiddenBy(ctx, f, k.may)
		if hidden += n; err != nil {
			return 0, err
		}
	}
	return hidden, nil
}

// hiddenBy counts those of some rows that a row of a file hides. Their order changes.
func (k *copyCount) hiddenBy(ctx context.Context, f *file, rows []*keyedRow) (hidden int64, err error) {
	m := newMatcher(f, 0)
	slices.SortFunc(rows, func(a, b *keyedRow) int { return strings.Compare(a.user, b.user) })
	for lo, hi := 0, 0; lo < len(rows); lo = hi {
		for hi = lo + 1; hi < len(rows) && rows[hi].user == rows[lo].user; hi++ {
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		first, end, err := m.users.seek(rows[lo].user)
		if err != nil {
			return 0, err
		}
		if first == end {
			continue
		}
		k.probes = k.probes[:0]
		for i, r := range rows[lo:hi] {
			k.probes = append(k.probes, probe{number: uint32(lo + i), key: indexfile.InsertKeyOf(r.insertID), insertID: r.insertID, time: r.time})
		}
		err = m.matchUser(k.probes, first, end, func(p *probe, ordinal uint32) (err error) {
			r := rows[p.number]
			if r.hidden, err = k.hides(f, ordinal, r); r.hidden {
				hidden++
			}
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return hidden, nil
}

// hides reports whether a row of a file, or a copy of it there, hides a row of which it has
// the user and insert id.
func (k *copyCount) hides(f *file, ordinal uint32, row *keyedRow) (bool, error) {
	ordinals, err := f.copiesOf(ordinal)
	if err != nil {
		return false, err
	}
	for _, o := range ordinals {
		m, err := f.member(place{ordinal: o}, 0)
		if err != nil {
			return false, err
		}
		key := k.keyOf(&event.Event{DistinctID: row.user, InsertID: row.insertID, Time: m.time, Name: m.name})
		if m.id.Compare(k.rules.upTo) > 0 && key == row.key && k.view.tail.first.survives(m.id, row.id) {
			return true, nil
		}
	}
	return false, nil
}
