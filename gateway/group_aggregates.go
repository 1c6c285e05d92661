package gateway

import (
	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function/aggregation"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/catalog"
	"arbor/engine/exec"
)

// output is what is selected of a group; not ok if that is not understood.
func (p *groupPlan) output(e sql.Expression) groupOutput {
	switch e := e.(type) {
	case *aggregation.Count:
		return p.count(e.Child)
	case *aggregation.CountDistinct:
		return p.countDistinct(e.ChildExpressions)
	case *aggregate:
		return p.number(e)
	case *aggregation.Min:
		return p.extreme(exec.AggMin, e.Child)
	case *aggregation.Max:
		return p.extreme(exec.AggMax, e.Child)
	case *aggregation.AnyValue:
		return p.any(e.Child)
	case *aggregation.BitAnd:
		return p.bits(exec.AggBitAnd, e.Child)
	case *aggregation.BitOr:
		return p.bits(exec.AggBitOr, e.Child)
	case *aggregation.BitXor:
		return p.bits(exec.AggBitXor, e.Child)
	case *percentile:
		return p.percentile(e)
	case orderedAggregate:
		return p.ordered(e)
	case *aggregation.GroupConcat:
		return p.concat(e)
	case sql.Aggregation:
		return groupOutput{}
	}
	return p.any(e)
}

// single is an output that is one aggregate.
func (p *groupPlan) single(op exec.AggregateOp, form resultForm, t sql.Type, args ...int) groupOutput {
	return groupOutput{ok: true, parts: []int{p.part(exec.Aggregate{Op: op, Args: args})}, form: form, typ: t}
}

func (p *groupPlan) count(e sql.Expression) groupOutput {
	switch e := e.(type) {
	case *expression.Star:
		return p.single(exec.AggCount, formInt, types.Int64)
	case *expression.Literal:
		if e.Val != nil {
			return p.single(exec.AggCount, formInt, types.Int64)
		}
	}
	if !travels(p.ctx, e) {
		return groupOutput{}
	}
	if s := p.source.project(e, p.rows); s.kind == slotColumn && !s.null {
		return p.single(exec.AggCount, formInt, types.Int64)
	}
	ref, _, _, ok := p.value(e)
	if !ok {
		return groupOutput{}
	}
	return p.single(exec.AggCount, formInt, types.Int64, ref)
}

func (p *groupPlan) countDistinct(exprs []sql.Expression) groupOutput {
	var args []int
	for _, e := range exprs {
		if _, star := e.(*expression.Star); star || !travels(p.ctx, e) {
			return groupOutput{}
		}
		ref, form, t, ok := p.value(e)
		if !ok || !form.byBytes(t) {
			return groupOutput{}
		}
		args = append(args, ref)
	}
	if len(args) == 0 || len(args) > exec.MaxAggregateArgs {
		return groupOutput{}
	}
	return p.single(exec.AggCountDistinct, formInt, types.Int64, args...)
}

var numberOps = map[aggregateKind]exec.AggregateOp{
	aggregateStdPop: exec.AggStdPop, aggregateStdSamp: exec.AggStdSamp, aggregateVarPop: exec.AggVarPop, aggregateVarSamp: exec.AggVarSamp,
}

// number is SUM, AVG, a deviation or a variance.
func (p *groupPlan) number(a *aggregate) groupOutput {
	if _, distinct := a.child.(*expression.DistinctExpression); distinct || a.window != nil || !travels(p.ctx, a.child) {
		return groupOutput{}
	}
	result, isExact := a.Type(p.ctx).(sql.DecimalType)
	ref, ok := p.numbers(a.child, isExact)
	if !ok {
		return groupOutput{}
	}
	if op, ok := numberOps[a.kind]; ok {
		return p.single(op, formDouble, types.Float64, ref)
	}
	sum := exec.Aggregate{Op: exec.AggSum, Args: []int{ref}}
	count := exec.Aggregate{Op: exec.AggCount, Args: []int{ref}}
	switch {
	case isExact && a.kind == aggregateSum:
		return groupOutput{ok: true, parts: []int{p.part(sum)}, typ: result, sum: a.shown == nil, finish: func(v []any) (any, error) { return roundedSum(exactSum(v[0]), a.shown) }}
	case a.kind == aggregateSum:
		return p.single(exec.AggSum, formDouble, types.Float64, ref)
	}
	return groupOutput{ok: true, parts: []int{p.part(sum), p.part(count)}, typ: a.Type(p.ctx), finish: func(v []any) (any, error) {
		n, _ := v[1].(int64)
		if v[0] == nil || n == 0 {
			return nil, nil
		}
		if d, ok := v[0].(float64); ok {
			return d / float64(n), nil
		}
		b := &aggregateBuffer{count: n, large: exactSum(v[0]).(*apd.Decimal), scale: int(result.Scale())}
		return b.average()
	}}
}

// exactSum is a sum of integers or decimals as SUM gives it.
func exactSum(v any) any {
	if n, ok := v.(int64); ok {
		return apd.New(n, 0)
	}
	return v
}

// numbers is the reference to what an aggregate of numbers adds up: the exact
// numbers, or what a DOUBLE is made of.
func (p *groupPlan) numbers(e sql.Expression, isExact bool) (ref int, ok bool) {
	ref, form, _, ok := p.value(e)
	if ok {
		switch form {
		case formBool, formTiny, formInt, formUnsigned, formDecimal, formDouble:
			return ref, isExact == (form != formDouble) || !isExact
		}
	}
	if isExact {
		return 0, false
	}
	return p.valueAs(e, formNumber)
}

func (p *groupPlan) extreme(op exec.AggregateOp, e sql.Expression) groupOutput {
	if !travels(p.ctx, e) {
		return groupOutput{}
	}
	ref, form, t, ok := p.value(e)
	if !ok || !form.ordered(t) {
		return groupOutput{}
	}
	return p.single(op, form, t, ref)
}

// any is a value that one of the group's rows has, if any has one.
func (p *groupPlan) any(e sql.Expression) groupOutput {
	if !travels(p.ctx, e) {
		return groupOutput{}
	}
	ref, form, t, ok := p.value(e)
	if !ok {
		return groupOutput{}
	}
	if key, ok := p.keyOf(ref); ok {
		return key
	}
	if bits, ok := p.bitsKey(e, form); ok {
		return bits
	}
	return p.single(exec.AggMin, form, t, ref)
}

// bitsKey is the key that has the values of an expression by their bits.
func (p *groupPlan) bitsKey(e sql.Expression, form resultForm) (groupOutput, bool) {
	if form != formUnsigned {
		return groupOutput{}, false
	}
	ref, ok := p.valueAs(e, formBits)
	if !ok {
		return groupOutput{}, false
	}
	return p.keyOf(ref)
}

func (p *groupPlan) bits(op exec.AggregateOp, e sql.Expression) groupOutput {
	if !travels(p.ctx, e) || !types.IsInteger(e.Type(p.ctx)) {
		return groupOutput{}
	}
	ref, form, _, ok := p.value(e)
	if ok && form == formUnsigned {
		ref, ok = p.valueAs(e, formBits)
	}
	if !ok {
		return groupOutput{}
	}
	return p.single(op, formBits, types.Uint64, ref)
}

func (p *groupPlan) percentile(e *percentile) groupOutput {
	share, err := e.value(p.ctx)
	if err != nil || !travels(p.ctx, e.child) {
		return groupOutput{}
	}
	a := exec.Aggregate{Op: exec.AggPercentile, Params: []catalog.Value{catalog.Double(share)}}
	out := groupOutput{ok: true, form: formDouble, typ: types.Float64}
	var ref int
	if e.disc {
		var ok bool
		if ref, out.form, out.typ, ok = p.value(e.child); !ok || !out.form.ordered(out.typ) {
			return groupOutput{}
		}
		a.Op = exec.AggPercentileDisc
	} else if ref, out.ok = p.numbers(e.child, false); !out.ok {
		return groupOutput{}
	}
	a.Args = []int{ref}
	out.parts = []int{p.part(a)}
	return out
}
