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
	// Rows is the length of the columns.
	Rows int
	// Runs are the rows that are meant, ascending; nil means all. Only a fragment
	// with Runs gets batches with them.
	Runs []Run
	// Weights say how many times each row is meant; nil is once. Only who asks a Join to
	// weigh gets batches with them.
	Weights []int64
}

// Count is the number of rows that are meant.
func (b *Batch) Count() int {
	if b.Runs == nil {
		return b.Rows
	}
	n := 0
	for _, r := range b.Runs {
		n += r.Hi - r.Lo
	}
	return n
}

// Bytes is about how much memory the batch's columns take; what dictionaries hold
// counts each time.
func (b *Batch) Bytes() (size int64) {
	for _, a := range b.Columns {
		size += arrayBytes(a)
	}
	return size
}

func arrayBytes(a arrow.Array) int64 {
	rows := int64(a.Len())
	switch x := a.(type) {
	case *array.String:
		if rows == 0 {
			return 0
		}
		return int64(x.ValueOffset(x.Len())-x.ValueOffset(0)) + 4*rows
	case *array.Dictionary:
		return arrayBytes(x.Dictionary()) + arrayBytes(x.Indices())
	}
	if t, ok := a.DataType().(arrow.FixedWidthDataType); ok {
		return (rows*int64(t.BitWidth()) + 7) / 8
	}
	return 0
}

// MaxBatchRows is the most rows that a batch holds.
const MaxBatchRows = 1 << 16

// Cut leaves the first rows of those that are meant.
func (b *Batch) Cut(rows int) {
	if rows >= b.Count() {
		return
	}
	for i, r := range b.Runs {
		if n := r.Hi - r.Lo; n < rows {
			rows -= n
			continue
		}
		b.Runs = b.Runs[:i+1]
		b.Runs[i].Hi = r.Lo + rows
		return
	}
	for i, a := range b.Columns {
		b.Columns[i] = array.NewSlice(a, 0, int64(rows))
	}
	b.Rows = rows
}
