package gateway

import (
	"io"
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
)

// A join of events with a small table is made where the events are: the table's rows
// go there, as functions of the key that say what the row of a key has in a column
// (see broadcastValue), and the join is no more than a condition and some computed
// columns. That takes a table in which each key is once, and a key that is compared
// by value.

// Limits of a table that is broadcast; a larger one is joined by the SQL library.
const (
	maxBroadcastRows  = 1 << 20
	maxBroadcastBytes = 512 << 20 // as rowBytes estimates them
	maxBroadcastKeys  = 8         // parts of a key
	// maxBroadcastList is how many keys a condition lists, by which files and blocks
	// are left out; where there are more they are looked up for each value.
	maxBroadcastList = 1 << 6
)

// broadcast is a small table of a statement.
type broadcast struct {
	rows []sql.Row
	held *holding
	// large says that there are more rows than are broadcast.
	large bool
}

// joinedTable is a small table as a plan is shown with it.
type joinedTable struct {
	node sql.Node
	rows int
}

// showTables adds the small tables of a source, and of those below it.
func (g *Gateway) showTables(ctx *sql.Context, s *shownScan, of *groupSource) error {
	for _, t := range of.tables {
		n, err := g.pushedPlan(ctx, t.node, nil)
		if err != nil {
			return err
		}
		if n, _, err = g.showScans(ctx, n); err != nil {
			return err
		}
		s.line("joined with %d rows of:", t.rows)
		for line := range strings.Lines(sql.Describe(ctx, n, sql.DescribeOptions{Plan: true})) {
			if line = strings.TrimRight(line, "\r\n"); line != "" {
				s.line("  %s", line)
			}
		}
	}
	switch {
	case of.inner != nil:
		return g.showTables(ctx, s, of.inner.source)
	case of.window != nil:
		return g.showTables(ctx, s, of.window.sort.source)
	}
	return nil
}

// broadcasts keeps those of a statement, by the node whose rows they are: the same
// join is looked at from each node above it.
type broadcasts map[sql.Node]*broadcast

// gateway is that of the table at the bottom.
func (s *groupSource) gateway() *Gateway {
	return s.bottom().gateway
}

// broadcastOf runs a node; nil where that is not possible, or gives too much.
func (s *groupSource) broadcastOf(n sql.Node) *broadcast {
	if s.run == nil || s.run.rows == nil {
		return nil
	}
	a, ok := s.ctx.Value(allowanceKey{}).(*allowance)
	if ok {
		if b, ok := a.broadcasts[n]; ok {
			return b
		}
	}
	b, err := readBroadcast(s.ctx, n, s.run, s.gateway().maxBroadcast)
	if err != nil {
		if s.ctx.Err() != nil {
			s.err = err
		}
		b = nil // the SQL library will meet the error where it is one
	}
	if ok {
		if a.broadcasts == nil {
			a.broadcasts = broadcasts{}
		}
		a.broadcasts[n] = b
	}
	return b
}

// forgetBroadcasts gives back what small tables hold, where the SQL library runs the
// node after all.
func forgetBroadcasts(ctx *sql.Context) {
	a, ok := ctx.Value(allowanceKey{}).(*allowance)
	if !ok {
		return
	}
	for _, b := range a.broadcasts {
		if b != nil && !b.large {
			b.held.release()
		}
	}
	a.broadcasts = nil
}

// readBroadcast reads a node's rows, if they are no more than most. They count as the
// statement's to its end.
func readBroadcast(ctx *sql.Context, n sql.Node, run *runner, most int) (*broadcast, error) {
	iter, err := run.rows(ctx, n)
	if err != nil {
		return nil, err
	}
	h := newHolding(ctx)
	b := &broadcast{held: h}
	for {
		row, err := iter.Next(ctx)
		if err == io.EOF {
			return b, iter.Close(ctx)
		}
		if err == nil {
			err = h.take(rowBytes(row))
		}
		if err != nil {
			h.release()
			return nil, closedAfter(ctx, iter, err)
		}
		if len(b.rows) == most || h.bytes > maxBroadcastBytes {
			h.release()
			b.rows, b.large = nil, true
			return b, iter.Close(ctx)
		}
		b.rows = append(b.rows, slices.Clone(row))
	}
}

// closedAfter closes rows that ended with an error.
func closedAfter(ctx *sql.Context, iter sql.RowIter, err error) error {
	_ = iter.Close(ctx) // the first error counts
	return err
}

// standing is the other side of a join as a node that runs on its own, with the
// equalities that a lookup for each row of the first side made, each of a part of
// the key over that side and a column of this one; not ok for what does not run
// without the first side.
func standing(ctx *sql.Context, n sql.Node) (alone sql.Node, probes []probe, ok bool) {
	ok = true
	n = unwrapped(n)
	alone, _, err := transform.Node(ctx, n, func(ctx *sql.Context, n sql.Node) (sql.Node, transform.TreeIdentity, error) {
		if !fields(ctx, n) {
			ok = false
		}
		switch x := n.(type) {
		case *plan.IndexedTableAccess:
			keys := x.Expressions()
			if len(keys) == 0 {
				return n, transform.SameTree, nil
			}
			if slices.Contains(x.NullMask(), true) {
				ok = false
			}
			for i, name := range x.Index().Expressions()[:len(keys)] {
				probes = append(probes, probe{of: keys[i], column: name[strings.LastIndexByte(name, '.')+1:]})
			}
			return x.TableNode, transform.NewTree, nil
		case *plan.CachedResults: // the rows are read once
			return x.Child, transform.NewTree, nil
		case *plan.JoinNode, *plan.Project, *plan.Distinct, *plan.GroupBy, *plan.Having, *plan.Sort, *plan.TopN, *plan.Limit, *plan.Offset:
			ok = ok && len(probes) == 0 // what they do to rows is not followed
		case *plan.ResolvedTable, *plan.TableAlias, *plan.Filter, *plan.SubqueryAlias, *plan.ValueDerivedTable, *plan.EmptyTable:
		default:
			ok = false
		}
		return n, transform.SameTree, nil
	})
	return alone, probes, ok && err == nil
}

// probe is an equality by which rows were looked up.
type probe struct {
	of     sql.Expression
	column string
}

// fields reports whether the expressions of a node refer to the rows below it and
// nothing else.
func fields(ctx *sql.Context, n sql.Node) bool {
	if s, ok := n.(*plan.SubqueryAlias); ok {
		return !s.IsLateral && !s.OuterScopeVisibility
	}
	x, ok := n.(sql.Expressioner)
	if !ok {
		return true
	}
	if _, lookup := n.(*plan.IndexedTableAccess); lookup {
		return true
	}
	var below sql.Schema
	for _, c := range n.Children() {
		below = append(below, c.Schema(ctx)...)
	}
	for _, e := range x.Expressions() {
		if !refersTo(ctx, e, below) {
			return false
		}
	}
	return true
}

// refersTo reports whether the columns of an expression are those of a row, by place,
// name and table.
func refersTo(ctx *sql.Context, e sql.Expression, row sql.Schema) bool {
	ok := true
	sql.Inspect(ctx, e, func(_ *sql.Context, e sql.Expression) bool {
		switch e := e.(type) {
		case nil:
		case sql.ExpressionWithNodes:
			ok = false
		case *expression.GetField:
			ok = ok && e.Index() >= 0 && e.Index() < len(row) && strings.EqualFold(row[e.Index()].Name, e.Name()) &&
				(e.Table() == "" || row[e.Index()].Source == "" || strings.EqualFold(row[e.Index()].Source, e.Table()))
		}
		return ok
	})
	return ok
}
