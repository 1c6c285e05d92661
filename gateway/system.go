package gateway

import (
	"fmt"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/catalog"
	"arbor/engine/exec"
)

// The database arbor shows what arbor knows of itself, in tables that are only
// read. Those of the catalog are made here; the others are what the engine
// describes. A user sees the rows of the projects that it has a privilege in.

var (
	_ sql.ReadOnlyDatabase = (*arborDatabase)(nil)
	_ sql.ViewDatabase     = (*arborDatabase)(nil)
	_ sql.CollatedDatabase = (*arborDatabase)(nil)
	_ sql.TriggerDatabase  = (*arborDatabase)(nil)
	_ sql.EventDatabase    = (*arborDatabase)(nil)
)

// systemColumn is a column of a table of arbor.
type systemColumn struct {
	name    string
	sqlType sql.Type
	comment string
}

// systemTableDefinition defines a table of arbor.
type systemTableDefinition struct {
	name    string
	comment string
	columns []systemColumn
	// rows makes the rows; nil means those that the engine describes.
	rows func(ctx *sql.Context, g *Gateway) ([]sql.Row, error)
}

var (
	countType = types.Int64
	flagType  = types.Boolean
	dayType   = varchar(16)
)

// inShard are the columns that name a shard.
func inShard(rest ...systemColumn) []systemColumn {
	return append([]systemColumn{
		{"project", nameType, "the project's name"},
		{"project_id", countType, "the project's number, which is in the names of shards"},
		{"day", dayType, "the UTC day of the events' own time"},
		{"bucket", countType, "the user bucket"},
	}, rest...)
}

// balanceColumns are those of arbor.balance.
var balanceColumns = inShard(
	systemColumn{"accepted", countType, "events that were acknowledged"},
	systemColumn{"visible", countType, "those that events shows"},
	systemColumn{"retry", countType, "duplicates with the same payload"},
	systemColumn{"conflict", countType, "duplicates with another payload"},
	systemColumn{"deleted", countType, "deleted and truncated ones"},
	systemColumn{"quarantined", countType, "damaged ones, kept aside"},
	systemColumn{"erased", countType, "those that CALL arbor.erase_user removed for good"},
)

// systemTables are the tables of arbor, in the order of their names' use.
var systemTables = []systemTableDefinition{
	{name: "projects", comment: "projects, also dropped ones that can still be brought back", rows: projectRows, columns: []systemColumn{
		{"name", nameType, "the database's name"},
		{"id", countType, "the project's number"},
		{"token", nameType, "may write events, and ships in apps; shown to who may administer the project"},
		{"secret", nameType, "may also read; shown to who may administer the project"},
		{"buckets", countType, "user buckets of each day"},
		{"columns", countType, "property columns"},
		{"views", countType, "views"},
		{"created_at", datetimeType, "when it was created"},
		{"dropped_at", datetimeType, "when it was dropped; NULL for a live one"},
		{"write_quorum", countType, "members that have its events on disk before they are acknowledged; NULL for a majority of the copies"},
	}},
	{name: "columns", comment: "property columns of the events tables", rows: columnRows, columns: []systemColumn{
		{"project", nameType, "the project's name"},
		{"name", nameType, "the column's name"},
		{"property", nameType, "the property's name as sent"},
		{"type", textType, "the column's SQL type"},
		{"pinned", flagType, "1 if ALTER TABLE gave it the type, 0 if the type widens with what arrives"},
	}},
	{name: "policies", comment: "dedupe policies, oldest first; the last that holds a day decides", rows: policyRows, columns: []systemColumn{
		{"project", nameType, "the project's name"},
		{"version", countType, "the catalog's version that added it; 0 is the default that every project has"},
		{"from_day", dayType, "the first day; NULL for no first"},
		{"to_day", dayType, "the last day; NULL for no last"},
		{"policy", textType, "as CALL arbor.set_policy takes it"},
	}},
	{name: "settings", comment: "settings of the whole server", rows: settingRows, columns: []systemColumn{
		{"name", nameType, "as CALL arbor.set_setting takes it"},
		{"value", textType, "the value in force"},
		{"default_value", textType, "the value unless it is set"},
		{"min_value", textType, "the least"},
		{"max_value", textType, "the greatest"},
		{"description", textType, "what it does"},
	}},
	{name: "tokens", comment: "write tokens and secrets of live projects", rows: tokenRows, columns: []systemColumn{
		{"project", nameType, "the project's name"},
		{"kind", kindType, "token may write, secret may also read"},
		{"token", nameType, "itself"},
	}},
	{name: "truncations", comment: "TRUNCATE statements, which CALL arbor.undo_truncate takes back", rows: truncationRows, columns: []systemColumn{
		{"project", nameType, "the project's name"},
		{"id", ingestIDType, "the statement's id"},
		{"at", datetimeType, "when it ran"},
		{"undone", flagType, "1 if it was taken back"},
	}},
	{name: "erasures", comment: "users who were erased for good, each with a certificate", rows: erasureRows, columns: erasureColumns},
	{name: "procedures", comment: "what CALL arbor.… runs", rows: procedureRows, columns: []systemColumn{
		{"name", nameType, "the procedure's name"},
		{"parameters", textType, "its parameters"},
		{"description", textType, "what it does"},
		{"privilege", textType, "what a user needs, in the project's database, beside EXECUTE in arbor"},
	}},
	{name: "shards", comment: "the parts that events are stored in: project, day and user bucket", columns: inShard(
		systemColumn{"files", countType, "indexed files"},
		systemColumn{"indexed_events", countType, "events in them"},
		systemColumn{"logged_events", countType, "events that are only in logs so far"},
		systemColumn{"closed", flagType, "1 once the day has ended and all is in one file"},
	)},
	{name: "files", comment: "indexed files", columns: inShard(
		systemColumn{"file", fileType, "the file's name"},
		systemColumn{"bytes", countType, "its size"},
		systemColumn{"events", countType, "events in it"},
		systemColumn{"min_time", datetimeType, "the first time in it"},
		systemColumn{"max_time", datetimeType, "the last time in it"},
		systemColumn{"sources", stringType, "what it was made of"},
		systemColumn{"version", countType, "the version of the indexer that made it"},
		systemColumn{"state", textType, "live, trash (replaced, kept for a while) or quarantined (damaged); unreachable for a member that does not answer"},
		systemColumn{"member", nameType, "whose it is; NULL for a server that is alone"},
	)},
	{name: "digests", comment: "what each shard holds, as a sum that does not depend on files", columns: inShard(
		systemColumn{"records", countType, "events, deletes and undos, each once"},
		systemColumn{"digest", nameType, "the sum of their hashes; unreachable for a member that does not answer"},
		systemColumn{"batches", nameType, "a hash of the names of the batches they came in: replicas with the same one have the same digest; NULL for a server that is alone"},
		systemColumn{"member", nameType, "who holds them; NULL for a server that is alone"},
	)},
	{name: "balance", comment: "accepted = visible + retry + conflict + deleted + quarantined + erased", rows: balanceRows, columns: balanceColumns},
	{name: "duplicates", comment: "events that are hidden as duplicates, under the policies in force", columns: inShard(
		systemColumn{"event", nameType, "what happened"},
		systemColumn{"distinct_id", nameType, "the user"},
		systemColumn{"insert_id", nameType, "the client's name for the event"},
		systemColumn{"ingest_id", ingestIDType, "the hidden copy"},
		systemColumn{"dup_of", ingestIDType, "the copy that is shown"},
		systemColumn{"dup_kind", kindType, "retry or conflict"},
	)},
	{name: "jobs", comment: "work under way and done lately", columns: append([]systemColumn{
		{"id", countType, "the job's number"},
		{"kind", nameType, "what it does"},
	}, inShard(
		systemColumn{"state", nameType, "running, done or failed"},
		systemColumn{"progress", types.Float64, "from 0 to 1"},
		systemColumn{"message", stringType, "details"},
		systemColumn{"started_at", datetimeType, "when it began"},
		systemColumn{"finished_at", datetimeType, "when it ended; NULL while it runs"},
		systemColumn{"member", nameType, "whose it is; NULL for a server that is alone"},
	)...)},
	{name: "members", comment: "members of the cluster, removed ones included; none for a server that is alone", rows: memberRows, columns: memberColumns},
	{name: "replicas", comment: "which members hold which buckets of events; none for a server that is alone", rows: replicaRows, columns: replicaColumns},
	{name: "stage", comment: "the version of the indexer that some members run before the others; none where nothing is staged", rows: stageRows, columns: stageColumns},
	{name: "deletes", comment: "DELETE statements, shard by shard, which CALL arbor.undo_delete takes back", columns: inShard(
		systemColumn{"id", ingestIDType, "the statement's id"},
		systemColumn{"targets", countType, "copies deleted in the shard"},
		systemColumn{"undone", flagType, "1 if it was taken back"},
	)},
	{name: "loss", comment: "shards that cannot be read whole, and where copies of them are", rows: lossRows, columns: inShard(
		systemColumn{"missing", stringType, "what is missing or damaged"},
		systemColumn{"trash_files", countType, "files of the shard that are still in trash/"},
		systemColumn{"store", stringType, "the store of a backup that has the shard whole, if any"},
		systemColumn{"backup", stringType, "the newest such backup"},
		systemColumn{"backup_events", countType, "events that the shard shows in it"},
		systemColumn{"replay_from", datetimeType, "from when on a siphon has what came later"},
		systemColumn{"member", nameType, "whose it is; NULL for a server that is alone"},
	)},
	{name: "audit", comment: "who logged in, and who changed users, settings and schemas, or removed or took out data", rows: auditRows, columns: auditColumns},
	{name: "alarms", comment: "what went wrong and was kept from doing harm", columns: append([]systemColumn{
		{"at", datetimeType, "when it was noticed"},
		{"kind", nameType, "what it is"},
	}, inShard(
		systemColumn{"file", fileType, "the file concerned, if any"},
		systemColumn{"message", stringType, "what to do"},
		systemColumn{"member", nameType, "whose it is; NULL for a server that is alone"},
	)...)},
}

// systemTable is a table of arbor.
type systemTable struct {
	gateway    *Gateway
	database   string
	definition *systemTableDefinition
}

var _ sql.CommentedTable = (*systemTable)(nil)

// Name is the table's name.
func (t *systemTable) Name() string { return t.definition.name }

func (t *systemTable) String() string { return t.definition.name }

// Comment says what the table is.
func (t *systemTable) Comment() string { return t.definition.comment }

// Collation is the one that every column has.
func (t *systemTable) Collation() sql.CollationID { return eventsCollation }

// Schema has the columns.
func (t *systemTable) Schema(*sql.Context) sql.Schema {
	schema := make(sql.Schema, len(t.definition.columns))
	for i, c := range t.definition.columns {
		schema[i] = &sql.Column{Name: c.name, Type: c.sqlType, Nullable: true, Comment: c.comment,
			Source: t.definition.name, DatabaseSource: t.database}
	}
	return schema
}

// Partitions gives one.
func (t *systemTable) Partitions(*sql.Context) (sql.PartitionIter, error) {
	return sql.PartitionsToPartitionIter(onlyPartition{}), nil
}

// PartitionRows makes the rows.
func (t *systemTable) PartitionRows(ctx *sql.Context, _ sql.Partition) (sql.RowIter, error) {
	makeRows := t.definition.rows
	if makeRows == nil {
		makeRows = t.describe
	}
	rows, err := makeRows(ctx, t.gateway)
	if err != nil {
		return nil, err
	}
	if t.definition.name == "jobs" {
		moves, err := moveRows(t.gateway, t.definition.columns)
		if err != nil {
			return nil, err
		}
		rows = append(append(rows, moves...), stageJob(t.gateway, t.definition.columns)...)
	}
	return sql.RowsToRowIter(rows...), nil
}

// describe makes rows of what the engine describes, by the columns' names.
func (t *systemTable) describe(ctx *sql.Context, g *Gateway) ([]sql.Row, error) {
	described, err := g.cluster.Describe(ctx, t.definition.name)
	if err != nil {
		return nil, err
	}
	places := columnPlaces(described)
	c := g.catalogFor(ctx)
	var rows []sql.Row
	for _, values := range described.Rows {
		project, visible := projectOf(ctx, c, values, places)
		if !visible {
			continue
		}
		row := make(sql.Row, len(t.definition.columns))
		for i, column := range t.definition.columns {
			switch column.name {
			case "project":
				if project != "" {
					row[i] = project
				}
				continue
			case "project_id":
				column.name = "project"
			}
			if at, ok := places[column.name]; ok {
				if row[i], err = systemValue(values[at], described.Columns[at].Type, column.sqlType); err != nil {
					return nil, fmt.Errorf("column %s of arbor.%s: %w", column.name, t.definition.name, err)
				}
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func columnPlaces(t *exec.Table) map[string]int {
	places := make(map[string]int, len(t.Columns))
	for i, c := range t.Columns {
		places[c.Name] = i
	}
	return places
}

// projectOf is the name of the project that a described row is about, and
// whether the user may see it. Rows about no project are for everyone who may
// read the table.
func projectOf(ctx *sql.Context, c *catalog.Catalog, values []catalog.Value, places map[string]int) (string, bool) {
	at, ok := places["project"]
	if !ok || values[at].Kind != catalog.KindInt || values[at].Int() == 0 {
		return "", true
	}
	p, ok := c.ProjectByID(catalog.ProjectID(values[at].Int()))
	if !ok {
		return "", mayAdminister(ctx, "")
	}
	return p.Name, sees(ctx, p.Name)
}

// systemValue is a described value as a value of a column's type.
func systemValue(v catalog.Value, from catalog.Type, to sql.Type) (any, error) {
	switch v.Kind {
	case catalog.KindNull:
		return nil, nil
	case catalog.KindBool:
		return int8(v.Bits), nil
	case catalog.KindInt:
		if to == datetimeType || from == catalog.TypeDatetime {
			return time.UnixMicro(v.Int()).UTC(), nil
		}
		return v.Int(), nil
	case catalog.KindDouble:
		return v.Double(), nil
	case catalog.KindJSON:
		if to == types.JSON {
			return storedJSON(v.Text), nil
		}
	}
	return v.Text, nil
}
