package gateway

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/cockroachdb/apd/v3"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// Kinds of values in a key. They keep values apart that have the same bytes.
const (
	keyNull   = 0
	keyNumber = 1
	keyText   = 2
	keyBytes  = 3
	keyTime   = 4
	keyJSON   = 5
	keyTuple  = 6
	keyOther  = 7
)

// appendKey appends a value to a key. Two values of a type have the same bytes
// if and only if SQL takes them for equal: numbers by value, strings by their
// collation. The SQL library compares rows by a hash of 64 bits over their texts
// instead, in which NULL is the string <nil> and values run into each other.
//
//	kind (1), length (varint), bytes
func appendKey(ctx *sql.Context, b []byte, v any, t sql.Type) ([]byte, error) {
	v, err := sql.UnwrapAny(ctx, v)
	if err != nil {
		return nil, err
	}
	if v == nil {
		return append(b, keyNull), nil
	}
	if x, ok := t.(sql.ExtendedType); ok {
		s, err := x.SerializeValue(ctx, v)
		return appendPart(b, keyOther, s), err
	}
	switch v := v.(type) {
	case string:
		return appendText(b, v, t)
	case []byte:
		return appendPart(b, keyBytes, v), nil
	case time.Time:
		var moment [12]byte
		binary.BigEndian.PutUint64(moment[:], uint64(v.Unix()))
		binary.BigEndian.PutUint32(moment[8:], uint32(v.Nanosecond()))
		return appendPart(b, keyTime, moment[:]), nil
	case sql.JSONWrapper:
		return appendJSON(ctx, b, v)
	case []any:
		return appendTuple(ctx, b, v, t)
	}
	if text, ok := numberText(v); ok {
		return appendPart(b, keyNumber, []byte(text)), nil
	}
	return appendPart(b, keyOther, fmt.Appendf(nil, "%v", v)), nil
}

func appendPart(b []byte, kind byte, part []byte) []byte {
	b = binary.AppendUvarint(append(b, kind), uint64(len(part)))
	return append(b, part...)
}

// appendText appends a string by its collation.
func appendText(b []byte, s string, t sql.Type) ([]byte, error) {
	c, ok := t.(sql.TypeWithCollation)
	if !ok || binaryCollation(c.Collation()) {
		return appendPart(b, keyText, []byte(s)), nil
	}
	w := &weights{}
	if err := c.Collation().WriteWeightString(w, s); err != nil {
		return nil, err
	}
	return appendPart(b, keyText, w.bytes), nil
}

// binaryCollation reports whether a collation compares strings by their bytes.
func binaryCollation(c sql.CollationID) bool {
	switch c {
	case sql.Collation_binary, sql.Collation_utf8mb4_bin, sql.Collation_utf8mb4_0900_bin, sql.Collation_utf8mb3_bin,
		sql.Collation_Unspecified:
		return true
	}
	return false
}

// weights collects what a collation writes.
type weights struct{ bytes []byte }

// Write appends.
func (w *weights) Write(p []byte) (int, error) {
	w.bytes = append(w.bytes, p...)
	return len(p), nil
}

// appendJSON appends a document in its normal form, with sorted keys.
func appendJSON(ctx *sql.Context, b []byte, v sql.JSONWrapper) ([]byte, error) {
	plain, err := v.ToInterface(ctx)
	if err != nil {
		return nil, err
	}
	text, err := types.MarshallJsonValue(plain)
	return appendPart(b, keyJSON, text), err
}

func appendTuple(ctx *sql.Context, b []byte, v []any, t sql.Type) ([]byte, error) {
	b = binary.AppendUvarint(append(b, keyTuple), uint64(len(v)))
	parts, _ := t.(types.TupleType)
	for i, e := range v {
		var part sql.Type
		if i < len(parts) {
			part = parts[i]
		}
		var err error
		if b, err = appendKey(ctx, b, e, part); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// numberText is a number in a form that equal numbers share.
func numberText(v any) (string, bool) {
	if n, ok := asInteger(v); ok {
		return strconv.FormatInt(n, 10), true
	}
	switch v := v.(type) {
	case uint64:
		return strconv.FormatUint(v, 10), true
	case uint:
		return strconv.FormatUint(uint64(v), 10), true
	case float32:
		return plainDouble(strconv.FormatFloat(float64(v), 'f', -1, 32)), true
	case float64:
		return plainDouble(strconv.FormatFloat(v, 'f', -1, 64)), true
	case *apd.Decimal:
		var d apd.Decimal
		d.Reduce(v)
		return plainDouble(d.Text('f')), true
	}
	return "", false
}

func plainDouble(s string) string {
	if s == "-0" {
		return "0"
	}
	return s
}

// keySet is a set of rows of given types.
type keySet struct {
	types   []sql.Type
	holding *holding
	seen    map[string]struct{}
	buffer  []byte
}

func newKeySet(ctx *sql.Context, t []sql.Type) *keySet {
	return &keySet{types: t, holding: newHolding(ctx), seen: make(map[string]struct{})}
}

// key gives the row's key, which is valid until the next call.
func (s *keySet) key(ctx *sql.Context, row ...any) ([]byte, error) {
	s.buffer = s.buffer[:0]
	for i, v := range row {
		var t sql.Type
		if i < len(s.types) {
			t = s.types[i]
		}
		var err error
		if s.buffer, err = appendKey(ctx, s.buffer, v, t); err != nil {
			return nil, err
		}
	}
	return s.buffer, nil
}

// add adds a row and reports whether it is new.
func (s *keySet) add(ctx *sql.Context, row ...any) (bool, error) {
	k, err := s.key(ctx, row...)
	if err != nil {
		return false, err
	}
	if _, ok := s.seen[string(k)]; ok {
		return false, nil
	}
	s.seen[string(k)] = struct{}{}
	return true, s.holding.take(int64(len(k)) + mapOverhead)
}

// clear makes the set empty.
func (s *keySet) clear() {
	clear(s.seen)
	s.holding.release()
}

// release gives the set's memory back.
func (s *keySet) release() {
	s.seen = nil
	s.holding.release()
}

// schemaTypes are the types of a schema's columns.
func schemaTypes(s sql.Schema) []sql.Type {
	t := make([]sql.Type, len(s))
	for i, c := range s {
		t[i] = c.Type
	}
	return t
}
