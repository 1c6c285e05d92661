package gateway

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
)

// neverNull reports whether no row of a node has NULL in a column, so that NULL there says
// that an outer join found none. What a schema says of that is not enough: by it the least
// of no values is not NULL, nor is what JSON_EXTRACT does not find, nor a column of the
// other side of an outer join below.
func neverNull(ctx *sql.Context, n sql.Node, column int) bool {
	schema := n.Schema(ctx)
	if column < 0 || column >= len(schema) || schema[column].Nullable {
		return false
	}
	// of reports it for an expression over a node's rows.
	of := func(below sql.Node, e sql.Expression) bool {
		for {
			a, is := e.(*expression.Alias)
			if !is {
				break
			}
			e = a.Child
		}
		switch e := e.(type) {
		case *expression.Literal:
			return e.Val != nil
		case *expression.GetField:
			rows := below.Schema(ctx)
			return e.Index() >= 0 && e.Index() < len(rows) && strings.EqualFold(rows[e.Index()].Name, e.Name()) && neverNull(ctx, below, e.Index())
		}
		return false
	}
	switch n := unwrapped(n).(type) {
	case *plan.ResolvedTable:
		return true
	case *plan.TableAlias, *plan.SubqueryAlias, *plan.Filter, *plan.Having, *plan.Distinct, *plan.Sort, *plan.Limit, *plan.Offset, *plan.TopN:
		return neverNull(ctx, n.Children()[0], column)
	case *plan.Project:
		return of(n.Child, n.Projections[column])
	case *plan.GroupBy:
		return len(n.GroupByExprs) > 0 && of(n.Child, n.SelectDeps[column]) // without keys there is a row of no rows
	case *plan.JoinNode:
		left := len(n.Left().Schema(ctx))
		switch kind := kindOfJoin(n.Op); {
		case column < left:
			return kind != joinUnknown && neverNull(ctx, n.Left(), column)
		default:
			return kind == joinInner && neverNull(ctx, n.Right(), column-left)
		}
	}
	return false
}
