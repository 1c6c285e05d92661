package gateway

import (
	"fmt"
	"math"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/catalog"
	"arbor/engine/exec"
)

// shardsWithin counts a project's shards, and those that bounds leave.
func (g *Gateway) shardsWithin(ctx *sql.Context, p *catalog.Project, b exec.Bounds) (all, left int, err error) {
	described, err := g.cluster.Describe(ctx, "shards")
	if err != nil {
		return 0, 0, err
	}
	places := columnPlaces(described)
	buckets := map[uint16]bool{}
	for _, user := range b.Users {
		if user == "" { // anonymous events are spread by their insert ids
			buckets = nil
			break
		}
		buckets[catalog.UserBucket(user, "", p.Buckets)] = true
	}
	for _, values := range described.Rows {
		shard, err := shardOf(values, places)
		if err != nil {
			return 0, 0, err
		}
		if shard.Project != p.ID {
			continue
		}
		all++
		inTime := !b.Empty() && shard.Day.Start() <= b.MaxTime && (shard.Day+1).Start() > b.MinTime
		if inTime && (b.Users == nil || buckets == nil || buckets[shard.Bucket]) {
			left++
		}
	}
	return all, left, nil
}

func daysText(b exec.Bounds) string {
	switch {
	case b.Empty():
		return ", no day can hold a row"
	case b.MinTime == math.MinInt64 && b.MaxTime == math.MaxInt64:
		return ""
	case b.MinTime == math.MinInt64:
		return ", days to " + catalog.DayOf(b.MaxTime).String()
	case b.MaxTime == math.MaxInt64:
		return ", days from " + catalog.DayOf(b.MinTime).String()
	}
	return fmt.Sprintf(", days %s to %s", catalog.DayOf(b.MinTime), catalog.DayOf(b.MaxTime))
}
