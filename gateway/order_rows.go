package gateway

import (
	"context"
	"errors"
	"io"
	"runtime/debug"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/vitess/go/mysql"

	"arbor/engine/exec"
)

// BuildRowIter starts the query. Its goroutine ends when the query does, when the
// rows are closed, and when the statement's context is done.
func (s *pushedSort) BuildRowIter(ctx *sql.Context, _ sql.NodeExecBuilder, outer sql.Row) (sql.RowIter, error) {
	running, cancel := context.WithCancel(ctx.Context)
	chunks := make(chan []sql.Row, chunksAhead)
	rows := &rowIter{chunks: chunks, cancel: cancel}
	maker := &rowMaker{types: s.types, width: len(s.types)}
	for i := range s.types {
		maker.places = append(maker.places, i)
	}
	go func() {
		defer close(chunks)
		defer func() {
			if p := recover(); p != nil {
				s.gateway.logger.Error("sorting panicked", "panic", p, "stack", string(debug.Stack()))
				rows.err = refuse(erGeneral, "HY000", "internal error while sorting %s.%s; the server's log has the details", s.table.project.Name, s.table.name)
			}
		}()
		var stats exec.ScanStats
		stats, rows.err = s.gateway.cluster.Execute(running, s.fragment, func(b *exec.Batch) error {
			return maker.make(b, func(made []sql.Row) error {
				made, err := s.finish(made)
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
		s.table.totals.add(stats)
	}()
	return &sortRows{rows: rows, node: s, outer: outer}, nil
}

// finish makes the node's rows of rows of the answer.
func (s *pushedSort) finish(answers []sql.Row) ([]sql.Row, error) {
	width := len(s.outputs)
	values, rows := make([]any, len(answers)*width), make([]sql.Row, len(answers))
	for i, answer := range answers {
		row := values[i*width : (i+1)*width : (i+1)*width]
		for j := range s.outputs {
			o := &s.outputs[j]
			switch {
			case o.column < 0:
				row[j] = o.value
			case o.computed:
				var err error
				if row[j], err = o.form.adapt(unshared(answer[o.column]), o.typ); err != nil {
					return nil, err
				}
			default:
				row[j] = unshared(answer[o.column])
			}
		}
		rows[i] = row
	}
	return rows, nil
}

// sortRows gives the rows, or those of the SQL library where a function could not
// be evaluated: it tells whether that concerns the statement.
type sortRows struct {
	rows  sql.RowIter
	node  *pushedSort
	outer sql.Row
	begun bool
}

// Next gives the next row.
func (r *sortRows) Next(ctx *sql.Context) (sql.Row, error) {
	row, err := r.rows.Next(ctx)
	if err != nil && err != io.EOF {
		if !r.begun && errors.Is(err, exec.ErrFunction) && ctx.Err() == nil {
			return r.again(ctx, err)
		}
		if errors.Is(err, exec.ErrMemory) {
			return nil, mysql.NewSQLError(codeCapacity, stateGeneral,
				"Memory capacity for the rows that the statement sorts exceeded (%v). Narrow the statement by WHERE, or give it a LIMIT.", err)
		}
		return nil, err
	}
	r.begun = true
	return row, err
}

// again begins anew with the SQL library's rows, after an error.
func (r *sortRows) again(ctx *sql.Context, why error) (sql.Row, error) {
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

// Close ends the query.
func (r *sortRows) Close(ctx *sql.Context) error { return r.rows.Close(ctx) }
