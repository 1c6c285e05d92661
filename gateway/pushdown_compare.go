package gateway

import (
	"cmp"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/catalog"
	"arbor/engine/exec"
)

// comparison is an expression with two sides.
type comparison interface {
	sql.Expression
	Left() sql.Expression
	Right() sql.Expression
}

// flipped is the operator after its sides have changed places.
var flipped = map[exec.Op]exec.Op{
	exec.OpEqual: exec.OpEqual, exec.OpLess: exec.OpMore, exec.OpLessEq: exec.OpMoreEq,
	exec.OpMore: exec.OpLess, exec.OpMoreEq: exec.OpLessEq,
}

// compare translates a comparison of a column, or of its day, with a constant.
func (p *pusher) compare(e comparison, op exec.Op) translation {
	if x := p.compareSides(e, e.Left(), e.Right(), op); x.expr != nil {
		return x
	}
	return p.compareSides(e, e.Right(), e.Left(), flipped[op])
}

func (p *pusher) compareSides(e comparison, side, other sql.Expression, op exec.Op) translation {
	if day, ok := dayOf(side); ok {
		if c, ok := p.column(day); ok && c.exec.Type == catalog.TypeDatetime {
			return p.compareDay(c, op, other)
		}
		return nothing
	}
	c, ok := p.column(side)
	if !ok {
		return nothing
	}
	v, ok := p.constant(other)
	if !ok || v == nil {
		return nothing
	}
	switch c.exec.Type {
	case catalog.TypeString, catalog.TypeNull:
		return p.compareString(c, op, v, e, other)
	case catalog.TypeInt:
		return p.compareInt(c, op, v)
	case catalog.TypeDouble:
		return p.compareDouble(c, op, v)
	case catalog.TypeBool:
		return p.compareBool(c, op, v)
	case catalog.TypeDatetime:
		if micros, ok := p.moment(v); ok {
			return p.simple(c, op, catalog.Int(micros), true)
		}
	}
	return nothing
}

func (p *pusher) simple(c *eventsColumn, op exec.Op, v catalog.Value, exact bool) translation {
	if v.Kind == catalog.KindInt { // closed bounds leave out a day more
		switch {
		case op == exec.OpLess && v.Int() > math.MinInt64:
			op, v = exec.OpLessEq, catalog.Int(v.Int()-1)
		case op == exec.OpMore && v.Int() < math.MaxInt64:
			op, v = exec.OpMoreEq, catalog.Int(v.Int()+1)
		}
	}
	return translation{&exec.Expr{Op: op, Column: p.use(c), Values: []catalog.Value{v}}, exact}
}

// byCodePoint reports whether two strings are compared as their bytes are.
func (p *pusher) byCodePoint(left, right sql.Expression) bool {
	leftCollation, leftRank := sql.GetCoercibility(p.ctx, left)
	rightCollation, rightRank := sql.GetCoercibility(p.ctx, right)
	collation, _ := sql.ResolveCoercibility(leftCollation, leftRank, rightCollation, rightRank)
	return collation == sql.Collation_utf8mb4_bin || collation == sql.Collation_utf8mb4_0900_bin
}

func (p *pusher) compareString(c *eventsColumn, op exec.Op, v any, e comparison, other sql.Expression) translation {
	s, ok := v.(string)
	if !ok || !types.IsTextOnly(other.Type(p.ctx)) || !p.byCodePoint(e.Left(), e.Right()) || !utf8.ValidString(s) {
		return nothing
	}
	return p.simple(c, op, catalog.String(s), true)
}

// exactDouble is the range in which every whole number is a double.
const exactDouble = 1 << 53

func (p *pusher) compareInt(c *eventsColumn, op exec.Op, v any) translation {
	if i, ok := wholeNumber(v); ok {
		return p.simple(c, op, catalog.Int(i), true)
	}
	f, ok := number(v)
	if !ok || math.Abs(f) >= exactDouble {
		return nothing
	}
	// The column is whole and the constant is not, or not surely.
	down, up := catalog.Int(int64(math.Floor(f))), catalog.Int(int64(math.Ceil(f)))
	return p.between(c, op, down, up)
}

// compareDouble leaves room around the constant, for the stock evaluator may
// compare as doubles or as decimals.
func (p *pusher) compareDouble(c *eventsColumn, op exec.Op, v any) translation {
	f, ok := number(v)
	if !ok || math.IsNaN(f) || math.Abs(f) > math.MaxFloat64/2 {
		return nothing
	}
	return p.between(c, op, catalog.Double(math.Nextafter(f, math.Inf(-1))), catalog.Double(math.Nextafter(f, math.Inf(1))))
}

// between compares with a constant that lies somewhere from down to up.
func (p *pusher) between(c *eventsColumn, op exec.Op, down, up catalog.Value) translation {
	switch op {
	case exec.OpLess, exec.OpLessEq:
		return p.simple(c, exec.OpLessEq, up, false)
	case exec.OpMore, exec.OpMoreEq:
		return p.simple(c, exec.OpMoreEq, down, false)
	}
	return p.and(p.simple(c, exec.OpMoreEq, down, false), p.simple(c, exec.OpLessEq, up, false))
}

// compareBool tries the comparison for both values that the column can have.
func (p *pusher) compareBool(c *eventsColumn, op exec.Op, v any) translation {
	if _, ok := number(v); !ok {
		return nothing
	}
	ifFalse, ifTrue := holdsFor(0, op, v), holdsFor(1, op, v)
	known := &exec.Expr{Op: exec.OpNot, Args: []*exec.Expr{{Op: exec.OpIsNull, Column: p.use(c)}}}
	switch {
	case ifFalse && ifTrue:
		return translation{known, false}
	case ifTrue:
		return p.simple(c, exec.OpEqual, catalog.Bool(true), true)
	case ifFalse:
		return p.simple(c, exec.OpEqual, catalog.Bool(false), true)
	}
	return nothing
}

func holdsFor(a int64, op exec.Op, v any) bool {
	order, ok := compareExactly(a, v)
	if !ok {
		f, _ := number(v)
		order = cmp.Compare(float64(a), f)
	}
	switch op {
	case exec.OpLess:
		return order < 0
	case exec.OpLessEq:
		return order <= 0
	case exec.OpMore:
		return order > 0
	case exec.OpMoreEq:
		return order >= 0
	}
	return order == 0
}

// moment is a constant as the microsecond that a DATETIME(6) is compared with.
func (p *pusher) moment(v any) (int64, bool) {
	switch v.(type) {
	case string, time.Time:
	default:
		return 0, false
	}
	t, _, err := datetimeType.Convert(p.ctx, v)
	if err != nil {
		return 0, false
	}
	at, ok := t.(time.Time)
	if !ok || at.Year() < 1 || at.Year() > 9999 || at.Equal(types.ZeroTime) {
		return 0, false
	}
	return at.UnixMicro(), true
}

// withMoments is a condition whose texts that are compared with moments are
// moments already: the stock evaluator would read them again for each row.
func withMoments(ctx *sql.Context, e sql.Expression) sql.Expression {
	out, _, err := transform.Expr(ctx, e, func(ctx *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
		switch e.(type) {
		case *expression.Equals, *expression.LessThan, *expression.LessThanOrEqual,
			*expression.GreaterThan, *expression.GreaterThanOrEqual, *expression.Between:
		default:
			return e, transform.SameTree, nil
		}
		children, moments, changed := e.Children(), false, false
		for _, c := range children {
			moments = moments || c.Type(ctx) == datetimeType
		}
		next := make([]sql.Expression, len(children))
		for i, c := range children {
			next[i] = c
			if l, ok := c.(*expression.Literal); ok && moments && types.IsTextOnly(l.Typ) {
				if at, _, err := datetimeType.Convert(ctx, l.Val); err == nil && at != nil {
					next[i], changed = expression.NewLiteral(at, datetimeType), true
				}
			}
		}
		if !changed {
			return e, transform.SameTree, nil
		}
		e, err := e.WithChildren(ctx, next...)
		return e, transform.NewTree, err
	})
	if err != nil {
		return e
	}
	return out
}

// dayOf is what DATE(x) or CAST(x AS DATE) takes the day of.
func dayOf(e sql.Expression) (sql.Expression, bool) {
	switch e := e.(type) {
	case *function.Date:
		return e.Child, true
	case *expression.Convert:
		if e.Type(nil) == types.Date {
			return e.Child, true
		}
	}
	return nil, false
}

// compareDay translates a comparison of a column's day.
func (p *pusher) compareDay(c *eventsColumn, op exec.Op, other sql.Expression) translation {
	v, ok := p.constant(other)
	if !ok {
		return nothing
	}
	micros, ok := p.moment(v)
	if !ok {
		return nothing
	}
	day := catalog.DayOf(micros)
	this, next := catalog.Int(day.Start()), catalog.Int((day + 1).Start())
	ceiling := this // the first day that is not before the constant
	if day.Start() != micros {
		ceiling = next
	}
	switch op {
	case exec.OpLess:
		return p.simple(c, exec.OpLess, ceiling, false)
	case exec.OpLessEq:
		return p.simple(c, exec.OpLess, next, false)
	case exec.OpMore:
		return p.simple(c, exec.OpMoreEq, next, false)
	case exec.OpMoreEq:
		return p.simple(c, exec.OpMoreEq, ceiling, false)
	}
	return p.and(p.simple(c, exec.OpMoreEq, this, false), p.simple(c, exec.OpLess, next, false))
}

// nullSafe translates <=>, which is never unknown and so is not negated here.
func (p *pusher) nullSafe(e *expression.NullSafeEquals) translation {
	for _, sides := range [][2]sql.Expression{{e.Left(), e.Right()}, {e.Right(), e.Left()}} {
		c, ok := p.column(sides[0])
		if !ok {
			continue
		}
		if v, ok := p.constant(sides[1]); ok && v == nil {
			return translation{&exec.Expr{Op: exec.OpIsNull, Column: p.use(c)}, true}
		}
	}
	return translation{p.compare(e, exec.OpEqual).expr, false}
}

// in translates IN over a list of constants.
func (p *pusher) in(left, right sql.Expression) translation {
	list, ok := right.(expression.Tuple)
	if !ok || len(list) == 0 {
		return nothing
	}
	all := translation{exact: true}
	values := make([]catalog.Value, 0, len(list))
	for _, e := range list {
		if v, ok := p.constant(e); ok && v == nil {
			all.exact = false // x IN (…, NULL) is unknown where it is not true
			continue
		}
		x := p.compare(expression.NewEquals(left, e), exec.OpEqual)
		if x.expr == nil {
			return nothing
		}
		if x.expr.Op == exec.OpEqual && values != nil {
			values = append(values, x.expr.Values[0])
		} else {
			values = nil
		}
		if all.expr == nil {
			all.expr = x.expr
		} else if values == nil {
			all.expr = join(exec.OpOr, all.expr, x.expr)
		} else {
			all.expr = &exec.Expr{Op: exec.OpIn, Column: x.expr.Column, Values: values}
		}
		all.exact = all.exact && x.exact
	}
	return all
}

// truth translates a column that is a condition by itself.
func (p *pusher) truth(e *expression.GetField) translation {
	c, ok := p.column(e)
	if !ok {
		return nothing
	}
	switch c.exec.Type {
	case catalog.TypeBool:
		return p.simple(c, exec.OpEqual, catalog.Bool(true), true)
	case catalog.TypeInt:
		zero := p.simple(c, exec.OpEqual, catalog.Int(0), true)
		return translation{&exec.Expr{Op: exec.OpNot, Args: []*exec.Expr{zero.expr}}, true}
	}
	return nothing
}

// wholeNumber is a constant that is surely compared with integers as one.
func wholeNumber(v any) (int64, bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case int:
		return int64(v), true
	case int8:
		return int64(v), true
	case int16:
		return int64(v), true
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case uint8:
		return int64(v), true
	case uint16:
		return int64(v), true
	case uint32:
		return int64(v), true
	case uint64:
		return int64(v), v <= exactDouble
	}
	return 0, false
}

// number is a numeric constant as the double that is nearest to it.
func number(v any) (float64, bool) {
	if i, ok := wholeNumber(v); ok {
		return float64(i), true
	}
	switch v := v.(type) {
	case float32:
		return float64(v), true
	case float64:
		return v, true
	case *apd.Decimal:
		f, err := v.Float64()
		return f, err == nil
	}
	return 0, false
}

func sqlInt64(ctx *sql.Context, v any) (int64, error) {
	i, inRange, err := types.Int64.Convert(ctx, v)
	if err != nil {
		return 0, err
	}
	n, ok := i.(int64)
	if !ok || inRange != sql.InRange {
		return 0, fmt.Errorf("%v is no whole number", v)
	}
	return n, nil
}
