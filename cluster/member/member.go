package member

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"arbor/catalog"
	"arbor/cluster/consensus"
	"arbor/cluster/gossip"
	"arbor/cluster/peer"
	"arbor/cluster/protocol"
	"arbor/engine/vfs"
)

// Options of a member that starts.
type Options struct {
	FS  vfs.FS
	Dir string
	// Listener is the peer port. The member closes it.
	Listener net.Listener
	// Place is where the member is and what it does from now on.
	Place Place
	// MySQL and HTTP are where its clients connect; empty for none.
	MySQL, HTTP string
	Release     string
	// Format is the newest version of what members say and keep that it says it knows; 0
	// stands for all that there is. Tests have members that know less.
	Format uint32
	// Receive is handed messages, and Streams answer calls of others: the data
	// plane's. They may be asked before Open returns.
	Receive func(from MemberID, message []byte)
	Streams map[string]peer.Stream
	Calls   map[string]peer.Call
	// Fail is told once when the member can go on no more and its process should
	// end. It must not wait for the member.
	Fail   func(error)
	Timing consensus.Timing // consensus's default if zero
	Logger *slog.Logger
}

// Errors of members that run.
var (
	// ErrFenced: another process of this member has started after this one.
	ErrFenced = errors.New("another process of this member has started: this one ends")
	// ErrNotReady: the member is only just starting.
	ErrNotReady = errors.New("member is starting")
	// ErrNotHeard: nobody has told the new member what the cluster has agreed on.
	ErrNotHeard = errors.New("no leader of the cluster has spoken to this member")
)

// Times.
const (
	// announceWithin is how long a start waits for a leader; without one the member
	// goes on with what it knows.
	announceWithin = 5 * time.Second
	// hearWithin is how long a new member waits to be told the metadata.
	hearWithin = time.Minute
	// applyWithin bounds a command of a client.
	applyWithin = 10 * time.Second
	// raftTimeout bounds consensus's own I/O, and raftPool its spare connections to
	// each member.
	raftTimeout = 10 * time.Second
	raftPool    = 3
	// leaveWithin is how long others are told that this member goes.
	leaveWithin = time.Second
	retryEvery  = time.Second
)

// Member is a member that runs. Its methods may be called from many goroutines.
type Member struct {
	o         Options
	logger    *slog.Logger
	identity  *identity
	lock      io.Closer // on the identity
	session   consensus.Session
	node      *peer.Node
	group     atomic.Pointer[consensus.Group]
	gossip    atomic.Pointer[gossip.Gossip]
	transport *raft.NetworkTransport
	planner   planner

	ctx      context.Context
	stop     context.CancelFunc
	running  sync.WaitGroup
	failOnce sync.Once
	// breaking is what Broken is about; the process ends after it.
	breaking sync.WaitGroup
	// late are the properties that were seen while there was no leader.
	late lateColumns
	// admin is held while the leader does what an operator asked for.
	admin sync.Mutex

	// mu guards what follows.
	mu        sync.Mutex
	told      func(*catalog.Catalog) // see Follow
	catalog   *catalog.Catalog       // that it was told last
	announced bool
	// uncounted is set while the start could not be counted, since the disk is full.
	uncounted bool
}

// Open starts a member. It returns when the member is ready: it knows what was
// agreed on, and that it has started is known, or there is no leader who could
// say so; then that is made up for later.
func Open(ctx context.Context, o Options) (*Member, error) {
	m, err := open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("start member of %s: %w", o.Dir, err)
	}
	return m, nil
}

func open(ctx context.Context, o Options) (*Member, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	i, lock, err := takeIdentity(o.FS, o.Dir)
	if err != nil {
		return nil, errors.Join(err, o.Listener.Close())
	}
	m := &Member{o: o, logger: o.Logger, identity: i, lock: lock}
	m.planner.member = m
	m.planner.reset()
	m.ctx, m.stop = context.WithCancel(context.Background())
	rand.Read(m.session[:]) // never gives an error
	if err := m.begin(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	if err := m.arrive(ctx); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	m.running.Go(m.lead)
	m.running.Go(m.catchUp)
	return m, nil
}

// begin opens what the member consists of.
func (m *Member) begin() error {
	// The start is counted before anybody hears of it.
	m.identity.Place = m.o.Place
	if err := m.count(); err != nil {
		return errors.Join(err, m.o.Listener.Close())
	}
	calls := map[string]peer.Call{callCommand: m.answerCommand, callApplied: m.answerApplied, callSynced: m.answerSynced, callAdmin: m.answerAdmin, callHello: m.answerHello, callBoot: m.answerBoot}
	for name, call := range m.o.Calls {
		calls[name] = call
	}
	var err error
	m.node, err = peer.Serve(peer.Options{
		Identity: m.identity.peer(), Listener: m.o.Listener, Addresses: m.addresses, Allow: m.allows, Join: m.admit,
		Calls: calls, Streams: m.o.Streams, Receive: m.o.Receive, Logger: m.logger,
	})
	if err != nil {
		return errors.Join(err, m.o.Listener.Close())
	}
	m.transport = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: m.node.RaftLayer(), MaxPool: raftPool, Timeout: raftTimeout, Logger: hclog.NewNullLogger(),
	})
	group, err := consensus.Open(consensus.Options{
		FS: m.o.FS, Dir: MetadataDir(m.o.Dir), ID: m.identity.id, Transport: m.transport,
		Forward: func(ctx context.Context, to MemberID, command []byte) ([]byte, error) {
			return m.node.Call(ctx, to, callCommand, command)
		},
		Ask: m.askApplied, Publish: m.publish, Fail: m.fail, Timing: m.o.Timing, Logger: m.logger,
	})
	if err != nil {
		return err
	}
	m.group.Store(group)
	g, err := gossip.Open(gossip.Options{
		ID: m.identity.id, Cluster: m.identity.cluster, Listener: m.node.GossipLayer(), Dial: m.node.DialGossip, Members: m.known,
		Hint:    gossip.Hint{Addresses: m.o.Place.Addresses, MySQL: m.o.MySQL, HTTP: m.o.HTTP, Release: m.o.Release},
		Changed: m.planner.wake, Logger: m.logger,
	})
	if err != nil {
		return err
	}
	m.gossip.Store(g)
	return nil
}

// arrive waits until the member knows what was agreed on, and says that it is
// there.
func (m *Member) arrive(ctx context.Context) error {
	group := m.group.Load()
	here := func(s *consensus.State) bool {
		_, ok := s.Member(m.identity.id)
		return ok
	}
	if !here(group.State()) && m.isUncounted() {
		if err := m.hearUncounted(ctx, here); err != nil {
			return err
		}
	}
	if !here(group.State()) {
		m.logger.Info("waiting for the cluster to tell this member what it has agreed on", "members", len(m.identity.Members))
		if err := m.hear(ctx, here); err != nil {
			return err
		}
	}
	if m.isUncounted() {
		return m.arriveUncounted(ctx)
	}
	err := m.announceFor(ctx, announceWithin)
	if errors.Is(err, errLate) {
		err = m.announceFor(ctx, hearWithin)
	}
	if err == nil || !errors.Is(err, consensus.ErrNoLeader) && !errors.Is(err, errLate) {
		return m.explain(err)
	}
	if err := m.hello(ctx); err != nil {
		return m.explain(err)
	}
	m.logger.Warn("this member goes on with what it knows", "version", group.Applied(), "reason", err)
	m.running.Go(m.announceLate)
	return nil
}

// hear waits until the member is told what the cluster has agreed on.
func (m *Member) hear(ctx context.Context, here func(*consensus.State) bool) error {
	ctx, cancel := context.WithTimeout(ctx, hearWithin)
	defer cancel()
	for {
		if err := m.hello(ctx); err != nil {
			return m.explain(err)
		}
		some, cancel := context.WithTimeout(ctx, retryEvery)
		err := m.group.Load().Wait(some, here)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%w for %s; is the member that it joined at up, and can it reach %v?", ErrNotHeard, hearWithin, m.o.Place.Addresses)
		case !errors.Is(err, context.DeadlineExceeded):
			return err
		}
	}
}

// announceLate says that the member is there as soon as there is a leader.
func (m *Member) announceLate() {
	for m.ctx.Err() == nil {
		err := m.announceFor(m.ctx, announceWithin)
		if errors.Is(err, consensus.ErrNoLeader) || errors.Is(err, errLate) {
			if err = m.hello(m.ctx); err == nil {
				continue
			}
		}
		if err != nil && m.ctx.Err() == nil {
			m.fail(m.explain(err))
		}
		return
	}
}

// explain says what helps against an error of a start. A directory that was refused
// because a later start of the member is known may lack what came since: it is put on
// record that its identity is lost, however often it is started from now on.
func (m *Member) explain(err error) error {
	switch {
	case errors.Is(err, consensus.ErrStaleBoot):
		m.mu.Lock()
		defer m.mu.Unlock()
		m.identity.Lost, m.identity.Stale = true, true
		err = errors.Join(err, m.identity.write(m.o.FS, m.o.Dir))
		return fmt.Errorf("%w; start the directory that was used last, or begin with an empty one and have this member replaced", err)
	case errors.Is(err, consensus.ErrRemoved):
		return fmt.Errorf("%w; begin with an empty directory and a new token", err)
	}
	return err
}

// errLate: a leader has answered, and what it has agreed on has not come here in
// time. It may be hours of changes, or a slow disk.
var errLate = errors.New("what the cluster has agreed on is on its way")

// announceFor announces for some time, at most.
func (m *Member) announceFor(ctx context.Context, within time.Duration) error {
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := m.announce(bounded)
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, consensus.ErrNoLeader) && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", errLate, err)
	}
	return err
}

// announce says that this process is the member from now on.
func (m *Member) announce(ctx context.Context) error {
	group := m.group.Load()
	if _, err := group.Apply(ctx, m.announcement()); err != nil {
		return err
	}
	m.mu.Lock()
	m.announced = true
	m.mu.Unlock()
	return nil
}

// fail tells once that the member cannot go on.
func (m *Member) fail(err error) {
	m.failOnce.Do(func() {
		m.logger.Error("this member cannot go on", "error", err)
		if m.o.Fail != nil {
			go func() { // ends with Broken, which is bounded
				m.breaking.Wait()
				m.o.Fail(err)
			}()
		}
	})
}

// publish is told of every state before it is in force.
func (m *Member) publish(s *consensus.State) {
	m.mu.Lock()
	if m.told != nil && s.Catalog != m.catalog {
		m.told(s.Catalog)
	}
	m.catalog = s.Catalog
	announced, uncounted, boot := m.announced, m.uncounted, m.identity.Boot
	m.mu.Unlock()
	self, ok := s.Member(m.identity.id)
	switch {
	case !ok:
	case self.Standing == consensus.Removed:
		m.fail(fmt.Errorf("member %s: %w", m.identity.id, consensus.ErrRemoved))
	case announced && self.Session != m.session, uncounted && self.Boot > boot:
		m.fail(fmt.Errorf("member %s: %w", m.identity.id, ErrFenced))
	}
	if g := m.gossip.Load(); g != nil {
		g.Look()
	}
	m.planner.wake()
}

func (m *Member) ready() (*consensus.Group, error) {
	if g := m.group.Load(); g != nil {
		return g, nil
	}
	return nil, ErrNotReady
}

// state is what is agreed on as far as this member knows; nil before it knows
// anything.
func (m *Member) state() *consensus.State {
	if g := m.group.Load(); g != nil && len(g.State().Members) > 0 {
		return g.State()
	}
	return nil
}

// addresses are where a member is: as it says, then as the metadata has it, then as
// this one was told when it joined.
func (m *Member) addresses(id MemberID) (all []string) {
	add := func(some []string) {
		for _, a := range some {
			if !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	if g := m.gossip.Load(); g != nil {
		hint, _ := g.Hint(id)
		add(hint.Addresses)
	}
	if s := m.state(); s != nil {
		if other, ok := s.Member(id); ok {
			add(other.Addresses)
		}
	}
	add(m.identity.Members[id.String()])
	return all
}

// allows says whether a member may call. All that do were signed by the cluster; one
// that is not known here may be newer than what this member has heard, and even
// lead, so only those that were removed are refused.
func (m *Member) allows(id MemberID) bool {
	if s := m.state(); s != nil {
		if other, ok := s.Member(id); ok {
			return other.Standing != consensus.Removed
		}
	}
	return true
}

// known are the members that should be there.
func (m *Member) known() (ids []MemberID) {
	if s := m.state(); s != nil {
		for _, other := range s.Present() {
			ids = append(ids, other.ID)
		}
		return ids
	}
	for name := range m.identity.Members {
		if id, ok := ParseID(name); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// ID is the member's.
func (m *Member) ID() MemberID { return m.identity.id }

// Node is the member's end of the connections to others.
func (m *Member) Node() *peer.Node { return m.node }

// Alive says whether a member seems to be alive: a hint.
func (m *Member) Alive(id MemberID) bool {
	g := m.gossip.Load()
	return id == m.identity.id || g != nil && g.Alive(id)
}

// Leads says whether this member leads the metadata.
func (m *Member) Leads() bool {
	g := m.group.Load()
	return g != nil && g.Leads()
}

// Zone is where a member is, as the metadata has it.
func (m *Member) Zone(id MemberID) string {
	if s := m.state(); s != nil {
		if other, ok := s.Member(id); ok {
			return other.Zone
		}
	}
	return ""
}

// Storing are the members that store events and were not removed.
func (m *Member) Storing() (ids []MemberID) {
	if s := m.state(); s != nil {
		for _, other := range s.Present() {
			if other.Roles&consensus.RoleStorage != 0 && other.Boot > 0 {
				ids = append(ids, other.ID)
			}
		}
	}
	return ids
}

// Keeping are the members that keep the metadata and were not removed: all of them.
func (m *Member) Keeping() (ids []MemberID) {
	if s := m.state(); s != nil {
		for _, other := range s.Present() {
			if other.Boot > 0 {
				ids = append(ids, other.ID)
			}
		}
	}
	return ids
}

// Measures reports whether all members know fragments that are measured.
func (m *Member) Measures() bool {
	s := m.state()
	return s != nil && !slices.ContainsFunc(s.Present(), func(o *consensus.Member) bool { return o.Format < formatMeasured })
}

// FollowPlacement has told called with the placement in force and with later ones,
// in order, though not with each, until the member is closed.
func (m *Member) FollowPlacement(told func(*protocol.Placement)) error {
	group, err := m.ready()
	if err != nil {
		return err
	}
	s := group.State()
	p, err := protocol.DecodePlacement(s.Placement)
	if err != nil {
		return err
	}
	epoch := s.PlacementEpoch
	told(p)
	m.running.Go(func() {
		for {
			if err := group.Wait(m.ctx, func(s *consensus.State) bool { return s.PlacementEpoch > epoch }); err != nil {
				return
			}
			s := group.State()
			p, err := protocol.DecodePlacement(s.Placement)
			if err != nil {
				m.fail(err)
				return
			}
			epoch = s.PlacementEpoch
			told(p)
		}
	})
	return nil
}

// Leave tells others that this member goes, and lets another one lead. What it has
// stays on disk, and it stays a member.
func (m *Member) Leave() {
	if group := m.group.Load(); group != nil && group.Leads() && len(group.Voters()) > 1 {
		if err := group.TransferLeader(MemberID{}); err != nil {
			m.logger.Warn("the leadership could not be given away", "error", err)
		}
	}
	if g := m.gossip.Load(); g != nil {
		if err := g.Leave(leaveWithin); err != nil {
			m.logger.Debug("nobody heard that this member goes", "error", err)
		}
	}
}

// Close ends the member's part. It stays a member.
func (m *Member) Close() error {
	m.breaking.Wait() // that the disk is broken is told while there is still somebody to tell it
	m.stop()
	var err error
	if g := m.gossip.Load(); g != nil {
		err = errors.Join(err, g.Close())
	}
	if group := m.group.Load(); group != nil {
		// So that without a leader, too, the next start knows what this one knew.
		if e := group.Snapshot(); e != nil {
			m.logger.Debug("no snapshot of the metadata was made", "error", e)
		}
		err = errors.Join(err, group.Close())
	}
	if m.transport != nil {
		err = errors.Join(err, m.transport.Close())
	}
	if m.node != nil {
		err = errors.Join(err, m.node.Close())
	}
	m.running.Wait()
	return errors.Join(err, m.lock.Close())
}
