package gateway

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"arbor/engine/exec"
)

// groupSource is what rows are grouped of: an events table, or the answer of
// another grouping or of a window, below nodes that filter and project. None of these nodes is
// run: the rows of each are known as slots, and what is in the end asked of them
// is a Fragment over the columns at the bottom.
type groupSource struct {
	ctx     *sql.Context
	table   *eventsTable  // nil over a grouping or a window
	inner   *groupPlan    // what is grouped, if it is a grouping
	window  *pushedWindow // likewise a window
	join    *userJoin     // likewise a join of events by user
	columns []sourceColumn
	// conditions are what the rows have to fulfil.
	conditions []composite
	beside     sql.Schema // see broadcastJoin
	tables     []joinedTable
	run        *runner
	err        error
}

// sourceColumn is a column at the bottom.
type sourceColumn struct {
	name string
	typ  sql.Type
	null bool
	form resultForm
	exec exec.Column
}

// newGroupSource looks for a source of a node's rows, and gives the slots of
// these; nil if the node is more than that.
func newGroupSource(ctx *sql.Context, n sql.Node, run *runner) (*groupSource, []slot, error) {
	s := &groupSource{ctx: ctx, run: run}
	rows, ok := s.rows(n)
	if s.err != nil || !ok {
		return nil, nil, s.err
	}
	return s, rows, nil
}

// rows gives the slots of a node's rows.
func (s *groupSource) rows(n sql.Node) ([]slot, bool) {
	if s.err = s.run.passed(s.ctx, n); s.err != nil {
		return nil, false
	}
	if moments, err := withNumberMoments(s.ctx, n); err != nil {
		return nil, false
	} else if moments != nil {
		n = moments
	}
	if c, ok := findGroupChain(s.ctx, n); ok {
		return s.chain(c)
	}
	switch n := n.(type) {
	case *plan.ResolvedTable:
		return s.scan(n)
	case *plan.TableAlias:
		return s.rows(n.Child)
	case *plan.SubqueryAlias:
		if n.IsLateral {
			return nil, false
		}
		beside := s.beside
		s.beside = nil
		rows, ok := s.rows(n.Child)
		s.beside = beside
		return rows, ok
	case *countedNode:
		return s.rows(n.Child)
	case *plan.PrependNode:
		below, ok := s.rows(n.Child)
		if !ok {
			return nil, false
		}
		return append(constantSlots(n.Row), below...), true
	case *plan.JoinNode:
		if rows, ok := s.takeUserJoin(n); ok || s.err != nil {
			return rows, ok
		}
		return s.otherRows(n)
	case *plan.Window:
		return s.windowRows(n)
	case *plan.Filter:
		if rows, ok := s.takeUserJoin(n); ok || s.err != nil {
			return rows, ok
		}
		return s.otherRows(n)
	case *plan.Project:
		if asksValues(s.ctx, n.Projections) {
			return s.takeUserJoin(n)
		}
		below, ok := s.rows(n.Child)
		if !ok {
			return nil, false
		}
		rows := make([]slot, len(n.Projections))
		for i, e := range n.Projections {
			rows[i] = s.project(e, below)
		}
		return rows, true
	}
	return nil, false
}

// otherRows is rows for a join or a filter that is no join of events by user.
func (s *groupSource) otherRows(n sql.Node) ([]slot, bool) {
	switch n := n.(type) {
	case *plan.JoinNode:
		return s.joinTable(n)
	case *plan.Filter:
		if rows, handled, ok := s.withoutMatch(n); handled {
			return rows, ok
		}
		below, ok := s.rows(n.Child)
		if !ok {
			return nil, false
		}
		return below, s.condition(n.Expression, below)
	}
	return nil, false
}

// condition notes a condition, part by part.
func (s *groupSource) condition(e sql.Expression, over []slot) bool {
	for _, part := range expression.SplitConjunction(s.ctx, e) {
		if !travels(s.ctx, part) {
			return false
		}
		s.conditions = append(s.conditions, composite{part, over})
	}
	return true
}

// travels reports whether an expression may be a scalar, at first sight.
func travels(ctx *sql.Context, e sql.Expression) bool {
	ok := true
	sql.Inspect(ctx, e, func(_ *sql.Context, e sql.Expression) bool {
		switch e := e.(type) {
		case nil:
		case *volatile, sql.ExpressionWithNodes, *expression.UserVar, *expression.SystemVar, *expression.BindVar, sql.Aggregation:
			ok = false
		case sql.NonDeterministicExpression:
			ok = ok && (!e.IsNonDeterministic() || foldable(e))
		}
		return ok
	})
	return ok
}

// project is the slot of an expression over others.
func (s *groupSource) project(e sql.Expression, below []slot) slot {
	if f, ok := bareColumn(e); ok {
		if f.Index() < 0 || f.Index() >= len(below) {
			return slot{}
		}
		out := below[f.Index()]
		if out.kind == slotConstant && out.typ == nil {
			out.typ = f.Type(s.ctx)
		}
		return out
	}
	if l, ok := e.(*expression.Literal); ok {
		return slot{kind: slotConstant, typ: l.Typ, null: l.Val == nil, value: l.Val}
	}
	return slot{kind: slotComputed, typ: e.Type(s.ctx), null: e.IsNullable(s.ctx), of: &composite{e, below}}
}

// constantSlots are the values of an outer row. Their types are those of the
// fields that refer to them.
func constantSlots(row sql.Row) []slot {
	slots := make([]slot, len(row))
	for i, v := range row {
		slots[i] = slot{kind: slotConstant, null: true, value: v}
	}
	return slots
}

// scan gives the slots of an events table.
func (s *groupSource) scan(n *plan.ResolvedTable) ([]slot, bool) {
	t, ok := n.UnderlyingTable().(*eventsTable)
	if !ok || t.filter != nil || t.limit != 0 {
		return nil, false
	}
	s.table = t
	s.columns = make([]sourceColumn, len(t.all))
	for i := range t.all {
		c := &t.all[i]
		s.columns[i] = sourceColumn{name: c.name, typ: c.sqlType, null: c.nullable, form: storedForm(c.sqlType), exec: c.exec}
	}
	rows := make([]slot, t.width())
	for i := range rows {
		rows[i] = s.column(t.place(i))
	}
	return rows, true
}

// column is the slot of a column at the bottom.
func (s *groupSource) column(i int) slot {
	c := &s.columns[i]
	return slot{kind: slotColumn, typ: c.typ, null: c.null, name: c.name, column: i}
}

// storedForm is the form of an events table's columns.
func storedForm(t sql.Type) resultForm {
	f, _ := formOf(nil, t)
	switch f {
	case formBool:
		return formTiny
	case formJSON:
		return formStored
	}
	return f
}

// execColumn is a column at the bottom as a fragment has it.
func (s *groupSource) execColumn(i int) exec.Column {
	c := s.columns[i].exec
	if s.table == nil {
		t, precision, scale := s.columns[i].form.columnType(s.columns[i].typ)
		c = exec.Column{Source: exec.SourceProperty, Property: strings.ToLower(s.columns[i].name), Type: t, Precision: precision, Scale: scale}
	}
	return c
}
