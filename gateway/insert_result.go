package gateway

import (
	"fmt"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// insertInfo is what the OK packet says of an INSERT.
type insertInfo struct{ records, duplicates, warnings int64 }

func (i insertInfo) String() string {
	return fmt.Sprintf("Records: %d  Duplicates: %d  Warnings: %d", i.records, i.duplicates, i.warnings)
}

func (in *insertion) result(ctx *sql.Context) sql.RowIter {
	ok := types.NewOkResult(int(in.stored + in.replaced))
	if !in.uncounted {
		ok.Info = insertInfo{in.stored, in.duplicates, int64(in.warnings)}
	}
	return answerOK(ctx, ok)
}

// answerOK is the one row that becomes an OK packet.
func answerOK(ctx *sql.Context, ok types.OkResult) sql.RowIter {
	ctx.GetLastQueryInfo().RowCount.Store(int64(ok.RowsAffected))
	return sql.RowsToRowIter(sql.NewRow(ok))
}

// markWritten tells the session that its transaction has changed something.
func markWritten(ctx *sql.Context) {
	if s := sessionOf(ctx); s != nil {
		s.noteWrite()
	}
}
