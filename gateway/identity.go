package gateway

import (
	"context"
	"encoding/hex"
	"reflect"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// The SQL library knows an aggregate, a window function and a grouping by its
// text in lower case. Strings compare with case, so SUM(k = 'A') and
// SUM(k = 'a') are two sums, but the library computes one of them and gives it
// twice; the same goes for properties->'$.Plan' and '$.plan'. So in a statement
// that has strings which differ in case alone, each of them becomes an
// expression whose text shows its bytes.

// keepApart changes a statement in place.
func keepApart(s sqlparser.Statement) sqlparser.Statement {
	chooseLogin(s)
	leaveAccess(s)
	if s == nil || !selects(s) {
		return s
	}
	joinConcatenated(s)
	var found stringsSeen
	walkSelects(reflect.ValueOf(&s).Elem(), false, found.add)
	if found.confusable() {
		walkSelects(reflect.ValueOf(&s).Elem(), false, func(v reflect.Value, l *sqlparser.SQLVal) {
			if v.Kind() == reflect.Interface && v.CanSet() && found.confuses(l) {
				v.Set(reflect.ValueOf(exact(l)))
			}
		})
	}
	return s
}

// joinConcatenated makes GROUP_CONCAT(a, b) out of CONCAT(a, b): the SQL library
// takes the first expression only.
func joinConcatenated(s sqlparser.Statement) {
	sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) {
		if g, ok := n.(*sqlparser.GroupConcatExpr); ok && len(g.Exprs) > 1 {
			g.Exprs = sqlparser.SelectExprs{&sqlparser.AliasedExpr{
				Expr: &sqlparser.FuncExpr{Name: sqlparser.NewColIdent("concat"), Exprs: g.Exprs},
			}}
		}
		return true, nil
	}, s)
}

// selects reports whether a statement holds a SELECT; the values of an INSERT
// may be many and need not be looked at.
func selects(s sqlparser.Statement) bool {
	switch s := s.(type) {
	case sqlparser.SelectStatement, *sqlparser.Explain, *sqlparser.DDL, *sqlparser.Update, *sqlparser.Delete,
		*sqlparser.Set, *sqlparser.Call, *sqlparser.BeginEndBlock:
		return true
	case *sqlparser.Insert:
		_, ok := s.Rows.(sqlparser.SelectStatement)
		return ok
	}
	return false
}

// stringsSeen are the strings of a statement that are part of a text by which
// something is known: by their text in lower case, the first exact one.
type stringsSeen struct {
	exact     map[string]string
	confused  map[string]bool
	unknown   int // placeholders, whose values come later
	constants int
}

func (f *stringsSeen) add(_ reflect.Value, l *sqlparser.SQLVal) {
	if l.Type == sqlparser.ValArg {
		f.unknown++
		return
	}
	if f.exact == nil {
		f.exact, f.confused = make(map[string]string), make(map[string]bool)
	}
	f.constants++
	text := string(l.Val)
	lower := strings.ToLower(text)
	if first, ok := f.exact[lower]; !ok {
		f.exact[lower] = text
	} else if first != text {
		f.confused[lower] = true
	}
}

func (f *stringsSeen) confusable() bool {
	return len(f.confused) > 0 || f.unknown > 1 || f.unknown > 0 && f.constants > 0
}

// confuses reports whether a string must be kept apart from others.
func (f *stringsSeen) confuses(l *sqlparser.SQLVal) bool {
	return l.Type == sqlparser.ValArg || f.unknown > 0 || f.confused[strings.ToLower(string(l.Val))]
}

// walkSelects visits the strings and placeholders in the parts of each SELECT
// that the library knows by their text: not FROM, WHERE and LIMIT. The parser's
// own walk leaves out some branches.
func walkSelects(v reflect.Value, inside bool, visit func(reflect.Value, *sqlparser.SQLVal)) {
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return
		}
		if l, ok := v.Interface().(*sqlparser.SQLVal); ok {
			if inside && l != nil && (l.Type == sqlparser.StrVal || l.Type == sqlparser.ValArg) {
				visit(v, l)
			}
			return
		}
		walkSelects(v.Elem(), inside, visit)
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		if s, ok := v.Interface().(*sqlparser.Select); ok {
			walkSelect(s, inside, visit)
			return
		}
		walkSelects(v.Elem(), inside, visit)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				walkSelects(v.Field(i), inside, visit)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range v.Len() {
			walkSelects(v.Index(i), inside, visit)
		}
	}
}

// walkSelect visits a SELECT. One that stands in such a part is such a part.
func walkSelect(s *sqlparser.Select, inside bool, visit func(reflect.Value, *sqlparser.SQLVal)) {
	for _, part := range []any{&s.SelectExprs, &s.GroupBy, &s.Having, &s.OrderBy, &s.Window} {
		walkSelects(reflect.ValueOf(part).Elem(), true, visit)
	}
	for _, part := range []any{&s.With, &s.From, &s.Where} {
		walkSelects(reflect.ValueOf(part).Elem(), inside, visit)
	}
}

// exact is a string or placeholder whose text, once it is planned, shows its bytes.
func exact(l *sqlparser.SQLVal) sqlparser.Expr {
	return sqlparser.InjectedExpr{
		Auth:       sqlparser.AuthInformation{AuthType: sqlparser.AuthType_IGNORE, TargetType: sqlparser.AuthTargetType_Ignore},
		Expression: exactMark{text: sqlparser.String(l)},
		Children:   sqlparser.Exprs{l},
	}
}

// exactMark makes the planned expression from the planned string.
type exactMark struct{ text string }

// String is the expression in a statement's text.
func (m exactMark) String() string { return m.text + bytesComment(m.text) }

// WithResolvedChildren takes the planned string.
func (m exactMark) WithResolvedChildren(_ context.Context, children []any) (any, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(m, len(children), 1)
	}
	e, ok := children[0].(sql.Expression)
	if !ok {
		return nil, sql.ErrInvalidChildType.New(m, children[0], e)
	}
	return &exactString{Expression: e}, nil
}

// exactString is a string whose text differs from that of every other string,
// in lower case too. Its value and type are the string's.
type exactString struct{ sql.Expression }

// String shows the bytes beside the text.
func (e *exactString) String() string {
	text := e.Expression.String()
	if l, ok := e.Expression.(*expression.Literal); ok {
		if s, ok := l.Value().(string); ok {
			return text + bytesComment(s)
		}
	}
	return text + bytesComment(text)
}

func bytesComment(s string) string { return "/*" + hex.EncodeToString([]byte(s)) + "*/" }

// Children is the string, so that its value can still be bound.
func (e *exactString) Children() []sql.Expression { return []sql.Expression{e.Expression} }

// WithChildren puts another string in its place.
func (e *exactString) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(e, len(children), 1)
	}
	return &exactString{Expression: children[0]}, nil
}

// CollationCoercibility is the string's.
func (e *exactString) CollationCoercibility(ctx *sql.Context) (sql.CollationID, byte) {
	return sql.GetCoercibility(ctx, e.Expression)
}
