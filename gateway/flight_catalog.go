package gateway

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/flight"
	"github.com/apache/arrow/go/v15/arrow/flight/flightsql"
	"github.com/apache/arrow/go/v15/arrow/flight/flightsql/schema_ref"
)

// What there is is asked of information_schema, as the call's user: the one catalog is
// "def", and schemas are databases, as it has them.

// flightCatalog is the catalog's name.
const flightCatalog = "def"

// maxFlightTables is of how many tables the columns are given at once.
const maxFlightTables = 1000

// isCatalog reports whether a filter leaves the catalog.
func isCatalog(filter *string) bool {
	return filter == nil || *filter == "" || *filter == flightCatalog
}

// ask gives the rows of a question about what there is.
func (s *flightServer) ask(ctx context.Context, question string, values ...any) (rows [][]string, err error) {
	db, err := s.open(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	found, err := db.QueryContext(ctx, question, values...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	columns, err := found.Columns()
	if err != nil {
		return nil, err
	}
	for found.Next() {
		values := make([]sql.NullString, len(columns))
		places := make([]any, len(columns))
		for i := range values {
			places[i] = &values[i]
		}
		if err := found.Scan(places...); err != nil {
			return nil, err
		}
		row := make([]string, len(columns))
		for i, v := range values {
			row[i] = v.String
		}
		rows = append(rows, row)
	}
	return rows, found.Err()
}

// recordOfTexts makes a record of texts, columns of numbers and of bytes included.
func recordOfTexts(schema *arrow.Schema, rows [][]string) (arrow.Record, error) {
	b := array.NewRecordBuilder(arrowMemory, schema)
	defer b.Release()
	for _, row := range rows {
		for i, text := range row {
			if err := appendArrowText(b.Field(i), []byte(text)); err != nil {
				return nil, err
			}
		}
	}
	return b.NewRecord(), nil
}

// answerTexts answers by a record of texts.
func answerTexts(schema *arrow.Schema, rows [][]string) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	r, err := recordOfTexts(schema, rows)
	if err != nil {
		return nil, nil, err
	}
	return answerOf(schema, r)
}

// GetFlightInfoCatalogs gives a ticket.
func (s *flightServer) GetFlightInfoCatalogs(_ context.Context, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	return commandTicket(d, schema_ref.Catalogs)
}

// DoGetCatalogs lists the one catalog.
func (s *flightServer) DoGetCatalogs(context.Context) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	return answerTexts(schema_ref.Catalogs, [][]string{{flightCatalog}})
}

// GetFlightInfoSchemas gives a ticket.
func (s *flightServer) GetFlightInfoSchemas(_ context.Context, _ flightsql.GetDBSchemas, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	return commandTicket(d, schema_ref.DBSchemas)
}

// DoGetDBSchemas lists databases.
func (s *flightServer) DoGetDBSchemas(ctx context.Context, q flightsql.GetDBSchemas) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	if !isCatalog(q.GetCatalog()) {
		return answerTexts(schema_ref.DBSchemas, nil)
	}
	question, values := "SELECT 'def', SCHEMA_NAME FROM information_schema.SCHEMATA", []any(nil)
	if p := q.GetDBSchemaFilterPattern(); p != nil {
		question, values = question+" WHERE SCHEMA_NAME LIKE ?", []any{*p}
	}
	rows, err := s.ask(ctx, question+" ORDER BY SCHEMA_NAME", values...)
	if err != nil {
		return nil, nil, err
	}
	return answerTexts(schema_ref.DBSchemas, rows)
}

// GetFlightInfoTables gives a ticket.
func (s *flightServer) GetFlightInfoTables(_ context.Context, q flightsql.GetTables, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	if q.GetIncludeSchema() {
		return commandTicket(d, schema_ref.TablesWithIncludedSchema)
	}
	return commandTicket(d, schema_ref.Tables)
}

// DoGetTables lists tables, with their columns if they are wanted.
func (s *flightServer) DoGetTables(ctx context.Context, q flightsql.GetTables) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	schema := schema_ref.Tables
	if q.GetIncludeSchema() {
		schema = schema_ref.TablesWithIncludedSchema
	}
	if !isCatalog(q.GetCatalog()) {
		return answerTexts(schema, nil)
	}
	question, values := "SELECT 'def', TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE 1 = 1", []any(nil)
	if p := q.GetDBSchemaFilterPattern(); p != nil {
		question, values = question+" AND TABLE_SCHEMA LIKE ?", append(values, *p)
	}
	if p := q.GetTableNameFilterPattern(); p != nil {
		question, values = question+" AND TABLE_NAME LIKE ?", append(values, *p)
	}
	if types := q.GetTableTypes(); len(types) > 0 {
		question += " AND TABLE_TYPE IN (?" + strings.Repeat(", ?", len(types)-1) + ")"
		for _, t := range types {
			values = append(values, t)
		}
	}
	rows, err := s.ask(ctx, question+" ORDER BY TABLE_SCHEMA, TABLE_NAME", values...)
	if err != nil {
		return nil, nil, err
	}
	if q.GetIncludeSchema() {
		if len(rows) > maxFlightTables {
			return nil, nil, fmt.Errorf("%w: the columns of %d tables are asked for, at most %d are given at once; name a schema or a table", ErrQueryRequest, len(rows), maxFlightTables)
		}
		for i, row := range rows {
			p, err := s.plan(ctx, "SELECT * FROM "+backquoted(row[1])+"."+backquoted(row[2]))
			if err != nil {
				return nil, nil, err
			}
			rows[i] = append(row, string(flight.SerializeSchema(p.shape, arrowMemory)))
		}
	}
	return answerTexts(schema, rows)
}

func backquoted(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// GetFlightInfoTableTypes gives a ticket.
func (s *flightServer) GetFlightInfoTableTypes(_ context.Context, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	return commandTicket(d, schema_ref.TableTypes)
}

// DoGetTableTypes lists what information_schema calls tables.
func (s *flightServer) DoGetTableTypes(context.Context) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	return answerTexts(schema_ref.TableTypes, [][]string{{"BASE TABLE"}, {"SYSTEM VIEW"}, {"VIEW"}})
}

// GetFlightInfoPrimaryKeys gives a ticket.
func (s *flightServer) GetFlightInfoPrimaryKeys(_ context.Context, _ flightsql.TableRef, d *flight.FlightDescriptor) (*flight.FlightInfo, error) {
	return commandTicket(d, schema_ref.PrimaryKeys)
}

// DoGetPrimaryKeys lists the columns of a table's primary key.
func (s *flightServer) DoGetPrimaryKeys(ctx context.Context, t flightsql.TableRef) (*arrow.Schema, <-chan flight.StreamChunk, error) {
	if !isCatalog(t.Catalog) {
		return answerTexts(schema_ref.PrimaryKeys, nil)
	}
	question, values := "SELECT 'def', TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, SEQ_IN_INDEX, INDEX_NAME FROM information_schema.STATISTICS WHERE INDEX_NAME = 'PRIMARY' AND TABLE_NAME = ?", []any{t.Table}
	if t.DBSchema != nil {
		question, values = question+" AND TABLE_SCHEMA = ?", append(values, *t.DBSchema)
	}
	rows, err := s.ask(ctx, question+" ORDER BY TABLE_SCHEMA, SEQ_IN_INDEX", values...)
	if err != nil {
		return nil, nil, err
	}
	return answerTexts(schema_ref.PrimaryKeys, rows)
}
