package gateway

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/flight"
	"github.com/apache/arrow/go/v15/arrow/flight/flightsql"
	"github.com/dolthub/vitess/go/vt/sqlparser"
)

// A prepared statement is a text with values for its placeholders, known by a handle to
// the user that prepared it. It is planned again when it is executed.

// flightStatements are the prepared statements that exist.
type flightStatements struct {
	now   func() time.Time
	mu    sync.Mutex // guards known, and what is in it
	known map[string]*flightPrepared
}

type flightPrepared struct {
	login  flightLogin
	text   string
	params int
	values [][]any
	used   time.Time
}

// add gives a statement a handle. Those that were not used for long make room.
func (f *flightStatements) add(p *flightPrepared) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.used = f.now()
	if len(f.known) >= maxFlightPrepared {
		for handle, old := range f.known {
			if p.used.Sub(old.used) > flightSessionIdle {
				delete(f.known, handle)
			}
		}
		if len(f.known) >= maxFlightPrepared {
			return "", fmt.Errorf("%w: there are %d prepared statements; close some", ErrBusy, maxFlightPrepared)
		}
	}
	if f.known == nil {
		f.known = map[string]*flightPrepared{}
	}
	handle := rand.Text()
	f.known[handle] = p
	return handle, nil
}

// find gives a copy of a user's statement.
func (f *flightStatements) find(ctx context.Context, handle []byte) (flightPrepared, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.known[string(handle)]
	if !ok || p.login != loginOf(ctx) {
		return flightPrepared{}, fmt.Errorf("%w: there is no such prepared statement", ErrQueryRequest)
	}
	p.used = f.now()
	return *p, nil
}

// bind gives a user's statement its values.
func (f *flightStatements) bind(ctx context.Context, handle []byte, values [][]any) error {
	if _, err := f.find(ctx, handle); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if p, ok := f.known[string(handle)]; ok {
		p.values = values
	}
	return nil
}

func (f *flightStatements) remove(handle []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.known, string(handle))
}

// CreatePreparedStatement plans a statement.
func (s *flightServer) CreatePreparedStatement(ctx context.Context, r flightsql.ActionCreatePreparedStatementRequest) (made flightsql.ActionCreatePreparedStatementResult, err error) {
	text := r.GetQuery()
	if err := checkFlightStatement(text, r.GetTransactionId()); err != nil {
		return made, err
	}
	p, err := s.plan(ctx, text)
	if err != nil {
		return made, err
	}
	params, err := placeholdersOf(text)
	if err != nil {
		return made, err
	}
	handle, err := s.prepared.add(&flightPrepared{login: loginOf(ctx), text: text, params: params})
	if err != nil {
		return made, err
	}
	fields := make([]arrow.Field, params)
	for i := range fields { // whatever is sent is taken, as MySQL does
		fields[i] = arrow.Field{Name: fmt.Sprintf("parameter_%d", i+1), Type: arrow.BinaryTypes.String, Nullable: true}
	}
	return flightsql.ActionCreatePreparedStatementResult{Handle: []byte(handle), DatasetSchema: p.shape, ParameterSchema: arrow.NewSchema(fields, nil)}, nil
}

// placeholdersOf counts a statement's placeholders.
func placeholdersOf(text string) (count int, err error) {
	parsed, err := sqlparser.Parse(text)
	if err != nil {
		return 0, nil // some statement of our own, which has none
	}
	err = sqlparser.Walk(func(n sqlparser.SQLNode) (bool, error) {
		if v, ok := n.(*sqlparser.SQLVal); ok && v.Type == sqlparser.ValArg {
			count++
		}
		return true, nil
	}, parsed)
	return count, err
}

// ClosePreparedStatement forgets a statement.
func (s *flightServer) ClosePreparedStatement(ctx context.Context, r flightsql.ActionClosePreparedStatementRequest) error {
	if _, err := s.prepared.find(ctx, r.GetPreparedStatementHandle()); err != nil {
		return err
	}
	s.prepared.remove(r.GetPreparedStatementHandle())
	return nil
}

// GetFlightInfoPreparedStatement gives a ticket for a statement with its values, and the
// columns of one without: values may give them other types, and tables may have changed
// since it was prepared.
func (s *flightServer) GetFlightInfoPreparedStatement(ctx context.Context, q flightsql.PreparedStatementQuery, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	p, err := s.prepared.find(ctx, q.GetPreparedStatementHandle())
	if err != nil {
		return nil, err
	}
	if p.params > 0 {
		return commandTicket(d, nil)
	}
	shape, err := s.announced(ctx, p.text)
	if err != nil {
		return nil, err
	}
	return commandTicket(d, shape)
}

// GetSchemaPreparedStatement plans the statement again.
func (s *flightServer) GetSchemaPreparedStatement(ctx context.Context, q flightsql.PreparedStatementQuery, _ *flight.FlightDescriptor) (*flight.SchemaResult, error) {
	p, err := s.prepared.find(ctx, q.GetPreparedStatementHandle())
	if err != nil {
		return nil, err
	}
	made, err := s.plan(ctx, p.text)
	if err != nil {
		return nil, err
	}
	return &flight.SchemaResult{Schema: flight.SerializeSchema(made.shape, arrowMemory)}, nil
}

// DoGetPreparedStatement runs a statement with its values.
func (s *flightServer) DoGetPreparedStatement(ctx context.Context, q flightsql.PreparedStatementQuery) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	p, err := s.prepared.find(ctx, q.GetPreparedStatementHandle())
	if err != nil {
		return nil, nil, err
	}
	var values []any
	switch {
	case len(p.values) == 1:
		values = p.values[0]
	case len(p.values) > 1:
		return nil, nil, fmt.Errorf("%w: a query takes one row of parameters, not %d", ErrQueryRequest, len(p.values))
	}
	if len(values) != p.params {
		return nil, nil, fmt.Errorf("%w: the statement has %d placeholders and was given %d values", ErrQueryRequest, p.params, len(values))
	}
	return s.run(ctx, p.text, values)
}

// DoPutPreparedStatementQuery takes values.
func (s *flightServer) DoPutPreparedStatementQuery(ctx context.Context, q flightsql.PreparedStatementQuery, r flight.MessageReader, _ flight.MetadataWriter) error {
	values, err := parameterRows(r)
	if err != nil {
		return err
	}
	return s.prepared.bind(ctx, q.GetPreparedStatementHandle(), values)
}

// DoPutPreparedStatementUpdate runs a statement for each row of values.
func (s *flightServer) DoPutPreparedStatementUpdate(ctx context.Context, q flightsql.PreparedStatementUpdate, r flight.MessageReader) (int64, error) {
	p, err := s.prepared.find(ctx, q.GetPreparedStatementHandle())
	if err != nil {
		return 0, err
	}
	values, err := parameterRows(r)
	if err != nil {
		return 0, err
	}
	if p.params == 0 {
		values = [][]any{nil}
	}
	for _, row := range values {
		if len(row) != p.params {
			return 0, fmt.Errorf("%w: the statement has %d placeholders and was given %d values", ErrQueryRequest, p.params, len(row))
		}
	}
	return s.change(ctx, p.text, values)
}

// parameterRows reads the rows of values of a client.
func parameterRows(r flight.MessageReader) (rows [][]any, err error) {
	defer func() {
		if p := recover(); p != nil { // offsets that lead nowhere
			err = fmt.Errorf("%w: the parameters cannot be read", ErrQueryRequest)
		}
	}()
	for r.Next() {
		record := r.Record()
		if len(rows)+int(record.NumRows()) > maxFlightParameters || record.NumRows() < 0 || record.NumRows() > maxFlightParameters {
			return nil, fmt.Errorf("%w: more than %d rows of parameters", ErrQueryRequest, maxFlightParameters)
		}
		for i := range int(record.NumRows()) {
			row := make([]any, record.NumCols())
			for c, column := range record.Columns() {
				if row[c], err = parameterValue(column, i); err != nil {
					return nil, fmt.Errorf("%w: parameter %d: %w", ErrQueryRequest, c+1, err)
				}
			}
			rows = append(rows, row)
		}
	}
	return rows, r.Err()
}

// parameterValue is a value as the MySQL protocol takes it.
func parameterValue(a arrow.Array, row int) (any, error) {
	if a.IsNull(row) {
		return nil, nil
	}
	switch a := a.(type) {
	case *array.Null:
		return nil, nil
	case *array.Boolean:
		return a.Value(row), nil
	case *array.Int8:
		return int64(a.Value(row)), nil
	case *array.Int16:
		return int64(a.Value(row)), nil
	case *array.Int32:
		return int64(a.Value(row)), nil
	case *array.Int64:
		return a.Value(row), nil
	case *array.Uint8:
		return uint64(a.Value(row)), nil
	case *array.Uint16:
		return uint64(a.Value(row)), nil
	case *array.Uint32:
		return uint64(a.Value(row)), nil
	case *array.Uint64:
		return a.Value(row), nil
	case *array.Float32:
		return float64(a.Value(row)), nil
	case *array.Float64:
		return a.Value(row), nil
	case *array.String:
		return string([]byte(a.Value(row))), nil
	case *array.LargeString:
		return string([]byte(a.Value(row))), nil
	case *array.Binary:
		return append([]byte{}, a.Value(row)...), nil
	case *array.Date32:
		return a.Value(row).FormattedString(), nil
	case *array.Date64:
		return a.Value(row).FormattedString(), nil
	case *array.Timestamp:
		unit := a.DataType().(*arrow.TimestampType).Unit
		return a.Value(row).ToTime(unit).UTC().Format("2006-01-02 15:04:05.999999"), nil
	case *array.Decimal128:
		return a.Value(row).ToString(a.DataType().(*arrow.Decimal128Type).Scale), nil
	case *array.Decimal256:
		return a.Value(row).ToString(a.DataType().(*arrow.Decimal256Type).Scale), nil
	}
	return nil, fmt.Errorf("%s cannot be a value", a.DataType())
}
