package gateway

import (
	"github.com/apache/arrow/go/v15/arrow"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
)

// Metadata of the columns of an answer in Arrow.
const (
	// arrowMySQLType is MySQL's name of the column's type.
	arrowMySQLType = "mysql.type"
	// arrowExtension marks JSON as Arrow's own extension type for it.
	arrowExtension     = "ARROW:extension:name"
	arrowExtensionData = "ARROW:extension:metadata"
	arrowJSON          = "arrow.json"
)

// arrowTypes are the types of Arrow that hold exactly what a type of MySQL's does.
//
//	TINYINT … BIGINT, UNSIGNED or not   int8 … int64, uint8 … uint64; YEAR is uint16
//	FLOAT, DOUBLE                       float32, float64
//	DECIMAL(p,s)                        decimal128(p,s), decimal256(p,s) from 39 digits
//	DATE                                date32
//	DATETIME, TIMESTAMP                 timestamp in microseconds, UTC
//	TIME                                duration in microseconds
//	JSON                                utf8, marked as arrow.json
//	CHAR, VARCHAR, TEXT, ENUM, SET      utf8; by dictionary, see arrowDictionary
//	BINARY, VARBINARY, BLOB, BIT, …     binary: the bytes that MySQL's client gets
//	NULL                                null
var arrowTypes = map[querypb.Type]arrow.DataType{
	sqltypes.Int8: arrow.PrimitiveTypes.Int8, sqltypes.Int16: arrow.PrimitiveTypes.Int16, sqltypes.Int24: arrow.PrimitiveTypes.Int32,
	sqltypes.Int32: arrow.PrimitiveTypes.Int32, sqltypes.Int64: arrow.PrimitiveTypes.Int64,
	sqltypes.Uint8: arrow.PrimitiveTypes.Uint8, sqltypes.Uint16: arrow.PrimitiveTypes.Uint16, sqltypes.Uint24: arrow.PrimitiveTypes.Uint32,
	sqltypes.Uint32: arrow.PrimitiveTypes.Uint32, sqltypes.Uint64: arrow.PrimitiveTypes.Uint64, sqltypes.Year: arrow.PrimitiveTypes.Uint16,
	sqltypes.Float32: arrow.PrimitiveTypes.Float32, sqltypes.Float64: arrow.PrimitiveTypes.Float64,
	sqltypes.Date: arrow.FixedWidthTypes.Date32, sqltypes.Time: arrow.FixedWidthTypes.Duration_us,
	sqltypes.Datetime: arrow.FixedWidthTypes.Timestamp_us, sqltypes.Timestamp: arrow.FixedWidthTypes.Timestamp_us,
	sqltypes.Text: arrow.BinaryTypes.String, sqltypes.VarChar: arrow.BinaryTypes.String, sqltypes.Char: arrow.BinaryTypes.String,
	sqltypes.Enum: arrow.BinaryTypes.String, sqltypes.Set: arrow.BinaryTypes.String, sqltypes.TypeJSON: arrow.BinaryTypes.String,
	sqltypes.Null: arrow.Null,
}

// maxDecimal128 is the most digits of a decimal128.
const maxDecimal128 = 38

// arrowDictionary is the type of texts of which there are few, each many times: names of
// events and string properties.
var arrowDictionary = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}

// arrowField describes a column of a result. Dictionaries are used for texts that
// repeat, if they are wanted.
func arrowField(c *sql.Column, dictionaries bool) arrow.Field {
	keys, values := []string{arrowMySQLType}, []string{c.Type.String()}
	if types.IsJSON(c.Type) {
		keys, values = append(keys, arrowExtension, arrowExtensionData), append(values, arrowJSON, "")
	}
	return arrow.Field{Name: c.Name, Type: arrowType(c, dictionaries), Nullable: true, Metadata: arrow.NewMetadata(keys, values)}
}

func arrowType(c *sql.Column, dictionaries bool) arrow.DataType {
	if types.IsDecimal(c.Type) {
		d := c.Type.(sql.DecimalType)
		if d.Precision() <= maxDecimal128 {
			return &arrow.Decimal128Type{Precision: int32(d.Precision()), Scale: int32(d.Scale())}
		}
		return &arrow.Decimal256Type{Precision: int32(d.Precision()), Scale: int32(d.Scale())}
	}
	if dictionaries && repeats(c) {
		return arrowDictionary
	}
	if t, ok := arrowTypes[c.Type.Type()]; ok {
		return t
	}
	return arrow.BinaryTypes.Binary
}

// repeats reports whether a column's texts are likely to be few. It follows from the
// column alone, so that a statement has the same schema whatever it finds.
func repeats(c *sql.Column) bool {
	switch t, ok := c.Type.(sql.StringType); {
	case !ok:
		return false
	case t.Equals(nameType):
		return c.Name == "event"
	default:
		return t.Equals(stringType) || t.Equals(kindType) || t.Equals(fileType) || t.Equals(shardType)
	}
}

// arrowSchema describes a result.
func arrowSchema(schema sql.Schema, dictionaries bool) *arrow.Schema {
	fields := make([]arrow.Field, len(schema))
	for i, c := range schema {
		fields[i] = arrowField(c, dictionaries)
	}
	return arrow.NewSchema(fields, nil)
}
