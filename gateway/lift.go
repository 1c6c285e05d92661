package gateway

import (
	"fmt"
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
		if q, ok := e.(*sqlparser.Subquery); ok {
			subqueries = subqueries || closedSubquery(q)
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

// closedSubquery reports whether a subquery names only its own tables, as far as its
// text shows.
func closedSubquery(q *sqlparser.Subquery) bool {
	own, closed := make(map[string]bool), true
	sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) {
		if t, ok := n.(*sqlparser.AliasedTableExpr); ok {
			own[strings.ToLower(qualifier(t).Name.String())] = true
		}
		return true, nil
	}, q.Select)
	sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) {
		if c, ok := n.(*sqlparser.ColName); ok && !c.Qualifier.IsEmpty() && !own[strings.ToLower(c.Qualifier.Name.String())] {
			closed = false
		}
		return true, nil
	}, q.Select)
	return closed
}

// visitExprs visits the expressions that a value holds, those of subqueries left
// out; each says whether to go on into it.
func visitExprs(v reflect.Value, each func(sqlparser.Expr) bool) {
	replaceExprs(v, func(e sqlparser.Expr) (sqlparser.Expr, bool) {
		return nil, each(e)
	})
}

// replaceExprs puts others in the place of expressions that a value holds. For each
// it is asked what to put there, nil for nothing, and whether to look into it.
func replaceExprs(v reflect.Value, each func(sqlparser.Expr) (sqlparser.Expr, bool)) {
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return
		}
		if e, ok := v.Interface().(sqlparser.Expr); ok {
			with, inside := each(e)
			if with != nil && v.CanSet() {
				v.Set(reflect.ValueOf(with))
				return
			}
			if _, sub := e.(*sqlparser.Subquery); sub || !inside {
				return
			}
		}
		held := v.Elem()
		if held.Kind() != reflect.Struct {
			replaceExprs(held, each)
			return
		}
		changed := reflect.New(held.Type()).Elem()
		changed.Set(held)
		replaceExprs(changed, each)
		if v.CanSet() {
			v.Set(changed)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			replaceExprs(v.Elem(), each)
		}
	case reflect.Struct:
		for _, i := range holders(v.Type()) {
			replaceExprs(v.Field(i), each)
		}
	case reflect.Slice:
		if mayHold(v.Type().Elem()) {
			for i := range v.Len() {
				replaceExprs(v.Index(i), each)
			}
		}
	}
}

// lifter makes two SELECTs of one.
type lifter struct {
	s       *sqlparser.Select
	rolled  bool
	aliases map[string]sqlparser.Expr // of the result, in lower case
	keys    []liftedGroupKey
	values  []sqlparser.Expr
	texts   map[string]int // the values' places
}

// liftedGroupKey is a key of the groups.
type liftedGroupKey struct {
	expr sqlparser.Expr
	text string
	name string // in the derived table
	by   sqlparser.Expr
}

func (l *lifter) lift() (*sqlparser.Select, bool) {
	s := l.s
	for _, e := range s.SelectExprs {
		a, ok := e.(*sqlparser.AliasedExpr)
		if !ok {
			return nil, false
		}
		if !a.As.IsEmpty() {
			l.aliases[a.As.Lowered()] = a.Expr
		}
	}
	l.texts = make(map[string]int)
	for i, g := range s.GroupBy {
		if !l.addKey(i, g) {
			return nil, false
		}
	}
	outer := &sqlparser.Select{
		Into: s.Into, With: s.With, Limit: s.Limit, Lock: s.Lock, Comments: s.Comments, QueryOpts: s.QueryOpts,
		Window: copySyntax(s.Window), OrderBy: copySyntax(s.OrderBy),
	}
	for _, e := range s.SelectExprs {
		a := copySyntax(e.(*sqlparser.AliasedExpr))
		if a.As.IsEmpty() {
			nameColumn(a)
			a.As = sqlparser.NewColIdent(a.InputExpression)
			if c, ok := a.Expr.(*sqlparser.ColName); ok {
				a.As = c.Name
			}
		}
		outer.SelectExprs = append(outer.SelectExprs, a)
	}
	ok := l.replace(reflect.ValueOf(&outer.SelectExprs), false) && l.replace(reflect.ValueOf(&outer.Window), false)
	if s.Having != nil {
		having := copySyntax(s.Having)
		l.expandAliases(reflect.ValueOf(having))
		ok = ok && l.replace(reflect.ValueOf(having), false)
		outer.Where = &sqlparser.Where{Type: sqlparser.WhereStr, Expr: having.Expr}
	}
	ok = ok && l.replace(reflect.ValueOf(&outer.OrderBy), true)
	if !ok {
		return nil, false
	}
	var groups sqlparser.SelectStatement = l.level(len(l.keys))
	if l.rolled {
		for k := len(l.keys) - 1; k >= 0; k-- {
			groups = &sqlparser.SetOp{Type: sqlparser.UnionAllStr, Left: groups, Right: l.level(k)}
		}
		if len(outer.OrderBy) == 0 {
			for i, k := range l.keys {
				outer.OrderBy = append(outer.OrderBy,
					&sqlparser.Order{Expr: columnNamed(fmt.Sprintf(liftedTotal, i)), Direction: sqlparser.AscScr},
					&sqlparser.Order{Expr: columnNamed(k.name), Direction: sqlparser.AscScr})
			}
		}
	}
	outer.From = sqlparser.TableExprs{&sqlparser.AliasedTableExpr{
		Expr: &sqlparser.Subquery{Select: groups}, As: sqlparser.NewTableIdent(liftedTable),
		Auth: sqlparser.AuthInformation{AuthType: sqlparser.AuthType_IGNORE, TargetType: sqlparser.AuthTargetType_Ignore},
	}}
	return outer, true
}

// addKey takes a key, which may be a number or a name of the result.
func (l *lifter) addKey(i int, g sqlparser.Expr) bool {
	k := liftedGroupKey{expr: g, by: g, name: fmt.Sprintf(liftedKey, i)}
	switch g := g.(type) {
	case *sqlparser.SQLVal:
		if g.Type != sqlparser.IntVal {
			return false
		}
		n := 0
		if _, err := fmt.Sscan(string(g.Val), &n); err != nil || n < 1 || n > len(l.s.SelectExprs) {
			return false
		}
		k.expr = l.s.SelectExprs[n-1].(*sqlparser.AliasedExpr).Expr
		k.by = k.expr
	case *sqlparser.ColName:
		if e, ok := l.aliases[g.Name.Lowered()]; ok && g.Qualifier.IsEmpty() {
			k.expr, k.name = e, g.Name.String()
		}
	}
	found := false
	visitExprs(reflect.ValueOf(&k.expr), func(e sqlparser.Expr) bool {
		found = found || isGroupAggregate(e) || isWindow(e)
		return true
	})
	k.text = sqlparser.String(k.expr)
	l.keys = append(l.keys, k)
	return !found
}

// level is the SELECT of the groups by the first k keys.
func (l *lifter) level(k int) *sqlparser.Select {
	s := &sqlparser.Select{From: copySyntax(l.s.From), Where: copySyntax(l.s.Where)}
	add := func(e sqlparser.Expr, name string) {
		s.SelectExprs = append(s.SelectExprs, &sqlparser.AliasedExpr{Expr: copySyntax(e), As: sqlparser.NewColIdent(name)})
	}
	for i, key := range l.keys {
		if i < k {
			add(key.expr, key.name)
			s.GroupBy = append(s.GroupBy, copySyntax(key.by))
		} else {
			add(&sqlparser.NullVal{}, key.name)
		}
	}
	for i, v := range l.values {
		add(v, fmt.Sprintf(liftedValue, i))
	}
	if l.rolled {
		for i := range l.keys {
			flag := "0"
			if i >= k {
				flag = "1"
			}
			add(sqlparser.NewIntVal([]byte(flag)), fmt.Sprintf(liftedTotal, i))
		}
	}
	if len(s.SelectExprs) == 0 {
		add(sqlparser.NewIntVal([]byte("1")), fmt.Sprintf(liftedValue, 0))
	}
	if k == 0 && l.rolled { // no rows have no total, which a SELECT without keys would give
		s.GroupBy = append(s.GroupBy, &sqlparser.FuncExpr{Name: sqlparser.NewColIdent("concat"),
			Exprs: sqlparser.SelectExprs{&sqlparser.AliasedExpr{Expr: sqlparser.NewStrVal([]byte("all"))}}})
	}
	return s
}

// columnNamed is a column of the derived table.
func columnNamed(name string) *sqlparser.ColName {
	return &sqlparser.ColName{Name: sqlparser.NewColIdent(name), Qualifier: sqlparser.TableName{Name: sqlparser.NewTableIdent(liftedTable)}}
}

// expandAliases puts the expressions of the result in the place of their names.
func (l *lifter) expandAliases(v reflect.Value) {
	replaceExprs(v, func(e sqlparser.Expr) (sqlparser.Expr, bool) {
		if c, ok := e.(*sqlparser.ColName); ok && c.Qualifier.IsEmpty() {
			if of, ok := l.aliases[c.Name.Lowered()]; ok {
				if _, same := of.(*sqlparser.ColName); !same {
					return copySyntax(of), false
				}
			}
		}
		return nil, !isGroupAggregate(e)
	})
}

// replace puts the derived table's columns in the place of keys and aggregates. It
// reports whether nothing is left that only a single event has. With names set,
// names of the result may stay.
func (l *lifter) replace(v reflect.Value, names bool) bool {
	ok := true
	replaceExprs(v, func(e sqlparser.Expr) (sqlparser.Expr, bool) {
		if c, isColumn := e.(*sqlparser.ColName); isColumn {
			if names && c.Qualifier.IsEmpty() && l.aliases[c.Name.Lowered()] != nil {
				return nil, false
			}
			if strings.HasPrefix(c.Name.String(), "@") || strings.HasPrefix(c.Qualifier.Name.String(), "@") {
				return nil, false
			}
		}
		if f, isCall := e.(*sqlparser.FuncExpr); isCall && l.rolled && f.Name.Lowered() == "grouping" && len(f.Exprs) == 1 {
			if a, isExpr := f.Exprs[0].(*sqlparser.AliasedExpr); isExpr {
				if i := l.keyOf(a.Expr); i >= 0 {
					return columnNamed(fmt.Sprintf(liftedTotal, i)), false
				}
			}
		}
		if i := l.keyOf(e); i >= 0 {
			return columnNamed(l.keys[i].name), false
		}
		if isGroupAggregate(e) {
			text := sqlparser.String(e)
			i, known := l.texts[text]
			if !known {
				i = len(l.values)
				l.texts[text] = i
				l.values = append(l.values, e)
			}
			return columnNamed(fmt.Sprintf(liftedValue, i)), false
		}
		if _, isColumn := e.(*sqlparser.ColName); isColumn {
			ok = false
		}
		return nil, true
	})
	return ok
}

// keyOf is the key that an expression is, -1 for none.
func (l *lifter) keyOf(e sqlparser.Expr) int {
	switch e.(type) {
	case *sqlparser.SQLVal, *sqlparser.NullVal:
		return -1
	}
	c, isColumn := e.(*sqlparser.ColName)
	text := ""
	for i, k := range l.keys {
		if of, ok := k.expr.(*sqlparser.ColName); ok && isColumn {
			if c.Name.Equal(of.Name) && (c.Qualifier.IsEmpty() || of.Qualifier.IsEmpty() || c.Qualifier.Name.String() == of.Qualifier.Name.String()) {
				return i
			}
			continue
		}
		if isColumn {
			if b, ok := k.by.(*sqlparser.ColName); ok && c.Qualifier.IsEmpty() && c.Name.Equal(b.Name) {
				return i // the name of the key
			}
			continue
		}
		if text == "" {
			text = sqlparser.String(e)
		}
		if text == k.text {
			return i
		}
	}
	return -1
}

// copySyntax copies a part of a statement whole: the planner may change it.
func copySyntax[T any](of T) T {
	var out T
	copyValue(reflect.ValueOf(&out).Elem(), reflect.ValueOf(&of).Elem())
	return out
}

func copyValue(to, from reflect.Value) {
	switch from.Kind() {
	case reflect.Interface:
		if from.IsNil() {
			return
		}
		held := reflect.New(from.Elem().Type()).Elem()
		copyValue(held, from.Elem())
		to.Set(held)
	case reflect.Pointer:
		if from.IsNil() {
			return
		}
		to.Set(reflect.New(from.Type().Elem()))
		copyValue(to.Elem(), from.Elem())
	case reflect.Struct:
		to.Set(from)
		for _, i := range holders(from.Type()) {
			copyValue(to.Field(i), from.Field(i))
		}
	case reflect.Slice:
		if from.IsNil() {
			return
		}
		to.Set(reflect.MakeSlice(from.Type(), from.Len(), from.Len()))
		for i := range from.Len() {
			copyValue(to.Index(i), from.Index(i))
		}
	default:
		to.Set(from)
	}
}
