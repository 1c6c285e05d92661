package gateway

import (
	"slices"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"arbor/catalog"
	"arbor/engine/exec"
)

// An ORDER BY over rows of events is made where the data is, where all that
// decides about them is understood: what is below it filters and projects events,
// and the order is by values whose order the engine has. With a LIMIT the other
// columns are read of the first rows only. Rows of a join by user are sorted here, as
// they come (exec.RowSort).

// orderOutput is how a value of a row is made: of a column of the answer, or it is
// the same in all rows.
type orderOutput struct {
	column int // of the answer; less than 0 for a constant
	value  any // the constant
	// form says how a computed value is kept; columns are as a scan gives them.
	computed bool
	form     resultForm
	typ      sql.Type
	scale    uint8 // of a decimal
	unread   bool  // nobody looks at it
}

// pushSort puts an order that is made where the data is in the place of a Sort or
// TopN; nil where it is more than a fragment says.
func (x *executor) pushSort(ctx *sql.Context, n sql.Node) (*pushedSort, error) {
	if x.stockGroups {
		return nil, nil
	}
	s, err := newPushedSort(ctx, n, x.runner())
	if s != nil {
		s.stock = func(ctx *sql.Context, row sql.Row) (sql.RowIter, error) { return x.counted(ctx, n, row) }
	}
	return s, err
}

// newPushedSort makes the node; nil if it is not understood.
func newPushedSort(ctx *sql.Context, n sql.Node, run *runner) (*pushedSort, error) {
	var conditions sql.SortConditions
	var child sql.Node
	limit := int64(0)
	switch n := n.(type) {
	case *plan.Sort:
		conditions, child = n.SortConditions, n.Child
	case *plan.TopN:
		conditions, child = n.SortConditions, n.Child
		count, ok := topCount(ctx, n.Limit)
		if !ok || n.CalcFoundRows || count == 0 {
			return nil, nil
		}
		limit = count
	default:
		return nil, nil
	}
	source, rows, err := newGroupSource(ctx, child, run)
	if err != nil || source == nil || source.table == nil && source.join == nil {
		return nil, err
	}
	p := &groupPlan{ctx: ctx, source: source, rows: rows}
	if !p.addConditions() {
		return nil, nil
	}
	s := newSortOf(n, source, run)
	s.outputs = make([]orderOutput, len(rows))
	var refs []int // of the outputs and then of the order
	for i := range rows {
		ref, ok := s.output(p, i, &s.outputs[i])
		if !ok {
			return nil, nil
		}
		refs = append(refs, ref)
	}
	var order []exec.Order
	for _, c := range conditions {
		ref, _, ok := sortRef(p, c)
		if !ok {
			return nil, nil
		}
		refs = append(refs, ref)
		order = append(order, exec.Order{Descending: c.Order == sql.Descending})
	}
	if !s.makeFragment(p, refs, order, limit) {
		return nil, nil
	}
	return s, nil
}

// topCount is how many rows a TopN wants: a LIMIT, or the sum of it and an OFFSET.
func topCount(ctx *sql.Context, e sql.Expression) (int64, bool) {
	sum, ok := e.(*expression.Arithmetic)
	if !ok {
		return constantCount(ctx, e)
	}
	limit, ok := constantCount(ctx, sum.LeftChild)
	offset, is := constantCount(ctx, sum.RightChild)
	return limit + offset, ok && is && sum.Op == "+" && limit+offset >= limit
}

// noRef is for an output that is no column.
const noRef = 1 << 30

// output notes how value i of a row is made, and gives the reference to what it is
// made of.
func (s *pushedSort) output(p *groupPlan, i int, o *orderOutput) (ref int, ok bool) {
	slot := &p.rows[i]
	switch slot.kind {
	case slotConstant:
		o.value = slot.value
		return noRef, true
	case slotColumn:
		if s.source.unread(slot.column) {
			o.unread = true
			return noRef, true // nobody looks at it
		}
		if j := s.source.join; j != nil && !j.stored(slot.column) {
			c := &s.source.columns[slot.column]
			o.computed, o.form, o.typ = true, c.form, c.typ
		}
		return p.use(slot.column), true
	case slotComputed:
		if !travels(p.ctx, slot.of.expr) {
			return 0, false
		}
		return s.computed(p, expression.NewGetField(i, slot.typ, "value", slot.null), o)
	}
	return 0, false
}

// computed is output for an expression over the rows.
func (s *pushedSort) computed(p *groupPlan, e sql.Expression, o *orderOutput) (ref int, ok bool) {
	ref, form, t, ok := p.value(e)
	o.computed, o.form, o.typ = true, form, t
	return ref, ok && ref < 0 && form != formUnsigned && form.byBytes(t)
}

// sortRef is the reference to what rows are sorted by, with its form.
func sortRef(p *groupPlan, c sql.SortCondition) (ref int, form resultForm, ok bool) {
	if c.NullOrdering != sql.NullsFirst || !travels(p.ctx, c.Expr) {
		return 0, 0, false
	}
	if f, bare := bareColumn(c.Expr); bare {
		if f.Index() < 0 || f.Index() >= len(p.rows) {
			return 0, 0, false
		}
		if slot := &p.rows[f.Index()]; slot.kind == slotComputed && !travels(p.ctx, slot.of.expr) {
			return 0, 0, false
		}
	}
	ref, form, t, ok := p.value(c.Expr)
	return ref, form, ok && form != formUnsigned && form.ordered(t)
}

// makeFragment says what is asked for; refs are what the outputs and the order are
// made of. Not ok if that exceeds a limit.
func (s *pushedSort) makeFragment(p *groupPlan, refs []int, order []exec.Order, limit int64) bool {
	f := &exec.Fragment{Limit: limit, Computed: slices.Clone(p.computed)}
	if t := s.source.table; t != nil {
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
	f.Filter = renumbered(p.filter, number)
	for _, ref := range refs {
		switch {
		case ref == noRef:
		case ref < 0:
			f.Computed[-1-ref].Hidden = false
		default:
			f.Columns[ref].Hidden = false
		}
	}
	place := make([]int, len(f.Columns)+len(f.Computed)) // in the answer
	for i := range place {
		hidden := i < len(f.Columns) && f.Columns[i].Hidden || i >= len(f.Columns) && f.Computed[i-len(f.Columns)].Hidden
		if hidden {
			continue
		}
		place[i] = len(s.types)
		kind, _, _ := f.ColumnType(i)
		s.types = append(s.types, kind)
	}
	for i := range s.outputs {
		s.outputs[i].column = -1
		if refs[i] != noRef {
			s.outputs[i].column = place[number(refs[i])]
			_, _, s.outputs[i].scale = f.ColumnType(number(refs[i]))
		}
	}
	for i := range order {
		order[i].Column = place[number(refs[len(s.outputs)+i])]
	}
	f.Order = order
	s.fragment, s.used = f, p.used
	if j := s.source.join; j != nil && len(order) > 0 && len(f.Computed) == 0 { // see exec's parts of sorts
		if ref := refs[len(s.outputs)]; ref >= 0 && !order[0].Descending && j.sortedBy(p.used[ref]) {
			s.come = 1
		}
	}
	return f.Validate() == nil
}

// pushedSort is an ORDER BY that is made where the data is. Its rows are those of
// the node in whose place it stands.
type pushedSort struct {
	sql.Node // that node, for its schema and to run it where pushing fails
	gateway  *Gateway
	table    *eventsTable
	source   *groupSource
	fragment *exec.Fragment
	types    []catalog.Type // of the answer's columns
	outputs  []orderOutput
	// The rest is for rows of a join: the columns of it that the fragment has, by how many of
	// the order they come sorted, and how many groups a side may have.
	used   []int
	come   int
	groups int64
	// stock runs the node as the SQL library does.
	stock func(*sql.Context, sql.Row) (sql.RowIter, error)
}

var _ sql.ExecBuilderNode = (*pushedSort)(nil)

// newSortOf begins the order of a source's rows.
func newSortOf(n sql.Node, source *groupSource, run *runner) *pushedSort {
	table := source.bottom()
	s := &pushedSort{Node: n, gateway: table.gateway, table: table, source: source}
	if run != nil {
		s.groups = run.groups
	}
	return s
}

// Children are none: what is below is not run.
func (s *pushedSort) Children() []sql.Node { return nil }

// WithChildren changes nothing.
func (s *pushedSort) WithChildren(_ *sql.Context, children ...sql.Node) (sql.Node, error) {
	if len(children) != 0 {
		return nil, sql.ErrInvalidChildrenNumber.New(s, len(children), 0)
	}
	return s, nil
}
