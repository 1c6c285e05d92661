package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"arbor/catalog"
	"arbor/cluster/peer"
	"arbor/cluster/protocol"
	"arbor/cluster/replication"
	"arbor/cluster/tables"
	"arbor/engine/dot"
	"arbor/engine/event"
	"arbor/engine/exec"
)

// Engine is what several members need of theirs beyond Local.
type Engine interface {
	Local

	// ExecutePartial answers a fragment for the shards of its buckets, as pieces of a
	// partial that exec.Merger puts together with others. A piece is valid until yield
	// returns.
	ExecutePartial(ctx context.Context, f *exec.Fragment, yield func(piece []byte) error) (exec.ScanStats, error)

	// Holdings gives what each of some shards holds at one moment. which is asked with
	// a hash of the names of a shard's batches, and what is said is of exactly those.
	Holdings(ctx context.Context, which func(k catalog.ShardKey, batches uint64) bool) ([]event.Holding, error)

	// CutFiles takes hold of all that was acknowledged of some slots, as files.
	CutFiles(ctx context.Context, which func(catalog.Slot) bool) (*event.FileCut, error)

	// CheckShards is Check for some shards. Damaged are those that cannot be read whole.
	CheckShards(ctx context.Context, which func(catalog.ShardKey) bool) (*exec.Table, error)
	Damaged() []event.DamagedShard

	// Offer gives the files of a shard that have some of the wanted batches. Repair makes
	// a damaged shard whole of what sources offer, and Unite takes in what another replica
	// has under the names of the same batches; neither takes anything out.
	Offer(ctx context.Context, k catalog.ShardKey, want dot.Set) ([]dot.File, error)
	Repair(ctx context.Context, k catalog.ShardKey, sources []dot.Source) (event.Repaired, error)
	Unite(ctx context.Context, k catalog.ShardKey, source dot.Source) (united bool, err error)

	// Disown gives up what a shard lost, after Repair said dot.ErrNowhere: the next
	// opening says that the shard's slot lost it.
	Disown(k catalog.ShardKey) error

	// RaiseShardAlarm adds a row to the table of alarms, once for a subject.
	RaiseShardAlarm(kind string, shard catalog.ShardKey, subject, message string)
}

// Peers is how other members are asked: a peer.Node.
type Peers interface {
	replication.Transport
	Call(ctx context.Context, to protocol.MemberID, call string, request []byte) ([]byte, error)
}

// MembersOptions are a member's part of the cluster's events. Generation, Storage,
// Ledger, Prefer, Synced, Broken and Lost are those of replication.Options.
type MembersOptions struct {
	Member     protocol.MemberID
	Generation uint32
	Engine     Engine
	Storage    protocol.Storage
	Ledger     protocol.Ledger
	Prefer     func(protocol.MemberID) int
	Synced     func(protocol.Synced)
	Broken     func(error)
	Lost       func(context.Context, *protocol.LostError) (generation uint32, err error)
	// Present are the members that store events and were not removed, this one
	// included: those whom Describe, Index and Check ask.
	Present func() []protocol.MemberID
	// Keeping are those and the members that store no events: all who have the mutable
	// tables. It is Present if nil.
	Keeping func() []protocol.MemberID
	// Measures says whether all members know fragments that are measured; nil if they do.
	Measures func() bool
	// CompareEvery is how often some buckets are compared with their other replicas; 0
	// stands for DefaultCompareEvery.
	CompareEvery time.Duration
	Logger       *slog.Logger
}

// Members is where events are kept on several members: records go to the replicas of
// their buckets, and questions to one complete replica of each. It is put together
// from the inside out, and closed the other way round:
//
//	members, err := cluster.OpenMembers(ctx, cluster.MembersOptions{…})
//	node, err := peer.Serve(peer.Options{Receive: members.Receive, Calls: members.Calls(), Streams: members.Streams(), …})
//	members.Start(node)
//	members.Learn(placement)                        // and at every change of it
//	c := cluster.NewOver(catalogs, members)         // what the gateway asks
//	…
//	c.Close(); node.Close(); members.Close(); engine.Close()
//
// Calls and Streams of others may be added to the maps: the names of these begin with
// "events." or are those of package replication.
//
// A member that is the only replica of all buckets that are asked for asks its engine
// and nobody else, exactly as a member without a cluster does.
type Members struct {
	o      MembersOptions
	driver *replication.Driver
	peers  atomic.Pointer[Peers]

	cuts      heldCuts
	damaged   damagedBuckets
	writing   writing
	stage     stageWatch
	comparing sync.WaitGroup
	stop      context.CancelFunc // ends what compares; it is set once, by OpenMembers
	ctx       context.Context

	// mu guards what follows.
	mu      sync.Mutex
	catalog *catalog.Catalog
	news    chan struct{} // closed when the catalog changes
	// changes changes the catalog of all members; nil before there is a cluster over this.
	changes func(context.Context, catalog.Change) (*catalog.Catalog, error)
	// purgeTables is Catalogs.PurgeTables of this member; nil as changes is.
	purgeTables func(ctx context.Context, wanted func(*tables.State) bool) error
}

// OpenMembers opens a member's part. It speaks to nobody before Start.
func OpenMembers(ctx context.Context, o MembersOptions) (*Members, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Keeping == nil {
		o.Keeping = o.Present
	}
	m := &Members{o: o, catalog: &catalog.Catalog{}, news: make(chan struct{})}
	m.damaged.engine = o.Engine
	var err error
	m.driver, err = replication.Open(ctx, replication.Options{
		Member: o.Member, Generation: o.Generation, Storage: knowing{o.Storage, m}, Ledger: o.Ledger, Scanner: m,
		Prefer: m.avoidCanaries(o.Prefer), Synced: o.Synced, Broken: o.Broken, Lost: o.Lost, Faults: faults{}, Logger: o.Logger,
		MoveRate: m.moveRate, Damaged: m.damaged.has,
	})
	if err != nil {
		return nil, err
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	return m, nil
}

// Start lets the member speak to others, and compare with them what it holds. It is
// called once.
func (m *Members) Start(peers Peers) {
	m.peers.Store(&peers)
	m.driver.Start(peers)
	m.comparing.Go(m.keepComparing)
}

// Receive takes a message of another member.
func (m *Members) Receive(from protocol.MemberID, message []byte) { m.driver.Receive(from, message) }

// Learn takes the placement in force.
func (m *Members) Learn(p *protocol.Placement) { m.driver.Learn(p) }

// Status says how the member's replicas stand.
func (m *Members) Status() replication.Status { return m.driver.Status() }

// Close ends the member's part; the engine stays open. Nobody may call it any more
// then: the cluster over it and the node are closed before.
func (m *Members) Close() error {
	m.stop()
	m.comparing.Wait()
	err := m.driver.Close()
	m.cuts.close()
	return err
}

// The calls of members.
const (
	callDescribe = "events.describe"
	callIndex    = "events.index"
	callCheck    = "events.check"
	callCompare  = "events.compare"
	callCut      = "events.cut"
	callErase    = "events.erase"
	callStage    = "events.stage"
	callOffer    = "events.offer"
	callUnite    = "events.unite"
)

// Calls are what this member answers to others.
func (m *Members) Calls() map[string]peer.Call {
	return map[string]peer.Call{callDescribe: m.answerDescribe, callIndex: m.answerIndex, callCheck: m.answerCheck, callCompare: m.answerCompare, callCut: m.answerCut, callErase: m.answerErase, callStage: m.answerStage,
		callOffer: m.answerOffer, callUnite: m.answerUnite}
}

// Streams are what this member answers to others in pieces.
func (m *Members) Streams() map[string]peer.Stream {
	return map[string]peer.Stream{replication.StreamScan: m.driver.ServeScan, replication.StreamFile: m.driver.ServeFile}
}

// setCatalog follows the catalog.
func (m *Members) setCatalog(c *catalog.Catalog) {
	m.o.Engine.SetCatalog(c)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.catalog = c
	close(m.news)
	m.news = make(chan struct{})
}

// catalogWithin is how long this member waits for a catalog that another one has.
const catalogWithin = 3 * time.Second

// await waits until the engine has a catalog that is as wanted.
func (m *Members) await(ctx context.Context, ok func(*catalog.Catalog) bool) (*catalog.Catalog, error) {
	var late <-chan time.Time
	for {
		m.mu.Lock()
		c, news := m.catalog, m.news
		m.mu.Unlock()
		if ok(c) {
			return c, nil
		}
		if late == nil {
			late = time.After(catalogWithin)
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-late:
			return nil, fmt.Errorf("%w: it has version %d", errBehind, c.Version)
		}
	}
}

// bucketsOf are the virtual buckets that a project's slots fall into, of those that
// wanted accepts, each once.
func bucketsOf(p *catalog.Project, wanted func(slot uint16) bool) (buckets []protocol.Bucket) {
	var seen [protocol.Buckets]bool
	for slot := range p.Buckets {
		if b := protocol.BucketOf(catalog.ShardKey{Project: p.ID, Bucket: slot}); !seen[b] && wanted(slot) {
			seen[b] = true
			buckets = append(buckets, b)
		}
	}
	return buckets
}

func any16(uint16) bool { return true }
