package gateway

import (
	"slices"
	"strings"
	"sync"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/analyzer"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
)

// The analyzer takes time in proportion to the square of the columns that an
// INSERT does not name: seconds, in a project with thousands. So it gets to see
// a table that has only those that are named, and `event`, which has to be.

// namedColumnsID is the rule's number, above those of the library's rules.
const namedColumnsID analyzer.RuleId = 10_101

var namedColumnsInstalled sync.Once

// installNamedColumns puts the rule before the one that it is for. The library's
// lists of rules are the process's.
func installNamedColumns() {
	namedColumnsInstalled.Do(func() {
		rule := analyzer.Rule{Id: namedColumnsID, Apply: func(ctx *sql.Context, _ *analyzer.Analyzer, n sql.Node, _ *plan.Scope, _ analyzer.RuleSelector, _ *sql.QueryFlags) (sql.Node, transform.TreeIdentity, error) {
			return transform.Node(ctx, n, namedColumns)
		}}
		analyzer.OnceAfterAll = slices.Insert(slices.Clone(analyzer.OnceAfterAll), 0, rule)
	})
}

// namedColumns leaves the columns of an INSERT's table out that it does not name.
func namedColumns(ctx *sql.Context, n sql.Node) (sql.Node, transform.TreeIdentity, error) {
	insert, ok := n.(*plan.InsertInto)
	if !ok || len(insert.ColumnNames) == 0 {
		return n, transform.SameTree, nil
	}
	destination, ok := insert.Destination.(*plan.InsertDestination)
	if !ok {
		return n, transform.SameTree, nil
	}
	rt, ok := destination.Child.(*plan.ResolvedTable)
	if !ok {
		return n, transform.SameTree, nil
	}
	t, ok := rt.UnderlyingTable().(*eventsTable)
	if !ok || t.projection != nil || len(destination.Sch) != len(t.all) {
		return n, transform.SameTree, nil
	}
	named := map[string]bool{firstColumns[columnEvent].name: true}
	for _, name := range insert.ColumnNames {
		named[strings.ToLower(name)] = true
	}
	next := *t
	next.all, next.schema = nil, nil
	var schema sql.Schema
	for i := range t.all {
		if named[strings.ToLower(t.all[i].name)] {
			next.all = append(next.all, t.all[i])
			next.schema = append(next.schema, t.schema[i])
			schema = append(schema, destination.Sch[i])
		}
	}
	narrow, err := rt.WithTable(ctx, &next)
	if err != nil {
		return nil, transform.SameTree, err
	}
	changed := *insert
	changed.Destination = plan.NewInsertDestination(schema, narrow)
	return &changed, transform.NewTree, nil
}
