package gateway

import (
	"errors"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"arbor/cluster/tables"
)

// A session's transaction on mutable tables is a draft of them: it begins as what is
// in force when it is first asked, which it sees until it ends, and when it is
// committed all that it changed is made durable at once. If somebody else has
// changed any of it meanwhile, nothing is, and the client gets MySQL's error 1213,
// after which the transaction can be begun again. A statement that is a transaction
// by itself is repeated here instead.

// errRepeat says that a statement that was its own transaction can be repeated.
var errRepeat = errors.New("the statement was its own transaction")

// tablesOf are the tables as the statement's transaction sees them.
func (g *Gateway) tablesOf(ctx *sql.Context) *tables.Draft {
	s := sessionOf(ctx)
	if s == nil || ctx.GetTransaction() == nil {
		return tables.NewDraft(g.cluster.Tables())
	}
	if s.draft == nil {
		s.draft, s.drafter = tables.NewDraft(g.cluster.Tables()), g
	}
	return s.draft
}

// markTables notes where a statement begins.
func (s *session) markTables() {
	s.draftMark = 0
	if s.draft != nil {
		s.draftMark = s.draft.Mark()
	}
}

// returnTables takes back what the statement has changed, since it failed.
func (s *session) returnTables() {
	if s.draft == nil {
		return
	}
	if s.draft.Return(s.draftMark) != nil {
		s.draft = nil // which cannot be
	}
}

// commitTables makes what the transaction has changed durable.
func (s *session) commitTables(ctx *sql.Context) error {
	draft := s.draft
	s.draft = nil
	if draft == nil || draft.Empty() {
		return nil
	}
	change, err := draft.Change()
	if err != nil {
		return err
	}
	if _, err = s.drafter.cluster.ChangeTables(ctx, change); err == nil {
		return nil
	}
	// The transaction is over, as after a deadlock in MySQL.
	alone := false
	if !ctx.GetIgnoreAutoCommit() {
		if on, e := plan.IsSessionAutocommit(ctx); e == nil {
			alone = on
		}
	}
	ctx.SetTransaction(nil)
	ctx.SetIgnoreAutoCommit(false)
	if alone && (errors.Is(err, tables.ErrConflict) || errors.Is(err, tables.ErrNoTable) || errors.Is(err, tables.ErrTableExists)) {
		return errors.Join(errRepeat, err)
	}
	if errors.Is(err, tables.ErrNoTable) {
		return errors.Join(tables.ErrConflict, err) // it was there when the transaction began
	}
	return err
}

// changesEvents reports whether a plan has a table of events.
func changesEvents(n sql.Node) bool {
	found := false
	inspectTables(n, func(t sql.Table) { found = found || isEvents(t) })
	return found
}

// inspectTables visits the tables of a plan.
func inspectTables(n sql.Node, visit func(sql.Table)) {
	switch n := n.(type) {
	case *plan.ResolvedTable:
		visit(n.Table)
		return
	case *plan.InsertInto:
		inspectTables(n.Destination, visit)
		return
	}
	for _, c := range n.Children() {
		inspectTables(c, visit)
	}
}
