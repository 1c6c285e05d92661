package gateway

import (
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// The columns of a recursive common table expression. The SQL library makes a
// DATETIME(6) of all moments in them. Here they get the type that holds both sides, as
// those of a UNION do, and so does what is above them.

// recursiveTypesID is the rule's number, above those of the library's rules.
const recursiveTypesID = shapedNumbersID + 1

// recursiveTypes gives them those types.
func recursiveTypes(ctx *sql.Context, n sql.Node) (sql.Node, transform.TreeIdentity, error) {
	found := false
	transform.InspectWithOpaque(ctx, n, func(_ *sql.Context, n sql.Node) bool {
		_, recursive := n.(*plan.RecursiveCte)
		found = found || recursive
		return !found
	})
	if !found {
		return n, transform.SameTree, nil
	}
	return retyped(ctx, n, nil, nil)
}

// retyped gives columns the types that they have in the rows below. A node that reads
// the rows of a recursion's last round reads another table in its place.
func retyped(ctx *sql.Context, n sql.Node, old, working *plan.RecursiveTable) (sql.Node, transform.TreeIdentity, error) {
	switch r := n.(type) {
	case *plan.RecursiveCte:
		return retypedRecursion(ctx, r)
	case *plan.RecursiveTable:
		if r == old {
			return working, transform.NewTree, nil
		}
	}
	same := transform.SameTree
	children := n.Children()
	next := make([]sql.Node, len(children))
	for i, c := range children {
		changed, unchanged, err := retyped(ctx, c, old, working)
		if err != nil {
			return nil, transform.SameTree, err
		}
		next[i], same = changed, same && unchanged
	}
	if same {
		return n, transform.SameTree, nil
	}
	n, err := n.WithChildren(ctx, next...)
	if err != nil {
		return nil, transform.SameTree, err
	}
	var below sql.Schema
	for _, c := range next {
		if c.Resolved() {
			below = append(below, c.Schema(ctx)...)
		}
	}
	n, _, err = transform.OneNodeExpressions(ctx, n, func(ctx *sql.Context, e sql.Expression) (sql.Expression, transform.TreeIdentity, error) {
		f, ok := e.(*expression.GetField)
		if !ok || f.Type(ctx) != types.DatetimeMaxPrecision {
			return e, transform.SameTree, nil
		}
		i := slices.IndexFunc(below, func(c *sql.Column) bool {
			return strings.EqualFold(c.Name, f.Name()) && strings.EqualFold(c.Source, f.Table())
		})
		if i < 0 || !types.IsTime(below[i].Type) {
			return e, transform.SameTree, nil
		}
		return typedField(f, below[i].Type), transform.NewTree, nil
	})
	return n, transform.NewTree, err
}

// retypedRecursion is a recursion whose columns that are moments have the type that
// holds both sides: first that of the first side, with which the second is looked at.
func retypedRecursion(ctx *sql.Context, r *plan.RecursiveCte) (sql.Node, transform.TreeIdentity, error) {
	left, _, err := retyped(ctx, r.Left(), nil, nil)
	if err != nil {
		return nil, transform.SameTree, err
	}
	schema := r.Schema(ctx).Copy()
	moments := false
	for i, c := range left.Schema(ctx) {
		if i < len(schema) && types.IsTime(c.Type) && schema[i].Type == types.DatetimeMaxPrecision {
			schema[i].Type, moments = c.Type, true
		}
	}
	if !moments || r.Working == nil {
		return r, transform.SameTree, nil
	}
	for {
		working := plan.NewRecursiveTable(r.Working.Name(), schema)
		working.WithId(r.Working.Id())
		working.WithColumns(r.Working.Columns())
		right, _, err := retyped(ctx, r.Right(), r.Working, working)
		if err != nil {
			return nil, transform.SameTree, err
		}
		wider := schema.Copy()
		changed := false
		for i, c := range right.Schema(ctx) {
			if i >= len(schema) || !types.IsTime(schema[i].Type) || !types.IsTime(c.Type) {
				continue
			}
			if t, ok := unionType(schema[i].Type, c.Type); ok && t != schema[i].Type {
				wider[i].Type, changed = t, true
			}
		}
		if changed {
			schema = wider // which only grows, to DATETIME(6) at most
			continue
		}
		n, err := r.WithChildren(ctx, left, right)
		if err != nil {
			return nil, transform.SameTree, err
		}
		return n.(*plan.RecursiveCte).WithSchema(schema).WithWorking(working), transform.NewTree, nil
	}
}
