package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func id(n byte) MemberID { return MemberID{0: n, 15: n} }

// network connects members in memory. It loses some packets, and can cut members
// off, which breaks what they have and refuses new connections.
type network struct {
	t    *testing.T
	mu   sync.Mutex
	rng  *rand.Rand
	loss float64
	// listeners are by member, cut are those cut off, and conns those between two.
	listeners map[MemberID]*listener
	cut       map[MemberID]bool
	conns     map[*conn]bool
	members   []MemberID
	gossips   map[MemberID]*Gossip
}

type listener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *listener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *listener) Addr() net.Addr { return address{} }

// conn is one end of a connection; packets that it sends may be lost.
type conn struct {
	net.Conn
	network  *network
	from, to MemberID
	packets  bool
	began    bool
}

func (c *conn) Write(b []byte) (int, error) {
	if c.began && c.packets && c.network.loses() {
		return len(b), nil
	}
	if !c.began {
		c.began, c.packets = true, b[0] == kindPackets
	}
	return c.Conn.Write(b)
}

func (n *network) loses() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rng.Float64() < n.loss
}

func newNetwork(t *testing.T, members byte) *network {
	n := &network{t: t, rng: rand.New(rand.NewPCG(1, 2)), listeners: map[MemberID]*listener{}, cut: map[MemberID]bool{},
		conns: map[*conn]bool{}, gossips: map[MemberID]*Gossip{}}
	for i := byte(1); i <= members; i++ {
		n.members = append(n.members, id(i))
	}
	return n
}

func (n *network) dial(ctx context.Context, from, to MemberID) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[to]
	if l == nil || n.cut[from] || n.cut[to] {
		n.mu.Unlock()
		return nil, errors.New("unreachable")
	}
	mine, theirs := net.Pipe()
	c := &conn{Conn: mine, network: n, from: from, to: to}
	n.conns[c] = true
	n.mu.Unlock()
	select {
	case l.conns <- theirs:
		return c, nil
	case <-l.done:
		return nil, errors.New("refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// isolate cuts a member off.
func (n *network) isolate(m MemberID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[m] = true
	for c := range n.conns {
		if c.from == m || c.to == m {
			_ = c.Close()
			delete(n.conns, c)
		}
	}
}

func (n *network) heal(m MemberID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.cut, m)
}

func (n *network) open(m, cluster MemberID) *Gossip {
	n.t.Helper()
	l := &listener{conns: make(chan net.Conn), done: make(chan struct{})}
	n.mu.Lock()
	n.listeners[m] = l
	n.mu.Unlock()
	g, err := Open(Options{ID: m, Cluster: cluster, Listener: l, Logger: quiet, Hint: Hint{MySQL: "of " + m.String()[:2]},
		Dial:    func(ctx context.Context, to MemberID) (net.Conn, error) { return n.dial(ctx, m, to) },
		Members: func() []MemberID { return n.members }})
	if err != nil {
		n.t.Fatal(err)
	}
	n.gossips[m] = g
	return g
}

func (n *network) close() {
	for m, g := range n.gossips {
		if err := g.Close(); err != nil {
			n.t.Errorf("close %s: %v", m, err)
		}
	}
	time.Sleep(time.Minute) // memberlist does not wait for a probe under way
}

// waitFor waits until a condition holds, at most so long, and gives how long it was.
func waitFor(t *testing.T, limit time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !ok() {
		if time.Since(start) > limit {
			t.Fatalf("%s: not within %v", what, limit)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return time.Since(start)
}

// sees says whether each of some members hears of exactly those.
func (n *network) sees(who, whom []MemberID) bool {
	for _, a := range who {
		for _, b := range n.members {
			want := false
			for _, x := range whom {
				want = want || x == b
			}
			if n.gossips[a].Alive(b) != want {
				return false
			}
		}
	}
	return true
}

var ours = MemberID{77}

// TestMembersFindEachOther: all at once, with a fifth of all packets lost.
func TestMembersFindEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 8)
		n.loss = 0.2
		for _, m := range n.members {
			n.open(m, ours)
		}
		took := waitFor(t, 20*time.Second, "all hear of all", func() bool { return n.sees(n.members, n.members) })
		t.Logf("all heard of all after %v", took)
		if h, ok := n.gossips[id(1)].Hint(id(3)); !ok || h.MySQL != "of 03" {
			t.Errorf("the hint of member 3 is %+v, %v", h, ok)
		}
		if err := n.gossips[id(3)].SetHint(Hint{MySQL: "elsewhere"}); err != nil {
			t.Fatal(err)
		}
		waitFor(t, 20*time.Second, "another hint is heard of", func() bool {
			h, _ := n.gossips[id(1)].Hint(id(3))
			return h.MySQL == "elsewhere"
		})
		n.close()
	})
}

// TestIsolationHeals: a member that was cut off for five minutes is heard of again
// within a round of calls, and hears the others.
func TestIsolationHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 5)
		for _, m := range n.members {
			n.open(m, ours)
		}
		waitFor(t, 10*time.Second, "all hear of all", func() bool { return n.sees(n.members, n.members) })
		lone, rest := n.members[4:], n.members[:4]
		n.isolate(lone[0])
		took := waitFor(t, time.Minute, "the lone one is missed", func() bool { return n.sees(rest, rest) && n.sees(lone, lone) })
		t.Logf("missed after %v", took)
		time.Sleep(5 * time.Minute)
		n.heal(lone[0])
		took = waitFor(t, rejoinEvery+5*time.Second, "all hear of all again", func() bool { return n.sees(n.members, n.members) })
		t.Logf("again after %v", took)
		n.close()
	})
}

// TestLeaveAndDeath: who leaves is gone at once, who dies after a few seconds, and
// both come back.
func TestLeaveAndDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 4)
		for _, m := range n.members {
			n.open(m, ours)
		}
		waitFor(t, 10*time.Second, "all hear of all", func() bool { return n.sees(n.members, n.members) })
		leaver, rest := n.gossips[id(4)], n.members[:3]
		if err := leaver.Leave(5 * time.Second); err != nil {
			t.Fatal(err)
		}
		if err := leaver.Close(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, 2*time.Second, "the one that left is gone", func() bool { return n.sees(rest, rest) })
		n.open(id(4), ours)
		waitFor(t, 10*time.Second, "it is back", func() bool { return n.sees(n.members, n.members) })
		if err := n.gossips[id(4)].Close(); err != nil {
			t.Fatal(err)
		}
		took := waitFor(t, 20*time.Second, "the dead one is gone", func() bool { return n.sees(rest, rest) })
		t.Logf("a death was noticed after %v", took)
		n.open(id(4), ours)
		waitFor(t, 20*time.Second, "it is back", func() bool { return n.sees(n.members, n.members) })
		n.close()
	})
}

// TestOtherClusterIsRefused: a member of another cluster, and one that the metadata
// does not have, are not heard of.
func TestOtherClusterIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 3)
		n.open(id(1), ours)
		n.open(id(2), ours)
		n.open(id(3), MemberID{66}) // calls the others, and they call it
		stranger := n.open(id(9), ours)
		time.Sleep(2 * time.Minute)
		if !n.sees(n.members[:2], n.members[:2]) {
			t.Error("the members of the cluster hear of others than each other")
		}
		if g := n.gossips[id(3)]; g.Alive(id(1)) || g.Alive(id(2)) {
			t.Error("a member of another cluster was let in")
		}
		if n.gossips[id(1)].Alive(id(9)) {
			t.Error("who is not in the metadata is heard of")
		}
		_ = stranger
		n.close()
	})
}

func TestHintLimit(t *testing.T) {
	h := Hint{}
	empty, err := encodeHint(ours, h)
	if err != nil {
		t.Fatal(err)
	}
	free := maxHintBytes - (len(empty) - len(ours)) - len(`"MySQL":""`)
	h.MySQL = strings.Repeat("x", free)
	if b, err := encodeHint(ours, h); err != nil {
		t.Errorf("%d bytes: %v", len(b), err)
	}
	h.MySQL += "x"
	if _, err := encodeHint(ours, h); !errors.Is(err, ErrHint) {
		t.Errorf("one byte more: %v", err)
	}
	if _, err := decodeHint(ours, nil); !errors.Is(err, ErrStranger) {
		t.Errorf("no bytes: %v", err)
	}
	if h, err := decodeHint(ours, append(ours[:], "of tomorrow"...)); err != nil || h.MySQL != "" {
		t.Errorf("a hint that cannot be read: %+v, %v", h, err)
	}
}

func TestAddressesDiffer(t *testing.T) {
	if a, b := addressOf(id(1)), addressOf(id(2)); a == b || !strings.HasPrefix(a, "[fd") {
		t.Error(fmt.Sprint(a, b))
	}
}
