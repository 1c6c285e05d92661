package gateway

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/catalog"
)

// database is a project as a MySQL database, as of the statement that asked. It
// has the tables events and events_all, mutable tables, and views.
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
		return mutableOrNone(d.mutableTable(ctx, name))
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
	system := false
	if !isEventsTable(name) {
		if s, ok := asOf.(string); ok && strings.HasPrefix(s, systemMarkPrefix) {
			return mutableOrNone(d.mutableTable(ctx, name)) // it has no system columns
		}
		if _, ok, err := d.mutableTable(ctx, name); !ok || err != nil {
			return nil, false, err
		}
		return nil, false, unsupported("AS OF of table %s: mutable tables have no past", name)
	}
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

// mutableOrNone gives a table, or a nil that is one.
func mutableOrNone(t *mutableTable, ok bool, err error) (sql.Table, bool, error) {
	if !ok || err != nil {
		return nil, false, err
	}
	return t, true, nil
}

// GetTableNames lists the tables.
func (d *database) GetTableNames(ctx *sql.Context) ([]string, error) {
	names := []string{eventsName, eventsAllName}
	for _, t := range d.gateway.tablesOf(ctx).All(uint32(d.project.ID)) {
		names = append(names, t.Name)
	}
	return names, nil
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
