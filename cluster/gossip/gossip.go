package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"arbor/cluster/protocol"
)

// MemberID is a member's identity.
type MemberID = protocol.MemberID

// Of memberlist's timing what differs from its own for a data centre. With its
// own, a rumour that got lost is only repaired by the exchange of everything,
// each 30 s; that is what made 50 members take a minute to find each other.
const (
	exchangeEvery   = 5 * time.Second
	retransmits     = 6
	gossipTo        = 4
	gossipEvery     = 100 * time.Millisecond
	gossipToDeadFor = time.Minute
	reclaimAfter    = 30 * time.Second
	// rejoinEvery is how often members that are not heard of are called. Without
	// that, a member that was cut off for long never comes back by itself.
	rejoinEvery = 30 * time.Second
	// maxRejoins are called at once.
	maxRejoins = 8
)

// Errors of gossip.
var (
	// ErrHint: a hint does not fit.
	ErrHint = errors.New("hint is too large")
	// ErrStranger: it is no member of this cluster.
	ErrStranger = errors.New("not a member of this cluster")
)

// Options of a member's gossip.
type Options struct {
	ID      MemberID
	Cluster MemberID
	// Listener has the connections that other members' Dial made.
	Listener net.Listener
	// Dial connects to a member.
	Dial func(ctx context.Context, to MemberID) (net.Conn, error)
	// Members are those that should be there, by the metadata; it is asked often.
	// Before anything is known it gives those that are known otherwise.
	Members func() []MemberID
	// Hint is what others are told of this member at first.
	Hint Hint
	// Changed is called when somebody came, went, or has another hint. It must not
	// call back, nor wait. It may be nil.
	Changed func()
	Logger  *slog.Logger
}

// Gossip is a member's part of it. Its methods may be called from many
// goroutines.
type Gossip struct {
	o    Options
	wire *wire
	list *memberlist.Memberlist

	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
	nudge   chan struct{}

	// mu guards what follows.
	mu    sync.Mutex
	hint  []byte
	peers map[MemberID]Hint // alive, this member included
}

// Open starts a member's gossip, which ends when it is closed.
func Open(o Options) (*Gossip, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	hint, err := encodeHint(o.Cluster, o.Hint)
	if err != nil {
		return nil, err
	}
	g := &Gossip{o: o, nudge: make(chan struct{}, 1), hint: hint, peers: map[MemberID]Hint{}}
	g.ctx, g.stop = context.WithCancel(context.Background())
	g.wire = openWire(o)
	g.list, err = memberlist.Create(g.config())
	if err != nil {
		g.stop()
		return nil, fmt.Errorf("open gossip: %w", errors.Join(err, g.wire.Shutdown()))
	}
	g.running.Go(g.rejoin)
	return g, nil
}

func (g *Gossip) config() *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name, c.Label, c.RequireNodeNames = g.o.ID.String(), g.o.Cluster.String(), true
	c.PushPullInterval, c.RetransmitMult, c.GossipNodes, c.GossipInterval = exchangeEvery, retransmits, gossipTo, gossipEvery
	c.GossipToTheDeadTime, c.DeadNodeReclaimTime = gossipToDeadFor, reclaimAfter
	c.Transport, c.Delegate, c.Events, c.Alive, c.Merge = g.wire, (*delegate)(g), (*delegate)(g), (*delegate)(g), (*delegate)(g)
	c.Logger = slog.NewLogLogger(g.o.Logger.Handler(), slog.LevelDebug)
	return c
}

// rejoin calls those that should be there and are not heard of, until the gossip
// is closed.
func (g *Gossip) rejoin() {
	ticker := time.NewTicker(rejoinEvery)
	defer ticker.Stop()
	for {
		g.call()
		select {
		case <-ticker.C:
		case <-g.nudge:
		case <-g.ctx.Done():
			return
		}
	}
}

// call tries to reach all that are missing, a few at once.
func (g *Gossip) call() {
	var calls sync.WaitGroup
	room := make(chan struct{}, maxRejoins)
	for _, id := range g.o.Members() {
		if id == g.o.ID || g.Alive(id) || g.ctx.Err() != nil {
			continue
		}
		room <- struct{}{}
		calls.Go(func() {
			defer func() { <-room }()
			if _, err := g.list.Join([]string{id.String() + "/" + addressOf(id)}); err != nil {
				g.o.Logger.Debug("a member is not heard of, and cannot be reached", "member", id, "error", err)
			}
		})
	}
	calls.Wait()
}

// Look has those that are missing be called now: the metadata has a new member.
func (g *Gossip) Look() {
	select {
	case g.nudge <- struct{}{}:
	default:
	}
}

// Alive says whether a member seems to be alive.
func (g *Gossip) Alive(id MemberID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.peers[id]
	return ok
}

// Hint is what a member that seems to be alive says of itself.
func (g *Gossip) Hint(id MemberID) (Hint, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	h, ok := g.peers[id]
	return h, ok
}

// SetHint tells others another hint. It does not wait until they know.
func (g *Gossip) SetHint(h Hint) error {
	encoded, err := encodeHint(g.o.Cluster, h)
	if err != nil {
		return err
	}
	g.mu.Lock()
	g.hint = encoded
	g.mu.Unlock()
	return g.list.UpdateNode(0)
}

// Leave tells others that this member goes, and waits up to a time for one of
// them to hear it.
func (g *Gossip) Leave(within time.Duration) error {
	g.stop() // who leaves calls nobody
	return g.list.Leave(within)
}

// Close ends the gossip. Without Leave, others will take a few seconds to notice.
func (g *Gossip) Close() error {
	g.stop()
	err := g.list.Shutdown() // which shuts the wire down, too
	g.running.Wait()
	return err
}
