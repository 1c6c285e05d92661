package gateway

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/catalog"
)

// joinKind is what a join does with the rows of its first side.
type joinKind uint8

const (
	joinUnknown joinKind = iota
	joinInner
	joinLeft
	joinSemi
	joinAnti  // NOT EXISTS
	joinNotIn // NOT IN
)

func kindOfJoin(t plan.JoinType) joinKind {
	switch t {
	case plan.JoinTypeInner, plan.JoinTypeHash, plan.JoinTypeLookup, plan.JoinTypeCross, plan.JoinTypeCrossHash:
		return joinInner
	case plan.JoinTypeLeftOuter, plan.JoinTypeLeftOuterHash, plan.JoinTypeLeftOuterLookup:
		return joinLeft
	case plan.JoinTypeSemi, plan.JoinTypeSemiHash, plan.JoinTypeSemiLookup:
		return joinSemi
	case plan.JoinTypeAntiIncludeNulls, plan.JoinTypeAntiHashIncludeNulls, plan.JoinTypeAntiLookupIncludeNulls:
		return joinAnti
	case plan.JoinTypeAnti, plan.JoinTypeAntiHash:
		return joinNotIn
	}
	return joinUnknown
}

// withoutMatch gives the slots of the rows of a left join whose right side has no row,
// as the planner writes NOT EXISTS and NOT IN; handled says that the filter asks for
// these.
func (s *groupSource) withoutMatch(n *plan.Filter) (slots []slot, handled, ok bool) {
	join, is := n.Child.(*plan.JoinNode)
	if !is {
		return nil, false, false
	}
	kind := joinAnti
	switch join.Op {
	case plan.JoinTypeLeftOuter, plan.JoinTypeLeftOuterHash, plan.JoinTypeLeftOuterLookup:
	case plan.JoinTypeLeftOuterExcludeNulls, plan.JoinTypeLeftOuterHashExcludeNulls:
		kind = joinNotIn
	default:
		return nil, false, false
	}
	null, is := n.Expression.(*expression.IsNull)
	if !is {
		return nil, false, false
	}
	f, is := null.Child.(*expression.GetField)
	schema, left := join.Schema(s.ctx), len(join.Left().Schema(s.ctx))
	if !is || f.Index() < left || !refersTo(s.ctx, f, schema) || !neverNull(s.ctx, join.Right(), f.Index()-left) {
		return nil, false, false
	}
	if slots, ok = s.joinAs(join, kind); !ok {
		return nil, true, false
	}
	for _, c := range schema[left:] {
		slots = append(slots, slot{kind: slotConstant, typ: c.Type, null: true})
	}
	return slots, true, true
}

// partial reports whether a join gives columns of its first side only.
func (k joinKind) partial() bool { return k == joinSemi || k == joinAnti || k == joinNotIn }

// broadcastJoin is a join of the source with a small table.
type broadcastJoin struct {
	*groupSource
	kind joinKind
	// rows are the slots of the events' rows.
	rows []slot
	// small is the other side, on its own; outputs are what a projection makes of its
	// rows, whose values then stand in front of theirs. schema is that side's.
	small   sql.Node
	outputs []sql.Expression
	schema  sql.Schema
	// beside are the columns of the joins around this one that stand in front of its
	// rows, where its conditions look at them.
	beside sql.Schema
	// eventsAt and smallAt are where the columns of the sides begin in the join's rows.
	eventsAt, smallAt int
	keys              []joinKey
	filters           []sql.Expression // over the small table's rows
	rest              []sql.Expression // what more the join says, over its rows
}

// joinKey is an equality of the two sides.
type joinKey struct {
	events sql.Expression // over the events' rows
	small  sql.Expression // over the small table's
	class  joinClass
}

// joinTable gives the slots of a join's rows.
func (s *groupSource) joinTable(n *plan.JoinNode) ([]slot, bool) {
	return s.joinAs(n, kindOfJoin(n.Op))
}

// joinAs is join for a join that is meant as one of a kind.
func (s *groupSource) joinAs(n *plan.JoinNode, kind joinKind) ([]slot, bool) {
	if n.ScopeLen != 0 || kind == joinUnknown {
		return nil, false
	}
	j := &broadcastJoin{groupSource: s, kind: kind, beside: s.beside}
	if !j.sides(n) || !j.conditionsOf(n) {
		return nil, false
	}
	j.different()
	table, ok := j.smallRows()
	if !ok {
		return nil, false
	}
	s.tables = append(s.tables, joinedTable{j.small, len(table)})
	if len(j.keys) == 0 {
		return j.single(table)
	}
	index, ok := j.index(table)
	if !ok || !j.matching(index) {
		return nil, false
	}
	if j.kind.partial() {
		return j.rows, true
	}
	return j.joined(j.columns(index))
}

// sides tells the events from the small table.
func (j *broadcastJoin) sides(n *plan.JoinNode) bool {
	left, right := n.Left(), n.Right()
	base := len(j.beside)
	width := len(left.Schema(j.ctx))
	events, small := left, right
	j.eventsAt, j.smallAt = base, base+width
	swapped := j.kind == joinInner && !leadsToEvents(left) && leadsToEvents(right)
	if swapped {
		events, small = unwrapped(right), left
		j.eventsAt, j.smallAt = base+width, base
	}
	j.schema = small.Schema(j.ctx)
	small = unwrapped(small)
	if p, ok := small.(*plan.Project); ok && fields(j.ctx, p) {
		small, j.outputs = p.Child, p.Projections
	}
	alone, probes, ok := standing(j.ctx, small)
	if !ok || len(probes) > 0 && swapped {
		return false
	}
	if swapped {
		j.groupSource.beside = slices.Concat(j.beside, left.Schema(j.ctx))
	}
	j.rows, ok = j.groupSource.rows(events)
	j.groupSource.beside = j.beside
	if !ok || len(j.rows) != len(events.Schema(j.ctx)) {
		return false
	}
	j.small = alone
	below := alone.Schema(j.ctx)
	for _, p := range probes {
		at := slices.IndexFunc(below, func(c *sql.Column) bool { return strings.EqualFold(c.Name, p.column) })
		if at < 0 || !refersTo(j.ctx, p.of, slices.Concat(j.beside, events.Schema(j.ctx))) {
			return false
		}
		of, ok := j.over(p.of, base, width)
		if !ok {
			return false
		}
		c := below[at]
		if !j.addKey(of, expression.NewGetField(len(j.outputs)+at, c.Type, c.Name, c.Nullable)) {
			return false
		}
	}
	return len(j.outputs) > 0 || len(below) == len(j.schema)
}

// unwrapped is a side of a join without what keeps its rows.
func unwrapped(n sql.Node) sql.Node {
	for {
		switch x := n.(type) {
		case *plan.HashLookup:
			n = x.Child
		case *plan.CachedResults:
			n = x.Child
		case *countedNode:
			n = x.Child
		default:
			return n
		}
	}
}

// leadsToEvents reports whether rows are those of a table of events, filtered and
// projected, and not groups of them.
func leadsToEvents(n sql.Node) bool {
	switch n := unwrapped(n).(type) {
	case *plan.ResolvedTable:
		_, ok := n.UnderlyingTable().(*eventsTable)
		return ok
	case *plan.JoinNode:
		return leadsToEvents(n.Left()) || leadsToEvents(n.Right())
	case *plan.TableAlias, *plan.SubqueryAlias, *plan.Filter, *plan.Project:
		return leadsToEvents(n.Children()[0])
	}
	return false
}

// addKey adds an equality; not ok if it takes more than the values.
func (j *broadcastJoin) addKey(events, small sql.Expression) bool {
	class, ok := joinClassOf(events.Type(j.ctx), small.Type(j.ctx))
	if !ok || !travels(j.ctx, events) {
		return false
	}
	j.keys = append(j.keys, joinKey{events, small, class})
	return len(j.keys) <= maxBroadcastKeys
}

// conditionsOf takes what the join says: the equalities of both sides, and the rest.
func (j *broadcastJoin) conditionsOf(n *plan.JoinNode) bool {
	if n.Filter == nil {
		return true
	}
	row := slices.Concat(j.beside, n.Left().Schema(j.ctx), n.Right().Schema(j.ctx))
	for _, part := range expression.SplitConjunction(j.ctx, n.Filter) {
		if !refersTo(j.ctx, part, row) {
			return false
		}
		if l, ok := part.(*expression.Literal); ok && l.Val == true {
			continue
		}
		if j.equality(part) {
			continue
		}
		if small, ok := j.over(part, j.smallAt, len(j.schema)); ok && j.kind != joinNotIn && travels(j.ctx, part) {
			j.filters = append(j.filters, small)
		} else {
			j.rest = append(j.rest, part)
		}
	}
	return len(j.rest) == 0 || j.kind == joinInner && len(j.keys) > 0
}

// equality takes a condition that is one of the two sides.
func (j *broadcastJoin) equality(e sql.Expression) bool {
	if own, ok := e.(*ownComparison); ok {
		e = own.stock
	}
	eq, ok := e.(*expression.Equals)
	if !ok {
		return false
	}
	for _, sides := range [][2]sql.Expression{{eq.Left(), eq.Right()}, {eq.Right(), eq.Left()}} {
		events, ok := j.over(sides[0], j.eventsAt, len(j.rows))
		if !ok {
			continue
		}
		if small, ok := j.over(sides[1], j.smallAt, len(j.schema)); ok {
			return j.addKey(events, small)
		}
	}
	return false
}

// over is an expression over the width columns of a join's row from a place, as one
// over a row of these; not ok if it has others, or none.
func (j *broadcastJoin) over(e sql.Expression, at, width int) (sql.Expression, bool) {
	ok, some := true, false
	out, _, err := transform.Expr(j.ctx, e, func(_ *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
		f, is := e.(*expression.GetField)
		if !is {
			return e, transform.SameTree, nil
		}
		some = true
		ok = ok && f.Index() >= at && f.Index() < at+width
		return f.WithIndex(f.Index() - at), transform.NewTree, nil
	})
	return out, ok && some && err == nil
}

// different has a side that is made of events give each of its keys once, where these
// are all that is asked of it: that is made where the events are.
func (j *broadcastJoin) different() {
	if !j.kind.partial() || len(j.keys) == 0 || !leadsToEvents(j.small) {
		return
	}
	made := func(e sql.Expression) sql.Expression {
		out, _, err := transform.Expr(j.ctx, e, func(_ *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
			f, is := e.(*expression.GetField)
			switch {
			case !is || len(j.outputs) == 0:
				return e, transform.SameTree, nil
			case f.Index() < len(j.outputs):
				return j.outputs[f.Index()], transform.NewTree, nil
			}
			return f.WithIndex(f.Index() - len(j.outputs)), transform.NewTree, nil
		})
		if err != nil {
			return nil
		}
		return out
	}
	keys, small := slices.Clone(j.keys), j.small
	var columns, filters []sql.Expression
	for i, k := range keys {
		columns = append(columns, made(k.small))
		keys[i].small = expression.NewGetField(i, k.small.Type(j.ctx), k.small.String(), k.small.IsNullable(j.ctx))
	}
	for _, f := range j.filters {
		filters = append(filters, made(f))
	}
	if slices.Contains(columns, nil) || slices.Contains(filters, nil) {
		return
	}
	if len(filters) > 0 {
		small = plan.NewFilter(j.ctx, expression.JoinAnd(filters...), small)
	}
	of := plan.NewDistinct(plan.NewProject(j.ctx, columns, small))
	j.small, j.keys, j.outputs, j.filters = j.sameAgain(differentKeys{j.small, fmt.Sprint(columns, filters)}, of), keys, nil, nil
}

// differentKeys names the rows of a node of which each key is read once.
type differentKeys struct {
	of      sql.Node
	columns string // and what they must fulfil
}

// sameAgain is what a node became when it was looked at before in this statement, so
// that it is read once.
func (j *broadcastJoin) sameAgain(n differentKeys, became sql.Node) sql.Node {
	a, ok := j.ctx.Value(allowanceKey{}).(*allowance)
	if !ok {
		return became
	}
	if before, ok := a.different[n]; ok {
		return before
	}
	if a.different == nil {
		a.different = map[differentKeys]sql.Node{}
	}
	a.different[n] = became
	return became
}

// smallRows reads the small table: the rows that fulfil what the join says of them.
func (j *broadcastJoin) smallRows() ([]sql.Row, bool) {
	table := j.broadcastOf(j.small)
	if table == nil || table.large {
		return nil, false
	}
	var rows []sql.Row
	for _, row := range table.rows {
		if len(j.outputs) > 0 {
			made := make(sql.Row, 0, len(j.outputs)+len(row))
			for _, e := range j.outputs {
				v, err := e.Eval(j.ctx, row)
				if err != nil {
					return nil, false
				}
				made = append(made, v)
			}
			row = append(made, row...)
		}
		keep := true
		for _, e := range j.filters {
			v, err := sql.EvaluateCondition(j.ctx, e, row)
			if err != nil {
				return nil, false
			}
			keep = keep && sql.IsTrue(v)
		}
		if keep {
			rows = append(rows, row)
		}
	}
	return rows, true
}

// single is a join without an equality: with one row, which is the same for all.
func (j *broadcastJoin) single(rows []sql.Row) ([]slot, bool) {
	if j.kind != joinInner || len(rows) != 1 {
		return nil, false
	}
	slots := make([]slot, len(j.schema))
	for i, c := range j.schema {
		v, err := sql.UnwrapAny(j.ctx, rows[0][i])
		if err != nil {
			return nil, false
		}
		slots[i] = slot{kind: slotComputed, typ: c.Type, null: c.Nullable, of: &composite{expression.NewLiteral(v, c.Type), j.rows}}
	}
	return j.joined(slots)
}

// joined gives the slots of the join's rows, and notes the rest of its conditions.
func (j *broadcastJoin) joined(small []slot) ([]slot, bool) {
	first, second := j.rows, small
	if j.smallAt < j.eventsAt {
		first, second = second, first
	}
	rows := slices.Concat(first, second)
	over := slices.Concat(make([]slot, len(j.beside)), rows)
	for _, e := range j.rest {
		if !j.condition(e, over) {
			return nil, false
		}
	}
	return rows, true
}

// broadcastIndex is a small table by its key.
type broadcastIndex struct {
	classes []joinClass
	keys    []string // in order
	rows    []sql.Row
	nullKey bool // a row has NULL in its key
}

// index puts the table's rows in order of their keys; not ok where the join gives
// a row of events more than once.
func (j *broadcastJoin) index(rows []sql.Row) (*broadcastIndex, bool) {
	x := &broadcastIndex{}
	for _, k := range j.keys {
		x.classes = append(x.classes, k.class)
	}
	byKey := make(map[string]sql.Row, len(rows))
	for _, row := range rows {
		var b []byte
		null := false
		for _, k := range j.keys {
			v, err := k.small.Eval(j.ctx, row)
			if err != nil {
				return nil, false
			}
			if v == nil {
				null = true
				break
			}
			var ok bool
			if b, ok = appendJoinKey(j.ctx, b, k.class, v); !ok {
				return nil, false
			}
		}
		if null {
			x.nullKey = true
			continue
		}
		if _, twice := byKey[string(b)]; twice && !j.kind.partial() {
			return nil, false
		}
		byKey[string(b)] = row
	}
	for key := range byKey {
		x.keys = append(x.keys, key)
	}
	slices.Sort(x.keys)
	for _, key := range x.keys {
		x.rows = append(x.rows, byKey[key])
	}
	return x, true
}

// lookup is an expression over the events' rows that looks up in the table.
func (j *broadcastJoin) lookup(t *broadcastColumn) *broadcastValue {
	l := &broadcastValue{table: t}
	for _, k := range j.keys {
		l.keys = append(l.keys, k.events)
	}
	return l
}

// matching notes the condition that a row of events has, or has not, a row in the
// table.
func (j *broadcastJoin) matching(x *broadcastIndex) bool {
	t := &broadcastColumn{name: tableOf(j.schema), typ: types.Boolean, mode: askExists, index: x}
	var e sql.Expression = j.lookup(t)
	switch j.kind {
	case joinInner, joinSemi:
		if in := j.list(x); in != nil {
			e = in
		}
	case joinAnti:
		e = expression.NewNot(e)
	case joinNotIn:
		if len(j.keys) > 1 {
			return false
		}
		t.mode, t.null = askIn, true
		e = expression.NewNot(e)
	case joinLeft:
		return true
	}
	return j.condition(e, j.rows)
}

// list is the condition as a list of keys, which leaves out what has none of them;
// nil where the key is more than a column, or there are too many.
func (j *broadcastJoin) list(x *broadcastIndex) sql.Expression {
	k := j.keys[0]
	f, bare := bareColumn(k.events)
	if len(j.keys) > 1 || !bare || j.table == nil || len(x.keys) == 0 || len(x.keys) > maxBroadcastList {
		return nil
	}
	s := &j.rows[f.Index()]
	if s.kind != slotColumn {
		return nil
	}
	switch t := j.groupSource.columns[s.column].exec.Type; {
	case t == catalog.TypeString && k.class == joinByText, t == catalog.TypeInt && k.class == joinByInteger:
	default:
		return nil
	}
	var tuple expression.Tuple
	for _, row := range x.rows {
		v, err := k.small.Eval(j.ctx, row)
		if err == nil {
			v, err = sql.UnwrapAny(j.ctx, v)
		}
		if err != nil {
			return nil
		}
		tuple = append(tuple, expression.NewLiteral(v, k.small.Type(j.ctx)))
	}
	in := expression.NewInTuple(k.events, tuple)
	if own := ownComparisonOf(j.ctx, in); own != nil {
		return own
	}
	return in
}

// columns are the slots of the table's columns.
func (j *broadcastJoin) columns(x *broadcastIndex) []slot {
	slots := make([]slot, len(j.schema))
	for i, c := range j.schema {
		t := &broadcastColumn{name: c.Source + "." + c.Name, typ: c.Type, mode: askColumn, null: c.Nullable || j.kind == joinLeft, index: x, column: i}
		slots[i] = slot{kind: slotComputed, typ: c.Type, null: t.null, of: &composite{j.lookup(t), j.rows}}
	}
	return slots
}

// tableOf is the name of the table whose columns these are.
func tableOf(schema sql.Schema) string {
	if len(schema) == 0 {
		return "a table"
	}
	return schema[0].Source
}
