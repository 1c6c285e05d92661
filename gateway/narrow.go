package gateway

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
)

// The planner leaves the columns that nobody wants out of a scan only in plain
// statements: below a join that was a subquery, or beside an expression with a
// subquery, it reads all of them. narrow reads those alone that something in the
// plan refers to. It changes no row's width, since the places of values in rows
// are settled by then: what is not read is NULL.
//
// It starts at a node that makes new rows of others' (a projection, a grouping)
// and goes down through those that pass rows on. All references carry the ids
// that the planner gave to columns; where one has none, nothing is changed.
type narrower struct {
	ctx *sql.Context
	ids map[sql.ColumnId]bool
	// names are the columns' names, alone and with those of their tables: where
	// the planner put a table in the place of a derived one, some references
	// still have the ids of the derived one.
	names map[string]bool
	// lost is set when a reference has no id.
	lost bool
}

// narrow gives the node scans that read no more than it needs. It gives the same
// node back where there is nothing to leave out.
func narrow(ctx *sql.Context, n sql.Node) (sql.Node, error) {
	if p, ok := n.(*plan.Project); ok {
		if known := withKnownValues(ctx, p); known != nil {
			n = known
		}
	}
	children := n.Children()
	if len(children) != 1 {
		return n, nil
	}
	v := &narrower{ctx: ctx, ids: map[sql.ColumnId]bool{}, names: map[string]bool{}}
	v.references(n)
	v.collect(children[0])
	if v.lost {
		return n, nil
	}
	child, changed, err := v.apply(children[0])
	if err != nil || !changed {
		return n, err
	}
	return n.WithChildren(ctx, child)
}

// passesRows reports whether a node gives the rows of its children, whole.
func passesRows(n sql.Node) bool {
	switch n.(type) {
	case *plan.Filter, *plan.Having, *plan.TableAlias, *plan.JoinNode, *plan.Sort, *plan.TopN, *plan.Limit, *plan.Offset,
		*plan.HashLookup, *plan.CachedResults, *plan.PrependNode, *countedNode:
		return true
	}
	return false
}

// collect notes the columns that nodes refer to, down to those that make rows.
func (v *narrower) collect(n sql.Node) {
	switch n := n.(type) {
	case *plan.ResolvedTable:
		return
	case *plan.Project:
		for _, e := range n.Projections {
			if _, bare := e.(*expression.GetField); !bare {
				v.expression(e)
			}
		}
		v.everything(n.Child)
		return
	}
	if !passesRows(n) {
		v.everything(n)
		return
	}
	v.references(n)
	for _, c := range n.Children() {
		v.collect(c)
	}
}

// namedColumn is a column as names has it.
func namedColumn(table, column string) string {
	return strings.ToLower(table) + "." + strings.ToLower(column)
}

func (v *narrower) references(n sql.Node) {
	if e, ok := n.(sql.Expressioner); ok {
		for _, e := range e.Expressions() {
			v.expression(e)
		}
	}
}

func (v *narrower) expression(e sql.Expression) {
	sql.Inspect(v.ctx, e, func(_ *sql.Context, e sql.Expression) bool {
		switch e := e.(type) {
		case *expression.GetField:
			if e.Id() == 0 {
				v.lost = true
			}
			v.ids[e.Id()] = true
			v.names[namedColumn(e.Table(), e.Name())], v.names[namedColumn("", e.Name())] = true, true
		case sql.ExpressionWithNodes:
			for _, n := range e.NodeChildren() {
				v.everything(n)
			}
		}
		return true
	})
}

// everything notes all that a tree refers to: columns of its own, which does no
// harm, and of the nodes around it. References without an id are to its own.
func (v *narrower) everything(n sql.Node) {
	lost := v.lost
	transform.InspectWithOpaque(v.ctx, n, func(_ *sql.Context, n sql.Node) bool {
		v.references(n)
		return true
	})
	v.lost = lost
}

// apply leaves out what nothing refers to.
func (v *narrower) apply(n sql.Node) (sql.Node, bool, error) {
	switch n := n.(type) {
	case *plan.ResolvedTable:
		return v.applyTable(n, n.Name())
	case *plan.TableAlias:
		if t, ok := n.Child.(*plan.ResolvedTable); ok {
			child, changed, err := v.applyTable(t, n.Name())
			if err != nil || !changed {
				return n, false, err
			}
			out, err := n.WithChildren(v.ctx, child)
			return out, err == nil, err
		}
	case *plan.Project:
		return v.blank(n, func(i int) bool {
			f, ok := n.Projections[i].(*expression.GetField)
			return ok && f.Id() != 0 && !v.ids[f.Id()]
		})
	case *plan.SubqueryAlias:
		return v.applyAlias(n)
	}
	if !passesRows(n) {
		return n, false, nil
	}
	children, changed := n.Children(), false
	next := make([]sql.Node, len(children))
	for i, c := range children {
		child, childChanged, err := v.apply(c)
		if err != nil {
			return n, false, err
		}
		next[i], changed = child, changed || childChanged
	}
	if !changed {
		return n, false, nil
	}
	out, err := n.WithChildren(v.ctx, next...)
	return out, err == nil, err
}

// applyTable narrows a table that is referred to by a name, "" for any.
func (v *narrower) applyTable(n *plan.ResolvedTable, name string) (sql.Node, bool, error) {
	t, ok := n.UnderlyingTable().(*eventsTable)
	if !ok || t.projection != nil || t.only != nil {
		return n, false, nil
	}
	first, ok := n.Columns().Next(1)
	if !ok || n.Columns().Len() != len(t.all) {
		return n, false, nil
	}
	places := map[int]bool{}
	for i := range t.all {
		if v.ids[first+sql.ColumnId(i)] || v.names[namedColumn(name, t.all[i].name)] {
			places[i] = true
		}
	}
	if len(places) == len(t.all) {
		return n, false, nil
	}
	out, err := n.WithTable(v.ctx, t.withOnly(places))
	return out, err == nil, err
}

// blank puts NULL in the place of projections. Those that are expressions stay:
// they may do more than give a value.
func (v *narrower) blank(n *plan.Project, unwanted func(i int) bool) (sql.Node, bool, error) {
	exprs, changed := make([]sql.Expression, len(n.Projections)), false
	for i, e := range n.Projections {
		exprs[i] = e
		if f, bare := e.(*expression.GetField); bare && unwanted(i) && !v.names[namedColumn(f.Table(), f.Name())] {
			exprs[i], changed = expression.NewLiteral(nil, e.Type(v.ctx)), true
		}
	}
	if !changed {
		return n, false, nil
	}
	out, err := n.WithExpressions(v.ctx, exprs...)
	return out, err == nil, err
}

// applyAlias narrows a derived table, whose columns have ids of their own.
func (v *narrower) applyAlias(n *plan.SubqueryAlias) (sql.Node, bool, error) {
	var wanted []bool
	n.Columns().ForEach(func(id sql.ColumnId) { wanted = append(wanted, v.ids[id]) })
	inner := &narrower{ctx: v.ctx, ids: map[sql.ColumnId]bool{}, names: map[string]bool{}}
	child, changed, err := inner.applyBelow(n.Child, wanted)
	if err != nil || !changed {
		return n, false, err
	}
	out, err := n.WithChildren(v.ctx, child)
	return out, err == nil, err
}

// applyBelow narrows the node that makes the rows of a derived table, which are
// wanted at some places, and noted references.
func (v *narrower) applyBelow(n sql.Node, wanted []bool) (sql.Node, bool, error) {
	switch n := n.(type) {
	case *plan.Project:
		if len(n.Projections) != len(wanted) {
			return n, false, nil
		}
		return v.blank(n, func(i int) bool {
			f := n.Projections[i].(*expression.GetField)
			return !wanted[i] && !v.ids[f.Id()]
		})
	case *plan.ResolvedTable:
		first, ok := n.Columns().Next(1)
		if !ok || n.Columns().Len() != len(wanted) || v.lost {
			return n, false, nil
		}
		for i, w := range wanted {
			if w {
				v.ids[first+sql.ColumnId(i)] = true
			}
		}
		return v.applyTable(n, "")
	case *plan.Filter, *plan.TableAlias, *plan.Sort, *plan.TopN, *plan.Limit, *plan.Offset:
		v.references(n)
		child, changed, err := v.applyBelow(n.Children()[0], wanted)
		if err != nil || !changed {
			return n, false, err
		}
		out, err := n.WithChildren(v.ctx, child)
		return out, err == nil, err
	}
	return n, false, nil
}
