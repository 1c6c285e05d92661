package gateway

import (
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
)

// The planner numbers the columns of all tables that a statement names, and
// those of its derived tables, from 1 on, in 16 bits. Past the end it begins
// again, and takes columns for one another. A statement that comes near the end
// is refused: before it is planned, by the tables that it names, and before it
// runs, by the numbers themselves.

// MaxStatementColumns is how many columns the tables that a statement names may
// have in all.
const MaxStatementColumns = 60000

// nearLastNumber is a number that no column of a table may reach.
const nearLastNumber = 65000

// columnCount is what a statement keeps of that.
type columnCount struct {
	named int  // columns of the tables that were named so far
	runs  bool // the statement is planned; now information_schema may look at tables
}

// counted is a table that a statement names, with its columns counted.
func (d *database) counted(ctx *sql.Context, t *eventsTable) (sql.Table, bool, error) {
	h, ok := ctx.Session.(statementHolder)
	if !ok {
		return t, true, nil
	}
	s := h.current()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.columns.runs {
		if s.columns.named += len(t.all); s.columns.named > MaxStatementColumns {
			return nil, false, tooManyColumns()
		}
	}
	return t, true, nil
}

// checkColumnCount looks at the numbers in a plan when its first node is run.
func checkColumnCount(ctx *sql.Context, n sql.Node) error {
	h, ok := ctx.Session.(statementHolder)
	if !ok || !h.current().begins() {
		return nil
	}
	if nearsLastNumber(ctx, n) {
		return tooManyColumns()
	}
	return nil
}

func nearsLastNumber(ctx *sql.Context, n sql.Node) (near bool) {
	transform.InspectWithOpaque(ctx, n, func(ctx *sql.Context, n sql.Node) bool {
		if t, ok := n.(interface{ Columns() sql.ColSet }); ok && !near {
			_, near = t.Columns().Next(nearLastNumber)
		}
		if e, ok := n.(sql.Expressioner); ok && !near {
			for _, e := range e.Expressions() {
				sql.Inspect(ctx, e, func(ctx *sql.Context, e sql.Expression) bool {
					if s, ok := e.(*plan.Subquery); ok && !near {
						near = nearsLastNumber(ctx, s.Query)
					}
					return !near
				})
			}
		}
		return !near
	})
	return near
}

// begins reports whether the statement begins to run.
func (s *statement) begins() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.columns.runs
	s.columns.runs = true
	return first
}

func tooManyColumns() error {
	return refuse(erTooManyFields, "HY000", "Too many columns: the tables that a statement names may have %d in all; name fewer tables, or select single columns in derived tables and views", MaxStatementColumns)
}
