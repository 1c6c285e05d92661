package gateway

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/zeebo/xxh3"

	"arbor/catalog"
	"arbor/engine/exec"
)

// CALL arbor.export writes a project's events, each once, day by day:
//
//	scan of a part of a day ─▶ Take: which of them are new ─▶ arrowWriter ─▶ ExportFiles.Write
//
// What an export that follows another one leaves out is decided by the ids that the
// other held and by nothing else: events are not taken in in the order of their ids,
// neither over all edges (siphons deliver late, replays later) nor within one (of two
// requests the later one may be durable first), so no id, nor one for each edge, says
// what was there. And what was there may go, and come back: deletes, an earlier copy, a policy.

// Limits of an export.
const (
	// maxExportShards is how many shards of all projects there may be: more are not
	// listed.
	maxExportShards = 1 << 20
	// DefaultExportPart is how many events of a day are taken at once, unless a single
	// shard has more: their ids are in memory.
	DefaultExportPart = 4 << 20
	// exportIDBytes is what an id takes, with what growing slices leave behind.
	exportIDBytes = 3 * catalog.IngestIDSize
)

var exportSchema = answerSchema(
	systemColumn{"directory", stringType, ""}, systemColumn{"files", countType, ""}, systemColumn{"events", countType, ""},
	systemColumn{"removed", countType, ""}, systemColumn{"visible", countType, ""}, systemColumn{"bytes", countType, ""},
	systemColumn{"events_digest", nameType, ""})

// exportOptions are those of CALL arbor.export, as 'FORMAT=arrow SINCE=monday'.
type exportOptions struct {
	format, since string
	from, to      catalog.Day
}

func parseExportOptions(text string) (o exportOptions, err error) {
	o = exportOptions{format: "parquet", from: catalog.MinDay, to: catalog.MaxDay}
	seen := map[string]bool{}
	from, to := "", ""
	for _, part := range strings.Fields(text) {
		name, value, ok := strings.Cut(part, "=")
		name = strings.ToUpper(name)
		if !ok || value == "" || seen[name] {
			return o, refuse(erWrongArguments, "HY000", "export: '%s': want each of FORMAT=parquet|arrow, SINCE=name, FROM=day, TO=day once at most", clip(part))
		}
		seen[name] = true
		switch name {
		case "FORMAT":
			o.format = strings.ToLower(value)
		case "SINCE":
			o.since = value
		case "FROM":
			from = value
		case "TO":
			to = value
		default:
			return o, refuse(erWrongArguments, "HY000", "export: there is no option '%s'; FORMAT, SINCE, FROM and TO are", clip(name))
		}
	}
	o.from, o.to, err = parseDays(from, to)
	return o, err
}

// callExport writes an export. The user may read the events, and write files.
func (g *Gateway) callExport(ctx *sql.Context, project, name, options string) (sql.RowIter, error) {
	if err := requirePrivilege(ctx, "", sql.PrivilegeType_File); err != nil {
		return nil, err
	}
	p, err := g.projectFor(ctx, project, sql.PrivilegeType_Select)
	if err != nil {
		return nil, err
	}
	if g.exports == nil {
		return nil, errNoExports
	}
	o, err := parseExportOptions(options)
	if err != nil {
		return nil, err
	}
	e, err := g.newEventExport(ctx, p)
	if err != nil {
		return nil, err
	}
	e.files, err = g.exports.Begin(ExportRequest{Name: name, Format: o.format, Since: o.since, Project: p, Schema: e.schema})
	if err != nil {
		return nil, g.exportError(err)
	}
	defer func() {
		if err := e.files.Abort(); err != nil {
			g.logger.Error("remove what was written of an export", "export", name, "error", err)
		}
	}()
	if err := e.run(o); err != nil {
		return nil, g.exportError(err)
	}
	if err := interruption(ctx); err != nil {
		return nil, err
	}
	made, err := e.files.Commit()
	if err != nil {
		return nil, g.exportError(err)
	}
	return sql.RowsToRowIter(sql.Row{made.Directory, int64(made.Files), made.Events, made.Removed, made.Visible, made.Bytes, made.Digest}), nil
}

// eventExport is an export under way.
type eventExport struct {
	gateway *Gateway
	ctx     *sql.Context
	table   *eventsTable // one row is: what * stands for, _ingest_id, _shard
	columns sql.Schema   // without _shard
	schema  *arrow.Schema
	files   ExportFiles
	rules   string // those that the days' states are of
	done    int64
	total   int64
}

// newEventExport looks the table up as it is now, and as the session's AS OF says.
func (g *Gateway) newEventExport(ctx *sql.Context, p *catalog.Project) (*eventExport, error) {
	asOf, err := sessionAsOf(ctx)
	if err != nil {
		return nil, err
	}
	t := (&database{gateway: g, project: p}).table(ctx, eventsName, asOf, true)
	t.copies = false // whatever arbor_dedupe is: an export has each event once
	projected, err := t.WithProjections(ctx, append(visibleColumns(p), "_ingest_id", "_shard"))
	if err != nil {
		return nil, err
	}
	e := &eventExport{gateway: g, ctx: ctx, table: projected.(*eventsTable)}
	e.columns = e.table.Schema(ctx)
	e.columns = e.columns[:len(e.columns)-1]
	e.schema = arrowSchema(e.columns, false)
	return e, nil
}

// exportShard is a shard with about how many events it has.
type exportShard struct {
	bucket uint16
	events int64
}

// run takes all days.
func (e *eventExport) run(o exportOptions) error {
	shards, err := e.shards()
	if err != nil {
		return err
	}
	if e.rules, err = e.rulesIn(e.gateway.Catalog()); err != nil {
		return err
	}
	before, err := e.states()
	if err != nil {
		return err
	}
	for _, day := range e.files.Days() {
		if _, ok := shards[day]; !ok {
			shards[day] = nil
		}
	}
	days := make([]catalog.Day, 0, len(shards))
	for day := range shards {
		days = append(days, day)
	}
	slices.Sort(days)
	for _, day := range days {
		if err := interruption(e.ctx); err != nil {
			return err
		}
		state := before[day]
		if day < o.from || day > o.to || state != "" && state == e.files.State(day) {
			err = e.files.Keep(day)
		} else {
			err = e.day(day, shards[day], state)
		}
		if err != nil {
			return fmt.Errorf("day %s: %w", day, err)
		}
		for _, s := range shards[day] {
			e.done += s.events
		}
		e.files.Progress(e.done, e.total)
	}
	// Where the state is another one by now, it is not known which events were seen.
	after, err := e.states()
	for _, day := range days {
		if before[day] != after[day] {
			e.files.Forget(day)
		}
	}
	return err
}

// day takes a day's events in parts, under one catalog if their state is to be known.
func (e *eventExport) day(day catalog.Day, shards []exportShard, state string) error {
	current := e.gateway.Catalog()
	if rules, err := e.rulesIn(current); err != nil || rules != e.rules {
		state = ""
	}
	for first := 0; first <= maxBucketNumber; {
		last, events := maxBucketNumber, int64(0)
		for i, s := range shards {
			if int(s.bucket) < first {
				continue
			}
			if events += s.events; events > e.gateway.exportPart && i > 0 && int(shards[i-1].bucket) >= first {
				last = int(s.bucket) - 1
				break
			}
		}
		if err := e.part(day, uint16(first), uint16(last), state); err != nil {
			return err
		}
		first = last + 1
	}
	if e.gateway.Catalog().Version != current.Version {
		e.files.Forget(day)
	}
	return nil
}

const maxBucketNumber = 1<<16 - 1

// part takes the events of some buckets of a day.
func (e *eventExport) part(day catalog.Day, first, last uint16, state string) error {
	held := newHolding(e.ctx)
	defer held.release()
	ids, err := e.files.BeginPart(day, last)
	if err != nil {
		return err
	}
	if err := held.take(int64(ids) * exportIDBytes); err != nil {
		return err
	}
	scan := e.scan(day, first, last)
	rows := &arrowWriter{
		schemaOf: func(*arrow.Schema) error { return nil },
		sink:     e.files.Write,
	}
	defer rows.close()
	if err := rows.begin(e.ctx, e.columns, scan.layout()); err != nil {
		return err
	}
	err = scan.batches(e.ctx, func(b *exec.Batch) error {
		fresh, taken, err := e.fresh(b, scan.layout(), day, first, last)
		if err != nil {
			return err
		}
		if err := held.take(int64(taken) * exportIDBytes); err != nil || len(fresh) == 0 {
			return err
		}
		return rows.batch(e.ctx, &exec.Batch{Columns: b.Columns, Rows: b.Rows, Runs: fresh})
	})
	if err != nil {
		return err
	}
	if _, err := rows.end(); err != nil {
		return err
	}
	return e.files.EndPart(state)
}

// scan is that of some buckets of a day.
func (e *eventExport) scan(day catalog.Day, first, last uint16) *columnScan {
	t := *e.table
	t.filtered = true
	t.filterColumns = []exec.Column{firstColumns[columnTime].exec}
	t.filter = &exec.Expr{Op: exec.OpAnd, Args: []*exec.Expr{
		{Op: exec.OpMoreEq, Values: []catalog.Value{catalog.Int(day.Start())}},
		{Op: exec.OpLess, Values: []catalog.Value{catalog.Int((day + 1).Start())}},
	}}
	s := &columnScan{table: &t, window: rowWindow{end: unlimited}}
	s.read, s.shape.places = t.fragment()
	s.read.Runs = true
	if buckets := t.project.Buckets; first > 0 || int(last) < int(buckets)-1 {
		s.read.Buckets = []uint16{}
		for b := int(first); b <= int(last) && b < int(buckets); b++ {
			s.read.Buckets = append(s.read.Buckets, uint16(b))
		}
	}
	s.shape.width, s.shape.kinds = t.width(), kindsOf(s.read)
	s.shape.columns = make([]columnSource, len(e.columns))
	for i, place := range s.shape.places {
		if place < len(e.columns) {
			s.shape.columns[place] = columnSource{place: i}
		}
	}
	return s
}

// fresh notes a batch's events, and gives the runs of those that are to be written.
func (e *eventExport) fresh(b *exec.Batch, l *batchLayout, day catalog.Day, first, last uint16) (runs []exec.Run, taken int, err error) {
	ids, err := batchTexts(b.Columns[slices.Index(l.places, len(e.columns)-1)])
	if err != nil {
		return nil, 0, err
	}
	names, err := batchTexts(b.Columns[slices.Index(l.places, len(e.columns))])
	if err != nil {
		return nil, 0, err
	}
	all := b.Runs
	if all == nil {
		all = []exec.Run{{Lo: 0, Hi: b.Rows}}
	}
	shard, name := catalog.ShardKey{}, ""
	for _, r := range all {
		for row := r.Lo; row < r.Hi; row++ {
			if n := names(row); n != name || name == "" {
				var ok bool
				if shard, ok = catalog.ParseShardKey(n); !ok || shard.Day != day {
					return nil, 0, fmt.Errorf("scan of day %s gave an event of shard %q", day, n)
				}
				name = strings.Clone(n)
			}
			if shard.Bucket < first || shard.Bucket > last {
				continue // members answer for all that they hold together; it is another part's
			}
			var id [catalog.IngestIDSize]byte
			text := ids(row)
			if len(text) != hex.EncodedLen(len(id)) {
				return nil, 0, fmt.Errorf("scan gave the ingest id %q", text)
			}
			if _, err := hex.Decode(id[:], []byte(text)); err != nil {
				return nil, 0, fmt.Errorf("scan gave the ingest id %q: %w", text, err)
			}
			if !e.files.Take(shard.Bucket, id) {
				continue
			}
			taken++
			if n := len(runs); n > 0 && runs[n-1].Hi == row {
				runs[n-1].Hi++
			} else {
				runs = append(runs, exec.Run{Lo: row, Hi: row + 1})
			}
		}
	}
	return runs, taken, nil
}

// batchTexts gives the texts of a batch's column without NULLs, valid as long as it is.
func batchTexts(a arrow.Array) (func(row int) string, error) {
	switch a := a.(type) {
	case *array.String:
		return a.Value, nil
	case *array.Dictionary:
		words, ok := a.Dictionary().(*array.String)
		if !ok {
			break
		}
		code, err := codesOf(a)
		return func(row int) string {
			if w := code(row); w < words.Len() {
				return words.Value(w)
			}
			return ""
		}, err
	}
	return nil, fmt.Errorf("scan gave texts as %s", a.DataType())
}

// each gives what a system table says of each of the project's shards.
func (e *eventExport) each(table string, do func(k catalog.ShardKey, of func(column string) catalog.Value)) error {
	described, err := e.gateway.cluster.Describe(e.ctx, table)
	if err != nil {
		return err
	}
	if len(described.Rows) >= maxExportShards {
		return refuse(codeCapacity, stateGeneral, "export: there are more than %d shards", maxExportShards)
	}
	places := columnPlaces(described)
	for _, values := range described.Rows {
		k, err := shardOf(values, places)
		if err != nil {
			return err
		}
		if k.Project == e.table.project.ID {
			do(k, func(column string) catalog.Value { return values[places[column]] })
		}
	}
	return nil
}

// shards lists the project's shards by day, and counts their events.
func (e *eventExport) shards() (map[catalog.Day][]exportShard, error) {
	shards := map[catalog.Day][]exportShard{}
	err := e.each("shards", func(k catalog.ShardKey, of func(string) catalog.Value) {
		s := exportShard{bucket: k.Bucket}
		for _, column := range []string{"indexed_events", "logged_events"} {
			if v := of(column); v != catalog.Null {
				s.events += v.Int()
			}
		}
		shards[k.Day] = append(shards[k.Day], s)
		e.total += s.events
	})
	if err != nil {
		return nil, err
	}
	for _, day := range shards {
		slices.SortFunc(day, func(a, b exportShard) int { return int(a.bucket) - int(b.bucket) })
	}
	return shards, nil
}

// rulesIn are what decides, beside the events, which of them are visible.
func (e *eventExport) rulesIn(c *catalog.Catalog) (string, error) {
	p, ok := c.ProjectByID(e.table.project.ID)
	if !ok {
		return "", errors.New("the project is gone")
	}
	var erasures []catalog.Erasure
	for _, x := range c.Erasures {
		if x.Project == p.ID {
			erasures = append(erasures, x)
		}
	}
	rules, err := json.Marshal([]any{p.Policies, p.Truncations, erasures, e.table.asOf, p.Buckets})
	return string(rules), err
}

// states names, for each day, all that decides which events are visible: what is stored,
// and the rules. Two equal names, of whatever time, mean the same events.
func (e *eventExport) states() (map[catalog.Day]string, error) {
	rules, err := e.rulesIn(e.gateway.Catalog())
	if err != nil {
		return nil, err
	}
	contents, unknown := map[catalog.Day][]string{}, false
	err = e.each("digests", func(k catalog.ShardKey, of func(string) catalog.Value) {
		records := of("records")
		if records == catalog.Null { // nobody who has it answers
			unknown = true
			return
		}
		contents[k.Day] = append(contents[k.Day], fmt.Sprintf("%05d %d %s", k.Bucket, records.Int(), of("digest").Text))
	})
	if err != nil || unknown {
		return map[catalog.Day]string{}, err
	}
	states := make(map[catalog.Day]string, len(contents))
	for day, shards := range contents {
		slices.Sort(shards)
		h := xxh3.HashString128(strings.Join(append(shards, rules), "\n"))
		states[day] = fmt.Sprintf("%016x%016x", h.Hi, h.Lo)
	}
	return states, nil
}
