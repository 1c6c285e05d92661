package gateway

import (
	"bytes"
	"math"
	"strconv"
	"unsafe"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/planbuilder"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// The SQL library plans each value of an INSERT … VALUES as an expression of its
// own, which costs several times what storing the row does. So when a statement
// has been parsed, and its rows are nothing but literals, all rows but the first
// are taken out of it. What is left is planned as ever: rights, columns,
// transaction, warnings and errors are those of any INSERT. When it runs, insert
// finds the rows beside it and reads the literals itself.
//
// Literals mean what the library makes of them: the usual ones are read here, see
// quickValue, and the library converts the others.

// literalRows are the rows of an INSERT that are read without a plan.
type literalRows struct {
	rows sqlparser.Values
	// bindings are the values of placeholders, nil where there are none.
	bindings map[string]*querypb.BindVariable
	// builder converts literals.
	builder *planbuilder.Builder
	// taken is set when insert has found them.
	taken bool
}

// literalRowsOf takes the rows out of an INSERT into an events table, if it has
// several and all of them are literals: it gives a statement with the first row,
// and the values of its placeholders.
func literalRowsOf(ctx *sql.Context, stmt sqlparser.Statement, bindings map[string]*querypb.BindVariable, isEvents func(*sql.Context, sqlparser.TableName) bool) (*sqlparser.Insert, map[string]*querypb.BindVariable, *literalRows) {
	ins, ok := stmt.(*sqlparser.Insert)
	if !ok || ins.With != nil || len(ins.Partitions) > 0 || len(ins.Returning) > 0 || len(ins.OnDup) > 0 {
		return nil, nil, nil
	}
	values, ok := ins.Rows.(*sqlparser.AliasedValues)
	if !ok || len(values.Values) < 2 || !values.As.IsEmpty() || len(values.Columns) > 0 || isEvents == nil || !isEvents(ctx, ins.Table) {
		return nil, nil, nil
	}
	width := len(values.Values[0])
	for _, row := range values.Values {
		if len(row) != width || width == 0 {
			return nil, nil, nil
		}
		for _, e := range row {
			if !isLiteral(e, bindings) {
				return nil, nil, nil
			}
		}
	}
	first := make(map[string]*querypb.BindVariable)
	for _, e := range values.Values[0] {
		if name, ok := placeholder(e); ok {
			first[name] = bindings[name]
		}
	}
	cut, cutValues := *ins, *values
	cutValues.Values = values.Values[:1:1]
	cut.Rows = &cutValues
	return &cut, first, &literalRows{rows: values.Values, bindings: bindings, builder: planbuilder.New(ctx, nil, nil)}
}

// isLiteral reports whether an expression is a literal that can be read here.
func isLiteral(e sqlparser.Expr, bindings map[string]*querypb.BindVariable) bool {
	switch e := e.(type) {
	case *sqlparser.NullVal, sqlparser.BoolVal:
		return true
	case *sqlparser.UnaryExpr:
		v, ok := e.Expr.(*sqlparser.SQLVal)
		return ok && e.Operator == sqlparser.MinusStr && (v.Type == sqlparser.IntVal || isDecimal(v))
	case *sqlparser.SQLVal:
		switch v := e; v.Type {
		case sqlparser.StrVal:
			return true
		case sqlparser.IntVal:
			return len(v.Val) <= maxQuickInt
		case sqlparser.FloatVal:
			return isDecimal(v)
		case sqlparser.ValArg:
			name, _ := placeholder(v)
			return isQuickBinding(bindings[name])
		}
	}
	return false
}

// isQuickBinding reports whether a placeholder's value can be read here.
func isQuickBinding(b *querypb.BindVariable) bool {
	switch {
	case b == nil:
		return false
	case sqltypes.IsFloat(b.Type):
		f, err := strconv.ParseFloat(literalText(b.Value), 64)
		return err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
	}
	return b.Type == sqltypes.Null || b.Type == sqltypes.Decimal || sqltypes.IsIntegral(b.Type) || sqltypes.IsQuoted(b.Type)
}

// isDecimal reports whether a literal is a decimal of digits and a point alone,
// short enough for any conversion.
func isDecimal(v *sqlparser.SQLVal) bool {
	if v.Type != sqlparser.FloatVal || len(v.Val) > maxQuickDecimal {
		return false
	}
	points := 0
	for _, c := range v.Val {
		switch {
		case c == '.':
			points++
		case c < '0' || c > '9':
			return false
		}
	}
	return points == 1
}

// The lengths up to which numbers are read here: a 64-bit integer's, and one with
// which a decimal has fewer digits than any DECIMAL may.
const (
	maxQuickInt     = 19
	maxQuickDecimal = 17
)

// placeholder is the name of a placeholder.
func placeholder(e sqlparser.Expr) (name string, ok bool) {
	v, ok := e.(*sqlparser.SQLVal)
	if !ok || v.Type != sqlparser.ValArg || len(v.Val) == 0 || v.Val[0] != ':' {
		return "", false
	}
	return literalText(v.Val[1:]), true
}

// bound is the literal that an expression stands for: itself, or the value of a
// placeholder.
func (l *literalRows) bound(e sqlparser.Expr) (sqlparser.Expr, error) {
	name, ok := placeholder(e)
	if !ok {
		return e, nil
	}
	v, err := sqltypes.BindVariableToValue(l.bindings[name])
	if err != nil {
		return nil, err
	}
	return sqlparser.ExprFromValue(v)
}

// value is what the SQL library makes of a literal.
func (l *literalRows) value(ctx *sql.Context, e sqlparser.Expr) (v any, err error) {
	switch e := e.(type) {
	case *sqlparser.NullVal:
		return nil, nil
	case sqlparser.BoolVal:
		return bool(e), nil
	case *sqlparser.UnaryExpr:
		return expression.NewUnaryMinus(l.builder.ConvertVal(e.Expr.(*sqlparser.SQLVal))).Eval(ctx, nil)
	}
	return l.builder.ConvertVal(e.(*sqlparser.SQLVal)).Eval(ctx, nil)
}

// quickInt reads an integer literal.
func quickInt(e sqlparser.Expr) (int64, bool) {
	v, ok := e.(*sqlparser.SQLVal)
	if !ok || v.Type != sqlparser.IntVal {
		return 0, false
	}
	n, err := strconv.ParseInt(literalText(v.Val), 10, 64)
	return n, err == nil
}

// quickDouble reads a number as a double. Zero is left to the library, which
// knows its sign, and so are integers that a double may not hold exactly.
func quickDouble(e sqlparser.Expr) (float64, bool) {
	sign := 1.0
	if u, ok := e.(*sqlparser.UnaryExpr); ok {
		e, sign = u.Expr, -1
	}
	v, ok := e.(*sqlparser.SQLVal)
	if !ok || v.Type != sqlparser.FloatVal && (v.Type != sqlparser.IntVal || len(v.Val) > 15) {
		return 0, false
	}
	if v.Type == sqlparser.FloatVal && !isDecimal(v) && !bytes.ContainsAny(v.Val, "eE") {
		return 0, false
	}
	f, err := strconv.ParseFloat(literalText(v.Val), 64)
	return sign * f, err == nil && f != 0
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

// literalText is b as a string, without a copy; b must not change.
func literalText(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
