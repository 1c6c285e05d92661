package gateway

import (
	"context"
	"sync"
	"time"

	"arbor/catalog"
	"arbor/engine/exec"
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

// measure sums up what the engine describes. A part that cannot be described
// counts as nothing: the plan is then worse, not wrong.
func (g *Gateway) measure(ctx context.Context) map[catalog.ProjectID]projectSize {
	sizes := map[catalog.ProjectID]projectSize{}
	add := func(describe func(context.Context, string) (*exec.Table, error), table string, columns []string, to func(*projectSize, uint64)) {
		described, err := describe(ctx, table)
		if err != nil {
			g.logger.Debug("estimate", "table", table, "error", err)
			return
		}
		places := columnPlaces(described)
		for _, values := range described.Rows {
			id := catalog.ProjectID(values[places["project"]].Int())
			size := sizes[id]
			for _, name := range columns {
				if at, ok := places[name]; ok && values[at].Kind == catalog.KindInt {
					to(&size, uint64(values[at].Int()))
				}
			}
			sizes[id] = size
		}
	}
	add(g.cluster.Describe, "shards", []string{"indexed_events", "logged_events"}, func(s *projectSize, n uint64) { s.rows += n })
	// Those of other members are copies.
	add(g.cluster.DescribeHere, "files", []string{"bytes"}, func(s *projectSize, n uint64) { s.bytes += n })
	return sizes
}
