package engine

import (
	"cmp"
	"encoding/binary"
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
	users    []uint32          // the events' users, numbered in table
	table    userTable

	writer *indexfile.Builder // that collects the events, or
	events []*event.Event     // the events
	copies []uint8            // how often each is written, if faults say so

	ranks []string // the distinct ids in order
	order []uint32 // the events, user by user
	ends  []uint32 // where each user's end in it
	user  int      // at hand
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
	hi, lo := want.AddHashed(e)
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
	return s.writer.Collect((*indexfile.Row)(e))
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
	users := s.rank()
	s.ends = make([]uint32, len(s.ranks)+1)
	for _, u := range users {
		s.ends[u+1]++
	}
	for u := range s.ranks {
		s.ends[u+1] += s.ends[u]
	}
	s.order = make([]uint32, len(users))
	for i, u := range users { // ends are starts until then
		s.order[s.ends[u]] = uint32(i)
		s.ends[u]++
	}
	if s.writer != nil {
		s.placed = make([]uint32, 0, len(users))
		s.runs = make([]userRun, 0, len(s.ranks))
	}
	start := uint32(0)
	for u := range s.ranks {
		slices.SortFunc(s.order[start:s.ends[u]], func(a, b uint32) int {
			if c := cmp.Compare(s.times[a], s.times[b]); c != 0 {
				return c
			}
			return cmp.Or(s.ids[a].Compare(s.ids[b]), cmp.Compare(a, b))
		})
		start = s.ends[u]
	}
}

// rank numbers the users in the order of their distinct ids and gives each
// event's. Users are fewer than events; what follows the bytes that all begin with
// decides between most of them, eight bytes at a look.
func (s *logSource) rank() []uint32 {
	type ranked struct {
		head uint64
		code uint32
	}
	common := s.commonPrefix()
	order := make([]ranked, len(s.table.names))
	for i, name := range s.table.names {
		var head [8]byte
		copy(head[:], name[common:])
		order[i] = ranked{binary.BigEndian.Uint64(head[:]), uint32(i)}
	}
	slices.SortFunc(order, func(a, b ranked) int {
		if a.head != b.head {
			return cmp.Compare(a.head, b.head)
		}
		return strings.Compare(s.table.names[a.code], s.table.names[b.code])
	})
	rankOf := make([]uint32, len(order))
	s.ranks = make([]string, len(order))
	for rank, r := range order {
		rankOf[r.code] = uint32(rank)
		s.ranks[rank] = s.table.names[r.code]
	}
	for i, code := range s.users {
		s.users[i] = rankOf[code]
	}
	return s.users
}

// commonPrefix is how many bytes all distinct ids begin with.
func (s *logSource) commonPrefix() int {
	if len(s.table.names) == 0 {
		return 0
	}
	first := s.table.names[0]
	n := len(first)
	for _, name := range s.table.names[1:] {
		n = min(n, len(name))
		for i := range n {
			if name[i] != first[i] {
				n = i
				break
			}
		}
	}
	return n
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
	for _, n := range s.order[lo:s.ends[u]] {
		s.rows = append(s.rows, sourceRow{ordinal: n})
	}
	s.user++
	return s.ranks[u], s.rows, nil
}

func (s *logSource) enter(r sourceRow) (time int64, id catalog.IngestID, err error) {
	return s.times[r.ordinal], s.ids[r.ordinal], nil
}

func (s *logSource) copyHash(r sourceRow) (uint64, error) {
	if k := s.keys[r.ordinal]; k.Form != indexfile.FormNone {
		return keyHash(k), nil
	}
	return contentHash(s.payloads[r.ordinal], s.times[r.ordinal]), nil
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
