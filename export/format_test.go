package export

import (
	"errors"
	"math"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/decimal256"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"arbor/engine/vfs"
)

// every is a schema with a column of each type that answers have.
var every = arrow.NewSchema([]arrow.Field{
	{Name: "i8", Type: arrow.PrimitiveTypes.Int8}, {Name: "i16", Type: arrow.PrimitiveTypes.Int16}, {Name: "i32", Type: arrow.PrimitiveTypes.Int32},
	{Name: "i64", Type: arrow.PrimitiveTypes.Int64}, {Name: "u8", Type: arrow.PrimitiveTypes.Uint8}, {Name: "u16", Type: arrow.PrimitiveTypes.Uint16},
	{Name: "u32", Type: arrow.PrimitiveTypes.Uint32}, {Name: "u64", Type: arrow.PrimitiveTypes.Uint64},
	{Name: "f32", Type: arrow.PrimitiveTypes.Float32}, {Name: "f64", Type: arrow.PrimitiveTypes.Float64},
	{Name: "date", Type: arrow.FixedWidthTypes.Date32}, {Name: "moment", Type: arrow.FixedWidthTypes.Timestamp_us},
	{Name: "small", Type: &arrow.Decimal128Type{Precision: 10, Scale: 2}}, {Name: "big", Type: &arrow.Decimal256Type{Precision: 65, Scale: 30}},
	{Name: "text", Type: arrow.BinaryTypes.String, Metadata: arrow.MetadataFrom(map[string]string{"mysql.type": "text"})},
	{Name: "bytes", Type: arrow.BinaryTypes.Binary},
	{Name: "none", Type: arrow.Null},
}, nil)

// everyRecord has values at the edges of the types, and NULLs.
func everyRecord(t *testing.T, schema *arrow.Schema) arrow.Record {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i, f := range schema.Fields() {
		switch c := b.Field(i).(type) {
		case *array.Int8Builder:
			c.AppendValues([]int8{0, math.MinInt8, math.MaxInt8}, nil)
		case *array.Int16Builder:
			c.AppendValues([]int16{0, math.MinInt16, math.MaxInt16}, nil)
		case *array.Int32Builder:
			c.AppendValues([]int32{0, math.MinInt32, math.MaxInt32}, nil)
		case *array.Int64Builder:
			c.AppendValues([]int64{0, math.MinInt64, math.MaxInt64}, nil)
		case *array.Uint8Builder:
			c.AppendValues([]uint8{0, 1, math.MaxUint8}, nil)
		case *array.Uint16Builder:
			c.AppendValues([]uint16{0, 1, math.MaxUint16}, nil)
		case *array.Uint32Builder:
			c.AppendValues([]uint32{0, 1, math.MaxUint32}, nil)
		case *array.Uint64Builder:
			c.AppendValues([]uint64{0, 1, math.MaxUint64}, nil)
		case *array.Float32Builder:
			c.AppendValues([]float32{0, -math.MaxFloat32, math.SmallestNonzeroFloat32}, nil)
		case *array.Float64Builder:
			c.AppendValues([]float64{math.Copysign(0, -1), math.MaxFloat64, math.SmallestNonzeroFloat64}, nil)
		case *array.Date32Builder:
			c.AppendValues([]arrow.Date32{0, -719162, 2932896}, nil)
		case *array.TimestampBuilder:
			c.AppendValues([]arrow.Timestamp{0, -62135596800000000, 253402300799999999}, nil)
		case *array.DurationBuilder:
			c.AppendValues([]arrow.Duration{0, -1, 1}, nil)
		case *array.Decimal128Builder:
			c.AppendValues([]decimal128.Num{decimal128.FromI64(0), decimal128.FromI64(-9999999999), decimal128.FromI64(1)}, nil)
		case *array.Decimal256Builder:
			c.AppendValues([]decimal256.Num{decimal256.FromI64(0), decimal256.FromI64(-1), decimal256.GetMaxValue(65)}, nil)
		case *array.StringBuilder:
			c.AppendValues([]string{"", "ü😀\x00", "x"}, nil)
		case *array.BinaryBuilder:
			c.AppendValues([][]byte{{}, {0, 0xff}, {1}}, nil)
		case *array.NullBuilder:
			c.AppendNulls(3)
		default:
			t.Fatalf("column %s: no values", f.Name)
		}
		b.Field(i).AppendNull()
	}
	return b.NewRecord()
}

// Whatever answers may hold comes back from both formats, value by value.
func TestEveryType(t *testing.T) {
	dir := t.TempDir()
	d, err := Open(vfs.OS(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, name := range []string{"every.parquet", "every.arrow"} {
		want := everyRecord(t, every)
		f, err := d.File(name, every)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := f.Write(want); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Commit(); err != nil {
			t.Fatal(err)
		}
		in, err := d.fs.Open(dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		size, _ := in.Size()
		format, _ := FormatOf(name)
		rows := 0
		err = readRecords(format, in, size, func(r arrow.Record) error {
			for i := range int(r.NumCols()) {
				if got := r.Column(i).DataType(); !arrow.TypeEqual(got, every.Field(i).Type) {
					t.Errorf("%s: column %s is a %s", name, every.Field(i).Name, got)
				}
				for row := range int(r.NumRows()) {
					at := (rows + row) % 4
					if got, want := r.Column(i).ValueStr(row), want.Column(i).ValueStr(at); got != want {
						t.Errorf("%s: column %s row %d is %q, want %q", name, every.Field(i).Name, row, got, want)
					}
				}
			}
			rows += int(r.NumRows())
			return nil
		})
		if err != nil || rows != 12 {
			t.Errorf("%s: %d rows, %v", name, rows, err)
		}
		in.Close()
	}
	clock := arrow.NewSchema([]arrow.Field{{Name: "t", Type: arrow.FixedWidthTypes.Duration_us}}, nil)
	if _, err := d.File("clock.parquet", clock); !errors.Is(err, ErrFormat) {
		t.Errorf("a TIME in Parquet gives %v", err)
	}
	f, err := d.File("clock.arrow", clock)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Write(everyRecord(t, clock)), f.Commit()); err != nil {
		t.Error(err)
	}
	if _, err := d.File("x.csv", every); !errors.Is(err, ErrFormat) {
		t.Errorf("a file .csv gives %v", err)
	}
	if _, err := d.File("x.parquet", arrow.NewSchema(nil, nil)); !errors.Is(err, ErrFormat) {
		t.Errorf("no columns give %v", err)
	}
}

// Rows have the same digest in any order and in any records.
func TestDigest(t *testing.T) {
	r := everyRecord(t, every)
	whole, err := digestOf(r)
	if err != nil {
		t.Fatal(err)
	}
	var sum Digest
	for _, i := range []int64{2, 0, 3, 1} {
		part, err := digestOf(r.NewSlice(i, i+1))
		if err != nil {
			t.Fatal(err)
		}
		sum = sum.Add(part)
	}
	if sum != whole {
		t.Errorf("rows one by one have %s, together %s", sum, whole)
	}
	if got := (Digest{Lo: math.MaxUint64}).Add(Digest{Lo: 1}); got != (Digest{Hi: 1}) {
		t.Errorf("no carry: %s", got)
	}
}
