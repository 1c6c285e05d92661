package gateway

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/catalog"
	"arbor/engine/exec"
)

// orderedAggregate is an aggregate over a group's events in their order, which a
// fragment has too.
type orderedAggregate interface {
	sql.Aggregation
	// execAggregate is the aggregate in the words of a fragment; an op of 0 is none.
	execAggregate() (op exec.AggregateOp, params []catalog.Value, args []sql.Expression)
}

// ordered is a behavioural function, FIRST_TOUCH or LAST_TOUCH.
func (p *groupPlan) ordered(e orderedAggregate) groupOutput {
	op, params, exprs := e.execAggregate()
	if op == 0 || len(exprs) > exec.MaxAggregateArgs {
		return groupOutput{}
	}
	a := exec.Aggregate{Op: op, Params: params}
	out := groupOutput{ok: true, form: formInt, typ: e.Type(p.ctx)}
	for i, x := range exprs {
		if !travels(p.ctx, x) {
			return groupOutput{}
		}
		ref, form, t, ok := p.value(x)
		switch {
		case !ok:
		case op != exec.AggBehaviour && i == 0:
			out.form, out.typ = form, t
		case op == exec.AggBehaviour && i > 1:
			ref, ok = p.truthOf(x, ref, form)
		}
		if !ok {
			return groupOutput{}
		}
		a.Args = append(a.Args, ref)
	}
	if op == exec.AggBehaviour && out.typ.Equals(types.Float64) {
		out.form = formDouble
	}
	out.parts = []int{p.part(a)}
	return out
}

// truthOf is the reference to a number that says whether a condition is true.
func (p *groupPlan) truthOf(e sql.Expression, ref int, form resultForm) (int, bool) {
	switch form {
	case formBool, formTiny, formInt, formUnsigned, formDecimal, formDouble:
		return ref, true
	}
	return p.valueAs(e, formNumber)
}
