package gateway

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	"github.com/dolthub/go-mysql-server/sql/plan"
	"github.com/dolthub/go-mysql-server/sql/transform"
	"github.com/dolthub/go-mysql-server/sql/types"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// A DELETE stores tombstones: records that name the ids of what is deleted, in
// the shards that hold it. The stock evaluator says which visible rows its WHERE
// means; from events their other copies go with them, or the next one would come
// to light; from events_all only the copies that were meant. All tombstones of a
// statement bear its id, become durable together, and can be taken back by
// CALL arbor.undo_delete.

// Limits of a DELETE.
const (
	// MaxDeleted is the most copies that one statement deletes: their ids are in
	// memory until all are known.
	MaxDeleted = 4 << 20
	// deleteTargets is how many ids one tombstone holds.
	deleteTargets = 1 << 16
)

// deleteTarget is a stored copy that is deleted.
type deleteTarget struct {
	shard catalog.ShardKey
	id    catalog.IngestID
}

// deletion is a DELETE that runs.
type deletion struct {
	gateway *Gateway
	targets []deletionTarget
}

// deletionTarget is one of the tables that a DELETE deletes from.
type deletionTarget struct {
	table   *eventsTable
	columns [4]int // places in the joined row: ingest id, time, distinct id, insert id
	found   map[catalog.IngestID]catalog.ShardKey
	users   map[string]bool
}

// delete runs a DELETE from events tables.
func (g *Gateway) delete(ctx *sql.Context, base sql.NodeExecBuilder, n *plan.DeleteFrom, outer sql.Row) (sql.RowIter, error) {
	if len(n.Returning) > 0 {
		return nil, unsupported("DELETE … RETURNING: SELECT the events first")
	}
	d, err := g.bindDelete(ctx, n)
	if err != nil {
		return nil, err
	}
	rows, err := base.Build(ctx, readOnly(ctx, n, d), outer)
	if err != nil {
		return nil, err
	}
	count, err := d.run(ctx, rows)
	if err != nil {
		return nil, err
	}
	return answerOK(ctx, types.NewOkResult(count)), nil
}

// bindDelete finds the tables that a DELETE deletes from.
func (g *Gateway) bindDelete(ctx *sql.Context, n *plan.DeleteFrom) (*deletion, error) {
	d := &deletion{gateway: g}
	for _, target := range n.GetDeleteTargets() {
		if err := d.bind(ctx, n, target); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// bind finds a target's columns in the rows below the DELETE.
func (d *deletion) bind(ctx *sql.Context, n *plan.DeleteFrom, target sql.Node) error {
	deletable, err := plan.GetDeletable(target)
	if err != nil {
		return err
	}
	t, ok := sql.GetUnderlyingTable(deletable).(*eventsTable)
	if !ok {
		return fmt.Errorf("delete from %s: %w", deletable.Name(), plan.ErrDeleteFromNotSupported.New())
	}
	if err := t.writable(ctx); err != nil {
		return err
	}
	source := t.name
	transform.InspectWithOpaque(ctx, target, func(_ *sql.Context, n sql.Node) bool {
		if alias, ok := n.(*plan.TableAlias); ok {
			source = alias.Name()
			return false
		}
		return true
	})
	bound := deletionTarget{table: t, found: map[catalog.IngestID]catalog.ShardKey{}, users: map[string]bool{}}
	for i, name := range []string{"_ingest_id", "time", "distinct_id", "insert_id"} {
		at := slices.IndexFunc(n.Child.Schema(ctx), func(c *sql.Column) bool {
			return strings.EqualFold(c.Source, source) && strings.EqualFold(c.Name, name)
		})
		if at < 0 {
			return fmt.Errorf("delete from %s: the plan lost column %s", source, name)
		}
		bound.columns[i] = at
	}
	d.targets = append(d.targets, bound)
	return nil
}

// writable refuses to change the past.
func (t *eventsTable) writable(*sql.Context) error {
	if !t.asOf.IsZero() {
		return refuse(erReadOnlyTable, "HY000", "Table '%s' is read as of an earlier moment and cannot be changed; SET %s = '' first", t.name, variableAsOf)
	}
	return nil
}

// readOnly makes the scan of a DELETE from one table read only the columns that
// it needs: the planner wants rows of the full width.
func readOnly(ctx *sql.Context, n *plan.DeleteFrom, d *deletion) sql.Node {
	needed := map[int]bool{}
	for _, t := range d.targets {
		for _, at := range t.columns {
			needed[at] = true
		}
	}
	simple := true
	var scan *scanTarget
	var rebuild []sql.Node
	for node := n.Child; simple && scan == nil; {
		if s, ok := findScan(node); ok && len(s.prefix) == 0 {
			scan = &s
			break
		}
		switch node.(type) {
		case *plan.Filter, *plan.Sort, *plan.TopN, *plan.Limit, *plan.Offset:
			for _, e := range node.(sql.Expressioner).Expressions() {
				sql.Inspect(ctx, e, func(_ *sql.Context, e sql.Expression) bool {
					switch e := e.(type) {
					case *expression.GetField:
						needed[e.Index()] = true
					case *plan.Subquery, *plan.InSubquery, *plan.ExistsSubquery:
						simple = false
					}
					return simple
				})
			}
			rebuild = append(rebuild, node)
			node = node.Children()[0]
		default:
			simple = false
		}
	}
	if !simple {
		return n.Child
	}
	child, err := scan.rebuild(ctx, scan.table.withOnly(needed))
	for i := len(rebuild) - 1; err == nil && i >= 0; i-- {
		child, err = rebuild[i].WithChildren(ctx, child)
	}
	if err != nil {
		return n.Child
	}
	return child
}

// run collects what the rows mean and deletes it. It counts the rows.
func (d *deletion) run(ctx *sql.Context, rows sql.RowIter) (count int, err error) {
	defer func() {
		if e := rows.Close(ctx); err == nil {
			err = e
		}
	}()
	for {
		row, err := rows.Next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, err
		}
		for i := range d.targets {
			if err := d.targets[i].take(row); err != nil {
				return 0, err
			}
		}
	}
	id := d.gateway.stamper.Stamp()
	var all []deleteTarget
	for i := range d.targets {
		t := &d.targets[i]
		count += len(t.found)
		for id, shard := range t.found {
			all = append(all, deleteTarget{shard, id})
		}
		if len(all) > d.gateway.maxDeleted {
			return 0, d.gateway.tooManyDeleted()
		}
		if !t.table.copies {
			if all, err = t.appendCopies(ctx, d.gateway, all); err != nil {
				return 0, err
			}
		}
	}
	if len(all) == 0 {
		return 0, nil
	}
	markWritten(ctx)
	return count, d.gateway.appendDeletes(ctx, id, all)
}

// take notes the copy that a row is.
func (t *deletionTarget) take(row sql.Row) error {
	text, ok := row[t.columns[0]].(string)
	if !ok {
		return nil // the outer side of a join has no row here
	}
	id, err := catalog.ParseIngestID(text)
	if err != nil {
		return err
	}
	at, ok := row[t.columns[1]].(time.Time)
	user, ok2 := row[t.columns[2]].(string)
	if !ok || !ok2 {
		return fmt.Errorf("delete %s: its row has no time or user", id)
	}
	insertID, _ := row[t.columns[3]].(string)
	t.found[id] = t.table.project.Shard(at.UnixMicro(), user, insertID)
	t.users[user] = true
	if g := t.table.gateway; len(t.found) > g.maxDeleted {
		return g.tooManyDeleted()
	}
	return nil
}

func (g *Gateway) tooManyDeleted() error {
	return refuse(erGeneral, "HY000", "DELETE of more than %d copies at once; delete them by ranges of time, or use TRUNCATE TABLE", g.maxDeleted)
}

// userFilter is how many users a scan for copies names; more are not filtered.
const userFilter = 1000

// appendCopies appends the other copies of what was found.
func (t *deletionTarget) appendCopies(ctx *sql.Context, g *Gateway, all []deleteTarget) ([]deleteTarget, error) {
	if len(t.found) == 0 {
		return all, nil
	}
	first, last := catalog.MaxDay, catalog.MinDay
	for _, shard := range t.found {
		first, last = min(first, shard.Day), max(last, shard.Day)
	}
	f := &exec.Fragment{Project: t.table.project.ID, Copies: true, Columns: []exec.Column{
		{Source: exec.SourceIngestID, Type: catalog.TypeString},
		{Source: exec.SourceDupOf, Type: catalog.TypeString},
		{Source: exec.SourceDuplicate, Type: catalog.TypeBool, Hidden: true},
		{Source: exec.SourceTime, Type: catalog.TypeDatetime, Hidden: true},
		{Source: exec.SourceDistinctID, Type: catalog.TypeString, Hidden: true},
	}}
	f.Filter = &exec.Expr{Op: exec.OpAnd, Args: []*exec.Expr{
		{Op: exec.OpEqual, Column: 2, Values: []catalog.Value{catalog.Bool(true)}},
		{Op: exec.OpMoreEq, Column: 3, Values: []catalog.Value{catalog.Int(first.Start())}},
		{Op: exec.OpLess, Column: 3, Values: []catalog.Value{catalog.Int((last + 1).Start())}},
	}}
	if len(t.users) <= userFilter {
		f.Filter.Args = append(f.Filter.Args, &exec.Expr{Op: exec.OpIn, Column: 4, Values: stringValues(maps.Keys(t.users))})
	}
	err := g.scanRows(ctx, f, func(row sql.Row) error {
		survivor, err := catalog.ParseIngestID(row[1].(string))
		if err != nil {
			return err
		}
		shard, ok := t.found[survivor]
		if !ok {
			return nil
		}
		id, err := catalog.ParseIngestID(row[0].(string))
		if err != nil {
			return err
		}
		if len(all) >= g.maxDeleted {
			return g.tooManyDeleted()
		}
		all = append(all, deleteTarget{shard, id})
		return nil
	})
	return all, err
}

// scanRows gives a fragment's rows to visit.
func (g *Gateway) scanRows(ctx context.Context, f *exec.Fragment, visit func(sql.Row) error) error {
	maker := newRowMaker(f)
	_, err := g.cluster.Scan(ctx, f, func(b *exec.Batch) error {
		return maker.make(b, func(rows []sql.Row) error {
			for _, row := range rows {
				if err := visit(row); err != nil {
					return err
				}
			}
			return nil
		})
	})
	return err
}

// appendDeletes makes tombstones of a statement durable, all or none.
func (g *Gateway) appendDeletes(ctx context.Context, id catalog.IngestID, targets []deleteTarget) error {
	slices.SortFunc(targets, func(a, b deleteTarget) int {
		if c := a.shard.Compare(b.shard); c != 0 {
			return c
		}
		return a.id.Compare(b.id)
	})
	targets = slices.Compact(targets)
	var records [][]byte
	for len(targets) > 0 {
		shard := targets[0].shard
		tombstone := event.Delete{ID: id}
		for len(targets) > 0 && targets[0].shard == shard && len(tombstone.Targets) < deleteTargets {
			tombstone.Targets = append(tombstone.Targets, targets[0].id)
			targets = targets[1:]
		}
		record, err := event.AppendBatch(nil, &event.Batch{Shard: shard, Deletes: []event.Delete{tombstone}})
		if err != nil {
			return fmt.Errorf("encode tombstones of shard %s: %w", shard, err)
		}
		records = append(records, record)
	}
	return g.cluster.Append(ctx, records)
}

// truncate hides all that was taken in until now, until CALL
// arbor.undo_truncate. It counts the rows that the table showed.
func (g *Gateway) truncate(ctx *sql.Context, t *eventsTable) (sql.RowIter, error) {
	if err := t.writable(ctx); err != nil {
		return nil, err
	}
	count := 0
	_, err := g.cluster.Scan(ctx, &exec.Fragment{Project: t.project.ID, Copies: t.copies}, func(b *exec.Batch) error {
		count += b.Rows
		return nil
	})
	if err != nil {
		return nil, err
	}
	markWritten(ctx)
	id := g.stamper.Stamp()
	if _, err := g.change(ctx, catalog.Truncate{Project: t.project.ID, ID: id, UpTo: id}); err != nil {
		return nil, catalogError(err)
	}
	return answerOK(ctx, types.NewOkResult(count)), nil
}
