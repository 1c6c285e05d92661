package indexfile

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"arbor/catalog"
)

// EventArray is the event names of rows [lo, hi): a Dictionary over String.
func (r *Reader) EventArray(lo, hi int) (arrow.Array, error) {
	return r.texts(lo, hi, func(row *Row) (string, bool) { return row.Name, true })
}

// TimeArray is the raw times of rows [lo, hi): Timestamps in microseconds.
func (r *Reader) TimeArray(lo, hi int) (arrow.Array, error) {
	return r.timestamps(lo, hi, func(row *Row) (int64, bool) { return row.Time, true })
}

// TimeRawArray is TimeArray with a null where the server's time was taken.
func (r *Reader) TimeRawArray(lo, hi int) (arrow.Array, error) {
	return r.timestamps(lo, hi, func(row *Row) (int64, bool) { return row.Time, !row.ServerTime })
}

// DistinctIDArray is the distinct ids of rows [lo, hi): a Dictionary over String.
func (r *Reader) DistinctIDArray(lo, hi int) (arrow.Array, error) {
	return r.texts(lo, hi, func(row *Row) (string, bool) { return row.DistinctID, true })
}

// InsertIDArray is the insert ids of rows [lo, hi), null where there is none: a String.
func (r *Reader) InsertIDArray(lo, hi int) (arrow.Array, error) {
	return r.texts(lo, hi, func(row *Row) (string, bool) { return row.InsertID, row.InsertID != "" })
}

// IngestIDArray is the ingest ids of rows [lo, hi) in 32 hexadecimal digits: a String.
func (r *Reader) IngestIDArray(lo, hi int) (arrow.Array, error) {
	return r.texts(lo, hi, func(row *Row) (string, bool) { return row.ID.String(), true })
}

// IngestedAtArray is the edge's clock for rows [lo, hi): Timestamps in microseconds.
func (r *Reader) IngestedAtArray(lo, hi int) (arrow.Array, error) {
	return r.timestamps(lo, hi, func(row *Row) (int64, bool) { return int64(row.ID.Time / 1000), true })
}

// PropertiesArray is all properties of each of the rows [lo, hi) as a JSON
// object: a String.
func (r *Reader) PropertiesArray(lo, hi int) (arrow.Array, error) {
	return r.texts(lo, hi, func(row *Row) (string, bool) { return string(appendProperties(nil, row.Properties)), true })
}

// PropertiesJSON appends all properties of row i as a JSON object, sorted by name.
func (r *Reader) PropertiesJSON(i int, dst []byte) ([]byte, error) {
	return appendProperties(dst, r.rows[i].Properties), nil
}

func appendProperties(dst []byte, props []catalog.Property) []byte {
	dst = append(dst, '{')
	for i := range props {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(catalog.AppendJSONString(dst, props[i].Name), ':')
		dst = props[i].Value.AppendJSON(dst)
	}
	return append(dst, '}')
}

// PropertyArray is a property of rows [lo, hi), converted by catalog.Convert to
// the type wanted, null where a row has no such property, an explicit null, or
// a value that does not convert. The array's type is the one that exec.Batch
// lists. A property that the file does not have gives nulls. ErrLimit means
// that fewer rows must be asked for.
func (r *Reader) PropertyArray(property string, t catalog.Type, precision, scale uint8, lo, hi int) (arrow.Array, error) {
	get := func(row *Row) (catalog.Value, bool) {
		for i := range row.Properties {
			if row.Properties[i].Name == property {
				if row.Properties[i].Value.Kind == catalog.KindNull {
					return catalog.Value{}, false
				}
				return catalog.Convert(row.Properties[i].Value, t, precision, scale)
			}
		}
		return catalog.Value{}, false
	}
	switch t {
	case catalog.TypeBool:
		b := array.NewBooleanBuilder(memory.DefaultAllocator)
		for i := lo; i < hi; i++ {
			if v, ok := get(&r.rows[i]); ok {
				b.Append(v.Bool())
			} else {
				b.AppendNull()
			}
		}
		return b.NewArray(), nil
	case catalog.TypeInt:
		b := array.NewInt64Builder(memory.DefaultAllocator)
		for i := lo; i < hi; i++ {
			if v, ok := get(&r.rows[i]); ok {
				b.Append(v.Int())
			} else {
				b.AppendNull()
			}
		}
		return b.NewArray(), nil
	case catalog.TypeDouble:
		b := array.NewFloat64Builder(memory.DefaultAllocator)
		for i := lo; i < hi; i++ {
			if v, ok := get(&r.rows[i]); ok {
				b.Append(v.Double())
			} else {
				b.AppendNull()
			}
		}
		return b.NewArray(), nil
	case catalog.TypeDatetime:
		return r.timestamps(lo, hi, func(row *Row) (int64, bool) { v, ok := get(row); return v.Int(), ok })
	case catalog.TypeString, catalog.TypeJSON, catalog.TypeNull, catalog.TypeDecimal:
		return r.texts(lo, hi, func(row *Row) (string, bool) { v, ok := get(row); return v.Text, ok })
	default:
		return nil, fmt.Errorf("property %q as type %d: %w", property, t, ErrColumn)
	}
}

func (r *Reader) texts(lo, hi int, get func(*Row) (string, bool)) (arrow.Array, error) {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	for i := lo; i < hi; i++ {
		if s, ok := get(&r.rows[i]); ok {
			b.Append(s)
		} else {
			b.AppendNull()
		}
	}
	return b.NewArray(), nil
}

var micros = &arrow.TimestampType{Unit: arrow.Microsecond}

func (r *Reader) timestamps(lo, hi int, get func(*Row) (int64, bool)) (arrow.Array, error) {
	b := array.NewTimestampBuilder(memory.DefaultAllocator, micros)
	for i := lo; i < hi; i++ {
		if t, ok := get(&r.rows[i]); ok {
			b.Append(arrow.Timestamp(t))
		} else {
			b.AppendNull()
		}
	}
	return b.NewArray(), nil
}
