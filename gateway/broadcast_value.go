package gateway

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

// broadcastValue is what a row of a small table has in one of its columns, or whether
// there is such a row: the row whose key is that of the expression's operands. It
// stands for the small table where a join with it is made, and travels with all of
// its rows.
type broadcastValue struct {
	table *broadcastColumn
	keys  []sql.Expression
}

var (
	_ sql.Expression         = (*broadcastValue)(nil)
	_ sql.CollationCoercible = (*broadcastValue)(nil)
)

// broadcastColumn is one column of a small table by the table's key.
type broadcastColumn struct {
	name    string // of the column, for people
	typ     sql.Type
	null    bool
	mode    broadcastAsk
	classes []joinClass // of the key's parts
	// values are by appendJoinKey of the key, where the table has travelled.
	values map[string]any
	// nullKey says that a row had NULL in its key, and rows that there were any.
	nullKey, rows bool
	// index and column are where the values come from, before the table travels.
	index  *broadcastIndex
	column int
	// text is the table as it travels.
	text string
}

// broadcastAsk is what is asked of the table.
type broadcastAsk byte

const (
	// askColumn is the column's value, NULL where there is no row.
	askColumn broadcastAsk = 'v'
	// askExists is whether there is a row.
	askExists broadcastAsk = 'e'
	// askIn is what IN says: NULL where NULL keeps the answer open.
	askIn broadcastAsk = 'i'
)

// joinClass is how values of a key's part are compared.
type joinClass byte

const (
	joinByText    joinClass = 't' // by their bytes
	joinByInteger joinClass = 'i'
	joinByMoment  joinClass = 'm' // as instants
)

// joinClassOf is how two columns are compared with each other; not ok where it takes
// more than their values.
func joinClassOf(a, b sql.Type) (joinClass, bool) {
	text := func(t sql.Type) bool {
		s, ok := t.(sql.TypeWithCollation)
		return ok && types.IsTextOnly(t) && (s.Collation() == sql.Collation_utf8mb4_bin || s.Collation() == sql.Collation_utf8mb4_0900_bin)
	}
	moment := func(t sql.Type) bool { return types.IsDateType(t) || types.IsDatetimeType(t) }
	switch {
	case text(a) && text(b):
		return joinByText, true
	case types.IsInteger(a) && types.IsInteger(b):
		return joinByInteger, true
	case moment(a) && moment(b):
		return joinByMoment, true
	}
	return 0, false
}

// appendJoinKey appends a part of a key; not ok for a value that is not of the
// class, among them NULL.
func appendJoinKey(ctx *sql.Context, b []byte, c joinClass, v any) ([]byte, bool) {
	v, err := sql.UnwrapAny(ctx, v)
	if err != nil || v == nil {
		return b, false
	}
	switch c {
	case joinByText:
		s, ok := v.(string)
		return appendScalarText(b, s), ok
	case joinByMoment:
		if text, is := v.(string); is { // which is what DATE() gives
			if v, _, err = types.DatetimeMaxPrecision.Convert(ctx, text); err != nil {
				return b, false
			}
		}
		t, ok := v.(time.Time)
		if !ok {
			return b, false
		}
		return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, uint64(t.Unix())), uint64(t.Nanosecond())), true
	}
	sign := byte(0)
	n, ok := asInteger(v)
	if u, unsigned := v.(uint64); unsigned {
		n, ok = int64(u), true
		if n < 0 {
			sign = 1
		}
	}
	return binary.BigEndian.AppendUint64(append(b, sign), uint64(n)), ok
}

// encoded is the table as it travels; not ok if one of its values does not.
//
//	type, mode, nullable, NULL in a key, any rows (1 each), classes, name,
//	count, and for each row key, kind of value (1) and value
func (t *broadcastColumn) encoded() (string, bool) {
	if t.text != "" {
		return t.text, true
	}
	typ, ok := scalarTypeText(t.typ)
	if !ok {
		return "", false
	}
	bit := func(is bool) byte {
		if is {
			return 1
		}
		return 0
	}
	x := t.index
	classes := make([]byte, len(x.classes))
	for i, c := range x.classes {
		classes[i] = byte(c)
	}
	b := append(appendScalarText(nil, typ), byte(t.mode), bit(t.null), bit(x.nullKey), bit(x.nullKey || len(x.keys) > 0))
	b = appendScalarText(appendScalarText(b, string(classes)), t.name)
	b = binary.AppendUvarint(b, uint64(len(x.keys)))
	for i, key := range x.keys {
		var v any
		if t.mode == askColumn {
			v = x.rows[i][t.column]
		}
		if b, ok = appendScalarValue(appendScalarText(b, key), v); !ok {
			return "", false
		}
	}
	t.text = string(b)
	return t.text, true
}

// decodeBroadcast reads what encode wrote. The table's texts are parts of the text.
func decodeBroadcast(text string) (*broadcastColumn, error) {
	r := &scalarReader{rest: text}
	t := &broadcastColumn{text: text}
	typ := r.text()
	t.mode, t.null, t.nullKey, t.rows = broadcastAsk(r.byte()), r.byte() != 0, r.byte() != 0, r.byte() != 0
	classes := r.text()
	t.name = r.text()
	if r.bad || !strings.ContainsRune("vei", rune(t.mode)) || strings.Trim(classes, "tim") != "" {
		return nil, fmt.Errorf("%w: malformed table to look up in", errScalar)
	}
	for _, c := range []byte(classes) {
		t.classes = append(t.classes, joinClass(c))
	}
	var err error
	if t.typ, err = parseScalarType(typ); err != nil {
		return nil, err
	}
	n := r.number(maxBroadcastRows)
	t.values = make(map[string]any, min(n, len(r.rest)))
	for range n {
		key := r.text()
		kind := r.byte()
		value := r.text()
		if r.bad {
			break
		}
		if t.values[key], err = parseScalarValue(kind, value); err != nil {
			return nil, err
		}
	}
	if r.bad || r.rest != "" {
		return nil, fmt.Errorf("%w: malformed table to look up in", errScalar)
	}
	return t, nil
}

// buildBroadcast builds a broadcastValue again.
func buildBroadcast(_ *sql.Context, words []string, c []sql.Expression) (sql.Expression, error) {
	t, err := decodeBroadcast(words[0])
	if err != nil {
		return nil, err
	}
	if len(c) != len(t.classes) {
		return nil, fmt.Errorf("%d operands of %d", len(c), len(t.classes))
	}
	return &broadcastValue{t, c}, nil
}

// Eval looks the row up.
func (l *broadcastValue) Eval(ctx *sql.Context, row sql.Row) (any, error) {
	t := l.table
	var room [64]byte
	key := room[:0]
	known := true
	for i, e := range l.keys {
		v, err := e.Eval(ctx, row)
		if err != nil {
			return nil, err
		}
		if v == nil {
			known = false
			break
		}
		if key, known = appendJoinKey(ctx, key, t.classes[i], v); !known {
			return nil, fmt.Errorf("a key of a join is a %T", v)
		}
	}
	var found bool
	var value any
	if known {
		value, found = t.values[string(key)]
	}
	switch t.mode {
	case askColumn:
		return value, nil
	case askIn:
		if !found && t.rows && (t.nullKey || !known) {
			return nil, nil
		}
	}
	return found, nil
}

// Type is the column's.
func (l *broadcastValue) Type(*sql.Context) sql.Type { return l.table.typ }

// IsNullable reports whether the value may be NULL.
func (l *broadcastValue) IsNullable(*sql.Context) bool { return l.table.null }

// CollationCoercibility is a column's.
func (l *broadcastValue) CollationCoercibility(*sql.Context) (sql.CollationID, byte) {
	if s, ok := l.table.typ.(sql.TypeWithCollation); ok {
		return s.Collation(), 2
	}
	return sql.Collation_binary, 5
}

// Resolved reports whether the operands are known.
func (l *broadcastValue) Resolved() bool {
	return !slices.ContainsFunc(l.keys, func(e sql.Expression) bool { return !e.Resolved() })
}

// String is for people.
func (l *broadcastValue) String() string {
	var keys []string
	for _, k := range l.keys {
		keys = append(keys, k.String())
	}
	rows := len(l.table.values)
	if l.table.index != nil {
		rows = len(l.table.index.keys)
	}
	return "LOOKUP(" + l.table.name + " OF " + strconv.Itoa(rows) + " BY " + strings.Join(keys, ", ") + ")"
}

// Children are the operands.
func (l *broadcastValue) Children() []sql.Expression { return l.keys }

// WithChildren gives the value other operands.
func (l *broadcastValue) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != len(l.keys) {
		return nil, sql.ErrInvalidChildrenNumber.New(l, len(children), len(l.keys))
	}
	return &broadcastValue{l.table, children}, nil
}
