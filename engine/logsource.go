package engine

import (
	"cmp"
	"slices"
	"strings"

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
	ids      []catalog.IngestID
	times    []int64
	payloads []fingerprint
	keys     []indexfile.InsertKey
	texts    map[uint32]string // insert ids that no key stands for
	bounds   []idBounds        // of the batches
	users    []uint32          // the events' users, numbered in table, then in order
	table    userTable

	writer *indexfile.Builder // that collects the events, or
	events []*event.Event     // the events
	copies []uint8            // how often each is written, if faults say so

	canonical []byte // scratch: the bytes of an event

	ranks []string      // the distinct ids in order
	order []placedEvent // the events, user by user
	ends  []uint32      // where each user's end in it
	user  int           // at hand
	rows  []sourceRow

	placed []uint32 // collected events in the order of the file
	runs   []userRun
}

// userRun is how many rows of the new file a user has.
type userRun struct {
	user string
	rows int
}

// idBounds are the least and the greatest ingest id of the events [lo, hi).
type idBounds struct {
	least, greatest catalog.IngestID
	lo, hi          int
	ascending       bool // each is greater than the one before
}

func newLogSource(events int) *logSource {
	s := &logSource{table: newUserTable()}
	s.ids = make([]catalog.IngestID, 0, events)
	s.times = make([]int64, 0, events)
	s.payloads = make([]fingerprint, 0, events)
	s.users = make([]uint32, 0, events)
	s.keys = make([]indexfile.InsertKey, 0, events)
	return s
}

// add takes a batch's events and adds them to the digest. They stay as they are for
// as long as the source if it does not collect.
func (s *logSource) add(b *event.Batch, want *event.Digest, faults *Faults) error {
	if len(b.Events) == 0 {
		return nil
	}
	bounds := idBounds{b.Events[0].ID, b.Events[0].ID, len(s.ids), len(s.ids) + len(b.Events), true}
	for i := range b.Events {
		e := &b.Events[i]
		if i > 0 && e.ID.Compare(b.Events[i-1].ID) <= 0 {
			bounds.ascending = false
		}
		if e.ID.Compare(bounds.least) < 0 {
			bounds.least = e.ID
		}
		if e.ID.Compare(bounds.greatest) > 0 {
			bounds.greatest = e.ID
		}
		if err := s.addEvent(e, want, faults); err != nil {
			return err
		}
	}
	s.bounds = append(s.bounds, bounds)
	s.users = s.table.add(s.users, len(b.Events), func(i int) string { return b.Events[i].DistinctID })
	return nil
}

func (s *logSource) addEvent(e *event.Event, want *event.Digest, faults *Faults) error {
	hi, lo := want.AddHashed(e, &s.canonical)
	key := indexfile.InsertKeyOf(e.InsertID)
	if !key.Exact() {
		if s.texts == nil {
			s.texts = map[uint32]string{}
		}
		s.texts[uint32(len(s.ids))] = strings.Clone(e.InsertID)
	}
	s.ids = append(s.ids, e.ID)
	s.times = append(s.times, e.Time)
	s.payloads = append(s.payloads, fingerprint{hi, lo})
	s.keys = append(s.keys, key)
	if s.writer == nil {
		s.events = append(s.events, e)
		return nil
	}
	if faults != nil && faults.Row != nil {
		s.copies = append(s.copies, uint8(faults.row((*indexfile.Row)(e))))
	}
	return s.writer.Collect((*indexfile.Row)(e), key)
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
	rankOf := rankTexts(s.table.names)
	s.ranks = make([]string, len(rankOf))
	for code, rank := range rankOf {
		s.ranks[rank] = s.table.names[code]
	}
	s.ends = make([]uint32, len(s.ranks)+1)
	for i, code := range s.users {
		s.users[i] = rankOf[code]
		s.ends[s.users[i]+1]++
	}
	for u := range s.ranks {
		s.ends[u+1] += s.ends[u]
	}
	s.order = make([]placedEvent, len(s.users))
	for i, u := range s.users { // ends are starts until then
		s.order[s.ends[u]] = placedEvent{time: s.times[i], id: s.ids[i], copyHash: s.hash(uint32(i)), ordinal: uint32(i)}
		s.ends[u]++
	}
	if s.writer != nil {
		s.placed = make([]uint32, 0, len(s.users))
		s.runs = make([]userRun, 0, len(s.ranks))
	}
	start := uint32(0)
	for u := range s.ranks {
		of := s.order[start:s.ends[u]]
		if start = s.ends[u]; !slices.IsSortedFunc(of, placedEvent.compare) {
			slices.SortFunc(of, placedEvent.compare)
		}
	}
}

// placedEvent is what a build asks of each event in the order of users, so that it lies
// in that order.
type placedEvent struct {
	time     int64
	id       catalog.IngestID
	copyHash uint64
	ordinal  uint32
}

func (a placedEvent) compare(b placedEvent) int {
	if c := cmp.Compare(a.time, b.time); c != 0 {
		return c
	}
	return cmp.Or(a.id.Compare(b.id), cmp.Compare(a.ordinal, b.ordinal))
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

func (s *logSource) enter(r sourceRow) (time int64, id catalog.IngestID, err error) {
	e := &s.order[r.source]
	return e.time, e.id, nil
}

func (s *logSource) copyHash(r sourceRow) (uint64, error) { return s.order[r.source].copyHash, nil }

// hash is the copyHash of event n.
func (s *logSource) hash(n uint32) uint64 {
	if k := s.keys[n]; k.Form != indexfile.FormNone {
		return keyHash(k)
	}
	return contentHash(s.payloads[n], s.times[n])
}

func (s *logSource) look(r sourceRow) (looked, error) {
	n := r.ordinal
	l := looked{key: s.keys[n], insertID: s.texts[n], member: member{id: s.ids[n], payload: s.payloads[n], time: s.times[n]}}
	if s.writer != nil {
		l.member.name = s.writer.EventOf(n)
	} else {
		l.member.name = s.events[n].Name
	}
	return l, nil
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
	user := s.ranks[s.user-1]
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
	return w.Arrange(s.placed, func(yield func(string, int) bool) {
		for _, r := range s.runs {
			if !yield(r.user, r.rows) {
				return
			}
		}
	})
}
