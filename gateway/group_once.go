package gateway

import (
	"io"
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/engine/exec"
)

// SUM(DISTINCT …), AVG(DISTINCT …) and GROUP_CONCAT are no aggregates of a fragment. But a
// group that has one sees each of its values once, or as often as it comes, so the rows are
// first made groups of all that the aggregates look at, where the data is, each
// with the number of its rows; what is left is done here, with few rows for many.

// groupOnce is a GROUP BY over such groups: the last column of its child says how many
// rows each stands for. Nil if it is not of the kind, or its rows cannot be grouped
// where the data is. With a GROUP_CONCAT of all values there may be as many such groups as
// rows: where that is too much, it is to be done row by row.
func groupOnce(ctx *sql.Context, n *plan.GroupBy, push func(*plan.GroupBy, []exec.Order) (*pushedGroup, error)) (once *plan.GroupBy, all bool, err error) {
	o := &onceGrouping{ctx: ctx, ok: true}
	keys := make([]sql.Expression, len(n.GroupByExprs))
	for i, e := range n.GroupByExprs {
		keys[i] = o.place(e)
	}
	selected := make([]sql.Expression, len(n.SelectDeps))
	for i, e := range n.SelectDeps {
		selected[i] = o.selected(e)
	}
	if !o.ok || !o.once {
		return nil, false, nil
	}
	count := aggregation.NewCount(expression.NewLiteral(int64(1), types.Int64))
	inner := plan.NewGroupBy(append(o.inner[:len(o.inner):len(o.inner)], count), o.inner, n.Child)
	var order []exec.Order
	for i := range o.inner {
		order = append(order, exec.Order{Column: i})
	}
	pushed, err := push(inner, order)
	if err != nil || pushed == nil || o.all && pushed.plan.manyKeys() {
		return nil, false, err
	}
	return plan.NewGroupBy(selected, keys, pushed), o.all, nil
}

// manyKeys reports whether a key is a column of which nearly every event has a value of
// its own.
func (p *groupPlan) manyKeys() bool {
	if p.source.inner != nil {
		return false // there are no more rows than groups
	}
	return slices.ContainsFunc(p.keys, func(k groupKey) bool {
		if k.ref < 0 {
			return false // computed
		}
		switch p.source.columns[p.used[k.ref]].exec.Source {
		case exec.SourceTime, exec.SourceTimeRaw, exec.SourceInsertID, exec.SourceIngestID, exec.SourceIngestedAt, exec.SourceProperties:
			return true
		}
		return false
	})
}

// onceGrouping collects what the aggregates of a GROUP BY look at.
type onceGrouping struct {
	ctx   *sql.Context
	inner []sql.Expression
	once  bool // one of them sees each value once, or is a GROUP_CONCAT
	all   bool // a GROUP_CONCAT sees all values
	ok    bool
}

// place is a reference to what an expression is among the inner groups' columns.
func (o *onceGrouping) place(e sql.Expression) sql.Expression {
	switch of := e.(type) {
	case *expression.Literal:
		return e
	case *expression.Alias:
		child := o.place(of.Child)
		out, err := of.WithChildren(o.ctx, child)
		o.ok = o.ok && err == nil
		return out
	}
	at := -1
	if f, ok := bareColumn(e); ok {
		for i, known := range o.inner {
			if k, ok := bareColumn(known); ok && k.Index() == f.Index() {
				at = i
			}
		}
	}
	if at < 0 {
		at = len(o.inner)
		o.inner = append(o.inner, e)
	}
	return expression.NewGetField(at, e.Type(o.ctx), e.String(), e.IsNullable(o.ctx))
}

// selected is what is selected, over the inner groups.
func (o *onceGrouping) selected(e sql.Expression) sql.Expression {
	switch a := e.(type) {
	case *aggregation.GroupConcat:
		o.once = true
		o.ok = o.ok && a.Window() == nil
		o.all = o.all || !concatDistinct(a)
	case *aggregate:
		d, distinct := a.child.(*expression.DistinctExpression)
		o.once = o.once || distinct
		if o.ok = o.ok && a.window == nil; !o.ok {
			return e
		}
		if distinct {
			child, err := d.WithChildren(o.ctx, o.place(d.Child))
			return o.with(e, err, child)
		}
	case *aggregation.CountDistinct, *aggregation.Count, *aggregation.Min, *aggregation.Max, *aggregation.AnyValue,
		*aggregation.BitAnd, *aggregation.BitOr, *aggregation.BitXor, *percentile:
	case sql.Aggregation:
		o.ok = false
	default:
		return o.place(e)
	}
	if !o.ok {
		return e
	}
	var children []sql.Expression
	for _, c := range e.Children() {
		if _, star := c.(*expression.Star); star {
			_, count := e.(*aggregation.Count)
			o.ok = o.ok && count
			children = append(children, c)
			continue
		}
		children = append(children, o.place(c))
	}
	return o.with(e, nil, children...)
}

// with is an expression with other children.
func (o *onceGrouping) with(e sql.Expression, err error, children ...sql.Expression) sql.Expression {
	if err == nil {
		e, err = e.WithChildren(o.ctx, children...)
	}
	o.ok = o.ok && err == nil
	return e
}

// concatDistinct reports whether a GROUP_CONCAT sees each value once, of which the
// library tells nobody but in its text.
func concatDistinct(g *aggregation.GroupConcat) bool {
	return strings.HasPrefix(g.String(), "group_concat(distinct ")
}

// pushOnce makes the inner groups of groupOnce.
func (x *executor) pushOnce(ctx *sql.Context, run *runner) func(*plan.GroupBy, []exec.Order) (*pushedGroup, error) {
	return func(inner *plan.GroupBy, order []exec.Order) (*pushedGroup, error) {
		c := &groupChain{ctx: ctx, nodes: []sql.Node{inner}, group: inner}
		n, err := c.push(func(p *groupPlan, stock sql.Node, outputs []groupOutput) (sql.Node, bool) {
			p.order = order // so that one who collects the values does so in an order
			g, ok := newPushedGroup(p, stock, outputs)
			if !ok {
				return nil, false
			}
			if x != nil {
				g.limit = x.limits.Groups
				g.stock = func(ctx *sql.Context, row sql.Row) (sql.RowIter, error) { return x.groupBy(ctx, inner, row) }
			}
			return g, true
		}, run)
		g, _ := n.(*pushedGroup)
		return g, err
	}
}

// weighedRows gives each row of inner groups as it is, and keeps its weight.
type weighedRows struct {
	sql.RowIter
	weight int64
}

// Next gives the next row, without the weight. Where the aggregates look at nothing
// there is one inner group, even of no rows, which stands for none.
func (w *weighedRows) Next(ctx *sql.Context) (sql.Row, error) {
	for {
		row, err := w.RowIter.Next(ctx)
		if err != nil {
			return nil, err
		}
		last := len(row) - 1
		n, ok := row[last].(int64)
		if !ok {
			return nil, io.ErrUnexpectedEOF
		}
		if w.weight = n; n > 0 {
			return row[:last:last], nil
		}
	}
}

// updateWeighed adds a row to a buffer as often as it came; those that see each value
// once, or to which it makes no difference, get it once.
func updateWeighed(ctx *sql.Context, e sql.Expression, b sql.AggregationBuffer, row sql.Row, weight int64) error {
	switch a := e.(type) {
	case *aggregation.GroupConcat:
		return b.(*concatBuffer).add(ctx, row, weight)
	case *aggregation.Count, *aggregation.BitXor, *percentile:
	case *aggregate:
		if _, distinct := a.child.(*expression.DistinctExpression); distinct {
			weight = 1
		}
	default:
		weight = 1
	}
	for i := range weight {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := b.Update(ctx, row); err != nil {
			return err
		}
	}
	return nil
}
