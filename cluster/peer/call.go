package peer

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// Names of the calls that the package answers itself.
const (
	service      = "/arbor/"
	callJoin     = "join"
	callMessages = "messages"
)

// RemoteError is what a member's Call or Stream returned.
type RemoteError struct {
	Member MemberID
	Text   string
}

// Error is the member's text.
func (e *RemoteError) Error() string { return fmt.Sprintf("member %s: %s", e.Member, e.Text) }

// raw leaves bytes as they are.
type raw struct{}

// Marshal gives the bytes themselves.
func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

// Unmarshal gives the bytes themselves; they are the receiver's.
func (raw) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = b
	return nil
}

// Name is part of the content type.
func (raw) Name() string { return "raw" }

// answer answers all calls.
func (n *Node) answer(_ any, s grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(s)
	called, ok := strings.CutPrefix(method, service)
	if !ok {
		return status.Error(codes.Unimplemented, "no such call")
	}
	if called == callJoin {
		return n.answerJoin(s)
	}
	from, ok := callerOf(s.Context())
	if !ok || !n.o.Allow(from) {
		return status.Error(codes.Unauthenticated, "not a member")
	}
	if called == callMessages {
		return n.receive(from, s)
	}
	call, isCall := n.o.Calls[called]
	stream, isStream := n.o.Streams[called]
	if !isCall && !isStream {
		return status.Error(codes.Unimplemented, "no such call")
	}
	var request []byte
	if err := s.RecvMsg(&request); err != nil {
		return err
	}
	if isStream {
		return remote(stream(s.Context(), from, request, func(b []byte) error { return s.SendMsg(&b) }))
	}
	answer, err := call(s.Context(), from, request)
	if err != nil {
		return remote(err)
	}
	return s.SendMsg(&answer)
}

// remote is an error on its way to another member.
func remote(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	default:
		return status.Error(codes.Unknown, strings.ToValidUTF8(err.Error(), "?"))
	}
}

func callerOf(ctx context.Context) (id MemberID, ok bool) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return id, false
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return id, false
	}
	return caller(info.State)
}

// deadlineSlack is how much earlier than here a deadline may be noticed by the
// member that was asked.
const deadlineSlack = time.Second

// local is an error that came from another member.
func local(ctx context.Context, to MemberID, err error) error {
	if err == nil {
		return nil
	}
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	kind := ErrUnreachable
	switch s.Code() {
	case codes.Canceled, codes.DeadlineExceeded:
		if ctx.Err() != nil {
			return fmt.Errorf("ask member %s: %w", to, ctx.Err())
		}
		// The member counts the time too, and may be the first to see its end.
		if end, ok := ctx.Deadline(); ok && time.Until(end) < deadlineSlack {
			return fmt.Errorf("ask member %s: %w", to, context.DeadlineExceeded)
		}
	case codes.Unauthenticated, codes.PermissionDenied:
		kind = ErrRefused
	case codes.Unimplemented:
		kind = ErrNoMethod
	case codes.ResourceExhausted:
		kind = ErrTooLarge
	case codes.Unknown:
		return &RemoteError{Member: to, Text: s.Message()}
	}
	return fmt.Errorf("ask member %s: %w: %s", to, kind, s.Message())
}

// Call sends a request to a member and gives its answer.
func (n *Node) Call(ctx context.Context, to MemberID, call string, request []byte) ([]byte, error) {
	conn, err := n.conn(to)
	if err != nil {
		return nil, err
	}
	var answer []byte
	if err := conn.Invoke(ctx, service+call, &request, &answer); err != nil {
		return nil, local(ctx, to, err)
	}
	return answer, nil
}

// Stream sends a request to a member and hands the pieces of its answer to take,
// whose error ends it. Pieces come no faster than take takes them.
func (n *Node) Stream(ctx context.Context, to MemberID, call string, request []byte, take func([]byte) error) error {
	conn, err := n.conn(to)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, service+call)
	if err == nil {
		err = errors.Join(s.SendMsg(&request), s.CloseSend())
	}
	if err != nil && !errors.Is(err, io.EOF) { // for that, RecvMsg says why
		return local(ctx, to, err)
	}
	for {
		var piece []byte
		switch err := s.RecvMsg(&piece); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return local(ctx, to, err)
		}
		if err := take(piece); err != nil {
			return err
		}
	}
}

// conn is the connection to a member; gRPC makes and remakes it when it is used.
func (n *Node) conn(to MemberID) (*grpc.ClientConn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, ErrClosed
	}
	if c, ok := n.conns[to]; ok {
		return c, nil
	}
	c, err := dialGRPC(to.String(), n.client(to, protocolCalls), func(ctx context.Context, _ string) (net.Conn, error) { return n.dialTCP(ctx, to) })
	if err != nil {
		return nil, fmt.Errorf("connect to member %s: %w", to, err)
	}
	n.conns[to] = c
	return c, nil
}

func dialGRPC(target string, config *tls.Config, dial func(context.Context, string) (net.Conn, error)) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+target,
		grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithContextDialer(dial),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.MaxCallRecvMsgSize(MaxMessageBytes), grpc.MaxCallSendMsgSize(MaxMessageBytes)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second},
			MinConnectTimeout: handshakeWithin,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepAlive, Timeout: keepAliveTimeout}),
		grpc.WithDisableServiceConfig(), grpc.WithNoProxy())
}

func parseMember(text string) (id MemberID, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("%q is no member's id", text)
	}
	copy(id[:], b)
	return id, nil
}
