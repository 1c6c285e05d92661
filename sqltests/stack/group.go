package stack

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/cluster/peer"
	"arbor/cluster/protocol"
	"arbor/cluster/tables"
	"arbor/engine"
	"arbor/engine/indexfile"
	"arbor/engine/vfs"
	"arbor/gateway"
)

// GroupOptions say what several members are like.
type GroupOptions struct {
	Members, Replicas int
	// Slots is how many user buckets new projects have.
	Slots uint16
	// Far has every question go to another member, if one can answer it.
	Far bool
	// Engine is between the members and their engines, if tests want to harm one.
	Engine func(id protocol.MemberID, e *engine.Engine) cluster.Engine
	// Faults are the mistakes of all members' engines, EdgeKey what a siphon in front of
	// them stamps with.
	Faults  *engine.Faults
	EdgeKey []byte
	// CompareEvery is how often members compare some of what they hold.
	CompareEvery time.Duration
	// Lines is between the members and the network, if tests want to cut it.
	Lines func(from protocol.MemberID, p cluster.Peers) cluster.Peers
	// Measures is as in cluster.MembersOptions.
	Measures func() bool
	// Files are how a member writes indexed files; nil for as everybody does.
	Files func(id protocol.MemberID) indexfile.BuilderOptions
	// Gateway changes what members' gateways are made with; nil changes nothing.
	Gateway func(*gateway.Options)
}

// Group are several members in one process: engines over files in memory, TLS
// between them on loopback, one catalog that all follow, and a placement that the
// test changes.
type Group struct {
	Members []*GroupMember

	o         GroupOptions
	t         testing.TB
	trust     *peer.Trust
	mu        sync.Mutex // guards what follows
	now       time.Time
	catalog   *catalog.Catalog
	tables    *tables.State
	placement protocol.Placement
	mover     *protocol.Mover
	addresses map[protocol.MemberID][]string
}

// GroupMember is a member; it is closed while Gateway is nil.
type GroupMember struct {
	Stack

	ID     protocol.MemberID
	Parts  *cluster.Members
	Disk   *Disk
	Broken atomic.Pointer[error]

	group   *Group
	node    *peer.Node
	port    net.Listener     // bound, and not yet the node's
	inForce *catalog.Catalog // guarded by the group's lock
	told    func(*catalog.Catalog)
}

// NewGroup opens so many members, which are closed with the test.
func NewGroup(t testing.TB, o GroupOptions) *Group {
	t.Helper()
	g := &Group{o: o, t: t, now: Start, catalog: &catalog.Catalog{}, tables: &tables.State{}, mover: protocol.NewMover(), addresses: map[protocol.MemberID][]string{}}
	var err error
	if g.trust, err = peer.NewTrust(protocol.MemberID{15: 0xff}); err != nil {
		t.Fatal(err)
	}
	for i := range o.Members {
		id := protocol.MemberID{0: byte(i + 1), 15: byte(i + 1)}
		g.Members = append(g.Members, &GroupMember{group: g, ID: id, Disk: &Disk{}, Stack: Stack{FS: vfs.NewMem(), now: Start, log: slog.New(slog.DiscardHandler)}})
	}
	g.placement.Configs = make([]protocol.Config, protocol.Buckets)
	for b, replicas := range protocol.Assign(g.nodes(), protocol.Buckets, o.Replicas) {
		if _, err := g.placement.Begin(protocol.Begin{Bucket: protocol.Bucket(b), New: replicas}); err != nil {
			t.Fatal(err)
		}
	}
	// All can be reached before the first one asks the others: whom it does not reach it
	// leaves alone for a while.
	for _, m := range g.Members {
		m.Bind(t)
	}
	for _, m := range g.Members {
		m.Open(t)
	}
	t.Cleanup(func() {
		for _, m := range g.Members {
			m.Close(t)
		}
	})
	return g
}

func (g *Group) nodes() (nodes []protocol.Node) {
	for _, m := range g.Members {
		nodes = append(nodes, protocol.Node{Replica: protocol.Replica{Member: m.ID, Generation: 1}, Weight: 1})
	}
	return nodes
}

// Open opens the member over its files, as after a restart.
func (m *GroupMember) Open(t testing.TB) {
	t.Helper()
	g := m.group
	g.mu.Lock()
	m.inForce = g.catalog
	g.mu.Unlock()
	var err error
	var files indexfile.BuilderOptions
	if g.o.Files != nil {
		files = g.o.Files(m.ID)
	}
	m.Engine, err = engine.Open(context.Background(), engine.Options{Files: files, FS: m.FS, Dir: "data", Logger: m.log, Catalog: m.Catalog(), Now: m.Now, Manual: true, SortedRows: sortedRows, FewRows: fewRows, Functions: gateway.NewFunctions(), Faults: g.o.Faults, Member: catalog.MemberKey(m.ID)})
	if err != nil {
		t.Fatal(err)
	}
	if m.Disk.Replicas, err = cluster.OpenReplicas(m.Engine, m.FS, "data/replicas"); err != nil {
		t.Fatal(err)
	}
	o := cluster.MembersOptions{Member: m.ID, Generation: 1, Engine: m.Engine, Storage: m.Disk, Ledger: m.Disk, Logger: m.log, CompareEvery: g.o.CompareEvery, Measures: g.o.Measures,
		Synced:  func(s protocol.Synced) { g.mu.Lock(); defer g.mu.Unlock(); g.mover.Synced(s) },
		Broken:  func(err error) { m.Broken.Store(&err) },
		Present: func() (all []protocol.MemberID) { return g.IDs() },
	}
	if g.o.Engine != nil {
		o.Engine = g.o.Engine(m.ID, m.Engine)
	}
	if g.o.Far {
		o.Prefer = func(id protocol.MemberID) int {
			if id == m.ID {
				return 1
			}
			return 0
		}
	}
	if m.Parts, err = cluster.OpenMembers(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	m.listen(t)
	m.Cluster = cluster.NewOver(m, m.Parts)
	g.mu.Lock()
	m.Parts.Learn(&g.placement)
	g.mu.Unlock()
	options := gateway.Options{Cluster: m.Cluster, Logger: m.log, Now: m.Now, EdgeKey: g.o.EdgeKey}
	if g.o.Gateway != nil {
		g.o.Gateway(&options)
	}
	m.Gateway = gateway.New(options)
	m.handler = m.Gateway.HTTPHandler()
}

// listen opens the peer port.
func (m *GroupMember) listen(t testing.TB) {
	t.Helper()
	g := m.group
	identity, err := g.trust.NewIdentity(m.ID)
	if err != nil {
		t.Fatal(err)
	}
	if m.port == nil {
		m.Bind(t)
	}
	m.node, err = peer.Serve(peer.Options{Identity: identity, Listener: m.port, Logger: m.log, Receive: m.Parts.Receive, Calls: m.Parts.Calls(), Streams: m.Parts.Streams(),
		Addresses: func(id protocol.MemberID) []string { g.mu.Lock(); defer g.mu.Unlock(); return g.addresses[id] },
		Allow:     func(protocol.MemberID) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	m.port = nil // the node's
	var peers cluster.Peers = m.node
	if g.o.Lines != nil {
		peers = g.o.Lines(m.ID, peers)
	}
	m.Parts.Start(peers)
}

// Bind takes a port, and tells the others of it. A member that is opened soon can be
// bound before: who calls it until then waits, and is not told that nobody is there.
func (m *GroupMember) Bind(t testing.TB) {
	t.Helper()
	var err error
	if m.port, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	m.group.addresses[m.ID] = []string{m.port.Addr().String()}
}

// IDs are all members'.
func (g *Group) IDs() (ids []protocol.MemberID) {
	for _, m := range g.Members {
		ids = append(ids, m.ID)
	}
	return ids
}

// Close closes the member; a second call does nothing.
func (m *GroupMember) Close(t testing.TB) {
	t.Helper()
	if m.Engine == nil {
		return
	}
	for _, c := range []func() error{m.Gateway.Close, m.Cluster.Close, m.node.Close, m.Parts.Close, m.Disk.Close, m.Engine.Close} {
		if err := c(); err != nil {
			t.Error(err)
		}
	}
	m.group.forget(m)
}

// Kill ends the member as its death would: first nobody reaches it, and it reaches
// nobody, and then its process is gone.
func (m *GroupMember) Kill(t testing.TB) {
	t.Helper()
	if m.Engine == nil {
		return
	}
	for _, c := range []func() error{m.node.Close, m.Parts.Close, m.Gateway.Close, m.Cluster.Close, m.Disk.Close, m.Engine.Close} {
		if err := c(); err != nil {
			t.Error(err)
		}
	}
	m.group.forget(m)
}

func (g *Group) forget(m *GroupMember) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m.Engine, m.told = nil, nil
	delete(g.addresses, m.ID)
}

// Catalog is the catalog in force on the member.
func (m *GroupMember) Catalog() *catalog.Catalog {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	return m.inForce
}

// Follow has told called with every catalog.
func (m *GroupMember) Follow(told func(*catalog.Catalog)) {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	m.told = told
	told(m.inForce)
}

// Change changes the catalog of all members, this one at once.
func (m *GroupMember) Change(_ context.Context, change catalog.Change) (*catalog.Catalog, error) {
	g := m.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if c, ok := change.(catalog.CreateProject); ok && c.Buckets <= 1 {
		c.Buckets = max(c.Buckets, g.o.Slots)
		change = c
	}
	next, err := g.catalog.Apply(change)
	if err != nil {
		return nil, err
	}
	g.catalog = next
	for _, x := range g.Members {
		if x.told != nil {
			x.told(next)
			x.inForce = next
		}
	}
	return next, nil
}

// Tables are the mutable tables of all members.
func (m *GroupMember) Tables() *tables.State {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	return m.group.tables
}

// ChangeTables changes them.
func (m *GroupMember) ChangeTables(_ context.Context, change tables.Change) (*tables.State, error) {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	next, err := m.group.tables.Apply(change)
	if err == nil {
		m.group.tables = next
	}
	return next, err
}

// PurgeTables does nothing: no member has tables on its disk.
func (m *GroupMember) PurgeTables(context.Context, func(*tables.State) bool) error { return nil }

// Place begins to move all buckets to where these members have them.
func (g *Group) Place(t testing.TB, nodes []protocol.Node, replicas int) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for b, to := range protocol.Assign(nodes, protocol.Buckets, replicas) {
		if _, err := g.placement.Begin(protocol.Begin{Bucket: protocol.Bucket(b), Epoch: g.placement.Configs[b].Epoch, New: to}); err != nil {
			t.Fatal(err)
		}
	}
	g.announce()
}

// Moving ends what has been moved, and says whether buckets are on their way still.
func (g *Group) Moving(t testing.TB) (moving bool) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	due := g.mover.Due(0, &g.placement)
	for _, end := range due {
		if _, err := g.placement.End(end); err != nil {
			t.Fatal(err)
		}
	}
	if len(due) > 0 {
		g.announce()
	}
	for i := range g.placement.Configs {
		moving = moving || g.placement.Configs[i].Joint()
	}
	return moving
}

// Nodes are members as a placement sees them.
func (g *Group) Nodes(which ...int) (nodes []protocol.Node) {
	all := g.nodes()
	for _, i := range which {
		nodes = append(nodes, all[i])
	}
	return nodes
}

// announce is called under the lock.
func (g *Group) announce() {
	p := &protocol.Placement{Configs: append([]protocol.Config(nil), g.placement.Configs...)}
	for _, m := range g.Members {
		if m.Engine != nil {
			m.Parts.Learn(p)
		}
	}
}
