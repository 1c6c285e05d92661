package gateway

import (
	"fmt"

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
		var copies []Copy
		if g.keeper != nil {
			copies = g.keeper.Copies(ctx, shard)
		}
		for _, c := range copies {
			copied := append(sql.Row{}, row...)
			copied[6], copied[7], copied[8], copied[9] = c.Store, c.Backup, c.Events, c.ReplayFrom.UTC()
			rows = append(rows, copied)
		}
		if len(copies) == 0 {
			rows = append(rows, row)
		}
	}
	return rows, nil
}
