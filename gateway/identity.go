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

// stringsSeen are the strings of a statement that are part of a text by which
// something is known: by their text in lower case, the first exact one.
type stringsSeen struct {
	exact     map[string]string
	confused  map[string]bool
	unknown   int // placeholders, whose values come later
	constants int
}

func (f *stringsSeen) add(l *sqlparser.SQLVal) {
	switch l.Type {
	case sqlparser.ValArg:
		f.unknown++
		return
	case sqlparser.StrVal:
	default:
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
	switch l.Type {
	case sqlparser.ValArg:
		return true
	case sqlparser.StrVal:
		return f.unknown > 0 || f.confused[strings.ToLower(string(l.Val))]
	}
	return false
}

// keepApart changes a statement in place.
func (f *stringsSeen) keepApart(s sqlparser.Statement) {
	w := syntaxWalk{expr: func(e sqlparser.Expr, inside bool) sqlparser.Expr {
		if l, ok := e.(*sqlparser.SQLVal); ok && l != nil && inside && f.confuses(l) {
			return exact(l)
		}
		return nil
	}}
	w.walk(reflect.ValueOf(s), false)
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

// constantOf is a constant, also one that is kept apart from others; not ok for what
// is none.
func constantOf(e sql.Expression) (*expression.Literal, bool) {
	if x, ok := e.(*exactString); ok {
		e = x.Expression
	}
	l, ok := e.(*expression.Literal)
	return l, ok
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
