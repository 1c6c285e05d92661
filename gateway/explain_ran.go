package gateway

import (
	"sync"
	"time"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/plan"

	"arbor/engine/exec"
)

// scanTotals adds up what the scans of one table in a plan did.
type scanTotals struct {
	mu    sync.Mutex // guards what follows
	scans int
	stats exec.ScanStats
	// unmeasured are the scans of which older members have not said all.
	unmeasured int
	took       time.Duration // without what was done with the batches
	bytes      int64         // of the batches that came
}

// scanMeter measures one scan; nil measures nothing.
type scanMeter struct {
	totals *scanTotals
	since  time.Time
	away   time.Duration
	bytes  int64
}

// begin begins a scan, if somebody wants to know.
func (t *scanTotals) begin() *scanMeter {
	if t == nil {
		return nil
	}
	return &scanMeter{totals: t, since: time.Now()}
}

// batch hands a batch on. Scans hand on one at a time.
func (m *scanMeter) batch(b *exec.Batch, yield func(*exec.Batch) error) error {
	if m == nil {
		return yield(b)
	}
	m.bytes += b.Bytes()
	start := time.Now()
	defer func() { m.away += time.Since(start) }()
	return yield(b)
}

// end adds what the scan did to the totals.
func (m *scanMeter) end(s exec.ScanStats) {
	if m == nil {
		return
	}
	t := m.totals
	t.mu.Lock()
	defer t.mu.Unlock()
	t.scans++
	t.stats.Add(s)
	if !s.Measured {
		t.unmeasured++
	}
	t.took += time.Since(m.since) - m.away
	t.bytes += m.bytes
}

// watched is the plan with tables that add up what their scans do.
func watched(ctx *sql.Context, n sql.Node) (sql.Node, error) {
	return withTotals(ctx, n, func() *scanTotals { return &scanTotals{} })
}

// withTotals is the plan with tables that have these totals.
func withTotals(ctx *sql.Context, n sql.Node, totals func() *scanTotals) (sql.Node, error) {
	return eachNode(ctx, n, func(n sql.Node) (sql.Node, error) {
		rt, ok := n.(*plan.ResolvedTable)
		if !ok {
			return n, nil
		}
		t, ok := rt.UnderlyingTable().(*eventsTable)
		if !ok {
			return n, nil
		}
		next := *t
		next.totals = totals()
		return rt.WithTable(ctx, &next)
	})
}

// ran says what the scans of a table did.
func (s *shownScan) ran(t *scanTotals) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := &t.stats
	s.line("scans: %d, shards read: %d, shards pruned: %d, files: %d", t.scans, x.Shards-x.ShardsPruned, x.ShardsPruned, x.Files)
	s.line("rows indexed: %d, logged: %d; skipped by users and zone maps: %d, as duplicates: %d, as deleted: %d, by the filter: %d; answered by counts of values: %d; given: %d",
		x.RowsIndexed, x.RowsLogged, x.RowsPruned, x.RowsDuplicate, x.RowsDeleted, x.RowsFiltered, x.RowsTallied, x.RowsGiven)
	if t.unmeasured > 0 {
		s.line("the rest is not known of %d scans: not all members run an arbor that counts it", t.unmeasured)
	} else {
		s.line("skipped by zone maps: %d of %d blocks, %d rows; files without a row looked at: %d of %d", x.BlocksPruned, x.Blocks, x.RowsZone, x.FilesPruned, x.Files)
		s.line("duplicates skipped by their file's list: %d, found by fingerprint: %d", x.RowsDuplicate-x.RowsFound, x.RowsFound)
		s.line("bytes read of files: %d, of the log: %d, of logged events in memory: %d", x.BytesFiles, x.BytesLog, x.BytesMemory)
		s.line("time of workers: %.3f ms to find out who is visible, %.3f ms at the rows", milliseconds(x.TimeVisible), milliseconds(x.TimeRows))
		if x.Partials > 0 {
			s.line("partials of members: %d, bytes: %d, put together in %.3f ms", x.Partials, x.BytesPartials, milliseconds(x.TimeMerge))
		}
	}
	s.line("time: %.3f ms, bytes given: %d", milliseconds(t.took.Nanoseconds()), t.bytes)
}

func milliseconds(nanoseconds int64) float64 { return float64(nanoseconds) / 1e6 }
