package gateway

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"arbor/engine/exec"
)

// chain gives the slots of the rows of another grouping, with nodes above it: its
// answer is what is grouped, batch by batch.
func (s *groupSource) chain(c *groupChain) ([]slot, bool) {
	for _, n := range c.nodes[1:] {
		if s.err = s.run.passed(s.ctx, n); s.err != nil {
			return nil, false
		}
	}
	rows, ok := s.answer(c)
	if !ok {
		return nil, false
	}
	nodes := c.nodes
	if c.group != nil {
		if nodes, ok = c.rewritten(); !ok {
			return nil, false
		}
	}
	for _, n := range slices.Backward(nodes[:len(nodes)-1]) {
		switch n := n.(type) {
		case *plan.PrependNode:
			rows = append(constantSlots(n.Row), rows...)
		case *plan.Sort: // which nobody sees
		case *plan.Having:
			ok = s.condition(n.Cond, rows)
		case *plan.Filter:
			ok = s.condition(n.Expression, rows)
		case *plan.Project:
			next := make([]slot, len(n.Projections))
			for i, e := range n.Projections {
				next[i] = s.project(e, rows)
			}
			rows = next
		default:
			ok = false
		}
		if !ok {
			return nil, false
		}
	}
	return rows, true
}

// answer makes the plan of the grouping and gives the slots of its rows.
func (s *groupSource) answer(c *groupChain) ([]slot, bool) {
	if c.subqueries() {
		return nil, false
	}
	if c.distinct != nil {
		_, s.err = c.pushDistinct(func(p *groupPlan, stock sql.Node, outputs []groupOutput) (sql.Node, bool) {
			s.inner = p
			for i, column := range c.distinct.Child.Schema(s.ctx) {
				s.answerColumn(column.Name, column.Type, outputs[i])
			}
			return stock, true
		}, s.run)
		return s.allColumns(), s.err == nil && s.inner != nil
	}
	p, err := groupByPlan(s.ctx, c.group, s.run)
	if err != nil || p == nil {
		s.err = err
		return nil, false
	}
	s.inner, c.plan = p, p
	for _, e := range c.withKeys().SelectDeps {
		o := p.output(e)
		if _, is := e.(sql.Aggregation); !is && o.ok && o.parts[0] < 0 {
			o = groupOutput{} // any of several values: nobody may ask for it
		}
		s.answerColumn(e.String(), e.Type(s.ctx), o)
	}
	return s.allColumns(), true
}

// answerColumn adds a column to the bottom.
func (s *groupSource) answerColumn(name string, t sql.Type, o groupOutput) {
	c := sourceColumn{name: name, typ: t, null: true, form: o.form}
	if o.sum {
		c.form = formDecimal
	}
	s.columns = append(s.columns, c)
	s.inner.wanted = append(s.inner.wanted, o)
}

// allColumns are the slots of the columns that are columns of the answer.
func (s *groupSource) allColumns() []slot {
	rows := make([]slot, len(s.columns))
	for i := range rows {
		if o := &s.inner.wanted[i]; o.bare() || o.sum {
			rows[i] = s.column(i)
		}
	}
	return rows
}

// runInner answers a fragment over the answer of another grouping, batch by
// batch.
func (p *groupPlan) runInner(ctx context.Context, g *Gateway, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	inner, ok := p.source.inner.fragment()
	if !ok {
		return exec.ScanStats{}, fmt.Errorf("%w: a grouping below another one exceeds a limit", exec.ErrFunction)
	}
	group := *inner.Group
	group.MaxGroups = f.Group.MaxGroups
	group.HideKeys = p.hidesKeys()
	inner.Group = &group
	return p.runOver(ctx, g, f, p.picked, yield, func(ctx context.Context, take func(*exec.Batch) error) (exec.ScanStats, error) {
		return p.source.inner.run(ctx, g, inner, take)
	})
}

// runOver groups the batches that run gives, of which picked takes the columns.
func (p *groupPlan) runOver(ctx context.Context, g *Gateway, f *exec.Fragment, picked func(*exec.Batch) *exec.Batch, yield func(*exec.Batch) error,
	run func(context.Context, func(*exec.Batch) error) (exec.ScanStats, error)) (exec.ScanStats, error) {
	answer, err := exec.NewPlan(f, exec.Options{Functions: NewFunctions(), MaxBytes: g.Catalog().MaxQueryMemory()})
	if err != nil {
		return exec.ScanStats{}, err
	}
	answer.Until(ctx)
	groups, err := exec.NewGrouper(answer)
	if err != nil {
		return exec.ScanStats{}, err
	}
	filter, rows := answer.NewFilter(), exec.NewRows(answer)
	stats, err := run(ctx, func(b *exec.Batch) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return groups.AddBatch(rows, filter, picked(b))
	})
	if err != nil {
		return stats, err
	}
	return stats, groups.Answer(yield)
}

// hidesKeys reports whether the plan uses no key of the grouping below it.
func (p *groupPlan) hidesKeys() bool {
	return !slices.ContainsFunc(p.used, func(column int) bool { return p.source.inner.wanted[column].parts[0] >= 0 })
}

// picked are the columns of an answer that the plan uses.
func (p *groupPlan) picked(b *exec.Batch) *exec.Batch {
	out := &exec.Batch{Rows: b.Rows}
	inner, hidden := p.source.inner, 0
	if p.hidesKeys() {
		hidden = len(inner.keys)
	}
	for _, column := range p.used {
		o := &inner.wanted[column]
		a := b.Columns[inner.column(o.parts[0])-hidden]
		if n, ok := a.(*array.Int64); ok && o.sum {
			a = decimalTexts(n)
		}
		out.Columns = append(out.Columns, a)
	}
	return out
}

// decimalTexts are integers as decimals.
func decimalTexts(a *array.Int64) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for i, n := range a.Int64Values() {
		if a.IsNull(i) {
			b.AppendNull()
		} else {
			b.Append(strconv.FormatInt(n, 10))
		}
	}
	return b.NewArray()
}
