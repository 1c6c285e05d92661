package gateway

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
)

// rewriteNode is asked for every node of a plan before it is executed. It puts
// nodes of its own in the place of those that change events, refuses what cannot
// be, and gives scans what they can use of the nodes above them. All others stay
// as they are.
func (g *Gateway) rewriteNode(ctx *sql.Context, n sql.Node) (sql.Node, error) {
	if err := checkColumnCount(ctx, n); err != nil {
		return nil, err
	}
	if err := refusedNode(n); err != nil {
		return nil, err
	}
	switch n := n.(type) {
	case *plan.Project, *plan.GroupBy:
		return narrow(ctx, n)
	case *plan.Filter:
		return pushFilter(ctx, n, &pusher{})
	case *plan.Limit:
		return pushLimit(ctx, n)
	case *plan.InsertInto:
		if t, ok := eventsBelow(n.Destination); ok {
			return own(n, func(ctx *sql.Context, base sql.NodeExecBuilder, row sql.Row) (sql.RowIter, error) {
				return g.insert(ctx, base, n, t, row)
			})
		}
	case *plan.DeleteFrom:
		if !deletesEvents(n) {
			return n, nil
		}
		return own(n, func(ctx *sql.Context, base sql.NodeExecBuilder, row sql.Row) (sql.RowIter, error) {
			return g.delete(ctx, base, n, row)
		})
	case *plan.Truncate:
		if t, ok := eventsBelow(n.Child); ok {
			return own(n, func(ctx *sql.Context, _ sql.NodeExecBuilder, _ sql.Row) (sql.RowIter, error) {
				return g.truncate(ctx, t)
			})
		}
	case *plan.AddColumn:
		if t, ok := eventsBelow(n.Table); ok {
			return own(n, func(ctx *sql.Context, _ sql.NodeExecBuilder, _ sql.Row) (sql.RowIter, error) {
				return g.addColumn(ctx, t, n.Column(), n.Order(ctx))
			})
		}
	case *plan.ModifyColumn:
		if t, ok := eventsBelow(n.Table); ok {
			return own(n, func(ctx *sql.Context, _ sql.NodeExecBuilder, _ sql.Row) (sql.RowIter, error) {
				return g.modifyColumn(ctx, t, n.Column(), n.NewColumn(), n.Order(ctx))
			})
		}
	case *plan.CreateView:
		return own(n, func(ctx *sql.Context, _ sql.NodeExecBuilder, _ sql.Row) (sql.RowIter, error) {
			return g.createView(ctx, n)
		})
	case *plan.ShowColumns:
		if schema, ok := schemaBelow(ctx, n.Child); ok {
			return own(n, func(*sql.Context, sql.NodeExecBuilder, sql.Row) (sql.RowIter, error) {
				return sql.RowsToRowIter(showColumns(schema, n.Full)...), nil
			})
		}
		if rt, ok := n.Child.(*plan.ResolvedTable); ok && isMutable(rt.Table) {
			t := sql.GetUnderlyingTable(rt.Table).(*mutableTable)
			return own(n, func(*sql.Context, sql.NodeExecBuilder, sql.Row) (sql.RowIter, error) {
				return sql.RowsToRowIter(t.showColumns(n.TargetSchema(), n.Full)...), nil
			})
		}
	case *plan.DescribeQuery:
		return own(n, func(ctx *sql.Context, base sql.NodeExecBuilder, row sql.Row) (sql.RowIter, error) {
			return g.explain(ctx, base, n, row)
		})
	}
	return n, nil
}

// ownNode runs a statement in the place of a stock node.
type ownNode struct {
	sql.Node // the node that it stands for
	run      func(ctx *sql.Context, base sql.NodeExecBuilder, row sql.Row) (sql.RowIter, error)
}

var _ sql.ExecBuilderNode = (*ownNode)(nil)

func own(n sql.Node, run func(*sql.Context, sql.NodeExecBuilder, sql.Row) (sql.RowIter, error)) (sql.Node, error) {
	return &ownNode{Node: n, run: run}, nil
}

// BuildRowIter runs the statement; base builds the nodes below it.
func (n *ownNode) BuildRowIter(ctx *sql.Context, base sql.NodeExecBuilder, row sql.Row) (sql.RowIter, error) {
	return n.run(ctx, base, row)
}

func deletesEvents(n *plan.DeleteFrom) bool {
	for _, target := range n.GetDeleteTargets() {
		if t, err := plan.GetDeletable(target); err == nil && isEvents(t) {
			return true
		}
	}
	return false
}

// schemaBelow is the schema of one of arbor's tables.
func schemaBelow(ctx *sql.Context, n sql.Node) (sql.Schema, bool) {
	rt, ok := n.(*plan.ResolvedTable)
	if !ok {
		return nil, false
	}
	switch t := rt.UnderlyingTable().(type) {
	case *eventsTable:
		return t.schema, true
	case *systemTable:
		return t.Schema(ctx), true
	}
	return nil, false
}

// eventsBelow is the events table that a statement changes.
func eventsBelow(n sql.Node) (*eventsTable, bool) {
	switch n := n.(type) {
	case *plan.ResolvedTable:
		t, ok := n.UnderlyingTable().(*eventsTable)
		return t, ok
	case *plan.InsertDestination:
		return eventsBelow(n.Child)
	case *plan.TableAlias:
		return eventsBelow(n.Child)
	}
	return nil, false
}
