package gateway

import (
	"reflect"
	"strings"

	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// A window function over a group's aggregates, SUM(COUNT(*)) OVER (), is one of the
// things that the SQL library plans wrongly or not at all; a subquery beside
// aggregates, and HAVING with ORDER BY over one name, are others. Such a SELECT is
// written as two: a derived table that makes the groups, and around it what is
// computed of them.

// names of the derived table and of its columns: nobody writes them.
const (
	liftedTable = "arbor groups"
	liftedKey   = "arbor key %d"
	liftedValue = "arbor value %d"
	liftedTotal = "arbor total %d"
)

// rollupFunction stands behind the keys of a GROUP BY … WITH ROLLUP.
const rollupFunction = "arbor_rollup"

// liftGroups changes the SELECTs of a statement, in place, that are to be two.
func liftGroups(s sqlparser.Statement) {
	w := syntaxWalk{node: func(n any, _ bool) {
		if s, ok := n.(*sqlparser.Select); ok && s != nil {
			liftOrder(s)
			liftSelect(s)
		}
	}}
	w.walk(reflect.ValueOf(s), false)
}

func liftSelect(s *sqlparser.Select) {
	rolled := takeRollup(s)
	if !rolled && !wantsLift(s) {
		return
	}
	l := &lifter{s: s, aliases: make(map[string]sqlparser.Expr), rolled: rolled}
	if changed, ok := l.lift(); ok {
		*s = *changed
		return
	}
	if rolled { // it fails, and says what is missing
		s.GroupBy = append(s.GroupBy, &sqlparser.FuncExpr{Name: sqlparser.NewColIdent(rollupFunction)})
	}
}

// takeRollup takes the mark of WITH ROLLUP off the keys.
func takeRollup(s *sqlparser.Select) bool {
	if len(s.GroupBy) < 2 {
		return false
	}
	f, ok := s.GroupBy[len(s.GroupBy)-1].(*sqlparser.FuncExpr)
	if !ok || f.Name.Lowered() != rollupFunction {
		return false
	}
	s.GroupBy = s.GroupBy[:len(s.GroupBy)-1]
	return true
}

// wantsLift reports whether the SQL library would not do.
func wantsLift(s *sqlparser.Select) bool {
	var windows, aggregates, subqueries bool
	for _, e := range s.SelectExprs {
		if _, ok := e.(*sqlparser.StarExpr); ok {
			return false
		}
	}
	visitExprs(reflect.ValueOf(&s.SelectExprs), func(e sqlparser.Expr) bool {
		switch {
		case isWindow(e):
			windows = true
		case isGroupAggregate(e):
			aggregates = true
			return false
		}
		if _, ok := e.(*sqlparser.Subquery); ok {
			subqueries = true
			return false
		}
		return true
	})
	if !windows && !subqueries && (s.Having == nil || len(s.OrderBy) == 0) {
		return false
	}
	if !windows { // of a window's order nobody else knows
		visitExprs(reflect.ValueOf(&s.OrderBy), func(e sqlparser.Expr) bool {
			windows = windows || isWindow(e)
			return true
		})
	}
	grouped := len(s.GroupBy) > 0 || aggregates
	if !grouped {
		return false
	}
	return windows || subqueries || ordersByHavings(s)
}

// ordersByHavings reports whether a SELECT with HAVING orders by the name of an
// expression of aggregates.
func ordersByHavings(s *sqlparser.Select) bool {
	if s.Having == nil {
		return false
	}
	for _, o := range s.OrderBy {
		c, ok := o.Expr.(*sqlparser.ColName)
		if !ok || !c.Qualifier.IsEmpty() {
			continue
		}
		for _, e := range s.SelectExprs {
			a, ok := e.(*sqlparser.AliasedExpr)
			if !ok || !strings.EqualFold(a.As.String(), c.Name.String()) || isGroupAggregate(a.Expr) {
				continue
			}
			found := false
			visitExprs(reflect.ValueOf(a), func(e sqlparser.Expr) bool {
				found = found || isGroupAggregate(e)
				return true
			})
			if found {
				return true
			}
		}
	}
	return false
}

// isWindow reports whether an expression is a window function.
func isWindow(e sqlparser.Expr) bool {
	f, ok := e.(*sqlparser.FuncExpr)
	return ok && f.Over != nil
}

// isGroupAggregate reports whether an expression is an aggregate of a group.
func isGroupAggregate(e sqlparser.Expr) bool {
	switch e := e.(type) {
	case *sqlparser.FuncExpr:
		name := e.Name.Lowered()
		_, more := moreAggregates[name]
		return e.Over == nil && (e.IsAggregate() || more || orderedNames[name] || name == "any_value" || name == "bit_xor")
	case *sqlparser.GroupConcatExpr:
		return true
	}
	return false
}
