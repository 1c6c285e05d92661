package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"

	"arbor/engine/exec"
)

// BuildRowIter starts the query.
func (s *pushedSort) BuildRowIter(ctx *sql.Context, _ sql.NodeExecBuilder, outer sql.Row) (sql.RowIter, error) {
	return s.ask(outer).rows(ctx), nil
}

// ask is the answer that the query is.
func (s *pushedSort) ask(outer sql.Row) *pushedAnswer {
	a := &pushedAnswer{
		gateway: s.gateway, doing: "sorting " + s.table.project.Name + "." + s.table.name, totals: s.table.totals, kinds: s.types, limited: s.mysqlError,
		again: s.source.join == nil,
		run:   s.run,
		stock: func(ctx *sql.Context) (sql.RowIter, error) { return s.stock(ctx, outer) },
	}
	for i := range s.outputs {
		a.columns = append(a.columns, s.outputs[i].of())
	}
	return a
}

// run gives the rows in order.
func (s *pushedSort) run(ctx context.Context, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	if s.source.join == nil {
		return s.gateway.cluster.Execute(ctx, s.fragment, yield)
	}
	held := newHolding(ctx)
	defer held.release()
	sorted, err := exec.NewRowSort(&exec.RowSortPlan{
		Fragment: s.fragment, Come: s.come, Ended: ctx.Err,
		Options: exec.Options{Functions: NewFunctions(), MaxBytes: s.gateway.Catalog().MaxQueryMemory()},
		Take: func(n int64) error {
			if held.take(n) != nil {
				return fmt.Errorf("%w: more than %d bytes", exec.ErrMemory, held.from.limit)
			}
			return nil
		},
	}, yield)
	if err != nil {
		return exec.ScanStats{}, err
	}
	stats, err := s.source.join.run(ctx, s.gateway, s.groups, s.used, sorted.Add)
	switch {
	case errors.Is(err, exec.ErrEnough):
		return stats, nil
	case err != nil:
		return stats, err
	}
	return stats, sorted.Finish()
}

// of is how the value is made of the answer.
func (o *orderOutput) of() answerColumn {
	switch {
	case o.column < 0:
		return constantColumn(o.value)
	case o.computed:
		return formColumn(o.column, o.form, o.typ)
	}
	return answerColumn{place: o.column}
}

// mysqlError gives limits MySQL's errors.
func (s *pushedSort) mysqlError(err error) error {
	if errors.Is(err, exec.ErrMemory) {
		return mysql.NewSQLError(codeCapacity, stateGeneral,
			"Memory capacity for the rows that the statement sorts exceeded (%v). Narrow the statement by WHERE, give it a LIMIT, "+howToRaise, err)
	}
	return err
}
