package gateway

import (
	"fmt"
	"io"
	"strings"
	"unsafe"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/vt/sqlparser"

	"arbor/engine/event"
)

// LOAD DATA LOCAL INFILE into events runs as an INSERT with one row, which the
// SQL library plans: rights, columns and errors are those of any INSERT. The
// file's rows come beside the plan, as literals do. An expression of SET stands
// in that row, and reads the row's fields as variables. The library's own way
// takes the text NULL for NULL and \N for that text, holds a whole row for each
// line, and plans for each project column.
//
// As MySQL has it, what LOCAL sends cannot be stopped in its middle: a value or
// a row that will not do becomes a warning.

// fileLoad is a LOAD DATA LOCAL that runs.
type fileLoad struct {
	open   func() (io.ReadCloser, error) // asks the client for the file
	format loadFormat
	decode func([]byte) ([]byte, bool) // to UTF-8, nil where it is that already
	ignore int64                       // rows at the beginning

	fields   []loadField
	set      []int             // places of the INSERT's columns that expressions give
	width    int               // of the INSERT's row
	computed []any             // their values for the row, by place
	chunk    []byte            // of the texts of fields
	names    map[string]string // of events, since the last store
}

// loadField says where a field of the file goes.
type loadField struct {
	column   int    // place in the INSERT's row, -1 for none
	variable string // the user variable that it becomes, "" for none
}

// Warnings of LOAD DATA, by MySQL's numbers.
const (
	warnTooFewFields  = 1261
	warnTooManyFields = 1262
	warnNullDefault   = 1263
)

// runLoad takes the file's rows in.
func (in *insertion) runLoad(ctx *sql.Context, l *fileLoad, values *plan.Values) (err error) {
	file, err := l.open()
	if err != nil {
		return fmt.Errorf("read the client's file: %w", err)
	}
	in.load, in.ignore, in.whole = l, true, false
	in.literals = &literalRows{literals: &literals{width: l.width}}
	in.orderColumns()
	defer func() {
		if e := file.Close(); err == nil {
			err = e
		}
		if err != nil && in.stored > 0 {
			err = partly(err, in.stored)
		}
	}()
	if !in.replace {
		in.direct, in.quick.hold = in.gateway.borrowIntake(), l.name
		defer func() { in.gateway.returnIntake(in.direct) }()
		if err := in.beginPart(); err != nil {
			return err
		}
	}
	r := newLoadReader(file, l.format)
	for range l.ignore {
		if more, _ := r.skipRow(); !more {
			break
		}
	}
	row := make([]literal, l.width)
	for more := !r.over; more; {
		if in.row%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if in.row++; in.row > 1<<32 {
			return refuse(erGeneral, "HY000", "LOAD DATA of more than %d rows; load them in parts", int64(1)<<32)
		}
		tooLong, found, err := in.readRow(ctx, r, row)
		if err != nil {
			return err
		}
		if !found {
			in.row--
			break
		}
		var cut bool
		if more, cut = r.endRow(); cut {
			in.warn(ctx, refuse(warnTooManyFields, "01000", "Row %d was truncated; it contained more data than there were input columns", in.row))
		}
		if err := in.loadRow(ctx, values, row, tooLong); err != nil {
			return err
		}
	}
	if r.err != nil {
		return fmt.Errorf("read the client's file: %w", r.err)
	}
	return in.store(ctx)
}

// readRow reads the fields of a row, the literals and the variables that they
// are. found is false where the file has no more.
func (in *insertion) readRow(ctx *sql.Context, r *loadReader, row []literal) (tooLong, found bool, err error) {
	l := in.load
	for i, f := range l.fields {
		v := literal{kind: literalNull}
		switch {
		case r.next():
			if v, err = l.literal(r); err != nil {
				return false, false, refuse(erWrongFieldValue, "HY000", "Incorrect string value at row %d: %s", in.row, err)
			}
		case i == 0:
			return false, false, nil
		default:
			in.warn(ctx, refuse(warnTooFewFields, "01000", "Row %d doesn't contain data for all columns", in.row))
		}
		if f.column >= 0 {
			row[f.column] = v
		}
		if f.variable != "" {
			if err := setTextVariable(ctx, f.variable, v); err != nil {
				return false, false, err
			}
		}
	}
	return r.tooLong, true, nil
}

// loadRow makes an event of a row and keeps it until it is stored.
func (in *insertion) loadRow(ctx *sql.Context, values *plan.Values, row []literal, tooLong bool) error {
	if tooLong {
		in.refused++
		in.warn(ctx, refuse(erDataTooLong, "22001", "Data too long at row %d: it has more than %d bytes, which no event may have", in.row, maxLoadRow))
		return nil
	}
	for _, place := range in.load.set {
		v, err := values.ExpressionTuples[0][place].Eval(ctx, nil)
		if err == nil {
			v, err = sql.UnwrapAny(ctx, v)
		}
		if err != nil {
			return in.keep(ctx, event.Event{}, err)
		}
		row[place], in.load.computed[place] = literal{kind: literalComputed}, v
	}
	if err := in.addLiterals(ctx, row); err != nil {
		return err
	}
	if in.direct != nil {
		in.load.chunk = in.load.chunk[:0] // what the event was made of
	}
	if in.count < insertRows && in.bytes < insertBytes {
		return nil
	}
	in.load.chunk = nil
	if err := in.store(ctx); err != nil || in.direct == nil {
		return err
	}
	return in.beginPart()
}

// name is an event's name that holds until the part is stored, unlike the row.
func (l *fileLoad) name(s string) string {
	if n, ok := l.names[s]; ok {
		return n
	}
	if l.names == nil {
		l.names = make(map[string]string)
	}
	s = strings.Clone(s)
	l.names[s] = s
	return s
}

// loadChunk is how many bytes the texts of fields are allocated by.
const loadChunk = 64 << 10

// literal is the reader's field as a literal. Its text holds as long as its event.
func (l *fileLoad) literal(r *loadReader) (literal, error) {
	if r.isNull {
		return literal{kind: literalNull}, nil
	}
	b := r.field
	if l.decode != nil {
		decoded, ok := l.decode(b)
		if !ok {
			return literal{}, fmt.Errorf("it is not in the file's character set")
		}
		b = decoded
	}
	if len(b) > loadChunk/4 {
		return literal{sqlparser.StrVal, string(b)}, nil
	}
	if cap(l.chunk)-len(l.chunk) < len(b) {
		l.chunk = make([]byte, 0, loadChunk)
	}
	start := len(l.chunk)
	l.chunk = append(l.chunk, b...)
	return literal{sqlparser.StrVal, unsafe.String(unsafe.SliceData(l.chunk[start:]), len(b))}, nil
}

// setTextVariable makes a field a user variable, which outlives the row's texts.
func setTextVariable(ctx *sql.Context, name string, v literal) error {
	if v.kind != sqlparser.StrVal {
		return ctx.SetUserVariable(ctx, name, nil, types.LongText)
	}
	return ctx.SetUserVariable(ctx, name, strings.Clone(v.text), types.LongText)
}

// defaults gives a column that may not be NULL its default, where it has one: for
// a row that does not have the field, or, with a warning, for NULL.
func (l *fileLoad) defaults(ctx *sql.Context, in *insertion, c *insertColumn) bool {
	if l == nil || c.name == firstColumns[columnEvent].name {
		return false
	}
	in.warn(ctx, refuse(warnNullDefault, "22004", "Column set to default value; NULL supplied to NOT NULL column '%s' at row %d", c.name, in.row))
	return true
}

// loadInfo is what the OK packet says of a LOAD DATA.
type loadInfo struct{ records, deleted, skipped, warnings int64 }

func (i loadInfo) String() string {
	return fmt.Sprintf("Records: %d  Deleted: %d  Skipped: %d  Warnings: %d", i.records, i.deleted, i.skipped, i.warnings)
}

// loadResult counts as MySQL does: a row that is a duplicate was skipped.
func (in *insertion) loadResult(ctx *sql.Context) sql.RowIter {
	copied := in.stored - in.duplicates
	ok := types.NewOkResult(int(copied + in.replaced))
	ok.Info = loadInfo{in.row, in.replaced, in.row - copied, int64(in.warnings)}
	return answerOK(ctx, ok)
}
