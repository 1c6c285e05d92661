package gateway

import (
	"sync"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/dolthub/go-mysql-server/server"
	"github.com/dolthub/go-mysql-server/sql"

	"arbor/engine/exec"
)

// Limits of a record of an answer in Arrow. A record is given when it reaches either.
const (
	arrowRecordRows  = 1 << 16
	arrowRecordBytes = 4 << 20
	// arrowStride is how many rows are added to one column before the next one's: so
	// much more may be in a record than it should.
	arrowStride = 64
)

// arrowWriter makes records of a result's rows and gives them to sink, which must not
// keep them longer than its call, unless it retains them: nothing in them belongs to
// the batches that they are made of.
type arrowWriter struct {
	// dictionaries says that texts that repeat are given by dictionary.
	dictionaries bool
	schemaOf     func(*arrow.Schema) error
	sink         func(arrow.Record) error

	// mu guards the rest; a statement may go on for a moment after its client has left.
	mu      sync.Mutex
	closed  bool
	begun   bool
	schema  *arrow.Schema
	columns []arrowColumn
	encoder *rowEncoder
	buffer  *sql.ByteBuffer
	rows    int
	bytes   int
}

var _ resultTaker = (*arrowWriter)(nil)

// begin makes the columns.
func (w *arrowWriter) begin(ctx *sql.Context, schema sql.Schema, l *batchLayout) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errClientGone
	}
	if w.begun {
		return refuse(erGeneral, "HY000", "a statement with several results has no answer in Arrow")
	}
	w.begun = true
	w.schema = arrowSchema(schema, w.dictionaries)
	w.columns = make([]arrowColumn, len(schema))
	for i, f := range w.schema.Fields() {
		w.columns[i] = newArrowColumn(f.Type)
	}
	if l != nil {
		w.encoder = newRowEncoder(ctx, schema, l, false)
		w.encoder.plainText = true // which is all that Arrow knows
	}
	w.buffer = sql.NewByteBuffer(4096)
	return w.schemaOf(w.schema)
}

// batch adds the rows of a batch.
func (w *arrowWriter) batch(ctx *sql.Context, b *exec.Batch) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errClientGone
	}
	fills := make([]arrowFill, len(w.columns))
	var printed []int // the columns that are filled by row
	for i := range fills {
		var err error
		if fills[i], err = w.fill(b, i); err != nil {
			return err
		}
		if fills[i].text != nil {
			printed = append(printed, i)
		}
	}
	runs := b.Runs
	if runs == nil {
		runs = []exec.Run{{Lo: 0, Hi: b.Rows}}
	}
	for _, r := range runs {
		for lo := r.Lo; lo < r.Hi; lo += arrowStride {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := w.stride(fills, printed, lo, min(lo+arrowStride, r.Hi)); err != nil {
				return err
			}
		}
	}
	return nil
}

// stride adds some rows. Those that are printed are added row by row, in the order in
// which MySQL evaluates them.
func (w *arrowWriter) stride(fills []arrowFill, printed []int, lo, hi int) (err error) {
	for _, f := range fills {
		if f.values != nil {
			w.bytes += f.values(lo, hi)
		}
	}
	var packet []byte
	for row := lo; row < hi && len(printed) > 0; row++ {
		for _, i := range printed {
			if packet, err = fills[i].text(packet[:0], row); err != nil {
				return err
			}
			if err := w.columns[i].appendText(unpacked(packet)); err != nil {
				return w.refusal(i, err)
			}
			w.bytes += len(packet)
		}
	}
	w.rows += hi - lo
	return w.flushIfFull()
}

// row adds a row.
func (w *arrowWriter) row(ctx *sql.Context, schema sql.Schema, row sql.Row) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errClientGone
	}
	values, err := server.RowToSQL(ctx, schema, row, nil, w.buffer)
	if err != nil {
		return err
	}
	for i, v := range values {
		text := asPrinted(v).Raw()
		if v.IsNull() {
			text = nil
		} else if text == nil {
			text = []byte{}
		}
		if err := w.columns[i].appendText(text); err != nil {
			return w.refusal(i, err)
		}
		w.bytes += len(text) + 1
	}
	w.buffer.Reset()
	w.rows++
	return w.flushIfFull()
}

// refusal is the error of a value that cannot be given.
func (w *arrowWriter) refusal(column int, err error) error {
	return refuse(erGeneral, "HY000", "column %s: %v", w.schema.Field(column).Name, err)
}

func (w *arrowWriter) flushIfFull() error {
	if w.rows < arrowRecordRows && w.bytes < arrowRecordBytes {
		return nil
	}
	return w.flush()
}

// flush gives the record that has been made.
func (w *arrowWriter) flush() error {
	if w.rows == 0 {
		return nil
	}
	arrays := make([]arrow.Array, len(w.columns))
	for i := range w.columns {
		arrays[i] = w.columns[i].take()
	}
	record := array.NewRecord(w.schema, arrays, int64(w.rows))
	for _, a := range arrays {
		a.Release()
	}
	defer record.Release()
	w.rows, w.bytes = 0, 0
	return w.sink(record)
}

// end gives the last record, if the statement gave rows, and reports whether it did.
func (w *arrowWriter) end() (begun bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.begun {
		return false, nil
	}
	return true, w.flush()
}

// close makes the statement's further rows fail. Afterwards sink is not called.
func (w *arrowWriter) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
}

// arrowMemory is where records are made: the collector's.
var arrowMemory = memory.NewGoAllocator()
