package gateway

import (
	"io"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/sorters"
)

// runningFramer gives the frames of an OVER with an ORDER BY and nothing more:
// from the partition's first row to the last one that is equal in order to the
// current row. The SQL library looks at the first expression of the order only,
// and takes it for ascending.
type runningFramer struct {
	order sql.SortConditions
	part  sql.WindowInterval
	row   int
	frame sql.WindowInterval
}

// NewFramer makes the framer of a partition.
func (f *runningFramer) NewFramer(part sql.WindowInterval) (sql.WindowFramer, error) {
	return &runningFramer{order: f.order, part: part, row: part.Start,
		frame: sql.WindowInterval{Start: part.Start, End: part.Start}}, nil
}

// Next gives the next row's frame.
func (f *runningFramer) Next(ctx *sql.Context, rows sql.WindowBuffer) (sql.WindowInterval, error) {
	if f.row >= f.part.End {
		return sql.WindowInterval{}, io.EOF
	}
	if f.row >= f.frame.End {
		sorter := sorters.NewRowSorter(ctx, f.order)
		end := f.row + 1
		for end < f.part.End && sorter.CompareRows(rows[f.row], rows[end]) == 0 {
			end++
		}
		if err := sorter.GetError(); err != nil {
			return sql.WindowInterval{}, err
		}
		f.frame.End = end
	}
	f.row++
	return f.frame, nil
}

// FirstIdx is the frame's first row.
func (f *runningFramer) FirstIdx() int { return f.frame.Start }

// LastIdx is the frame's last row.
func (f *runningFramer) LastIdx() int { return f.frame.End - 1 }

// Interval is the current frame.
func (f *runningFramer) Interval() (sql.WindowInterval, error) { return f.frame, nil }
