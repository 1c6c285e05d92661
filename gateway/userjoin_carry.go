package gateway

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"

	"arbor/engine/exec"
)

// What a statement says of one side's user holds of the other side's, whose rows need not be
// read otherwise:
//
//	a.distinct_id = b.distinct_id AND a.distinct_id = 'ann'
//
// The same goes for other texts that are equal. Rows of the right side that no left one has
// may stay away whatever the join is; rows of the left side only where those without a pair
// are not wanted.

// carry has each side fulfil what is known of the columns of the other one that are equal to
// its own.
func (j *userJoin) carry() {
	l, r := j.sides[0], j.sides[1]
	equals := append([]exec.JoinEqual{{Left: l.key, Right: r.key}}, j.equals...)
	both := j.kind == exec.JoinInner || j.kind == exec.JoinSemi
	for i, e := range equals {
		toRight, toLeft := l.source.saidOf(e.Left), []composite(nil)
		if both {
			toLeft = r.source.saidOf(e.Right)
		}
		if i == 0 {
			j.narrow = narrows(toRight) || narrows(toLeft)
		}
		for _, c := range toRight {
			r.fulfil(e.Right, c)
		}
		for _, c := range toLeft {
			l.fulfil(e.Left, c)
		}
	}
}

// saidOf are the conditions on a column that all rows fulfil, and that look at nothing else, as
// conditions on the one value of a row.
func (s *groupSource) saidOf(column int) (said []composite) {
	for _, c := range s.conditions {
		if s.looksOnlyAt(c, column) {
			said = append(said, s.ofOne(c, column, slot{kind: slotColumn, typ: s.columns[column].typ, null: true}))
		}
	}
	switch {
	case s.inner != nil:
		if below, ok := s.inner.keyColumn(column); ok {
			said = append(said, s.inner.source.saidOf(below)...)
		}
	case s.join != nil:
		side, at := s.join.of(column)
		if side == s.join.sides[0] || s.join.kind == exec.JoinInner {
			said = append(said, side.source.saidOf(at)...)
		}
	}
	return said
}

// fulfil has all rows of a side fulfil a condition on the value of a column, where a scan can
// see to it; rows that do not may come all the same.
func (d *joinSide) fulfil(column int, c composite) { d.source.fulfil(column, c, d.scan) }

// fulfil is that for a source. scan has the filter of a table, nil if there is none yet.
func (s *groupSource) fulfil(column int, c composite, scan *groupPlan) {
	switch {
	case s.table != nil:
		at := s.ofOne(c, 0, s.column(column))
		p := scan
		if p == nil {
			p = &groupPlan{ctx: s.ctx, source: s}
		}
		known := p.pushed(at.expr, at.over)
		if known.expr == nil || !known.exact {
			return
		}
		s.conditions = append(s.conditions, at)
		p.filter = withCondition(p.filter, known.expr)
	case s.inner != nil:
		if below, ok := s.inner.keyColumn(column); ok {
			s.inner.source.fulfil(below, c, s.inner)
		}
	case s.join != nil:
		j := s.join
		side, at := j.of(column)
		other := j.sides[0]
		if side == other {
			other = j.sides[1]
		} else if j.kind != exec.JoinInner {
			return
		}
		side.fulfil(at, c)
		if at == side.key {
			other.fulfil(other.key, c)
		}
	}
}

// withCondition is a filter, which may be none, and a condition.
func withCondition(filter, x *exec.Expr) *exec.Expr {
	if filter == nil {
		return x
	}
	return join(exec.OpAnd, filter, x)
}

// narrows reports whether one of some conditions on a column's value leaves but some values.
func narrows(said []composite) bool {
	for _, c := range said {
		e := c.expr
		switch own := e.(type) {
		case *ownComparison:
			e = own.stock
		case *ownIn:
			e = own.stock
		}
		switch e.(type) {
		case *expression.Equals, *expression.InTuple:
			return true
		}
	}
	return false
}

// keyColumn is the column of the rows that are grouped which a column of the groups is.
func (p *groupPlan) keyColumn(column int) (int, bool) {
	o := &p.wanted[column]
	if !o.bare() || o.parts[0] < 0 {
		return 0, false
	}
	ref := p.keys[o.parts[0]].ref
	if ref < 0 {
		return 0, false
	}
	return p.used[ref], true
}

// looksOnlyAt reports whether a condition looks at a column and at nothing else but constants.
func (s *groupSource) looksOnlyAt(c composite, column int) bool {
	some, only := false, true
	sql.Inspect(s.ctx, c.expr, func(_ *sql.Context, e sql.Expression) bool {
		f, is := e.(*expression.GetField)
		if !is {
			return only
		}
		if f.Index() < 0 || f.Index() >= len(c.over) {
			only = false
			return false
		}
		switch at := &c.over[f.Index()]; at.kind {
		case slotColumn:
			some = true
			only = only && at.column == column
		case slotConstant:
			_, outside := at.value.(outerColumn)
			only = only && !outside
		case slotComputed:
			some = some || s.looksOnlyAt(*at.of, column)
			only = only && s.looksOnlyAt(*at.of, column)
		default:
			only = false
		}
		return only
	})
	return some && only
}

// ofOne is a condition on a column over another slot in its place.
func (s *groupSource) ofOne(c composite, column int, other slot) composite {
	m := &slotMap{column: func(n int) slot {
		if n == column {
			return other
		}
		return slot{}
	}}
	return m.composite(c)
}
