// Package gateway is what clients talk to: it speaks MySQL and HTTP, turns
// requests into checksummed records and queries into fragments, and asks the
// cluster for the rest. It never touches a file, so nothing can be stored here
// that has not passed the cluster's quorum.
package gateway

import (
	"cmp"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"arbor/catalog"
	"arbor/cluster"
)

// Gateway serves one member's clients. Its methods may be called from many
// goroutines.
type Gateway struct {
	cluster *cluster.Cluster
	logger  *slog.Logger
	now     func() time.Time
	stamper *Stamper
	metrics *metrics
	bodies  budget
	// changing is held by the change of the catalog that an ingest has begun, and
	// changes are those that have not ended.
	changing chan struct{}
	changes  sync.WaitGroup
	// storeTimeout is how long events may take to be durable.
	storeTimeout time.Duration
	pipes        pipes
	readers      readers
	// collections are those of HTTP requests that have ended, kept for their buffers.
	collections sync.Pool
	// intakes are those of Ingest that have ended.
	intakes sync.Pool

	estimates estimates
	// shapes are the definitions of mutable tables, read; increments are the numbers
	// that AUTO_INCREMENT has given; contended is held by a statement that is
	// repeated, so that those that disturb each other take turns.
	shapes     mutableShapes
	increments increments
	contended  chan struct{}
	// maxDeleted is MaxDeleted, and maxBroadcast maxBroadcastRows; less in tests.
	maxDeleted, maxBroadcast int
	stockGroups              bool
	edgeKey                  []byte
	oldEdgeKeys              [][]byte
	keeper                   Keeper
	exports                  Exports
	exportPart               int64
	audit                    AuditTrail
	rates                    ingestRates
	restores                 restores
	// onFallback is told why a pushed group is left to the SQL library, in tests.
	onFallback func(why error)
}

// Options say what a Gateway serves.
type Options struct {
	Cluster *cluster.Cluster
	Logger  *slog.Logger
	// Now is the clock that stamps events; nil means time.Now.
	Now func() time.Time
	// MaxInflightBytes bounds the memory that HTTP requests being read and decoded
	// take together with the rows of INSERTs; 0 means DefaultMaxInflightBytes.
	MaxInflightBytes int64
	// StoreTimeout bounds the wait for events to be durable; 0 means
	// DefaultStoreTimeout.
	StoreTimeout time.Duration
	// EdgeKey is what the stamps of requests that come through a siphon are checked
	// with; nil means that stamps of others are not taken.
	EdgeKey []byte
	// OldEdgeKeys are others that stamps may be signed with, while keys are changed.
	OldEdgeKeys [][]byte
	// Keeper keeps copies of what is stored elsewhere; nil if nobody does.
	Keeper Keeper
	// Exports is where rows are written as files; nil if nowhere.
	Exports Exports
	// Audit is where is written down who did what; nil for nowhere.
	Audit AuditTrail
	// ExportPart is how many events of a day an export takes at once, where it can; 0
	// means DefaultExportPart.
	ExportPart int64
	// Collectors add to /metrics.
	Collectors []prometheus.Collector
	// StockGroups leaves every GROUP BY, DISTINCT, ORDER BY and window function, and what is
	// computed of rows, to the SQL library.
	// The answers are the same, later: tests compare them.
	StockGroups bool
}

// New makes a Gateway over a cluster that is open. It starts nothing; what its
// methods start ends with Close.
func New(o Options) *Gateway {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxInflightBytes == 0 {
		o.MaxInflightBytes = DefaultMaxInflightBytes
	}
	g := &Gateway{cluster: o.Cluster, logger: o.Logger, now: o.Now, stamper: NewStamper(o.Now), maxDeleted: MaxDeleted, maxBroadcast: maxBroadcastRows, stockGroups: o.StockGroups, edgeKey: o.EdgeKey, oldEdgeKeys: o.OldEdgeKeys, keeper: o.Keeper, exports: o.Exports, exportPart: cmp.Or(o.ExportPart, DefaultExportPart)}
	g.audit = o.Audit
	g.stampAfterTruncations()
	g.bodies.max = o.MaxInflightBytes
	g.changing = make(chan struct{}, 1)
	g.contended = make(chan struct{}, 1)
	g.storeTimeout = cmp.Or(o.StoreTimeout, DefaultStoreTimeout)
	g.metrics = newMetrics(g)
	g.metrics.registry.MustRegister(o.Collectors...)
	g.cluster.ReadRows(rowReader{g})
	return g
}

// stampAfterTruncations keeps a clock that was set back from stamping new events
// into the time that a TRUNCATE hides, or that an erasure keeps from coming back.
func (g *Gateway) stampAfterTruncations() {
	for _, p := range g.Catalog().Projects {
		for _, t := range p.Truncations {
			g.stamper.Raise(t.UpTo)
			g.stamper.Raise(t.ID)
		}
	}
	for _, e := range g.Catalog().Erasures {
		g.stamper.Raise(e.ID)
	}
}

// Close ends what the Gateway started by itself. The servers end by their own
// contexts.
func (g *Gateway) Close() error {
	g.pipes.close()
	g.changes.Wait()
	return nil
}

// Catalog is the catalog in force.
func (g *Gateway) Catalog() *catalog.Catalog { return g.cluster.Catalog() }
