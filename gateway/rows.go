package gateway

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"

	"arbor/catalog"
	"arbor/engine/exec"
)

// Rows are made by one goroutine, which runs the scan and turns its batches into
// chunks of rows, and taken by another, which runs the rest of the plan. The
// chunks between them are few and small, so that a result of any size is read
// with the same memory.
const (
	// chunkRows is few enough that a row that a sort keeps does not hold much
	// more in memory with it.
	chunkRows = 256
	// chunksAhead is how many chunks the scan makes before they are wanted.
	chunksAhead = 4
)

// rowIter gives a scan's rows.
type rowIter struct {
	chunks <-chan []sql.Row
	rows   []sql.Row // what is left of the last chunk
	cancel context.CancelFunc
	// err is the scan's error. It is written before chunks is closed.
	err error
}

// rows starts the table's scan. Its goroutine ends when the scan does, when the
// iterator is closed, and when the statement's context is done.
func (t *eventsTable) rows(ctx *sql.Context) sql.RowIter {
	f, places := t.fragment()
	scanning, cancel := context.WithCancel(ctx.Context)
	chunks := make(chan []sql.Row, chunksAhead)
	it := &rowIter{chunks: chunks, cancel: cancel}
	maker := newRowMaker(f)
	maker.width, maker.places = t.width(), places
	go func() {
		defer close(chunks)
		defer func() {
			if p := recover(); p != nil {
				t.gateway.logger.Error("scan panicked", "panic", p, "stack", string(debug.Stack()))
				it.err = scanPanic(t)
			}
		}()
		var stats exec.ScanStats
		meter := t.totals.begin()
		stats, it.err = t.gateway.cluster.Scan(scanning, f, func(b *exec.Batch) error {
			return meter.batch(b, func(b *exec.Batch) error {
				return maker.make(b, func(rows []sql.Row) error {
					select {
					case chunks <- rows:
						return nil
					case <-scanning.Done():
						return scanning.Err()
					}
				})
			})
		})
		meter.end(stats)
	}()
	return it
}

// Next gives the next row.
func (it *rowIter) Next(ctx *sql.Context) (sql.Row, error) {
	for len(it.rows) == 0 {
		select {
		case rows, ok := <-it.chunks:
			if !ok {
				if it.err != nil {
					return nil, it.err
				}
				return nil, io.EOF
			}
			it.rows = rows
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	row := it.rows[0]
	it.rows = it.rows[1:]
	return row, nil
}

// Close ends the scan and waits for it.
func (it *rowIter) Close(*sql.Context) error {
	it.cancel()
	for range it.chunks {
	}
	it.rows = nil
	return nil
}

// rowMaker turns batches into rows of go-mysql-server's values.
type rowMaker struct {
	width  int
	places []int          // in the row, of the batch's columns
	types  []catalog.Type // of the batch's columns
}

// newRowMaker makes rows that are a fragment's visible columns.
func newRowMaker(f *exec.Fragment) *rowMaker {
	m := &rowMaker{}
	for i := range f.Columns {
		if c := &f.Columns[i]; !c.Hidden {
			m.places = append(m.places, m.width)
			m.types = append(m.types, c.Result())
			m.width++
		}
	}
	return m
}

// make gives the batch's rows, in chunks, to send. The rows have memory of
// their own: a batch is gone when its scan goes on.
func (m *rowMaker) make(b *exec.Batch, send func([]sql.Row) error) error {
	columns := make([]columnMaker, len(b.Columns))
	for i, c := range b.Columns {
		maker, err := m.columnMaker(c, m.types[i], b.Rows)
		if err != nil {
			return err
		}
		columns[i] = maker
	}
	for from := 0; from < b.Rows; from += chunkRows {
		n := min(chunkRows, b.Rows-from)
		values := make([]any, n*m.width)
		rows := make([]sql.Row, n)
		for i := range rows {
			rows[i] = values[i*m.width : (i+1)*m.width : (i+1)*m.width]
		}
		for i, c := range columns {
			if err := c(rows, m.places[i], from); err != nil {
				return err
			}
		}
		if err := send(rows); err != nil {
			return err
		}
	}
	return nil
}

// columnMaker puts the values of an array's rows, from a place on, into a place
// of the given rows.
type columnMaker func(rows []sql.Row, place, from int) error

func (m *rowMaker) columnMaker(a arrow.Array, t catalog.Type, rows int) (columnMaker, error) {
	switch a := a.(type) {
	case *array.Boolean:
		return fill(a, func(i int) any {
			if a.Value(i) {
				return int8(1)
			}
			return int8(0)
		}), nil
	case *array.Int64:
		values := a.Int64Values()
		return fill(a, func(i int) any { return values[i] }), nil
	case *array.Float64:
		values := a.Float64Values()
		return fill(a, func(i int) any { return values[i] }), nil
	case *array.Timestamp:
		values := a.TimestampValues()
		return fill(a, func(i int) any { return time.UnixMicro(int64(values[i])).UTC() }), nil
	case *array.String:
		return fillText(a, t), nil
	case *array.Dictionary:
		words, ok := a.Dictionary().(*array.String)
		if !ok {
			return nil, fmt.Errorf("scan gave a dictionary of %s", a.Dictionary().DataType())
		}
		return m.fillDictionary(a, words, t, rows), nil
	}
	return nil, fmt.Errorf("scan gave an array of %s", a.DataType())
}

// fill makes a columnMaker of a function from row to value.
func fill(a arrow.Array, value func(i int) any) columnMaker {
	nulls := a.NullN() > 0
	return func(rows []sql.Row, place, from int) error {
		for i := range rows {
			if !nulls || !a.IsNull(from+i) {
				rows[i][place] = value(from + i)
			}
		}
		return nil
	}
}

// fillText copies a chunk's strings into one piece of memory.
func fillText(a *array.String, t catalog.Type) columnMaker {
	return func(rows []sql.Row, place, from int) error {
		size := 0
		for i := range rows {
			size += len(a.Value(from + i))
		}
		var all strings.Builder
		all.Grow(size)
		for i := range rows {
			all.WriteString(a.Value(from + i))
		}
		text, at := all.String(), 0
		for i := range rows {
			n := len(a.Value(from + i))
			if !a.IsNull(from + i) {
				v, err := textValue(text[at:at+n], t)
				if err != nil {
					return err
				}
				rows[i][place] = v
			}
			at += n
		}
		return nil
	}
}

// sharedWords is how many times more words than a batch has rows a dictionary
// may have for each word to be converted only once: the table of the words that
// were converted is cleared for each batch.
const sharedWords = 4

// fillDictionary converts each word of the dictionary that is used once.
func (m *rowMaker) fillDictionary(a *array.Dictionary, words *array.String, t catalog.Type, rows int) columnMaker {
	var shared []any
	if words.Len() <= sharedWords*rows {
		shared = make([]any, words.Len())
	}
	return func(rows []sql.Row, place, from int) error {
		for i := range rows {
			if a.IsNull(from + i) {
				continue
			}
			w := a.GetValueIndex(from + i)
			if words.IsNull(w) {
				continue
			}
			if shared != nil && shared[w] != nil {
				rows[i][place] = unshared(shared[w])
				continue
			}
			v, err := textValue(strings.Clone(words.Value(w)), t)
			if err != nil {
				return err
			}
			if shared != nil {
				shared[w] = v
			}
			rows[i][place] = unshared(v)
		}
		return nil
	}
}

// unshared gives a row a value that others may have too. Decimals are pointers, and
// whoever computes with one may write through it.
func unshared(v any) any {
	if d, ok := v.(*apd.Decimal); ok {
		return new(apd.Decimal).Set(d)
	}
	return v
}

// textValue is the value of a column of that type for a text, which it keeps.
func textValue(text string, t catalog.Type) (any, error) {
	switch t {
	case catalog.TypeJSON:
		return storedJSON(text), nil
	case catalog.TypeDecimal:
		d, _, err := apd.NewFromString(text)
		if err != nil {
			return nil, fmt.Errorf("scan gave the decimal %q: %w", text, err)
		}
		return d, nil
	}
	return text, nil
}
