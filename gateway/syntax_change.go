package gateway

import (
	"reflect"

	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// Changes of a statement's syntax tree beside those that a syntaxWalk makes.

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
