package gateway

import (
	"slices"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/engine/exec"
)

// A subquery that makes one value of the events of the row's user is run for each row by the
// library:
//
//	WHERE a.time = (SELECT MAX(b.time) FROM events b WHERE b.distinct_id = a.distinct_id AND …)
//
// Where all that it says of the row outside is what is equal, it is a left join with groups by
// that. Of no events COUNT is 0, and the other aggregates are NULL, as a left join's columns are.

// valueQueries are the subqueries of an expression that look at the row outside and give one
// value of a group.
func valueQueries(ctx *sql.Context, e sql.Expression) (queries []*plan.Subquery) {
	sql.Inspect(ctx, e, func(_ *sql.Context, e sql.Expression) bool {
		switch e := e.(type) {
		case *plan.Subquery:
			if !e.Correlated().Empty() && makesOneGroup(e.Query) {
				queries = append(queries, e)
			}
			return false
		case *plan.InSubquery, *plan.ExistsSubquery:
			return false
		case *ownIn:
			return e.query == nil
		}
		return true
	})
	return queries
}

// makesOneGroup reports whether a node's rows are one group, with projections above it.
func makesOneGroup(n sql.Node) bool {
	switch n := n.(type) {
	case *plan.Project:
		return makesOneGroup(n.Child)
	case *plan.GroupBy:
		return len(n.GroupByExprs) == 0 && !slices.ContainsFunc(n.SelectDeps, func(e sql.Expression) bool { return !nullOfNothing(e) })
	}
	return false
}

// nullOfNothing reports whether an aggregate of no rows is NULL, or a count.
func nullOfNothing(e sql.Expression) bool {
	switch e := e.(type) {
	case *aggregation.Count, *aggregation.CountDistinct, *aggregation.Min, *aggregation.Max, *percentile:
		return true
	case *aggregate:
		return e.window == nil
	}
	return false
}

// asksValues reports whether an expression of a node asks for such a value.
func asksValues(ctx *sql.Context, exprs []sql.Expression) bool {
	return slices.ContainsFunc(exprs, func(e sql.Expression) bool { return len(valueQueries(ctx, e)) > 0 })
}

// valued gives the source of the rows of a filter or a projection that asks for values of
// subqueries, and its slots; nil where it asks for something else.
func (s *groupSource) valued(n sql.Node) (*groupSource, []slot) {
	var exprs, plain []sql.Expression
	below := n.Children()[0]
	schema := below.Schema(s.ctx)
	switch n := n.(type) {
	case *plan.Filter:
		for _, e := range expression.SplitConjunction(s.ctx, n.Expression) {
			if len(valueQueries(s.ctx, e)) > 0 {
				exprs = append(exprs, e)
			} else {
				plain = append(plain, e)
			}
		}
		if len(plain) > 0 {
			below = plan.NewFilter(s.ctx, expression.JoinAnd(plain...), below)
		}
	case *plan.Project:
		exprs = n.Projections
	}
	if !asksValues(s.ctx, exprs) || !leadsToGroups(below) {
		return nil, nil
	}
	left := s.side(below, schema)
	if left == nil {
		return nil, nil
	}
	first, values := left.rows, []slot(nil)
	asked := make([]sql.Expression, len(exprs))
	for i, e := range exprs {
		for _, q := range valueQueries(s.ctx, e) {
			v := s.value(q, left, schema)
			if v == nil {
				return nil, nil
			}
			width := len(left.rows)
			out, rows := s.joined(exec.JoinLeft, left, v.groups, nil, v.conditions)
			if out == nil {
				return nil, nil
			}
			out.join.valued = true
			left = newJoinSide(out, rows, "")
			at, t := len(schema)+len(values), q.Type(s.ctx)
			values = append(values, v.of(rows[width:]))
			var err error
			e, _, err = transform.Expr(s.ctx, e, func(_ *sql.Context, x sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
				if x != sql.Expression(q) {
					return x, transform.SameTree, nil
				}
				return expression.NewGetField(at, t, q.String(), true), transform.NewTree, nil
			})
			if err != nil {
				return nil, nil
			}
		}
		asked[i] = e
	}
	out, over := left.source, slices.Concat(first, values)
	if _, ok := n.(*plan.Project); ok {
		rows := make([]slot, len(asked))
		for i, e := range asked {
			rows[i] = out.project(e, over)
		}
		return out, rows
	}
	for _, e := range asked {
		if !out.condition(e, over) {
			return nil, nil
		}
	}
	return out, first
}

// queriedValue is a subquery's value by what it says of the row outside.
type queriedValue struct {
	groups     *joinSide
	conditions []composite // of the join with them
	// of is the value's slot, of those of the groups' columns in the join.
	of func(groups []slot) slot
}

// value makes groups of a subquery; nil where it asks for more.
func (s *groupSource) value(q *plan.Subquery, left *joinSide, outer sql.Schema) *queriedValue {
	row := make(sql.Row, len(outer))
	for i := range row {
		row[i] = outerColumn(i)
	}
	n, _, err := transform.Node(s.ctx, q.Query, plan.PrependRowInPlan(row, false))
	if err == nil {
		n, _, err = transform.Node(s.ctx, n, notLateral)
	}
	if err != nil {
		return nil
	}
	var above []sql.Node // from the top
	var group *plan.GroupBy
	for group == nil {
		if s.err = s.run.passed(s.ctx, n); s.err != nil {
			return nil
		}
		switch x := n.(type) {
		case *plan.GroupBy:
			group = x
		case *plan.Project, *plan.PrependNode:
			above, n = append(above, n), x.Children()[0]
		default:
			return nil
		}
	}
	source, rows, err := newGroupSource(s.ctx, group.Child, s.run)
	if err != nil || source == nil || source.table == nil {
		s.err = err
		return nil
	}
	p := &groupPlan{ctx: s.ctx, source: source, rows: rows}
	v := &queriedValue{}
	groups := &groupSource{ctx: s.ctx, run: s.run, inner: p}
	aggregates := groups.aggregatesOf(group.SelectDeps)
	if aggregates == nil {
		return nil
	}
	var own, outside []composite
	for _, c := range source.conditions {
		looks, ok := looksOutside(s.ctx, c, outer)
		switch {
		case !ok:
			return nil
		case looks:
			outside = append(outside, c)
		default:
			own = append(own, c)
		}
	}
	source.conditions = own
	for _, c := range outside {
		at, inside, ok := s.outerEquality(c, outer)
		if !ok {
			return nil
		}
		p.rows = c.over
		if !p.addKey(inside) {
			return nil
		}
		key := len(groups.columns)
		groups.answerColumn(inside.String(), inside.Type(s.ctx), p.key(len(p.keys)-1))
		both := []slot{left.rows[at], {kind: slotColumn, typ: inside.Type(s.ctx), null: true, column: left.width + key}}
		v.conditions = append(v.conditions, composite{expression.NewEquals(
			expression.NewGetField(0, outer[at].Type, outer[at].Name, true), expression.NewGetField(1, inside.Type(s.ctx), inside.String(), true)), both})
	}
	p.rows = rows
	if len(outside) == 0 || !p.addConditions() {
		return nil
	}
	if _, ok := p.fragment(); !ok {
		return nil
	}
	v.groups = newJoinSide(groups, groups.allColumns(), "")
	v.of = func(columns []slot) slot {
		rows := make([]slot, len(aggregates))
		for i, a := range aggregates {
			rows[i] = a(columns)
		}
		for _, n := range slices.Backward(above) {
			switch n := n.(type) {
			case *plan.PrependNode: // of which nothing is said
				rows = append(make([]slot, len(n.Row)), rows...)
			case *plan.Project:
				next := make([]slot, len(n.Projections))
				for i, e := range n.Projections {
					next[i] = groups.project(e, rows)
				}
				rows = next
			}
		}
		return rows[len(rows)-1]
	}
	return v
}

// outerEquality is a condition that an expression over a subquery's rows is equal to a column
// of the row outside, by value.
func (s *groupSource) outerEquality(c composite, outer sql.Schema) (outside int, inside sql.Expression, ok bool) {
	e := c.expr
	if own, is := e.(*ownComparison); is {
		e = own.stock
	}
	eq, is := e.(*expression.Equals)
	if !is {
		return 0, nil, false
	}
	if _, ok := joinClassOf(eq.Left().Type(s.ctx), eq.Right().Type(s.ctx)); !ok {
		return 0, nil, false
	}
	for _, sides := range [][2]sql.Expression{{eq.Left(), eq.Right()}, {eq.Right(), eq.Left()}} {
		f, bare := bareColumn(sides[0])
		if !bare || f.Index() < 0 || f.Index() >= len(c.over) {
			continue
		}
		at, is := c.over[f.Index()].value.(outerColumn)
		if looks, ok := looksOutside(s.ctx, composite{sides[1], c.over}, outer); is && ok && !looks {
			return int(at), sides[1], true
		}
	}
	return 0, nil, false
}

// aggregatesOf makes columns of aggregates, and gives how the value of each is made of the
// slots of all columns; nil if that is not understood.
func (s *groupSource) aggregatesOf(exprs []sql.Expression) (values []func(columns []slot) slot) {
	for _, e := range exprs {
		o := s.inner.output(e)
		if !o.ok {
			return nil
		}
		at, t := len(s.columns), e.Type(s.ctx)
		switch a := e.(type) {
		case *aggregation.Count, *aggregation.CountDistinct:
			s.answerColumn(e.String(), t, o)
			values = append(values, func(columns []slot) slot {
				zero := function.NewIfNull(s.ctx, expression.NewGetField(0, t, e.String(), true), expression.NewLiteral(int64(0), types.Int64))
				return slot{kind: slotComputed, typ: t, of: &composite{zero, []slot{columns[at]}}}
			})
		case *aggregate:
			if a.kind == aggregateAvg {
				of := s.average(a, o)
				if of == nil {
					return nil
				}
				values = append(values, of)
				continue
			}
			if !o.bare() && !o.sum {
				return nil
			}
			s.answerColumn(e.String(), t, o)
			values = append(values, func(columns []slot) slot { return columns[at] })
		default:
			if !o.bare() {
				return nil
			}
			s.answerColumn(e.String(), t, o)
			values = append(values, func(columns []slot) slot { return columns[at] })
		}
	}
	return values
}

// averageFunction is the name under which an average of a sum and a count travels.
const averageFunction = "arbor_average"

// Its other two arguments are the digits of an exact average.
var averageKind = &plainKind{name: averageFunction, least: 4, most: 4,
	typ: func(ctx *sql.Context, args []sql.Expression) sql.Type {
		precision, ok := constantOf(args[2])
		scale, also := constantOf(args[3])
		if !ok || !also || args[0].Type(ctx) == types.Float64 {
			return types.Float64
		}
		p, ok := asInteger(precision.Val)
		d, also := asInteger(scale.Val)
		if !ok || !also || p < 1 || p > types.DecimalTypeMaxPrecision || d < 0 || d > min(p, types.DecimalTypeMaxScale) {
			return types.Float64
		}
		return types.MustCreateDecimalType(uint8(p), uint8(d))
	},
	eval: func(_ *sql.Context, _ []sql.Expression, v []any) (any, error) {
		n, ok := asInteger(v[1])
		if !ok || n == 0 {
			return nil, nil
		}
		if sum, ok := v[0].(float64); ok {
			return sum / float64(n), nil
		}
		sum, ok := asDecimal(v[0])
		scale, also := asInteger(v[3])
		if !ok || !also {
			return nil, nil
		}
		b := &aggregateBuffer{count: n, large: sum, scale: int(scale)}
		return b.average()
	}}

// average is AVG, as an expression over the sum and the count, which are columns.
func (s *groupSource) average(a *aggregate, o groupOutput) func(columns []slot) slot {
	if len(o.parts) != 2 || a.shown != nil {
		return nil
	}
	t, sums := a.Type(s.ctx), *a
	sums.kind = aggregateSum
	sumType := sums.Type(s.ctx)
	precision, scale := int64(1), int64(0)
	sum := groupOutput{ok: true, parts: o.parts[:1], form: formDouble, typ: sumType}
	if d, exact := t.(sql.DecimalType); exact {
		precision, scale = int64(d.Precision()), int64(d.Scale())
		sum.sum = true
	}
	at := len(s.columns)
	s.answerColumn("sum of "+a.String(), sumType, sum)
	s.answerColumn("count of "+a.String(), types.Int64, groupOutput{ok: true, parts: o.parts[1:], form: formInt, typ: types.Int64})
	number := func(n int64) sql.Expression { return expression.NewLiteral(n, types.Int64) }
	average := &plainFunction{kind: averageKind, args: []sql.Expression{
		expression.NewGetField(0, sumType, "sum", true), expression.NewGetField(1, types.Int64, "count", true), number(precision), number(scale)}}
	return func(columns []slot) slot {
		return slot{kind: slotComputed, typ: t, null: true, of: &composite{average, columns[at : at+2]}}
	}
}

// withKnownValues is a projection that takes a subquery's value from a projection below it, of
// which the rows are, with nodes between that pass them on: the planner has what is sorted by
// computed there, and again above. Nil if there is none.
func withKnownValues(ctx *sql.Context, n *plan.Project) sql.Node {
	if !asksValues(ctx, n.Projections) {
		return nil
	}
	below := n.Child
	for {
		switch x := below.(type) {
		case *plan.Sort, *plan.TopN, *plan.Limit, *plan.Offset:
			below = x.Children()[0]
			continue
		}
		break
	}
	known, ok := below.(*plan.Project)
	if !ok {
		return nil
	}
	same := transform.SameTree
	next := make([]sql.Expression, len(n.Projections))
	for i, e := range n.Projections {
		var err error
		var kept transform.TreeIdentity
		next[i], kept, err = transform.Expr(ctx, e, func(_ *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
			q, ok := e.(*plan.Subquery)
			if !ok || len(valueQueries(ctx, q)) == 0 {
				return e, transform.SameTree, nil
			}
			at := slices.IndexFunc(known.Projections, func(e sql.Expression) bool {
				k, ok := unnamed(e).(*plan.Subquery)
				return ok && k.QueryString == q.QueryString && k.Correlated().Equals(q.Correlated())
			})
			if at < 0 {
				return e, transform.SameTree, nil
			}
			return expression.NewGetField(at, q.Type(ctx), known.Schema(ctx)[at].Name, true), transform.NewTree, nil
		})
		if err != nil {
			return nil
		}
		same = same && kept
	}
	if same {
		return nil
	}
	return plan.NewProject(ctx, next, n.Child)
}
