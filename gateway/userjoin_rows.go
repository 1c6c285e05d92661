package gateway

import (
	"context"
	"errors"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/vitess/go/mysql"

	"arbor/engine/exec"
)

// pushedJoin is a join of events by user whose rows are wanted as they are, with nodes above
// it that filter and choose columns. Its rows are those of the node in whose place it stands.
type pushedJoin struct {
	sql.Node // that node, for its schema and to run it where joining fails
	gateway  *Gateway
	table    *eventsTable
	plan     *groupPlan
	filter   *exec.Fragment // over the columns that are used; nil is none
	outputs  []joinOutput
	groups   int
	// stock runs the node as the SQL library does.
	stock func(*sql.Context, sql.Row) (sql.RowIter, error)
}

var _ sql.ExecBuilderNode = (*pushedJoin)(nil)

// joinOutput is how a value of a row is made: a column of the plan, or the same in all rows.
type joinOutput struct {
	used  int // less than 0 for a constant
	value any
}

// pushJoin puts one in the place of a node, if its rows are those of a join of events by user;
// nil if not.
func (x *executor) pushJoin(ctx *sql.Context, n sql.Node) (*pushedJoin, error) {
	if x.stockGroups || ctx.Value(stockJoinsKey{}) != nil {
		return nil, nil
	}
	j, err := newPushedJoin(ctx, n, x.runner())
	if j != nil {
		j.groups = x.limits.Groups
		j.stock = func(ctx *sql.Context, row sql.Row) (sql.RowIter, error) {
			return x.main.Build(ctx.WithContext(context.WithValue(ctx.Context, stockJoinsKey{}, true)), n, row)
		}
	}
	return j, err
}

// stockJoinsKey is for a context in which the SQL library joins: of a node whose join by user
// has failed.
type stockJoinsKey struct{}

// newPushedJoin makes the node; nil if it is not understood.
func newPushedJoin(ctx *sql.Context, n sql.Node, run *runner) (*pushedJoin, error) {
	switch n.(type) {
	case *plan.Project, *plan.Filter, *plan.JoinNode:
	default:
		return nil, nil
	}
	if !joinsEvents(ctx, n) {
		return nil, nil
	}
	alone := runner{visit: run.visit} // small tables are read for groups
	source, rows, err := newGroupSource(ctx, n, &alone)
	if err != nil || source == nil || source.join == nil {
		return nil, err
	}
	p := &groupPlan{ctx: ctx, source: source, rows: rows}
	table := source.bottom()
	j := &pushedJoin{Node: n, gateway: table.gateway, table: table, plan: p}
	for i := range rows {
		o := joinOutput{used: -1}
		switch s := &rows[i]; {
		case s.kind == slotConstant:
			o.value = s.value
		case s.kind != slotColumn:
			return nil, nil // the node below may do
		case !source.join.unread(s.column):
			o.used = p.use(s.column)
		}
		j.outputs = append(j.outputs, o)
	}
	if !p.addConditions() {
		return nil, nil
	}
	if p.filter != nil {
		j.filter = p.filterOver(p.used)
		if j.filter.Validate() != nil {
			return nil, nil
		}
	}
	return j, nil
}

// unread reports whether nobody looks at a column.
func (j *userJoin) unread(column int) bool {
	side, at := j.of(column)
	switch of := side.source; {
	case of.table != nil:
		return of.table.only != nil && !of.table.only[at]
	case of.join != nil:
		return of.join.unread(at)
	}
	return false
}

// stored reports whether a column's values are as a scan of events gives them.
func (j *userJoin) stored(column int) bool {
	side, at := j.of(column)
	if side.source.join != nil {
		return side.source.join.stored(at)
	}
	return side.source.table != nil
}

// Children are none: what is below is not run.
func (j *pushedJoin) Children() []sql.Node { return nil }

// WithChildren changes nothing.
func (j *pushedJoin) WithChildren(_ *sql.Context, children ...sql.Node) (sql.Node, error) {
	if len(children) != 0 {
		return nil, sql.ErrInvalidChildrenNumber.New(j, len(children), 0)
	}
	return j, nil
}

// BuildRowIter starts the join.
func (j *pushedJoin) BuildRowIter(ctx *sql.Context, _ sql.NodeExecBuilder, outer sql.Row) (sql.RowIter, error) {
	return j.ask(outer).rows(ctx), nil
}

// ask is the answer that the join is.
func (j *pushedJoin) ask(outer sql.Row) *pushedAnswer {
	a := &pushedAnswer{
		gateway: j.gateway, doing: "joining", totals: j.table.totals, kinds: j.plan.source.kinds(j.plan.used), limited: j.mysqlError,
		run:   j.run,
		stock: func(ctx *sql.Context) (sql.RowIter, error) { return j.stock(ctx, outer) },
	}
	for _, o := range j.outputs {
		switch {
		case o.used < 0:
			a.columns = append(a.columns, constantColumn(o.value))
		case j.plan.source.join.stored(j.plan.used[o.used]):
			a.columns = append(a.columns, answerColumn{place: o.used})
		default:
			c := &j.plan.source.columns[j.plan.used[o.used]]
			a.columns = append(a.columns, formColumn(o.used, c.form, c.typ))
		}
	}
	return a
}

// run gives the rows that fulfil the conditions.
func (j *pushedJoin) run(ctx context.Context, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	passed := yield
	if j.filter != nil {
		p, err := exec.NewPlan(j.filter, exec.Options{Functions: NewFunctions(), MaxBytes: j.gateway.Catalog().MaxQueryMemory()})
		if err != nil {
			return exec.ScanStats{}, err
		}
		p.Until(ctx)
		filter := p.NewFilter()
		passed = func(b *exec.Batch) error { return yieldSelected(filter, b, yield) }
	}
	return j.plan.source.join.run(ctx, j.gateway, int64(j.groups), j.plan.used, passed)
}

// yieldSelected yields the rows of a batch that pass a filter.
func yieldSelected(filter *exec.Filter, b *exec.Batch, yield func(*exec.Batch) error) error {
	selected := exec.NewBitmap(b.Rows)
	selected.Fill(b.Rows)
	if err := filter.Select(b.Columns, b.Rows, selected); err != nil {
		return err
	}
	n := selected.Count()
	if n == b.Rows {
		return yield(b)
	}
	var taker exec.Taker
	runs := selected.AppendRuns(nil)
	out := &exec.Batch{Rows: n, Columns: make([]arrow.Array, len(b.Columns))}
	for i, a := range b.Columns {
		var err error
		if out.Columns[i], err = taker.Take(a, runs, n); err != nil {
			return err
		}
	}
	return yield(out)
}

// mysqlError gives limits MySQL's errors.
func (j *pushedJoin) mysqlError(err error) error {
	if errors.Is(err, exec.ErrMemory) {
		return mysql.NewSQLError(codeCapacity, stateGeneral,
			"Memory capacity for the rows that the statement joins exceeded (%v). Narrow the statement by WHERE, "+howToRaise, err)
	}
	return err
}
