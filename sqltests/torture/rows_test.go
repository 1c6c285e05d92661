package torture

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
	"arbor/engine/exec"
	"arbor/sqltests/oracle"
)

// scanner is what both the engine and the model can do.
type scanner interface {
	Scan(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error)
	Execute(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error)
}

// scan gives a fragment's rows as lines of text, sorted, and holds the batches
// to what exec.Batch promises. The _file column is checked but left out.
func scan(ctx context.Context, s scanner, f *exec.Fragment) ([]string, error) {
	var lines []string
	var visible []exec.Column
	for _, c := range f.Columns {
		if !c.Hidden {
			visible = append(visible, c)
		}
	}
	stats, err := s.Scan(ctx, f, func(b *exec.Batch) error {
		if len(b.Columns) != len(visible) || b.Rows < 1 || b.Rows > exec.MaxBatchRows {
			return fmt.Errorf("batch of %d columns and %d rows, want %d columns and 1 to %d rows", len(b.Columns), b.Rows, len(visible), exec.MaxBatchRows)
		}
		batch := make([]strings.Builder, b.Rows)
		for i, a := range b.Columns {
			if err := addColumn(batch, visible[i], a); err != nil {
				return fmt.Errorf("column %d (%s): %w", i, columnName(visible[i]), err)
			}
		}
		for i := range batch {
			lines = append(lines, batch[i].String())
		}
		return nil
	})
	if err == nil && stats.RowsGiven != int64(len(lines)) {
		err = fmt.Errorf("stats say that %d rows were given, %d were", stats.RowsGiven, len(lines))
	}
	slices.Sort(lines)
	return lines, err
}

// addColumn appends a column's values to the lines.
func addColumn(lines []strings.Builder, c exec.Column, a arrow.Array) error {
	if a.Len() != len(lines) {
		return fmt.Errorf("%d values for %d rows", a.Len(), len(lines))
	}
	values, err := arrayValues(oracle.TypeOf(c), a)
	if err != nil {
		return err
	}
	for i, v := range values {
		if c.Source == exec.SourceFile {
			if v == "" || v == "null" {
				return fmt.Errorf("row %d has no file", i)
			}
			continue
		}
		lines[i].WriteString(columnName(c))
		lines[i].WriteByte('=')
		lines[i].WriteString(v)
		lines[i].WriteByte(' ')
	}
	return nil
}

func columnName(c exec.Column) string {
	if c.Source == exec.SourceProperty {
		return fmt.Sprintf("%q:%d", c.Property, c.Type)
	}
	return [...]string{"", "event", "time", "distinct_id", "insert_id", "properties", "_ingest_id", "_ingested_at",
		"_time_raw", "_duplicate", "_dup_of", "_dup_kind", "_file", "_shard", "record"}[c.Source]
}

// arrayValues reads an array of a column of the type, in any layout that
// exec.Batch allows, as text.
func arrayValues(t catalog.Type, a arrow.Array) ([]string, error) {
	at, err := arrayReader(t, a)
	if err != nil {
		return nil, err
	}
	out := make([]string, a.Len())
	for i := range out {
		if a.IsNull(i) {
			out[i] = "null"
		} else {
			out[i] = at(i)
		}
	}
	return out, nil
}

func arrayReader(t catalog.Type, a arrow.Array) (func(int) string, error) {
	switch a := a.(type) {
	case *array.Boolean:
		if t == catalog.TypeBool {
			return func(i int) string { return fmt.Sprint(a.Value(i)) }, nil
		}
	case *array.Int64:
		if t == catalog.TypeInt {
			return func(i int) string { return fmt.Sprint(a.Value(i)) }, nil
		}
	case *array.Float64:
		if t == catalog.TypeDouble {
			return func(i int) string { return fmt.Sprint(a.Value(i)) }, nil
		}
	case *array.Timestamp:
		if dt := a.DataType().(*arrow.TimestampType); t == catalog.TypeDatetime && dt.Unit == arrow.Microsecond && dt.TimeZone == "" {
			return func(i int) string { return fmt.Sprint(int64(a.Value(i))) }, nil
		}
	case *array.String:
		if isText(t) {
			return func(i int) string { return fmt.Sprintf("%q", a.Value(i)) }, nil
		}
	case *array.Dictionary:
		values, ok := a.Dictionary().(*array.String)
		if !ok || !isText(t) && t != catalog.TypeDecimal {
			break
		}
		switch a.DataType().(*arrow.DictionaryType).IndexType.ID() {
		case arrow.INT8, arrow.INT16, arrow.INT32:
			return func(i int) string {
				at := a.GetValueIndex(i)
				if values.IsNull(at) {
					return "null"
				}
				return fmt.Sprintf("%q", values.Value(at))
			}, nil
		}
	}
	return nil, fmt.Errorf("array of %s for a column of type %d", a.DataType(), t)
}

func isText(t catalog.Type) bool {
	return t == catalog.TypeString || t == catalog.TypeJSON || t == catalog.TypeNull
}
