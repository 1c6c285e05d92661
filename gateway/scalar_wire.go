package gateway

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
)

// The bytes of a scalar. Numbers are varints, texts have their length in front.
//
//	scalar   version (1), form (1), settings (texts), program
//	program  count, inputs, node
//	input    'a' argument, form, nullable, type      one of Computed.Args
//	         'c' nullable, type, value               a constant that is taken for a column
//	         'p' nullable, type, program             a column of a derived table
//	node     'f' input
//	         'l' type, value
//	         'n' tag, count, words, count, nodes
//	type     kind and what it takes, as a text
//	value    kind (1), text

// scalarVersion is the version of these bytes.
const scalarVersion = 1

// Limits of a scalar.
const (
	maxScalarNodes = 4096
	maxScalarDepth = 128
)

// errScalar says that bytes are no scalar.
var errScalar = errors.New("malformed scalar")

// Kinds of parts of a program.
const (
	inputArgument = 'a'
	inputConstant = 'c'
	inputProgram  = 'p'
	nodeField     = 'f'
	nodeLiteral   = 'l'
	nodeOther     = 'n'
)

// scalarSettings are the variables of a session that functions look at.
var scalarSettings = [...]string{"time_zone", "sql_mode", "collation_connection", "character_set_connection", "max_allowed_packet"}

func appendScalarText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// scalarReader reads the bytes. After the first fault it gives nothing.
type scalarReader struct {
	rest string
	bad  bool
}

func (r *scalarReader) fail() {
	r.bad, r.rest = true, ""
}

func (r *scalarReader) byte() byte {
	if len(r.rest) == 0 {
		r.fail()
		return 0
	}
	c := r.rest[0]
	r.rest = r.rest[1:]
	return c
}

// number reads a number that is no larger than most.
func (r *scalarReader) number(most int) int {
	n, shift := uint64(0), 0
	for {
		c := r.byte()
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			break
		}
		if shift += 7; shift > 28 {
			r.fail()
			return 0
		}
	}
	if n > uint64(most) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *scalarReader) text() string {
	n := r.number(len(r.rest))
	if n > len(r.rest) {
		r.fail()
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

// scalarTypeText is a SQL type as it travels; not ok for one that does not.
func scalarTypeText(t sql.Type) (text string, ok bool) {
	switch x := t.(type) {
	case types.NumberTypeImpl_:
		width := 0
		if x == types.Boolean {
			width = 1
		}
		text = fmt.Sprintf("number %d %d", x.Type(), width)
	case types.DecimalType_:
		kind := "literal"
		if reflect.ValueOf(x).FieldByName("definesColumn").Bool() {
			kind = "decimal"
		}
		text = fmt.Sprintf("%s %d %d", kind, x.Precision(), x.Scale())
	case types.StringType:
		length := x.MaxCharacterLength()
		switch x.Type() {
		case sqltypes.Text, sqltypes.Blob, sqltypes.Binary, sqltypes.VarBinary:
			length = x.MaxByteLength()
		}
		text = fmt.Sprintf("string %d %d %s", x.Type(), length, x.Collation().Name())
	case sql.DatetimeType:
		text = fmt.Sprintf("moment %d %d", t.Type(), x.Precision())
	default:
		switch t {
		case types.Time:
			text = "time"
		case types.Year:
			text = "year"
		case types.JSON:
			text = "json"
		case types.Null:
			text = "null"
		}
	}
	back, err := parseScalarType(text)
	return text, err == nil && reflect.DeepEqual(back, t)
}

// parseScalarType is the type that scalarTypeText has written.
func parseScalarType(text string) (sql.Type, error) {
	switch text {
	case "time":
		return types.Time, nil
	case "year":
		return types.Year, nil
	case "json":
		return types.JSON, nil
	case "null":
		return types.Null, nil
	}
	words := strings.Split(text, " ")
	var n [2]int64
	for i := range n {
		if len(words) < i+2 {
			return nil, fmt.Errorf("%w: type %q", errScalar, text)
		}
		var err error
		if n[i], err = strconv.ParseInt(words[i+1], 10, 64); err != nil || n[i] < 0 || n[i] > math.MaxUint32 {
			return nil, fmt.Errorf("%w: type %q", errScalar, text)
		}
	}
	switch {
	case words[0] == "number" && len(words) == 3:
		return types.CreateNumberTypeWithDisplayWidth(querypb.Type(n[0]), int(n[1]))
	case words[0] == "decimal" && len(words) == 3 && n[0] <= math.MaxUint8 && n[1] <= n[0]:
		return types.CreateColumnDecimalType(uint8(n[0]), uint8(n[1]))
	case words[0] == "literal" && len(words) == 3 && n[0] <= math.MaxUint8 && n[1] <= math.MaxUint8:
		return types.CreateLiteralDecimalType(uint8(n[0]), uint8(n[1])), nil
	case words[0] == "moment" && len(words) == 3:
		return types.CreateDatetimeType(querypb.Type(n[0]), int(n[1]))
	case words[0] == "string" && len(words) == 4:
		collation, err := sql.ParseCollation("", words[3], false)
		if err != nil {
			return nil, err
		}
		return types.CreateString(querypb.Type(n[0]), n[1], collation)
	}
	return nil, fmt.Errorf("%w: type %q", errScalar, text)
}

// Kinds of Go values that constants have.
const (
	goNull    = 0
	goBool    = 1
	goInt8    = 2
	goInt16   = 3
	goInt32   = 4
	goInt64   = 5
	goUint8   = 6
	goUint16  = 7
	goUint32  = 8
	goUint64  = 9
	goFloat32 = 10
	goFloat64 = 11
	goDecimal = 12
	goText    = 13
	goBytes   = 14
	goMoment  = 15
	goSpan    = 16
	goInt     = 17
	goStored  = 18 // storedJSON
)

// appendScalarValue appends a constant's value; not ok for one that does not travel.
func appendScalarValue(b []byte, v any) ([]byte, bool) {
	put := func(kind byte, text string) ([]byte, bool) { return appendScalarText(append(b, kind), text), true }
	signed := func(kind byte, n int64) ([]byte, bool) { return put(kind, strconv.FormatInt(n, 10)) }
	unsigned := func(kind byte, n uint64) ([]byte, bool) { return put(kind, strconv.FormatUint(n, 10)) }
	switch v := v.(type) {
	case nil:
		return put(goNull, "")
	case bool:
		return put(goBool, strconv.FormatBool(v))
	case int:
		return signed(goInt, int64(v))
	case int8:
		return signed(goInt8, int64(v))
	case int16:
		return signed(goInt16, int64(v))
	case int32:
		return signed(goInt32, int64(v))
	case int64:
		return signed(goInt64, v)
	case uint8:
		return unsigned(goUint8, uint64(v))
	case uint16:
		return unsigned(goUint16, uint64(v))
	case uint32:
		return unsigned(goUint32, uint64(v))
	case uint64:
		return unsigned(goUint64, v)
	case float32:
		return unsigned(goFloat32, uint64(math.Float32bits(v)))
	case float64:
		return unsigned(goFloat64, math.Float64bits(v))
	case *apd.Decimal:
		if v.Form == apd.Finite {
			return put(goDecimal, v.String())
		}
	case string:
		return put(goText, v)
	case []byte:
		return put(goBytes, string(v))
	case time.Time:
		if v.Location() == time.UTC {
			return put(goMoment, fmt.Sprintf("%d %d", v.Unix(), v.Nanosecond()))
		}
	case types.Timespan:
		return signed(goSpan, int64(v))
	case storedJSON:
		return put(goStored, string(v))
	}
	return b, false
}

// parseScalarValue is the value that appendScalarValue has written.
func parseScalarValue(kind byte, text string) (any, error) {
	switch kind {
	case goNull:
		return nil, nil
	case goBool:
		return strconv.ParseBool(text)
	case goText:
		return text, nil
	case goBytes:
		return []byte(text), nil
	case goStored:
		return storedJSON(text), nil
	case goDecimal:
		d, _, err := apd.NewFromString(text)
		return d, err
	case goMoment:
		var seconds, nanos int64
		_, err := fmt.Sscanf(text, "%d %d", &seconds, &nanos)
		return time.Unix(seconds, nanos).UTC(), err
	case goUint8, goUint16, goUint32, goUint64, goFloat32, goFloat64:
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, err
		}
		return unsignedValue(kind, n), nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, err
	}
	switch kind {
	case goInt:
		return int(n), nil
	case goInt8:
		return int8(n), nil
	case goInt16:
		return int16(n), nil
	case goInt32:
		return int32(n), nil
	case goInt64:
		return n, nil
	case goSpan:
		return types.Timespan(n), nil
	}
	return nil, fmt.Errorf("%w: value of kind %d", errScalar, kind)
}

func unsignedValue(kind byte, n uint64) any {
	switch kind {
	case goUint8:
		return uint8(n)
	case goUint16:
		return uint16(n)
	case goUint32:
		return uint32(n)
	case goFloat32:
		return math.Float32frombits(uint32(n))
	case goFloat64:
		return math.Float64frombits(n)
	}
	return n
}
