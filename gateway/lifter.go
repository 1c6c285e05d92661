package gateway

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/dolthub/vitess/go/vt/sqlparser"
)

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
		if q, isQuery := e.(*sqlparser.Subquery); isQuery {
			ok = l.correlate(q) && ok
			return nil, false
		}
		if _, isColumn := e.(*sqlparser.ColName); isColumn {
			ok = false
		}
		return nil, true
	})
	return ok
}

// correlate puts the derived table's columns in the place of the keys that a
// subquery names, by the names of the SELECT's tables. It reports whether nothing
// else of theirs is named; a name without a table's is taken for the subquery's own.
func (l *lifter) correlate(q *sqlparser.Subquery) bool {
	own, outer := tableNames(q.Select), tableNames(l.s.From)
	ok := true
	w := syntaxWalk{expr: func(e sqlparser.Expr, _ bool) sqlparser.Expr {
		c, isColumn := e.(*sqlparser.ColName)
		if !isColumn || c.Qualifier.IsEmpty() {
			return nil
		}
		if name := strings.ToLower(c.Qualifier.Name.String()); own[name] || !outer[name] {
			ok = ok && own[name]
			return nil
		}
		i := l.keyOf(c)
		if i < 0 {
			ok = false
			return nil
		}
		return columnNamed(l.keys[i].name)
	}}
	w.walk(reflect.ValueOf(q), false)
	return ok
}

// tableNames are the names of all tables in a part of a statement, in lower case.
func tableNames(n sqlparser.SQLNode) map[string]bool {
	names := make(map[string]bool)
	sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) {
		if t, ok := n.(*sqlparser.AliasedTableExpr); ok {
			names[strings.ToLower(qualifier(t).Name.String())] = true
		}
		return true, nil
	}, n)
	return names
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
