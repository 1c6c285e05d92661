package engine

import (
	"slices"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/indexfile"
)

// rowSource gives the rows of a build in the order of a file: by distinct id,
// time and ingest id, user by user.
type rowSource interface {
	// nextUser goes on to the next user and gives its distinct id and rows; nil
	// rows end the source. The rows are valid until the next call of nextUser.
	nextUser() (distinctID string, rows []sourceRow, err error)
	// enter goes to a row of the user at hand.
	enter(r sourceRow) (time int64, err error)
	// copyHash is a hash that copies of the row that was entered last share: of its
	// insert id, or of its content.
	copyHash(r sourceRow) (uint64, error)
	// look is what makes copies of a row of the user at hand that was entered
	// before. Its texts are valid until the next call.
	look(r sourceRow) (looked, error)
	// alike says whether two rows of the user at hand, which were entered before, have
	// an insert id and one payload: whatever is all but their ingest ids, and their times
	// where the server gave them. It may say no of rows that are, and says yes of most,
	// for less than it costs to look at them.
	alike(a, b sourceRow) (bool, error)
	// place is the time and the ingest id of a row of the user at hand.
	place(r sourceRow) (time int64, id catalog.IngestID, err error)
	// write gives the row that was entered last to the new file, and says how many
	// rows that made: one, but for faults.
	write(r sourceRow, w *indexfile.Builder, faults *Faults) (rows int, err error)
	// finish is called when all rows were given to the new file.
	finish(w *indexfile.Builder) error
}

// looked is what makes copies of a row.
type looked struct {
	member   member
	key      indexfile.InsertKey
	insertID string // where the key does not stand for it
}

func lookAtEvent(e *event.Event) looked {
	l := looked{member: memberOf(e, place{}), key: indexfile.InsertKeyOf(e.InsertID)}
	if !l.key.Exact() {
		l.insertID = e.InsertID
	}
	return l
}

// sourceRow is where a row comes from: of a file, or of the logged events.
type sourceRow struct {
	source, ordinal uint32
}

// fileSource merges indexed files, which are sorted each: user by user, and the
// rows of a user by time and ingest id.
type fileSource struct {
	inputs []mergeInput
	user   string // at hand
	rows   []sourceRow
	time   int64               // of the row that was entered
	key    indexfile.InsertKey // and that of its insert id
}

type mergeInput struct {
	file    *file
	number  uint32
	cursor  *cursor
	copier  *indexfile.Copier
	users   userWalk
	through bool
}

func newFileSource(files []*file) (*fileSource, error) {
	s := &fileSource{inputs: make([]mergeInput, len(files))}
	for i, f := range files {
		c := f.cursor()
		s.inputs[i] = mergeInput{file: f, number: uint32(i), cursor: c, copier: c.rows.Copier(), users: newUserWalk(f)}
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
	s.user = user
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

func (s *fileSource) enter(r sourceRow) (time int64, err error) {
	s.time, _, s.key, err = s.inputs[r.source].copier.Head(int(r.ordinal))
	return s.time, err
}

// copyHash takes the file's key of the insert id, which costs no text.
func (s *fileSource) copyHash(r sourceRow) (uint64, error) {
	if s.key.Form != indexfile.FormNone {
		return copyHashOf(keyHash(s.key)), nil
	}
	e, err := s.event(r)
	if err != nil {
		return 0, err
	}
	return copyHashOf(contentHash(fingerprintOf(e), s.time)), nil
}

// event reads with the same cursor as the copier, which has the chunks at hand that the
// row's texts are in: rows are looked at again while their user is.
func (s *fileSource) event(r sourceRow) (*event.Event, error) {
	return s.inputs[r.source].cursor.event(int(r.ordinal))
}

func (s *fileSource) look(r sourceRow) (looked, error) {
	e, err := s.event(r)
	if err != nil {
		return looked{}, err
	}
	return lookAtEvent(e), nil
}

// alike compares rows of one file, code by code.
func (s *fileSource) alike(a, b sourceRow) (bool, error) {
	if a.source != b.source {
		return false, nil
	}
	return s.inputs[a.source].copier.Alike(int(a.ordinal), int(b.ordinal))
}

func (s *fileSource) place(r sourceRow) (time int64, id catalog.IngestID, err error) {
	f := s.inputs[r.source].file
	if time, err = f.reader.Time(int(r.ordinal)); err == nil {
		id, err = f.reader.IngestID(int(r.ordinal))
	}
	return time, id, err
}

func (s *fileSource) write(r sourceRow, w *indexfile.Builder, faults *Faults) (rows int, err error) {
	if faults == nil || faults.Row == nil {
		return 1, s.inputs[r.source].copier.Add(w, int(r.ordinal), s.user)
	}
	e, err := s.event(r)
	if err != nil {
		return 0, err
	}
	return addRow(w, (*indexfile.Row)(e), faults)
}

func (s *fileSource) finish(*indexfile.Builder) error { return nil }

// addRow adds a row as often as faults say.
func addRow(w *indexfile.Builder, r *indexfile.Row, faults *Faults) (int, error) {
	times := faults.row(r)
	for range times {
		if err := w.Add(r); err != nil {
			return 0, err
		}
	}
	return times, nil
}
