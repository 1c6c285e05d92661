package gateway

import (
	"slices"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/transform"

	"arbor/engine/exec"
)

// nowhere is a place that no row has.
const nowhere = 1 << 30

// addConditions makes the filter. It is true exactly for the rows that are
// grouped: nobody looks at them again.
func (p *groupPlan) addConditions() bool {
	for i := range p.source.conditions {
		c := &p.source.conditions[i]
		x, ok := p.condition(c.expr, c.over, true)
		if !ok {
			return false
		}
		if p.filter == nil {
			p.filter = x
		} else {
			p.filter = join(exec.OpAnd, p.filter, x)
		}
	}
	return true
}

// condition translates a condition exactly. In a positive place, where it only
// matters for which rows it is true, what is known to be true for all of these
// is added, by which files are left out.
func (p *groupPlan) condition(e sql.Expression, over []slot, positive bool) (*exec.Expr, bool) {
	known := p.pushed(e, over)
	if known.expr != nil && known.exact {
		return known.expr, true
	}
	switch e := e.(type) {
	case *expression.And:
		return p.both(exec.OpAnd, e.LeftChild, e.RightChild, over, positive)
	case *expression.Or:
		return p.both(exec.OpOr, e.LeftChild, e.RightChild, over, positive)
	case *expression.Not:
		x, ok := p.condition(e.Child, over, false)
		if !ok {
			return nil, false
		}
		not := &exec.Expr{Op: exec.OpNot, Args: []*exec.Expr{x}}
		if known.expr != nil && positive {
			return join(exec.OpAnd, known.expr, not), true
		}
		return not, true
	}
	ref, ok := p.compute(&composite{e, over}, formTruth, nil)
	if !ok {
		return nil, false
	}
	x := &exec.Expr{Op: exec.OpTrue, Column: ref}
	if known.expr != nil && positive {
		return join(exec.OpAnd, known.expr, x), true
	}
	return x, true
}

func (p *groupPlan) both(op exec.Op, l, r sql.Expression, over []slot, positive bool) (*exec.Expr, bool) {
	x, ok := p.condition(l, over, positive)
	if !ok {
		return nil, false
	}
	y, ok := p.condition(r, over, positive)
	if !ok {
		return nil, false
	}
	return join(op, x, y), true
}

// pushed is what a scan knows of a condition, in references.
func (p *groupPlan) pushed(e sql.Expression, over []slot) translation {
	if p.source.table == nil {
		return nothing
	}
	t := *p.source.table
	t.projection = nil
	var prefix sql.Row
	for _, s := range over {
		if s.kind == slotConstant {
			prefix = append(prefix, s.value)
		}
	}
	e, ok := placed(p.ctx, e, over, len(prefix), &t)
	if !ok {
		return nothing
	}
	u := &pusher{ctx: p.ctx, table: &t, prefix: prefix}
	x := u.translate(e)
	if x.expr == nil {
		return nothing
	}
	x.expr = renumbered(x.expr, func(n int) int {
		if n >= len(u.columns) {
			return n // of an operator without a column
		}
		return p.use(slices.IndexFunc(t.all, func(c eventsColumn) bool { return c.exec == u.columns[n] }))
	})
	return x
}

// placed is an expression over a scan's row, with constants in front of it, in
// the place of one over slots.
func placed(ctx *sql.Context, e sql.Expression, over []slot, constants int, t *eventsTable) (sql.Expression, bool) {
	places, constant := make([]int, len(over)), 0
	for i, s := range over {
		switch s.kind {
		case slotConstant:
			places[i] = constant
			constant++
		case slotColumn:
			places[i] = constants + s.column
		default:
			places[i] = nowhere
		}
	}
	out, _, err := transform.Expr(ctx, e, func(_ *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
		f, ok := e.(*expression.GetField)
		if !ok {
			return e, transform.SameTree, nil
		}
		if f.Index() < 0 || f.Index() >= len(places) {
			return f.WithIndex(nowhere), transform.NewTree, nil
		}
		place, name := places[f.Index()], f.Name()
		if s := over[f.Index()]; s.kind == slotColumn {
			name = t.all[s.column].name
		}
		return expression.NewGetField(place, f.Type(ctx), name, f.IsNullable(ctx)), transform.NewTree, nil
	})
	return out, err == nil
}
