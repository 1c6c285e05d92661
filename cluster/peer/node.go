package peer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
)

// The protocols on the port, told by ALPN.
const (
	protocolCalls  = "h2"
	protocolRaft   = "arbor-raft/1"
	protocolGossip = "arbor-gossip/1"
)

// Limits of a node.
const (
	// MaxMessageBytes bounds a request, an answer and a message.
	MaxMessageBytes = 160 << 20
	// handshakeWithin is how long a new connection may take to prove itself, and
	// maxHandshakes how many may be about it.
	handshakeWithin = 5 * time.Second
	maxHandshakes   = 256
	// maxCalls are those of one connection at once.
	maxCalls = 4096
	// maxJoins are taken at once.
	maxJoins = 4
	// maxWaiting connections of consensus or gossip wait to be taken.
	maxWaiting = 64
	// keepAlive is how often a silent connection is tried, and how long that may take.
	keepAlive        = 10 * time.Second
	keepAliveTimeout = 5 * time.Second
	// silentWithin is how long the other side of a connection may acknowledge nothing of
	// what was sent.
	silentWithin = 10 * time.Second
)

// Errors of calls.
var (
	// ErrUnreachable: the member could not be reached. It may have got the request.
	ErrUnreachable = errors.New("member cannot be reached")
	// ErrRefused: the member does not know us, or not any more.
	ErrRefused = errors.New("member refused the connection's certificate")
	// ErrNoMethod: the member does not know the call: it runs another arbor.
	ErrNoMethod = errors.New("member does not know the call")
	// ErrTooLarge: a request or an answer is past MaxMessageBytes.
	ErrTooLarge = errors.New("message is too large")
	// ErrClosed: the node was closed.
	ErrClosed = errors.New("node is closed")
)

// Options of a node.
type Options struct {
	Identity *Identity
	// Listener is the peer port; the node closes it.
	Listener net.Listener
	// Addresses are where a member can be reached, the best first.
	Addresses func(MemberID) []string
	// Allow says whether a member may still call. The certificate says who it is.
	Allow func(MemberID) bool
	// Join lets a new member in. It is nil where nobody can join.
	Join func(ctx context.Context, r *JoinRequest) (*JoinAnswer, error)
	// Calls and Streams are the answers to calls, by name.
	Calls   map[string]Call
	Streams map[string]Stream
	// Receive is handed the messages. It may be nil.
	Receive func(from MemberID, message []byte)
	Logger  *slog.Logger
}

// Call answers a request. What it returns as an error reaches the caller as text.
type Call func(ctx context.Context, from MemberID, request []byte) ([]byte, error)

// Stream answers a request with as many pieces as it sends. Send waits while the
// caller does not keep up.
type Stream func(ctx context.Context, from MemberID, request []byte, send func([]byte) error) error

// Node is a member's end of all connections to others. Its methods may be called
// from many goroutines.
type Node struct {
	o      Options
	cert   tls.Certificate
	pool   *x509.CertPool
	server *grpc.Server
	calls  *lane
	raft   *lane
	gossip *lane
	joins  chan struct{}
	shakes chan struct{}

	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup

	// mu guards what follows.
	mu     sync.Mutex
	closed bool
	conns  map[MemberID]*grpc.ClientConn
	queues map[MemberID]*queue
}

// Serve starts a node, which answers until it is closed.
func Serve(o Options) (*Node, error) {
	cert, pool, err := o.Identity.tls()
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	addr := o.Listener.Addr()
	n := &Node{o: o, cert: cert, pool: pool, calls: newLane(addr), raft: newLane(name(o.Identity.ID)), gossip: newLane(addr),
		joins: make(chan struct{}, maxJoins), shakes: make(chan struct{}, maxHandshakes),
		conns: map[MemberID]*grpc.ClientConn{}, queues: map[MemberID]*queue{}}
	n.ctx, n.stop = context.WithCancel(context.Background())
	n.server = grpc.NewServer(
		grpc.Creds(shaken{}), grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(n.answer),
		grpc.MaxRecvMsgSize(MaxMessageBytes), grpc.MaxSendMsgSize(MaxMessageBytes), grpc.MaxConcurrentStreams(maxCalls),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepAlive, Timeout: keepAliveTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepAlive / 2, PermitWithoutStream: true}),
	)
	n.running.Go(n.accept)
	n.running.Go(func() { _ = n.server.Serve(n.calls) }) // ends with its lane
	return n, nil
}

// Close ends all connections and waits for what runs.
func (n *Node) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	conns, queues := n.conns, n.queues
	n.conns, n.queues = nil, nil
	n.mu.Unlock()
	n.stop()
	err := n.o.Listener.Close()
	for _, l := range []*lane{n.calls, n.raft, n.gossip} {
		_ = l.Close() // never gives an error
	}
	for _, q := range queues {
		q.close()
	}
	for _, c := range conns {
		err = errors.Join(err, c.Close())
	}
	n.server.Stop()
	n.running.Wait()
	return err
}

// accept takes connections until the node is closed.
func (n *Node) accept() {
	for {
		conn, err := n.o.Listener.Accept()
		if n.ctx.Err() != nil {
			if err == nil {
				_ = conn.Close() // nobody was told of it
			}
			return
		}
		if err != nil { // too many open files
			n.o.Logger.Warn("a member's connection could not be accepted", "error", err)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-n.ctx.Done():
			}
			continue
		}
		n.bound(conn)
		select {
		case n.shakes <- struct{}{}:
			n.running.Go(func() {
				defer func() { <-n.shakes }()
				n.shake(conn)
			})
		case <-n.ctx.Done():
			_ = conn.Close()
		}
	}
}

// shake lets a connection prove itself and passes it on.
func (n *Node) shake(conn net.Conn) {
	c := tls.Server(conn, &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{n.cert}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: n.pool,
		NextProtos: []string{protocolCalls, protocolRaft, protocolGossip}, SessionTicketsDisabled: true,
	})
	ctx, cancel := context.WithTimeout(n.ctx, handshakeWithin)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		n.o.Logger.Debug("a connection to the peer port proved nothing", "from", conn.RemoteAddr(), "error", err)
		_ = conn.Close()
		return
	}
	lane := n.calls
	switch c.ConnectionState().NegotiatedProtocol {
	case protocolRaft:
		lane = n.raft
	case protocolGossip:
		lane = n.gossip
	case protocolCalls:
		lane.hand(c)
		return
	}
	id, ok := caller(c.ConnectionState())
	if !ok || lane == n.calls || !n.o.Allow(id) {
		n.o.Logger.Warn("a connection to the peer port was refused", "from", conn.RemoteAddr(), "member", id)
		_ = c.Close()
		return
	}
	lane.hand(c)
}

// caller is the member on the other side, if it showed a certificate.
func caller(s tls.ConnectionState) (id MemberID, ok bool) {
	if len(s.VerifiedChains) == 0 || len(s.VerifiedChains[0]) == 0 {
		return id, false
	}
	id, err := nameOf(s.VerifiedChains[0][0])
	return id, err == nil
}

// dial connects to a member for one of the protocols.
func (n *Node) dial(ctx context.Context, to MemberID, protocol string) (net.Conn, error) {
	conn, err := n.dialTCP(ctx, to)
	if err != nil {
		return nil, err
	}
	c := tls.Client(conn, n.client(to, protocol))
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("%w: member %s at %s: %w", ErrUnreachable, to, conn.RemoteAddr(), errors.Join(err, conn.Close()))
	}
	return c, nil
}

func (n *Node) client(to MemberID, protocol string) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{n.cert}, RootCAs: n.pool, ServerName: to.String(), NextProtos: []string{protocol}}
}

// dialTCP tries a member's addresses in turn.
func (n *Node) dialTCP(ctx context.Context, to MemberID) (net.Conn, error) {
	err := errors.New("no address is known")
	var dialer net.Dialer
	for _, address := range n.o.Addresses(to) {
		var conn net.Conn
		if conn, err = dialer.DialContext(ctx, "tcp", address); err == nil {
			n.bound(conn)
			return conn, nil
		}
	}
	return nil, fmt.Errorf("%w: member %s: %w", ErrUnreachable, to, err)
}

// bound has a connection end when the other side is silent.
func (n *Node) bound(c net.Conn) {
	if err := boundSilence(c, silentWithin); err != nil {
		n.o.Logger.Debug("how long a connection may be silent is not bounded", "error", err)
	}
}

// shaken are gRPC's credentials for connections that have shaken hands already.
type shaken struct{}

// ServerHandshake tells gRPC what the connection has proved.
func (shaken) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	t, ok := c.(*tls.Conn)
	if !ok {
		return nil, nil, ErrTrust
	}
	return c, credentials.TLSInfo{State: t.ConnectionState(), CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}, nil
}

// ClientHandshake is never asked for.
func (shaken) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, ErrTrust
}

// Info describes the protocol.
func (shaken) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone gives the same.
func (s shaken) Clone() credentials.TransportCredentials { return s }

// OverrideServerName is of no use here.
func (shaken) OverrideServerName(string) error { return nil }
