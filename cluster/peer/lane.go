package peer

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// name is a net.Addr that is a member's id.
type name MemberID

// Network is not one of the operating system's.
func (name) Network() string { return "arbor" }

// String is the id in hexadecimal.
func (n name) String() string { return MemberID(n).String() }

// lane is a net.Listener of the connections of one protocol.
type lane struct {
	addr  net.Addr
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newLane(addr net.Addr) *lane {
	return &lane{addr: addr, conns: make(chan net.Conn, maxWaiting), done: make(chan struct{})}
}

// hand gives a connection to whoever accepts, or closes it if nobody does.
func (l *lane) hand(c net.Conn) {
	select {
	case <-l.done:
	default:
		select {
		case l.conns <- c:
			return
		case <-l.done:
		case <-time.After(handshakeWithin):
		}
	}
	_ = c.Close() // nobody was told of it
}

// Accept waits for a connection.
func (l *lane) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and closes those that wait.
func (l *lane) Close() error {
	l.once.Do(func() { close(l.done) })
	for {
		select {
		case c := <-l.conns:
			_ = c.Close() // nobody was told of it
		default:
			return nil
		}
	}
}

// Addr is the address that was given.
func (l *lane) Addr() net.Addr { return l.addr }

// raftLayer is consensus's connections: its servers' addresses are member ids.
type raftLayer struct {
	*lane
	node *Node
}

// RaftLayer gives the connections of consensus.
func (n *Node) RaftLayer() raft.StreamLayer { return raftLayer{n.raft, n} }

// Dial connects to a member, who is named by its id.
func (l raftLayer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	id, err := parseMember(string(address))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(l.node.ctx, timeout)
	defer cancel()
	return l.node.dial(ctx, id, protocolRaft)
}

// GossipLayer gives the connections of gossip that come, and DialGossip makes one.
func (n *Node) GossipLayer() net.Listener { return n.gossip }

// DialGossip connects to a member for gossip.
func (n *Node) DialGossip(ctx context.Context, to MemberID) (net.Conn, error) {
	return n.dial(ctx, to, protocolGossip)
}
