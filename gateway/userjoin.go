package gateway

import (
	"slices"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"arbor/catalog"
	"arbor/engine/exec"
)

// Joins of events with events, or with groups of them, by the user:
//
//	FROM events a JOIN events b ON a.distinct_id = b.distinct_id AND b.time > a.time
//
// Both sides come by user from where the data is, and are put together here, batch by
// batch (exec.Join). What one user has is all that is held. What stands above, such as
// a grouping, takes the batches.

// userJoin is such a join.
type userJoin struct {
	kind  exec.JoinKind
	sides [2]*joinSide
	spans []exec.JoinSpan // over the sides' columns
	// equals are texts that are equal beside those by which the sides are sorted; likewise.
	equals []exec.JoinEqual
	// rest is what else pairs have to fulfil, over the join's columns; nil is nothing.
	// Of an inner join it is among the source's conditions.
	rest *groupPlan
	// narrow says that users are equal to constants.
	narrow bool
	// valued says that the right side has a value of a subquery for each row of the left one.
	valued bool
}

// joinSide is a side of a join.
type joinSide struct {
	source *groupSource
	rows   []slot
	name   string // of the table, for people
	// width is how many columns of the source are the join's, and base where these begin.
	width, base int
	key         int // the column that is equal, by which rows are sorted
	// then is the column by which rows of one user are sorted, less than 0 for none.
	then int
	scan *groupPlan // of events
}

// joinSides are the sides whose columns an expression looks at.
type joinSides uint8

const (
	leftSide joinSides = 1 << iota
	rightSide
)

// joinsEvents reports whether a node's rows may be those of a userJoin, with nodes
// above it that filter and project.
func joinsEvents(ctx *sql.Context, n sql.Node) bool {
	switch n := unwrapped(n).(type) {
	case *plan.JoinNode:
		return leadsToGroups(n.Left()) && leadsToGroups(n.Right())
	case *plan.Filter:
		return joinsEvents(ctx, n.Child) || leadsToGroups(n.Child) && slices.ContainsFunc(expression.SplitConjunction(ctx, n.Expression), func(e sql.Expression) bool {
			_, ok := existence(e)
			return ok || len(valueQueries(ctx, e)) > 0
		})
	case *plan.Project:
		return joinsEvents(ctx, n.Child) || leadsToGroups(n.Child) && asksValues(ctx, n.Projections)
	case *plan.SubqueryAlias, *plan.TableAlias:
		return joinsEvents(ctx, n.Children()[0])
	}
	return false
}

// leadsToGroups reports whether rows are events, joined events or groups of them.
func leadsToGroups(n sql.Node) bool {
	switch n := unwrapped(n).(type) {
	case *plan.ResolvedTable, *plan.JoinNode:
		return leadsToEvents(n)
	case *plan.TableAlias, *plan.SubqueryAlias, *plan.Filter, *plan.Project, *plan.GroupBy, *plan.Having, *plan.Distinct, *plan.Sort:
		return leadsToGroups(n.Children()[0])
	}
	return false
}

// userJoinOf gives the source of a join of events and its slots; nil where it is none.
// above are conditions on its rows, which are fulfilled then.
func (s *groupSource) userJoinOf(n *plan.JoinNode, above []sql.Expression) (*groupSource, []slot) {
	kind, ok := mergeKind(n.Op)
	if !ok || n.ScopeLen != 0 || len(s.beside) > 0 || !leadsToGroups(n.Left()) || !leadsToGroups(n.Right()) {
		return nil, nil
	}
	left, right := unwrapped(n.Left()), unwrapped(n.Right())
	row := n.Left().Schema(s.ctx)
	width := len(row)
	row = slices.Concat(row, n.Right().Schema(s.ctx))
	var both, later []sql.Expression
	ofSides := [2][]sql.Expression{}
	add := func(e sql.Expression, on bool) bool {
		if l, ok := e.(*expression.Literal); ok && l.Val == true {
			return true
		}
		if !refersTo(s.ctx, e, row) {
			return false
		}
		j := &broadcastJoin{groupSource: s}
		if of, ok := j.over(e, 0, width); ok && (kind == exec.JoinInner || kind == exec.JoinSemi || !on) {
			ofSides[0] = append(ofSides[0], of)
		} else if of, ok := j.over(e, width, len(row)-width); ok && (on || kind == exec.JoinInner) {
			ofSides[1] = append(ofSides[1], of)
		} else if on || kind == exec.JoinInner {
			both = append(both, e)
		} else {
			later = append(later, e)
		}
		return true
	}
	if n.Filter != nil {
		for _, e := range expression.SplitConjunction(s.ctx, n.Filter) {
			if !add(e, true) {
				return nil, nil
			}
		}
	}
	for _, e := range above {
		if !add(e, false) {
			return nil, nil
		}
	}
	if kind == exec.JoinLeft {
		if i := slices.IndexFunc(later, func(e sql.Expression) bool { return s.isWithout(e, width, n.Right()) }); i >= 0 {
			kind, later = exec.JoinAnti, slices.Delete(later, i, i+1)
		}
	}
	if len(ofSides[0]) > 0 {
		left = plan.NewFilter(s.ctx, expression.JoinAnd(ofSides[0]...), left)
	}
	if len(ofSides[1]) > 0 {
		right = plan.NewFilter(s.ctx, expression.JoinAnd(ofSides[1]...), right)
	}
	l, r := s.side(left, n.Left().Schema(s.ctx)), s.side(right, n.Right().Schema(s.ctx))
	if l == nil || r == nil {
		return nil, nil
	}
	out, rows := s.joined(kind, l, r, both, nil)
	if out == nil {
		return nil, nil
	}
	if kind == exec.JoinAnti && len(rows) == width && len(n.Schema(s.ctx)) > width {
		for _, c := range row[width:] { // of a left join
			rows = append(rows[:len(rows):len(rows)], slot{kind: slotConstant, typ: c.Type, null: true})
		}
	}
	for _, e := range later {
		if !out.condition(e, rows) {
			return nil, nil
		}
	}
	return out, rows
}

// isWithout reports whether a condition on the rows of a left join is that the right side has no
// row: that a column is NULL which is none in its rows.
func (s *groupSource) isWithout(e sql.Expression, width int, right sql.Node) bool {
	null, ok := e.(*expression.IsNull)
	if !ok {
		return false
	}
	f, ok := null.Child.(*expression.GetField)
	return ok && f.Index() >= width && neverNull(s.ctx, right, f.Index()-width)
}

// mergeKind is what a join of the planner gives.
func mergeKind(t plan.JoinType) (exec.JoinKind, bool) {
	switch kindOfJoin(t) {
	case joinInner:
		return exec.JoinInner, true
	case joinLeft:
		return exec.JoinLeft, true
	case joinSemi:
		return exec.JoinSemi, true
	case joinAnti:
		return exec.JoinAnti, true
	}
	return 0, false
}

// side makes a side of a node; nil if it is more than is understood.
func (s *groupSource) side(n sql.Node, schema sql.Schema) *joinSide {
	of, rows, err := newGroupSource(s.ctx, n, s.run)
	if err != nil {
		s.err = err
		return nil
	}
	if of == nil || of.window != nil || len(rows) != len(schema) {
		return nil
	}
	return newJoinSide(of, rows, nameOf(n))
}

func newJoinSide(of *groupSource, rows []slot, name string) *joinSide {
	return &joinSide{source: of, rows: rows, name: name, width: len(of.columns), key: -1, then: -1}
}

// nameOf is the name of the table that a node's rows are of.
func nameOf(n sql.Node) string {
	switch n := unwrapped(n).(type) {
	case *plan.Filter:
		return nameOf(n.Child)
	case *plan.PrependNode:
		return nameOf(n.Child)
	case sql.Nameable:
		return n.Name()
	}
	return ""
}

// joined puts two sides together: conditions are over the rows of both, and more are
// conditions whose slots are those of the join. Nil where that is not understood.
func (s *groupSource) joined(kind exec.JoinKind, l, r *joinSide, conditions []sql.Expression, more []composite) (*groupSource, []slot) {
	r.base = l.width
	out := &groupSource{ctx: s.ctx, run: s.run, join: &userJoin{kind: kind, sides: [2]*joinSide{l, r}}}
	out.tables = slices.Concat(l.source.tables, r.source.tables)
	for _, d := range out.join.sides {
		for i := range d.width {
			c := d.source.columns[i]
			if d.name != "" {
				c.name = d.name + "." + c.name
			}
			out.columns = append(out.columns, c)
		}
	}
	rightRows := (&slotMap{column: func(n int) slot { return out.column(r.base + n) }}).slots(r.rows)
	rows := slices.Concat(l.rows, rightRows)
	var all []composite
	for _, e := range conditions {
		all = append(all, composite{e, rows})
	}
	all = append(all, more...)
	var rest []composite
	for _, c := range all {
		sides, ok := out.join.sidesOf(s.ctx, c)
		if !ok || !travels(s.ctx, c.expr) {
			return nil, nil
		}
		if sides != leftSide|rightSide || !out.equal(c) && !out.span(c) {
			rest = append(rest, c)
		}
	}
	rest, ok := out.sorted(rest)
	if !ok {
		return nil, nil
	}
	rest = out.alike(rest)
	out.join.carry()
	if !out.remaining(rest, rows) {
		return nil, nil
	}
	if !out.join.prepare() {
		return nil, nil
	}
	switch kind {
	case exec.JoinSemi, exec.JoinAnti:
		return out, l.rows
	case exec.JoinLeft:
		for i := range out.columns[r.base:] {
			out.columns[r.base+i].null = true
		}
		for i := range rightRows {
			if c := &rightRows[i]; c.kind != slotColumn {
				*c = slot{} // it is not NULL where the side has no row
			} else {
				c.null = true
			}
		}
		rows = slices.Concat(l.rows, rightRows)
	}
	return out, rows
}

// sidesOf says which sides an expression looks at; not ok if it looks at what is not
// known.
func (j *userJoin) sidesOf(ctx *sql.Context, c composite) (sides joinSides, ok bool) {
	ok = true
	sql.Inspect(ctx, c.expr, func(_ *sql.Context, e sql.Expression) bool {
		f, is := e.(*expression.GetField)
		if !is {
			return ok
		}
		if f.Index() < 0 || f.Index() >= len(c.over) {
			ok = false
			return false
		}
		switch s := &c.over[f.Index()]; s.kind {
		case slotColumn:
			if s.column < j.sides[1].base {
				sides |= leftSide
			} else {
				sides |= rightSide
			}
		case slotComputed:
			more, known := j.sidesOf(ctx, *s.of)
			sides, ok = sides|more, ok && known
		case slotUnknown:
			ok = false
		}
		return ok
	})
	return sides, ok
}

// sideColumn is the side and the side's column of an expression that is one.
func (s *groupSource) sideColumn(c composite, e sql.Expression) (side, column int, ok bool) {
	f, bare := bareColumn(e)
	if !bare || f.Index() < 0 || f.Index() >= len(c.over) || c.over[f.Index()].kind != slotColumn {
		return 0, 0, false
	}
	column = c.over[f.Index()].column
	if base := s.join.sides[1].base; column >= base {
		return 1, column - base, true
	}
	return 0, column, true
}

// equal takes an equality of texts as that by which the sides are sorted. That of users
// is preferred; what was taken before goes back to the rest.
func (s *groupSource) equal(c composite) bool {
	l, r, ok := s.equality(c)
	if !ok {
		return false
	}
	j := s.join
	if j.sides[0].key >= 0 {
		return false // see sorted
	}
	users := func(side, column int) bool { return j.sides[side].ofUsers(column) }
	if !users(0, l) || !users(1, r) {
		return false
	}
	j.sides[0].key, j.sides[1].key = l, r
	return true
}

// equality gives the columns of an equality of texts of the two sides, by which they can be
// sorted.
func (s *groupSource) equality(c composite) (l, r int, ok bool) {
	l, r, ok = s.sameTexts(c)
	return l, r, ok && s.join.sides[0].sortable(l) && s.join.sides[1].sortable(r)
}

// alike takes equalities of texts, and gives the conditions that are left.
func (s *groupSource) alike(conditions []composite) (rest []composite) {
	for _, c := range conditions {
		if l, r, ok := s.sameTexts(c); ok && s.join.sides[0].ofTexts(l) && s.join.sides[1].ofTexts(r) {
			s.join.equals = append(s.join.equals, exec.JoinEqual{Left: l, Right: r})
		} else {
			rest = append(rest, c)
		}
	}
	return rest
}

// sameTexts gives the columns of an equality of texts of the two sides.
func (s *groupSource) sameTexts(c composite) (l, r int, ok bool) {
	e := c.expr
	if own, is := e.(*ownComparison); is {
		e = own.stock
	}
	eq, is := e.(*expression.Equals)
	if !is {
		return 0, 0, false
	}
	if class, known := joinClassOf(eq.Left().Type(s.ctx), eq.Right().Type(s.ctx)); !known || class != joinByText {
		return 0, 0, false
	}
	side, a, ok1 := s.sideColumn(c, eq.Left())
	other, b, ok2 := s.sideColumn(c, eq.Right())
	if !ok1 || !ok2 || side == other {
		return 0, 0, false
	}
	if side == 1 {
		a, b = b, a
	}
	return a, b, true
}

// sorted has the sides sorted by some other equality among conditions, where there is
// none of users, and gives those that are left.
func (s *groupSource) sorted(conditions []composite) ([]composite, bool) {
	j := s.join
	if j.sides[0].key >= 0 {
		return conditions, true
	}
	for i, c := range conditions {
		if l, r, ok := s.equality(c); ok {
			j.sides[0].key, j.sides[1].key = l, r
			return slices.Delete(conditions, i, i+1), true
		}
	}
	return nil, false
}

// ofUsers reports whether a column has the users of events.
func (d *joinSide) ofUsers(column int) bool {
	switch of := d.source; {
	case of.table != nil:
		return of.columns[column].exec.Source == exec.SourceDistinctID
	case of.inner != nil:
		part := of.inner.wanted[column].parts[0]
		if part < 0 {
			return false
		}
		ref := of.inner.keys[part].ref
		below := &joinSide{source: of.inner.source}
		return ref >= 0 && below.ofUsers(of.inner.used[ref])
	case of.window != nil:
		return false
	default:
		side, at := of.join.of(column)
		return side.ofUsers(at)
	}
}

// sortable reports whether rows may be had in the order of a column of texts.
func (d *joinSide) sortable(column int) bool {
	of := d.source
	if !d.ofTexts(column) {
		return false
	}
	switch {
	case of.table != nil:
		return true
	case of.inner != nil:
		o := &of.inner.wanted[column]
		return o.bare() && !o.sum
	case of.join != nil:
		side, at := of.join.of(column)
		return at == side.key && (side == of.join.sides[0] || of.join.kind == exec.JoinInner)
	}
	return false
}

// ofTexts reports whether a column's values are kept as texts.
func (d *joinSide) ofTexts(column int) bool {
	return column < d.width && d.source.columns[column].form == formText && d.source.execColumn(column).Type == catalog.TypeString
}

// of is the side that a column of the join is of, and its number there.
func (j *userJoin) of(column int) (side *joinSide, at int) {
	if column >= j.sides[1].base {
		return j.sides[1], column - j.sides[1].base
	}
	return j.sides[0], column
}

// sortedBy reports whether the join's rows come in the order of a column.
func (j *userJoin) sortedBy(column int) bool {
	side, at := j.of(column)
	if side == j.sides[1] && j.kind != exec.JoinInner {
		return false
	}
	return at == side.key || side.source.join != nil && side.source.join.sortedBy(side.key) && side.source.join.sortedBy(at)
}

// remaining notes the conditions that are neither equal users nor spans, and those of
// sides that cannot filter.
func (s *groupSource) remaining(rest []composite, rows []slot) bool {
	j := s.join
	r := j.sides[1]
	if j.sides[0].source.table == nil {
		s.conditions = append(s.conditions, j.sides[0].source.conditions...)
	}
	if r.source.table == nil {
		m := &slotMap{column: func(n int) slot { return s.column(r.base + n) }}
		for _, c := range r.source.conditions {
			rest = append(rest, m.composite(c))
		}
	}
	if j.kind == exec.JoinInner {
		s.conditions = append(s.conditions, rest...)
		return true
	}
	if len(rest) == 0 {
		return true
	}
	over := &groupSource{ctx: s.ctx, run: s.run, columns: s.columns, conditions: rest, join: j}
	j.rest = &groupPlan{ctx: s.ctx, source: over, rows: rows}
	return j.rest.addConditions()
}

// prepare makes the plans of what is asked of events; not ok if that is not understood.
func (j *userJoin) prepare() bool {
	j.orderRight()
	for _, d := range j.sides {
		if d.source.table == nil {
			continue
		}
		d.scan = &groupPlan{ctx: d.source.ctx, source: d.source, rows: d.rows}
		if !d.scan.addConditions() {
			return false
		}
		if f, _ := d.fragment(d.sorting()); f.Validate() != nil {
			return false
		}
	}
	return true
}

// orderRight has the right side sorted by the time, too, where that is looked at.
func (j *userJoin) orderRight() {
	right := j.sides[1]
	for _, s := range j.spans {
		if right.source.table != nil && right.source.columns[s.Right].exec.Source == exec.SourceTime {
			right.then = s.Right
		}
	}
}

// slotMap gives slots over other columns.
type slotMap struct {
	column func(n int) slot
	// constant gives another slot for a constant one; nil leaves them.
	constant func(s slot) slot
	lists    map[*slot][]slot
	made     map[*composite]*composite
}

func (m *slotMap) slots(in []slot) []slot {
	if len(in) == 0 {
		return in
	}
	if out, ok := m.lists[&in[0]]; ok && len(out) == len(in) {
		return out
	}
	if m.lists == nil {
		m.lists, m.made = map[*slot][]slot{}, map[*composite]*composite{}
	}
	out := make([]slot, len(in))
	m.lists[&in[0]] = out
	for i, s := range in {
		switch s.kind {
		case slotColumn:
			n := m.column(s.column)
			n.typ, n.null, n.name = s.typ, n.null || s.null, s.name
			s = n
		case slotConstant:
			if m.constant != nil {
				s = m.constant(s)
			}
		case slotComputed:
			of, ok := m.made[s.of]
			if !ok {
				c := m.composite(*s.of)
				of = &c
				m.made[s.of] = of
			}
			s.of = of
		}
		out[i] = s
	}
	return out
}

func (m *slotMap) composite(c composite) composite { return composite{c.expr, m.slots(c.over)} }
