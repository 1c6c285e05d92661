package engine

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/engine/exec"
)

// Rows in the order of user and time lie so in every file, as ingest ids have those that
// are equal in both. They need no keys: the files of a part are merged user by user, and a
// user's days follow each other. Only what a user has of one day in several files, or in
// the log, is sorted.

// userPiece is a piece of a file's rows, with their numbers.
type userPiece struct {
	view    *view
	file    *file
	piece   *piece
	numbers []uint32
}

// numberBytes is what the number of a row takes, with its place.
const numberBytes = 12

// mergesUsers reports whether files have rows in the order asked for.
func (o *ordering) mergesUsers() bool {
	f := o.scan.fragment
	if f.Order[0].Descending || len(f.Order) > 2 {
		return false
	}
	return len(f.Order) == 1 || !f.Order[1].Descending && o.columns[1] < len(f.Columns) && f.Columns[o.columns[1]].Source == exec.SourceTime
}

// keepPiece keeps rows of a file to be merged.
func (s *sorter) keepPiece(p *part, kept *piece, n int) error {
	size := int64(n) * numberBytes
	for _, a := range kept.columns {
		size += arrayBytes(a)
	}
	s.pieces = append(s.pieces, userPiece{view: p.view, file: p.view.files.files[p.file], piece: kept, numbers: slices.Clone(s.kept)})
	return s.hold(size)
}

// userSource is the rows of a file, or those of the log, in order.
type userSource struct {
	view    *view
	file    *file // nil for the log
	rows    []exec.Place
	numbers []uint32
	logged  []sortedRow

	// The user at hand has the rows from at up to end.
	name    string
	at, end int
}

// userMerge merges sources.
type userMerge struct {
	scan    *scan
	pieces  []*piece
	names   []func(row int32) string // of each piece
	sources []*userSource            // a heap, the one with the least user first
	equal   []*userSource            // those that have the user at hand
	ties    []byte
	out     []exec.Place
}

// mergePart is sortPart for rows that files have in order.
func (s *scan) mergePart(ctx context.Context, o *ordering, logged []sortedRow, yield func(*exec.Batch) error) (enough bool, err error) {
	if err := s.work(ctx); err != nil {
		return false, err
	}
	m := &userMerge{scan: s}
	if err := m.addFiles(o.pieces); err != nil {
		return false, err
	}
	if err := m.addLog(logged); err != nil {
		return false, err
	}
	left := int64(-1)
	if s.fragment.Limit > 0 {
		left = s.fragment.Limit - s.stats.RowsGiven
	}
	if enough, err = m.merge(left, func(at []exec.Place) error { return o.givePlaces(m.pieces, at, s.giveAnswer(ctx, yield)) }); err != nil {
		return false, err
	}
	held := o.held
	o.pieces, o.held = nil, 0
	return enough, s.plan.Take(-held)
}

// addFiles makes a source of the pieces of each file.
func (m *userMerge) addFiles(pieces []userPiece) error {
	of := map[*file]*userSource{}
	slices.SortFunc(pieces, func(a, b userPiece) int { return cmp.Compare(a.numbers[0], b.numbers[0]) })
	for _, p := range pieces {
		number, err := m.addPiece(p.piece)
		if err != nil {
			return p.view.blame(err)
		}
		s := of[p.file]
		if s == nil {
			s = &userSource{view: p.view, file: p.file}
			of[p.file] = s
		}
		for row := range p.numbers {
			s.rows = append(s.rows, exec.Place{Array: number, Row: int32(row)})
		}
		s.numbers = append(s.numbers, p.numbers...)
	}
	for _, s := range of {
		m.push(s)
	}
	return nil
}

// addLog makes a source of logged rows, which are sorted.
func (m *userMerge) addLog(logged []sortedRow) error {
	s := &userSource{logged: logged}
	numbers := map[*piece]int32{}
	for i := range logged {
		number, ok := numbers[logged[i].piece]
		if !ok {
			var err error
			if number, err = m.addPiece(logged[i].piece); err != nil {
				return err
			}
			numbers[logged[i].piece] = number
		}
		s.rows = append(s.rows, exec.Place{Array: number, Row: int32(logged[i].row)})
	}
	if len(logged) > 0 {
		m.push(s)
	}
	return nil
}

// addPiece gives a piece a number.
func (m *userMerge) addPiece(p *piece) (int32, error) {
	switch a := p.columns[m.scan.fragment.Order[0].Column].(type) {
	case *array.String:
		m.names = append(m.names, func(row int32) string { return a.Value(int(row)) })
	case *array.Dictionary:
		words, ok := a.Dictionary().(*array.String)
		if !ok {
			return 0, fmt.Errorf("merge: %w: %s", exec.ErrArray, a.DataType())
		}
		m.names = append(m.names, func(row int32) string { return words.Value(a.GetValueIndex(int(row))) })
	default:
		return 0, fmt.Errorf("merge: %w: %s", exec.ErrArray, a.DataType())
	}
	m.pieces = append(m.pieces, p)
	return int32(len(m.pieces) - 1), nil
}

// step goes on to a source's next user.
func (m *userMerge) step(s *userSource) {
	s.at = s.end
	if s.at == len(s.rows) {
		return
	}
	first := s.rows[s.at]
	s.name = m.names[first.Array](first.Row)
	for s.end++; s.end < len(s.rows); s.end++ {
		if p := s.rows[s.end]; m.names[p.Array](p.Row) != s.name {
			return
		}
	}
}

// push adds a source, which has rows.
func (m *userMerge) push(s *userSource) {
	m.step(s)
	m.sources = append(m.sources, s)
	for i := len(m.sources) - 1; i > 0 && m.sources[i].name < m.sources[(i-1)/2].name; i = (i - 1) / 2 {
		m.sources[i], m.sources[(i-1)/2] = m.sources[(i-1)/2], m.sources[i]
	}
}

// down moves the first source to its place.
func (m *userMerge) down() {
	h := m.sources
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && h[child+1].name < h[child].name {
			child++
		}
		if h[i].name <= h[child].name {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}

// pop takes the first source out.
func (m *userMerge) pop() *userSource {
	s, last := m.sources[0], len(m.sources)-1
	m.sources[0] = m.sources[last]
	m.sources = m.sources[:last]
	m.down()
	return s
}

// merge gives the rows of all users in order, up to a limit; less than 0 is none. It says
// whether there were as many.
func (m *userMerge) merge(limit int64, give func(at []exec.Place) error) (enough bool, err error) {
	given := int64(0)
	flush := func() error {
		if limit >= 0 {
			m.out = m.out[:min(int64(len(m.out)), limit-given)]
		}
		given += int64(len(m.out))
		for len(m.out) > 0 {
			n := min(len(m.out), exec.MaxBatchRows)
			if err := give(m.out[:n]); err != nil {
				return err
			}
			m.out = m.out[n:]
		}
		m.out = nil
		return nil
	}
	for users := 0; len(m.sources) > 0; users++ {
		if users%sortedRun == 0 {
			if err := m.scan.plan.Ended(); err != nil {
				return false, err
			}
		}
		if s := m.sources[0]; len(m.sources) == 1 || m.alone() {
			m.out = append(m.out, s.rows[s.at:s.end]...)
			m.again()
		} else if err := m.together(); err != nil {
			return false, err
		}
		if len(m.out) >= exec.MaxBatchRows || limit >= 0 && given+int64(len(m.out)) >= limit {
			if err := flush(); err != nil {
				return false, err
			}
			if limit >= 0 && given >= limit {
				return true, nil
			}
		}
	}
	return false, flush()
}

// alone reports whether no other source has the first one's user.
func (m *userMerge) alone() bool {
	h := m.sources
	return h[1].name != h[0].name && (len(h) < 3 || h[2].name != h[0].name)
}

// again puts the first source where its next user belongs, or takes it out.
func (m *userMerge) again() {
	s := m.sources[0]
	if m.step(s); s.at == len(s.rows) {
		m.pop()
		return
	}
	m.down()
}

// together gives the rows of a user that several sources have.
func (m *userMerge) together() error {
	m.equal = append(m.equal[:0], m.pop())
	for len(m.sources) > 0 && m.sources[0].name == m.equal[0].name {
		m.equal = append(m.equal, m.pop())
	}
	apart := true // each has another day
	slices.SortFunc(m.equal, func(a, b *userSource) int {
		if a.file == nil || b.file == nil {
			apart = false
			return 0
		}
		c := cmp.Compare(a.view.shard.key.Day, b.view.shard.key.Day)
		apart = apart && c != 0
		return c
	})
	if apart {
		for _, s := range m.equal {
			m.out = append(m.out, s.rows[s.at:s.end]...)
		}
	} else if err := m.sortEqual(); err != nil {
		return err
	}
	for _, s := range m.equal {
		if s.end < len(s.rows) {
			m.push(s)
		}
	}
	return nil
}

// tieBytes is how much appendTie appends.
const tieBytes = 24

// tiedRow is a row with what decides between those of a user.
type tiedRow struct {
	tie []byte
	at  exec.Place
}

// sortEqual sorts the rows of a user that several sources have.
func (m *userMerge) sortEqual() error {
	var rows []tiedRow
	m.ties = m.ties[:0]
	for _, s := range m.equal {
		for i := s.at; i < s.end; i++ {
			if s.file == nil {
				key := s.logged[i].key
				m.ties = append(m.ties, key[len(key)-tieBytes:]...)
			} else {
				times, err := s.file.reader.Times()
				if err != nil {
					return s.view.blame(err)
				}
				id, err := s.file.reader.IngestID(int(s.numbers[i]))
				if err != nil {
					return s.view.blame(err)
				}
				m.ties = appendTie(m.ties, times.At(int(s.numbers[i])), id)
			}
			rows = append(rows, tiedRow{at: s.rows[i]})
		}
	}
	for i := range rows {
		rows[i].tie = m.ties[i*tieBytes : (i+1)*tieBytes]
	}
	if err := exec.SortUntil(m.scan.plan, rows, func(a, b tiedRow) int { return bytes.Compare(a.tie, b.tie) }); err != nil {
		return err
	}
	for i := range rows {
		m.out = append(m.out, rows[i].at)
	}
	return nil
}
