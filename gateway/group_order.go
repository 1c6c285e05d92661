package gateway

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"arbor/engine/exec"
)

// pushOrder gives the plan the order and the number of groups after which nobody
// wants more, where all nodes below those that say so give a row for each row.
func (c *groupChain) pushOrder(nodes []sql.Node, outputs []groupOutput) {
	places := make([]int, len(outputs)) // of a row, in the group's row
	for i := range places {
		places[i] = i
	}
	var order []exec.Order
	var offset int64
	sorted := false
	for i := len(nodes) - 2; i >= 0; i-- {
		switch n := nodes[i].(type) {
		case *plan.PrependNode:
			shift := make([]int, len(n.Row), len(n.Row)+len(places))
			for j := range shift {
				shift[j] = noOrigin
			}
			places = append(shift, places...)
		case *plan.Project:
			places = projectedPlaces(n, places)
		case *plan.Sort:
			var ok bool
			if order, ok = c.order(n.SortConditions, places, outputs); !ok || sorted {
				return
			}
			sorted = true
		case *plan.Offset:
			n0, ok := constantCount(c.ctx, n.Offset)
			if !ok {
				return
			}
			offset += n0
		case *plan.Limit:
			c.limit(order, n.Limit, offset, n.CalcFoundRows)
			return
		case *plan.TopN:
			if sorted {
				return
			}
			if order, ok := c.order(n.SortConditions, places, outputs); ok {
				c.limit(order, n.Limit, offset, n.CalcFoundRows)
			}
			return
		default:
			return
		}
	}
}

func (c *groupChain) limit(order []exec.Order, limit sql.Expression, offset int64, all bool) {
	n, ok := constantCount(c.ctx, limit)
	if !ok || all || n == 0 || n+offset < n {
		return
	}
	c.plan.order, c.plan.limit = order, n+offset
}

func projectedPlaces(n *plan.Project, places []int) []int {
	next := make([]int, len(n.Projections))
	for i, e := range n.Projections {
		next[i] = noOrigin
		if f, ok := bareColumn(e); ok && f.Index() < len(places) {
			next[i] = places[f.Index()]
		}
	}
	return next
}

// order is the order of the answer that conditions ask for.
func (c *groupChain) order(conditions sql.SortConditions, places []int, outputs []groupOutput) ([]exec.Order, bool) {
	var order []exec.Order
	for _, condition := range conditions {
		f, ok := bareColumn(condition.Expr)
		if !ok || f.Index() >= len(places) || condition.NullOrdering != sql.NullsFirst {
			return nil, false
		}
		place := places[f.Index()]
		if place == noOrigin || !outputs[place].sorts() {
			return nil, false
		}
		order = append(order, exec.Order{
			Column: c.plan.column(outputs[place].parts[0]), Descending: condition.Order == sql.Descending,
		})
	}
	return order, true
}

// sorts reports whether the output has the order of its first part.
func (o *groupOutput) sorts() bool {
	return o.ok && (o.sum || o.bare() && o.form.ordered(o.typ))
}
