package gateway

import (
	"context"
	"errors"
	"io"
	"runtime/debug"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/catalog"
	"arbor/engine/exec"
)

// pushedAnswer is what is asked of those who hold the data in the place of a node: groups,
// or rows in an order. It can be had as batches, or as the node's rows.
type pushedAnswer struct {
	gateway *Gateway
	doing   string // for the log
	run     func(ctx context.Context, yield func(*exec.Batch) error) (exec.ScanStats, error)
	totals  *scanTotals
	kinds   []catalog.Type // of the answer's columns
	// columns are those of the node's rows.
	columns []answerColumn
	// again says that it can be asked for again, in another statement.
	again bool
	// limited gives limits MySQL's errors.
	limited func(error) error
	// stock runs the node as the SQL library does.
	stock func(*sql.Context) (sql.RowIter, error)
}

// answerColumn is how a value of a row is made of a row of the answer: it is the one
// at a place, or what value makes of those that it needs.
type answerColumn struct {
	place int
	needs []int
	value func(ctx *sql.Context, row sql.Row) (any, error)
	// epoch is what value is of the only one that it needs, nil if it is something else.
	epoch *epoch
	// whole says that value is the same integer as the only one that it needs.
	whole bool
}

// of is the column's value in a row.
func (c *answerColumn) of(ctx *sql.Context, row sql.Row) (any, error) {
	if c.value != nil {
		return c.value(ctx, row)
	}
	return unshared(row[c.place]), nil
}

// formColumn is a column of the answer whose values are in a form.
func formColumn(place int, form resultForm, t sql.Type) answerColumn {
	if form.same(t) {
		return answerColumn{place: place}
	}
	return answerColumn{needs: []int{place}, value: func(_ *sql.Context, row sql.Row) (any, error) {
		return form.adapt(unshared(row[place]), t)
	}}
}

// constantColumn has the same value in all rows.
func constantColumn(v any) answerColumn {
	return answerColumn{value: func(*sql.Context, sql.Row) (any, error) { return v, nil }}
}

// same reports whether adapt leaves all values of a type as they are.
func (f resultForm) same(t sql.Type) bool {
	switch f {
	case formInt:
		return t == types.Int64
	case formTiny, formDecimal, formDouble, formText, formStored, formMoment, formTruth, formNumber:
		return true
	}
	return false
}

// batches asks for the answer.
func (a *pushedAnswer) batches(ctx context.Context, yield func(*exec.Batch) error) (err error) {
	defer a.guard(&err)
	meter := a.totals.begin()
	stats, err := a.run(ctx, func(b *exec.Batch) (err error) {
		defer a.guard(&err) // it may be called from another goroutine
		return meter.batch(b, yield)
	})
	meter.end(stats)
	return err
}

// guard turns a panic into an error.
func (a *pushedAnswer) guard(err *error) {
	if p := recover(); p != nil {
		a.gateway.logger.Error("panic in an answer", "doing", a.doing, "panic", p, "stack", string(debug.Stack()))
		*err = refuse(erGeneral, "HY000", "internal error while %s; the server's log has the details", a.doing)
	}
}

// rows starts to make the node's rows. The goroutine ends when the answer does, when
// the rows are closed, and when the statement's context is done.
func (a *pushedAnswer) rows(ctx *sql.Context) sql.RowIter {
	running, cancel := context.WithCancel(ctx.Context)
	chunks := make(chan []sql.Row, chunksAhead)
	rows := &rowIter{chunks: chunks, cancel: cancel}
	maker := &rowMaker{types: a.kinds, width: len(a.kinds)}
	for i := range a.kinds {
		maker.places = append(maker.places, i)
	}
	go func() {
		defer close(chunks)
		rows.err = a.batches(running, func(b *exec.Batch) error {
			return maker.make(b, func(made []sql.Row) error {
				made, err := a.finish(ctx, made)
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
	}()
	return &answerRows{rows: rows, answer: a}
}

// finish makes the node's rows of rows of the answer.
func (a *pushedAnswer) finish(ctx *sql.Context, answers []sql.Row) ([]sql.Row, error) {
	width := len(a.columns)
	values, rows := make([]any, len(answers)*width), make([]sql.Row, len(answers))
	for i, from := range answers {
		row := values[i*width : (i+1)*width : (i+1)*width]
		for j := range a.columns {
			var err error
			if row[j], err = a.columns[j].of(ctx, from); err != nil {
				return nil, err
			}
		}
		rows[i] = row
	}
	return rows, nil
}

// fails reports whether a failure before the first row is that of a function: the
// SQL library tells whether it concerns the statement.
func (a *pushedAnswer) fails(ctx *sql.Context, err error) bool {
	if !errors.Is(err, exec.ErrFunction) || ctx.Err() != nil {
		return false
	}
	if s := sessionOf(ctx); s != nil {
		s.plans.spoil() // its nodes keep what they need once
		s.plans.drop()
	}
	if a.gateway.onFallback != nil {
		a.gateway.onFallback(err)
	}
	return true
}

// answerRows gives an answer's rows, or the SQL library's where a function could not
// be evaluated.
type answerRows struct {
	rows   sql.RowIter
	answer *pushedAnswer
	begun  bool
}

// Next gives the next row.
func (r *answerRows) Next(ctx *sql.Context) (sql.Row, error) {
	row, err := r.rows.Next(ctx)
	switch {
	case err == nil || err == io.EOF:
	case !r.begun && r.answer.fails(ctx, err):
		if err := r.again(ctx); err != nil {
			return nil, err
		}
		row, err = r.rows.Next(ctx)
	default:
		return nil, r.answer.limited(err)
	}
	r.begun = true
	return row, err
}

// again begins anew with the SQL library's rows.
func (r *answerRows) again(ctx *sql.Context) error {
	if err := r.rows.Close(ctx); err != nil {
		return err
	}
	r.begun = true
	rows, err := r.answer.stock(ctx)
	if err == nil {
		r.rows = rows
	}
	return err
}

// Close ends the answer.
func (r *answerRows) Close(ctx *sql.Context) error { return r.rows.Close(ctx) }
