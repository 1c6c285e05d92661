package gateway

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/catalog"
	"arbor/engine/exec"
)

// eventsTable is a project's events, or events_all, as one statement reads it:
// which columns, which copies, as of when. It never changes; WithProjections and
// the with… methods make another.
//
// go-mysql-server knows it as a table without keys. Three of its habits shape
// this type. A table that can be projected must also give its full schema, as a
// PrimaryKeyTable, or fields are looked for in the wrong places. Filters are
// offered to no table at all: pushdown puts them in. And its planner keeps the
// columns it has once resolved in their places, so that a scan for DELETE, or
// below a subquery, cannot leave columns out: withOnly reads some and leaves the
// others NULL.
type eventsTable struct {
	gateway *Gateway
	project *catalog.Project
	name    string
	// all and schema are the columns that the statement knows.
	all    []eventsColumn
	schema sql.Schema
	// projection holds places in all, in the order of the rows' values; nil is all.
	projection []int
	projected  sql.Schema // their columns
	// only, where it is not nil, says which places of all are read.
	only map[int]bool

	copies bool
	asOf   catalog.IngestID
	// filter is what pushdown made of the WHERE, over filterColumns; rows that
	// it drops cannot be in the answer, those that it keeps still may not be.
	filter        *exec.Expr
	filterColumns []exec.Column
	filtered      bool // pushdown has been here
	limit         int64
	totals        *scanTotals // where EXPLAIN ANALYZE adds up what scans do
}

var (
	_ sql.ProjectedTable    = (*eventsTable)(nil)
	_ sql.PrimaryKeyTable   = (*eventsTable)(nil)
	_ sql.StatisticsTable   = (*eventsTable)(nil)
	_ sql.CommentedTable    = (*eventsTable)(nil)
	_ sql.InsertableTable   = (*eventsTable)(nil)
	_ sql.ReplaceableTable  = (*eventsTable)(nil)
	_ sql.DeletableTable    = (*eventsTable)(nil)
	_ sql.AlterableTable    = (*eventsTable)(nil)
	_ sql.TruncateableTable = (*eventsTable)(nil)
)

// Name is events or events_all.
func (t *eventsTable) Name() string { return t.name }

func (t *eventsTable) String() string { return t.name }

// Collation is the one that every column has.
func (t *eventsTable) Collation() sql.CollationID { return eventsCollation }

// Comment says what the table is.
func (t *eventsTable) Comment() string {
	if t.name == eventsAllName {
		return "every stored copy of every event"
	}
	return "events, each once"
}

// Schema has the projected columns.
func (t *eventsTable) Schema(*sql.Context) sql.Schema {
	if t.projection == nil {
		return t.schema
	}
	return t.projected // made once: the planner asks for it once a column
}

// PrimaryKeySchema has all columns and no key.
func (t *eventsTable) PrimaryKeySchema(*sql.Context) sql.PrimaryKeySchema {
	return sql.NewPrimaryKeySchema(t.schema)
}

// WithProjections is the table with some of the columns, in their own order.
func (t *eventsTable) WithProjections(_ *sql.Context, names []string) (sql.Table, error) {
	wanted := make(map[string]bool, len(names))
	for _, name := range names {
		wanted[strings.ToLower(name)] = true
	}
	next := *t
	next.projection, next.projected = make([]int, 0, len(names)), make(sql.Schema, 0, len(names))
	for i := range t.all {
		if wanted[strings.ToLower(t.all[i].name)] {
			next.projection = append(next.projection, i)
			next.projected = append(next.projected, t.schema[i])
		}
	}
	next.projected = slices.Clip(next.projected)
	if len(next.projection) != len(wanted) {
		return nil, fmt.Errorf("project %s.%s to %s: %w", t.project.Name, t.name, names, catalog.ErrNoColumn)
	}
	return &next, nil
}

// Projections are the names of the projected columns, nil for all.
func (t *eventsTable) Projections() []string {
	if t.projection == nil {
		return nil
	}
	names := make([]string, len(t.projection))
	for i, place := range t.projection {
		names[i] = t.all[place].name
	}
	return names
}

// withOnly is the table with the same row, of which only these places of it
// are read.
func (t *eventsTable) withOnly(places map[int]bool) *eventsTable {
	next := *t
	next.only = make(map[int]bool, len(places))
	for i := range places {
		next.only[t.place(i)] = true
	}
	return &next
}

// place is the column, in all, of a place in the row.
func (t *eventsTable) place(i int) int {
	if t.projection == nil {
		return i
	}
	return t.projection[i]
}

// width is the number of values of a row.
func (t *eventsTable) width() int {
	if t.projection == nil {
		return len(t.all)
	}
	return len(t.projection)
}

// fragment is the scan of the table, with the place in the row of each of the
// values that it gives.
func (t *eventsTable) fragment() (*exec.Fragment, []int) {
	f := &exec.Fragment{Project: t.project.ID, Copies: t.copies, AsOf: t.asOf, Filter: t.filter, Limit: t.limit, Measured: t.totals != nil}
	// The filter's columns come first, as its column numbers say.
	f.Columns = slices.Clone(t.filterColumns)
	for i := range f.Columns {
		f.Columns[i].Hidden = true
	}
	var places []int
	given := make(map[exec.Column]int, len(f.Columns)) // hidden columns that a row wants too
	for i := range t.filterColumns {
		given[t.filterColumns[i]] = i
	}
	shown := make(map[int]int, len(f.Columns))
	for i := range t.width() {
		place := t.place(i)
		if t.only != nil && !t.only[place] {
			continue
		}
		c := t.all[place].exec
		if at, ok := given[c]; ok {
			f.Columns[at].Hidden = false
			shown[at] = i
			continue
		}
		shown[len(f.Columns)] = i
		f.Columns = append(f.Columns, c)
	}
	for at := range f.Columns {
		if i, ok := shown[at]; ok {
			places = append(places, i)
		}
	}
	return f, places
}

// Partitions gives the one partition that there is: the scan spreads over files
// and cores below.
func (t *eventsTable) Partitions(*sql.Context) (sql.PartitionIter, error) {
	return sql.PartitionsToPartitionIter(onlyPartition{}), nil
}

type onlyPartition struct{}

func (onlyPartition) Key() []byte { return []byte{0} }

// PartitionRows starts the scan.
func (t *eventsTable) PartitionRows(ctx *sql.Context, _ sql.Partition) (sql.RowIter, error) {
	return t.rows(ctx), nil
}

// RowCount is an estimate for the planner; it is never exact, so that COUNT(*)
// is always counted.
func (t *eventsTable) RowCount(ctx *sql.Context) (uint64, bool, error) {
	rows, _ := t.gateway.estimate(ctx, t.project.ID)
	return rows, false, nil
}

// DataLength is an estimate of the bytes stored.
func (t *eventsTable) DataLength(ctx *sql.Context) (uint64, error) {
	_, bytes := t.gateway.estimate(ctx, t.project.ID)
	return bytes, nil
}
