package gateway

import "github.com/dolthub/go-mysql-server/sql"

// lateRows are the rows of a plan whose result can also be had as batches: the plan
// is executed in the usual way only once somebody asks for a row.
type lateRows struct {
	// stock starts the plan, and rows is what it gave.
	stock func(ctx *sql.Context) (sql.RowIter, error)
	rows  sql.RowIter
}

// Next gives the next row.
func (l *lateRows) Next(ctx *sql.Context) (sql.Row, error) {
	if l.rows == nil {
		rows, err := l.stock(ctx)
		if err != nil {
			return nil, err
		}
		l.rows = rows
	}
	return l.rows.Next(ctx)
}

// Close ends the rows, if there are any.
func (l *lateRows) Close(ctx *sql.Context) error {
	if l.rows == nil {
		return nil
	}
	return l.rows.Close(ctx)
}
