package gateway

import (
	"slices"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"arbor/engine/exec"
)

// groupPlan is a GROUP BY, or a DISTINCT, on its way to a Fragment. While it is
// made, columns are known by references: those of the source that are used are 0
// and more, computed ones less than 0.
type groupPlan struct {
	ctx    *sql.Context
	source *groupSource
	rows   []slot // of the rows that are grouped

	used       []int // columns of the source
	computed   []exec.Computed
	filter     *exec.Expr
	keys       []groupKey
	aggregates []exec.Aggregate
	// wanted are the outputs that a grouping of the answer takes, which are its
	// columns.
	wanted []groupOutput
	order  []exec.Order
	limit  int64
	// inOrder says that the rows come in the order that a GROUP_CONCAT wants.
	inOrder bool
}

// groupKey is a key of the groups.
type groupKey struct {
	ref  int
	form resultForm
	typ  sql.Type
}

// groupOutput is a value that is made of a group's keys and aggregates.
type groupOutput struct {
	ok bool
	// parts are columns of the answer: key n is n, aggregate n is less than 0.
	parts []int
	form  resultForm
	typ   sql.Type
	sum   bool // an exact sum, which has the order of its one part
	// finish makes the value, if it is more than the one part in its form.
	finish func(parts []any) (any, error)
}

// bare reports whether the output is a column of the answer.
func (o *groupOutput) bare() bool { return o.ok && o.finish == nil && len(o.parts) == 1 }

// newGroupPlan begins a plan for grouping by keys what a node gives; nil if it
// is not understood.
func newGroupPlan(ctx *sql.Context, n sql.Node, keys []sql.Expression, run *runner) (*groupPlan, error) {
	s, rows, err := newGroupSource(ctx, n, run)
	if err != nil || s == nil {
		return nil, err
	}
	p := &groupPlan{ctx: ctx, source: s, rows: rows}
	for _, e := range keys {
		if !p.addKey(e) {
			return nil, nil
		}
	}
	if !p.addConditions() {
		return nil, nil
	}
	return p, nil
}

// groupByPlan is newGroupPlan for a GROUP BY.
func groupByPlan(ctx *sql.Context, n *plan.GroupBy, run *runner) (*groupPlan, error) {
	if len(n.GroupByExprs) == 0 && plainSelect(n.SelectDeps) {
		return nil, nil
	}
	return newGroupPlan(ctx, n.Child, n.GroupByExprs, run)
}

// use is the reference to a column of the source.
func (p *groupPlan) use(column int) int {
	if i := slices.Index(p.used, column); i >= 0 {
		return i
	}
	p.used = append(p.used, column)
	return len(p.used) - 1
}

// compute is the reference to a computed column; not ok if it does not travel.
func (p *groupPlan) compute(c *composite, as resultForm, t sql.Type) (ref int, ok bool) {
	x, ok := encodeScalar(p.ctx, c, as, func(column int) resultForm { return p.source.columns[column].form })
	if !ok || len(x.args) > exec.MaxAggregateArgs {
		return 0, false
	}
	out := exec.Computed{Function: x.function, Hidden: true}
	for _, column := range x.args {
		out.Args = append(out.Args, p.use(p.source.namedProperty(c, column)))
	}
	out.Type, out.Precision, out.Scale = as.columnType(t)
	if len(x.args) == 1 && p.source.columns[x.args[0]].form == formMoment {
		out.Period = periodOf(p.ctx, c)
	}
	i := slices.IndexFunc(p.computed, func(o exec.Computed) bool {
		return o.Function == out.Function && slices.Equal(o.Args, out.Args)
	})
	if i < 0 {
		p.computed = append(p.computed, out)
		i = len(p.computed) - 1
	}
	return -1 - i, len(p.computed) <= exec.MaxComputed
}

// value is the reference to an expression's values, with their form.
func (p *groupPlan) value(e sql.Expression) (ref int, form resultForm, t sql.Type, ok bool) {
	s := p.source.project(e, p.rows)
	if s.kind == slotColumn {
		return p.use(s.column), p.source.columns[s.column].form, s.typ, p.known(s.column)
	}
	t = e.Type(p.ctx)
	of := e
	if s.kind == slotComputed {
		of = s.of.expr
	}
	if a, is := of.(*expression.Alias); is {
		of = a.Child
	}
	form, ok = formOf(of, t)
	if !ok {
		return 0, 0, nil, false
	}
	ref, ok = p.valueAs(e, form)
	return ref, form, t, ok
}

// known reports whether a column's values have a form.
func (p *groupPlan) known(column int) bool {
	_, ok := formOf(nil, p.source.columns[column].typ)
	return ok
}

// valueAs is the reference to an expression's values in another form than their
// own.
func (p *groupPlan) valueAs(e sql.Expression, form resultForm) (ref int, ok bool) {
	s := p.source.project(e, p.rows)
	switch s.kind {
	case slotUnknown:
		return 0, false
	case slotComputed:
		return p.compute(s.of, form, s.typ)
	}
	t := e.Type(p.ctx)
	field := expression.NewGetField(0, t, "value", true)
	return p.compute(&composite{field, []slot{s}}, form, t)
}

// addKey adds a key.
func (p *groupPlan) addKey(e sql.Expression) bool {
	if !travels(p.ctx, e) {
		return false
	}
	ref, form, t, ok := p.value(e)
	if form == formUnsigned && ok && ref < 0 {
		form = formBits
		ref, ok = p.valueAs(e, form)
	}
	if !ok || !form.byBytes(t) {
		return false
	}
	p.keys = append(p.keys, groupKey{ref, form, t})
	return len(p.keys) <= exec.MaxKeys
}

// keyOf is the key that has a reference's values.
func (p *groupPlan) keyOf(ref int) (groupOutput, bool) {
	for i, k := range p.keys {
		if k.ref == ref {
			return p.key(i), true
		}
	}
	return groupOutput{}, false
}

// key is a key's value.
func (p *groupPlan) key(i int) groupOutput {
	return groupOutput{ok: true, parts: []int{i}, form: p.keys[i].form, typ: p.keys[i].typ}
}

// part is the column of the answer that an aggregate is.
func (p *groupPlan) part(a exec.Aggregate) int {
	i := slices.IndexFunc(p.aggregates, func(b exec.Aggregate) bool {
		return a.Op == b.Op && slices.Equal(a.Args, b.Args) && slices.Equal(a.Params, b.Params)
	})
	if i < 0 {
		p.aggregates = append(p.aggregates, a)
		i = len(p.aggregates) - 1
	}
	return -1 - i
}

// fragment is what the plan asks for; not ok if that exceeds a limit.
func (p *groupPlan) fragment() (*exec.Fragment, bool) {
	f := &exec.Fragment{}
	if t := p.source.table; t != nil {
		f.Project, f.Copies, f.AsOf, f.Measured = t.project.ID, t.copies, t.asOf, t.totals != nil
	}
	for _, column := range p.used {
		c := p.source.execColumn(column)
		c.Hidden = true
		f.Columns = append(f.Columns, c)
	}
	number := func(ref int) int {
		if ref < 0 {
			return len(f.Columns) - 1 - ref
		}
		return ref
	}
	f.Computed = slices.Clone(p.computed)
	f.Filter = renumbered(p.filter, number)
	f.Group = &exec.Group{}
	for _, k := range p.keys {
		f.Group.Keys = append(f.Group.Keys, number(k.ref))
	}
	for _, a := range p.aggregates {
		a.Args = slices.Clone(a.Args)
		for i := range a.Args {
			a.Args[i] = number(a.Args[i])
		}
		f.Group.Aggregates = append(f.Group.Aggregates, a)
	}
	f.Order, f.Limit = p.order, p.limit
	return f, f.Validate() == nil
}

// renumbered is a filter whose columns have other numbers.
func renumbered(x *exec.Expr, number func(int) int) *exec.Expr {
	if x == nil {
		return nil
	}
	out := *x
	out.Column = number(x.Column)
	out.Args = nil
	for _, a := range x.Args {
		out.Args = append(out.Args, renumbered(a, number))
	}
	return &out
}

// column is the number, in the answer, of a part.
func (p *groupPlan) column(part int) int {
	if part < 0 {
		return len(p.keys) - 1 - part
	}
	return part
}
