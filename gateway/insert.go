package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"arbor/catalog"
	"arbor/engine/event"
)

// INSERT runs here and not in the stock executor, which would widen each row to
// all of the table's columns and could not tell a column left out from one set
// to NULL. What is evaluated is still the stock executor's: the source's rows.
//
// A row becomes an event. A property column that is NULL or left out is a
// property that the event does not have. `properties` gives many at once; where
// a column names one of them too, the column decides, unless its value is what
// it would show for the property anyway: then the property stays exactly as it
// is in `properties`, so that INSERT … SELECT * copies events byte for byte.
//
// The rows of a statement are stored together, by one acknowledgement, or not at
// all. Only INSERT … SELECT and LOAD DATA of more than insertRows rows are stored
// in parts; an error then says how many rows are in.

// Limits of one part of an INSERT … SELECT.
const (
	insertRows  = 1 << 15
	insertBytes = 16 << 20
)

// insertion is an INSERT or REPLACE that runs.
type insertion struct {
	gateway *Gateway
	project *catalog.Project
	columns []insertColumn
	ignore  bool
	replace bool
	whole   bool // all rows are stored at once

	options IngestOptions
	row     int64 // of the statement, from 1
	events  []event.Event
	indexes []uint32 // their places in the statement
	bytes   int

	literals                     *literalRows // nil for rows of a plan
	load                         *fileLoad    // nil but for LOAD DATA
	direct                       *intake      // takes rows of literals as they come, but for REPLACE
	quick                        quickRows    // reads them
	event                        event.Event  // of the row at hand
	count                        int          // of events since the last store
	loan                         loan         // what they take of the memory for requests
	values                       []literalValue
	order                        []int              // of columns, by their properties' names
	arena                        []catalog.Property // of the events' properties
	stored, duplicates, replaced int64
	refused                      int64 // rows
	warnings                     int
	uncounted                    bool // duplicates could not be counted
}

// insertColumn is a column that the statement gives.
type insertColumn struct {
	eventsColumn
	source int // place in the source's rows
}

// insert runs an INSERT, REPLACE or LOAD DATA into an events table.
func (g *Gateway) insert(ctx *sql.Context, base sql.NodeExecBuilder, n *plan.InsertInto, t *eventsTable, outer sql.Row) (sql.RowIter, error) {
	switch {
	case n.OnDupExprs.HasUpdates():
		return nil, unsupported("INSERT … ON DUPLICATE KEY UPDATE: an event that was sent again is recognised by itself; use REPLACE to store another version of one")
	case len(n.Returning) > 0:
		return nil, unsupported("INSERT … RETURNING: SELECT the events by insert_id")
	}
	in := g.newInsertion(ctx, n, t)
	defer in.loan.end()
	source, err := in.bind(ctx, n, t)
	if err != nil {
		return nil, err
	}
	values, isValues := source.(*plan.Values)
	in.whole = isValues
	if s := sessionOf(ctx); s != nil && s.load != nil && isValues {
		if err := in.runLoad(ctx, s.load, values); err != nil {
			return nil, err
		}
		return in.loadResult(ctx), nil
	}
	if s := sessionOf(ctx); s != nil && s.literals != nil && isValues && len(values.ExpressionTuples) == 1 {
		s.literals.taken, in.literals = true, s.literals
		notePushed(ctx)
		if err := in.runLiterals(ctx); err != nil {
			return nil, err
		}
		return in.result(ctx), nil
	}
	rows, err := base.Build(ctx, source, outer)
	if err != nil {
		return nil, err
	}
	if err := in.run(ctx, rows); err != nil {
		return nil, err
	}
	return in.result(ctx), nil
}

func (g *Gateway) newInsertion(ctx *sql.Context, n *plan.InsertInto, t *eventsTable) *insertion {
	in := &insertion{gateway: g, project: t.project, ignore: n.Ignore, replace: n.IsReplace}
	in.options = IngestOptions{ID: g.stamper.Stamp(), Atomic: true, IdempotencyKey: sessionString(ctx, variableIdempotencyKey)}
	in.loan.budget = &g.bodies
	return in
}

// bind finds out which columns the statement gives, and gives back the source
// of their values. The analyzer has put a projection to the table's full schema
// above the source: a field of the source where the column is given.
func (in *insertion) bind(ctx *sql.Context, n *plan.InsertInto, t *eventsTable) (sql.Node, error) {
	project, ok := n.Source.(*plan.Project)
	if !ok || len(project.Projections) != len(t.all) {
		return nil, fmt.Errorf("insert into %s.%s: the plan has no projection to the table's columns but %T", in.project.Name, t.name, n.Source)
	}
	for i, e := range project.Projections {
		if f, ok := e.(*expression.GetField); ok {
			in.columns = append(in.columns, insertColumn{eventsColumn: t.all[i], source: f.Index()})
		}
	}
	at := slices.IndexFunc(in.columns, func(c insertColumn) bool { return c.name == firstColumns[columnEvent].name })
	if at < 0 || givesDefault(project.Child, in.columns[at].source) {
		return nil, refuse(erNoDefault, "HY000", "Field 'event' doesn't have a default value")
	}
	return project.Child, nil
}

// givesDefault reports whether a row of VALUES says DEFAULT for a column that
// has none.
func givesDefault(source sql.Node, at int) bool {
	values, ok := source.(*plan.Values)
	if !ok {
		return false
	}
	return slices.ContainsFunc(values.ExpressionTuples, func(row []sql.Expression) bool {
		w, ok := row[at].(*expression.Wrapper)
		if !ok {
			return false
		}
		d, ok := w.Unwrap().(*sql.ColumnDefaultValue)
		return ok && d == nil
	})
}

// run takes all rows in.
func (in *insertion) run(ctx *sql.Context, rows sql.RowIter) (err error) {
	defer func() {
		if e := rows.Close(ctx); err == nil {
			err = e
		}
		if err != nil && in.stored > 0 {
			err = partly(err, in.stored)
		}
	}()
	for {
		row, err := rows.Next(ctx)
		if err == io.EOF {
			return in.store(ctx)
		}
		if err != nil {
			return err
		}
		if err := in.add(ctx, row); err != nil {
			return err
		}
		if !in.whole && (in.count >= insertRows || in.bytes >= insertBytes) {
			if err := in.store(ctx); err != nil {
				return err
			}
		}
	}
}

// partly says that some rows were stored before an error.
func partly(err error, stored int64) error {
	code := ownError(err, nil)
	if code == nil {
		code = sql.CastSQLError(err)
	}
	for _, whole := range []string{nothingStored, perhapsStored} {
		if text, ok := strings.CutSuffix(code.Message, whole); ok {
			return refuse(code.Num, code.State, "%s. The first %d rows are stored; send those behind them again", text, stored)
		}
	}
	return refuse(code.Num, code.State, "%s (the first %d rows are stored)", code.Message, stored)
}

// add makes an event of a row.
func (in *insertion) add(ctx *sql.Context, row sql.Row) error {
	in.row++
	if in.row > 1<<32 {
		return refuse(erGeneral, "HY000", "INSERT of more than %d rows; insert them in parts", int64(1)<<32)
	}
	e, err := in.rowEvent(ctx, row)
	return in.keep(ctx, e, err)
}

// keep keeps an event until it is stored, or says what is wrong with its row.
func (in *insertion) keep(ctx *sql.Context, e event.Event, err error) error {
	if err == nil {
		err = in.check(&e)
	}
	if err != nil {
		if !in.ignore {
			return err
		}
		in.refused++
		in.warn(ctx, err)
		return nil
	}
	if in.direct != nil {
		return in.take(ctx, &e, 0)
	}
	if err := in.pay(ctx, &e); err != nil {
		return err
	}
	in.events = append(in.events, e)
	in.indexes = append(in.indexes, uint32(in.row-1))
	return nil
}

// take writes an event to the record of its shard. A kind above 0 is as event.Recorder
// has it.
func (in *insertion) take(ctx *sql.Context, e *event.Event, kind int) error {
	if err := in.pay(ctx, e); err != nil {
		return err
	}
	return in.direct.add(in.direct.part(in.project), e, uint32(in.row-1), kind)
}

// pay counts an event, and pays for it.
func (in *insertion) pay(ctx *sql.Context, e *event.Event) error {
	in.count++
	in.bytes += roughSize(e)
	return in.borrow(ctx)
}

func (in *insertion) warn(ctx *sql.Context, err error) {
	in.warnings++
	code := sql.CastSQLError(err)
	warn(ctx, code.Num, "%s", code.Message)
}

// store appends what was added since the last time.
func (in *insertion) store(ctx *sql.Context) error {
	if in.count == 0 {
		return nil
	}
	options := in.options
	options.Indexes, options.checked = in.indexes, true
	var old []deleteTarget
	if in.replace {
		in.keepLast()
		options.Indexes = in.indexes
		var err error
		if old, err = in.sameKeys(ctx); err != nil {
			return err
		}
	}
	markWritten(ctx)
	var done Ingested
	var err error
	bounded, cancel := context.WithTimeout(ctx, in.gateway.storeTimeout)
	defer cancel()
	if in.direct != nil {
		done, err = in.direct.store(bounded)
	} else {
		done, err = in.gateway.Ingest(bounded, in.project, in.events, options)
	}
	if err != nil {
		return in.ingestError(err, done)
	}
	in.stored += int64(done.Stored)
	in.events, in.indexes, in.arena, in.bytes, in.count = nil, nil, nil, 0, 0
	if len(old) > 0 {
		if err := in.gateway.appendDeletes(ctx, in.gateway.stamper.Stamp(), old); err != nil {
			return err
		}
	}
	duplicates, err := in.gateway.cluster.Duplicates(ctx, done.Records)
	if err != nil {
		in.gateway.logger.Warn("count the duplicates of an INSERT", "project", in.project.Name, "error", err)
		in.uncounted = true
	}
	in.duplicates += duplicates
	in.loan.end()
	return nil
}

// borrow pays for the rows since the last store, by steps: they are held twice, as
// events and as records. A statement that is stored in parts waits for its turn;
// another is refused, and may be sent again.
func (in *insertion) borrow(ctx *sql.Context) error {
	const step, every = 64 << 10, 20 * time.Millisecond
	more := 2*in.bytes - int(in.loan.bytes)
	if more <= 0 {
		return nil
	}
	more = (more + step - 1) / step * step
	err := in.loan.grow(more)
	for waited := time.Duration(0); err != nil && !in.whole && waited < in.gateway.storeTimeout; waited += every {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(every):
		}
		err = in.loan.grow(more)
	}
	return err
}

// ingestError is the error of an Ingest, which has checked what was checked here
// already.
func (in *insertion) ingestError(err error, done Ingested) error {
	if errors.Is(err, ErrRefused) && len(done.Rejected) > 0 {
		r := done.Rejected[0]
		return refuse(erWrongFieldValue, "HY000", "Incorrect value at row %d: %s", r.Index+1, r.Message)
	}
	if errors.Is(err, catalog.ErrNoProject) || errors.Is(err, catalog.ErrLimit) {
		return catalogError(err)
	}
	return err
}
