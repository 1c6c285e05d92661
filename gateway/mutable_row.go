package gateway

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// A row of a mutable table is the values that are not NULL, each behind the number of
// its column and what kind it is:
//
//	┌───────────────┬──────┬──────────────────────────────┐
//	│ column number │ kind │ value                        │ …
//	│ uvarint       │ 1    │ 8 bytes LE, or length, bytes │
//	└───────────────┴──────┴──────────────────────────────┘
//
// Docs name the kinds: they are on disk, append only.
const (
	keptInt8 byte = 1 + iota
	keptInt16
	keptInt32
	keptInt64
	keptUint8
	keptUint16
	keptUint32
	keptUint64
	keptFloat32
	keptFloat64
	keptTime     // microseconds since 1970
	keptTimespan // microseconds
	keptText     // the first kind that has a length
	keptBytes
	keptDecimal // text
	keptJSON    // text
)

var errMutableRow = errors.New("row of a mutable table is damaged")

// appendRow encodes a row.
func (s *mutableShape) appendRow(ctx *sql.Context, b []byte, row sql.Row) ([]byte, error) {
	for i, v := range row {
		v, err := sql.UnwrapAny(ctx, v)
		if err != nil {
			return nil, err
		}
		if v == nil {
			continue
		}
		b = binary.AppendUvarint(b, uint64(s.Columns[i].ID))
		if b, err = appendRowValue(ctx, b, v); err != nil {
			return nil, fmt.Errorf("column %s: %w", s.Columns[i].Name, err)
		}
	}
	return b, nil
}

func appendRowValue(ctx *sql.Context, b []byte, v any) ([]byte, error) {
	fixed := func(kind byte, n uint64) ([]byte, error) {
		return binary.LittleEndian.AppendUint64(append(b, kind), n), nil
	}
	text := func(kind byte, s string) ([]byte, error) {
		return append(binary.AppendUvarint(append(b, kind), uint64(len(s))), s...), nil
	}
	switch v := v.(type) {
	case bool:
		if v {
			return fixed(keptInt8, 1)
		}
		return fixed(keptInt8, 0)
	case int8:
		return fixed(keptInt8, uint64(v))
	case int16:
		return fixed(keptInt16, uint64(v))
	case int32:
		return fixed(keptInt32, uint64(v))
	case int64:
		return fixed(keptInt64, uint64(v))
	case uint8:
		return fixed(keptUint8, uint64(v))
	case uint16:
		return fixed(keptUint16, uint64(v))
	case uint32:
		return fixed(keptUint32, uint64(v))
	case uint64:
		return fixed(keptUint64, v)
	case float32:
		return fixed(keptFloat32, uint64(math.Float32bits(v)))
	case float64:
		return fixed(keptFloat64, math.Float64bits(v))
	case time.Time:
		return fixed(keptTime, uint64(v.UnixMicro()))
	case types.Timespan:
		return fixed(keptTimespan, uint64(v))
	case string:
		return text(keptText, v)
	case []byte:
		return text(keptBytes, string(v))
	case *apd.Decimal:
		return text(keptDecimal, v.Text('f'))
	case types.JSONBytes: // as it was written: its numbers may have more digits than a float
		s, err := v.GetBytes(ctx)
		if err != nil {
			return nil, err
		}
		return text(keptJSON, string(s))
	case sql.JSONWrapper:
		s, err := types.JsonToMySqlString(ctx, v)
		if err != nil {
			return nil, err
		}
		return text(keptJSON, s)
	}
	return nil, fmt.Errorf("a value of type %T cannot be stored", v)
}

// readRow decodes a row into as many values as the table has columns; only those of
// the places that are wanted are read, nil for all.
func (s *mutableShape) readRow(b []byte, wanted []bool) (sql.Row, error) {
	row := make(sql.Row, len(s.Columns))
	for len(b) > 0 {
		id, n := binary.Uvarint(b)
		if n <= 0 || len(b) < n+1 {
			return nil, errMutableRow
		}
		kind := b[n]
		b = b[n+1:]
		var value []byte
		size := uint64(8)
		if kind >= keptText {
			if size, n = binary.Uvarint(b); n <= 0 {
				return nil, errMutableRow
			}
			b = b[n:]
		}
		if size > uint64(len(b)) {
			return nil, errMutableRow
		}
		value, b = b[:size], b[size:]
		i, ok := s.places[int(id)]
		if !ok || wanted != nil && !wanted[i] {
			continue // the column was dropped, or nobody asks
		}
		var err error
		if row[i], err = rowValue(kind, value); err != nil {
			return nil, err
		}
	}
	return row, nil
}

func rowValue(kind byte, b []byte) (any, error) {
	if kind >= keptText {
		switch kind {
		case keptText:
			return string(b), nil
		case keptBytes:
			return append([]byte{}, b...), nil
		case keptDecimal:
			d, _, err := apd.NewFromString(string(b))
			return d, err
		case keptJSON:
			return types.NewLazyJSONDocument(append([]byte{}, b...)), nil
		}
		return nil, fmt.Errorf("%w: it has a value of the unknown kind %d", errMutableRow, kind)
	}
	n := binary.LittleEndian.Uint64(b)
	switch kind {
	case keptInt8:
		return int8(n), nil
	case keptInt16:
		return int16(n), nil
	case keptInt32:
		return int32(n), nil
	case keptInt64:
		return int64(n), nil
	case keptUint8:
		return uint8(n), nil
	case keptUint16:
		return uint16(n), nil
	case keptUint32:
		return uint32(n), nil
	case keptUint64:
		return n, nil
	case keptFloat32:
		return math.Float32frombits(uint32(n)), nil
	case keptFloat64:
		return math.Float64frombits(n), nil
	case keptTime:
		return time.UnixMicro(int64(n)).UTC(), nil
	case keptTimespan:
		return types.Timespan(n), nil
	}
	return nil, fmt.Errorf("%w: it has a value of the unknown kind %d", errMutableRow, kind)
}
