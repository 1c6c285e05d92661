package gateway

import (
	"context"
	"errors"

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
		run: func(ctx context.Context, yield func(*exec.Batch) error) (exec.ScanStats, error) {
			return s.gateway.cluster.Execute(ctx, s.fragment, yield)
		},
		stock: func(ctx *sql.Context) (sql.RowIter, error) { return s.stock(ctx, outer) },
	}
	for i := range s.outputs {
		a.columns = append(a.columns, s.outputs[i].of())
	}
	return a
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
