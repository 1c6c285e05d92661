package oracle

import (
	"context"
	"fmt"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// Describe gives what a list knows about itself. Of a list's tables shards, sizes,
// digests, balance, duplicates and deletes have rows; files, jobs, alarms and loss
// are empty.
func (m *Model) Describe(ctx context.Context, table string) (*exec.Table, error) {
	columns, ok := tables[table]
	if !ok {
		return nil, fmt.Errorf("describe %s: no such table", table)
	}
	t := &exec.Table{Columns: columns}
	records := m.Records()
	for _, shard := range shardsOf(records) {
		for _, row := range m.describeShard(table, shard, ofShard(records, shard)) {
			start := []catalog.Value{catalog.Int(int64(shard.Project)), catalog.String(shard.Day.String()), catalog.Int(int64(shard.Bucket))}
			t.Rows = append(t.Rows, append(start, row...))
		}
	}
	return t, ctx.Err()
}

// describeShard gives the rows of one shard, without the columns that name it.
func (m *Model) describeShard(table string, shard catalog.ShardKey, records []Record) [][]catalog.Value {
	switch table {
	case "shards":
		return [][]catalog.Value{{catalog.Int(0), catalog.Int(0), catalog.Int(int64(m.Balance(shard).Accepted)), catalog.Bool(false)}}
	case "sizes":
		return [][]catalog.Value{{catalog.Int(int64(m.Balance(shard).Accepted)), catalog.Int(0)}}
	case "digests":
		d := Digest(records)
		return [][]catalog.Value{{catalog.Int(int64(d.Count)), catalog.String(d.String())}}
	case "balance":
		b := m.Balance(shard)
		return [][]catalog.Value{ints(b.Accepted, b.Visible, b.Retry, b.Conflict, b.Deleted, b.Quarantined)}
	case "duplicates":
		var rows [][]catalog.Value
		for _, r := range m.Answer(shard.Project, catalog.IngestID{}, nil).Rows {
			if r.Shard == shard && r.Duplicate() {
				rows = append(rows, []catalog.Value{
					catalog.String(r.Event.Name), catalog.String(r.Event.DistinctID), textOrNull(r.Event.InsertID),
					catalog.String(r.Event.ID.String()), catalog.String(r.DupOf.String()), catalog.String(r.Kind)})
			}
		}
		return rows
	case "deletes":
		var rows [][]catalog.Value
		for _, r := range distinct(records) {
			if d := r.Delete; d != nil {
				rows = append(rows, []catalog.Value{catalog.String(d.ID.String()), catalog.Int(int64(len(d.Targets))),
					catalog.Bool(isUndone(d, records, catalog.MaxIngestID))})
			}
		}
		return rows
	}
	return nil
}

// Balance accounts for every event that a shard accepted.
type Balance struct {
	Accepted, Visible, Retry, Conflict, Deleted, Quarantined int
}

// Balance is that of a shard now.
func (m *Model) Balance(shard catalog.ShardKey) Balance {
	answer := m.Answer(shard.Project, catalog.IngestID{}, nil)
	var b Balance
	for _, r := range answer.Rows {
		switch {
		case r.Shard != shard:
		case r.Kind == KindRetry:
			b.Retry++
		case r.Kind == KindConflict:
			b.Conflict++
		default:
			b.Visible++
		}
	}
	ofThis := func(rows []Row) (count int) {
		for _, r := range rows {
			if r.Shard == shard {
				count++
			}
		}
		return count
	}
	b.Deleted, b.Quarantined = ofThis(answer.Deleted), ofThis(answer.Quarantined)
	b.Accepted = accepted(ofShard(m.Records(), shard))
	return b
}

// accepted counts the events of a shard's records, physical repeats once.
func accepted(records []Record) int {
	forms := map[string]bool{}
	for _, r := range records {
		if r.Event != nil {
			forms[Bytes(r.Event)] = true
		}
	}
	return len(forms)
}

// Digest is the digest of a shard's records, physical repeats once.
func Digest(records []Record) event.Digest {
	var d event.Digest
	for _, r := range distinct(records) {
		switch {
		case r.Event != nil:
			d.AddEvent(r.Event)
		case r.Delete != nil:
			d.AddDelete(r.Delete)
		case r.Undo != nil:
			d.AddUndo(r.Undo)
		}
	}
	return d
}

// distinct is the set of the records.
func distinct(records []Record) []Record {
	seen := map[string]bool{}
	var out []Record
	for _, r := range records {
		var key string
		switch {
		case r.Event != nil:
			key = "event " + Bytes(r.Event)
		case r.Delete != nil:
			key = fmt.Sprintf("delete %s %v", r.Delete.ID, r.Delete.Targets)
		case r.Undo != nil:
			key = fmt.Sprintf("undo %s %s", r.Undo.ID, r.Undo.Delete)
		}
		key = r.Shard.String() + " " + key
		if !seen[key] {
			seen[key] = true
			out = append(out, r)
		}
	}
	return out
}

// Check finds nothing wrong with a list: it gives one row, without a problem.
func (m *Model) Check(ctx context.Context, project catalog.ProjectID) (*exec.Table, error) {
	events := 0
	for _, r := range m.Records() {
		if r.Event != nil && (project == 0 || r.Shard.Project == project) {
			events++
		}
	}
	return &exec.Table{
		Columns: columns("name string", "kind string", "project int", "day string", "bucket int", "events int", "ok bool", "problem string"),
		Rows: [][]catalog.Value{{catalog.String("list"), catalog.String("log"), catalog.Null, catalog.Null, catalog.Null,
			catalog.Int(int64(events)), catalog.Bool(true), catalog.Null}},
	}, ctx.Err()
}

// tables are the columns of what Describe gives.
var tables = map[string][]exec.TableColumn{
	"shards":     ofShardColumns("files int", "indexed_events int", "logged_events int", "closed bool"),
	"sizes":      ofShardColumns("events int", "bytes int"),
	"files":      ofShardColumns("file string", "bytes int", "events int", "min_time datetime", "max_time datetime", "sources int", "state string"),
	"digests":    ofShardColumns("records int", "digest string"),
	"balance":    ofShardColumns("accepted int", "visible int", "retry int", "conflict int", "deleted int", "quarantined int"),
	"duplicates": ofShardColumns("event string", "distinct_id string", "insert_id string", "ingest_id string", "dup_of string", "dup_kind string"),
	"deletes":    ofShardColumns("id string", "targets int", "undone bool"),
	"jobs":       columns("id int", "kind string", "project int", "day string", "bucket int", "state string", "progress double", "message string", "started_at datetime", "finished_at datetime"),
	"alarms":     columns("at datetime", "kind string", "project int", "day string", "bucket int", "file string", "message string"),
	"loss":       ofShardColumns("missing string", "trash_files int"),
}

func ofShardColumns(specs ...string) []exec.TableColumn {
	return columns(append([]string{"project int", "day string", "bucket int"}, specs...)...)
}

// columns reads "name type" pairs.
func columns(specs ...string) []exec.TableColumn {
	types := map[string]catalog.Type{"bool": catalog.TypeBool, "int": catalog.TypeInt, "double": catalog.TypeDouble, "string": catalog.TypeString, "datetime": catalog.TypeDatetime}
	var out []exec.TableColumn
	for _, s := range specs {
		var name, kind string
		fmt.Sscan(s, &name, &kind)
		out = append(out, exec.TableColumn{Name: name, Type: types[kind]})
	}
	return out
}

func ints(values ...int) []catalog.Value {
	var out []catalog.Value
	for _, v := range values {
		out = append(out, catalog.Int(int64(v)))
	}
	return out
}
