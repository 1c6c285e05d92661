package gateway

import (
	"reflect"
	"slices"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"arbor/engine/exec"
)

// The planner selects the columns that an expression of a key is made of beside
// the key, and computes the expression again above:
//
//	Project(concat(a, b), count(1))            Project(key, count(1))
//	└ TopN(count(1) DESC)             becomes  └ TopN(count(1) DESC)
//	  └ GroupBy(count(1), a, b;                  └ pushedGroup(count(1), NULL, NULL, key)
//	            concat(a, b))
//
// A group that is made elsewhere has no first row, from which a and b might be
// taken, but it has the key. So the keys are added to the group's row, and what
// is made of them above refers to them; a chain is the nodes that this changes.

// groupChain is a GROUP BY or a DISTINCT with the nodes above it that pass its
// rows on.
type groupChain struct {
	ctx      *sql.Context
	nodes    []sql.Node // from the top; the last is the GroupBy or the Distinct
	group    *plan.GroupBy
	distinct *plan.Distinct
	plan     *groupPlan
	// keys are those that are more than columns.
	keys []chainKey
	// inOrder: see groupPlan.
	inOrder bool
}

// chainKey is a key that is more than a column.
type chainKey struct {
	text string // see groupChain.text
	expr sql.Expression
}

// noOrigin is the origin of what is no column.
const noOrigin = -1

// findGroupChain looks for a chain that begins at a node.
func findGroupChain(ctx *sql.Context, n sql.Node) (*groupChain, bool) {
	c := &groupChain{ctx: ctx}
	for {
		switch n.(type) {
		case *plan.GroupBy, *plan.Project, *plan.Having, *plan.Filter, *plan.Sort, *plan.TopN:
			moments, err := withNumberMoments(ctx, n)
			if err != nil {
				return nil, false // which it is again when the node is run
			}
			if moments != nil {
				n = moments
			}
		}
		c.nodes = append(c.nodes, n)
		switch x := n.(type) {
		case *plan.GroupBy:
			c.group = x
			return c, true
		case *plan.Distinct:
			c.distinct = x
			return c, len(x.DistinctOn()) == 0
		case *plan.Project, *plan.Having, *plan.Filter, *plan.Sort, *plan.TopN, *plan.Limit, *plan.Offset, *plan.PrependNode:
		default:
			return nil, false
		}
		n = n.Children()[0]
	}
}

// groupMaker makes the node that stands in the place of a GROUP BY or DISTINCT.
type groupMaker func(p *groupPlan, stock sql.Node, outputs []groupOutput) (sql.Node, bool)

// push makes the plan and puts what make gives in the place of the GROUP BY; nil
// if it is not understood.
func (c *groupChain) push(make groupMaker, run *runner) (sql.Node, error) {
	if c.distinct != nil {
		return c.pushDistinct(make, run)
	}
	p, err := groupByPlan(c.ctx, c.group, run)
	if err != nil || p == nil {
		return nil, err
	}
	c.plan, p.inOrder = p, c.inOrder
	everything := c.subqueries() // which look at whole rows
	project := slices.ContainsFunc(c.nodes, func(n sql.Node) bool { _, ok := n.(*plan.Project); return ok })
	stock, nodes := c.group, c.nodes
	if project && !everything {
		stock = c.withKeys()
		var ok bool
		if nodes, ok = c.rewritten(); !ok {
			return nil, nil
		}
	}
	outputs, ok := c.outputs(nodes, stock, everything)
	if !ok {
		return nil, nil
	}
	c.pushOrder(nodes, outputs)
	group, ok := make(p, stock, outputs)
	if !ok {
		return nil, nil
	}
	return rebuilt(c.ctx, nodes, group)
}

// pushDistinct is push for a DISTINCT.
func (c *groupChain) pushDistinct(make groupMaker, run *runner) (sql.Node, error) {
	var fields []sql.Expression
	for i, col := range c.distinct.Child.Schema(c.ctx) {
		fields = append(fields, expression.NewGetField(i, col.Type, col.Name, col.Nullable))
	}
	p, err := newGroupPlan(c.ctx, c.distinct.Child, fields, run)
	if err != nil || p == nil {
		return nil, err
	}
	c.plan = p
	outputs := []groupOutput{}
	for i := range fields {
		outputs = append(outputs, p.key(i))
	}
	c.pushOrder(c.nodes, outputs)
	group, ok := make(p, c.distinct, outputs)
	if !ok {
		return nil, nil
	}
	return rebuilt(c.ctx, c.nodes, group)
}

// subqueries reports whether a node has an expression with nodes of its own.
func (c *groupChain) subqueries() bool {
	found := false
	for _, n := range c.nodes[:len(c.nodes)-1] {
		holder, ok := n.(sql.Expressioner)
		if !ok {
			continue
		}
		for _, e := range holder.Expressions() {
			sql.Inspect(c.ctx, e, func(_ *sql.Context, e sql.Expression) bool {
				if _, ok := e.(sql.ExpressionWithNodes); ok {
					found = true
				}
				return !found
			})
		}
	}
	return found
}

// withKeys is the GROUP BY that selects its keys too, where they are more than
// columns.
func (c *groupChain) withKeys() *plan.GroupBy {
	selected := slices.Clone(c.group.SelectDeps)
	for _, e := range c.group.GroupByExprs {
		if _, bare := bareColumn(e); bare {
			continue
		}
		if a, ok := e.(*expression.Alias); ok {
			e = a.Child
		}
		text, ok := c.text(e, func(i int) int { return i })
		if !ok {
			continue
		}
		c.keys = append(c.keys, chainKey{text, e})
		selected = append(selected, e)
	}
	return plan.NewGroupBy(selected, c.group.GroupByExprs, c.group.Child)
}

// text is a text that two expressions over the rows that are grouped have in
// common if they are the same, and only then.
func (c *groupChain) text(e sql.Expression, origin func(place int) int) (string, bool) {
	x := &scalarEncoder{ctx: c.ctx}
	b, ok := x.node(nil, e, func(f *expression.GetField) (int, bool) {
		o := origin(f.Index())
		return o, o >= 0
	}, 0)
	return string(b), ok
}

// rewritten gives the nodes of the chain, whose expressions refer to keys. The
// rows up to the topmost Project have the keys at their end.
func (c *groupChain) rewritten() ([]sql.Node, bool) {
	nodes := slices.Clone(c.nodes)
	top := max(0, slices.IndexFunc(nodes, func(n sql.Node) bool { _, ok := n.(*plan.Project); return ok }))
	origins, keys := c.groupOrigins(), make([]int, len(c.keys))
	for k := range keys {
		keys[k] = len(c.group.SelectDeps) + k
	}
	for i := len(nodes) - 2; i >= top; i-- {
		if prepend, ok := nodes[i].(*plan.PrependNode); ok {
			shift := len(prepend.Row)
			origins = append(slices.Repeat([]int{noOrigin}, shift), origins...)
			for k := range keys {
				keys[k] += shift
			}
			continue
		}
		holder, ok := nodes[i].(sql.Expressioner)
		if !ok {
			continue
		}
		exprs := slices.Clone(holder.Expressions())
		for j, e := range exprs {
			if exprs[j], ok = c.refer(e, origins, keys, false); !ok {
				return nil, false
			}
		}
		project, ok := nodes[i].(*plan.Project)
		if !ok {
			var err error
			if nodes[i], err = holder.WithExpressions(c.ctx, exprs...); err != nil {
				return nil, false
			}
			continue
		}
		next := make([]int, len(exprs))
		for j, e := range exprs {
			next[j] = noOrigin
			if f, ok := bareColumn(e); ok && f.Index() < len(origins) {
				next[j] = origins[f.Index()]
			}
		}
		if i != top {
			for k := range keys {
				exprs = append(exprs, c.field(k, keys[k]))
				keys[k] = len(exprs) - 1
			}
		}
		origins = next
		nodes[i] = plan.NewProject(c.ctx, exprs, project.Child)
	}
	return nodes, true
}

// groupOrigins are the origins of the group's row: the places that its columns
// have in the rows that are grouped.
func (c *groupChain) groupOrigins() []int {
	origins := make([]int, len(c.group.SelectDeps))
	for i, e := range c.group.SelectDeps {
		origins[i] = noOrigin
		if f, ok := bareColumn(e); ok {
			origins[i] = f.Index()
		}
	}
	return origins
}

// field refers to a key at a place.
func (c *groupChain) field(k, place int) sql.Expression {
	e := c.keys[k].expr
	return expression.NewGetField(place, e.Type(c.ctx), plan.AliasSubqueryString(c.ctx, e), e.IsNullable(c.ctx))
}

// refer puts references to keys in the place of what is the same. Within
// arithmetic, which looks at how it is nested, arithmetic stays.
func (c *groupChain) refer(e sql.Expression, origins, keys []int, inArithmetic bool) (sql.Expression, bool) {
	switch e := e.(type) {
	case *expression.GetField, *expression.Literal:
		return e, true
	case *expression.Alias:
		child, ok := c.refer(e.Child, origins, keys, false)
		if !ok {
			return nil, false
		}
		out, err := e.WithChildren(c.ctx, child)
		return out, err == nil
	}
	_, arithmetic := e.(expression.ArithmeticOp)
	if !arithmetic || !inArithmetic {
		text, ok := c.text(e, func(place int) int {
			if place < 0 || place >= len(origins) {
				return noOrigin
			}
			return origins[place]
		})
		if ok {
			for k := range c.keys {
				if c.keys[k].text == text {
					return c.field(k, keys[k]), true
				}
			}
		}
	}
	children, changed := slices.Clone(e.Children()), false
	for i, child := range children {
		if child == nil {
			return e, true
		}
		next, ok := c.refer(child, origins, keys, arithmetic)
		if !ok {
			return nil, false
		}
		if !sameNode(next, child) {
			children[i], changed = next, true
		}
	}
	if !changed {
		return e, true
	}
	out, err := e.WithChildren(c.ctx, children...)
	return out, err == nil
}

// sameNode reports whether two expressions are one; those that are no pointers
// are taken for different.
func sameNode(a, b sql.Expression) bool {
	return reflect.TypeOf(a).Comparable() && reflect.TypeOf(b).Comparable() && a == b
}

// outputs are what the group's row is made of: nothing, where nobody looks. A
// column that is no key has any of the values that it has in the group; of two,
// the values might be those of two rows.
func (c *groupChain) outputs(nodes []sql.Node, stock *plan.GroupBy, everything bool) ([]groupOutput, bool) {
	wanted := wantedPlaces(c.ctx, nodes, len(stock.SelectDeps), everything)
	outputs, loose := make([]groupOutput, len(stock.SelectDeps)), 0
	for i, e := range stock.SelectDeps {
		if !wanted[i] {
			continue
		}
		o := c.plan.output(e)
		if !o.ok || len(c.plan.aggregates) > exec.MaxAggregates {
			return nil, false
		}
		if _, is := e.(sql.Aggregation); !is && o.parts[0] < 0 {
			loose++
		}
		outputs[i] = o
	}
	return outputs, loose <= 1
}

// rebuilt puts a node below others in the place of the last.
func rebuilt(ctx *sql.Context, nodes []sql.Node, n sql.Node) (sql.Node, error) {
	for i := len(nodes) - 2; i >= 0; i-- {
		var err error
		if n, err = nodes[i].WithChildren(ctx, n); err != nil {
			return nil, err
		}
	}
	return n, nil
}
