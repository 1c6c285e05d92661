package gateway

import (
	"io"
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/catalog"
	"arbor/cluster/tables"
)

// mutableTable is a table of rows that change, as one statement knows it. Its rows
// are those of the session's transaction at the moment of reading; the statement
// keeps the columns that it was planned with.
type mutableTable struct {
	gateway  *Gateway
	project  *catalog.Project
	id       uint64
	name     string
	shape    *mutableShape
	defined  uint64 // tables.Table.Defined of shape
	full     sql.PrimaryKeySchema
	selected []int // places of the projected columns, nil for all
	schema   sql.Schema
	// frozen are the rows that are read while the table is rewritten.
	frozen *tables.Table
}

var (
	_ sql.ProjectedTable      = (*mutableTable)(nil)
	_ sql.PrimaryKeyTable     = (*mutableTable)(nil)
	_ sql.StatisticsTable     = (*mutableTable)(nil)
	_ sql.CommentedTable      = (*mutableTable)(nil)
	_ sql.InsertableTable     = (*mutableTable)(nil)
	_ sql.ReplaceableTable    = (*mutableTable)(nil)
	_ sql.UpdatableTable      = (*mutableTable)(nil)
	_ sql.DeletableTable      = (*mutableTable)(nil)
	_ sql.TruncateableTable   = (*mutableTable)(nil)
	_ sql.AutoIncrementTable  = (*mutableTable)(nil)
	_ sql.RewritableTable     = (*mutableTable)(nil)
	_ sql.IndexAlterableTable = (*mutableTable)(nil)

	_ sql.IndexAddressableTable = (*mutableTable)(nil)
	_ sql.CommentAlterableTable = (*mutableTable)(nil)
)

// mutableTable finds a mutable table of a project.
func (d *database) mutableTable(ctx *sql.Context, name string) (*mutableTable, bool, error) {
	found, ok := d.gateway.tablesOf(ctx).Table(uint32(d.project.ID), name)
	if !ok {
		return nil, false, nil
	}
	t, err := d.gateway.newMutableTable(d.project, found)
	return t, err == nil, err
}

// hasMutable reports whether the project has a mutable table of that name.
func (d *database) hasMutable(ctx *sql.Context, name string) bool {
	_, ok := d.gateway.tablesOf(ctx).Table(uint32(d.project.ID), name)
	return ok
}

func (g *Gateway) newMutableTable(p *catalog.Project, found *tables.Table) (*mutableTable, error) {
	shape, err := g.shapes.shape(found.Definition)
	if err != nil {
		return nil, err
	}
	t := &mutableTable{gateway: g, project: p, id: found.ID, name: found.Name, shape: shape, defined: found.Defined}
	t.full = shape.schema(p.Name, found.Name)
	t.schema = t.full.Schema
	return t, nil
}

// now is the table in the session's transaction, and its shape there: a statement
// that changes the definition sees what it has done so far.
func (t *mutableTable) now(ctx *sql.Context) (*tables.Table, *mutableShape, error) {
	found, ok := t.gateway.tablesOf(ctx).ByID(t.id)
	if !ok {
		return nil, nil, sql.ErrTableNotFound.New(t.name)
	}
	shape, err := t.gateway.shapes.shape(found.Definition)
	return found, shape, err
}

// Name is the table's.
func (t *mutableTable) Name() string { return t.name }

func (t *mutableTable) String() string { return t.name }

// Collation is the one that columns have if they say none.
func (t *mutableTable) Collation() sql.CollationID { return t.shape.collation }

// Comment is the table's.
func (t *mutableTable) Comment() string { return t.shape.Comment }

// Schema has the projected columns.
func (t *mutableTable) Schema(*sql.Context) sql.Schema { return t.schema }

// PrimaryKeySchema has all columns.
func (t *mutableTable) PrimaryKeySchema(*sql.Context) sql.PrimaryKeySchema { return t.full }

// WithProjections is the table with some of the columns, in their own order.
func (t *mutableTable) WithProjections(_ *sql.Context, names []string) (sql.Table, error) {
	next := *t
	next.selected, next.schema = []int{}, sql.Schema{}
	for i, c := range t.full.Schema {
		if slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, c.Name) }) {
			next.selected, next.schema = append(next.selected, i), append(next.schema, c)
		}
	}
	return &next, nil
}

// Projections are the names of the projected columns, nil for all.
func (t *mutableTable) Projections() []string {
	if t.selected == nil {
		return nil
	}
	names := make([]string, len(t.schema))
	for i, c := range t.schema {
		names[i] = c.Name
	}
	return names
}

// Partitions gives the one partition that there is.
func (t *mutableTable) Partitions(*sql.Context) (sql.PartitionIter, error) {
	return sql.PartitionsToPartitionIter(onlyPartition{}), nil
}

// PartitionRows gives the rows as they are now: what the statement changes while it
// reads is not seen.
func (t *mutableTable) PartitionRows(ctx *sql.Context, p sql.Partition) (sql.RowIter, error) {
	if l, ok := p.(*lookupPartition); ok {
		return t.lookupRows(ctx, l)
	}
	now, shape, err := t.now(ctx)
	if err != nil {
		return nil, err
	}
	clocks := t.shape.clocksOf(ctx)
	if t.frozen != nil {
		now, clocks = t.frozen, clocks.changed(t.shape, shape)
	}
	return &mutableRows{table: t, wanted: t.wanted(), entries: now.Cursor([]byte{rowPrefix}), clocks: clocks}, nil
}

// wanted says which places are read, nil for all.
func (t *mutableTable) wanted() []bool {
	if t.selected == nil {
		return nil
	}
	wanted := make([]bool, len(t.shape.Columns))
	for _, i := range t.selected {
		wanted[i] = true
	}
	return wanted
}

// project leaves the projected columns of a row.
func (t *mutableTable) projectRow(row sql.Row) sql.Row {
	if t.selected == nil {
		return row
	}
	out := make(sql.Row, len(t.selected))
	for i, place := range t.selected {
		out[i] = row[place]
	}
	return out
}

// mutableRows reads rows.
type mutableRows struct {
	table   *mutableTable
	wanted  []bool
	entries *tables.Cursor
	clocks  clocks
	count   int
}

// Next gives the next row.
func (r *mutableRows) Next(ctx *sql.Context) (sql.Row, error) {
	if r.count++; r.count%checkEvery == 0 && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	_, value, ok := r.entries.Next()
	if !ok {
		return nil, io.EOF
	}
	row, err := r.table.shape.readRow(value, r.wanted)
	if err != nil {
		return nil, err
	}
	r.clocks.show(row)
	return r.table.projectRow(row), nil
}

// Close ends the reading.
func (r *mutableRows) Close(*sql.Context) error { return nil }

// RowCount is an estimate for the planner.
func (t *mutableTable) RowCount(ctx *sql.Context) (uint64, bool, error) {
	now, shape, err := t.now(ctx)
	if err != nil {
		return 0, false, err
	}
	return uint64(now.Entries() / (1 + len(shape.Indexes))), false, nil
}

// DataLength is what the table counts for its limit.
func (t *mutableTable) DataLength(ctx *sql.Context) (uint64, error) {
	now, _, err := t.now(ctx)
	if err != nil {
		return 0, err
	}
	return uint64(now.Bytes()), nil
}

// isMutable reports whether a table is one of rows that change.
func isMutable(t sql.Table) bool {
	_, ok := sql.GetUnderlyingTable(t).(*mutableTable)
	return ok
}

// showColumns are the rows of SHOW COLUMNS; the schema has its defaults resolved.
func (t *mutableTable) showColumns(schema sql.Schema, full bool) []sql.Row {
	rows := showColumns(schema, full)
	key, extra := 3, 5
	if full {
		key, extra = 4, 6
	}
	for i, row := range rows {
		c := &t.shape.Columns[i]
		row[key] = t.shape.keyOf(c.ID)
		if c.AutoIncrement {
			row[extra] = "auto_increment"
		}
		if full {
			row[7] = "select,insert,update,references"
		}
	}
	return rows
}

// keyOf is what SHOW COLUMNS says of a column's part in keys.
func (d *mutableDefinition) keyOf(id int) string {
	if slices.Contains(d.Key, id) {
		return "PRI"
	}
	key := ""
	for _, x := range d.Indexes {
		switch {
		case x.Columns[0] != id:
		case x.Unique && len(x.Columns) == 1:
			return "UNI"
		default:
			key = "MUL"
		}
	}
	return key
}
