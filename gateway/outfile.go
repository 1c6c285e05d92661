package gateway

import (
	"errors"
	"io"
	"path"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"

	"arbor/engine/exec"
)

// SELECT … INTO OUTFILE writes the rows as a file of the server's, in Arrow's layout,
// which is never replaced and never there in part. What the file is follows from its
// name; the text that MySQL would write, clients write themselves.

// outfile writes the rows of a SELECT as a file.
func (g *Gateway) outfile(ctx *sql.Context, base sql.NodeExecBuilder, n *plan.Into, row sql.Row) (sql.RowIter, error) {
	if err := requirePrivilege(ctx, "", sql.PrivilegeType_File); err != nil {
		return nil, err
	}
	if g.exports == nil {
		return nil, errNoExports
	}
	name := n.Outfile
	if dir, file := path.Split(name); dir != "" && path.Clean(dir) == path.Clean(g.exports.Root()) {
		name = file
	}
	schema := n.Child.Schema(ctx)
	shape := arrowSchema(schema, false)
	file, err := g.exports.File(name, shape)
	if err != nil {
		return nil, g.exportError(err)
	}
	defer func() {
		if err := file.Abort(); err != nil {
			g.logger.Error("remove what was written of a file", "file", name, "error", err)
		}
	}()
	rows, err := base.Build(ctx, n.Child, row)
	if err != nil {
		return nil, err
	}
	w := &arrowWriter{schemaOf: func(*arrow.Schema) error { return nil }, sink: file.Write}
	defer w.close()
	count, err := handRows(ctx, w, schema, rows)
	if stopped := interruption(ctx); stopped != nil {
		err = stopped
	}
	if closeErr := rows.Close(ctx); err == nil {
		err = closeErr
	}
	if err == nil {
		_, err = w.end()
	}
	if err == nil {
		err = file.Commit()
	}
	if err != nil {
		return nil, g.exportError(err)
	}
	return sql.RowsToRowIter(sql.Row{types.NewOkResult(int(count))}), nil
}

// handRows hands rows to a taker, as batches if they can be had so, and counts them.
func handRows(ctx *sql.Context, t resultTaker, schema sql.Schema, rows sql.RowIter) (count int64, err error) {
	var layout *batchLayout
	if b, _ := batchesOf(rows); b != nil {
		layout = b.layout()
		if err := t.begin(ctx, schema, layout); err != nil {
			return 0, err
		}
		err := b.batches(ctx, func(batch *exec.Batch) error {
			count += int64(batch.Count())
			return t.batch(ctx, batch)
		})
		if !errors.Is(err, errAsRows) {
			return count, err
		}
	}
	if layout == nil {
		if err := t.begin(ctx, schema, nil); err != nil {
			return 0, err
		}
	}
	for count = 0; ; count++ {
		row, err := nextRow(ctx, rows)
		if row == nil || err != nil {
			return count, err
		}
		if err := t.row(ctx, schema, row); err != nil {
			return count, err
		}
	}
}

// nextRow is the next row, nil after the last one.
func nextRow(ctx *sql.Context, rows sql.RowIter) (sql.Row, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	row, err := rows.Next(ctx)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	return row, err
}

// refuseOutfile refuses what INTO cannot write.
func refuseOutfile(n *plan.Into) error {
	switch {
	case n.Dumpfile != "":
		return notSupported("SELECT … INTO DUMPFILE is not supported; INTO OUTFILE writes Parquet and Arrow files")
	case n.Outfile == "":
		return nil
	case len(n.IntoVars) > 0:
		return mysql.NewSQLError(mysql.ERParseError, stateSyntax, "SELECT goes INTO variables or INTO OUTFILE, not both")
	}
	return nil
}
