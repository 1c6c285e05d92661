package gateway

import (
	"fmt"
	"slices"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/sqltypes"

	"arbor/catalog"
	"arbor/engine/exec"
)

// rowEncoder makes the packets of a result's rows out of batches, without
// sequence numbers, which wire.sendRows puts in. The bytes are those that the SQL
// library and the protocol library make of the same rows one by one.
//
//	text     each value as a length-encoded string, 0xfb for NULL
//	binary   0, a bit for each NULL after two that are not used, the other values
type rowEncoder struct {
	ctx    *sql.Context
	schema sql.Schema
	layout *batchLayout
	binary bool
	// plainText says that texts go to the client in the encoding that they have.
	plainText bool
	rows      int64 // encoded so far
	// warm are told of the next rows of the batch at hand, at most warmRows of them.
	warm []func(lo, hi int)
}

func newRowEncoder(ctx *sql.Context, schema sql.Schema, l *batchLayout, binary bool) *rowEncoder {
	e := &rowEncoder{ctx: ctx, schema: schema, layout: l, binary: binary}
	switch ctx.GetCharacterSetResults() {
	case sql.CharacterSet_Unspecified, sql.CharacterSet_binary, sql.CharacterSet_utf8mb4:
		e.plainText = true
	}
	return e
}

// packetAppender appends the value of a row. In the binary protocol it appends
// nothing for NULL, where no other value has no bytes.
type packetAppender func(dst []byte, row int) ([]byte, error)

// packetHeader is the length of a packet's header.
const packetHeader = 4

// encode appends the packets of the batch's rows to part, which it gives to send
// whenever it is full, and goes on with what send gives back.
func (e *rowEncoder) encode(b *exec.Batch, part []byte, send func(part []byte) ([]byte, error)) ([]byte, error) {
	columns := make([]packetAppender, len(e.schema))
	e.warm = e.warm[:0]
	for i := range columns {
		var err error
		if columns[i], err = e.column(b, i); err != nil {
			return part, err
		}
	}
	runs := b.Runs
	if runs == nil {
		runs = []exec.Run{{Lo: 0, Hi: b.Rows}}
	}
	for _, r := range runs {
		for row := r.Lo; row < r.Hi; row++ {
			if e.rows%checkRows == 0 && e.ctx.Err() != nil {
				return part, e.ctx.Err()
			}
			if (row-r.Lo)%warmRows == 0 {
				for _, warm := range e.warm {
					warm(row, min(row+warmRows, r.Hi))
				}
			}
			var err error
			if part, err = e.row(part, columns, row); err != nil {
				return part, err
			}
			e.rows++
			if len(part) >= resultBytes {
				if part, err = send(part); err != nil {
					return part, err
				}
			}
		}
	}
	return part, nil
}

// row appends a row's packet, or several if it is long. It leaves part as it was
// if it fails.
func (e *rowEncoder) row(part []byte, columns []packetAppender, row int) ([]byte, error) {
	start := len(part)
	part = append(part, 0, 0, 0, 0)
	nulls := len(part) + 1
	if e.binary {
		for range 1 + (len(columns)+2+7)/8 {
			part = append(part, 0)
		}
	}
	for i, c := range columns {
		before := len(part)
		var err error
		if part, err = c(part, row); err != nil {
			return part[:start], err
		}
		if e.binary && len(part) == before {
			part[nulls+(i+2)/8] |= 1 << ((i + 2) % 8)
		}
	}
	length := len(part) - start - packetHeader
	if length >= mysql.MaxPacketSize {
		return splitPacket(part, start), nil
	}
	part[start], part[start+1], part[start+2] = byte(length), byte(length>>8), byte(length>>16)
	return part, nil
}

// splitPacket puts a payload that begins after a header at start, and that is
// longer than a packet may be, into several.
func splitPacket(part []byte, start int) []byte {
	payload := append([]byte(nil), part[start+packetHeader:]...)
	part = part[:start]
	for {
		n := min(len(payload), mysql.MaxPacketSize)
		part = append(part, byte(n), byte(n>>8), byte(n>>16), 0)
		part = append(part, payload[:n]...)
		payload = payload[n:]
		if n < mysql.MaxPacketSize {
			return part
		}
	}
}

// column makes ready a column of the result for a batch.
func (e *rowEncoder) column(b *exec.Batch, i int) (packetAppender, error) {
	source, t := e.layout.columns[i], e.schema[i].Type
	if source.value != nil {
		return e.computed(source.value, t, b)
	}
	a, kind := b.Columns[source.place], e.layout.kinds[source.place]
	switch a := a.(type) {
	case *array.Boolean:
		if t.Type() == sqltypes.Int8 {
			return e.booleans(a), nil
		}
	case *array.Int64:
		if t.Type() == sqltypes.Int64 {
			return e.integers(a), nil
		}
	case *array.Float64:
		if t.Type() == sqltypes.Float64 {
			return e.doubles(a), nil
		}
	case *array.Timestamp:
		if t == datetimeType {
			return e.datetimes(a, t), nil
		}
	case *array.String:
		if e.asItIs(kind, t) {
			return e.texts(a), nil
		}
	case *array.Dictionary:
		if words, ok := a.Dictionary().(*array.String); ok && e.asItIs(kind, t) {
			return e.words(a, words)
		}
	}
	return e.generic(b, source.place, t)
}

// asItIs reports whether a column's texts are what the client gets.
func (e *rowEncoder) asItIs(kind catalog.Type, t sql.Type) bool {
	switch kind {
	case catalog.TypeJSON:
		return types.IsJSON(t)
	case catalog.TypeString, catalog.TypeNull:
		s, ok := t.(sql.StringType)
		return ok && e.plainText && types.IsTextOnly(t) && s.CharacterSet() == sql.CharacterSet_utf8mb4
	}
	return false
}

// computed evaluates an expression.
func (e *rowEncoder) computed(c *computedValue, t sql.Type, b *exec.Batch) (packetAppender, error) {
	if c.epoch != nil {
		if moments, ok := b.Columns[c.needs[0]].(*array.Timestamp); ok {
			if append := e.epochs(c.epoch, moments, t); append != nil {
				return append, nil
			}
		}
	}
	if c.whole {
		if a, ok := b.Columns[c.needs[0]].(*array.Int64); ok {
			if append := e.wholes(a, t); append != nil {
				return append, nil
			}
		}
	}
	v, err := c.over(e.ctx, e.layout, b, func(ctx *sql.Context, dst []byte, v any) ([]byte, error) {
		if e.layout.projected {
			v = withoutSign(v)
		}
		return e.appendSQL(ctx, dst, t, v)
	})
	if err != nil {
		return nil, err
	}
	return v.append, nil
}

// generic makes rows' values of a column, as for the SQL library.
func (e *rowEncoder) generic(b *exec.Batch, place int, t sql.Type) (packetAppender, error) {
	one := &batchLayout{kinds: []catalog.Type{e.layout.kinds[place]}, places: []int{0}, width: 1}
	c := &computedValue{expr: onlyValue{}, needs: []int{0}, fixed: true}
	v, err := c.over(e.ctx, one, &exec.Batch{Columns: []arrow.Array{b.Columns[place]}, Rows: b.Rows, Runs: b.Runs},
		func(ctx *sql.Context, dst []byte, v any) ([]byte, error) { return e.appendSQL(ctx, dst, t, v) })
	if err != nil {
		return nil, err
	}
	return v.append, nil
}

// onlyValue is the first value of a row.
type onlyValue struct{ sql.Expression }

// Eval gives the value.
func (onlyValue) Eval(_ *sql.Context, row sql.Row) (any, error) { return row[0], nil }

// appendSQL appends a value as the SQL library prints it.
func (e *rowEncoder) appendSQL(ctx *sql.Context, dst []byte, t sql.Type, v any) ([]byte, error) {
	if v == nil {
		return e.null(dst), nil
	}
	value, err := t.SQL(ctx, nil, v)
	if err != nil {
		return dst, err
	}
	if value.IsNull() {
		return e.null(dst), nil
	}
	value = asPrinted(value)
	if e.binary {
		if dst, err = appendBinary(dst, value); err != nil {
			return dst, fmt.Errorf("value of type %s for the binary protocol: %w", value.Type(), err)
		}
		return dst, nil
	}
	return appendCounted(dst, value.Raw()), nil
}

// textNull is NULL in the text protocol.
const textNull = 0xfb

func (e *rowEncoder) null(dst []byte) []byte {
	if e.binary {
		return dst
	}
	return append(dst, textNull)
}

func appendCounted[T string | []byte](dst []byte, text T) []byte {
	if len(text) < textNull {
		start := len(dst)
		dst = slices.Grow(dst, 1+len(text))[:start+1+len(text)]
		dst[start] = byte(len(text))
		copy(dst[start+1:], text)
		return dst
	}
	return append(appendLengthEncoded(dst, uint64(len(text))), text...)
}
