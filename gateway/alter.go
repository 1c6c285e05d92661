package gateway

import (
	"strings"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/types"
	"github.com/dolthub/vitess/go/sqltypes"

	"arbor/catalog"
)

// ALTER TABLE events … ADD or MODIFY COLUMN pins the type of a property's
// column: from then on it shows what fits the type and NULL for what does not,
// and no longer widens. Nothing stored changes, `properties` shows every value
// as it was sent, so that any type can be pinned at any time.

// addColumn runs ALTER TABLE … ADD COLUMN.
func (g *Gateway) addColumn(ctx *sql.Context, t *eventsTable, c *sql.Column, order *sql.ColumnOrder) (sql.RowIter, error) {
	pinned, err := pinnedColumn(ctx, t, c, order)
	if err != nil {
		return nil, err
	}
	return g.pinColumn(ctx, t, pinned, true)
}

// modifyColumn runs ALTER TABLE … MODIFY or CHANGE COLUMN.
func (g *Gateway) modifyColumn(ctx *sql.Context, t *eventsTable, name string, c *sql.Column, order *sql.ColumnOrder) (sql.RowIter, error) {
	if !strings.EqualFold(name, c.Name) {
		return nil, refuseRename(name)
	}
	pinned, err := pinnedColumn(ctx, t, c, order)
	if err != nil {
		return nil, err
	}
	return g.pinColumn(ctx, t, pinned, false)
}

func refuseRename(name string) error {
	return unsupported("RENAME COLUMN %s: a column is named after its property; CREATE VIEW gives it another name", name)
}

func refuseDrop(name string) error {
	return unsupported("DROP COLUMN %s: a column stands for a property that events have; leave it out of SELECT, or CREATE VIEW without it", name)
}

func (g *Gateway) pinColumn(ctx *sql.Context, t *eventsTable, c catalog.Column, add bool) (sql.RowIter, error) {
	if _, err := g.change(ctx, catalog.ModifyColumn{Project: t.project.ID, Column: c, Add: add}); err != nil {
		return nil, catalogError(err)
	}
	return answerOK(ctx, types.NewOkResult(0)), nil
}

// pinnedColumn reads a column's definition.
func pinnedColumn(ctx *sql.Context, t *eventsTable, c *sql.Column, order *sql.ColumnOrder) (catalog.Column, error) {
	switch {
	case catalog.IsFixedColumn(c.Name):
		return catalog.Column{}, unsupported("ALTER TABLE of column %s: it is the same in every events table", c.Name)
	case order != nil:
		return catalog.Column{}, unsupported("FIRST and AFTER: columns stay in the order in which they appeared")
	case !c.Nullable || c.PrimaryKey:
		return catalog.Column{}, unsupported("column %s NOT NULL: events without the property have NULL in it", c.Name)
	case c.Default != nil || c.Generated != nil || c.AutoIncrement || c.OnUpdate != nil:
		return catalog.Column{}, unsupported("column %s with a DEFAULT or a generated value: events show what was sent; use COALESCE in a view", c.Name)
	}
	out := catalog.Column{Name: c.Name, Pinned: true}
	if known, ok := t.project.Column(c.Name); ok {
		out.Property = known.Property
	}
	var ok bool
	if out.Type, out.Precision, out.Scale, ok = catalogType(c.Type); !ok {
		return catalog.Column{}, unsupported("column %s of type %s: want BOOLEAN, BIGINT, DOUBLE, DECIMAL(p,s), VARCHAR, TEXT, JSON or DATETIME", c.Name, c.Type)
	}
	return out, nil
}

// catalogType is the type that a column of an SQL type gets. Lengths of strings
// and precisions of moments are not kept: values are shown as they were sent.
func catalogType(t sql.Type) (kind catalog.Type, precision, scale uint8, ok bool) {
	if d, isDecimal := t.(sql.DecimalType); isDecimal {
		return catalog.TypeDecimal, d.Precision(), d.Scale(), true
	}
	switch t.Type() {
	case sqltypes.Int8:
		if n, isNumber := t.(sql.NumberType); isNumber && n.DisplayWidth() == 1 {
			return catalog.TypeBool, 0, 0, true
		}
		return catalog.TypeInt, 0, 0, true
	case sqltypes.Int16, sqltypes.Int24, sqltypes.Int32, sqltypes.Int64, sqltypes.Uint8, sqltypes.Uint16, sqltypes.Uint24, sqltypes.Uint32:
		return catalog.TypeInt, 0, 0, true
	case sqltypes.Float32, sqltypes.Float64:
		return catalog.TypeDouble, 0, 0, true
	case sqltypes.Char, sqltypes.VarChar, sqltypes.Text:
		return catalog.TypeString, 0, 0, true
	case sqltypes.TypeJSON:
		return catalog.TypeJSON, 0, 0, true
	case sqltypes.Datetime, sqltypes.Timestamp:
		return catalog.TypeDatetime, 0, 0, true
	}
	return 0, 0, 0, false
}

// refusedNode says why a statement that changes a schema is not run, or nil for
// one that may be: tables of events change in few ways, mutable tables in more.
func refusedNode(n sql.Node) error {
	switch n := n.(type) {
	case *plan.JoinNode:
		return refusedExistence(n)
	case *plan.DropColumn:
		if changesEvents(n.Table) {
			return refuseDrop(n.Column)
		}
	case *plan.RenameColumn:
		if changesEvents(n.Table) {
			return refuseRename(n.ColumnName)
		}
	case *plan.CreateTable:
		return refusedTable(n)
	case *plan.RenameTable:
		for _, name := range n.OldNames {
			if isEventsTable(name) {
				return unsupported("RENAME TABLE %s: a table of events keeps its name; CREATE VIEW gives it another one", name)
			}
		}
	case *plan.DropTable:
		for _, t := range n.Tables {
			if changesEvents(t) {
				return unsupported("DROP TABLE of events: TRUNCATE TABLE events empties it and can be undone, DROP DATABASE drops the project")
			}
		}
	case *plan.AlterIndex:
		if changesEvents(n.Table) {
			return refuseIndex()
		}
		if n.Action == plan.IndexAction_DisableEnableKeys {
			return nil
		}
	case *plan.CreateIndex, *plan.DropIndex:
		return refuseIndex()
	case *plan.AlterPK, *plan.CreateForeignKey, *plan.DropForeignKey, *plan.RenameForeignKey, *plan.CreateCheck, *plan.DropCheck, *plan.DropConstraint:
		if changesEvents(n) {
			return unsupported("events have no keys and constraints besides the dedupe policy; CALL arbor.set_policy changes that")
		}
		return unsupported("ALTER TABLE: a primary key is given by CREATE TABLE, and mutable tables have no FOREIGN KEY and no CHECK")
	case *plan.AlterDefaultSet, *plan.AlterDefaultDrop, *plan.AlterAutoIncrement, *plan.AlterTableComment:
		if changesEvents(n) {
			return unsupported("ALTER TABLE: only ADD COLUMN and MODIFY COLUMN change an events table")
		}
	case *plan.AlterTableCollation:
		return unsupported("ALTER TABLE … COLLATE is not supported: MODIFY COLUMN gives a column another one, in a mutable table")
	case *plan.CreateTrigger, *plan.DropTrigger:
		return unsupported("arbor has no triggers")
	case *plan.CreateEvent, *plan.AlterEvent, *plan.DropEvent:
		return unsupported("arbor has no scheduled events; the table of that name holds what users did")
	case *plan.CreateProcedure, *plan.DropProcedure:
		return refuseProcedures()
	case *plan.Update:
		if u, err := plan.GetUpdatable(n.Child); err != nil || !isEvents(u) {
			return nil
		}
		return unsupported("UPDATE: events do not change; REPLACE INTO events stores another version of one, DELETE removes it")
	}
	return nil
}

func refuseIndex() error {
	return unsupported("indexes cannot be made or dropped: events are sorted by user and time by themselves")
}

// refusedTable says why a table is not made.
func refusedTable(n *plan.CreateTable) error {
	switch {
	case isEventsTable(n.Name()):
		return nil // the stock executor finds out that it exists
	case n.Temporary():
		return unsupported("CREATE TEMPORARY TABLE is not supported: use a common table expression, or a table")
	case len(n.ForeignKeys()) > 0:
		return unsupported("CREATE TABLE %s: FOREIGN KEY is not supported", n.Name())
	case len(n.Checks()) > 0:
		return unsupported("CREATE TABLE %s: CHECK is not supported", n.Name())
	}
	for _, x := range n.Indexes() {
		for _, c := range x.Columns {
			if c.Length > 0 {
				return unsupported("CREATE TABLE %s: an index over the beginning of a column (%s(%d)) is not supported; index the column", n.Name(), c.Name, c.Length)
			}
		}
	}
	return nil
}

func isEvents(t sql.Table) bool {
	_, ok := sql.GetUnderlyingTable(t).(*eventsTable)
	return ok
}

// What go-mysql-server asks a table to have before it plans a statement that
// changes it. The statements themselves are run by buildNode.

type notThisWay struct{}

func (notThisWay) err() error {
	return unsupported("the engine was built without the gateway's executor")
}
func (notThisWay) StatementBegin(*sql.Context)                         {}
func (notThisWay) DiscardChanges(*sql.Context, error) error            { return nil }
func (n notThisWay) StatementComplete(*sql.Context) error              { return n.err() }
func (n notThisWay) Insert(*sql.Context, sql.Row) error                { return n.err() }
func (n notThisWay) Delete(*sql.Context, sql.Row) error                { return n.err() }
func (n notThisWay) Update(_ *sql.Context, _ sql.Row, _ sql.Row) error { return n.err() }
func (notThisWay) Close(*sql.Context) error                            { return nil }

// Inserter and its like are not used.
func (t *eventsTable) Inserter(*sql.Context) sql.RowInserter { return notThisWay{} }

// Replacer is not used.
func (t *eventsTable) Replacer(*sql.Context) sql.RowReplacer { return notThisWay{} }

// Deleter is not used.
func (t *eventsTable) Deleter(*sql.Context) sql.RowDeleter { return notThisWay{} }

// Updater is not used.
func (t *eventsTable) Updater(*sql.Context) sql.RowUpdater { return notThisWay{} }

// Truncate is not used.
func (t *eventsTable) Truncate(*sql.Context) (int, error) { return 0, notThisWay{}.err() }

// AddColumn is not used.
func (t *eventsTable) AddColumn(*sql.Context, *sql.Column, *sql.ColumnOrder) error {
	return notThisWay{}.err()
}

// DropColumn refuses.
func (t *eventsTable) DropColumn(_ *sql.Context, name string) error { return refuseDrop(name) }

// ModifyColumn is not used.
func (t *eventsTable) ModifyColumn(*sql.Context, string, *sql.Column, *sql.ColumnOrder) error {
	return notThisWay{}.err()
}
