package gateway

import (
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"

	"arbor/cluster/tables"
)

// mutableIndex is an index of a mutable table, the primary key or a secondary one. It
// is good for finding rows by the values of its columns, or of the first ones.
type mutableIndex struct {
	table *mutableTable
	form  *mutableIndexForm // nil for the primary key
}

var _ sql.Index = (*mutableIndex)(nil)

func (x *mutableIndex) places() []int {
	if x.form == nil {
		return x.table.shape.key
	}
	places := make([]int, len(x.form.Columns))
	for i, id := range x.form.Columns {
		places[i] = x.table.shape.places[id]
	}
	return places
}

// ID is the index's name.
func (x *mutableIndex) ID() string {
	if x.form == nil {
		return "PRIMARY"
	}
	return x.form.Name
}

// Database is the project's name.
func (x *mutableIndex) Database() string { return x.table.project.Name }

// Table is the table's name.
func (x *mutableIndex) Table() string { return x.table.name }

// Expressions are the columns with their table's name.
func (x *mutableIndex) Expressions() []string {
	var all []string
	for _, i := range x.places() {
		all = append(all, x.table.name+"."+x.table.full.Schema[i].Name)
	}
	return all
}

// ColumnExpressionTypes are the columns with their types.
func (x *mutableIndex) ColumnExpressionTypes(*sql.Context) []sql.ColumnExpressionType {
	var all []sql.ColumnExpressionType
	for _, i := range x.places() {
		all = append(all, sql.ColumnExpressionType{Expression: x.table.name + "." + x.table.full.Schema[i].Name, Type: x.table.full.Schema[i].Type})
	}
	return all
}

// IsUnique reports whether no two rows have equal values.
func (x *mutableIndex) IsUnique() bool { return x.form == nil || x.form.Unique }

// IsSpatial is false.
func (x *mutableIndex) IsSpatial() bool { return false }

// IsFullText is false.
func (x *mutableIndex) IsFullText() bool { return false }

// IsVector is false.
func (x *mutableIndex) IsVector() bool { return false }

// IsGenerated is false.
func (x *mutableIndex) IsGenerated() bool { return false }

// Comment is the index's.
func (x *mutableIndex) Comment() string {
	if x.form == nil {
		return ""
	}
	return x.form.Comment
}

// IndexType is what MySQL says of its own.
func (x *mutableIndex) IndexType() string { return "BTREE" }

// CanSupport is true: what the index cannot find it finds by reading all rows.
func (x *mutableIndex) CanSupport(*sql.Context, ...sql.Range) bool { return true }

// CanSupportOrderBy is false.
func (x *mutableIndex) CanSupportOrderBy(sql.Expression) bool { return false }

// CoversColumns is false: rows are read.
func (x *mutableIndex) CoversColumns([]string) bool { return false }

// PrefixLengths are none: whole values are indexed.
func (x *mutableIndex) PrefixLengths() []uint16 { return nil }

// GetIndexes lists the indexes.
func (t *mutableTable) GetIndexes(ctx *sql.Context) ([]sql.Index, error) {
	at := *t
	if _, shape, err := t.now(ctx); err == nil && shape != t.shape {
		at.shape, at.full = shape, shape.schema(t.project.Name, t.name)
	}
	var all []sql.Index
	if len(at.shape.key) > 0 {
		all = append(all, &mutableIndex{table: &at})
	}
	for i := range at.shape.Indexes {
		all = append(all, &mutableIndex{table: &at, form: &at.shape.Indexes[i]})
	}
	return all, nil
}

// PreciseMatch is false: the filter that a lookup came from stays above it.
func (t *mutableTable) PreciseMatch() bool { return false }

// IndexedAccess is the table with rows that are looked up.
func (t *mutableTable) IndexedAccess(*sql.Context, sql.IndexLookup) sql.IndexedTable {
	return &lookupTable{t}
}

// lookupTable is a mutable table some rows of which are looked up.
type lookupTable struct{ *mutableTable }

var _ sql.IndexedTable = (*lookupTable)(nil)

// WithProjections is the table with some of the columns.
func (t *lookupTable) WithProjections(ctx *sql.Context, names []string) (sql.Table, error) {
	next, err := t.mutableTable.WithProjections(ctx, names)
	if err != nil {
		return nil, err
	}
	return &lookupTable{next.(*mutableTable)}, nil
}

// LookupPartitions gives one partition, of the rows that are looked for.
func (t *lookupTable) LookupPartitions(_ *sql.Context, lookup sql.IndexLookup) (sql.PartitionIter, error) {
	return sql.PartitionsToPartitionIter(&lookupPartition{lookup}), nil
}

// lookupPartition are the rows of a lookup.
type lookupPartition struct{ lookup sql.IndexLookup }

// Key is the same for all: there is one in a lookup.
func (*lookupPartition) Key() []byte { return []byte{0} }

// lookupRows gives the rows of a lookup: those with the values of points, and else
// those that the ranges hold.
func (t *mutableTable) lookupRows(ctx *sql.Context, p *lookupPartition) (sql.RowIter, error) {
	now, _, err := t.now(ctx)
	if err != nil {
		return nil, err
	}
	x, ok := p.lookup.Index.(*mutableIndex)
	ranges, isRanges := p.lookup.Ranges.(sql.MySQLRangeCollection)
	if !ok || !isRanges {
		return nil, sql.ErrInvalidType.New(p.lookup.Index)
	}
	r := &lookedUpRows{table: t, now: now, index: x, clocks: t.shape.clocksOf(ctx)}
	var columns []sql.Expression
	for _, i := range x.places() {
		c := t.full.Schema[i]
		columns = append(columns, expression.NewGetFieldWithTable(i, 0, c.Type, t.project.Name, t.name, c.Name, c.Nullable))
	}
	for _, one := range ranges {
		prefix, exact, err := x.prefix(ctx, one, r.clocks)
		if err != nil {
			return nil, err
		}
		if !exact && r.filter == nil {
			if r.filter, err = expression.NewRangeFilterExpr(ctx, columns, ranges); err != nil {
				return nil, err
			}
		}
		r.prefixes = append(r.prefixes, prefix)
	}
	r.tidy()
	return r, nil
}

// prefix is what the keys of a range begin with, as they are stored; exact says that no
// others do.
func (x *mutableIndex) prefix(ctx *sql.Context, one sql.MySQLRange, clocks clocks) (prefix []byte, exact bool, err error) {
	prefix = []byte{rowPrefix}
	if x.form != nil {
		prefix = x.form.head()
	}
	places := x.places()
	for n, c := range one {
		if n >= len(places) {
			return prefix, false, nil
		}
		var v any
		switch c.Type() {
		case sql.RangeType_EqualNull:
		case sql.RangeType_ClosedClosed:
			point, err := c.LowerBound.Compare(ctx, sql.Below{Key: sql.GetMySQLRangeCutKey(c.UpperBound)}, c.Typ)
			if err != nil || point != 0 {
				return prefix, false, err
			}
			converted, inRange, err := x.table.shape.types[places[n]].Convert(ctx, sql.GetMySQLRangeCutKey(c.LowerBound))
			if err != nil || inRange != sql.InRange || converted == nil {
				return prefix, false, nil // the filter finds out
			}
			if at, isTime := converted.(time.Time); isTime && slices.Contains(clocks.columns, places[n]) {
				stored := moments(at, clocks.place)
				if at.Year() < 1 || len(stored) > 1 {
					return prefix, false, nil
				}
				converted = stored[0]
			}
			v = converted
		default:
			return prefix, n == len(one)-1 && c.Type() == sql.RangeType_All, nil
		}
		if prefix, err = appendKeyValue(ctx, prefix, x.table.shape.types[places[n]], v); err != nil {
			return nil, false, err
		}
	}
	return prefix, true, nil
}

// lookedUpRows reads the rows whose keys have one of some prefixes.
type lookedUpRows struct {
	table    *mutableTable
	now      *tables.Table
	index    *mutableIndex
	prefixes [][]byte
	filter   sql.Expression
	entries  *tables.Cursor
	clocks   clocks
	count    int
}

// tidy leaves out prefixes that another one covers, so that no row comes twice.
func (r *lookedUpRows) tidy() {
	slices.SortFunc(r.prefixes, func(a, b []byte) int { return strings.Compare(string(a), string(b)) })
	kept := r.prefixes[:0]
	for _, p := range r.prefixes {
		if n := len(kept); n == 0 || !strings.HasPrefix(string(p), string(kept[n-1])) {
			kept = append(kept, p)
		}
	}
	r.prefixes = kept
}

// Next gives the next row.
func (r *lookedUpRows) Next(ctx *sql.Context) (sql.Row, error) {
	for {
		if r.count++; r.count%checkEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if r.entries == nil {
			if len(r.prefixes) == 0 {
				return nil, io.EOF
			}
			r.entries, r.prefixes = r.now.Cursor(r.prefixes[0]), r.prefixes[1:]
		}
		_, value, ok := r.entries.Next()
		if !ok {
			r.entries = nil
			continue
		}
		if r.index.form != nil {
			if value, ok = r.now.Get(value); !ok {
				return nil, errMutableRow
			}
		}
		row, err := r.table.shape.readRow(value, nil)
		if err != nil {
			return nil, err
		}
		r.clocks.show(row)
		if r.filter != nil {
			keep, err := sql.EvaluateCondition(ctx, r.filter, row)
			if err != nil {
				return nil, err
			}
			if !sql.IsTrue(keep) {
				continue
			}
		}
		return r.table.projectRow(row), nil
	}
}

// Close ends the reading.
func (r *lookedUpRows) Close(*sql.Context) error { return nil }
