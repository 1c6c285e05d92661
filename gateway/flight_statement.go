package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/flight"
	"github.com/apache/arrow/go/v15/arrow/flight/flightsql"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/go-sql-driver/mysql"

	"arbor/engine/exec"
)

// flightInfo says that an answer is had by a ticket, once, here.
func flightInfo(ticket []byte, d *flight.FlightDescriptor, schema *arrow.Schema) *flight.FlightInfo {
	info := &flight.FlightInfo{Endpoint: []*flight.FlightEndpoint{{Ticket: &flight.Ticket{Ticket: ticket}}}, FlightDescriptor: d, TotalRecords: -1, TotalBytes: -1}
	if schema != nil {
		info.Schema = flight.SerializeSchema(schema, arrowMemory)
	}
	return info
}

// GetFlightInfoStatement gives a ticket for a statement, which is the statement itself,
// and the columns that it will have.
func (s *flightServer) GetFlightInfoStatement(ctx context.Context, q flightsql.StatementQuery, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	if err := checkFlightStatement(q.GetQuery(), q.GetTransactionId()); err != nil {
		return nil, err
	}
	shape, err := s.announced(ctx, q.GetQuery())
	if err != nil {
		return nil, err
	}
	ticket, err := flightsql.CreateStatementQueryTicket([]byte(q.GetQuery()))
	return flightInfo(ticket, d, shape), err
}

// announced is the schema that a statement's answer will have, nil where it is not known
// before: clients hold the answer to what was announced.
func (s *flightServer) announced(ctx context.Context, text string) (*arrow.Schema, error) {
	p, err := s.plan(ctx, text)
	var fault *mysql.MySQLError
	switch {
	case errors.As(err, &fault) && fault.Number == codeUnpreparable:
		return nil, nil // it is told when the statement runs
	case err != nil:
		return nil, err
	case p.columns == nil || !p.sure:
		return nil, nil
	}
	return p.shape, nil
}

// checkFlightStatement refuses what cannot be a statement.
func checkFlightStatement(text string, transaction []byte) error {
	switch {
	case len(transaction) > 0:
		return fmt.Errorf("%w: there are no transactions over Flight", ErrQueryRequest)
	case len(text) > maxFlightStatement:
		return fmt.Errorf("%w: at most %d bytes are allowed", ErrStatementTooLong, maxFlightStatement)
	case text == "":
		return fmt.Errorf("%w: the statement is empty", ErrQueryRequest)
	}
	return nil
}

// GetSchemaStatement plans a statement.
func (s *flightServer) GetSchemaStatement(ctx context.Context, q flightsql.StatementQuery, _ *flight.FlightDescriptor) (*flight.SchemaResult, error) {
	if err := checkFlightStatement(q.GetQuery(), q.GetTransactionId()); err != nil {
		return nil, err
	}
	p, err := s.plan(ctx, q.GetQuery())
	if err != nil {
		return nil, err
	}
	return &flight.SchemaResult{Schema: flight.SerializeSchema(p.shape, arrowMemory)}, nil
}

// DoGetStatement runs a statement.
func (s *flightServer) DoGetStatement(ctx context.Context, t flightsql.StatementQueryTicket) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	text := string(t.GetStatementHandle())
	if err := checkFlightStatement(text, nil); err != nil {
		return nil, nil, err
	}
	return s.run(ctx, text, nil)
}

// DoPutCommandStatementUpdate runs a statement that changes something.
func (s *flightServer) DoPutCommandStatementUpdate(ctx context.Context, u flightsql.StatementUpdate) (int64, error) {
	if err := checkFlightStatement(u.GetQuery(), u.GetTransactionId()); err != nil {
		return 0, err
	}
	return s.change(ctx, u.GetQuery(), [][]any{nil})
}

// change runs a statement for each of some rows of values, and adds up how many rows it
// has changed.
func (s *flightServer) change(ctx context.Context, text string, values [][]any) (changed int64, err error) {
	db, err := s.open(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	for _, row := range values {
		result, err := db.ExecContext(ctx, text, row...)
		if err != nil {
			return changed, err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return changed, err
		}
		changed += n
	}
	return changed, nil
}

// flightAhead is how many records are made before the client takes them.
const flightAhead = 2

// run runs a statement and gives its records as they are made.
func (s *flightServer) run(ctx context.Context, text string, values []any) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	ctx, cancel := context.WithCancelCause(ctx) // ends with the call, too, whether or not all was taken
	schemas, chunks := make(chan *arrow.Schema, 1), make(chan flight.StreamChunk, flightAhead)
	send := func(c flight.StreamChunk) error {
		select {
		case chunks <- c:
			return nil
		case <-ctx.Done():
			if c.Data != nil {
				c.Data.Release()
			}
			return errClientGone
		}
	}
	rows := &arrowWriter{
		dictionaries: flightHeader(ctx, "dictionary") == "1",
		schemaOf:     func(schema *arrow.Schema) error { schemas <- schema; return nil },
		sink: func(r arrow.Record) error {
			r.Retain()
			return send(flight.StreamChunk{Data: r})
		},
	}
	db, err := s.open(ctx, rows)
	if err != nil {
		cancel(err)
		return nil, nil, err
	}
	failed := make(chan error, 1)
	go func() { // ends with the statement, which ends with the call
		defer close(chunks)
		defer cancel(nil)
		defer db.Close()
		defer rows.close()
		defer func() {
			if p := recover(); p != nil {
				s.gateway.logger.Error("panic in a Flight statement", "panic", p)
				failed <- errPanic
			}
		}()
		result, err := db.ExecContext(ctx, text, values...)
		begun := false
		if err == nil {
			begun, err = rows.end()
		}
		if err == nil && !begun {
			var changed int64
			if changed, err = result.RowsAffected(); err == nil {
				schemas <- affectedSchema
				err = send(flight.StreamChunk{Data: affectedRecord(changed)})
			}
		}
		if err == nil {
			return
		}
		err = flightError(err)
		failed <- err
		_ = send(flight.StreamChunk{Err: err})
	}()
	select {
	case schema := <-schemas:
		return schema, chunks, nil
	case err := <-failed:
		cancel(err)
		return nil, nil, err
	}
}

// flightPlan takes the columns of a statement that is prepared.
type flightPlan struct {
	sure    bool       // that the columns will be these
	columns sql.Schema // nil for a statement without rows
	shape   *arrow.Schema
}

// begin is never called: nothing is executed.
func (p *flightPlan) begin(*sql.Context, sql.Schema, *batchLayout) error { return errClientGone }

func (p *flightPlan) batch(*sql.Context, *exec.Batch) error { return errClientGone }

func (p *flightPlan) row(*sql.Context, sql.Schema, sql.Row) error { return errClientGone }

// prepared takes the columns.
func (p *flightPlan) prepared(columns sql.Schema, sure bool) {
	p.columns, p.sure = columns, sure
}

// plan prepares a statement without executing it.
func (s *flightServer) plan(ctx context.Context, text string) (*flightPlan, error) {
	p := &flightPlan{}
	db, err := s.open(ctx, p)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	statement, err := db.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	defer statement.Close()
	p.shape = arrow.NewSchema(nil, nil)
	if p.columns != nil {
		p.shape = arrowSchema(p.columns, flightHeader(ctx, "dictionary") == "1")
	}
	return p, nil
}

// answerOf gives small records as an answer.
func answerOf(schema *arrow.Schema, records ...arrow.Record) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	chunks := make(chan flight.StreamChunk, len(records))
	for _, r := range records {
		chunks <- flight.StreamChunk{Data: r}
	}
	close(chunks)
	return schema, chunks, nil
}

// commandTicket is a ticket that is the command itself.
func commandTicket(d *flight.FlightDescriptor, schema *arrow.Schema) (*flight.FlightInfo, error) {
	return flightInfo(d.Cmd, d, schema), nil
}
