package gateway

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
)

// pushGroups puts a grouping that is made where the data is in the place of a GROUP
// BY or DISTINCT, if the node is one, or passes the rows of one on; nil where
// there is none, or it is more than a fragment says.
func (x *executor) pushGroups(ctx *sql.Context, n sql.Node) (sql.Node, error) {
	if x.stockGroups {
		return nil, nil
	}
	c, ok := findGroupChain(ctx, n)
	if !ok {
		return nil, nil
	}
	return c.push(func(p *groupPlan, stock sql.Node, outputs []groupOutput) (sql.Node, bool) {
		g, ok := newPushedGroup(p, stock, outputs)
		if !ok {
			return nil, false
		}
		g.limit = x.limits.Groups
		g.stock = func(ctx *sql.Context, row sql.Row) (sql.RowIter, error) {
			if d, ok := stock.(*plan.Distinct); ok {
				return x.distinct(ctx, d, row)
			}
			return x.groupBy(ctx, stock.(*plan.GroupBy), row)
		}
		return g, true
	}, x.runner())
}

// visit does for a node that is not run what Build does for others.
func (x *executor) visit(ctx *sql.Context, n sql.Node) error {
	if err := x.refuse(ctx, n); err != nil {
		return err
	}
	return refusedNode(n)
}

// newPushedGroup makes the node; not ok where the fragment exceeds a limit.
func newPushedGroup(p *groupPlan, stock sql.Node, outputs []groupOutput) (*pushedGroup, bool) {
	f, ok := p.fragment()
	if !ok {
		return nil, false
	}
	t := p.bottom()
	return &pushedGroup{Node: stock, gateway: t.gateway, plan: p, fragment: f, outputs: outputs, totals: t.totals}, true
}

// bottom is the table at the bottom.
func (p *groupPlan) bottom() *eventsTable { return p.source.bottom() }

func (s *groupSource) bottom() *eventsTable {
	for s.inner != nil {
		s = s.inner.source
	}
	switch {
	case s.window != nil:
		return s.window.sort.table
	case s.join != nil:
		return s.join.sides[0].source.bottom()
	}
	return s.table
}
