package gateway

import (
	"context"
	"errors"
	"slices"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"arbor/engine/exec"
)

// answerScan gives the rows of a whole plan that does no more with an answer than
// choose rows and columns, and compute some:
//
//	Limit? Offset? Project?        in any number and order
//	└ pushedGroup, or a Sort, TopN or Window that is pushed
//
// Its rows can be had as batches; where they are wanted as rows, or a function fails,
// the plan is executed as any other.
type answerScan struct {
	answer *pushedAnswer
	shape  batchLayout
	window rowWindow
	lateRows
}

var _ batchRows = (*answerScan)(nil)

// answerPlan is such a plan, as it is made from the bottom up.
type answerPlan struct {
	answer  *pushedAnswer
	columns []answerColumn // of the rows so far
	window  rowWindow
	// projected is set when the rows have passed a projection, which makes 0 of -0.
	projected bool
	// volatile are the columns whose value is not the same each time.
	volatile map[int]bool
}

// byAnswer gives the rows of a whole plan as an answerScan, nil if it is none.
func (x *executor) byAnswer(ctx *sql.Context, n sql.Node, row sql.Row) (sql.RowIter, error) {
	switch n.(type) {
	case *plan.Project, *plan.Limit, *plan.Offset, *plan.Sort, *plan.TopN, *plan.Window, *pushedGroup:
	default:
		return nil, nil
	}
	p, err := x.answerPlan(ctx, n, true)
	if err != nil || p == nil {
		return nil, err
	}
	notePushed(ctx)
	s := &answerScan{answer: p.answer, window: p.window, lateRows: lateRows{stock: func(ctx *sql.Context) (sql.RowIter, error) { return x.main.Build(ctx, n, row) }}}
	s.shape = batchLayout{kinds: p.answer.kinds, width: len(p.answer.kinds), projected: p.projected}
	for i := range p.answer.kinds {
		s.shape.places = append(s.shape.places, i)
	}
	for i, c := range p.columns {
		source := columnSource{place: c.place}
		if c.value != nil {
			source.value = &computedValue{expr: answerValue{value: c.value}, needs: c.needs, fixed: !p.volatile[i], epoch: c.epoch, whole: c.whole}
		}
		s.shape.columns = append(s.shape.columns, source)
	}
	if session := sessionOf(ctx); session != nil {
		session.plans.answered(s)
	}
	return s, nil
}

// answerAgain gives the rows of a plan of before that is an answer; nil for another one.
func (x *executor) answerAgain(ctx *sql.Context, n sql.Node, row sql.Row) (sql.RowIter, error) {
	session := sessionOf(ctx)
	if session == nil || len(row) > 0 || x.rowsOnly.Load() {
		return nil, nil
	}
	kept := session.plans.answerOf(n)
	if kept == nil || !isRoot(ctx) {
		return nil, nil
	}
	for _, t := range kept.reads {
		if err := x.refuse(ctx, t); err != nil {
			return nil, err
		}
	}
	session.plans.server.answers.Add(1)
	s := kept.scan
	return &s, nil
}

// answerValue is the value of an answerColumn as an expression over the answer's rows.
type answerValue struct {
	sql.Expression
	value func(ctx *sql.Context, row sql.Row) (any, error)
}

// Eval gives the value.
func (v answerValue) Eval(ctx *sql.Context, row sql.Row) (any, error) { return v.value(ctx, row) }

// answerPlan makes the plan; nil if it is not understood. What would be refused or
// changed if it were executed node by node is left to that.
func (x *executor) answerPlan(ctx *sql.Context, n sql.Node, top bool) (*answerPlan, error) {
	if moments, err := withNumberMoments(ctx, n); err != nil || moments != nil {
		return nil, nil
	}
	if !top && x.visit(ctx, n) != nil {
		return nil, nil
	}
	switch n := n.(type) {
	case *pushedGroup:
		return newAnswerPlan(n.ask(nil)), nil
	case *plan.Sort, *plan.TopN:
		s, err := x.pushSort(ctx, n)
		if err != nil || s != nil {
			if err != nil {
				return nil, err
			}
			return newAnswerPlan(s.ask(nil)), nil
		}
		if sort, ok := n.(*plan.Sort); ok && !x.stockGroups {
			if in, err := inWindowOrder(ctx, sort, x.runner()); err != nil || in != nil {
				if err != nil {
					return nil, err
				}
				return x.answerPlan(ctx, sort.Child, false)
			}
		}
		return nil, nil
	case *plan.Window:
		w, err := x.pushWindow(ctx, n)
		if err != nil || w == nil {
			return nil, err
		}
		return newAnswerPlan(w.ask(nil)), nil
	case *plan.Project:
		if n.IncludesNestedIters {
			return nil, nil
		}
		if !top { // the topmost has been already
			narrowed, err := narrow(ctx, n)
			if err != nil {
				return nil, err
			}
			n, _ = narrowed.(*plan.Project)
			if n == nil {
				return nil, nil
			}
		}
		p, err := x.answerPlan(ctx, n.Child, false)
		if err != nil || p == nil || !p.project(ctx, n.Projections) {
			return nil, err
		}
		return p, nil
	case *plan.Limit:
		return x.answerWindow(ctx, n.Child, n.Limit, n.CalcFoundRows, (*rowWindow).limit)
	case *plan.Offset:
		return x.answerWindow(ctx, n.Child, n.Offset, false, (*rowWindow).offset)
	}
	return nil, nil
}

func newAnswerPlan(a *pushedAnswer) *answerPlan {
	return &answerPlan{answer: a, columns: a.columns, window: rowWindow{end: unlimited}}
}

// answerWindow is the plan of a node below a LIMIT or an OFFSET, with it.
func (x *executor) answerWindow(ctx *sql.Context, child sql.Node, count sql.Expression, all bool, cut func(*rowWindow, int64)) (*answerPlan, error) {
	c, ok := constantCount(ctx, count)
	if !ok || all {
		return nil, nil
	}
	p, err := x.answerPlan(ctx, child, false)
	if err != nil || p == nil {
		return nil, err
	}
	cut(&p.window, c)
	return p, nil
}

// project makes the columns those of a projection.
func (p *answerPlan) project(ctx *sql.Context, projections []sql.Expression) bool {
	columns, volatile := make([]answerColumn, len(projections)), map[int]bool{}
	for i, e := range projections {
		e = unnamed(e)
		if f, ok := e.(*expression.GetField); ok && f.Index() >= 0 && f.Index() < len(p.columns) {
			columns[i], volatile[i] = p.columns[f.Index()], p.volatile[f.Index()]
			if v := columns[i].value; v != nil {
				columns[i].value = func(ctx *sql.Context, row sql.Row) (any, error) {
					out, err := v(ctx, row)
					return withoutSign(out), err
				}
			}
			continue
		}
		var fields []int
		ok, changes := true, false
		sql.Inspect(ctx, e, func(_ *sql.Context, e sql.Expression) bool {
			switch e := e.(type) {
			case nil:
			case *expression.GetField:
				ok = ok && e.Index() >= 0 && e.Index() < len(p.columns)
				if ok && !slices.Contains(fields, e.Index()) {
					fields = append(fields, e.Index())
				}
			case sql.ExpressionWithNodes, *expression.SetField, sql.Aggregation:
				ok = false
			}
			changes = changes || e != nil && isVolatile(e)
			return ok
		})
		if !ok {
			return false
		}
		columns[i] = p.computed(e, fields)
		volatile[i] = changes
		for _, f := range fields {
			volatile[i] = volatile[i] || p.volatile[f]
		}
	}
	p.columns, p.volatile, p.projected = columns, volatile, true
	return true
}

// computed is an expression over fields of the rows so far.
func (p *answerPlan) computed(e sql.Expression, fields []int) answerColumn {
	below, projected := p.columns, p.projected
	c := answerColumn{}
	for _, f := range fields {
		needs := below[f].needs
		if below[f].value == nil {
			needs = []int{below[f].place}
		}
		for _, n := range needs {
			if !slices.Contains(c.needs, n) {
				c.needs = append(c.needs, n)
			}
		}
	}
	if p := epochOf(e); p != nil && below[p.field].value == nil {
		c.epoch = p
	}
	c.value = func(ctx *sql.Context, from sql.Row) (any, error) {
		row := make(sql.Row, len(below))
		for _, f := range fields {
			v, err := below[f].of(ctx, from)
			if err != nil {
				return nil, err
			}
			if projected {
				v = withoutSign(v)
			}
			row[f] = v
		}
		v, err := e.Eval(ctx, row)
		return withoutSign(v), err
	}
	return c
}

// withoutSign is a value as the SQL library's projection gives it: 0 in the place of -0.
func withoutSign(v any) any {
	switch v {
	case float64(0):
		return float64(0)
	case float32(0):
		return float32(0)
	}
	return v
}

// errAsRows says that an answer cannot be had as batches, but as rows. Nothing was
// yielded before.
var errAsRows = errors.New("the rows cannot be had as batches")

// layout says how the result's columns are made.
func (s *answerScan) layout() *batchLayout { return &s.shape }

// batches asks for the answer.
func (s *answerScan) batches(ctx *sql.Context, yield func(*exec.Batch) error) error {
	running, cancel := context.WithCancel(ctx.Context)
	defer cancel()
	seen, begun := int64(0), false
	err := s.answer.batches(running, func(b *exec.Batch) error {
		runs := slices.Clone(b.Runs)
		if b.Runs == nil {
			runs = []exec.Run{{Lo: 0, Hi: b.Rows}}
		}
		if runs, seen = s.window.cut(runs, seen); len(runs) > 0 {
			begun = true
			if err := yield(&exec.Batch{Columns: b.Columns, Rows: b.Rows, Runs: runs}); err != nil {
				return err
			}
		}
		if seen >= s.window.end {
			return errWindowFull
		}
		return nil
	})
	switch {
	case err == nil, errors.Is(err, errWindowFull):
		return nil
	case !begun && s.answer.fails(ctx, err):
		return errAsRows
	}
	return s.answer.limited(err)
}
