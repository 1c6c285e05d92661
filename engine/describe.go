package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// described is a table of Describe: its columns, and how it gets its rows, from
// each shard or from the engine.
type described struct {
	columns []exec.TableColumn
	shard   func(ctx context.Context, d *describing, v *view) error
	engine  func(d *describing)
}

// describing is one call of Describe.
type describing struct {
	engine  *Engine
	catalog *catalog.Catalog
	rows    [][]catalog.Value
}

// maxDescribed is how many rows a table gives at most.
const maxDescribed = 1 << 20

// describedTables are made anew for each call, so that nobody can change them.
func describedTables() map[string]described {
	return map[string]described{
		"shards": {columns: shardColumns("files int", "indexed_events int", "logged_events int", "closed bool", "bytes int",
			"logged_bytes int", "visible_events int", "state string"), shard: describeShard},
		"sizes": {columns: shardColumns("events int", "bytes int"), shard: describeSize},
		"files": {columns: shardColumns("file string", "bytes int", "events int", "min_time datetime", "max_time datetime",
			"sources int", "state string", "duplicates int", "digest string", "created_at datetime", "created_by string", "version int"), shard: describeFiles},
		"digests": {columns: shardColumns("records int", "digest string", "batches string"), shard: describeDigest},
		"balance": {columns: shardColumns("accepted int", "visible int", "retry int", "conflict int", "deleted int", "quarantined int"),
			shard: describeBalance},
		"duplicates": {columns: shardColumns("event string", "distinct_id string", "insert_id string", "ingest_id string", "dup_of string",
			"dup_kind string"), shard: describeDuplicates},
		"deletes": {columns: shardColumns("id string", "targets int", "undone bool", "deleted_at datetime"), shard: describeDeletes},
		"loss":    {columns: shardColumns("missing string", "trash_files int"), engine: describeLoss},
		"jobs": {columns: tableColumns("id int", "kind string", "project int", "day string", "bucket int", "state string", "progress double",
			"message string", "started_at datetime", "finished_at datetime"), engine: describeJobs},
		"alarms": {columns: tableColumns("at datetime", "kind string", "project int", "day string", "bucket int", "file string",
			"message string"), engine: describeAlarms},
	}
}

// Describe gives the rows of a table about the engine itself: shards, sizes, files,
// digests, balance, duplicates, jobs, deletes, alarms or loss. A damaged shard has a
// row in shards that says so, none in sizes, and makes the other tables about shards
// fail.
func (e *Engine) Describe(ctx context.Context, table string) (*exec.Table, error) {
	leave, err := e.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	t, ok := describedTables()[table]
	if !ok {
		return nil, fmt.Errorf("describe %s: %w", table, ErrNoTable)
	}
	d := &describing{engine: e, catalog: e.catalog.Load()}
	if t.engine != nil {
		t.engine(d)
		return &exec.Table{Columns: t.columns, Rows: d.rows}, nil
	}
	for _, s := range e.allShards() {
		if err := d.shard(ctx, table, &t, s); err != nil {
			return nil, fmt.Errorf("describe %s: %w", table, err)
		}
		if len(d.rows) > maxDescribed {
			d.rows = d.rows[:maxDescribed]
			break
		}
	}
	return &exec.Table{Columns: t.columns, Rows: d.rows}, nil
}

func (d *describing) shard(ctx context.Context, table string, t *described, s *shard) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	v, err := s.view(d.engine)
	if err != nil {
		if table == "shards" {
			null := catalog.Null
			d.row(s.key, null, null, null, null, null, null, null, catalog.String("damaged"))
			return nil
		}
		if table == "sizes" {
			return nil
		}
		return err
	}
	defer v.release()
	return t.shard(ctx, d, v)
}

// row adds a row about a shard.
func (d *describing) row(k catalog.ShardKey, values ...catalog.Value) {
	row := append([]catalog.Value{catalog.Int(int64(k.Project)), catalog.String(k.Day.String()), catalog.Int(int64(k.Bucket))}, values...)
	d.rows = append(d.rows, row)
}

func describeShard(ctx context.Context, d *describing, v *view) error {
	acc, err := v.account(ctx, d.catalog)
	if err != nil {
		return err
	}
	over := d.engine.now().UnixMicro() >= closesAt(v.shard.key.Day, d.catalog.CloseGrace())
	closed := over && len(v.logs) == 0 && len(v.files.files) == 1
	state := "open"
	if closed {
		state = "closed"
	}
	d.row(v.shard.key, integer(len(v.files.files)), catalog.Int(v.files.rows()), catalog.Int(v.events), catalog.Bool(closed),
		catalog.Int(v.files.bytes()), catalog.Int(v.bytes), catalog.Int(acc.visible()), catalog.String(state))
	return nil
}

// describeSize looks at no event: who asks wants to know about how many there are.
func describeSize(_ context.Context, d *describing, v *view) error {
	d.row(v.shard.key, catalog.Int(v.files.rows()+v.events), catalog.Int(v.files.bytes()))
	return nil
}

func describeFiles(_ context.Context, d *describing, v *view) error {
	for _, f := range v.files.files {
		duplicates, err := f.reader.Duplicates()
		if err != nil {
			return v.blame(err)
		}
		least, greatest := catalog.Null, catalog.Null
		if f.rows() > 0 {
			from, to := f.reader.TimeBounds()
			least, greatest = catalog.Int(from), catalog.Int(to)
		}
		d.row(v.shard.key, catalog.String(f.name.String()), catalog.Int(f.reader.Size()), integer(f.rows()), least, greatest,
			integer(len(f.meta.Sources)+len(f.meta.Replaces)), catalog.String("indexed"), integer(len(duplicates)),
			catalog.String(f.digest().String()), catalog.Int(f.name.madeAt()), catalog.String(f.meta.CreatedBy), catalog.Int(int64(f.reader.Version())))
	}
	return nil
}

func describeDigest(ctx context.Context, d *describing, v *view) error {
	digest, err := v.digest(ctx, d.catalog)
	if err != nil {
		return err
	}
	batches := catalog.Null
	if dots, named := v.dots(); named {
		batches = text(fmt.Sprintf("%016x", dots.Hash()))
	}
	d.row(v.shard.key, catalog.Int(int64(digest.Count)), catalog.String(digest.String()), batches)
	return nil
}

func describeBalance(ctx context.Context, d *describing, v *view) error {
	a, err := v.account(ctx, d.catalog)
	if err != nil {
		return err
	}
	d.row(v.shard.key, catalog.Int(a.accepted), catalog.Int(a.visible()), catalog.Int(a.retry), catalog.Int(a.conflict),
		catalog.Int(a.deleted), catalog.Int(a.quarantined))
	return nil
}

func describeDuplicates(ctx context.Context, d *describing, v *view) error {
	r := rulesFor(d.catalog, v.shard.key, catalog.IngestID{}, nil)
	r.detail = true
	st, err := v.state(ctx, r)
	if err != nil {
		return err
	}
	add := func(e *event.Event, dup *duplicate) {
		insertID := catalog.Null
		if e.InsertID != "" {
			insertID = text(strings.Clone(e.InsertID)) // the event's memory is used again
		}
		d.row(v.shard.key, text(strings.Clone(e.Name)), text(strings.Clone(e.DistinctID)), insertID, text(e.ID.String()), text(dup.of.String()), text(dup.kind.String()))
	}
	for i, f := range v.files.files {
		c := f.cursor()
		for j := range st.files[i].why {
			if len(d.rows) > maxDescribed {
				return nil
			}
			e, err := c.event(int(st.files[i].why[j].ordinal))
			if err != nil {
				return v.blame(err)
			}
			add(e, &st.files[i].why[j])
		}
	}
	return v.blame(v.eachLogged(ctx, func(number uint32, e *event.Event) {
		if dup := st.log.duplicate(number); dup != nil {
			add(e, dup)
		}
	}))
}

// eachLogged calls do with each logged event of the view.
func (v *view) eachLogged(ctx context.Context, do func(number uint32, e *event.Event)) error {
	var buffer []byte
	var batch event.Batch
	number := uint32(0)
	for _, r := range v.logs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := v.read(r, &buffer, &batch); err != nil {
			return err
		}
		for i := range batch.Events {
			do(number, &batch.Events[i])
			number++
		}
	}
	return nil
}

func describeDeletes(ctx context.Context, d *describing, v *view) error {
	all, err := v.tombstones(ctx)
	if err != nil {
		return err
	}
	undone := map[catalog.IngestID]bool{}
	for _, u := range all.undos {
		undone[u.Delete] = true
	}
	for _, del := range all.deletes {
		d.row(v.shard.key, text(del.ID.String()), integer(len(del.Targets)), catalog.Bool(undone[del.ID]), catalog.Int(int64(del.ID.Time/1000)))
	}
	return nil
}

// tombstones are the deletes and undos of the view, each once.
func (v *view) tombstones(ctx context.Context) (tombstones, error) {
	if _, err := v.state(ctx, rules{asOf: catalog.MaxIngestID}); err != nil {
		return tombstones{}, err
	}
	var all tombstones
	all.add(&v.files.marks)
	t := v.tail
	if err := t.turn.take(ctx); err != nil {
		return all, err
	}
	defer t.turn.give()
	for i := range t.marks {
		if m := &t.marks[i]; m.batch < len(v.logs) {
			all.addBatch(m.deletes, m.undos)
		}
	}
	all.compact()
	return all, nil
}

func describeJobs(d *describing) {
	for _, j := range d.engine.jobs.all() {
		state, message, finished := j.status()
		end := catalog.Null
		if !finished.IsZero() {
			end = moment(finished)
		}
		project, day, bucket := shardValues(j.shard)
		d.rows = append(d.rows, []catalog.Value{catalog.Int(j.id), text(j.kind), project, day, bucket, text(state),
			catalog.Double(j.progress()), text(message), moment(j.started), end})
	}
}

func describeAlarms(d *describing) {
	for _, a := range d.engine.alarms.all() {
		project, day, bucket := shardValues(a.shard)
		file := catalog.Null
		if a.file != "" {
			file = text(a.file)
		}
		d.rows = append(d.rows, []catalog.Value{moment(a.at), text(a.kind), project, day, bucket, file, text(a.message)})
	}
}

// shardValues name a shard; nulls where there is none.
func shardValues(k catalog.ShardKey) (project, day, bucket catalog.Value) {
	if k == (catalog.ShardKey{}) {
		return catalog.Null, catalog.Null, catalog.Null
	}
	return catalog.Int(int64(k.Project)), text(k.Day.String()), catalog.Int(int64(k.Bucket))
}

func text(s string) catalog.Value      { return catalog.String(s) }
func integer(n int) catalog.Value      { return catalog.Int(int64(n)) }
func moment(t time.Time) catalog.Value { return catalog.Int(t.UnixMicro()) }

func shardColumns(specs ...string) []exec.TableColumn {
	return tableColumns(append([]string{"project int", "day string", "bucket int"}, specs...)...)
}

// tableColumns reads "name type" pairs.
func tableColumns(specs ...string) []exec.TableColumn {
	types := map[string]catalog.Type{
		"bool": catalog.TypeBool, "int": catalog.TypeInt, "double": catalog.TypeDouble,
		"string": catalog.TypeString, "datetime": catalog.TypeDatetime,
	}
	columns := make([]exec.TableColumn, len(specs))
	for i, s := range specs {
		var name, kind string
		fmt.Sscan(s, &name, &kind)
		columns[i] = exec.TableColumn{Name: name, Type: types[kind]}
	}
	return columns
}
