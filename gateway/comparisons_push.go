package gateway

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"

	"arbor/engine/exec"
)

// What the pushdown knows of our comparisons. It never needs more than a
// condition that keeps every row that they keep.

// negated translates NOT of a comparison, if it can be said without.
func (p *pusher) negated(e sql.Expression) (translation, bool) {
	switch e := e.(type) {
	case *ownComparison:
		if opposite := e.negated(); opposite != nil {
			return p.translate(opposite), true
		}
	case *ownBetween:
		return p.or(
			p.bound(expression.NewLessThan(e.value.expr, e.boundOf(&e.smallest, &e.lower)), exec.OpLess),
			p.bound(expression.NewGreaterThan(e.value.expr, e.boundOf(&e.largest, &e.upper)), exec.OpMore)), true
	}
	return nothing, false
}

func (p *pusher) ownBetween(e *ownBetween) translation {
	return p.and(
		p.bound(expression.NewGreaterThanOrEqual(e.value.expr, e.boundOf(&e.smallest, &e.lower)), exec.OpMoreEq),
		p.bound(expression.NewLessThanOrEqual(e.value.expr, e.boundOf(&e.largest, &e.upper)), exec.OpLessEq))
}

// bound translates a comparison with a bound, which is never taken for exact.
func (p *pusher) bound(e comparison, op exec.Op) translation {
	return translation{p.compare(e, op).expr, false}
}

// boundOf is a bound as it is compared: as a DOUBLE, if the other one is one.
func (b *ownBetween) boundOf(o *operand, how *pair) sql.Expression {
	if how.kind == pairDouble {
		return expression.NewConvert(o.expr, expression.ConvertToDouble)
	}
	return o.expr
}
