// Package exec holds what a query is once it has left SQL: a Fragment that can
// be sent to whoever holds the data, the Batches that come back, and the code
// that evaluates one over the other. It knows batches, not files.
package exec

import (
	"slices"

	"arbor/catalog"
)

// Fragment asks for the rows of a project's events, filtered and projected.
type Fragment struct {
	Project catalog.ProjectID
	// Copies asks for every stored copy, duplicates included (events_all, and
	// events while arbor_dedupe is off). Deleted events are given only
	// to who asks for SourceRecord.
	Copies bool
	// AsOf hides what was taken in later; the zero value means now.
	AsOf catalog.IngestID
	// Policy stands in for the project's policies, to see what another one would
	// show; nil means the policies in force.
	Policy *catalog.Policy
	// Buckets are the user buckets whose shards are meant, ascending; nil means all.
	// So that several members together answer for each shard once.
	Buckets []uint16
	// Columns are read, in this order; the Hidden ones only for the filter.
	Columns []Column
	// Computed are more columns, made of those; their column numbers go on after
	// those of Columns.
	Computed []Computed
	// Filter keeps the rows for which it is true; nil keeps all. Its column
	// numbers are positions in Columns and then in Computed.
	Filter *Expr
	// Group makes groups of the rows, and the answer is a row for each group: its
	// keys, then its aggregates. Nil gives the rows themselves.
	Group *Group
	// Order sorts the rows of the answer; its column numbers are those of the
	// answer's columns: the visible ones, or a group's keys and aggregates.
	Order []Order
	// Limit ends the answer after that many rows; 0 means no limit. Without Order
	// any rows may be the ones.
	Limit int64
	// Runs says that whoever gets the batches minds Batch.Runs: rows that are
	// hidden or filtered out may then stay in the columns, which saves copying
	// all others.
	Runs bool
	// Measured says that somebody looks at what ScanStats knows only then.
	Measured bool
}

// Stored reports whether the fragment means what is stored, deleted or not: whether it
// asks for SourceRecord.
func (f *Fragment) Stored() bool {
	return slices.ContainsFunc(f.Columns, func(c Column) bool { return c.Source == SourceRecord })
}

// Column is a column of a fragment.
type Column struct {
	// Source says where its values come from.
	Source Source
	// Property is the property's name, for SourceProperty. For SourceProperties it says
	// that nobody looks at the others: a row's object may be without them, and null
	// where it has not that one. "" means all.
	Property string
	// Type is the type wanted; values of other kinds are converted by
	// catalog.Convert, and to null where they cannot be.
	Type catalog.Type
	// Precision and Scale are those of a TypeDecimal.
	Precision, Scale uint8
	// Hidden columns are not part of the batches given back.
	Hidden bool
}

// Source is where a column's values come from.
type Source uint8

// The sources, with the type each has.
const (
	SourceProperty   Source = 0  // a property; any type
	SourceEvent      Source = 1  // the event's name; string
	SourceTime       Source = 2  // datetime
	SourceDistinctID Source = 3  // string
	SourceInsertID   Source = 4  // string, null when the client gave none
	SourceProperties Source = 5  // all properties as one JSON object; JSON
	SourceIngestID   Source = 6  // string, 32 hexadecimal digits
	SourceIngestedAt Source = 7  // datetime, the edge's clock
	SourceTimeRaw    Source = 8  // datetime, null when the server's clock was taken
	SourceDuplicate  Source = 9  // bool
	SourceDupOf      Source = 10 // string, the survivor's ingest id, null unless a duplicate
	SourceDupKind    Source = 11 // string, "retry" or "conflict", null unless a duplicate
	SourceFile       Source = 12 // string, the indexed file's name, "log" for unindexed events
	SourceShard      Source = 13 // string, catalog.ShardKey.String
	// SourceRecord is a string, the hash of the whole record in 32 hexadecimal digits.
	// Who asks for it means what is stored and not what is seen: a fragment with this
	// column is given deleted and truncated records too.
	SourceRecord Source = 14
)

// Op is what an Expr does.
type Op uint8

// The operators. Comparisons are by the column's type: strings by bytes,
// numbers by value, datetimes by moment; a null makes them unknown.
const (
	OpAnd    Op = 1 // Args
	OpOr     Op = 2 // Args
	OpNot    Op = 3 // Args[0]
	OpEqual  Op = 4 // Column, Values[0]
	OpLess   Op = 5 // Column, Values[0]
	OpLessEq Op = 6 // Column, Values[0]
	OpMore   Op = 7 // Column, Values[0]
	OpMoreEq Op = 8 // Column, Values[0]
	OpIn     Op = 9 // Column, Values
	OpIsNull Op = 10
	OpPrefix Op = 11 // Column is a string that starts with Values[0]
	OpTrue   Op = 12 // Column is a number other than 0
	OpLike   Op = 13 // Column is a string that matches the pattern Values[0], with %, _ and the escape \
)

// Expr is a predicate over a fragment's columns with SQL's three-valued logic.
// It is plain data, so that it can travel.
type Expr struct {
	Op     Op
	Column int
	// Values are the constants: of the column's type, datetimes as KindInt
	// microseconds since 1970.
	Values []catalog.Value
	Args   []*Expr
}

// Table is a small answer about the system itself: the rows of an arbor.* table.
type Table struct {
	Columns []TableColumn
	Rows    [][]catalog.Value
}

// TableColumn is a column of a Table.
type TableColumn struct {
	Name string
	Type catalog.Type
}

// ScanStats says what a scan did.
type ScanStats struct {
	Shards, ShardsPruned int
	Files                int
	RowsIndexed          int64 // rows of indexed files in the shards looked at
	RowsLogged           int64 // events of logs in the shards looked at
	RowsPruned           int64 // skipped by user ranges, insert ids and zone maps
	RowsDuplicate        int64 // skipped as duplicates
	RowsDeleted          int64 // skipped as deleted
	RowsFiltered         int64 // skipped by the filter
	RowsTallied          int64 // answered by how often values come, without a look at the rows
	RowsGiven            int64

	// Measured says that what follows is known: the fragment asked for it, and whoever
	// answered knows how.
	Measured bool
	Work
}

// Work is what a scan did beside giving rows.
type Work struct {
	FilesPruned          int64 // of Files, those of which no row was looked at
	Blocks, BlocksPruned int64 // of the files' rows that the users left, and those that zone maps ruled out
	RowsZone             int64 // of RowsPruned, by zone maps or the bounds of logged events
	// RowsFound are those of RowsDuplicate that their file does not list: copies in
	// other files and in the log, found by fingerprint, and those of another policy.
	RowsFound   int64
	BytesFiles  int64 // of the columns looked at, as stored, in proportion to the rows
	BytesLog    int64 // of batches read from the log
	BytesMemory int64 // of columns of logged events that are held in memory
	// Nanoseconds: to find out who is visible, and of all workers together at the rows,
	// without what was done with those given.
	TimeVisible, TimeRows int64

	// What came of other members: partials, their bytes, and the nanoseconds that it
	// took to put them together.
	Partials, BytesPartials, TimeMerge int64
}
