package gateway

import (
	"context"
	"errors"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/vitess/go/mysql"

	"arbor/engine/exec"
)

// pushedJoin is a join of events by user whose rows are wanted as they come, with nodes above
// it that filter and choose columns. Its rows are those of the node in whose place it stands.
type pushedJoin struct{ *pushedSort }

var _ sql.ExecBuilderNode = (*pushedJoin)(nil)

// pushJoin puts one in the place of a node, if its rows are those of a join of events by user;
// nil if not.
func (x *executor) pushJoin(ctx *sql.Context, n sql.Node) (*pushedJoin, error) {
	if x.stockGroups || ctx.Value(stockJoinsKey{}) != nil {
		return nil, nil
	}
	j, err := newPushedJoin(ctx, n, x.runner())
	if j != nil {
		j.groups = int64(x.limits.Groups)
		j.stock = func(ctx *sql.Context, row sql.Row) (sql.RowIter, error) {
			return x.main.Build(ctx.WithContext(context.WithValue(ctx.Context, stockJoinsKey{}, true)), n, row)
		}
	}
	return j, err
}

// stockJoinsKey is for a context in which the SQL library joins: of a node whose join by user
// has failed.
type stockJoinsKey struct{}

// newPushedJoin makes the node; nil if it is not understood.
func newPushedJoin(ctx *sql.Context, n sql.Node, run *runner) (*pushedJoin, error) {
	switch n.(type) {
	case *plan.Project, *plan.Filter, *plan.JoinNode:
	default:
		return nil, nil
	}
	if !joinsEvents(ctx, n) {
		return nil, nil
	}
	source, rows, err := newGroupSource(ctx, n, run.onlyVisiting()) // small tables are read for groups
	if err != nil || source == nil || source.join == nil {
		return nil, err
	}
	p := &groupPlan{ctx: ctx, source: source, rows: rows}
	if !p.addConditions() {
		return nil, nil
	}
	j := &pushedJoin{newSortOf(n, source, run)}
	j.outputs = make([]orderOutput, len(rows))
	refs := make([]int, len(rows))
	for i := range rows {
		if rows[i].kind == slotComputed && !source.join.valued {
			return nil, nil // the node below may do
		}
		var ok bool
		if refs[i], ok = j.output(p, i, &j.outputs[i]); !ok {
			return nil, nil
		}
	}
	if !j.makeFragment(p, refs, nil, 0) {
		return nil, nil
	}
	return j, nil
}

// unread reports whether nobody looks at a column.
func (s *groupSource) unread(column int) bool {
	switch {
	case s.table != nil:
		return s.table.only != nil && !s.table.only[column]
	case s.join != nil:
		side, at := s.join.of(column)
		return side.source.unread(at)
	}
	return false
}

// stored reports whether a column's values are as a scan of events gives them.
func (j *userJoin) stored(column int) bool {
	side, at := j.of(column)
	if side.source.join != nil {
		return side.source.join.stored(at)
	}
	return side.source.table != nil
}

// BuildRowIter starts the join.
func (j *pushedJoin) BuildRowIter(ctx *sql.Context, _ sql.NodeExecBuilder, outer sql.Row) (sql.RowIter, error) {
	return j.ask(outer).rows(ctx), nil
}

// WithChildren changes nothing.
func (j *pushedJoin) WithChildren(ctx *sql.Context, children ...sql.Node) (sql.Node, error) {
	_, err := j.pushedSort.WithChildren(ctx, children...)
	return j, err
}

// ask is the answer that the join is.
func (j *pushedJoin) ask(outer sql.Row) *pushedAnswer {
	a := j.pushedSort.ask(outer)
	a.doing, a.limited = "joining", j.mysqlError
	return a
}

// mysqlError gives limits MySQL's errors.
func (j *pushedJoin) mysqlError(err error) error {
	if errors.Is(err, exec.ErrMemory) {
		return mysql.NewSQLError(codeCapacity, stateGeneral,
			"Memory capacity for the rows that the statement joins exceeded (%v). Narrow the statement by WHERE, "+howToRaise, err)
	}
	return err
}
