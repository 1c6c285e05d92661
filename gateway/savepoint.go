package gateway

import (
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
)

// maxSavepoints bounds the savepoints of a transaction.
const maxSavepoints = 1024

// savepoint is a place in a transaction. As with the transaction itself, what was
// written of events behind it stays: going back there warns of that, as MySQL does for tables
// without transactions.
type savepoint struct {
	name  string
	wrote bool // behind it
	mark  int  // of the session's draft
}

// savepoint finds one by its name, in any case; -1 for none.
func (s *session) savepoint(name string) int {
	return slices.IndexFunc(s.savepoints, func(p savepoint) bool { return strings.EqualFold(p.name, name) })
}

// CreateSavepoint sets one, in the place of one of its name.
func (s *session) CreateSavepoint(_ *sql.Context, _ sql.Transaction, name string) error {
	if i := s.savepoint(name); i >= 0 {
		behind := s.savepoints[i].wrote
		s.savepoints = slices.Delete(s.savepoints, i, i+1)
		if i > 0 {
			s.savepoints[i-1].wrote = s.savepoints[i-1].wrote || behind
		}
	}
	if len(s.savepoints) == maxSavepoints {
		return refuse(codeTooManySavepoints, stateGeneral, "a transaction may have %d savepoints", maxSavepoints)
	}
	s.savepoints = append(s.savepoints, savepoint{name: name, mark: s.draftPlace()})
	return nil
}

// RollbackToSavepoint forgets those behind one.
func (s *session) RollbackToSavepoint(ctx *sql.Context, _ sql.Transaction, name string) error {
	i := s.savepoint(name)
	if i < 0 {
		return noSavepoint(name)
	}
	if slices.ContainsFunc(s.savepoints[i:], func(p savepoint) bool { return p.wrote }) {
		s.savepoints[i].wrote = true
		ctx.Warn(codeIncompleteRollback, "Some non-transactional changed tables couldn't be rolled back")
	}
	if s.draft != nil {
		if err := s.draft.Return(s.savepoints[i].mark); err != nil {
			return err
		}
		s.draftMark = min(s.draftMark, s.draft.Mark())
	}
	s.savepoints = s.savepoints[:i+1]
	return nil
}

// ReleaseSavepoint forgets one and those behind it.
func (s *session) ReleaseSavepoint(_ *sql.Context, _ sql.Transaction, name string) error {
	i := s.savepoint(name)
	if i < 0 {
		return noSavepoint(name)
	}
	if i > 0 && slices.ContainsFunc(s.savepoints[i:], func(p savepoint) bool { return p.wrote }) {
		s.savepoints[i-1].wrote = true
	}
	s.savepoints = s.savepoints[:i]
	return nil
}

// draftPlace is where the session's draft is.
func (s *session) draftPlace() int {
	if s.draft == nil {
		return 0
	}
	return s.draft.Mark()
}

// noteWrite notes that the transaction has changed something.
func (s *session) noteWrite() {
	s.wrote = true
	if n := len(s.savepoints); n > 0 {
		s.savepoints[n-1].wrote = true
	}
}

func noSavepoint(name string) error {
	return refuse(codeNoSavepoint, stateSyntax, "SAVEPOINT %s does not exist", name)
}
