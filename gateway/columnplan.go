package gateway

import (
	"slices"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/engine/exec"
)

// A plan whose rows are rows of one scan, less some and with other columns, is
// executed by a columnScan:
//
//	Limit? Offset?                 in any number and order, except that nothing
//	└ Project?                     is filtered above a Limit, and no expression
//	  └ Filter?                    stands on another one
//	    └ SubqueryAlias? TableAlias?
//	      └ …
//	        └ eventsTable
//
// columnPlan is such a plan, as it is made from the bottom up.
type columnPlan struct {
	ctx    *sql.Context
	table  *eventsTable
	values []sql.Expression // of the result's columns, over the table's rows
	where  []sql.Expression // what must be true, over the table's rows
	window rowWindow
	// projected is set when the rows have passed a projection.
	projected bool
}

// byColumn gives the rows of a whole plan as a columnScan, nil if it is none.
func (x *executor) byColumn(ctx *sql.Context, n sql.Node, row sql.Row) (sql.RowIter, error) {
	p := &columnPlan{ctx: ctx, window: rowWindow{end: unlimited}}
	if !x.columnPlan(n, p) {
		return nil, nil
	}
	s := p.scan()
	if s == nil {
		return nil, nil
	}
	if err := checkColumnCount(ctx, n); err != nil {
		return nil, err
	}
	s.stock = func(ctx *sql.Context) (sql.RowIter, error) { return x.main.Build(ctx, n, row) }
	return s, nil
}

// isRoot reports whether no node of the statement's plan was executed yet.
func isRoot(ctx *sql.Context) bool {
	h, ok := ctx.Session.(statementHolder)
	if !ok {
		return false
	}
	s := h.current()
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.executed
	s.executed = true
	return first
}

// columnPlan makes p of a plan. What would be refused or changed if the plan were
// executed node by node is left to that.
func (x *executor) columnPlan(n sql.Node, p *columnPlan) bool {
	if x.refuse(p.ctx, n) != nil {
		return false
	}
	if moments, err := withNumberMoments(p.ctx, n); err != nil || moments != nil {
		return false
	}
	switch n := n.(type) {
	case *plan.ResolvedTable:
		return p.start(n)
	case *plan.TableAlias:
		return x.columnPlan(n.Child, p)
	case *plan.SubqueryAlias:
		return x.columnPlan(n.Child, p)
	case *plan.Filter:
		return x.columnPlan(n.Child, p) && p.filter(n.Expression)
	case *plan.Project:
		return !n.IncludesNestedIters && x.columnPlan(n.Child, p) && p.project(n.Projections)
	case *plan.Offset:
		count, ok := constantCount(p.ctx, n.Offset)
		if !ok || !x.columnPlan(n.Child, p) {
			return false
		}
		p.window.offset(count)
		return true
	case *plan.Limit:
		count, ok := constantCount(p.ctx, n.Limit)
		if !ok || n.CalcFoundRows || !x.columnPlan(n.Child, p) {
			return false
		}
		p.window.limit(count)
		return true
	}
	return false
}

// start begins with all columns of a table.
func (p *columnPlan) start(n *plan.ResolvedTable) bool {
	t, ok := n.UnderlyingTable().(*eventsTable)
	if !ok || t.filtered || t.limit != 0 || t.only != nil {
		return false
	}
	p.table = t
	p.values = make([]sql.Expression, t.width())
	for i := range p.values {
		c := &t.all[t.place(i)]
		p.values[i] = expression.NewGetField(i, c.sqlType, c.name, c.nullable)
	}
	return true
}

func (p *columnPlan) filter(e sql.Expression) bool {
	if p.window != (rowWindow{end: unlimited}) {
		return false
	}
	e, ok := p.below(e)
	if ok {
		p.where = append(p.where, e)
	}
	return ok
}

func (p *columnPlan) project(projections []sql.Expression) bool {
	values := make([]sql.Expression, len(projections))
	for i, e := range projections {
		var ok bool
		if values[i], ok = p.below(e); !ok {
			return false
		}
		f, isColumn := unnamed(e).(*expression.GetField)
		if _, plain := values[i].(*expression.GetField); !isColumn || plain {
			continue
		}
		if slices.ContainsFunc(projections[:i], func(e sql.Expression) bool {
			g, ok := unnamed(e).(*expression.GetField)
			return ok && g.Index() == f.Index()
		}) {
			return false // it is evaluated once
		}
	}
	p.values, p.projected = values, true
	return true
}

// unnamed is an expression without AS.
func unnamed(e sql.Expression) sql.Expression {
	for {
		a, ok := e.(*expression.Alias)
		if !ok {
			return e
		}
		e = a.Child
	}
}

// below is an expression over the rows of the plan so far as one over the
// table's. What is no column there may only be taken as it is.
func (p *columnPlan) below(e sql.Expression) (sql.Expression, bool) {
	e = unnamed(e)
	if f, ok := e.(*expression.GetField); ok {
		if f.Index() < 0 || f.Index() >= len(p.values) {
			return nil, false
		}
		return p.values[f.Index()], true
	}
	known := true
	out, _, err := transform.Expr(p.ctx, e, func(_ *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
		f, ok := e.(*expression.GetField)
		if !ok {
			return e, transform.SameTree, nil
		}
		if f.Index() < 0 || f.Index() >= len(p.values) {
			known = false
			return e, transform.SameTree, nil
		}
		c, ok := p.values[f.Index()].(*expression.GetField)
		if !ok || p.projected && types.IsFloat(c.Type(p.ctx)) { // there -0 is 0 already
			known = false
			return e, transform.SameTree, nil
		}
		if c.Index() == f.Index() {
			return e, transform.SameTree, nil
		}
		return f.WithIndex(c.Index()), transform.NewTree, nil // an error calls it by its name
	})
	return out, err == nil && known
}

// byTableNames is an expression over the table's rows with the table's names.
func (p *columnPlan) byTableNames(e sql.Expression) sql.Expression {
	out, _, err := transform.Expr(p.ctx, e, func(_ *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
		f, ok := e.(*expression.GetField)
		if !ok || f.Index() >= p.table.width() {
			return e, transform.SameTree, nil
		}
		c := &p.table.all[p.table.place(f.Index())]
		if c.name == f.Name() {
			return e, transform.SameTree, nil
		}
		return expression.NewGetField(f.Index(), c.sqlType, c.name, c.nullable), transform.NewTree, nil
	})
	if err != nil {
		return e
	}
	return out
}

// scan is the plan as a scan, nil where an expression is more than a value of a row.
func (p *columnPlan) scan() *columnScan {
	t := *p.table
	left, values := p.push(&t), slices.Clone(p.values)
	named := p.nameProperties(left, values)
	needed := make(map[int]bool)
	for _, e := range append(slices.Clip(left), values...) {
		sql.Inspect(p.ctx, e, func(_ *sql.Context, e sql.Expression) bool {
			if f, ok := e.(*expression.GetField); ok && f.Index() < t.width() {
				needed[f.Index()] = true
			}
			return true
		})
	}
	if len(left) == 0 && p.window.end != unlimited {
		t.limit = p.window.end
	}
	s := &columnScan{table: t.withOnly(needed), window: p.window}
	s.read, s.shape.places = s.table.fragment()
	s.read.Runs = true
	for i, c := range named {
		s.read.Columns, s.shape.places = append(s.read.Columns, c), append(s.shape.places, t.width()+i)
	}
	s.shape.width, s.shape.kinds, s.shape.projected = t.width()+len(named), kindsOf(s.read), p.projected
	for _, e := range left {
		c := newComputedValue(p.ctx, e, &s.shape)
		if c == nil {
			return nil
		}
		s.where = append(s.where, c)
	}
	at := make(map[int]int, len(s.shape.places)) // the batch's columns, by their places
	for i, place := range s.shape.places {
		at[place] = i
	}
	for _, e := range values {
		if f, ok := e.(*expression.GetField); ok {
			s.shape.columns = append(s.shape.columns, columnSource{place: at[f.Index()]})
			continue
		}
		c := newComputedValue(p.ctx, e, &s.shape)
		if c == nil {
			return nil
		}
		s.shape.columns = append(s.shape.columns, columnSource{value: c})
	}
	return s
}

// push lets the scan decide what it understands of the conditions, and gives the
// others, with those that it does not understand exactly.
func (p *columnPlan) push(t *eventsTable) (left []sql.Expression) {
	push := &pusher{ctx: p.ctx, table: p.table, name: p.table.name}
	var all []sql.Expression
	for _, e := range p.where {
		all = append(all, expression.SplitConjunction(p.ctx, e)...)
	}
	var pushed *exec.Expr
	for _, e := range all {
		x := push.translate(p.byTableNames(e))
		switch {
		case x.expr == nil:
		case pushed == nil:
			pushed = x.expr
		default:
			pushed = join(exec.OpAnd, pushed, x.expr)
		}
		if x.expr == nil || !x.exact {
			left = append(left, withMoments(p.ctx, e))
		}
	}
	t.filtered, t.filter, t.filterColumns = true, pushed, push.columns
	if f, _ := t.fragment(); f.Validate() != nil { // too long or too deep
		t.filter, t.filterColumns = nil, nil
		return all
	}
	return left
}
