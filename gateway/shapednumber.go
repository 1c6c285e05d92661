package gateway

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// CASE, IF, IFNULL and COALESCE of decimals have the digits of their values in MySQL.
// The SQL library gives them all the digits that a decimal can have where the values'
// types differ, and so do sums of them.

// shapedNumbersID is the rule's number, above those of the library's rules.
const shapedNumbersID = unionTypesID + 1

// shapedNumbers gives such expressions of a plan their digits, and what is above them
// the same. The sides of a UNION that had one type before keep it.
func shapedNumbers(ctx *sql.Context, n sql.Node) (sql.Node, transform.TreeIdentity, error) {
	same := transform.SameTree
	children := n.Children()
	next := make([]sql.Node, len(children))
	for i, c := range children {
		changed, unchanged, err := shapedNumbers(ctx, c)
		if err != nil {
			return nil, transform.SameTree, err
		}
		next[i] = changed
		same = same && unchanged
	}
	if !same {
		shaped, err := n.WithChildren(ctx, next...)
		if err != nil {
			return nil, transform.SameTree, err
		}
		if u, ok := shaped.(*plan.SetOp); ok && !sameTypes(ctx, next[0], next[1]) {
			converted, err := unionOfTypes(ctx, u)
			if err != nil || converted == nil {
				return n, transform.SameTree, err
			}
			shaped = converted
		}
		n = shaped
	}
	var below sql.Schema
	if len(next) == 1 && next[0].Resolved() {
		below = next[0].Schema(ctx)
	}
	n, unchanged, err := transform.OneNodeExpressions(ctx, n, func(ctx *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
		return shapedExpression(ctx, e, below)
	})
	return n, same && unchanged, err
}

// collatedBelow is the type that a text has in the rows below, if its collation is another
// one there.
func collatedBelow(f *expression.GetField, now sql.StringType, below sql.Schema) sql.Type {
	var found sql.StringType
	for _, c := range below {
		if !strings.EqualFold(c.Name, f.Name()) || !strings.EqualFold(c.Source, f.Table()) {
			continue
		}
		t, ok := c.Type.(sql.StringType)
		if !ok || !types.IsTextOnly(t) || found != nil {
			return nil
		}
		found = t
	}
	if found == nil || found.Collation() == now.Collation() {
		return nil
	}
	return found
}

// sameTypes reports whether two sides have columns of the same types.
func sameTypes(ctx *sql.Context, a, b sql.Node) bool {
	as, bs := a.Schema(ctx), b.Schema(ctx)
	for i := range as {
		if i < len(bs) && !as[i].Type.Equals(bs[i].Type) {
			return false
		}
	}
	return true
}

// shapedExpression gives one expression its digits.
func shapedExpression(ctx *sql.Context, e sql.Expression, below sql.Schema) (sql.Expression, transform.TreeIdentity, error) {
	switch x := e.(type) {
	case *plan.Subquery:
		query, same, err := shapedNumbers(ctx, x.Query)
		if err != nil || same {
			return e, transform.SameTree, err
		}
		return x.WithQuery(query), transform.NewTree, nil
	case *expression.GetField:
		if t := shapedBelow(ctx, x, below); t != nil {
			return typedField(x, t), transform.NewTree, nil
		}
		return e, transform.SameTree, nil
	case *plainFunction:
		if x.kind == chosenKind {
			if inner, ok := x.args[0].(*plainFunction); ok && inner.kind == chosenKind {
				return inner, transform.NewTree, nil
			}
		}
	case *shapedNumber:
		if inner, ok := x.Child.(*shapedNumber); ok {
			return &shapedNumber{inner.UnaryExpressionStub, x.typ, x.text}, transform.NewTree, nil
		}
	}
	if s := shapeNumber(ctx, e); s != nil {
		return s, transform.NewTree, nil
	}
	if c := chosenText(ctx, e); c != nil {
		return c, transform.NewTree, nil
	}
	return e, transform.SameTree, nil
}

// shapedBelow is the type that a column of all digits has in the rows below, nil if it
// has none of its own.
func shapedBelow(ctx *sql.Context, f *expression.GetField, below sql.Schema) sql.Type {
	if t, ok := f.Type(ctx).(sql.StringType); ok && types.IsTextOnly(t) {
		return collatedBelow(f, t, below)
	}
	now, ok := f.Type(ctx).(sql.DecimalType)
	if !ok || now.Scale() < types.DecimalTypeMaxScale {
		return nil
	}
	var found sql.Type
	for _, c := range below {
		if !strings.EqualFold(c.Name, f.Name()) || !strings.EqualFold(c.Source, f.Table()) {
			continue
		}
		d, ok := c.Type.(sql.DecimalType)
		if !ok || found != nil {
			return nil
		}
		if d.Scale() < now.Scale() {
			found = c.Type
		}
	}
	return found
}

// shapeNumber is an expression with its digits, nil where it has them.
func shapeNumber(ctx *sql.Context, e sql.Expression) sql.Expression {
	values := chosenValues(e)
	if values == nil || !e.Resolved() {
		return nil
	}
	now, ok := e.Type(ctx).(sql.DecimalType)
	if !ok {
		return nil
	}
	var whole, scale uint8
	for _, v := range values {
		t := v.Type(ctx)
		if types.IsNullType(t) {
			continue
		}
		s, ok := decimalShape(t)
		if !ok {
			return nil
		}
		whole, scale = max(whole, s.whole), max(scale, s.scale)
	}
	c, isCoalesce := e.(*function.Coalesce)
	if !isCoalesce && scale >= now.Scale() {
		return nil
	}
	text := e.String()
	if isCoalesce {
		e = coalesceCase(c)
	}
	t, err := types.CreateDecimalType(min(types.DecimalTypeMaxPrecision, whole+scale), scale)
	if err != nil {
		return nil
	}
	return &shapedNumber{expression.UnaryExpressionStub{Child: e}, t, text}
}

// coalesceCase is COALESCE as a CASE: the SQL library's takes the type of the last
// decimal, into which others may not fit.
func coalesceCase(c *function.Coalesce) sql.Expression {
	args := c.Children()
	branches := make([]expression.CaseBranch, len(args)-1)
	for i := range branches {
		branches[i] = expression.CaseBranch{Cond: expression.NewNot(expression.NewIsNull(args[i])), Value: args[i]}
	}
	return expression.NewCase(nil, branches, args[len(args)-1])
}

// chosenValues are the expressions of which another gives the value of one, nil for
// others.
func chosenValues(e sql.Expression) []sql.Expression {
	switch e := e.(type) {
	case *ownCase:
		return chosenValues(e.Case)
	case *expression.Case:
		var values []sql.Expression
		for _, b := range e.Branches {
			values = append(values, b.Value)
		}
		if e.Else != nil {
			values = append(values, e.Else)
		}
		return values
	case *function.If:
		return e.Children()[1:]
	case *function.IfNull, *function.Coalesce:
		return e.Children()
	}
	return nil
}

// shapedNumber is a decimal with the digits of its type.
type shapedNumber struct {
	expression.UnaryExpressionStub
	typ sql.DecimalType
	// text is that of the expression in the statement, by which others know it.
	text string
}

var (
	_ sql.Expression         = (*shapedNumber)(nil)
	_ sql.CollationCoercible = (*shapedNumber)(nil)
)

// String is the expression's text.
func (s *shapedNumber) String() string { return s.text }

// Type is the decimal's.
func (s *shapedNumber) Type(*sql.Context) sql.Type { return s.typ }

// CollationCoercibility is a number's.
func (s *shapedNumber) CollationCoercibility(*sql.Context) (sql.CollationID, byte) {
	return sql.Collation_binary, 5
}

// Eval gives the value with its digits.
func (s *shapedNumber) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	v, err := s.Child.Eval(ctx, row)
	if err != nil || v == nil {
		return nil, err
	}
	if v, _, err = s.typ.Convert(ctx, v); err != nil {
		return nil, err
	}
	if d, ok := v.(*apd.Decimal); ok {
		return withScale(d, s.typ.Scale())
	}
	return v, nil
}

// WithChildren replaces the expression.
func (s *shapedNumber) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 1 {
		return nil, sql.ErrInvalidChildrenNumber.New(s, len(children), 1)
	}
	return &shapedNumber{expression.UnaryExpressionStub{Child: children[0]}, s.typ, s.text}, nil
}

// shapedTag is the kind of such an expression as it travels.
const shapedTag = "shaped"

// describe says what it is.
func (s *shapedNumber) describe() scalarNode {
	return scalarNode{shapedTag, []string{strconv.Itoa(int(s.typ.Precision())), strconv.Itoa(int(s.typ.Scale())), s.text}, s.Children()}
}

// buildShaped makes it of what describe has said.
func buildShaped(_ *sql.Context, w []string, c []sql.Expression) (sql.Expression, error) {
	var digits [2]uint8
	for i := range digits {
		n, err := strconv.ParseUint(w[i], 10, 8)
		if err != nil {
			return nil, fmt.Errorf("digits of a decimal: %w", err)
		}
		digits[i] = uint8(n)
	}
	t, err := types.CreateDecimalType(digits[0], digits[1])
	if err != nil {
		return nil, fmt.Errorf("digits of a decimal: %w", err)
	}
	return &shapedNumber{expression.UnaryExpressionStub{Child: c[0]}, t, w[2]}, nil
}

// partFunctions give a part of a moment, which the SQL library cannot negate.
var partFunctions = nameSet(`year month day dayofmonth dayofweek dayofyear weekday week weekofyear yearweek quarter hour minute second microsecond`)

// negatedPart is minus a part of a moment, as a difference; nil for others.
func negatedPart(e sqlparser.Expr) sqlparser.Expr {
	u, ok := e.(*sqlparser.UnaryExpr)
	if !ok || strings.TrimSpace(u.Operator) != sqlparser.UMinusStr {
		return nil
	}
	inner := u.Expr
	if p, ok := inner.(*sqlparser.ParenExpr); ok {
		inner = p.Expr
	}
	f, ok := inner.(*sqlparser.FuncExpr)
	if !ok || !partFunctions[f.Name.Lowered()] || !f.Qualifier.IsEmpty() {
		return nil
	}
	return &sqlparser.ParenExpr{Expr: &sqlparser.BinaryExpr{Operator: sqlparser.MinusStr, Left: sqlparser.NewIntVal([]byte("0")), Right: f}}
}
