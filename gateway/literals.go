package gateway

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/planbuilder"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// The SQL library plans each value of an INSERT … VALUES as an expression of its
// own, which costs several times what storing the row does. So when the rows of a
// statement are nothing but literals, all but the first are taken out of it. What
// is left is planned as ever: rights, columns, transaction, warnings and errors
// are those of any INSERT. When it runs, insert finds the rows beside it and
// reads the literals itself.
//
// Literals mean what the library makes of them: the usual ones are read here, see
// quickValue, and the library converts the others.

// literal is a value of a row as it was written.
type literal struct {
	kind sqlparser.ValType // of SQLVal, or one of those below
	text string
}

// Kinds of literals beside those of SQLVal.
const (
	literalNull sqlparser.ValType = -1 - iota
	literalTrue
	literalFalse
	literalNegative // a decimal with a minus before it
	literalComputed // by an expression of LOAD DATA; it is in fileLoad.computed
)

// literals are rows of equal width.
type literals struct {
	width int
	all   []literal
	ascii bool // all texts are; else they may be anything
}

// keptLiterals are slices of literals for other statements.
var keptLiterals = sync.Pool{New: func() any { return new(literals) }}

// maxKeptLiterals is how many literals the slices that are kept may hold.
const maxKeptLiterals = 1 << 16

// newLiterals gives a slice with room for about so many.
func newLiterals(n int) *literals {
	l := keptLiterals.Get().(*literals)
	l.all, l.ascii = slices.Grow(l.all[:0], n), false
	return l
}

// release lets others have the slice.
func (l *literals) release() {
	if cap(l.all) <= maxKeptLiterals {
		clear(l.all)
		keptLiterals.Put(l)
	}
}

func (l *literals) count() int { return len(l.all) / l.width }

func (l *literals) row(i int) []literal { return l.all[i*l.width:][:l.width] }

// kinds tell rows apart for which an INSERT may have other plans: by the kinds of the
// first one's values.
func (l *literals) kinds() string {
	kinds := make([]byte, l.width)
	for i, v := range l.row(0) {
		kinds[i] = byte(v.kind)
	}
	return string(kinds)
}

// literalRows are the rows of an INSERT that are read without a plan.
type literalRows struct {
	*literals
	// builder converts literals; nil until one needs it.
	builder *planbuilder.Builder
	// taken is set when insert has found them.
	taken bool
}

// insertsRows reports whether a statement is a plain INSERT … VALUES, or REPLACE,
// into a table of events.
func (g *Gateway) insertsRows(ctx *sql.Context, stmt sqlparser.Statement) (*sqlparser.AliasedValues, bool) {
	ins, ok := stmt.(*sqlparser.Insert)
	if !ok || ins.With != nil || len(ins.Partitions) > 0 || len(ins.Returning) > 0 || len(ins.OnDup) > 0 {
		return nil, false
	}
	values, ok := ins.Rows.(*sqlparser.AliasedValues)
	return values, ok && values.As.IsEmpty() && len(values.Columns) == 0 && g.holdsEvents(ctx, ins.Table)
}

// holdsEvents reports whether a statement's table is one of events.
func (g *Gateway) holdsEvents(ctx *sql.Context, t sqlparser.TableName) bool {
	name := t.DbQualifier.String()
	if name == "" {
		name = ctx.GetCurrentDatabase()
	}
	_, ok := g.catalogFor(ctx).Project(name)
	return ok && t.SchemaQualifier.IsEmpty() && isEventsTable(t.Name.String())
}

// literalRowsOf takes the rows out of a parsed INSERT into an events table, if all of
// them are literals: it gives a statement with the first
// row, and the values of its placeholders.
func (g *Gateway) literalRowsOf(ctx *sql.Context, stmt sqlparser.Statement, bindings map[string]*querypb.BindVariable) (*sqlparser.Insert, map[string]*querypb.BindVariable, *literalRows) {
	values, ok := g.insertsRows(ctx, stmt)
	if !ok || len(values.Values) == 0 {
		return nil, nil, nil
	}
	width := len(values.Values[0])
	rows := newLiterals(width * len(values.Values))
	rows.width = width
	for _, row := range values.Values {
		if len(row) != rows.width || len(row) == 0 {
			rows.release()
			return nil, nil, nil
		}
		for _, e := range row {
			l, ok := literalOf(e, bindings)
			if !ok {
				rows.release()
				return nil, nil, nil
			}
			rows.all = append(rows.all, l)
		}
	}
	first := make(map[string]*querypb.BindVariable)
	for _, e := range values.Values[0] {
		if name, ok := placeholderOf(e); ok {
			first[name] = bindings[name]
		}
	}
	cut, cutValues := *stmt.(*sqlparser.Insert), *values
	cutValues.Values = values.Values[:1:1]
	cut.Rows = &cutValues
	return &cut, first, &literalRows{literals: rows}
}

// literalOf is the literal that an expression is, if it can be read here.
func literalOf(e sqlparser.Expr, bindings map[string]*querypb.BindVariable) (l literal, ok bool) {
	switch e := e.(type) {
	case *sqlparser.NullVal:
		return literal{kind: literalNull}, true
	case sqlparser.BoolVal:
		if e {
			return literal{kind: literalTrue}, true
		}
		return literal{kind: literalFalse}, true
	case *sqlparser.UnaryExpr:
		v, isVal := e.Expr.(*sqlparser.SQLVal)
		if !isVal || e.Operator != sqlparser.MinusStr || v.Type != sqlparser.FloatVal {
			return l, false
		}
		l = literal{literalNegative, literalText(v.Val)}
		return l, isDecimal(l.text)
	case *sqlparser.SQLVal:
		l = literal{e.Type, literalText(e.Val)}
		switch e.Type {
		case sqlparser.StrVal:
			return l, true
		case sqlparser.IntVal:
			return l, len(l.text) <= maxQuickInt
		case sqlparser.FloatVal:
			return l, isDecimal(l.text)
		case sqlparser.ValArg:
			return boundLiteral(bindings[strings.TrimPrefix(l.text, ":")])
		}
	}
	return l, false
}

// placeholderOf is the name of the placeholder that an expression is.
func placeholderOf(e sqlparser.Expr) (name string, ok bool) {
	v, ok := e.(*sqlparser.SQLVal)
	if !ok || v.Type != sqlparser.ValArg {
		return "", false
	}
	return strings.TrimPrefix(string(v.Val), ":"), true
}

// boundLiteral is the literal that stands for a placeholder's value, as the library makes
// one of it, if it can be read here.
func boundLiteral(b *querypb.BindVariable) (literal, bool) {
	if b == nil {
		return literal{}, false
	}
	text := literalText(b.Value)
	switch {
	case b.Type == sqltypes.Null:
		return literal{kind: literalNull}, true
	case sqltypes.IsIntegral(b.Type):
		return literal{sqlparser.IntVal, text}, true
	case sqltypes.IsFloat(b.Type):
		f, err := strconv.ParseFloat(text, 64)
		if !strings.ContainsAny(text, "eE") {
			text += "e0" // without an exponent it would be a decimal
		}
		return literal{sqlparser.FloatVal, text}, err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
	case b.Type == sqltypes.Decimal:
		return literal{sqlparser.FloatVal, text}, true
	case sqltypes.IsQuoted(b.Type):
		return literal{sqlparser.StrVal, text}, true
	}
	return literal{}, false
}

// isDecimal reports whether a literal is a decimal of digits and a point alone,
// short enough for any conversion.
func isDecimal(text string) bool {
	points := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '.':
			points++
		case c < '0' || c > '9':
			return false
		}
	}
	return points == 1 && len(text) <= maxQuickDecimal
}

// The lengths up to which numbers are read here: a 64-bit integer's, and one with
// which a decimal has fewer digits than any DECIMAL may.
const (
	maxQuickInt     = 19
	maxQuickDecimal = 17
)

// value is what the SQL library makes of a literal.
func (l *literalRows) value(ctx *sql.Context, v literal) (any, error) {
	switch v.kind {
	case literalNull:
		return nil, nil
	case literalTrue, literalFalse:
		return v.kind == literalTrue, nil
	case sqlparser.StrVal:
		return v.text, nil
	case literalNegative:
		return expression.NewUnaryMinus(l.converter(ctx).ConvertVal(sqlparser.NewFloatVal([]byte(v.text)))).Eval(ctx, nil)
	}
	return l.converter(ctx).ConvertVal(&sqlparser.SQLVal{Type: v.kind, Val: []byte(v.text)}).Eval(ctx, nil)
}

func (l *literalRows) converter(ctx *sql.Context) *planbuilder.Builder {
	if l.builder == nil {
		l.builder = planbuilder.New(ctx, nil, nil)
	}
	return l.builder
}

// quickInt reads an integer literal.
func (v literal) quickInt() (int64, bool) {
	if v.kind != sqlparser.IntVal {
		return 0, false
	}
	n, err := strconv.ParseInt(v.text, 10, 64)
	return n, err == nil
}

// quickDouble reads a number as a double. Zero is left to the library, which
// knows its sign, and so are integers that a double may not hold exactly.
func (v literal) quickDouble() (float64, bool) {
	switch v.kind {
	case sqlparser.IntVal:
		if len(v.text) > 15 {
			return 0, false
		}
	case sqlparser.FloatVal, literalNegative:
		if !isDecimal(v.text) && !strings.ContainsAny(v.text, "eE") {
			return 0, false
		}
	default:
		return 0, false
	}
	f, err := strconv.ParseFloat(v.text, 64)
	if v.kind == literalNegative {
		f = -f
	}
	return f, err == nil && f != 0
}

// literalText is b as a string, without a copy; b must not change.
func literalText(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
