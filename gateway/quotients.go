package gateway

import (
	"math/big"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// SUM and AVG of exact quotients, and what rounds them. MySQL computes a quotient in groups of nine digits, as
// many as hold those of both operands and four more, cuts off what is behind, and rounds when
// the quotient is shown. What is added up has all of those digits: SUM(n / 3) of three ones
// is 1.0000, where the SQL library adds up what each would show, 0.3333.

// quotientsID is the rule's number, above those of the library's rules.
const quotientsID = recursiveTypesID + 1

// quotientFunction is the name under which such a quotient travels.
const quotientFunction = "arbor_quotient"

// A call looks like the quotient that it stands for.
var quotientKind = &plainKind{name: quotientFunction, least: 2, most: 2, typ: quotientType,
	shown: func(args []string) string { return "(" + args[0] + " / " + args[1] + ")" },
	eval: func(ctx *sql.Context, args []sql.Expression, v []any) (any, error) {
		x, okX := asDecimal(v[0])
		y, okY := asDecimal(v[1])
		scale, known := quotientScale(ctx, args)
		if !okX || !okY || !known {
			return nil, nil
		}
		if y.IsZero() {
			warn(ctx, erDivisionByZero, "Division by 0")
			return nil, nil
		}
		exponent := min(x.Exponent, y.Exponent, 0)
		n := new(big.Int).Mul(wholeUnits(x, exponent), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))
		n.Quo(n, wholeUnits(y, exponent))
		return apd.NewWithBigInt(new(apd.BigInt).SetMathBigInt(n), int32(-scale)), nil
	}}

// erDivisionByZero is MySQL's ER_DIVISION_BY_ZERO.
const erDivisionByZero = 1365

// quotientGroup is how many digits MySQL computes at a time.
const quotientGroup = 9

// quotientScale is how many digits behind the point a quotient is computed with; not ok if
// an operand is no exact number, or for more than a decimal has.
func quotientScale(ctx *sql.Context, args []sql.Expression) (int, bool) {
	digits, more := 0, avgDigits
	for _, a := range args {
		_, scale, ok := exactDigits(a.Type(ctx))
		if !ok {
			return 0, false
		}
		whole := groupsOf(scale)
		digits, more = digits+whole, more-(whole-scale)
	}
	digits = groupsOf(digits + max(more, 0))
	return digits, digits <= types.DecimalTypeMaxScale
}

// groupsOf is a number of digits, rounded up to whole groups.
func groupsOf(digits int) int { return (digits + quotientGroup - 1) / quotientGroup * quotientGroup }

func quotientType(ctx *sql.Context, args []sql.Expression) sql.Type {
	scale, ok := quotientScale(ctx, args)
	if !ok {
		return types.Float64
	}
	precision, digits, _ := exactDigits(args[0].Type(ctx))
	_, more, _ := exactDigits(args[1].Type(ctx)) // by 0.001 a number gets three digits more
	return types.MustCreateDecimalType(uint8(min(precision-digits+more+scale, types.DecimalTypeMaxPrecision)), uint8(scale))
}

// exactQuotients makes the sums and averages of a plan add up quotients with all their
// digits.
func exactQuotients(ctx *sql.Context, n sql.Node) (sql.Node, transform.TreeIdentity, error) {
	return transform.NodeExprsWithOpaque(ctx, n, func(ctx *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
		switch e := e.(type) {
		case *plan.Subquery:
			query, same, err := exactQuotients(ctx, e.Query)
			if err != nil || same {
				return e, transform.SameTree, err
			}
			return e.WithQuery(query), transform.NewTree, nil
		case *aggregate:
			if exact := e.ofQuotients(ctx); exact != nil {
				return exact, transform.NewTree, nil
			}
		case *plainFunction:
			if rounded := roundedQuotient(ctx, e); rounded != nil {
				return rounded, transform.NewTree, nil
			}
		}
		return e, transform.SameTree, nil
	})
}

// ofQuotients is the aggregate of the quotients in its argument with all their digits, nil
// if there are none.
func (a *aggregate) ofQuotients(ctx *sql.Context) *aggregate {
	if _, distinct := a.child.(*expression.DistinctExpression); distinct || a.kind > aggregateAvg || a.shown != nil || a.window != nil || !a.child.Resolved() {
		return nil
	}
	shown, ok := a.Type(ctx).(sql.DecimalType)
	if !ok {
		return nil
	}
	child := withExactQuotients(ctx, a.child)
	if child == nil {
		return nil
	}
	b := *a
	b.child, b.shown = child, shown
	return &b
}

// withExactQuotients is an expression whose quotients have all their digits, nil if it has
// none or is no decimal.
func withExactQuotients(ctx *sql.Context, e sql.Expression) sql.Expression {
	found := false
	out, same, err := transform.Expr(ctx, e, func(ctx *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
		switch e := e.(type) {
		case *expression.Div:
			args := []sql.Expression{e.LeftChild, e.RightChild}
			if _, ok := quotientScale(ctx, args); ok {
				found = true
				return &plainFunction{kind: quotientKind, args: args}, transform.NewTree, nil
			}
		case *shapedNumber:
			if s, ok := shapeNumber(ctx, e.Child).(*shapedNumber); ok && found {
				return &shapedNumber{s.UnaryExpressionStub, s.typ, e.text}, transform.NewTree, nil
			}
		}
		return e, transform.SameTree, nil
	})
	if err != nil || bool(same) || !found || out.String() != e.String() { // by its text it is known
		return nil
	}
	if _, ok := out.Type(ctx).(sql.DecimalType); !ok {
		return nil
	}
	return out
}

// roundingNames are the functions that round, cut off or print a number.
var roundingNames = map[string]bool{"round": true, "truncate": true, "ceil": true, "ceiling": true, "floor": true, "format": true, decimalFunction: true}

// roundedQuotient is a call of such a function that gets a quotient with all its digits, nil
// for other calls. Where it asks for no fewer digits than a quotient shows, it stays as it is.
func roundedQuotient(ctx *sql.Context, f *plainFunction) sql.Expression {
	if !roundingNames[f.kind.name] || !f.Resolved() {
		return nil
	}
	shown, ok := f.args[0].Type(ctx).(sql.DecimalType)
	if !ok {
		return nil
	}
	if f.kind.name == "round" || f.kind.name == "truncate" {
		if len(f.args) > 1 {
			places, ok := constantPlaces(ctx, f.args[1])
			if !ok || places >= int32(shown.Scale()) {
				return nil
			}
		}
	}
	exact := withExactQuotients(ctx, f.args[0])
	if exact == nil {
		return nil
	}
	args := append([]sql.Expression{exact}, f.args[1:]...)
	return &plainFunction{kind: f.kind, args: args}
}

// roundedSum is a sum with the digits that it is shown with.
func roundedSum(v any, shown sql.DecimalType) (any, error) {
	d, ok := v.(*apd.Decimal)
	if !ok || shown == nil {
		return v, nil
	}
	wide := apd.BaseContext.WithPrecision(2 * types.DecimalTypeMaxPrecision)
	out := new(apd.Decimal)
	_, err := wide.Quantize(out, d, -int32(shown.Scale()))
	return out, err
}
