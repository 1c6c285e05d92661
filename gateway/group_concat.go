package gateway

import (
	"slices"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation/window"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/catalog"
	"arbor/engine/exec"
)

// GROUP_CONCAT(… ORDER BY time) of each user, a path, needs the rows in that order, which
// they have where the data is: events are stored by user and time. So
//
//	GroupBy(distinct_id, group_concat(event order by time); distinct_id)
//	└ what filters and projects events
//
// is made of the rows that a window would see,
//
//	pushedGroup(distinct_id, group_concat(event); distinct_id)
//	└ pushedWindow(partition by distinct_id order by time)
//
// and nothing is sorted or kept but each group's text.

// inConcatOrder is a GROUP BY over rows in the order in which its GROUP_CONCATs want them;
// nil if none wants one, or if two want different ones.
func inConcatOrder(ctx *sql.Context, n *plan.GroupBy) *plan.GroupBy {
	o := &onceGrouping{ctx: ctx, ok: true}
	var partition []sql.Expression
	keys := make([]sql.Expression, len(n.GroupByExprs))
	for i, e := range n.GroupByExprs {
		keys[i] = o.place(e)
		if a, ok := e.(*expression.Alias); ok {
			e = a.Child
		}
		partition = append(partition, e)
	}
	var order sql.SortConditions
	selected := make([]sql.Expression, len(n.SelectDeps))
	for i, e := range n.SelectDeps {
		if g, ok := e.(*aggregation.GroupConcat); ok {
			of := concatOrder(g)
			if len(order) == 0 {
				order = of
			}
			if concatDistinct(g) || len(of) > 0 && !sameOrder(of, order) {
				return nil
			}
			unordered := aggregation.NewGroupConcat("", nil, hidden(g, "separator").String(), g.OutputExpressions(), int(hidden(g, "maxLen").Int()))
			e = unordered.WithId(g.Id()).(sql.Expression)
		}
		selected[i] = o.selected(e)
	}
	if !o.ok || len(order) == 0 || len(o.inner) == 0 {
		return nil
	}
	over := sql.NewWindowDefinition(partition, order, nil, "", "")
	number := window.NewRowNumber(ctx).(*window.RowNumber).WithWindow(ctx, over)
	ordered := plan.NewWindow(append(o.inner[:len(o.inner):len(o.inner)], number), n.Child)
	return plan.NewGroupBy(selected, keys, ordered)
}

// concatOrder is what a GROUP_CONCAT orders its rows by.
func concatOrder(g *aggregation.GroupConcat) sql.SortConditions {
	conditions := hidden(g, "sortConditions")
	order := make(sql.SortConditions, conditions.Len())
	for i := range order {
		c := conditions.Index(i)
		order[i] = sql.SortCondition{Expr: g.Children()[i], Order: sql.SortOrder(c.FieldByName("Order").Uint()), NullOrdering: sql.NullOrdering(c.FieldByName("NullOrdering").Uint())}
	}
	return order
}

func sameOrder(a, b sql.SortConditions) bool {
	return slices.EqualFunc(a, b, func(a, b sql.SortCondition) bool { return a.String() == b.String() })
}

// pushConcats makes such a GROUP BY where the rows are given in order; nil where that is
// more than is understood.
func (x *executor) pushConcats(ctx *sql.Context, n *plan.GroupBy, run *runner) (*pushedGroup, error) {
	ordered := inConcatOrder(ctx, n)
	if ordered == nil {
		return nil, nil
	}
	c := &groupChain{ctx: ctx, nodes: []sql.Node{ordered}, group: ordered, inOrder: true}
	pushed, err := c.push(func(p *groupPlan, _ sql.Node, outputs []groupOutput) (sql.Node, bool) {
		g, ok := newPushedGroup(p, n, outputs)
		if ok && x != nil {
			g.limit = x.limits.Groups
			g.stock = func(ctx *sql.Context, row sql.Row) (sql.RowIter, error) { return x.groupRows(ctx, n, row) }
		}
		return g, ok
	}, run)
	g, _ := pushed.(*pushedGroup)
	return g, err
}

// concat is a GROUP_CONCAT of rows that come in its order.
func (p *groupPlan) concat(e *aggregation.GroupConcat) groupOutput {
	outputs := e.OutputExpressions()
	if !p.inOrder || len(outputs) != 1 || !travels(p.ctx, outputs[0]) {
		return groupOutput{}
	}
	ref, form, _, ok := p.value(outputs[0])
	if !ok || form != formText {
		return groupOutput{}
	}
	params := []catalog.Value{catalog.String(hidden(e, "separator").String()), catalog.Int(hidden(e, "maxLen").Int())}
	part := func(op exec.AggregateOp) int {
		return p.part(exec.Aggregate{Op: op, Args: []int{ref}, Params: params})
	}
	parts := []int{part(exec.AggConcat), part(exec.AggConcatCut)}
	return groupOutput{ok: true, parts: parts, form: formText, typ: types.LongText, finish: func(v []any) (any, error) {
		if row, _ := v[1].(int64); row > 0 {
			warnConcatCut(p.ctx, row)
		}
		return v[0], nil
	}}
}
