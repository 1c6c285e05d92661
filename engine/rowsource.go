package engine

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"arbor/engine/event"
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
	// again is event for a row that event gave before, in memory of its own.
	again(r sourceRow) (*event.Event, error)
}

// sourceRow is where a row comes from: of a file, or of the logged events.
type sourceRow struct {
	source, ordinal uint32
}

// logSource gives logged events. They are all in memory, so a build takes no
// more of them at a time than maxBuildEvents.
type logSource struct {
	events []*event.Event
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

func newLogSource(batches []event.Batch) *logSource {
	s := &logSource{}
	n := 0
	for i := range batches {
		n += len(batches[i].Events)
	}
	s.events = make([]*event.Event, 0, n)
	for i := range batches {
		for j := range batches[i].Events {
			s.events = append(s.events, &batches[i].Events[j])
		}
	}
	users := s.rank()
	if n > 0 {
		start := batches[0].Shard.Day.Start()
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
	return s
}

// rank numbers the users in the order of their distinct ids and gives each
// event's. Users are far fewer than events, so that few strings are compared.
func (s *logSource) rank() []uint32 {
	var table hashtable
	codes := make([]uint32, len(s.events))
	var users []string
	for i, e := range s.events {
		fresh := uint32(len(users))
		code, found := table.find(tableHash(xxh3.HashString(e.DistinctID)), fresh, func(u uint32) bool { return users[u] == e.DistinctID })
		if !found {
			users = append(users, e.DistinctID)
		}
		codes[i] = code
	}
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

func (s *logSource) event(r sourceRow) (*event.Event, error) { return s.events[r.ordinal], nil }
func (s *logSource) again(r sourceRow) (*event.Event, error) { return s.events[r.ordinal], nil }

// fileSource merges indexed files, which are sorted each: user by user, and the
// rows of a user by time and ingest id.
type fileSource struct {
	inputs []mergeInput
	rows   []sourceRow
}

type mergeInput struct {
	file    *file
	number  uint32
	cursor  *cursor // for rows in order
	random  *cursor // for rows again
	user    int     // the next one
	name    string  // its distinct id
	lo, hi  int     // its rows
	through bool
}

func newFileSource(files []*file) (*fileSource, error) {
	s := &fileSource{inputs: make([]mergeInput, len(files))}
	for i, f := range files {
		s.inputs[i] = mergeInput{file: f, number: uint32(i), cursor: f.cursor(), random: f.cursor()}
		if err := s.inputs[i].load(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// load reads the next user's name and rows.
func (m *mergeInput) load() (err error) {
	if m.user == m.file.reader.Users() {
		m.through = true
		return nil
	}
	m.name, m.lo, m.hi, err = m.file.reader.User(m.user)
	m.user++
	return err
}

func (s *fileSource) nextUser() (string, []sourceRow, error) {
	user, some := "", false
	for i := range s.inputs {
		if m := &s.inputs[i]; !m.through && (!some || m.name < user) {
			user, some = m.name, true
		}
	}
	if !some {
		return "", nil, nil
	}
	s.rows = s.rows[:0]
	var having []*mergeInput
	for i := range s.inputs {
		if m := &s.inputs[i]; !m.through && m.name == user {
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
		for row := having[0].lo; row < having[0].hi; row++ {
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
		t, err := m.file.reader.Time(m.lo)
		if err != nil {
			return err
		}
		heads = append(heads, head{m, m.lo, t})
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
		if h.row++; h.row == h.input.hi {
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

// again reads with another cursor and into other memory, so that the order of
// the first one is not disturbed.
func (s *fileSource) again(r sourceRow) (*event.Event, error) {
	e, err := s.inputs[r.source].random.event(int(r.ordinal))
	if err != nil {
		return nil, err
	}
	own := *e
	own.InsertID = strings.Clone(e.InsertID)
	own.Properties = slices.Clone(e.Properties)
	return &own, nil
}

// readBatches decodes logged batches into memory of their own.
func (v *view) readBatches(ctx context.Context, refs []logRef) ([]event.Batch, error) {
	batches := make([]event.Batch, len(refs))
	for i, r := range refs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var buffer []byte
		if err := v.read(r, &buffer, &batches[i]); err != nil {
			return nil, err
		}
	}
	return batches, nil
}
