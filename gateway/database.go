package gateway

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/catalog"
)

// database is a project as a MySQL database, as of the statement that asked. It
// has the tables events and events_all, and views.
type database struct {
	noProcedures
	noTriggers
	noEvents
	gateway *Gateway
	project *catalog.Project
}

var (
	_ sql.Database          = (*database)(nil)
	_ sql.VersionedDatabase = (*database)(nil)
	_ sql.ViewDatabase      = (*database)(nil)
	_ sql.TableCreator      = (*database)(nil)
	_ sql.TableDropper      = (*database)(nil)
	_ sql.TableRenamer      = (*database)(nil)
	_ sql.CollatedDatabase  = (*database)(nil)
	_ sql.TriggerDatabase   = (*database)(nil)
	_ sql.EventDatabase     = (*database)(nil)

	_ sql.StoredProcedureDatabase = (*database)(nil)
	_ sql.StoredProcedureDatabase = (*arborDatabase)(nil)
)

// Name is the project's name.
func (d *database) Name() string { return d.project.Name }

// GetTableInsensitive returns events or events_all as the session sees it.
func (d *database) GetTableInsensitive(ctx *sql.Context, name string) (sql.Table, bool, error) {
	if !isEventsTable(name) {
		return nil, false, nil
	}
	asOf, err := sessionAsOf(ctx)
	if err != nil {
		return nil, false, err
	}
	return d.counted(ctx, d.table(ctx, name, asOf, false))
}

// GetTableInsensitiveAsOf returns a table for AS OF, which is also how the
// parser asks for the system columns.
func (d *database) GetTableInsensitiveAsOf(ctx *sql.Context, name string, asOf any) (sql.Table, bool, error) {
	if !isEventsTable(name) {
		return nil, false, nil
	}
	system := false
	if s, ok := asOf.(string); ok {
		if s, system = strings.CutPrefix(s, systemMarkPrefix); system {
			asOf = s
		}
	}
	var id catalog.IngestID
	var err error
	if system && asOf == "" {
		id, err = sessionAsOf(ctx)
	} else if id, err = parseAsOf(asOf); err != nil {
		err = refuseAsOf(asOf, err)
	}
	if err != nil {
		return nil, false, err
	}
	return d.counted(ctx, d.table(ctx, name, id, system))
}

func refuseAsOf(v any, why error) error {
	return refuse(erWrongValue, "22007", "Incorrect AS OF value '%.80v': %s", v, why)
}

func (d *database) table(ctx *sql.Context, name string, asOf catalog.IngestID, system bool) *eventsTable {
	t := &eventsTable{
		gateway: d.gateway, project: d.project, name: strings.ToLower(name),
		all: columnsOf(d.project, system), asOf: asOf,
	}
	t.copies = t.name == eventsAllName || dedupeOff(ctx)
	t.schema = schemaOf(t.all, d.project.Name, t.name)
	return t
}

// GetTableNames lists the tables.
func (d *database) GetTableNames(*sql.Context) ([]string, error) {
	return []string{eventsName, eventsAllName}, nil
}

// GetTableNamesAsOf lists the tables, which are the same at any moment.
func (d *database) GetTableNamesAsOf(ctx *sql.Context, _ any) ([]string, error) {
	return d.GetTableNames(ctx)
}

// GetCollation is the one that every project has.
func (d *database) GetCollation(*sql.Context) sql.CollationID { return eventsCollation }

// SetCollation takes any collation without effect: CREATE DATABASE … CHARACTER
// SET is what tools write, and strings compare by code point all the same.
func (d *database) SetCollation(*sql.Context, sql.CollationID) error { return nil }

// What MySQL's databases have and projects have not.

const onlyEvents = "a project has the tables events and events_all, and views: "

// CreateTable refuses.
func (d *database) CreateTable(_ *sql.Context, name string, _ sql.PrimaryKeySchema, _ sql.CollationID, _ string) error {
	if isEventsTable(name) {
		return sql.ErrTableAlreadyExists.New(name)
	}
	return unsupported("CREATE TABLE %s: "+onlyEvents+"INSERT properties as they come, each becomes a column of events", name)
}

// DropTable refuses.
func (d *database) DropTable(_ *sql.Context, name string) error {
	return unsupported("DROP TABLE %s: "+onlyEvents+"TRUNCATE TABLE events empties it and can be undone, DROP DATABASE drops the project", name)
}

// RenameTable refuses.
func (d *database) RenameTable(_ *sql.Context, name, _ string) error {
	return unsupported("RENAME TABLE %s: "+onlyEvents+"CREATE VIEW gives events another name", name)
}
