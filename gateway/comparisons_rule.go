package gateway

import (
	"slices"
	"sync"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/analyzer"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/expression/function"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
)

// ownComparisonsID is the rule's number, above those of the library's rules.
const ownComparisonsID analyzer.RuleId = 10_001

var comparisonsInstalled sync.Once

// installComparisons makes the library's analyzers put our comparisons into
// every plan, before other rules compute with constants or make joins of
// conditions. The library's lists of rules are the process's. AlwaysBeforeDefault
// is the only one that simple UPDATEs and DELETEs go through.
func installComparisons() {
	comparisonsInstalled.Do(func() {
		installAggregates()
		installWindowValues()
		rule := analyzer.Rule{Id: ownComparisonsID, Apply: func(ctx *sql.Context, _ *analyzer.Analyzer, n sql.Node, _ *plan.Scope, _ analyzer.RuleSelector, _ *sql.QueryFlags) (sql.Node, transform.TreeIdentity, error) {
			return ownComparisons(ctx, n)
		}}
		unions := analyzer.Rule{Id: unionTypesID, Apply: func(ctx *sql.Context, _ *analyzer.Analyzer, n sql.Node, _ *plan.Scope, _ analyzer.RuleSelector, _ *sql.QueryFlags) (sql.Node, transform.TreeIdentity, error) {
			return unionTypes(ctx, n)
		}}
		shaped := analyzer.Rule{Id: shapedNumbersID, Apply: func(ctx *sql.Context, _ *analyzer.Analyzer, n sql.Node, _ *plan.Scope, _ analyzer.RuleSelector, _ *sql.QueryFlags) (sql.Node, transform.TreeIdentity, error) {
			return shapedNumbers(ctx, n)
		}}
		quotients := analyzer.Rule{Id: quotientsID, Apply: func(ctx *sql.Context, _ *analyzer.Analyzer, n sql.Node, _ *plan.Scope, _ analyzer.RuleSelector, _ *sql.QueryFlags) (sql.Node, transform.TreeIdentity, error) {
			return exactQuotients(ctx, n)
		}}
		recursive := analyzer.Rule{Id: recursiveTypesID, Apply: func(ctx *sql.Context, _ *analyzer.Analyzer, n sql.Node, _ *plan.Scope, _ analyzer.RuleSelector, _ *sql.QueryFlags) (sql.Node, transform.TreeIdentity, error) {
			return recursiveTypes(ctx, n)
		}}
		analyzer.OnceBeforeDefault = slices.Insert(slices.Clone(analyzer.OnceBeforeDefault), 0, recursive, rule, shaped, quotients, unions)
		analyzer.AlwaysBeforeDefault = append(analyzer.AlwaysBeforeDefault, rule, quotients)
	})
}

// ownComparisons replaces a plan's comparisons.
func ownComparisons(ctx *sql.Context, n sql.Node) (sql.Node, transform.TreeIdentity, error) {
	return transform.NodeExprsWithOpaque(ctx, n, func(ctx *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
		if q, ok := e.(*plan.Subquery); ok {
			query, same, err := ownComparisons(ctx, q.Query)
			if err != nil || same {
				return e, transform.SameTree, err
			}
			return q.WithQuery(query), transform.NewTree, nil
		}
		if own := ownComparisonOf(ctx, e); own != nil {
			return own, transform.NewTree, nil
		}
		return e, transform.SameTree, nil
	})
}

// ownComparisonFor is our comparison in the place of the library's, or the
// library's where it is right.
func ownComparisonFor(ctx *sql.Context, e sql.Expression) sql.Expression {
	if own := ownComparisonOf(ctx, e); own != nil {
		return own
	}
	return e
}

// ownComparisonOf is our comparison in the place of the library's, nil for none.
func ownComparisonOf(ctx *sql.Context, e sql.Expression) sql.Expression {
	if !e.Resolved() {
		return nil
	}
	if numbers := withBinaryNumbers(ctx, e); numbers != nil {
		e = numbers
		if own := ownComparisonOf(ctx, e); own != nil {
			return own
		}
		return e
	}
	if times := withTimesAsTruths(ctx, e); times != nil {
		return times
	}
	if own := withOwnPath(ctx, e); own != nil {
		return own
	}
	if first := jsonFirst(ctx, e); first != nil {
		return ownComparisonFor(ctx, first)
	}
	switch e := e.(type) {
	case *keptLiteral:
		return e.Expression
	case *expression.Equals:
		return newOwnComparison(ctx, e, e.Left(), e.Right())
	case *expression.NullSafeEquals:
		return newOwnComparison(ctx, e, e.Left(), e.Right())
	case *expression.LessThan:
		return newOwnComparison(ctx, e, e.Left(), e.Right())
	case *expression.LessThanOrEqual:
		return newOwnComparison(ctx, e, e.Left(), e.Right())
	case *expression.GreaterThan:
		return newOwnComparison(ctx, e, e.Left(), e.Right())
	case *expression.GreaterThanOrEqual:
		return newOwnComparison(ctx, e, e.Left(), e.Right())
	case *expression.Between:
		return newOwnBetween(ctx, e)
	case *expression.InTuple:
		return newOwnIn(ctx, e)
	case *expression.HashInTuple:
		return newOwnIn(ctx, e)
	case *plan.InSubquery:
		return newOwnInSubquery(ctx, e)
	case *expression.Not:
		return notInRows(ctx, e)
	case *expression.Case:
		return newOwnCase(ctx, e)
	case *function.NullIf:
		return newOwnNullIf(ctx, e)
	case *function.RegexpLike: // of the operator REGEXP
		if own, err := newBounded(ctx, e, boundedRules["regexp_like"]); err == nil {
			return own
		}
	}
	if b, ok := e.(*expression.BitOp); ok {
		return withBits(ctx, b)
	}
	if m, ok := e.(*expression.Mod); ok {
		if own := withModulo(ctx, m); own != nil {
			return own
		}
	}
	if d, ok := e.(*expression.IntDiv); ok {
		if own := withDivide(ctx, d); own != nil {
			return own
		}
	}
	if numbers := withMomentNumbers(ctx, e); numbers != nil {
		return numbers
	}
	if checked := withDoubleRange(ctx, e); checked != nil {
		return checked
	}
	if part := withClockParts(ctx, e); part != nil {
		return part
	}
	if moments := withReadMoments(ctx, e); moments != nil {
		return moments
	}
	if texts := withTextValues(ctx, e); texts != nil {
		e = texts
		if short := shortened(ctx, e); short != nil {
			return short
		}
		return e
	}
	return shortened(ctx, e)
}

// ownCase is CASE x WHEN y, whose comparisons the library makes when it runs.
type ownCase struct {
	*expression.Case
	searched *expression.Case // the same as CASE WHEN x = y
}

func newOwnCase(ctx *sql.Context, e *expression.Case) sql.Expression {
	if e.Expr == nil {
		return nil
	}
	branches, own := slices.Clone(e.Branches), false
	for i := range branches {
		equal := expression.NewEquals(e.Expr, branches[i].Cond)
		branches[i].Cond = equal
		if c := ownComparisonOf(ctx, equal); c != nil {
			branches[i].Cond, own = c, true
		}
	}
	if !own {
		return nil
	}
	return &ownCase{Case: e, searched: expression.NewCase(nil, branches, e.Else)}
}

// Eval gives the value of the first branch that is equal.
func (c *ownCase) Eval(ctx *sql.Context, row sql.Row) (any, error) { return c.searched.Eval(ctx, row) }

// WithChildren puts other parts in their place.
func (c *ownCase) WithChildren(ctx *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	e, err := c.Case.WithChildren(ctx, children...)
	if err != nil {
		return nil, err
	}
	return ownComparisonFor(ctx, e), nil
}

// ownNullIf is NULLIF, which is a comparison too.
type ownNullIf struct {
	*function.NullIf
	equal sql.Expression
}

func newOwnNullIf(ctx *sql.Context, e *function.NullIf) sql.Expression {
	if e.LeftChild == nil || e.RightChild == nil {
		return nil
	}
	equal := newOwnComparison(ctx, expression.NewEquals(e.LeftChild, e.RightChild), e.LeftChild, e.RightChild)
	if equal == nil {
		return nil
	}
	return &ownNullIf{NullIf: e, equal: equal}
}

// Eval gives NULL for equal values, else the first.
func (n *ownNullIf) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	equal, err := n.equal.Eval(ctx, row)
	if err != nil || equal == true {
		return nil, err
	}
	return n.LeftChild.Eval(ctx, row)
}

// WithChildren puts other values in their place.
func (n *ownNullIf) WithChildren(ctx *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	e, err := n.NullIf.WithChildren(ctx, children...)
	if err != nil {
		return nil, err
	}
	return ownComparisonFor(ctx, e), nil
}
