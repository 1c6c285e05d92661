package gateway

import (
	"context"
	"errors"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"

	"arbor/catalog"
	"arbor/engine/exec"
)

// pushedGroup is a GROUP BY, or a DISTINCT, that is made where the data is. Its
// rows are those of the node in whose place it stands.
type pushedGroup struct {
	sql.Node // that node, for its schema and to run it where pushing fails
	gateway  *Gateway
	plan     *groupPlan
	fragment *exec.Fragment
	outputs  []groupOutput
	// stock runs the node as the SQL library does.
	stock  func(*sql.Context, sql.Row) (sql.RowIter, error)
	limit  int
	totals *scanTotals
}

var _ sql.ExecBuilderNode = (*pushedGroup)(nil)

// Children are none: what is below is not run.
func (g *pushedGroup) Children() []sql.Node { return nil }

// WithChildren changes nothing.
func (g *pushedGroup) WithChildren(_ *sql.Context, children ...sql.Node) (sql.Node, error) {
	if len(children) != 0 {
		return nil, sql.ErrInvalidChildrenNumber.New(g, len(children), 0)
	}
	return g, nil
}

// BuildRowIter starts the grouping.
func (g *pushedGroup) BuildRowIter(ctx *sql.Context, _ sql.NodeExecBuilder, outer sql.Row) (sql.RowIter, error) {
	return g.ask(outer).rows(ctx), nil
}

// ask is the answer that the grouping is.
func (g *pushedGroup) ask(outer sql.Row) *pushedAnswer {
	f, source := *g.fragment, g.plan.source
	group := *f.Group
	group.MaxGroups = int64(g.limit)
	f.Group = &group
	a := &pushedAnswer{
		gateway: g.gateway, doing: "grouping", totals: g.totals, limited: g.mysqlError,
		again: source.inner == nil && source.window == nil && source.join == nil,
		run: func(ctx context.Context, yield func(*exec.Batch) error) (exec.ScanStats, error) {
			return g.plan.run(ctx, g.gateway, &f, yield)
		},
		stock: func(ctx *sql.Context) (sql.RowIter, error) { return g.stock(ctx, outer) },
	}
	for i := range len(g.plan.keys) + len(g.plan.aggregates) {
		a.kinds = append(a.kinds, answerType(g.fragment, i))
	}
	for i := range g.outputs {
		a.columns = append(a.columns, g.column(&g.outputs[i]))
	}
	return a
}

// column is how an output is made of the answer.
func (g *pushedGroup) column(o *groupOutput) answerColumn {
	if !o.ok {
		return constantColumn(nil) // nobody looks at it
	}
	places := make([]int, len(o.parts))
	for i, p := range o.parts {
		places[i] = g.plan.column(p)
	}
	if o.finish == nil {
		return formColumn(places[0], o.form, o.typ)
	}
	finish := o.finish
	return answerColumn{needs: places, value: func(_ *sql.Context, row sql.Row) (any, error) {
		parts := make([]any, len(places))
		for i, place := range places {
			parts[i] = row[place]
		}
		return finish(parts)
	}}
}

// run asks for the answer of the fragment.
func (p *groupPlan) run(ctx context.Context, g *Gateway, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	switch {
	case p.source.inner != nil:
		return p.runInner(ctx, g, f, yield)
	case p.source.window != nil:
		return p.runOver(ctx, g, f, p.source.window.picked(p.used), yield, p.source.window.run)
	case p.source.join != nil:
		whole := func(b *exec.Batch) *exec.Batch { return b }
		return p.runOver(ctx, g, f, whole, yield, func(ctx context.Context, take func(*exec.Batch) error) (exec.ScanStats, error) {
			return p.source.join.grouped(ctx, g, f.Group, p.used, take)
		})
	}
	return g.cluster.Execute(ctx, f, yield)
}

// answerType is the type of a column of a fragment's answer. A sum of integers
// has texts where it is large.
func answerType(f *exec.Fragment, column int) catalog.Type {
	keys := len(f.Group.Keys)
	if column < keys {
		t, _, _ := f.ColumnType(f.Group.Keys[column])
		return t
	}
	a := &f.Group.Aggregates[column-keys]
	switch a.Op {
	case exec.AggSum:
		return catalog.TypeDecimal
	case exec.AggMin, exec.AggMax, exec.AggPercentileDisc, exec.AggFirst, exec.AggLast:
		t, _, _ := f.ColumnType(a.Args[0])
		return t
	case exec.AggConcat:
		return catalog.TypeString
	}
	return catalog.TypeInt
}

// mysqlError gives limits MySQL's errors.
func (g *pushedGroup) mysqlError(err error) error {
	switch {
	case errors.Is(err, exec.ErrGroups):
		return tooManyGroups(g.limit)
	case errors.Is(err, exec.ErrMemory):
		return mysql.NewSQLError(codeCapacity, stateGeneral,
			"Memory capacity for the groups of the statement exceeded (%v). Narrow the statement by WHERE, group by less, "+howToRaise, err)
	}
	return err
}
