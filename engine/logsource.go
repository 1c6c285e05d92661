package engine

import (
	"cmp"
	"slices"
	"sync"
	"unsafe"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/indexfile"
)

// logSource gives logged events. What a build asks of each is taken by column as its
// batch is read, while it is in the processor's caches: in the order of users each
// event would have to be fetched from memory anew. The new file's Builder collects
// the events then, too. Where they might not fit into memory by column, the batches
// are kept instead, and events are added in the order of the file.
type logSource struct {
	ids      []catalog.IngestID // the writer's, if it collects; times, too
	times    []int64
	payloads []fingerprint
	hashes   []uint32   // of what makes each a copy
	texts    textIDs    // insert ids that no key stands for
	bounds   []idBounds // of the batches
	users    []uint32   // the events' users, numbered in table, then in order
	table    userTable

	writer *indexfile.Builder // that collects the events, or
	events []*event.Event     // the events
	copies []uint8            // how often each is written, if faults say so

	canonical []byte            // scratch: the bytes of an event
	distinct  []string          // scratch: the distinct ids of a batch
	shapes    []indexfile.Shape // of the record at hand, by their numbers

	ranks []string      // the distinct ids in order
	names []byte        // their texts, in that order, in which they are asked for
	order []placedEvent // the events, user by user
	ends  []uint32      // where each user's end in it
	user  int           // at hand
	rows  []sourceRow

	placed []uint32 // collected events in the order of the file
	runs   []userRun
}

// userRun is how many rows of the new file a user, by its place in ranks, has.
type userRun struct{ user, rows int }

// idBounds are the least and the greatest ingest id of the events [lo, hi).
type idBounds struct {
	least, greatest catalog.IngestID
	lo, hi          int
	ascending       bool // each is greater than the one before
}

// logSources are some that nobody uses, for their arrays; see indexfile's spares.
var logSources sync.Pool

// leastReused is how many events a source has whose arrays are worth keeping.
const leastReused = 1 << 12

func newLogSource(events int) *logSource {
	var s *logSource
	if events >= leastReused {
		s, _ = logSources.Get().(*logSource)
	}
	if s == nil {
		s = &logSource{table: newUserTable()}
	} else {
		s.table.renew(events)
	}
	s.payloads = slices.Grow(s.payloads, events)
	s.users = slices.Grow(s.users, events)
	s.hashes = slices.Grow(s.hashes, events)
	return s
}

// release gives the source's arrays to the next one. It is not used any more, and neither
// are the texts that it gave.
func (s *logSource) release() {
	if n := len(s.hashes); n < leastReused || n > maxBuildEvents {
		return
	}
	for _, texts := range [...][]string{s.ranks, s.table.names} {
		clear(texts[:cap(texts)])
	}
	logSources.Put(&logSource{
		payloads: s.payloads[:0], hashes: s.hashes[:0], users: s.users[:0], bounds: s.bounds[:0], order: s.order[:0], ends: s.ends[:0],
		ranks: s.ranks[:0], names: s.names[:0], rows: s.rows[:0], placed: s.placed[:0], runs: s.runs[:0], canonical: s.canonical[:0], distinct: s.distinct[:0],
		table: userTable{slots: s.table.slots, names: s.table.names[:0]},
	})
}

// keep takes a batch's events and adds them to the digest. They stay as they are for
// as long as the source, which does not collect.
func (s *logSource) keep(b *event.Batch, want *event.Digest) {
	for i := range b.Events {
		e := &b.Events[i]
		hi, lo := want.AddHashed(e, &s.canonical)
		s.note(e, fingerprint{hi, lo})
		s.ids, s.times = append(s.ids, e.ID), append(s.times, e.Time)
		s.events = append(s.events, e)
	}
	s.endBatch(len(b.Events))
}

// collect takes a record's events and adds them to the digest. They are collected, and
// the record is not needed afterwards.
func (s *logSource) collect(w *event.Walker, want *event.Digest, faults *Faults) error {
	first, shapes := len(s.hashes), 0
	for e := w.Next(); e != nil; e = w.Next() {
		hi, lo := want.AddWalked(w)
		key := s.note(e, fingerprint{hi, lo})
		if faults != nil && faults.Row != nil {
			row := indexfile.Row(*e) // the walker finds the next event by this one
			s.copies = append(s.copies, uint8(faults.row(&row)))
			if err := s.writer.Collect(&row, key); err != nil {
				return err
			}
			continue
		}
		shape := w.Shape()
		for ; shapes <= shape; shapes++ {
			if shapes == len(s.shapes) {
				s.shapes = append(s.shapes, indexfile.Shape{})
			}
			if err := s.writer.Shape((*indexfile.Row)(e), &s.shapes[shapes]); err != nil {
				return err
			}
		}
		if err := s.writer.CollectShaped(&s.shapes[shape], (*indexfile.Row)(e), key); err != nil {
			return err
		}
	}
	s.writer.Settle()
	s.ids, s.times = s.writer.Collected()
	s.endBatch(len(s.hashes) - first)
	return nil
}

// note takes what is asked of an event in the order of users.
func (s *logSource) note(e *event.Event, payload fingerprint) indexfile.InsertKey {
	key := indexfile.InsertKeyOf(e.InsertID)
	if !key.Exact() {
		s.texts.add(uint32(len(s.hashes)), e.InsertID)
	}
	hash := keyHash(key)
	if key.Form == indexfile.FormNone {
		hash = contentHash(payload, e.Time)
	}
	s.payloads = append(s.payloads, payload)
	s.hashes = append(s.hashes, uint32(copyHashOf(hash)>>32))
	s.distinct = append(s.distinct, e.DistinctID)
	return key
}

// endBatch is called when all of so many events of a batch were noted; their texts are
// still there.
func (s *logSource) endBatch(events int) {
	if events == 0 {
		return
	}
	first := len(s.ids) - events
	ids := s.ids[first:]
	bounds := idBounds{ids[0], ids[0], first, len(s.ids), true}
	for i, id := range ids {
		if i > 0 && id.Compare(ids[i-1]) <= 0 {
			bounds.ascending = false
		}
		if id.Compare(bounds.least) < 0 {
			bounds.least = id
		}
		if id.Compare(bounds.greatest) > 0 {
			bounds.greatest = id
		}
	}
	s.bounds = append(s.bounds, bounds)
	s.users = s.table.add(s.users, s.distinct)
	clear(s.distinct)
	s.distinct = s.distinct[:0]
}

// textIDs are insert ids of some events, which are added in the order of their numbers.
type textIDs struct {
	numbers []uint32
	ends    []int
	bytes   []byte
}

func (t *textIDs) add(number uint32, id string) {
	t.bytes = append(t.bytes, id...)
	t.numbers, t.ends = append(t.numbers, number), append(t.ends, len(t.bytes))
}

// of is the insert id of an event, empty if it is none of them. It holds until the next
// one is added.
func (t *textIDs) of(number uint32) string {
	i, found := slices.BinarySearch(t.numbers, number)
	if !found {
		return ""
	}
	from := 0
	if i > 0 {
		from = t.ends[i-1]
	}
	b := t.bytes[from:t.ends[i]]
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// twice are ids that more than one event may bear: batches are looked into if
// their bounds overlap, or their ids do not ascend.
func (s *logSource) twice() []catalog.IngestID {
	sorted := slices.Clone(s.bounds)
	slices.SortFunc(sorted, func(a, b idBounds) int { return a.least.Compare(b.least) })
	var table idTable
	for lo := 0; lo < len(sorted); {
		greatest, hi := sorted[lo].greatest, lo+1
		for ; hi < len(sorted) && sorted[hi].least.Compare(greatest) <= 0; hi++ {
			if sorted[hi].greatest.Compare(greatest) > 0 {
				greatest = sorted[hi].greatest
			}
		}
		if hi-lo > 1 || !sorted[lo].ascending {
			for _, of := range sorted[lo:hi] {
				for _, id := range s.ids[of.lo:of.hi] {
					table.add(id)
				}
			}
		}
		lo = hi
	}
	return table.twice
}

// between are the ids from least to greatest, ascending.
func (s *logSource) between(least, greatest catalog.IngestID) []catalog.IngestID {
	var ids []catalog.IngestID
	for _, of := range s.bounds {
		if of.greatest.Compare(least) < 0 || of.least.Compare(greatest) > 0 {
			continue
		}
		for _, id := range s.ids[of.lo:of.hi] {
			if id.Compare(least) >= 0 && id.Compare(greatest) <= 0 {
				ids = append(ids, id)
			}
		}
	}
	return sortIDs(ids)
}

// sort puts the events in order; all were added. They are counted by user, and then
// each user's are sorted, which nearly are.
func (s *logSource) sort() {
	rankOf := indexfile.RankTexts(s.table.names)
	s.ranks = slices.Grow(s.ranks, len(rankOf))[:len(rankOf)]
	size := 0
	for code, rank := range rankOf {
		s.ranks[rank] = s.table.names[code]
		size += len(s.table.names[code])
	}
	s.names = slices.Grow(s.names, size)
	for i, name := range s.ranks {
		from := len(s.names)
		s.names = append(s.names, name...)
		s.ranks[i] = unsafe.String(unsafe.SliceData(s.names[from:]), len(name)) // names was grown for all
	}
	s.ends = append(s.ends, make([]uint32, len(s.ranks)+1)...)
	for i, code := range s.users {
		s.users[i] = rankOf[code]
		s.ends[s.users[i]+1]++
	}
	for u := range s.ranks {
		s.ends[u+1] += s.ends[u]
	}
	s.order = slices.Grow(s.order, len(s.users))[:len(s.users)]
	for i, u := range s.users { // ends are starts until then
		s.order[s.ends[u]] = placedEvent{time: s.times[i], copyHash: s.hashes[i], ordinal: uint32(i)}
		s.ends[u]++
	}
	if s.writer != nil {
		s.placed = slices.Grow(s.placed, len(s.users))
		s.runs = slices.Grow(s.runs, len(s.ranks))
	}
	start := uint32(0)
	for u := range s.ranks {
		of := s.order[start:s.ends[u]]
		if start = s.ends[u]; !s.inOrder(of) {
			slices.SortFunc(of, s.compare)
		}
	}
}

// placedEvent is what a build asks of each event in the order of users, so that it lies
// in that order.
type placedEvent struct {
	time     int64
	copyHash uint32
	ordinal  uint32
}

// compare orders the events of a user. Ids lie elsewhere, and are looked at where times are
// equal.
func (s *logSource) compare(a, b placedEvent) int {
	if c := cmp.Compare(a.time, b.time); c != 0 {
		return c
	}
	return cmp.Or(s.ids[a.ordinal].Compare(s.ids[b.ordinal]), cmp.Compare(a.ordinal, b.ordinal))
}

// inOrder reports whether the events of a user are in order.
func (s *logSource) inOrder(of []placedEvent) bool {
	for i := 1; i < len(of); i++ {
		if of[i-1].time >= of[i].time && s.compare(of[i-1], of[i]) > 0 {
			return false
		}
	}
	return true
}

func (s *logSource) nextUser() (string, []sourceRow, error) {
	if s.user == len(s.ranks) {
		return "", nil, nil
	}
	lo, u := uint32(0), s.user
	if u > 0 {
		lo = s.ends[u-1]
	}
	s.rows = s.rows[:0]
	for at := lo; at < s.ends[u]; at++ {
		s.rows = append(s.rows, sourceRow{source: at, ordinal: s.order[at].ordinal})
	}
	s.user++
	return s.ranks[u], s.rows, nil
}

func (s *logSource) enter(r sourceRow) (time int64, err error) { return s.order[r.source].time, nil }

func (s *logSource) copyHash(r sourceRow) (uint64, error) {
	return uint64(s.order[r.source].copyHash) << 32, nil // a table looks at the upper half
}

func (s *logSource) look(r sourceRow) (looked, error) {
	n := r.ordinal
	l := looked{insertID: s.texts.of(n), member: member{id: s.ids[n], payload: s.payloads[n], time: s.times[n]}}
	if s.writer != nil {
		l.member.name, l.key = s.writer.EventOf(n), s.writer.InsertKeyOf(n)
	} else {
		l.member.name, l.key = s.events[n].Name, indexfile.InsertKeyOf(s.events[n].InsertID)
	}
	return l, nil
}

func (s *logSource) alike(a, b sourceRow) (bool, error) {
	return s.payloads[a.ordinal] == s.payloads[b.ordinal] && s.hasInsertID(a.ordinal), nil
}

func (s *logSource) hasInsertID(event uint32) bool {
	if s.writer != nil {
		return s.writer.HasInsertID(event)
	}
	return s.events[event].InsertID != ""
}

func (s *logSource) place(r sourceRow) (time int64, id catalog.IngestID, err error) {
	e := &s.order[r.source]
	return e.time, s.ids[e.ordinal], nil
}

func (s *logSource) write(r sourceRow, w *indexfile.Builder, faults *Faults) (rows int, err error) {
	if s.writer == nil {
		return addRow(w, (*indexfile.Row)(s.events[r.ordinal]), faults)
	}
	rows = 1
	if s.copies != nil {
		rows = int(s.copies[r.ordinal])
	}
	for range rows {
		s.placed = append(s.placed, r.ordinal)
	}
	if rows == 0 {
		return 0, nil
	}
	user := s.user - 1
	if n := len(s.runs); n > 0 && s.runs[n-1].user == user {
		s.runs[n-1].rows += rows
	} else {
		s.runs = append(s.runs, userRun{user, rows})
	}
	return rows, nil
}

// finish puts the collected events in order.
func (s *logSource) finish(w *indexfile.Builder) error {
	if s.writer == nil {
		return nil
	}
	s.ids, s.times = nil, nil // they were the writer's
	return w.Arrange(s.placed, func(yield func(string, int) bool) {
		for _, r := range s.runs {
			if !yield(s.ranks[r.user], r.rows) {
				return
			}
		}
	})
}
