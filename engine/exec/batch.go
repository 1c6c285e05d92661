package exec

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
)

// Batch is a run of rows, by column, in Arrow's layout. Its arrays are valid
// until the function that was given the batch returns; who keeps one longer
// copies it.
//
// A column's array follows from its catalog.Type:
//
//	bool      Boolean
//	int       Int64
//	double    Float64
//	datetime  Timestamp, microseconds, no zone
//	decimal   Dictionary of Int8, Int16 or Int32 over String, the number's text
//	string, json, null
//	          Dictionary of Int8, Int16 or Int32 over String, or String
type Batch struct {
	Columns []arrow.Array
	Rows    int
}

// MaxBatchRows is the most rows that a batch holds.
const MaxBatchRows = 1 << 16

// Cut leaves the first rows of the batch.
func (b *Batch) Cut(rows int) {
	if rows >= b.Rows {
		return
	}
	for i, a := range b.Columns {
		b.Columns[i] = array.NewSlice(a, 0, int64(rows))
	}
	b.Rows = rows
}
