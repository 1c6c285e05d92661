package oracle

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// Scan gives the fragment's rows. The layout of string columns changes from
// batch to batch through all that exec.Batch allows, so that who reads them
// cannot count on one.
func (m *Model) Scan(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	answer := m.Answer(f.Project, f.AsOf, f.Policy)
	stats := exec.ScanStats{RowsDeleted: int64(len(answer.Deleted))}
	stats.RowsLogged = int64(len(answer.Rows) + len(answer.Deleted) + len(answer.Quarantined))
	stats.Shards = len(shardsOf(m.Records()))
	var rows [][]catalog.Value
	if f.Stored() {
		answer.Rows = append(slices.Clone(answer.Rows), answer.Deleted...)
	}
	for _, row := range answer.Rows {
		if row.Duplicate() && !f.Copies {
			stats.RowsDuplicate++
			continue
		}
		values := Values(row, f.Columns)
		if f.Filter != nil && holds(f.Filter, f.Columns, values) != yes {
			stats.RowsFiltered++
			continue
		}
		if f.Limit > 0 && int64(len(rows)) == f.Limit {
			break
		}
		rows = append(rows, values)
	}
	stats.RowsGiven = int64(len(rows))
	for n := 0; len(rows) > 0; n++ {
		if err := ctx.Err(); err != nil {
			return stats, err
		}
		some := rows[:min(len(rows), m.BatchRows)]
		rows = rows[len(some):]
		if err := give(f.Columns, some, n, yield); err != nil {
			return stats, err
		}
	}
	return stats, nil
}

// Values are a row's values in a fragment's columns, each of the kind that its
// column's arrays hold, or null.
func Values(row Row, columns []exec.Column) []catalog.Value {
	values := make([]catalog.Value, len(columns))
	for i, c := range columns {
		values[i] = value(row, c)
	}
	return values
}

func value(row Row, c exec.Column) catalog.Value {
	e := row.Event
	switch c.Source {
	case exec.SourceProperty:
		for _, p := range e.Properties {
			if p.Name == c.Property {
				if v, ok := catalog.Convert(p.Value, c.Type, c.Precision, c.Scale); ok {
					return v
				}
			}
		}
		return catalog.Null
	case exec.SourceEvent:
		return catalog.String(e.Name)
	case exec.SourceTime:
		return catalog.Int(e.Time)
	case exec.SourceDistinctID:
		return catalog.String(e.DistinctID)
	case exec.SourceInsertID:
		return textOrNull(e.InsertID)
	case exec.SourceProperties:
		if c.Property == "" {
			return catalog.JSON(Properties(e))
		}
		for _, p := range e.Properties { // no more than must be
			if p.Name == c.Property {
				one := *e
				one.Properties = []event.Property{p}
				return catalog.JSON(Properties(&one))
			}
		}
		return catalog.Null
	case exec.SourceIngestID:
		return catalog.String(e.ID.String())
	case exec.SourceIngestedAt:
		return catalog.Int(int64(e.ID.Time / 1000))
	case exec.SourceTimeRaw:
		if e.ServerTime {
			return catalog.Null
		}
		return catalog.Int(e.Time)
	case exec.SourceDuplicate:
		return catalog.Bool(row.Duplicate())
	case exec.SourceDupOf:
		if !row.Duplicate() {
			return catalog.Null
		}
		return catalog.String(row.DupOf.String())
	case exec.SourceDupKind:
		return textOrNull(row.Kind)
	case exec.SourceFile:
		return catalog.String("log")
	case exec.SourceShard:
		return catalog.String(row.Shard.String())
	case exec.SourceRecord:
		return catalog.String(event.RecordHash(e).String())
	}
	panic(fmt.Sprintf("oracle: no such source: %d", c.Source))
}

func textOrNull(s string) catalog.Value {
	if s == "" {
		return catalog.Null
	}
	return catalog.String(s)
}

// give makes a batch of the rows' visible columns and yields it.
func give(columns []exec.Column, rows [][]catalog.Value, n int, yield func(*exec.Batch) error) error {
	batch := &exec.Batch{Rows: len(rows)}
	defer func() {
		for _, a := range batch.Columns {
			a.Release()
		}
	}()
	for i, c := range columns {
		if c.Hidden {
			continue
		}
		var column []catalog.Value
		for _, row := range rows {
			column = append(column, row[i])
		}
		batch.Columns = append(batch.Columns, Array(TypeOf(c), column, n+i))
	}
	return yield(batch)
}

// TypeOf is the type that a fragment's column has: what it asks for, if it is a
// property, else what its source has.
func TypeOf(c exec.Column) catalog.Type {
	switch c.Source {
	case exec.SourceProperty:
		return c.Type
	case exec.SourceTime, exec.SourceIngestedAt, exec.SourceTimeRaw:
		return catalog.TypeDatetime
	case exec.SourceDuplicate:
		return catalog.TypeBool
	case exec.SourceProperties:
		return catalog.TypeJSON
	}
	return catalog.TypeString
}

// Array makes the array of a column, as exec.Batch describes it; layout chooses
// among those that a type may have.
func Array(t catalog.Type, values []catalog.Value, layout int) arrow.Array {
	b := array.NewBuilder(memory.DefaultAllocator, arrowType(t, values, layout))
	defer b.Release()
	for _, v := range values {
		if v.Kind == catalog.KindNull {
			b.AppendNull()
			continue
		}
		switch b := b.(type) {
		case *array.BooleanBuilder:
			b.Append(v.Bool())
		case *array.Int64Builder:
			b.Append(v.Int())
		case *array.Float64Builder:
			b.Append(v.Double())
		case *array.TimestampBuilder:
			b.Append(arrow.Timestamp(v.Int()))
		case *array.StringBuilder:
			b.Append(v.Text)
		case *array.BinaryDictionaryBuilder:
			if err := b.AppendString(v.Text); err != nil {
				panic("oracle: " + err.Error()) // more values than a dictionary's indices hold
			}
		}
	}
	return b.NewArray()
}

func arrowType(t catalog.Type, values []catalog.Value, layout int) arrow.DataType {
	switch t {
	case catalog.TypeBool:
		return arrow.FixedWidthTypes.Boolean
	case catalog.TypeInt:
		return arrow.PrimitiveTypes.Int64
	case catalog.TypeDouble:
		return arrow.PrimitiveTypes.Float64
	case catalog.TypeDatetime:
		return &arrow.TimestampType{Unit: arrow.Microsecond}
	}
	layout %= 4
	if layout == 0 && t != catalog.TypeDecimal {
		return arrow.BinaryTypes.String
	}
	indices := arrow.DataType(arrow.PrimitiveTypes.Int32)
	if layout == 1 && len(values) <= math.MaxInt16 {
		indices = arrow.PrimitiveTypes.Int16
	}
	if layout == 2 && len(values) <= math.MaxInt8 {
		indices = arrow.PrimitiveTypes.Int8
	}
	return &arrow.DictionaryType{IndexType: indices, ValueType: arrow.BinaryTypes.String}
}
