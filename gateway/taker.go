package gateway

import (
	"errors"
	"io"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/sqltypes"

	"arbor/engine/exec"
)

// resultTaker takes the rows of the results of a connection inside the process, which
// then do not go through the protocol: its client gets an OK in their place, or the
// error that ended them.
//
//	root of the plan ─ batchRows.batches ─▶ resultTaker.batch
//	                 └ Next ──────────────▶ resultTaker.row
//
// What the connection is for stays the protocol's: logins, privileges, limits,
// prepared statements, KILL.
type resultTaker interface {
	// begin is called before the rows of a result, of which there may be none. The
	// layout is nil where the rows do not come as batches.
	begin(ctx *sql.Context, schema sql.Schema, l *batchLayout) error
	// batch takes the rows of a batch, which is valid until it returns. It may be
	// called from several goroutines, one after the other.
	batch(ctx *sql.Context, b *exec.Batch) error
	row(ctx *sql.Context, schema sql.Schema, row sql.Row) error
}

// planTaker is a resultTaker that is also told of the columns that statements which are
// prepared will give, nil where they give none, and whether they are sure to.
type planTaker interface {
	prepared(columns sql.Schema, sure bool)
}

// columnsGiven are a planned statement's columns, nil if it gives no rows.
func columnsGiven(ctx *sql.Context, n sql.Node, rows bool) sql.Schema {
	if !rows {
		return nil
	}
	return n.Schema(ctx)
}

// taken hands a result to the connection's taker, and closes iter.
func (o *output) taken(ctx *sql.Context, schema sql.Schema, iter sql.RowIter) error {
	result, err := o.handOver(ctx, schema, iter)
	if stopped := interruption(ctx); stopped != nil {
		err = stopped
	}
	o.closed = true
	if closeErr := iter.Close(ctx); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if o.set && !ctx.GetIgnoreAutoCommit() {
		ctx.SetTransaction(nil)
	}
	if err := setStatus(ctx, o.conn); err != nil {
		return err
	}
	o.wire.describeOK(result.Info, ctx.Session.WarningCount())
	result.Info = ""
	connectionOf(o.conn).warnings.Store(uint32(ctx.Session.WarningCount()))
	return o.part(result)
}

// handOver hands over the rows, and gives what the client is told.
func (o *output) handOver(ctx *sql.Context, schema sql.Schema, iter sql.RowIter) (*sqltypes.Result, error) {
	t := o.wire.taker
	var layout *batchLayout
	if b, counts := batchesOf(iter); b != nil {
		layout = b.layout()
		if err := t.begin(ctx, schema, layout); err != nil {
			return nil, err
		}
		rows := int64(0)
		err := b.batches(ctx, func(batch *exec.Batch) error {
			rows += int64(batch.Count())
			return t.batch(ctx, batch)
		})
		if !errors.Is(err, errAsRows) {
			noteFound(ctx, counts, rows)
			return countResult(types.OkResult{}), err
		}
	}
	row, err := iter.Next(ctx)
	switch {
	case err != nil && err != io.EOF:
		return nil, err
	case err == nil && types.IsOkResult(row):
		return countResult(row[0].(types.OkResult)), nil
	case err == io.EOF && (schema == nil || types.IsOkResultSchema(schema)):
		return countResult(types.OkResult{}), nil
	}
	if layout == nil {
		if err := t.begin(ctx, schema, nil); err != nil {
			return nil, err
		}
	}
	for err == nil {
		if err = t.row(ctx, schema, row); err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		row, err = iter.Next(ctx)
	}
	if err != io.EOF {
		return nil, err
	}
	return countResult(types.OkResult{}), nil
}

// noteFound notes rows that were not taken by Next, for FOUND_ROWS().
func noteFound(ctx *sql.Context, counts *plan.TrackedRowIter, rows int64) {
	if counts != nil && counts.ShouldSetFoundRows {
		ctx.GetLastQueryInfo().FoundRows.Store(rows)
	}
}
