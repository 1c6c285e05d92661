package gateway

import (
	"reflect"
	"sync"

	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// syntaxWalk visits the nodes of a statement's syntax tree. The parser's own walk
// leaves out some branches and can change nothing.
type syntaxWalk struct {
	// node is called for each node that something points to, before what it holds.
	node func(n any, inside bool)
	// expr is called for each place of an expression, after what it holds; what
	// it returns takes the place.
	expr func(e sqlparser.Expr, inside bool) sqlparser.Expr
}

// walk visits a value. Inside is set in those parts of a SELECT that the SQL
// library knows by their text: all but FROM, WHERE and LIMIT.
func (w *syntaxWalk) walk(v reflect.Value, inside bool) {
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			w.place(v, inside)
		}
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		if w.node != nil {
			w.node(v.Interface(), inside)
		}
		if v.Type() == selectType {
			w.walkSelect(v.Elem(), inside)
			return
		}
		w.walk(v.Elem(), inside)
	case reflect.Struct:
		for _, i := range holders(v.Type()) {
			w.walk(v.Field(i), inside)
		}
	case reflect.Slice:
		if mayHold(v.Type().Elem()) {
			for i := range v.Len() {
				w.walk(v.Index(i), inside)
			}
		}
	}
}

// place visits what a place holds, and then puts something else there.
func (w *syntaxWalk) place(v reflect.Value, inside bool) {
	if e, ok := v.Interface().(sqlparser.InjectedExpr); ok {
		if _, ok := e.Expression.(exactMark); ok {
			return // what it holds was put there by an earlier walk
		}
	}
	held := v.Elem()
	if held.Kind() == reflect.Struct { // it cannot be changed where it is
		changed := reflect.New(held.Type()).Elem()
		changed.Set(held)
		w.walk(changed, inside)
		if v.CanSet() {
			v.Set(changed)
		}
	} else {
		w.walk(held, inside)
	}
	if w.expr == nil || !v.CanSet() || v.Type() != exprType {
		return
	}
	e := v.Interface().(sqlparser.Expr)
	if changed := w.expr(e, inside); changed != nil {
		v.Set(reflect.ValueOf(changed))
	}
}

// textual are the parts of a SELECT that are known by their text.
var textual = map[string]bool{"SelectExprs": true, "GroupBy": true, "Having": true, "OrderBy": true, "Window": true}

// walkSelect visits a SELECT. One that stands inside is inside as a whole.
func (w *syntaxWalk) walkSelect(s reflect.Value, inside bool) {
	for _, i := range holders(s.Type()) {
		w.walk(s.Field(i), inside || textual[s.Type().Field(i).Name])
	}
}

var (
	selectType = reflect.TypeFor[*sqlparser.Select]()
	exprType   = reflect.TypeFor[sqlparser.Expr]()
	authType   = reflect.TypeFor[sqlparser.AuthInformation]()
)

// holdersByType remembers holders.
var holdersByType sync.Map

// holders are the fields of a node that may hold nodes.
func holders(t reflect.Type) []int {
	if known, ok := holdersByType.Load(t); ok {
		return known.([]int)
	}
	var fields []int
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() && mayHold(f.Type) {
			fields = append(fields, i)
		}
	}
	holdersByType.Store(t, fields)
	return fields
}

// mayHold reports whether a value of a type may hold nodes, or be one.
func mayHold(t reflect.Type) bool { return mayHoldWithin(t, 0) }

// holdDepth bounds the look into types that hold each other.
const holdDepth = 4

func mayHoldWithin(t reflect.Type, depth int) bool {
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice:
		return mayHoldWithin(t.Elem(), depth)
	case reflect.Struct:
		if t == authType || depth == holdDepth {
			return t != authType
		}
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && mayHoldWithin(f.Type, depth+1) {
				return true
			}
		}
	}
	return false
}
