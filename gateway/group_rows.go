package gateway

import (
	"context"
	"errors"
	"io"
	"runtime/debug"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"

	"arbor/catalog"
	"arbor/engine/exec"
)

// pushedGroup is a GROUP BY, or a DISTINCT, that is made where the data is. Its
// rows are those of the node in whose place it stands.
type pushedGroup struct {
	sql.Node // that node, for its schema and to run it where pushing fails
	gateway  *Gateway
	plan     *groupPlan
	fragment *exec.Fragment
	outputs  []groupOutput
	// stock runs the node as the SQL library does.
	stock  func(*sql.Context, sql.Row) (sql.RowIter, error)
	limit  int
	totals *scanTotals
}

var _ sql.ExecBuilderNode = (*pushedGroup)(nil)

// Children are none: what is below is not run.
func (g *pushedGroup) Children() []sql.Node { return nil }

// WithChildren changes nothing.
func (g *pushedGroup) WithChildren(_ *sql.Context, children ...sql.Node) (sql.Node, error) {
	if len(children) != 0 {
		return nil, sql.ErrInvalidChildrenNumber.New(g, len(children), 0)
	}
	return g, nil
}

// BuildRowIter starts the grouping. Its goroutine ends when the grouping does,
// when the rows are closed, and when the statement's context is done.
func (g *pushedGroup) BuildRowIter(ctx *sql.Context, _ sql.NodeExecBuilder, outer sql.Row) (sql.RowIter, error) {
	running, cancel := context.WithCancel(ctx.Context)
	chunks := make(chan []sql.Row, chunksAhead)
	rows := &rowIter{chunks: chunks, cancel: cancel}
	f := *g.fragment
	group := *f.Group
	group.MaxGroups = int64(g.limit)
	f.Group = &group
	maker := g.rowMaker()
	go func() {
		defer close(chunks)
		defer func() {
			if p := recover(); p != nil {
				g.gateway.logger.Error("grouping panicked", "panic", p, "stack", string(debug.Stack()))
				rows.err = refuse(erGeneral, "HY000", "internal error while grouping; the server's log has the details")
			}
		}()
		var stats exec.ScanStats
		stats, rows.err = g.plan.run(running, g.gateway, &f, func(b *exec.Batch) error {
			return maker.make(b, func(made []sql.Row) error {
				made, err := g.finish(made)
				if err != nil {
					return err
				}
				select {
				case chunks <- made:
					return nil
				case <-running.Done():
					return running.Err()
				}
			})
		})
		g.totals.add(stats)
	}()
	return &groupRows{rows: rows, node: g, outer: outer}, nil
}

// run asks for the answer of the fragment.
func (p *groupPlan) run(ctx context.Context, g *Gateway, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	if p.source.inner == nil {
		return g.cluster.Execute(ctx, f, yield)
	}
	return p.runInner(ctx, g, f, yield)
}

// rowMaker makes rows of the answer's columns.
func (g *pushedGroup) rowMaker() *rowMaker {
	m := &rowMaker{}
	for i := range len(g.plan.keys) + len(g.plan.aggregates) {
		m.places = append(m.places, i)
		m.types = append(m.types, answerType(g.fragment, i))
	}
	m.width = len(m.places)
	return m
}

// answerType is the type of a column of a fragment's answer. A sum of integers
// has texts where it is large.
func answerType(f *exec.Fragment, column int) catalog.Type {
	keys := len(f.Group.Keys)
	if column < keys {
		t, _, _ := f.ColumnType(f.Group.Keys[column])
		return t
	}
	a := &f.Group.Aggregates[column-keys]
	switch a.Op {
	case exec.AggSum:
		return catalog.TypeDecimal
	case exec.AggMin, exec.AggMax, exec.AggPercentileDisc, exec.AggFirst, exec.AggLast:
		t, _, _ := f.ColumnType(a.Args[0])
		return t
	}
	return catalog.TypeInt
}

// finish makes the node's rows of rows of the answer.
func (g *pushedGroup) finish(answers []sql.Row) ([]sql.Row, error) {
	values := make([]any, len(answers)*len(g.outputs))
	rows := make([]sql.Row, len(answers))
	var parts []any
	for i, answer := range answers {
		row := values[i*len(g.outputs) : (i+1)*len(g.outputs) : (i+1)*len(g.outputs)]
		for j := range g.outputs {
			o := &g.outputs[j]
			if !o.ok {
				continue
			}
			parts = parts[:0]
			for _, p := range o.parts {
				parts = append(parts, answer[g.plan.column(p)])
			}
			var err error
			if row[j], err = o.value(parts); err != nil {
				return nil, err
			}
		}
		rows[i] = row
	}
	return rows, nil
}

func (o *groupOutput) value(parts []any) (any, error) {
	if o.finish != nil {
		return o.finish(parts)
	}
	return o.form.adapt(unshared(parts[0]), o.typ)
}

// groupRows gives the rows, or those of the SQL library where a function could
// not be evaluated: it tells whether that concerns the statement.
type groupRows struct {
	rows  sql.RowIter
	node  *pushedGroup
	outer sql.Row
	begun bool
}

// Next gives the next row.
func (r *groupRows) Next(ctx *sql.Context) (sql.Row, error) {
	row, err := r.rows.Next(ctx)
	if err != nil && err != io.EOF {
		if !r.begun && errors.Is(err, exec.ErrFunction) && ctx.Err() == nil {
			return r.again(ctx, err)
		}
		return nil, r.node.mysqlError(err)
	}
	r.begun = true
	return row, err
}

// again begins anew with the SQL library's rows, after an error.
func (r *groupRows) again(ctx *sql.Context, why error) (sql.Row, error) {
	if r.node.gateway.onFallback != nil {
		r.node.gateway.onFallback(why)
	}
	if err := r.rows.Close(ctx); err != nil {
		return nil, err
	}
	r.begun = true
	rows, err := r.node.stock(ctx, r.outer)
	if err != nil {
		return nil, err
	}
	r.rows = rows
	return r.rows.Next(ctx)
}

// Close ends the grouping.
func (r *groupRows) Close(ctx *sql.Context) error { return r.rows.Close(ctx) }

// mysqlError gives limits MySQL's errors.
func (g *pushedGroup) mysqlError(err error) error {
	switch {
	case errors.Is(err, exec.ErrGroups):
		return tooManyGroups(g.limit)
	case errors.Is(err, exec.ErrMemory):
		return mysql.NewSQLError(codeCapacity, stateGeneral,
			"Memory capacity for the groups of the statement exceeded (%v). Narrow the statement by WHERE, or group by less.", err)
	}
	return err
}
