package gateway

import (
	"cmp"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// The SQL library compares numbers of different types by making one type of
// both, which loses digits: 1.255 becomes 1.26 beside a DECIMAL(10,2), 1.5 is 2
// in a list of integers, and 1e300 is no DECIMAL at all. Comparisons of such
// pairs are made here instead. Those of equal types stay the library's, which
// has hash joins for them.
//
//	library's node            in a plan                        children seen
//	p = 1.255                 ownComparison{stock: p = 1.255}  p, 1.255
//	i IN (1, 1.5)             ownIn{stock: i IN (1, 1.5)}      i, 1, 1.5
//	(a, p) = (1, 1.255)       ownComparison{stock: …}          the library's node
//	p IN (SELECT …)           ownIn{stock: …}                  the library's node

// pairKind is how two values are compared.
type pairKind uint8

const (
	pairStock  pairKind = iota // as the library does
	pairExact                  // as integers or decimals
	pairDouble                 // as DOUBLE
	pairRow                    // part by part
)

// pair compares values of two types.
type pair struct {
	kind        pairKind
	left, right sql.Type
	// from are the expressions that have the values, nil where there are none;
	// they decide about a comparison of texts.
	from  [2]sql.Expression
	parts []pair
}

// numberClass is what a type's values are compared as.
type numberClass uint8

const (
	classOther numberClass = iota
	classSigned
	classUnsigned
	classDecimal
	classFloat
	classText
)

func classOf(t sql.Type) numberClass {
	if _, ok := t.(sql.SystemVariableType); ok {
		return classOther
	}
	switch {
	case types.IsDecimal(t):
		return classDecimal
	case types.IsFloat(t):
		return classFloat
	case types.IsSigned(t):
		return classSigned
	case types.IsUnsigned(t):
		return classUnsigned
	case types.IsTextOnly(t):
		return classText
	}
	return classOther
}

// newPair says how values of two types are compared. Among the library's are
// those that it compares rightly.
func newPair(left, right sql.Type) pair {
	p := pair{left: left, right: right}
	if l, ok := left.(types.TupleType); ok {
		r, ok := right.(types.TupleType)
		if !ok || len(l) != len(r) {
			return p
		}
		for i := range l {
			part := newPair(l[i], r[i])
			p.parts = append(p.parts, part)
			if part.kind != pairStock {
				p.kind = pairRow
			}
		}
		return p
	}
	l, r := classOf(left), classOf(right)
	switch {
	case l == classOther || r == classOther:
	case l == classText || r == classText:
		if l == classDecimal || r == classDecimal {
			p.kind = pairDouble
		}
	case l == classFloat || r == classFloat:
		if !types.TypesEqual(left, right) {
			p.kind = pairDouble
		}
	case l != r || l == classDecimal:
		p.kind = pairExact
	}
	return p
}

// pairOf says how the values of two expressions are compared.
func pairOf(ctx *sql.Context, left, right sql.Expression) pair {
	p := newPair(left.Type(ctx), right.Type(ctx))
	p.from = [2]sql.Expression{left, right}
	if p.kind == pairExact && types.TypesEqual(p.left, p.right) && isField(left) && isField(right) {
		p.kind = pairStock // columns of one type hold no more digits than it has
	}
	return p
}

func isField(e sql.Expression) bool {
	_, ok := e.(*expression.GetField)
	return ok
}

// outcome is the result of a comparison. With unknown set, a part of it was
// NULL; order is that of the first parts that differ, if any do.
type outcome struct {
	order   int
	unknown bool
}

func (p *pair) compare(ctx *sql.Context, l, r any) (outcome, error) {
	if l == nil || r == nil {
		return outcome{unknown: true}, nil
	}
	switch p.kind {
	case pairExact:
		if order, ok := compareExactly(l, r); ok {
			return outcome{order: order}, nil
		}
	case pairDouble:
		x, okX := numberAsDouble(ctx, l)
		y, okY := numberAsDouble(ctx, r)
		if okX && okY {
			return outcome{order: cmp.Compare(x, y)}, nil
		}
	case pairRow:
		return p.compareParts(ctx, l, r)
	}
	order, err := expression.NewEquals(p.value(0, l), p.value(1, r)).Compare(ctx, nil)
	if expression.ErrNilOperand.Is(err) {
		return outcome{order, true}, nil
	}
	return outcome{order: order}, err
}

func (p *pair) compareParts(ctx *sql.Context, l, r any) (outcome, error) {
	left, okL := l.([]any)
	right, okR := r.([]any)
	if !okL || !okR || len(left) != len(p.parts) || len(right) != len(p.parts) {
		return outcome{}, sql.ErrInvalidOperandColumns.New(len(p.parts), len(right))
	}
	var all outcome
	for i := range p.parts {
		o, err := p.parts[i].compare(ctx, left[i], right[i])
		if err != nil {
			return outcome{}, err
		}
		all.unknown = all.unknown || o.unknown
		if o.order != 0 {
			all.order = o.order
			break
		}
	}
	return all, nil
}

// equalOrBothNull compares for <=>.
func (p *pair) equalOrBothNull(ctx *sql.Context, l, r any) (bool, error) {
	if l == nil || r == nil {
		return l == nil && r == nil, nil
	}
	if p.kind == pairRow {
		left, right := l.([]any), r.([]any)
		for i := range p.parts {
			if same, err := p.parts[i].equalOrBothNull(ctx, left[i], right[i]); err != nil || !same {
				return false, err
			}
		}
		return true, nil
	}
	o, err := p.compare(ctx, l, r)
	return err == nil && o.order == 0 && !o.unknown, err
}

// value is one of the two values as an expression for the library.
func (p *pair) value(side int, v any) sql.Expression {
	t := p.left
	if side == 1 {
		t = p.right
	}
	if e := p.from[side]; e != nil {
		return valued{Expression: e, value: v}
	}
	return expression.NewLiteral(v, t)
}

// valued is an expression whose value is known.
type valued struct {
	sql.Expression
	value any
}

// Eval gives the value.
func (v valued) Eval(*sql.Context, sql.Row) (any, error) { return v.value, nil }

// CollationCoercibility is the expression's.
func (v valued) CollationCoercibility(ctx *sql.Context) (sql.CollationID, byte) {
	return sql.GetCoercibility(ctx, v.Expression)
}

// operand is a side of a comparison. A constant is converted once.
type operand struct {
	expr  sql.Expression
	known any // the constant's value, nil for none
}

func newOperand(ctx *sql.Context, e sql.Expression, kind pairKind) operand {
	o := operand{expr: e}
	l, ok := e.(*expression.Literal)
	if !ok || l.Value() == nil {
		return o
	}
	switch kind {
	case pairExact:
		if n, ok := asInteger(l.Value()); ok {
			o.known = n
		} else if d, ok := asDecimal(l.Value()); ok {
			o.known = d
		}
	case pairDouble:
		if f, ok := numberAsDouble(ctx, l.Value()); ok {
			o.known = f
		}
	}
	return o
}

func (o *operand) eval(ctx *sql.Context, row sql.Row) (any, error) {
	if o.known != nil {
		return o.known, nil
	}
	v, err := o.expr.Eval(ctx, row)
	if err != nil || v == nil {
		return nil, err
	}
	return sql.UnwrapAny(ctx, v)
}
