package gateway

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
)

// The SQL library reads JSON paths and decimal numbers in time by the square of their
// length, and cannot be interrupted. A shortText stands between it and a text that
// may be long.

// Limits of texts.
const (
	// MaxJSONPath is how long a JSON path may be, in bytes.
	MaxJSONPath = 16 << 10
	// maxDecimalText is how much of a text is read as a DECIMAL: more than any has.
	maxDecimalText = 1024
)

// codeInvalidPath is MySQL's error for a JSON path.
const codeInvalidPath = 3143

// shortText is an argument whose text is refused, or cut, if it is long.
type shortText struct {
	sql.Expression
	path bool
}

// Eval gives the value.
func (s *shortText) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	v, err := s.Expression.Eval(ctx, row)
	if err != nil || v == nil {
		return v, err
	}
	if v, err = sql.UnwrapAny(ctx, v); err != nil {
		return nil, err
	}
	text, ok := v.(string)
	switch {
	case !ok:
	case s.path && len(text) > MaxJSONPath:
		return nil, mysql.NewSQLError(codeInvalidPath, "42000", "Invalid JSON path expression. The error is around character position %d: it is longer", MaxJSONPath)
	case !s.path && len(text) > maxDecimalText:
		return text[:maxDecimalText], nil
	}
	return v, nil
}

// WithChildren puts another argument in its place.
func (s *shortText) WithChildren(ctx *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	e, err := s.Expression.WithChildren(ctx, children...)
	if err != nil {
		return nil, err
	}
	return &shortText{Expression: e, path: s.path}, nil
}

// CollationCoercibility is the argument's.
func (s *shortText) CollationCoercibility(ctx *sql.Context) (sql.CollationID, byte) {
	return sql.GetCoercibility(ctx, s.Expression)
}

// jsonPaths say which arguments of a function are paths: the first, and how far it is
// to the next; 0 for no other.
var jsonPaths = map[string]struct{ first, step int }{
	"json_extract": {1, 1}, "json_length": {1, 0}, "json_keys": {1, 0}, "json_value": {1, 0},
	"json_contains": {2, 0}, "json_contains_path": {2, 1}, "json_search": {4, 1}, "json_remove": {1, 1},
	"json_set": {1, 2}, "json_insert": {1, 2}, "json_replace": {1, 2}, "json_array_append": {1, 2}, "json_array_insert": {1, 2},
}

// shortened is a function or cast with shortTexts where they are needed, nil where
// they are not.
func shortened(ctx *sql.Context, e sql.Expression) sql.Expression {
	if c, ok := e.(*expression.Convert); ok {
		if _, decimal := c.Type(ctx).(sql.DecimalType); !decimal || !types.IsText(c.Child.Type(ctx)) || isShort(c.Child, maxDecimalText) {
			return nil
		}
		return withShort(ctx, e, 0, 0, false)
	}
	f, ok := e.(sql.FunctionExpression)
	if !ok {
		return nil
	}
	at, ok := jsonPaths[strings.ToLower(f.FunctionName())]
	if !ok {
		return nil
	}
	return withShort(ctx, e, at.first, at.step, true)
}

func withShort(ctx *sql.Context, e sql.Expression, first, step int, path bool) sql.Expression {
	children := e.Children()
	changed := false
	for i := first; i < len(children); i += step {
		if !isShort(children[i], MaxJSONPath) {
			if !changed {
				children, changed = append([]sql.Expression(nil), children...), true
			}
			children[i] = &shortText{Expression: children[i], path: path}
		}
		if step == 0 {
			break
		}
	}
	if !changed {
		return nil
	}
	short, err := e.WithChildren(ctx, children...)
	if err != nil {
		return nil
	}
	return short
}

// isShort reports whether an argument is known to be short.
func isShort(e sql.Expression, most int) bool {
	if _, ok := e.(*shortText); ok {
		return true
	}
	l, ok := constantOf(e)
	if !ok {
		return false
	}
	text, ok := l.Value().(string)
	return !ok || len(text) <= most
}
