package engine

import (
	"cmp"
	"slices"
	"strings"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/indexfile"
	"github.com/zeebo/xxh3"
)

// rowSource gives the rows of a build in the order of a file: by distinct id,
// time and ingest id, user by user.
type rowSource interface {
	// nextUser goes on to the next user and gives its distinct id and rows; nil
	// rows end the source. The rows are valid until the next call of nextUser,
	// and their events' insert ids and properties until the next call of event.
	nextUser() (distinctID string, rows []sourceRow, err error)
	// event is a row of the user at hand.
	event(r sourceRow) (*event.Event, error)
	// copyHash is a hash that copies of the row at hand share: of its insert id, or
	// of its content.
	copyHash(r sourceRow, e *event.Event) (uint64, error)
	// again is event for a row that event gave before. It is valid until the next
	// call, and ends the hold of the last event's insert id.
	again(r sourceRow) (*event.Event, error)
}

// sourceRow is where a row comes from: of a file, or of the logged events.
type sourceRow struct {
	source, ordinal uint32
}

// logSource gives logged events. They are all in memory, so a build takes no
// more of them at a time than maxBuildEvents.
type logSource struct {
	day    catalog.Day
	events []*event.Event
	hashes []uint64 // of what makes copies
	users  []uint32 // the events' users, numbered in names
	names  []string
	byName hashtable
	order  []sortKey
	ranks  []string // the distinct ids in order
	rows   []sourceRow
	at     int
}

// sortKey orders events by user and time; the least bits of the key are the
// microsecond of the day.
type sortKey struct {
	key    uint64
	number uint32
}

// timeBits hold a microsecond of a day, the others of 64 a user's rank.
const timeBits = 37

func newLogSource(day catalog.Day) *logSource { return &logSource{day: day} }

// add takes a batch's events. The hashes are taken here, while the batch has just
// been decoded: in the order of users each would be a cache miss.
func (s *logSource) add(b *event.Batch, hash bool) {
	for i := range b.Events {
		e := &b.Events[i]
		s.events = append(s.events, e)
		s.users = append(s.users, s.user(e.DistinctID))
		if hash {
			s.hashes = append(s.hashes, copyHash(e))
		}
	}
}

// user is a number for a distinct id.
func (s *logSource) user(distinctID string) uint32 {
	fresh := uint32(len(s.names))
	code, found := s.byName.find(tableHash(xxh3.HashString(distinctID)), fresh, func(u uint32) bool { return s.names[u] == distinctID })
	if !found {
		s.names = append(s.names, distinctID)
	}
	return code
}

// sort puts the events in order; all were added.
func (s *logSource) sort() {
	users, start := s.rank(), s.day.Start()
	if n := len(s.events); n > 0 {
		s.order = make([]sortKey, n)
		for i, e := range s.events {
			s.order[i] = sortKey{uint64(users[i])<<timeBits | uint64(e.Time-start), uint32(i)}
		}
	}
	slices.SortFunc(s.order, func(a, b sortKey) int {
		if c := cmp.Compare(a.key, b.key); c != 0 {
			return c
		}
		return s.events[a.number].ID.Compare(s.events[b.number].ID)
	})
}

// rank numbers the users in the order of their distinct ids and gives each
// event's. Users are far fewer than events, so that few strings are compared.
func (s *logSource) rank() []uint32 {
	users, codes := s.names, s.users
	order := make([]uint32, len(users))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return strings.Compare(users[a], users[b]) })
	rankOf := make([]uint32, len(users))
	s.ranks = make([]string, len(users))
	for rank, code := range order {
		rankOf[code] = uint32(rank)
		s.ranks[rank] = users[code]
	}
	for i, code := range codes {
		codes[i] = rankOf[code]
	}
	return codes
}

func (s *logSource) nextUser() (string, []sourceRow, error) {
	if s.at == len(s.order) {
		return "", nil, nil
	}
	rank := s.order[s.at].key >> timeBits
	s.rows = s.rows[:0]
	for ; s.at < len(s.order) && s.order[s.at].key>>timeBits == rank; s.at++ {
		s.rows = append(s.rows, sourceRow{ordinal: s.order[s.at].number})
	}
	return s.ranks[rank], s.rows, nil
}

func (s *logSource) copyHash(r sourceRow, _ *event.Event) (uint64, error) {
	return s.hashes[r.ordinal], nil
}

func (s *logSource) event(r sourceRow) (*event.Event, error) { return s.events[r.ordinal], nil }
func (s *logSource) again(r sourceRow) (*event.Event, error) { return s.events[r.ordinal], nil }

// fileSource merges indexed files, which are sorted each: user by user, and the
// rows of a user by time and ingest id.
type fileSource struct {
	inputs []mergeInput
	rows   []sourceRow
	second indexfile.Row // that again gives
}

type mergeInput struct {
	file    *file
	number  uint32
	cursor  *cursor
	users   userWalk
	through bool
}

func newFileSource(files []*file) (*fileSource, error) {
	s := &fileSource{inputs: make([]mergeInput, len(files))}
	for i, f := range files {
		s.inputs[i] = mergeInput{file: f, number: uint32(i), cursor: f.cursor(), users: newUserWalk(f)}
		if err := s.inputs[i].load(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// load goes on to the next user.
func (m *mergeInput) load() error {
	ok, err := m.users.step()
	m.through = !ok
	return err
}

func (s *fileSource) nextUser() (string, []sourceRow, error) {
	user, some := "", false
	for i := range s.inputs {
		if m := &s.inputs[i]; !m.through && (!some || m.users.name < user) {
			user, some = m.users.name, true
		}
	}
	if !some {
		return "", nil, nil
	}
	s.rows = s.rows[:0]
	var having []*mergeInput
	for i := range s.inputs {
		if m := &s.inputs[i]; !m.through && m.users.name == user {
			having = append(having, m)
		}
	}
	if err := s.mergeRows(having); err != nil {
		return "", nil, err
	}
	for _, m := range having {
		if err := m.load(); err != nil {
			return "", nil, err
		}
	}
	return user, s.rows, nil
}

// mergeRows puts the rows of a user in order.
func (s *fileSource) mergeRows(having []*mergeInput) error {
	if len(having) == 1 {
		for row := having[0].users.lo; row < having[0].users.hi; row++ {
			s.rows = append(s.rows, sourceRow{having[0].number, uint32(row)})
		}
		return nil
	}
	type head struct {
		input *mergeInput
		row   int
		time  int64
	}
	heads := make([]head, 0, len(having))
	for _, m := range having {
		t, err := m.file.reader.Time(m.users.lo)
		if err != nil {
			return err
		}
		heads = append(heads, head{m, m.users.lo, t})
	}
	for len(heads) > 0 {
		least := 0
		for i := 1; i < len(heads); i++ {
			if heads[i].time > heads[least].time {
				continue
			}
			if heads[i].time < heads[least].time {
				least = i
				continue
			}
			a, err := heads[i].input.file.reader.IngestID(heads[i].row)
			if err != nil {
				return err
			}
			b, err := heads[least].input.file.reader.IngestID(heads[least].row)
			if err != nil {
				return err
			}
			if a.Compare(b) < 0 {
				least = i
			}
		}
		h := &heads[least]
		s.rows = append(s.rows, sourceRow{h.input.number, uint32(h.row)})
		if h.row++; h.row == h.input.users.hi {
			heads = slices.Delete(heads, least, least+1)
			continue
		}
		t, err := h.input.file.reader.Time(h.row)
		if err != nil {
			return err
		}
		h.time = t
	}
	return nil
}

func (s *fileSource) event(r sourceRow) (*event.Event, error) {
	return s.inputs[r.source].cursor.event(int(r.ordinal))
}

// copyHash takes the file's key of the insert id, which costs no text.
func (s *fileSource) copyHash(r sourceRow, e *event.Event) (uint64, error) {
	if e.InsertID == "" {
		return copyHash(e), nil
	}
	k, err := s.inputs[r.source].cursor.rows.InsertKey(int(r.ordinal))
	return k.Lo ^ k.Hi*0x9e3779b97f4a7c15, err
}

// again reads with the same cursor, which has the chunks at hand that the row's
// texts are in: rows are asked for again while their user is.
func (s *fileSource) again(r sourceRow) (*event.Event, error) {
	if err := s.inputs[r.source].cursor.rows.Row(int(r.ordinal), &s.second); err != nil {
		return nil, err
	}
	return (*event.Event)(&s.second), nil
}
