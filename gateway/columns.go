package gateway

import (
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"

	"arbor/catalog"
	"arbor/engine/exec"
)

// The tables of a project.
const (
	eventsName    = "events"
	eventsAllName = "events_all"
)

func isEventsTable(name string) bool {
	return strings.EqualFold(name, eventsName) || strings.EqualFold(name, eventsAllName)
}

// eventsColumn is a column of an events table: what SQL sees, and what a scan reads.
type eventsColumn struct {
	name     string
	sqlType  sql.Type
	nullable bool
	system   bool
	comment  string
	exec     exec.Column
}

// Places of the first columns of every events table; the property columns come
// after them, and `properties` after those.
const (
	columnEvent = iota
	columnTime
	columnDistinctID
	columnInsertID
	leadingColumns
)

var firstColumns = [leadingColumns]eventsColumn{
	{name: "event", sqlType: nameType, exec: exec.Column{Source: exec.SourceEvent, Type: catalog.TypeString},
		comment: "what happened"},
	{name: "time", sqlType: datetimeType, exec: exec.Column{Source: exec.SourceTime, Type: catalog.TypeDatetime},
		comment: "the client's time, UTC; the server's where the client gave none"},
	{name: "distinct_id", sqlType: nameType, exec: exec.Column{Source: exec.SourceDistinctID, Type: catalog.TypeString},
		comment: "the user"},
	{name: "insert_id", sqlType: nameType, nullable: true, exec: exec.Column{Source: exec.SourceInsertID, Type: catalog.TypeString},
		comment: "the client's name for the event, equal in every retry"},
}

var propertiesColumn = eventsColumn{name: "properties", sqlType: sqlType(catalog.TypeJSON, 0, 0),
	exec: exec.Column{Source: exec.SourceProperties, Type: catalog.TypeJSON}, comment: "all properties, exactly as sent"}

// systemColumns are read when they are named, see parser.
var systemColumns = []eventsColumn{
	{name: "_ingest_id", sqlType: ingestIDType, system: true, exec: exec.Column{Source: exec.SourceIngestID, Type: catalog.TypeString},
		comment: "the event's physical identity, stamped when it was taken in"},
	{name: "_ingested_at", sqlType: datetimeType, system: true, exec: exec.Column{Source: exec.SourceIngestedAt, Type: catalog.TypeDatetime},
		comment: "when it was taken in"},
	{name: "_time_raw", sqlType: datetimeType, nullable: true, system: true, exec: exec.Column{Source: exec.SourceTimeRaw, Type: catalog.TypeDatetime},
		comment: "the client's time, NULL where it gave none"},
	{name: "_duplicate", sqlType: sqlType(catalog.TypeBool, 0, 0), system: true, exec: exec.Column{Source: exec.SourceDuplicate, Type: catalog.TypeBool},
		comment: "1 for a copy that events does not show"},
	{name: "_dup_of", sqlType: ingestIDType, nullable: true, system: true, exec: exec.Column{Source: exec.SourceDupOf, Type: catalog.TypeString},
		comment: "the _ingest_id of the copy that events shows"},
	{name: "_dup_kind", sqlType: kindType, nullable: true, system: true, exec: exec.Column{Source: exec.SourceDupKind, Type: catalog.TypeString},
		comment: "retry: the same payload as that copy; conflict: another"},
	{name: "_file", sqlType: fileType, system: true, exec: exec.Column{Source: exec.SourceFile, Type: catalog.TypeString},
		comment: "the indexed file that holds it, or log"},
	{name: "_shard", sqlType: shardType, system: true, exec: exec.Column{Source: exec.SourceShard, Type: catalog.TypeString},
		comment: "project/day/bucket"},
}

// columnsOf are the columns of a project's events tables.
func columnsOf(p *catalog.Project, system bool) []eventsColumn {
	columns := make([]eventsColumn, 0, leadingColumns+len(p.Columns)+1+len(systemColumns))
	columns = append(columns, firstColumns[:]...)
	for i := range p.Columns {
		columns = append(columns, propertyColumn(&p.Columns[i]))
	}
	columns = append(columns, propertiesColumn)
	if system {
		columns = append(columns, systemColumns...)
	}
	return columns
}

func propertyColumn(c *catalog.Column) eventsColumn {
	out := eventsColumn{
		name: c.Name, sqlType: sqlType(c.Type, c.Precision, c.Scale), nullable: true,
		exec: exec.Column{Source: exec.SourceProperty, Property: c.Property, Type: c.Type, Precision: c.Precision, Scale: c.Scale},
	}
	if c.Property != c.Name {
		out.comment = "property " + c.Property
	}
	return out
}

// visibleColumns are the names that * stands for.
func visibleColumns(p *catalog.Project) []string {
	names := make([]string, 0, leadingColumns+len(p.Columns)+1)
	for _, c := range columnsOf(p, false) {
		names = append(names, c.name)
	}
	return names
}

// schemaOf is what go-mysql-server is told of the columns. It gets structs of
// its own each time, for it is not beyond changing them.
func schemaOf(columns []eventsColumn, database, table string) sql.Schema {
	structs := make([]sql.Column, len(columns))
	schema := make(sql.Schema, len(columns))
	for i, c := range columns {
		structs[i] = sql.Column{
			Name: c.name, Type: c.sqlType, Nullable: c.nullable, HiddenSystem: c.system,
			Source: table, DatabaseSource: database, Comment: c.comment,
			Default: defaultOf(c.exec.Source),
		}
		schema[i] = &structs[i]
	}
	return schema
}

// defaultOf is the DEFAULT of a column, nil for none.
func defaultOf(s exec.Source) *sql.ColumnDefaultValue {
	switch s {
	case exec.SourceTime:
		return &sql.ColumnDefaultValue{Expr: serverTime{}, OutType: datetimeType}
	case exec.SourceDistinctID:
		return &sql.ColumnDefaultValue{Expr: expression.NewLiteral("", nameType), OutType: nameType, Literal: true}
	case exec.SourceProperties:
		return &sql.ColumnDefaultValue{Expr: expression.NewLiteral("{}", stringType), OutType: propertiesColumn.sqlType, Parenthesized: true}
	}
	return nil
}

// serverTime is the DEFAULT of time: the moment when the event is stamped, which
// is not known yet. It evaluates to a moment that no client can mean.
type serverTime struct{}

var serverTimeValue = time.Date(9999, 12, 31, 23, 59, 59, 999_998_000, time.UTC)

var serverTimeMicros = serverTimeValue.UnixMicro()

// Eval gives serverTimeValue.
func (serverTime) Eval(*sql.Context, sql.Row) (any, error) { return serverTimeValue, nil }

// String is how go-mysql-server recognises CURRENT_TIMESTAMP(6).
func (serverTime) String() string               { return "NOW(6)" }
func (serverTime) Resolved() bool               { return true }
func (serverTime) IsNullable(*sql.Context) bool { return false }
func (serverTime) Type(*sql.Context) sql.Type   { return datetimeType }
func (serverTime) Children() []sql.Expression   { return nil }

// WithChildren takes none.
func (s serverTime) WithChildren(_ *sql.Context, children ...sql.Expression) (sql.Expression, error) {
	if len(children) != 0 {
		return nil, sql.ErrInvalidChildrenNumber.New(s, len(children), 0)
	}
	return s, nil
}

// showColumns are the rows of SHOW COLUMNS and DESCRIBE. The stock ones have the
// collation in the type, where MySQL has the type alone.
func showColumns(schema sql.Schema, full bool) []sql.Row {
	var rows []sql.Row
	for _, c := range schema {
		if c.HiddenSystem {
			continue
		}
		var collation any
		if s, ok := c.Type.(sql.StringType); ok {
			collation = s.Collation().Name()
		}
		null := "NO"
		if c.Nullable {
			null = "YES"
		}
		var value any
		extra := ""
		switch d := c.Default; {
		case d == nil:
		case d.IsLiteral():
			value, _ = d.Eval(nil, nil)
		default:
			value, extra = d.String(), "DEFAULT_GENERATED"
		}
		if full {
			rows = append(rows, sql.Row{c.Name, typeText(c.Type), collation, null, "", value, extra, "select,insert", c.Comment})
		} else {
			rows = append(rows, sql.Row{c.Name, typeText(c.Type), null, "", value, extra})
		}
	}
	return rows
}

// typeText is a type as MySQL shows it in a table of that collation.
func typeText(t sql.Type) string {
	if s, ok := t.(sql.TypeWithCollation); ok {
		return s.StringWithTableCollation(eventsCollation)
	}
	return t.String()
}
