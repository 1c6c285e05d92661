package gateway

import (
	"context"
	"sync"
	"time"

	"arbor/catalog"
)

// estimateFor is how long an estimate serves.
const estimateFor = 10 * time.Second

// estimates are the sizes of projects, for the planner: about right is enough.
type estimates struct {
	mu       sync.Mutex // guards what follows
	made     time.Time
	projects map[catalog.ProjectID]projectSize
}

type projectSize struct{ rows, bytes uint64 }

// estimate gives about how many events and bytes a project has stored.
func (g *Gateway) estimate(ctx context.Context, id catalog.ProjectID) (rows, bytes uint64) {
	g.estimates.mu.Lock()
	defer g.estimates.mu.Unlock()
	if g.estimates.projects == nil || g.now().Sub(g.estimates.made).Abs() > estimateFor {
		g.estimates.projects, g.estimates.made = g.measure(ctx), g.now()
	}
	size := g.estimates.projects[id]
	return size.rows, size.bytes
}

// measure sums up what shards take. If that cannot be said all projects count as empty:
// plans are then worse, not wrong.
func (g *Gateway) measure(ctx context.Context) map[catalog.ProjectID]projectSize {
	sizes := map[catalog.ProjectID]projectSize{}
	described, err := g.cluster.Describe(ctx, "sizes")
	if err != nil {
		g.logger.Debug("estimate", "error", err)
		return sizes
	}
	places := columnPlaces(described)
	number := func(values []catalog.Value, name string) uint64 {
		if at, ok := places[name]; ok && values[at].Kind == catalog.KindInt {
			return uint64(values[at].Int())
		}
		return 0
	}
	for _, values := range described.Rows {
		id := catalog.ProjectID(number(values, "project"))
		size := sizes[id]
		size.rows += number(values, "events")
		size.bytes += number(values, "bytes")
		sizes[id] = size
	}
	return sizes
}
