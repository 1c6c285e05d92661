package gateway

import (
	"github.com/dolthub/go-mysql-server/sql"
)

// runner does what a plan needs while a part of it becomes a Fragment. A nil one
// does nothing.
type runner struct {
	// visit is told of each node that is not run, and may refuse it.
	visit func(*sql.Context, sql.Node) error
	// rows runs a node that stands beside the events: a small table of a join.
	rows func(*sql.Context, sql.Node) (sql.RowIter, error)
	// groups is how many groups a side of a join may have.
	groups int64
}

// runner is the executor's.
func (x *executor) runner() *runner {
	return &runner{visit: x.visit, groups: int64(x.limits.Groups), rows: func(ctx *sql.Context, n sql.Node) (sql.RowIter, error) { return x.main.Build(ctx, n, nil) }}
}

// onlyVisiting is a runner that visits as r does, and runs nothing.
func (r *runner) onlyVisiting() *runner {
	if r == nil {
		return nil
	}
	return &runner{visit: r.visit}
}

// showing is the runner of a plan that is shown, whose nodes have been visited. What
// it runs does not count as what the plan's scans did.
func showing(base sql.NodeExecBuilder) *runner {
	return &runner{rows: func(ctx *sql.Context, n sql.Node) (sql.RowIter, error) {
		n, err := withTotals(ctx, n, func() *scanTotals { return nil })
		if err != nil {
			return nil, err
		}
		return base.Build(ctx, n, nil)
	}}
}

// passed tells of a node that is not run.
func (r *runner) passed(ctx *sql.Context, n sql.Node) error {
	if r == nil || r.visit == nil {
		return nil
	}
	return r.visit(ctx, n)
}
