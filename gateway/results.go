package gateway

import (
	"bytes"
	"errors"
	"io"

	"github.com/dolthub/go-mysql-server/server"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
)

// Limits of a result's parts. A part is sent when it reaches either.
const (
	resultRows  = 256
	resultBytes = 64 << 10
	// keepBuffer is the largest buffer that is used again.
	keepBuffer = 1 << 20
)

// output sends a statement's result, part by part, so that no more than two
// parts of it are ever in memory.
type output struct {
	conn *mysql.Conn
	wire *wire
	send mysql.ResultSpoolFn
	// more is set when another statement follows.
	more bool
	// cursor says that the parts are fetched, by commands that run beside this one.
	cursor bool
	// binary says that the rows are sent in the protocol's binary form.
	binary bool
	// set says that the statement is a SET, which begins no transaction.
	set bool
	// first is called before the first part is sent.
	first func()
	// begun is set when something has been sent.
	begun bool
	// closed is set when the rows are closed, which ends the statement's context.
	closed bool
	// audited is what the audit trail has of the statement; nil for nothing.
	audited *auditEntry
	// consumed is set when the client has sent a file, which it does once.
	consumed bool
}

// repeatable reports whether a statement can be run again as if nothing had been.
func (o *output) repeatable() bool { return !o.begun && !o.cursor && !o.consumed }

// result sends what iter gives and closes it.
func (o *output) result(ctx *sql.Context, schema sql.Schema, iter sql.RowIter) error {
	if o.wire.taker != nil {
		return o.taken(ctx, schema, iter)
	}
	if b, counts := batchesOf(iter); b != nil && !o.cursor {
		if err := o.batches(ctx, schema, iter, b, counts); !errors.Is(err, errAsRows) {
			return err
		}
	}
	last, err := o.rows(ctx, schema, iter)
	done := err == nil && last != nil && last.Fields == nil
	if stopped := interruption(ctx); stopped != nil && !done {
		err = stopped
	}
	o.closed = true
	if s := sessionOf(ctx); s != nil && err != nil {
		s.returnTables() // else closing would commit it
	}
	if closeErr := iter.Close(ctx); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if o.set && !ctx.GetIgnoreAutoCommit() {
		ctx.SetTransaction(nil)
	}
	if !o.cursor {
		if err := setStatus(ctx, o.conn); err != nil {
			return err
		}
	}
	if last == nil {
		return nil
	}
	if last.Fields == nil {
		o.wire.describeOK(last.Info, ctx.Session.WarningCount())
		last.Info = ""
	}
	connectionOf(o.conn).warnings.Store(uint32(ctx.Session.WarningCount()))
	return o.part(last)
}

// rows sends all parts of a result but the last, which it gives, nil for none.
func (o *output) rows(ctx *sql.Context, schema sql.Schema, iter sql.RowIter) (*sqltypes.Result, error) {
	row, err := iter.Next(ctx)
	switch {
	case err != nil && err != io.EOF:
		return nil, err
	case err == nil && types.IsOkResult(row):
		return countResult(row[0].(types.OkResult)), nil
	case err == io.EOF && (schema == nil || types.IsOkResultSchema(schema)):
		return countResult(types.OkResult{}), nil
	}
	parts := newParts(resultFields(ctx, schema))
	for err == nil {
		if err = parts.add(ctx, schema, row); err != nil {
			return nil, err
		}
		if parts.full() {
			if err := o.part(parts.take()); err != nil {
				return nil, err
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		row, err = iter.Next(ctx)
	}
	if err != io.EOF {
		return nil, err
	}
	if last := parts.take(); len(last.Rows) > 0 || !o.begun {
		return last, nil
	}
	return nil, nil
}

// countResult is the result of a statement without rows.
func countResult(r types.OkResult) *sqltypes.Result {
	out := &sqltypes.Result{RowsAffected: r.RowsAffected, InsertID: r.InsertID}
	if r.Info != nil {
		out.Info = r.Info.String()
	}
	return out
}

// part sends a part of a result. What it holds may be used again when the part
// after it has been sent.
func (o *output) part(r *sqltypes.Result) error {
	if !o.begun && o.first != nil {
		o.first()
	}
	o.begun = true
	if o.cursor {
		k := connectionOf(o.conn)
		k.session.Unlock()
		defer k.session.Lock()
	}
	return o.send(r, o.more)
}

// setStatus sets the flags that say whether the client is in a transaction.
func setStatus(ctx *sql.Context, c *mysql.Conn) error {
	auto, err := plan.IsSessionAutocommit(ctx)
	if err != nil {
		return err
	}
	c.StatusFlags &^= uint16(mysql.ServerStatusAutocommit) | uint16(mysql.ServerInTransaction)
	if auto {
		c.StatusFlags |= uint16(mysql.ServerStatusAutocommit)
	}
	if ctx.GetTransaction() != nil && (ctx.GetIgnoreAutoCommit() || !auto) {
		c.StatusFlags |= uint16(mysql.ServerInTransaction)
	}
	return nil
}

// parts makes the parts of a result. It has two buffers, so that the part that
// was taken last stays as it is while the next one is made: a client with a
// cursor is still reading it then.
type parts struct {
	fields  []*querypb.Field
	buffers [2]*sql.ByteBuffer
	turn    int
	rows    [][]sqltypes.Value
	bytes   int
}

func newParts(fields []*querypb.Field) *parts {
	return &parts{fields: fields, buffers: [2]*sql.ByteBuffer{
		sql.NewByteBuffer(4096), sql.NewByteBuffer(4096),
	}}
}

func (p *parts) add(ctx *sql.Context, schema sql.Schema, row sql.Row) error {
	values, err := server.RowToSQL(ctx, schema, row, nil, p.buffers[p.turn])
	if err != nil {
		return err
	}
	for i := range values {
		values[i] = asPrinted(values[i])
		p.bytes += values[i].Len()
	}
	p.rows = append(p.rows, values)
	return nil
}

// asPrinted is a value as MySQL prints it: a moment with the zeros before its year,
// which the SQL library leaves out; a time without a fraction that is zero, since
// most have none in MySQL; a double with an exponent where MySQL has one; and a decimal's
// zero without a sign.
func asPrinted(v sqltypes.Value) sqltypes.Value {
	const digits = 4
	switch v.Type() {
	case sqltypes.Decimal:
		if digits, negative := bytes.CutPrefix(v.Raw(), []byte("-")); negative && len(bytes.Trim(digits, "0.")) == 0 {
			return sqltypes.MakeTrusted(v.Type(), digits)
		}
	case sqltypes.Float64, sqltypes.Float32:
		if bytes.IndexByte(v.Raw(), 'e') > 0 {
			return sqltypes.MakeTrusted(v.Type(), []byte(doubleOfText(string(v.Raw()))))
		}
	case sqltypes.Time:
		return sqltypes.MakeTrusted(v.Type(), bytes.TrimSuffix(v.Raw(), []byte(".000000")))
	case sqltypes.Date, sqltypes.Datetime, sqltypes.Timestamp:
		text := v.Raw()
		if n := bytes.IndexByte(text, '-'); n > 0 && n < digits {
			return sqltypes.MakeTrusted(v.Type(), append([]byte("0000")[:digits-n:digits-n], text...))
		}
	}
	return v
}

func (p *parts) full() bool { return len(p.rows) >= resultRows || p.bytes >= resultBytes }

// take gives the part that has been made and begins the next one.
func (p *parts) take() *sqltypes.Result {
	r := &sqltypes.Result{Fields: p.fields, Rows: p.rows, RowsAffected: uint64(len(p.rows))}
	large := p.bytes > keepBuffer
	p.turn = 1 - p.turn
	p.rows, p.bytes = make([][]sqltypes.Value, 0, len(p.rows)), 0
	p.buffers[p.turn].Reset()
	if large {
		p.buffers[1-p.turn] = sql.NewByteBuffer(4096)
	}
	return r
}

// resultFields describes a result's columns to a client.
func resultFields(ctx *sql.Context, schema sql.Schema) []*querypb.Field {
	wanted := ctx.GetCharacterSetResults()
	fields := make([]*querypb.Field, len(schema))
	for i, c := range schema {
		charset := uint32(sql.Collation_Default.CharacterSet())
		if t, ok := c.Type.(sql.TypeWithCollation); ok {
			charset = uint32(t.Collation().CharacterSet())
		}
		switch {
		case types.IsBinaryType(c.Type):
			charset = uint32(sql.Collation_binary)
		case wanted != sql.CharacterSet_Unspecified:
			charset = uint32(wanted)
		}
		fields[i] = &querypb.Field{
			Name: c.Name, OrgName: c.Name, Table: c.Source, OrgTable: c.Source, Database: c.DatabaseSource,
			Type: c.Type.Type(), Charset: charset, Flags: fieldFlags(c),
			ColumnLength: c.Type.MaxTextResponseByteLength(ctx),
			Decimals:     decimals(c.Type),
		}
	}
	return fields
}

// decimals is the number of digits after the point.
func decimals(t sql.Type) uint32 {
	switch {
	case types.IsDecimal(t):
		return uint32(t.(sql.DecimalType).Scale())
	case types.IsDatetimeType(t):
		return uint32(t.(sql.DatetimeType).Precision())
	}
	return 0
}

func fieldFlags(c *sql.Column) uint32 {
	var f querypb.MySqlFlag
	if !c.Nullable {
		f |= querypb.MySqlFlag_NOT_NULL_FLAG
	}
	if c.AutoIncrement {
		f |= querypb.MySqlFlag_AUTO_INCREMENT_FLAG
	}
	if c.PrimaryKey {
		f |= querypb.MySqlFlag_PRI_KEY_FLAG
	}
	if types.IsUnsigned(c.Type) {
		f |= querypb.MySqlFlag_UNSIGNED_FLAG
	}
	return uint32(f)
}
