package gateway

import (
	"context"
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

// Window functions over events are computed by column, of rows that come in the order of
// the partitions from where the data is, where all that decides about them is understood:
//
//	Window(event, lag(time) over (partition by distinct_id order by time))
//	└ what filters and projects events
//
// becomes a fragment with an order, distinct_id and time, and an exec.WindowPlan over what
// it gives. The others are computed partition by partition (windowStream), or by the SQL
// library.

// pushedWindow is a Window that is computed so.
type pushedWindow struct {
	sql.Node // that node, for its schema and to run it where pushing fails
	// sort gives the rows. Its outputs are what the window's are made of: first those
	// that are no functions, then arguments.
	sort    *pushedSort
	plan    exec.WindowPlan
	outputs []windowResult
	stock   func(*sql.Context, sql.Row) (sql.RowIter, error)
}

var _ sql.ExecBuilderNode = (*pushedWindow)(nil)

// windowResult is a value of each row.
type windowResult struct {
	input    int // of the sort's outputs, where it is one of those
	function int // of the plan's, less than 0 for none
	form     resultForm
	typ      sql.Type
	known    bool // that form and typ are the value's
}

// Children are none: what is below is not run.
func (w *pushedWindow) Children() []sql.Node { return nil }

// WithChildren changes nothing.
func (w *pushedWindow) WithChildren(_ *sql.Context, children ...sql.Node) (sql.Node, error) {
	if len(children) != 0 {
		return nil, sql.ErrInvalidChildrenNumber.New(w, len(children), 0)
	}
	return w, nil
}

// BuildRowIter starts the query.
func (w *pushedWindow) BuildRowIter(ctx *sql.Context, _ sql.NodeExecBuilder, outer sql.Row) (sql.RowIter, error) {
	return w.ask(outer).rows(ctx), nil
}

// pushWindow puts one in the place of a Window; nil where it is more than is understood.
func (x *executor) pushWindow(ctx *sql.Context, n *plan.Window) (*pushedWindow, error) {
	if x.stockGroups {
		return nil, nil
	}
	w, err := newPushedWindow(ctx, n, x.runner())
	if w != nil {
		w.stock = func(ctx *sql.Context, row sql.Row) (sql.RowIter, error) { return x.stockWindow(ctx, n, row) }
	}
	return w, err
}

// window runs a Window row by row.
func (x *executor) window(ctx *sql.Context, n *plan.Window, row sql.Row) (sql.RowIter, error) {
	n = framed(ctx, n)
	if len(row) == 0 {
		if w, err := newWindowStream(ctx, n, x.pushSort); err != nil || w != nil {
			if err != nil {
				return nil, err
			}
			notePushed(ctx)
			return w.rows(ctx, n)
		}
	}
	return x.counted(ctx, n, row)
}

// stockWindow runs a Window as the SQL library does, of rows that are not sorted where
// the data is: what failed there would fail again.
func (x *executor) stockWindow(ctx *sql.Context, n *plan.Window, row sql.Row) (sql.RowIter, error) {
	return x.counted(ctx, framed(ctx, n), row)
}

// windowMaker makes a pushedWindow.
type windowMaker struct {
	*pushedWindow
	plan  *groupPlan
	refs  []int // of the sort's outputs
	order sql.SortConditions
	forms []resultForm // of the order
}

// newPushedWindow makes the node; nil if it is not understood.
func newPushedWindow(ctx *sql.Context, n *plan.Window, run *runner) (*pushedWindow, error) {
	partition, order, ok := windowOrder(n)
	if !ok || len(partition)+len(order) == 0 {
		return nil, nil
	}
	source, rows, err := newGroupSource(ctx, n.Child, run)
	if err != nil || source == nil || source.table == nil && source.join == nil {
		return nil, err
	}
	p := &groupPlan{ctx: ctx, source: source, rows: rows}
	if !p.addConditions() {
		return nil, nil
	}
	m := &windowMaker{plan: p, order: order, pushedWindow: &pushedWindow{Node: n, sort: newSortOf(n, source, run)}}
	var sortRefs []int
	var orders []exec.Order
	for _, e := range partition {
		ref, _, ok := sortRef(p, sql.SortCondition{Expr: e, NullOrdering: sql.NullsFirst})
		if !ok {
			return nil, nil
		}
		sortRefs, orders = append(sortRefs, ref), append(orders, exec.Order{})
	}
	sorted := order
	if last := len(order) - 1; last > 0 && source.join == nil && p.ascending(order[last], exec.SourceIngestID) && p.ascending(order[last-1], exec.SourceTime) {
		sorted, m.pushedWindow.plan.Unique = order[:last], true // rows of one time come so, each once
	}
	for _, c := range sorted {
		ref, form, ok := sortRef(p, c)
		if !ok {
			return nil, nil
		}
		m.forms = append(m.forms, form)
		sortRefs, orders = append(sortRefs, ref), append(orders, exec.Order{Descending: c.Order == sql.Descending})
	}
	for _, e := range n.SelectExprs {
		if !m.add(e) {
			return nil, nil
		}
	}
	if !m.sort.makeFragment(p, append(m.refs, sortRefs...), orders, 0) {
		return nil, nil
	}
	return m.finish(len(partition)), nil
}

// ascending reports whether an order is by a column of events that has a source.
func (p *groupPlan) ascending(c sql.SortCondition, source exec.Source) bool {
	f, bare := bareColumn(c.Expr)
	if !bare || c.Order != sql.Ascending || f.Index() < 0 || f.Index() >= len(p.rows) {
		return false
	}
	s := &p.rows[f.Index()]
	return s.kind == slotColumn && p.source.columns[s.column].exec.Source == source
}

// windowOrder is what rows are sorted by for all functions of a window: those have the
// same partitions, and the order of each begins the greatest one.
func windowOrder(n *plan.Window) (partition []sql.Expression, order sql.SortConditions, ok bool) {
	found := false
	var all []sql.SortConditions
	for _, e := range n.SelectExprs {
		def := windowOf(e)
		if def == nil {
			continue
		}
		if found && !sameExpressions(partition, def.PartitionBy) {
			return nil, nil, false
		}
		partition, found = def.PartitionBy, true
		all = append(all, def.OrderBy)
		if len(def.OrderBy) > len(order) {
			order = def.OrderBy
		}
	}
	for _, o := range all {
		if !slices.EqualFunc(o, order[:len(o)], func(a, b sql.SortCondition) bool { return a.String() == b.String() }) {
			return nil, nil, false
		}
	}
	return partition, order, found
}

// add adds an output.
func (m *windowMaker) add(e sql.Expression) bool {
	if a, ok := e.(*expression.Alias); ok {
		e = a.Child
	}
	def := windowOf(e)
	if def == nil {
		out := windowResult{function: -1}
		var ok bool
		out.input, ok = m.input(e, &out)
		m.outputs = append(m.outputs, out)
		return ok
	}
	f := exec.WindowFunction{Arg: -1, Order: len(def.OrderBy)}
	var ok bool
	if f.Frame, ok = m.frame(def); !ok {
		return false
	}
	out := windowResult{function: len(m.pushedWindow.plan.Functions), form: formInt, typ: types.Int64, known: true}
	if !m.function(e, &f, &out) {
		return false
	}
	m.pushedWindow.plan.Functions = append(m.pushedWindow.plan.Functions, f)
	m.outputs = append(m.outputs, out)
	return true
}

// input is the number, among the sort's outputs, of an expression over the rows.
func (m *windowMaker) input(e sql.Expression, out *windowResult) (int, bool) {
	s := m.sort
	var o orderOutput
	ref, ok := noRef, true
	if l, isLiteral := e.(*expression.Literal); isLiteral {
		o.value = l.Val
	} else if f, bare := bareColumn(e); bare {
		if ok = f.Index() >= 0 && f.Index() < len(m.plan.rows); ok {
			ref, ok = s.output(m.plan, f.Index(), &o)
			if slot := &m.plan.rows[f.Index()]; slot.kind == slotColumn {
				out.form, out.typ, out.known = m.plan.source.columns[slot.column].form, slot.typ, ref != noRef
			}
		}
	} else if ok = travels(m.plan.ctx, e); ok {
		ref, ok = s.computed(m.plan, e, &o)
	}
	if !ok {
		return 0, false
	}
	if o.computed {
		out.form, out.typ, out.known = o.form, o.typ, true
	}
	return m.addInput(ref, o), true
}

func (m *windowMaker) addInput(ref int, o orderOutput) int {
	m.refs, m.sort.outputs = append(m.refs, ref), append(m.sort.outputs, o)
	return len(m.refs) - 1
}

// argument is input for an argument, with the form and type of its values. A function's
// Arg is the input until the columns of the answer are known.
func (m *windowMaker) argument(e sql.Expression, f *exec.WindowFunction, out *windowResult) bool {
	if !travels(m.plan.ctx, e) {
		return false
	}
	s := m.plan.source.project(e, m.plan.rows)
	if s.kind == slotConstant || s.kind == slotUnknown {
		return false
	}
	ref, form, t, ok := m.plan.value(e)
	if !ok || ref < 0 && (form == formUnsigned || !form.byBytes(t)) {
		return false
	}
	out.form, out.typ = form, t
	f.Arg = m.addInput(ref, orderOutput{})
	return true
}

// function says what a function is.
func (m *windowMaker) function(e sql.Expression, f *exec.WindowFunction, out *windowResult) bool {
	switch e := e.(type) {
	case *window.RowNumber:
		f.Op = exec.WindowRowNumber
	case *window.Rank:
		f.Op, out.form, out.typ = exec.WindowRank, formBits, types.Uint64
	case *window.DenseRank:
		f.Op, out.form, out.typ = exec.WindowDenseRank, formBits, types.Uint64
	case *window.PercentRank:
		f.Op, out.form, out.typ = exec.WindowPercentRank, formDouble, types.Float64
	case *window.NTile:
		f.Op, out.form, out.typ = exec.WindowTiles, formDouble, types.Float64
		var ok bool
		f.N, ok = tiles(m.plan.ctx, e)
		return ok
	case *window.Lag:
		return m.shifted(e.ChildExpressions, hidden(e, "offset").Int(), f, out)
	case *window.Lead:
		return m.shifted(e.ChildExpressions, -hidden(e, "offset").Int(), f, out)
	case *window.FirstValue:
		f.Op = exec.WindowFirst
		return m.argument(e.Child, f, out)
	case *window.LastValue:
		f.Op = exec.WindowLast
		return m.argument(e.Child, f, out)
	case *windowValue:
		if e.name == cumeDistName {
			f.Op, out.form, out.typ = exec.WindowCumeDist, formDouble, types.Float64
			return true
		}
		f.Op = exec.WindowNth
		var ok bool
		f.N, ok = nthPlace(e.args[1])
		return ok && m.argument(e.args[0], f, out)
	case *aggregation.Count:
		f.Op = exec.WindowCount
		return m.counted(e.Child, f)
	case *aggregation.Min:
		f.Op = exec.WindowMin
		return m.argument(e.Child, f, out) && out.form.ordered(out.typ)
	case *aggregation.Max:
		f.Op = exec.WindowMax
		return m.argument(e.Child, f, out) && out.form.ordered(out.typ)
	case *aggregate:
		return m.number(e, f, out)
	default:
		return false
	}
	return true
}

// tiles is the number of tiles of an NTILE, which its node does not say: that of the last
// row of a partition that is large enough.
func tiles(ctx *sql.Context, e *window.NTile) (n int64, ok bool) {
	for rows := 64; rows <= 1<<20; rows *= 64 {
		fn, err := e.NewWindowFunction(ctx)
		if err != nil {
			return 0, false
		}
		part := sql.WindowInterval{End: rows}
		if err := fn.StartPartition(ctx, part, nil); err != nil {
			return 0, false // it is told when the statement is run
		}
		for range rows {
			v, err := fn.Compute(ctx, part, nil)
			if err != nil {
				return 0, false
			}
			if n, ok = asInteger(v); !ok {
				return 0, false
			}
		}
		if n < int64(rows) {
			return n, true
		}
	}
	return 0, false
}

// shifted is LAG or LEAD.
func (m *windowMaker) shifted(args []sql.Expression, offset int64, f *exec.WindowFunction, out *windowResult) bool {
	f.Op, f.N = exec.WindowBefore, offset
	if !m.argument(args[0], f, out) {
		return false
	}
	if len(args) < 2 {
		return true
	}
	l, ok := args[1].(*expression.Literal)
	if !ok {
		return false
	}
	switch v := l.Val.(type) {
	case nil:
		return true
	case string:
		f.Default = catalog.String(v)
		return out.form == formText
	}
	n, ok := asInteger(l.Val)
	f.Default = catalog.Int(n)
	return ok && out.form == formInt && out.typ == types.Int64
}

// counted is COUNT.
func (m *windowMaker) counted(e sql.Expression, f *exec.WindowFunction) bool {
	switch e := e.(type) {
	case *expression.Star:
		return true
	case *expression.Literal:
		return e.Val != nil
	}
	if s := m.plan.source.project(e, m.plan.rows); s.kind == slotColumn && !s.null {
		return true
	}
	var unused windowResult
	return m.argument(e, f, &unused)
}

// number is SUM or AVG.
func (m *windowMaker) number(a *aggregate, f *exec.WindowFunction, out *windowResult) bool {
	if _, distinct := a.child.(*expression.DistinctExpression); distinct || a.kind > aggregateAvg || !travels(m.plan.ctx, a.child) {
		return false
	}
	if s := m.plan.source.project(a.child, m.plan.rows); s.kind == slotConstant {
		return false
	}
	result, isExact := a.Type(m.plan.ctx).(sql.DecimalType)
	ref, ok := m.plan.numbers(a.child, isExact)
	if !ok {
		return false
	}
	f.Op, f.Arg = exec.WindowSum, m.addInput(ref, orderOutput{})
	if a.kind == aggregateAvg {
		f.Op = exec.WindowAverage
	}
	out.form, out.typ = formDouble, types.Float64
	if isExact {
		f.Scale = int(result.Scale())
		out.form, out.typ = formDecimal, result
	}
	return true
}

// frame is the frame of a window.
func (m *windowMaker) frame(def *sql.WindowDefinition) (exec.WindowFrame, bool) {
	f := exec.WindowFrame{}
	if def.Frame == nil {
		if len(def.OrderBy) > 0 {
			f.End.Kind = exec.BoundCurrent
		}
		return f, true
	}
	f.ByRows = def.Frame.String()[:len("RANGE")] != "RANGE"
	ok := true
	bound := func(current bool, before, after sql.Expression) exec.WindowBound {
		b := exec.WindowBound{}
		switch {
		case current:
			b.Kind = exec.BoundCurrent
		case before != nil:
			b.Kind = exec.BoundBefore
			b.N, ok = m.distance(def, before, f.ByRows, ok)
		case after != nil:
			b.Kind = exec.BoundAfter
			b.N, ok = m.distance(def, after, f.ByRows, ok)
		}
		return b
	}
	f.Start = bound(def.Frame.StartCurrentRow(), def.Frame.StartNPreceding(), def.Frame.StartNFollowing())
	f.End = bound(def.Frame.EndCurrentRow(), def.Frame.EndNPreceding(), def.Frame.EndNFollowing())
	return f, ok
}

// distance is how many rows, or how much, a bound is from the row.
func (m *windowMaker) distance(def *sql.WindowDefinition, e sql.Expression, byRows, so bool) (int64, bool) {
	if i, ok := e.(*expression.Interval); ok && !byRows && len(def.OrderBy) == 1 && m.forms[0] == formMoment {
		d, err := i.EvalDelta(m.plan.ctx, nil)
		if err != nil || d == nil || d.Years != 0 || d.Months != 0 {
			return 0, false
		}
		n := d.Days*microDay + d.Hours*microHour + d.Minutes*microMinute + d.Seconds*microSecond + d.Microseconds
		return n, so && n >= 0 && n < 1<<53
	}
	l, ok := e.(*expression.Literal)
	if !ok {
		return 0, false
	}
	n, ok := asInteger(l.Val)
	return n, so && ok && n >= 0 && (byRows || len(def.OrderBy) == 1 && m.forms[0] == formInt)
}

// finish makes the plan, when the columns of the answer are known.
func (m *windowMaker) finish(partition int) *pushedWindow {
	w := m.pushedWindow
	f := w.sort.fragment
	w.plan.Types = w.sort.types
	for i, o := range f.Order {
		if i < partition {
			w.plan.Partition = append(w.plan.Partition, o.Column)
			continue
		}
		w.plan.Order = append(w.plan.Order, o.Column)
		w.plan.Descending = append(w.plan.Descending, o.Descending)
	}
	for i := range w.plan.Functions {
		if x := &w.plan.Functions[i]; x.Arg >= 0 {
			o := &w.sort.outputs[x.Arg]
			x.Arg, x.ArgScale = o.column, int(o.scale)
		}
	}
	return w
}

// ask is the answer that the query is.
func (w *pushedWindow) ask(outer sql.Row) *pushedAnswer {
	s := w.sort
	a := &pushedAnswer{
		gateway: s.gateway, doing: "windows over " + s.table.project.Name + "." + s.table.name, totals: s.table.totals, limited: s.mysqlError,
		kinds: slices.Clone(s.types),
		run: func(ctx context.Context, yield func(*exec.Batch) error) (exec.ScanStats, error) {
			return w.run(ctx, yield)
		},
		stock: func(ctx *sql.Context) (sql.RowIter, error) { return w.stock(ctx, outer) },
	}
	for i := range w.plan.Functions {
		a.kinds = append(a.kinds, w.functionType(i))
	}
	for _, o := range w.outputs {
		if o.function < 0 {
			a.columns = append(a.columns, s.outputs[o.input].of())
			continue
		}
		place := len(s.types) + o.function
		column := formColumn(place, o.form, o.typ)
		switch w.plan.Functions[o.function].Op {
		case exec.WindowRank, exec.WindowDenseRank:
			column.whole = true
		case exec.WindowSum:
			if o.form == formDecimal {
				column = answerColumn{whole: true, needs: []int{place}, value: func(_ *sql.Context, row sql.Row) (any, error) {
					v := unshared(row[place])
					if v == nil {
						return nil, nil
					}
					return exactSum(v), nil
				}}
			}
		}
		a.columns = append(a.columns, column)
	}
	return a
}

// functionType is the type of a function's column.
func (w *pushedWindow) functionType(i int) catalog.Type {
	switch f := &w.plan.Functions[i]; f.Op {
	case exec.WindowPercentRank, exec.WindowCumeDist, exec.WindowTiles:
		return catalog.TypeDouble
	case exec.WindowBefore, exec.WindowFirst, exec.WindowLast, exec.WindowNth, exec.WindowMin, exec.WindowMax:
		return w.sort.types[f.Arg]
	case exec.WindowSum, exec.WindowAverage:
		if w.sort.types[f.Arg] == catalog.TypeDouble {
			return catalog.TypeDouble
		}
		return catalog.TypeDecimal
	}
	return catalog.TypeInt
}

// run computes the windows of the rows that are asked for.
func (w *pushedWindow) run(ctx context.Context, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	held := newHolding(ctx)
	defer held.release()
	p := w.plan
	p.Take = held.take
	windows, err := exec.NewWindows(&p, yield)
	if err != nil {
		return exec.ScanStats{}, err
	}
	stats, err := w.sort.run(ctx, func(b *exec.Batch) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return windows.Add(b)
	})
	if err != nil {
		return stats, err
	}
	return stats, windows.Finish()
}
