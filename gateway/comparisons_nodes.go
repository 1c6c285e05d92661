package gateway

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// ownComparison is =, <=>, <, <=, > or >= of two sides that the library would
// compare wrongly.
type ownComparison struct {
	ownNodeParts
	how         pair
	left, right operand
}

// ownBetween is BETWEEN. Where one of its three parts is a floating-point
// number, all are compared as such.
type ownBetween struct {
	ownNodeParts
	lower, upper             pair
	value, smallest, largest operand
}

// ownNodeParts is what all of them have: the library's node in whose place they
// stand, whose text they have too.
type ownNodeParts struct {
	stock sql.Expression
	// whole is set where the library's rules have to see its node.
	whole bool
}

var (
	_ sql.CollationCoercible = (*ownComparison)(nil)
	_ sql.CollationCoercible = (*ownBetween)(nil)
	_ sql.CollationCoercible = (*ownIn)(nil)
)

// String is the text that the planner knows the comparison by.
func (o *ownNodeParts) String() string { return o.stock.String() }

// DebugString is the library's.
func (o *ownNodeParts) DebugString(ctx *sql.Context) string { return sql.DebugString(ctx, o.stock) }

// Type is that of conditions.
func (o *ownNodeParts) Type(*sql.Context) sql.Type { return types.Boolean }

// Resolved reports whether all parts are known.
func (o *ownNodeParts) Resolved() bool { return o.stock.Resolved() }

// IsNullable reports whether the result may be NULL.
func (o *ownNodeParts) IsNullable(ctx *sql.Context) bool { return o.stock.IsNullable(ctx) }

// CollationCoercibility is that of a number.
func (o *ownNodeParts) CollationCoercibility(*sql.Context) (sql.CollationID, byte) {
	return sql.Collation_binary, 5
}

// Children are the library's node, or its parts.
func (o *ownNodeParts) Children() []sql.Expression {
	if o.whole {
		return []sql.Expression{o.stock}
	}
	return partsOf(o.stock)
}

// WithChildren puts other parts in their place.
func (o *ownNodeParts) WithChildren(ctx *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if o.whole {
		if len(children) != 1 {
			return nil, sql.ErrInvalidChildrenNumber.New(o.stock, len(children), 1)
		}
		return ownComparisonFor(ctx, children[0]), nil
	}
	var stock sql.Expression
	var err error
	switch e := o.stock.(type) {
	case *expression.InTuple:
		if len(children) < 1 {
			return nil, sql.ErrInvalidChildrenNumber.New(e, len(children), 1)
		}
		stock = expression.NewInTuple(children[0], expression.NewTuple(children[1:]...))
	default:
		stock, err = e.WithChildren(ctx, children...)
	}
	if err != nil {
		return nil, err
	}
	return ownComparisonFor(ctx, stock), nil
}

func partsOf(e sql.Expression) []sql.Expression {
	if in, ok := e.(*expression.InTuple); ok {
		if list, ok := in.Right().(expression.Tuple); ok {
			return append([]sql.Expression{in.Left()}, list...)
		}
	}
	return e.Children()
}

// newOwnComparison is the comparison in the place of the library's, nil where
// that is right.
func newOwnComparison(ctx *sql.Context, e sql.Expression, left, right sql.Expression) sql.Expression {
	how := pairOf(ctx, left, right)
	if how.kind == pairStock {
		return nil
	}
	_, nullSafe := e.(*expression.NullSafeEquals)
	return &ownComparison{
		ownNodeParts: ownNodeParts{stock: e, whole: how.kind == pairRow || nullSafe && !constantSides(ctx, left, right)},
		how:          how,
		left:         newOperand(ctx, left, how.kind), right: newOperand(ctx, right, how.kind),
	}
}

// constantSides reports whether no side has columns.
func constantSides(ctx *sql.Context, sides ...sql.Expression) bool {
	constant := true
	for _, e := range sides {
		sql.Inspect(ctx, e, func(_ *sql.Context, e sql.Expression) bool {
			switch e.(type) {
			case *expression.GetField, sql.ExpressionWithNodes:
				constant = false
			}
			return constant
		})
	}
	return constant
}

// Eval compares.
func (c *ownComparison) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	l, err := c.left.eval(ctx, row)
	if err != nil {
		return nil, err
	}
	r, err := c.right.eval(ctx, row)
	if err != nil {
		return nil, err
	}
	if _, ok := c.stock.(*expression.NullSafeEquals); ok {
		return c.how.equalOrBothNull(ctx, l, r)
	}
	o, err := c.how.compare(ctx, l, r)
	if err != nil {
		return nil, err
	}
	if o.unknown {
		if _, ok := c.stock.(*expression.Equals); ok && o.order != 0 {
			return false, nil // rows that differ do so whatever their NULLs are
		}
		return nil, nil
	}
	return c.holds(o.order), nil
}

func (c *ownComparison) holds(order int) bool {
	switch c.stock.(type) {
	case *expression.LessThan:
		return order < 0
	case *expression.LessThanOrEqual:
		return order <= 0
	case *expression.GreaterThan:
		return order > 0
	case *expression.GreaterThanOrEqual:
		return order >= 0
	}
	return order == 0
}

// negated is the library's comparison that is true where this one is false,
// nil for none.
func (c *ownComparison) negated() sql.Expression {
	l, r := c.left.expr, c.right.expr
	switch c.stock.(type) {
	case *expression.LessThan:
		return expression.NewGreaterThanOrEqual(l, r)
	case *expression.LessThanOrEqual:
		return expression.NewGreaterThan(l, r)
	case *expression.GreaterThan:
		return expression.NewLessThanOrEqual(l, r)
	case *expression.GreaterThanOrEqual:
		return expression.NewLessThan(l, r)
	}
	return nil
}

func newOwnBetween(ctx *sql.Context, e *expression.Between) sql.Expression {
	lower, upper := pairOf(ctx, e.Val, e.Lower), pairOf(ctx, e.Val, e.Upper)
	json := types.IsJSON(lower.left) || types.IsJSON(lower.right) || types.IsJSON(upper.right)
	if lower.kind == pairStock && upper.kind == pairStock && !json {
		return nil
	}
	if classOf(lower.right) == classFloat || classOf(upper.right) == classFloat || lower.kind == pairDouble || upper.kind == pairDouble {
		for _, p := range []*pair{&lower, &upper} {
			if classOf(p.left) != classOther && classOf(p.right) != classOther {
				p.kind = pairDouble
			}
		}
	}
	b := &ownBetween{ownNodeParts: ownNodeParts{stock: e}, lower: lower, upper: upper}
	b.smallest, b.largest = newOperand(ctx, e.Lower, lower.kind), newOperand(ctx, e.Upper, upper.kind)
	b.value = operand{expr: e.Val}
	return b
}

// Eval compares with both bounds.
func (b *ownBetween) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	v, err := b.value.eval(ctx, row)
	if err != nil {
		return nil, err
	}
	smallest, err := b.smallest.eval(ctx, row)
	if err != nil {
		return nil, err
	}
	largest, err := b.largest.eval(ctx, row)
	if err != nil {
		return nil, err
	}
	low, err := b.lower.compare(ctx, v, smallest)
	if err != nil {
		return nil, err
	}
	high, err := b.upper.compare(ctx, v, largest)
	switch {
	case err != nil:
		return nil, err
	case !low.unknown && low.order < 0, !high.unknown && high.order > 0:
		return false, nil
	case low.unknown || high.unknown:
		return nil, nil
	}
	return true, nil
}
