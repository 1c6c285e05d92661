package gateway

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/dolthub/go-mysql-server/sql"

	"arbor/catalog"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// callPreviewPolicy counts the visible events of each day under the policies in
// force and under another one.
func (g *Gateway) callPreviewPolicy(ctx *sql.Context, project, policy, from, to string) (sql.RowIter, error) {
	p, err := g.projectFor(ctx, project, sql.PrivilegeType_Select)
	if err != nil {
		return nil, err
	}
	other, err := catalog.ParsePolicy(policy)
	if err != nil {
		return nil, catalogError(err)
	}
	first, last, err := parseDays(from, to)
	if err != nil {
		return nil, err
	}
	now, err := g.countDays(ctx, p, nil, first, last)
	if err != nil {
		return nil, err
	}
	then, err := g.countDays(ctx, p, &other, first, last)
	if err != nil {
		return nil, err
	}
	var days []catalog.Day
	for day := range now {
		days = append(days, day)
	}
	for day := range then {
		if _, ok := now[day]; !ok {
			days = append(days, day)
		}
	}
	slices.Sort(days)
	rows := make([]sql.Row, len(days))
	for i, day := range days {
		rows[i] = sql.Row{day.String(), now[day], then[day], then[day] - now[day]}
	}
	return sql.RowsToRowIter(rows...), nil
}

// countDays counts a project's visible events by day.
func (g *Gateway) countDays(ctx *sql.Context, p *catalog.Project, policy *catalog.Policy, first, last catalog.Day) (map[catalog.Day]int64, error) {
	f := &exec.Fragment{Project: p.ID, Policy: policy, Columns: []exec.Column{firstColumns[columnTime].exec}}
	bounds := &exec.Expr{Op: exec.OpAnd}
	if first != catalog.MinDay {
		bounds.Args = append(bounds.Args, &exec.Expr{Op: exec.OpMoreEq, Values: []catalog.Value{catalog.Int(first.Start())}})
	}
	if last != catalog.MaxDay {
		bounds.Args = append(bounds.Args, &exec.Expr{Op: exec.OpLess, Values: []catalog.Value{catalog.Int((last + 1).Start())}})
	}
	if len(bounds.Args) > 0 {
		f.Filter = bounds
	}
	counts := map[catalog.Day]int64{}
	_, err := g.cluster.Scan(ctx, f, func(b *exec.Batch) error {
		times, ok := b.Columns[0].(*array.Timestamp)
		if !ok {
			return fmt.Errorf("scan gave times as %s", b.Columns[0].DataType())
		}
		for _, t := range times.TimestampValues() {
			counts[catalog.DayOf(int64(t))]++
		}
		return nil
	})
	return counts, err
}

// callUndoDelete takes a DELETE back, in every shard that it touched.
func (g *Gateway) callUndoDelete(ctx *sql.Context, id string) (sql.RowIter, error) {
	deleted, err := catalog.ParseIngestID(strings.ToLower(strings.TrimSpace(id)))
	if err != nil {
		return nil, refuse(erWrongArguments, "HY000", "%s; SELECT id FROM arbor.deletes", err)
	}
	described, err := g.cluster.Describe(ctx, "deletes")
	if err != nil {
		return nil, err
	}
	places := columnPlaces(described)
	undo := event.Undo{ID: g.stamper.Stamp(), Delete: deleted}
	shards := map[catalog.ShardKey]bool{}
	for _, values := range described.Rows {
		if values[places["id"]].Text != deleted.String() || values[places["undone"]].Bool() {
			continue
		}
		shard, err := shardOf(values, places)
		if err != nil {
			return nil, err
		}
		p, ok := g.catalogFor(ctx).ProjectByID(shard.Project)
		if !ok || p.DroppedAt != 0 {
			continue
		}
		if err := requirePrivilege(ctx, p.Name, sql.PrivilegeType_Delete); err != nil {
			return nil, err
		}
		shards[shard] = true
	}
	if len(shards) == 0 {
		return nil, refuse(erWrongArguments, "HY000", "no DELETE with the id %s is in force; SELECT id FROM arbor.deletes WHERE NOT undone", deleted)
	}
	var records [][]byte
	for shard := range shards {
		record, err := event.AppendBatch(nil, &event.Batch{Shard: shard, Undos: []event.Undo{undo}})
		if err != nil {
			return nil, fmt.Errorf("encode the undo of %s in shard %s: %w", deleted, shard, err)
		}
		records = append(records, record)
	}
	markWritten(ctx)
	return nil, g.cluster.Append(ctx, records)
}

// shardOf is the shard that a described row is about.
func shardOf(values []catalog.Value, places map[string]int) (catalog.ShardKey, error) {
	day, err := parseDay(values[places["day"]].Text, catalog.MinDay)
	return catalog.ShardKey{
		Project: catalog.ProjectID(values[places["project"]].Int()),
		Day:     day,
		Bucket:  uint16(values[places["bucket"]].Int()),
	}, err
}
