package gateway

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/apache/arrow/go/v15/arrow/array"
	"golang.org/x/sync/errgroup"

	"arbor/engine/exec"
)

// fragment asks a side that is events for some columns, by user; places are where these are
// in the answer. The columns that it is sorted by are among them.
func (d *joinSide) fragment(columns []int) (f *exec.Fragment, places []int) {
	p := *d.scan
	p.used = slices.Clone(p.used)
	refs := make([]int, len(columns))
	for i, column := range columns {
		refs[i] = p.use(column)
	}
	t := d.source.table
	f = &exec.Fragment{Project: t.project.ID, Copies: t.copies, AsOf: t.asOf, Measured: t.totals != nil, Computed: p.computed}
	for _, column := range p.used {
		c := d.source.execColumn(column)
		c.Hidden = true
		f.Columns = append(f.Columns, c)
	}
	for _, ref := range refs {
		f.Columns[ref].Hidden = false
	}
	place, n := make([]int, len(f.Columns)), 0
	for i := range f.Columns {
		if !f.Columns[i].Hidden {
			place[i] = n
			n++
		}
	}
	f.Filter = renumbered(p.filter, func(ref int) int {
		if ref < 0 {
			return len(f.Columns) - 1 - ref
		}
		return ref
	})
	for _, ref := range refs {
		places = append(places, place[ref])
	}
	f.Order = []exec.Order{{Column: place[p.use(d.key)]}}
	if d.then >= 0 {
		f.Order = append(f.Order, exec.Order{Column: place[p.use(d.then)]})
	}
	return f, places
}

// batches gives the rows of a side by user, with the columns that are asked for.
func (d *joinSide) batches(ctx context.Context, g *Gateway, groups int64, columns []int, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	switch of := d.source; {
	case of.table != nil:
		f, places := d.fragment(columns)
		return g.cluster.Execute(ctx, f, func(b *exec.Batch) error {
			out := &exec.Batch{Rows: b.Rows}
			for _, place := range places {
				out.Columns = append(out.Columns, b.Columns[place])
			}
			return yield(out)
		})
	case of.join != nil:
		return of.join.run(ctx, g, groups, columns, yield)
	}
	p := d.source.inner
	f, ok := p.fragment()
	if !ok {
		return exec.ScanStats{}, fmt.Errorf("%w: a grouping below a join exceeds a limit", exec.ErrFunction)
	}
	group := *f.Group
	group.MaxGroups = groups
	f.Group = &group
	f.Order, f.Limit = []exec.Order{{Column: p.column(p.wanted[d.key].parts[0])}}, 0
	return p.run(ctx, g, f, func(b *exec.Batch) error {
		out := &exec.Batch{Rows: b.Rows}
		for _, column := range columns {
			o := &p.wanted[column]
			a := b.Columns[p.column(o.parts[0])]
			if n, ok := a.(*array.Int64); ok && o.sum {
				a = decimalTexts(n)
			}
			out.Columns = append(out.Columns, a)
		}
		return yield(out)
	})
}

// sorting are the columns that a side's rows are sorted by.
func (d *joinSide) sorting() []int {
	if d.then >= 0 {
		return []int{d.key, d.then}
	}
	return []int{d.key}
}

// columnSet are numbers of columns, each once.
type columnSet []int

func (c *columnSet) use(column int) int {
	if i := slices.Index(*c, column); i >= 0 {
		return i
	}
	*c = append(*c, column)
	return len(*c) - 1
}

// errJoined ends a side of which no more rows are wanted.
var errJoined = errors.New("the other side of the join has ended")

// run joins, and gives the columns that are asked for. groups is how many groups a side may
// have.
func (j *userJoin) run(ctx context.Context, g *Gateway, groups int64, wanted []int, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	return j.runAs(ctx, g, groups, wanted, false, yield)
}

// grouped gives the rows that are grouped: where nobody looks at one side's columns, those of
// the other one, with how many pairs they have if that makes a difference.
func (j *userJoin) grouped(ctx context.Context, g *Gateway, group *exec.Group, wanted []int, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	weighs := !slices.ContainsFunc(group.Aggregates, func(a exec.Aggregate) bool { return !a.Weighs() })
	ofRight := func(column int) bool { return column >= j.sides[1].base }
	switch {
	case j.rest != nil || len(wanted) == 0 || !weighs || j.kind != exec.JoinInner && j.kind != exec.JoinLeft:
	case !slices.ContainsFunc(wanted, ofRight):
		return j.weighed(ctx, g, group, wanted, yield)
	case j.kind == exec.JoinInner && !slices.ContainsFunc(wanted, func(column int) bool { return !ofRight(column) }):
		moved := make([]int, len(wanted))
		for i, column := range wanted {
			moved[i] = column - j.sides[1].base
		}
		return j.swapped().weighed(ctx, g, group, moved, yield)
	}
	return j.run(ctx, g, group.MaxGroups, wanted, yield)
}

// weighed is grouped for columns of the left side.
func (j *userJoin) weighed(ctx context.Context, g *Gateway, group *exec.Group, wanted []int, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	if j.kind == exec.JoinInner && group.CountsOnce() {
		semi := *j
		semi.kind = exec.JoinSemi
		return semi.run(ctx, g, group.MaxGroups, wanted, yield)
	}
	return j.runAs(ctx, g, group.MaxGroups, wanted, true, yield)
}

// swapped is an inner join with its sides exchanged.
func (j *userJoin) swapped() *userJoin {
	l, r := *j.sides[1], *j.sides[0]
	l.base, l.then, r.base, r.then = 0, -1, l.width, -1
	s := &userJoin{kind: j.kind, sides: [2]*joinSide{&l, &r}}
	for _, e := range j.equals {
		s.equals = append(s.equals, exec.JoinEqual{Left: e.Right, Right: e.Left})
	}
	for _, span := range j.spans {
		span.Left, span.Right = span.Right, span.Left
		span.OfLeft, span.OfRight = span.OfRight, span.OfLeft
		span.Least, span.Greatest = negated(span.Greatest), negated(span.Least)
		s.spans = append(s.spans, span)
	}
	s.orderRight()
	return s
}

// negated is a bound seen from the other side.
func negated(n int64) int64 {
	switch n {
	case math.MinInt64:
		return math.MaxInt64
	case math.MaxInt64:
		return math.MinInt64
	}
	return -n
}

// runAs is run, or gives each row of the left side with its weight.
func (j *userJoin) runAs(ctx context.Context, g *Gateway, groups int64, wanted []int, weighs bool, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	held := newHolding(ctx)
	defer held.release()
	var all columnSet // of the join
	var fragment *exec.Fragment
	if j.rest != nil {
		for _, column := range j.rest.used {
			all.use(column)
		}
	}
	places := make([]int, len(wanted))
	for i, column := range wanted {
		places[i] = all.use(column)
	}
	var sides [2]columnSet
	p := &exec.JoinPlan{Kind: j.kind, Weighs: weighs, Take: held.take, Ended: ctx.Err}
	for i, d := range j.sides {
		sides[i] = d.sorting()
	}
	for _, s := range j.spans {
		s.Left, s.Right = sides[0].use(s.Left), sides[1].use(s.Right)
		p.Spans = append(p.Spans, s)
	}
	for _, e := range j.equals {
		p.Equals = append(p.Equals, exec.JoinEqual{Left: sides[0].use(e.Left), Right: sides[1].use(e.Right)})
	}
	for _, column := range all {
		side, at := j.of(column)
		right := side == j.sides[1]
		n := 0
		if right {
			n = 1
		}
		p.Columns = append(p.Columns, exec.JoinColumn{Right: right, Column: sides[n].use(at)})
	}
	for i, d := range j.sides {
		s := exec.JoinSide{Key: 0, Then: -1}
		if d.then >= 0 {
			s.Then = 1
		}
		for _, column := range sides[i] {
			s.Types = append(s.Types, d.source.execColumn(column).Type)
		}
		*[]*exec.JoinSide{&p.Left, &p.Right}[i] = s
	}
	if j.rest != nil {
		fragment = j.rest.filterOver(all)
		if err := fragment.Validate(); err != nil {
			return exec.ScanStats{}, fmt.Errorf("%w: %w", exec.ErrFunction, err)
		}
		var err error
		if p.Filter, err = exec.NewPlan(fragment, exec.Options{Functions: NewFunctions(), MaxBytes: g.Catalog().MaxQueryMemory()}); err != nil {
			return exec.ScanStats{}, err
		}
		p.Filter.Until(ctx)
	}
	return j.merge(ctx, g, groups, p, sides, func(b *exec.Batch) error {
		out := &exec.Batch{Rows: b.Rows, Weights: b.Weights}
		for _, place := range places {
			out.Columns = append(out.Columns, b.Columns[place])
		}
		return yield(out)
	})
}

// filterOver is the plan's filter over columns of its source, of which those that it uses
// come first.
func (p *groupPlan) filterOver(columns []int) *exec.Fragment {
	f := &exec.Fragment{Computed: p.computed}
	for _, column := range columns {
		c := p.source.execColumn(column)
		c.Hidden = true
		f.Columns = append(f.Columns, c)
	}
	f.Filter = renumbered(p.filter, func(ref int) int {
		if ref < 0 {
			return len(f.Columns) - 1 - ref
		}
		return ref
	})
	return f
}

// merge reads both sides at the same time. A batch of the right side is its reader's until
// that asks for the next one.
func (j *userJoin) merge(ctx context.Context, g *Gateway, groups int64, p *exec.JoinPlan, sides [2]columnSet, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	rightCtx, end := context.WithCancelCause(ctx)
	defer end(nil)
	// Whatever happens, the right side lets go of a batch only when the next one is asked for, or
	// when nobody reads any more.
	batches, ready, ended := make(chan *exec.Batch), make(chan struct{}), make(chan struct{})
	var right exec.ScanStats
	reading, rightCtx := errgroup.WithContext(rightCtx)
	reading.Go(func() (err error) {
		defer close(batches)
		right, err = j.sides[1].batches(rightCtx, g, groups, sides[1], func(b *exec.Batch) error {
			select {
			case batches <- b:
			case <-rightCtx.Done():
				return context.Cause(rightCtx)
			}
			select {
			case <-ready:
				return nil
			case <-ended:
				return errJoined
			}
		})
		return err
	})
	taken := false
	next := func() (*exec.Batch, error) {
		if taken {
			ready <- struct{}{}
		}
		taken = false
		b, ok := <-batches
		if !ok {
			return nil, reading.Wait()
		}
		taken = true
		return b, nil
	}
	stats, err := func() (exec.ScanStats, error) {
		defer close(ended)
		join, err := exec.NewJoin(p, next, yield)
		if err != nil {
			return exec.ScanStats{}, err
		}
		stats, err := j.sides[0].batches(ctx, g, groups, sides[0], func(b *exec.Batch) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return join.Add(b)
		})
		if err != nil {
			return stats, err
		}
		return stats, join.Finish()
	}()
	end(errJoined)
	rightErr := reading.Wait()
	stats.Add(right)
	if err == nil && rightErr != nil && !errors.Is(context.Cause(rightCtx), errJoined) {
		err = rightErr
	}
	return stats, err
}
