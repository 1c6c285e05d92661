package consensus

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"arbor/cluster/raftlog"
	"arbor/engine/vfs"
)

// Options of a group.
type Options struct {
	FS  vfs.FS
	Dir string
	// ID is this member's.
	ID MemberID
	// Transport carries raft's messages. Servers are known to it by the text of
	// their member ids, as ids and as addresses. Closing it stays with the caller.
	Transport raft.Transport
	// Forward has a member handle a command, as Handle does.
	Forward func(ctx context.Context, to MemberID, command []byte) ([]byte, error)
	// Ask gives a member's Applied. An error means that it cannot be reached.
	Ask func(ctx context.Context, id MemberID) (applied uint64, err error)
	// Publish is told of every state, in order, before it is in force.
	Publish func(*State)
	// Fail is told when this member can go on no more, and its process should end:
	// a sync failed, or a command came that only a newer arbor understands.
	Fail func(error)
	// Timing is DefaultTiming where it is zero.
	Timing Timing
	Logger *slog.Logger
}

// Timing is how patient a group is.
type Timing struct {
	// Election is how long a leader may be silent before another is elected.
	Election time.Duration
	// Look is how often the leader looks at who votes.
	Look time.Duration
	// Stable is how long a member must have answered before it gets a vote, and
	// Dead how long it must have been silent before its vote goes to another.
	Stable, Dead time.Duration
	// Retry is the pause before a command is tried again.
	Retry time.Duration
}

// DefaultTiming is for members in one data centre.
var DefaultTiming = Timing{Election: time.Second, Look: 2 * time.Second, Stable: 10 * time.Second, Dead: time.Minute, Retry: 50 * time.Millisecond}

// Of the log's length: a snapshot is made after so many commands, and as many
// are kept for those who lag behind.
const (
	snapshotAfter = 1024
	trailingLogs  = 1024
	snapshotEvery = time.Minute
)

// Errors of a group.
var (
	// ErrNoLeader: there is no leader now. The command may have been applied, and
	// may be applied later.
	ErrNoLeader = errors.New("cluster's metadata has no leader now")
	// ErrClosed: the group was closed.
	ErrClosed = errors.New("metadata is closed")
	// ErrBegun: there is a group in the directory already.
	ErrBegun = errors.New("metadata exists already")

	errNotLeader = errors.New("member does not lead")
	errAway      = errors.New("metadata takes no part: its disk takes nothing")
)

// Group is a member's part of the consensus. Its methods may be called from many
// goroutines.
type Group struct {
	o       Options
	lock    io.Closer
	store   *raftlog.Store
	snaps   *raftlog.Snapshots
	machine *machine
	raft    *raft.Raft
	prompt  *prompt
	away    atomic.Bool // see terms
	// purging is held by whoever purges.
	purging chan struct{}

	stop      context.CancelFunc
	stopped   context.Context
	running   sync.WaitGroup
	closeOnce sync.Once
	closeErr  error
}

// Open opens a member's part of the consensus. If the directory has none it is
// idle until a leader speaks to it.
func Open(o Options) (*Group, error) {
	g, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("open metadata %s: %w", o.Dir, err)
	}
	return g, nil
}

func open(o Options) (*Group, error) {
	o.fill()
	store, snapshots, lock, err := openStores(o)
	if err != nil {
		return nil, err
	}
	g := &Group{o: o, lock: lock, store: store, snaps: snapshots, purging: make(chan struct{}, 1), machine: newMachine(o.Publish, o.Fail), prompt: newPrompt(o.Transport)}
	g.stopped, g.stop = context.WithCancel(context.Background())
	observed := make(chan raft.Observation, 64)
	g.raft, err = raft.NewRaft(o.config(), g.machine, store, terms{store, g.stopped.Done(), o.Timing.Retry, o.Logger, &g.away}, snapshots, g.prompt)
	if err != nil {
		g.prompt.stop()
		g.stop()
		return nil, errors.Join(err, store.Close(), lock.Close())
	}
	g.raft.RegisterObserver(raft.NewObserver(observed, false, func(observation *raft.Observation) bool {
		_, leader := observation.Data.(raft.LeaderObservation)
		_, state := observation.Data.(raft.RaftState)
		return leader || state
	}))
	g.running.Go(func() { g.observe(observed) })
	g.running.Go(g.look)
	g.running.Go(g.notice)
	if g.alone() {
		g.prompt.stand(raft.ServerID(o.ID.String()))
	}
	return g, nil
}

func (o *Options) fill() {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Publish == nil {
		o.Publish = func(*State) {}
	}
	if o.Fail == nil {
		o.Fail = func(error) {}
	}
	if o.Timing == (Timing{}) {
		o.Timing = DefaultTiming
	}
}

func (o *Options) config() *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(o.ID.String())
	c.HeartbeatTimeout, c.ElectionTimeout = o.Timing.Election, o.Timing.Election
	c.LeaderLeaseTimeout = o.Timing.Election / 2
	c.CommitTimeout = min(c.CommitTimeout, o.Timing.Election/4)
	c.SnapshotThreshold, c.TrailingLogs, c.SnapshotInterval = snapshotAfter, trailingLogs, snapshotEvery
	c.NoLegacyTelemetry = true
	c.Logger = raftLogger(o.Logger)
	return c
}

func openStores(o Options) (*raftlog.Store, *raftlog.Snapshots, io.Closer, error) {
	if err := o.FS.MkdirAll(o.Dir); err != nil {
		return nil, nil, nil, err
	}
	lock, err := o.FS.Lock(path.Join(o.Dir, "lock"))
	if err != nil {
		return nil, nil, nil, err
	}
	snapshots, err := raftlog.OpenSnapshots(o.FS, o.Dir, o.Logger)
	if err != nil {
		return nil, nil, nil, errors.Join(err, lock.Close())
	}
	if _, err := snapshots.List(); err != nil { // raft would go on without
		return nil, nil, nil, errors.Join(err, lock.Close())
	}
	store, err := raftlog.Open(raftlog.Options{FS: o.FS, Dir: o.Dir, Logger: o.Logger, Fail: o.Fail})
	if err != nil {
		return nil, nil, nil, errors.Join(err, lock.Close())
	}
	return store, snapshots, lock, nil
}

// alone says whether this member is the only voter.
func (g *Group) alone() bool {
	voters := votersOf(g.configuration())
	return len(voters) == 1 && voters[0] == g.o.ID
}

func (g *Group) configuration() raft.Configuration {
	f := g.raft.GetConfiguration() // never waits
	if f.Error() != nil {
		return raft.Configuration{}
	}
	return f.Configuration()
}

// observe wakes those who wait for a leader. It ends with the group.
func (g *Group) observe(observed <-chan raft.Observation) {
	for {
		select {
		case <-observed:
			g.machine.tell()
		case <-g.stopped.Done():
			return
		}
	}
}

// State is the state in force on this member.
func (g *Group) State() *State {
	s, _, _ := g.machine.now()
	return s
}

// Applied is the version of the state in force on this member.
func (g *Group) Applied() uint64 { return g.State().Version }

// Leader is who leads, if that is known.
func (g *Group) Leader() (MemberID, bool) {
	_, id := g.raft.LeaderWithID()
	return parseID(id)
}

// Leads says whether this member leads.
func (g *Group) Leads() bool { return g.raft.State() == raft.Leader }

// Voters are those who vote.
func (g *Group) Voters() []MemberID { return votersOf(g.configuration()) }

// Wait waits until the state on this member satisfies ok.
func (g *Group) Wait(ctx context.Context, ok func(*State) bool) error {
	for {
		state, news, halted := g.machine.now()
		switch {
		case halted != nil:
			return halted
		case ok(state):
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		case <-g.stopped.Done():
			return ErrClosed
		}
	}
}

// snapshotWithin bounds a snapshot that was asked for.
const snapshotWithin = 30 * time.Second

// Snapshot writes the state whole and shortens the log.
func (g *Group) Snapshot() error {
	if g.away.Load() {
		return errAway
	}
	done := make(chan error, 1)
	go func() { done <- g.raft.Snapshot().Error() }() // ends when raft knows, or is shut down
	select {
	case err := <-done:
		if errors.Is(err, raft.ErrNothingNewToSnapshot) {
			return nil
		}
		return err
	case <-time.After(snapshotWithin):
		return errAway
	}
}

// TransferLeader has another voter lead: the one of that id, or, for no id,
// whoever has most of the log.
func (g *Group) TransferLeader(to MemberID) error {
	if !g.Leads() {
		return errNotLeader
	}
	f := g.raft.LeadershipTransfer
	if to != (MemberID{}) {
		name := to.String()
		f = func() raft.Future {
			return g.raft.LeadershipTransferToServer(raft.ServerID(name), raft.ServerAddress(name))
		}
	}
	if err := f().Error(); err != nil {
		return fmt.Errorf("transfer the leadership: %w", err)
	}
	return nil
}

// Close ends the member's part. What it has stays on disk.
func (g *Group) Close() error {
	g.closeOnce.Do(func() {
		g.stop()
		err := g.raft.Shutdown().Error()
		g.prompt.stop()
		g.running.Wait()
		g.closeErr = errors.Join(err, g.store.Close(), g.lock.Close())
	})
	return g.closeErr
}

// NewRequestID draws a command's name.
func NewRequestID() RequestID {
	var id RequestID
	rand.Read(id[:]) // never gives an error
	return id
}
