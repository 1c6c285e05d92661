package gateway

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/zeebo/xxh3"
)

// The entries of a mutable table:
//
//	row    "r" key                      → the row
//	index  "i" number (4, BE) key       → the row's entry's key
//
// The key of a row is made of its primary key's values. A row of a table without one
// has a digest of itself and 8 random bytes. An index entry's key is made of the
// values of its columns and, unless the index is unique and none of them is NULL, of
// the row's key.
//
// A value in a key is 0 for NULL, or 1 and bytes that are equal for equal values, as
// the column's collation says, and do not begin each other: numbers have 8 bytes in
// their order, and all else has its zeros written as 0 ff and ends with 0 1.
const (
	rowPrefix   = 'r'
	indexPrefix = 'i'
)

// errNoKey says that a value cannot be part of a key.
var errNoKey = fmt.Errorf("value cannot be part of a key")

// appendKeyValue appends a column's value.
func appendKeyValue(ctx *sql.Context, b []byte, t sql.Type, v any) ([]byte, error) {
	v, err := sql.UnwrapAny(ctx, v)
	if err != nil {
		return nil, err
	}
	if v == nil {
		return append(b, 0), nil
	}
	b = append(b, 1)
	if s, ok := v.(string); ok {
		if c, ok := t.(sql.TypeWithCollation); ok {
			var weights bytes.Buffer
			if err := c.Collation().WriteWeightString(&weights, s); err != nil {
				return nil, err
			}
			return appendKeyText(b, weights.Bytes()), nil
		}
		return appendKeyText(b, []byte(s)), nil
	}
	signed := func(n int64) ([]byte, error) { return binary.BigEndian.AppendUint64(b, uint64(n)^1<<63), nil }
	switch v := v.(type) {
	case int8:
		return signed(int64(v))
	case int16:
		return signed(int64(v))
	case int32:
		return signed(int64(v))
	case int64:
		return signed(v)
	case uint8:
		return binary.BigEndian.AppendUint64(b, uint64(v)), nil
	case uint16:
		return binary.BigEndian.AppendUint64(b, uint64(v)), nil
	case uint32:
		return binary.BigEndian.AppendUint64(b, uint64(v)), nil
	case uint64:
		return binary.BigEndian.AppendUint64(b, v), nil
	case float32:
		return appendKeyFloat(b, float64(v)), nil
	case float64:
		return appendKeyFloat(b, v), nil
	case time.Time:
		return signed(v.UnixMicro())
	case types.Timespan:
		return signed(int64(v))
	case []byte:
		return appendKeyText(b, v), nil
	case *apd.Decimal:
		var reduced apd.Decimal
		reduced.Reduce(v)
		if reduced.IsZero() {
			reduced.Negative = false
		}
		return appendKeyText(b, []byte(reduced.Text('f'))), nil
	}
	return nil, fmt.Errorf("%w: it has type %T", errNoKey, v)
}

func appendKeyFloat(b []byte, f float64) []byte {
	if f == 0 {
		f = 0 // not -0
	}
	n := math.Float64bits(f)
	if n>>63 == 1 {
		n = ^n
	} else {
		n |= 1 << 63
	}
	return binary.BigEndian.AppendUint64(b, n)
}

func appendKeyText(b, text []byte) []byte {
	for _, c := range text {
		if b = append(b, c); c == 0 {
			b = append(b, 0xff)
		}
	}
	return append(b, 0, 1)
}

// rowKey is the key of a row's entry; without a primary key it is a new one.
func (s *mutableShape) rowKey(ctx *sql.Context, row sql.Row) ([]byte, error) {
	if len(s.key) == 0 {
		key, err := s.digestKey(ctx, row)
		if err != nil {
			return nil, err
		}
		var random [8]byte
		rand.Read(random[:]) // never gives an error
		return append(key, random[:]...), nil
	}
	b := []byte{rowPrefix}
	for _, i := range s.key {
		var err error
		if b, err = appendKeyValue(ctx, b, s.types[i], row[i]); err != nil {
			return nil, fmt.Errorf("column %s: %w", s.Columns[i].Name, err)
		}
	}
	return b, nil
}

// digestKey is what the keys of equal rows of a table without a primary key begin
// with.
func (s *mutableShape) digestKey(ctx *sql.Context, row sql.Row) ([]byte, error) {
	encoded, err := s.appendRow(ctx, nil, row)
	if err != nil {
		return nil, err
	}
	digest := xxh3.Hash128(encoded).Bytes()
	return append([]byte{rowPrefix}, digest[:]...), nil
}

// indexHead is what the keys of an index begin with.
func (x *mutableIndexForm) head() []byte {
	return binary.BigEndian.AppendUint32([]byte{indexPrefix}, uint32(x.ID))
}

// indexKey is the key of a row's entry in an index; sole says that no other row may
// have the same.
func (s *mutableShape) indexKey(ctx *sql.Context, x *mutableIndexForm, row sql.Row, rowKey []byte) (key []byte, sole bool, err error) {
	sole = x.Unique
	key = x.head()
	for _, id := range x.Columns {
		i := s.places[id]
		v, err := sql.UnwrapAny(ctx, row[i])
		if err != nil {
			return nil, false, err
		}
		sole = sole && v != nil
		if key, err = appendKeyValue(ctx, key, s.types[i], v); err != nil {
			return nil, false, fmt.Errorf("column %s: %w", s.Columns[i].Name, err)
		}
	}
	if !sole {
		key = append(key, rowKey...)
	}
	return key, sole, nil
}
