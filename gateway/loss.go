package gateway

import (
	"fmt"
	"maps"
	"slices"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/catalog"
)

// lossRows are the shards that cannot be read whole, each with the copies that
// there are of it, or without any.
func lossRows(ctx *sql.Context, g *Gateway) ([]sql.Row, error) {
	described, err := g.cluster.Describe(ctx, "loss")
	if err != nil {
		return nil, err
	}
	places := columnPlaces(described)
	var rows []sql.Row
	shards := map[int]catalog.ShardKey{} // of rows
	for _, values := range described.Rows {
		project, visible := projectOf(ctx, g.catalogFor(ctx), values, places)
		if !visible {
			continue
		}
		var member any
		if at, ok := places["member"]; ok {
			member = values[at].Text
		}
		if project == "" && values[places["project"]].Kind == catalog.KindNull { // a member does not answer
			rows = append(rows, sql.Row{nil, nil, nil, nil, values[places["missing"]].Text, nil, nil, nil, nil, nil, member})
			continue
		}
		shard, err := shardOf(values, places)
		if err != nil {
			return nil, fmt.Errorf("arbor.loss: %w", err)
		}
		trash, err := systemValue(values[places["trash_files"]], described.Columns[places["trash_files"]].Type, countType)
		if err != nil {
			return nil, fmt.Errorf("arbor.loss: %w", err)
		}
		row := sql.Row{nil, int64(shard.Project), shard.Day.String(), int64(shard.Bucket), values[places["missing"]].Text, trash, nil, nil, nil, nil, member}
		if project != "" {
			row[0] = project
		}
		shards[len(rows)] = shard
		rows = append(rows, row)
	}
	if g.keeper == nil || len(shards) == 0 {
		return rows, nil
	}
	return withCopies(rows, shards, g.keeper.Copies(ctx, slices.Collect(maps.Values(shards)))), nil
}

// withCopies gives each row as often as there are copies of its shard.
func withCopies(rows []sql.Row, shards map[int]catalog.ShardKey, copies map[catalog.ShardKey][]Copy) (all []sql.Row) {
	for i, row := range rows {
		of := copies[shards[i]]
		if len(of) == 0 {
			all = append(all, row)
		}
		for _, c := range of {
			copied := slices.Clone(row)
			copied[6], copied[7], copied[8], copied[9] = c.Store, c.Backup, c.Events, c.ReplayFrom.UTC()
			all = append(all, copied)
		}
	}
	return all
}
