package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/engine/exec"
	"arbor/sqltests/oracle"
)

// goValue is what a row has for a value.
func goValue(t *testing.T, kind catalog.Type, v catalog.Value) any {
	switch {
	case v.Kind == catalog.KindNull:
		return nil
	case kind == catalog.TypeBool:
		return flag(v.Bool())
	case kind == catalog.TypeInt:
		return v.Int()
	case kind == catalog.TypeDouble:
		return v.Double()
	case kind == catalog.TypeDatetime:
		return time.UnixMicro(v.Int()).UTC()
	case kind == catalog.TypeJSON:
		return storedJSON(v.Text)
	}
	return v.Text
}

// Every type in every layout that a batch may have, across chunks, and in memory
// that is gone afterwards.
func TestRowsFromBatches(t *testing.T) {
	const rows = 2*chunkRows + 17
	values := map[catalog.Type]func(i int) catalog.Value{
		catalog.TypeBool:     func(i int) catalog.Value { return catalog.Bool(i%3 == 0) },
		catalog.TypeInt:      func(i int) catalog.Value { return catalog.Int(int64(i) - 5<<40) },
		catalog.TypeDouble:   func(i int) catalog.Value { return catalog.Double(float64(i) / 7) },
		catalog.TypeDatetime: func(i int) catalog.Value { return catalog.Int(int64(i)*1e9 - 7) },
		catalog.TypeString:   func(i int) catalog.Value { return catalog.String(strings.Repeat("ü", i%5) + fmt.Sprint(i%100)) },
		catalog.TypeNull:     func(i int) catalog.Value { return catalog.String("") },
		catalog.TypeJSON:     func(i int) catalog.Value { return catalog.JSON(fmt.Sprintf(`{"i":%d}`, i%100)) },
		catalog.TypeDecimal: func(i int) catalog.Value {
			return catalog.Value{Kind: catalog.KindNumber, Text: fmt.Sprintf("%d.50", i%100)}
		},
	}
	for kind, value := range values {
		for layout := range 4 {
			if layout == 2 && kind != catalog.TypeNull {
				continue // more words than Int8 holds
			}
			t.Run(fmt.Sprint(kind, " ", layout), func(t *testing.T) {
				column := make([]catalog.Value, rows)
				for i := range column {
					if column[i] = value(i); i%11 == 0 {
						column[i] = catalog.Null
					}
				}
				a := oracle.Array(kind, column, layout)
				f := &exec.Fragment{Columns: []exec.Column{{Source: exec.SourceTime, Hidden: true}, {Type: kind}}}
				var got []sql.Row
				err := newRowMaker(f).make(&exec.Batch{Columns: []arrow.Array{a}, Rows: rows}, func(chunk []sql.Row) error {
					if len(chunk) > chunkRows {
						t.Errorf("chunk of %d rows", len(chunk))
					}
					got = append(got, chunk...)
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				overwrite(a.Data())
				if len(got) != rows {
					t.Fatalf("%d rows, want %d", len(got), rows)
				}
				for i, row := range got {
					want := goValue(t, kind, column[i])
					have := row[0]
					if d, ok := have.(*apd.Decimal); ok {
						have = d.Text('f')
					}
					if len(row) != 1 || have != want {
						t.Fatalf("row %d: %#v, want %#v", i, row, want)
					}
				}
			})
		}
	}
}

// overwrite destroys an array's memory.
func overwrite(d arrow.ArrayData) {
	for _, b := range d.Buffers() {
		if b != nil && b.Mutable() {
			clear(b.Bytes())
		}
	}
	if d.DataType().ID() == arrow.DICTIONARY {
		overwrite(d.Dictionary())
	}
}

// A dictionary that is much greater than the batch, and a slice of one.
func TestRowsFromLargeDictionaries(t *testing.T) {
	words := array.NewStringBuilder(memory.DefaultAllocator)
	for i := range 1000 {
		words.Append(fmt.Sprint("word ", i))
	}
	indices := array.NewInt32Builder(memory.DefaultAllocator)
	indices.AppendValues([]int32{1, 999, 0, 500, 500}, []bool{true, true, false, true, true})
	all := array.NewDictionaryArray(&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}, indices.NewArray(), words.NewArray())
	a := array.NewSlice(all, 1, 5)
	var got []sql.Row
	err := newRowMaker(&exec.Fragment{Columns: []exec.Column{{Type: catalog.TypeString}}}).make(&exec.Batch{Columns: []arrow.Array{a}, Rows: 4}, func(rows []sql.Row) error {
		got = append(got, rows...)
		return nil
	})
	if err != nil || fmt.Sprint(got) != "[[word 999] [<nil>] [word 500] [word 500]]" {
		t.Errorf("got %v, %v", got, err)
	}
}

// Decimals are pointers: rows must not share one.
func TestRowsDoNotShareDecimals(t *testing.T) {
	seven := catalog.Value{Kind: catalog.KindNumber, Text: "7.0"}
	a := oracle.Array(catalog.TypeDecimal, []catalog.Value{seven, seven}, 3)
	err := newRowMaker(&exec.Fragment{Columns: []exec.Column{{Type: catalog.TypeDecimal}}}).make(&exec.Batch{Columns: []arrow.Array{a}, Rows: 2}, func(rows []sql.Row) error {
		if rows[0][0] == rows[1][0] {
			t.Error("two rows have one decimal")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRowsRefuseUnknownArrays(t *testing.T) {
	b := array.NewInt8Builder(memory.DefaultAllocator)
	b.Append(1)
	m := newRowMaker(&exec.Fragment{Columns: []exec.Column{{Type: catalog.TypeInt}}})
	err := m.make(&exec.Batch{Columns: []arrow.Array{b.NewArray()}, Rows: 1}, func([]sql.Row) error { return nil })
	if err == nil {
		t.Error("an array of int8 was taken")
	}
}

// scans is a Local whose scans are made by the test.
type scans struct {
	*oracle.Model
	scan func(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error)
}

func (s *scans) Scan(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	return s.scan(ctx, f, yield)
}

// scanForEver gives batches until yield fails.
func scanForEver(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	b := &exec.Batch{Rows: 1000}
	for _, c := range f.Columns {
		if !c.Hidden {
			b.Columns = append(b.Columns, oracle.Array(c.Result(), make([]catalog.Value, b.Rows), 0))
		}
	}
	for {
		if err := yield(b); err != nil {
			return exec.ScanStats{}, err
		}
	}
}

func TestScansEndWithTheirRows(t *testing.T) {
	ended := make(chan error, 1)
	scan := scanForEver
	w := newSQLWorldOver(t, func(m *oracle.Model) cluster.Local {
		return &scans{m, func(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
			s, err := scan(ctx, f, yield)
			ended <- err
			return s, err
		}}
	})
	w.must("CREATE DATABASE shop", "USE shop")

	// LIMIT above a filter: the scan has more rows than anyone takes.
	if rows := w.must("SELECT insert_id FROM events WHERE insert_id IS NULL LIMIT 3"); len(rows) != 3 {
		t.Errorf("%d rows, want 3", len(rows))
	}
	if err := <-ended; err == nil {
		t.Error("the scan ended by itself")
	}

	// The statement's context ends.
	ctx, cancel := context.WithCancel(context.Background())
	sctx := w.context().WithContext(ctx)
	_, iter, _, err := w.engine.gms.Query(sctx, "SELECT event FROM events")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := iter.Next(sctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	for err == nil {
		_, err = iter.Next(sctx)
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("rows ended with %v", err)
	}
	iter.Close(sctx)
	<-ended

	// Errors and panics of a scan are errors of the statement.
	scan = func(context.Context, *exec.Fragment, func(*exec.Batch) error) (exec.ScanStats, error) {
		return exec.ScanStats{}, cluster.ErrUnavailable
	}
	if _, _, err := w.query("SELECT event FROM events"); !errors.Is(err, cluster.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	<-ended
	scan = func(context.Context, *exec.Fragment, func(*exec.Batch) error) (exec.ScanStats, error) {
		ended <- nil
		panic("damaged")
	}
	w.refused("SELECT event FROM events", 1105, "internal error while scanning")
	<-ended
}

// The rows of a result of any size take the same memory.
func TestRowsTakeBoundedMemory(t *testing.T) {
	batches := 0
	w := newSQLWorldOver(t, func(m *oracle.Model) cluster.Local {
		return &scans{m, func(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
			return scanForEver(ctx, f, func(b *exec.Batch) error { batches++; return yield(b) })
		}}
	})
	w.must("CREATE DATABASE shop", "USE shop")
	ctx := w.context()
	_, iter, _, err := w.engine.gms.Query(ctx, "SELECT event FROM events")
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err := iter.Next(ctx); err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
	for range 100 {
		runtime.Gosched()
	}
	if err := iter.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if most := (chunksAhead+2)*chunkRows/1000 + 2; batches > most {
		t.Errorf("the scan was %d batches ahead, at most %d are wanted", batches, most)
	}
}
