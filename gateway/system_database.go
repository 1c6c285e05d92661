package gateway

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
)

// arborDatabase is the database arbor, or another one of tables that are only read.
type arborDatabase struct {
	noProcedures
	noTriggers
	noEvents
	gateway *Gateway
	name    string
	tables  []systemTableDefinition
}

// systemDatabaseNamed is one of those databases, in any case of its name.
func (g *Gateway) systemDatabaseNamed(name string) (*arborDatabase, bool) {
	for _, d := range []arborDatabase{
		{name: systemDatabase, tables: systemTables},
		{name: performanceDatabase, tables: performanceTables},
		{name: sysDatabase, tables: sysTables},
	} {
		if strings.EqualFold(name, d.name) {
			d.gateway = g
			return &d, true
		}
	}
	return nil, false
}

// Name is the database's name.
func (d *arborDatabase) Name() string { return d.name }

// IsReadOnly is true: CALL changes what can be changed.
func (d *arborDatabase) IsReadOnly() bool { return true }

// GetTableNames lists the tables.
func (d *arborDatabase) GetTableNames(*sql.Context) ([]string, error) {
	var names []string
	for i := range d.tables {
		names = append(names, d.tables[i].name)
	}
	return names, nil
}

// GetTableInsensitive finds a table.
func (d *arborDatabase) GetTableInsensitive(_ *sql.Context, name string) (sql.Table, bool, error) {
	for i := range d.tables {
		if strings.EqualFold(d.tables[i].name, name) {
			return &systemTable{gateway: d.gateway, database: d.name, definition: &d.tables[i]}, true, nil
		}
	}
	return nil, false, nil
}

// GetCollation is that of its tables.
func (d *arborDatabase) GetCollation(*sql.Context) sql.CollationID { return eventsCollation }

// SetCollation refuses.
func (d *arborDatabase) SetCollation(*sql.Context, sql.CollationID) error { return refuseSystem() }

// CreateView and its like are asked for before any table is.
func (d *arborDatabase) CreateView(*sql.Context, string, string, string) error {
	return refuseSystem()
}

// DropView refuses.
func (d *arborDatabase) DropView(*sql.Context, string) error { return refuseSystem() }

// GetViewDefinition finds none.
func (d *arborDatabase) GetViewDefinition(*sql.Context, string) (sql.ViewDefinition, bool, error) {
	return sql.ViewDefinition{}, false, nil
}

// AllViews lists none.
func (d *arborDatabase) AllViews(*sql.Context) ([]sql.ViewDefinition, error) { return nil, nil }

func refuseSystem() error {
	return refuse(erReadOnlyTable, "HY000", "database '%s' is read only; create it in a project's database", systemDatabase)
}
