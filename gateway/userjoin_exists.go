package gateway

import (
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"

	"arbor/engine/exec"
)

// EXISTS of a view's rows is left by the planner as a subquery for each row. It is a join
// all the same, if the subquery filters events and says that their user is the row's.

// outerColumn stands in the subquery for a column of the row outside.
type outerColumn int

// asking is a condition that is a subquery.
type asking struct {
	query *plan.Subquery
	kind  exec.JoinKind
	// of is what is to be among the subquery's values; nil if it is enough that there are
	// some.
	of sql.Expression
}

// existence is an EXISTS or NOT EXISTS, or an IN of a subquery that looks at the row outside.
func existence(e sql.Expression) (asking, bool) {
	a := asking{kind: exec.JoinSemi}
	if in, ok := e.(*ownIn); ok && in.query != nil {
		e = in.stock
	}
	if in, ok := e.(*plan.InSubquery); ok {
		query, is := in.Right().(*plan.Subquery)
		if _, rows := in.Left().(expression.Tuple); !is || rows || query.Correlated().Empty() {
			return a, false
		}
		a.query, a.of = query, in.Left()
		return a, true
	}
	if not, ok := e.(*expression.Not); ok {
		e, a.kind = not.Child, exec.JoinAnti
	}
	x, ok := e.(*plan.ExistsSubquery)
	if !ok {
		return a, false
	}
	a.query = x.Query
	return a, true
}

// existing gives the source of events of which some exist, or do not, and its slots; nil
// where a condition asks for something else.
func (s *groupSource) existing(n *plan.Filter) (*groupSource, []slot) {
	var plain, asked []sql.Expression
	for _, e := range expression.SplitConjunction(s.ctx, n.Expression) {
		if _, ok := existence(e); ok {
			asked = append(asked, e)
		} else {
			plain = append(plain, e)
		}
	}
	if len(asked) == 0 || !leadsToGroups(n.Child) {
		return nil, nil
	}
	below := n.Child
	if len(plain) > 0 {
		below = plan.NewFilter(s.ctx, expression.JoinAnd(plain...), below)
	}
	schema := n.Child.Schema(s.ctx)
	left := s.side(below, schema)
	if left == nil {
		return nil, nil
	}
	for _, e := range asked {
		a, _ := existence(e)
		right, conditions := s.asked(a, left, schema)
		if right == nil {
			return nil, nil
		}
		out, rows := s.joined(a.kind, left, right, nil, conditions)
		if out == nil {
			return nil, nil
		}
		left = newJoinSide(out, rows, "")
	}
	return left.source, left.rows
}

// asked makes a side of a subquery, and the conditions of it that look at the row outside,
// which are over the columns of the join then.
func (s *groupSource) asked(a asking, left *joinSide, outer sql.Schema) (*joinSide, []composite) {
	n := a.query.Query
	var value sql.Expression // that is compared
	if a.of != nil {
		p, ok := n.(*plan.Project)
		if !ok || len(p.Projections) != 1 || !refersTo(s.ctx, a.of, outer) {
			return nil, nil
		}
		if class, ok := joinClassOf(a.of.Type(s.ctx), p.Projections[0].Type(s.ctx)); !ok || class != joinByText {
			return nil, nil
		}
		value = p.Projections[0]
	}
	for {
		var below sql.Node
		switch x := n.(type) {
		case *plan.Project:
			below = x.Child
		case *plan.Distinct:
			below = x.Child
		case *plan.Sort:
			below = x.Child
		case *plan.Limit:
			if count, ok := constantCount(s.ctx, x.Limit); !ok || count == 0 || a.of != nil {
				return nil, nil
			}
			below = x.Child
		}
		if below == nil {
			break
		}
		if s.err = s.run.passed(s.ctx, n); s.err != nil {
			return nil, nil
		}
		n = below
	}
	if _, joins := n.(*plan.JoinNode); joins || !leadsToEvents(n) {
		return nil, nil
	}
	row := make(sql.Row, len(outer))
	for i := range row {
		row[i] = outerColumn(i)
	}
	n, _, err := transform.Node(s.ctx, n, plan.PrependRowInPlan(row, false))
	if err == nil {
		n, _, err = transform.Node(s.ctx, n, notLateral)
	}
	if err != nil {
		return nil, nil
	}
	source, rows, err := newGroupSource(s.ctx, n, s.run)
	if err != nil || source == nil || source.table == nil {
		s.err = err
		return nil, nil
	}
	right := newJoinSide(source, rows, nameOf(n))
	m := &slotMap{
		column: func(n int) slot { return slot{kind: slotColumn, column: left.width + n} },
		constant: func(c slot) slot {
			if at, ok := c.value.(outerColumn); ok {
				return left.rows[at]
			}
			return c
		},
	}
	var own, conditions []composite
	for _, c := range source.conditions {
		looks, ok := looksOutside(s.ctx, c, outer)
		switch {
		case !ok:
			return nil, nil
		case looks:
			conditions = append(conditions, m.composite(c))
		default:
			own = append(own, c)
		}
	}
	source.conditions = own
	if value != nil {
		c := composite{value, rows}
		if _, ok := looksOutside(s.ctx, c, outer); !ok {
			return nil, nil
		}
		both := []slot{s.project(a.of, left.rows), (&groupSource{ctx: s.ctx}).project(value, m.slots(rows))}
		conditions = append(conditions, composite{expression.NewEquals(
			expression.NewGetField(0, a.of.Type(s.ctx), "of", true), expression.NewGetField(1, value.Type(s.ctx), "value", true)), both})
	}
	return right, conditions
}

// notLateral has a derived table be one that does not look at the rows beside it: those that
// it looked at stand in front of its own.
func notLateral(_ *sql.Context, n sql.Node) (sql.Node, transform.TreeIdentity, error) {
	a, ok := n.(*plan.SubqueryAlias)
	if !ok || !a.IsLateral {
		return n, transform.SameTree, nil
	}
	alone := *a
	alone.IsLateral = false
	return &alone, transform.NewTree, nil
}

// looksOutside reports whether an expression looks at columns of the row outside; not ok
// where these are not the ones that it means.
func looksOutside(ctx *sql.Context, c composite, outer sql.Schema) (looks, ok bool) {
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
		case slotConstant:
			if at, is := s.value.(outerColumn); is {
				looks = true
				ok = ok && strings.EqualFold(outer[at].Name, f.Name())
			}
		case slotComputed:
			inside, known := looksOutside(ctx, *s.of, outer)
			looks, ok = looks || inside, ok && known
		}
		return ok
	})
	return looks, ok
}

// takeUserJoin makes the source that of a join of events by user, if a node is one, or a
// filter above one.
func (s *groupSource) takeUserJoin(n sql.Node) (rows []slot, taken bool) {
	if s.table != nil || s.columns != nil || len(s.conditions) > 0 || len(s.beside) > 0 {
		return nil, false
	}
	var out *groupSource
	switch n := n.(type) {
	case *plan.JoinNode:
		out, rows = s.userJoinOf(n, nil)
	case *plan.Filter:
		if j, ok := unwrapped(n.Child).(*plan.JoinNode); ok {
			out, rows = s.userJoinOf(j, expression.SplitConjunction(s.ctx, n.Expression))
		} else if out, rows = s.existing(n); out == nil && s.err == nil {
			out, rows = s.valued(n)
		}
	case *plan.Project:
		out, rows = s.valued(n)
	}
	if s.err != nil || out == nil {
		return nil, false
	}
	if !out.join.narrow && !out.join.valued && out.join.lookedUp(out.conditions) {
		if found, ok := s.otherRows(n); ok || s.err != nil {
			return found, ok
		}
	}
	*s = *out
	return rows, true
}

// lookedUp reports whether what the join asks is rather looked up by user (see broadcastJoin):
// it says nothing of both sides but that their users are equal, and one side has each once. A
// side with a moment of each user is joined: what is asked of it is how long after.
func (j *userJoin) lookedUp(conditions []composite) bool {
	if len(j.spans)+len(j.equals) > 0 || j.rest != nil {
		return false
	}
	for _, c := range conditions {
		if sides, ok := j.sidesOf(j.sides[0].source.ctx, c); !ok || sides == leftSide|rightSide {
			return false
		}
	}
	if j.kind == exec.JoinSemi || j.kind == exec.JoinAnti {
		return true
	}
	return slices.ContainsFunc(j.sides[:], func(d *joinSide) bool {
		return d.source.inner != nil && !slices.ContainsFunc(d.source.columns[:d.width], func(c sourceColumn) bool { return c.form == formMoment })
	})
}
