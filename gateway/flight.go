package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/apache/arrow/go/v15/arrow/flight"
	"github.com/apache/arrow/go/v15/arrow/flight/flightsql"
	"github.com/go-sql-driver/mysql"
	"github.com/google/flatbuffers/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// Arrow Flight SQL: statements and answers over gRPC, for ADBC and JDBC drivers. As
// with POST /query a statement is one on a MySQL connection inside the process, so
// logins, privileges, limits and KILL are those of every client, and its rows go from
// batches to Arrow's records:
//
//	client ─ GetFlightInfo ─▶ a ticket that is the statement
//	       ─ DoGet ─▶ dialSQL with an arrowWriter ─▶ records ─▶ client
//
// A statement runs when its rows are fetched, and ends when the client goes away.

// Limits of a Flight server.
const (
	// maxFlightMessage is the longest message of a client, which may be parameters.
	maxFlightMessage = 16 << 20
	// maxFlightStreams is how many calls of one connection are under way at once.
	maxFlightStreams = 256
	// maxFlightStatement is the longest statement.
	maxFlightStatement = maxStatementBytes
	// maxFlightPrepared is how many prepared statements exist at once, and
	// maxFlightParameters how many rows of values one is given.
	maxFlightPrepared   = 10_000
	maxFlightParameters = 1 << 16
	// flightPing is how long a connection may be silent before its client is asked
	// whether it is there.
	flightPing = 30 * time.Second
)

// FlightOptions say how Flight SQL is served.
type FlightOptions struct {
	// Listener is where clients come from; ServeFlight closes it.
	Listener net.Listener
	// TLS is nil for plain text.
	TLS *tls.Config
	// MaxConnections is how many clients are connected at once; 0 means
	// DefaultMaxHTTPConnections.
	MaxConnections int
	// Grace is how long calls may take to end once the context has ended.
	Grace time.Duration
}

// ServeFlight serves Arrow Flight SQL until ctx ends, then lets calls end within Grace.
// When it returns nothing of it runs any more.
func (g *Gateway) ServeFlight(ctx context.Context, o FlightOptions) error {
	s := newFlightServer(g)
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxFlightMessage), grpc.MaxConcurrentStreams(maxFlightStreams),
		grpc.ConnectionTimeout(readHeaderTimeout), grpc.KeepaliveParams(keepalive.ServerParameters{Time: flightPing}),
		grpc.UnaryInterceptor(s.unary), grpc.StreamInterceptor(s.stream),
	}
	if o.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(o.TLS.Clone())))
	}
	server := grpc.NewServer(options...)
	flight.RegisterFlightServiceServer(server, flightsql.NewFlightServer(s))
	stopped := make(chan struct{})
	ended := context.AfterFunc(ctx, func() {
		defer close(stopped)
		late := time.AfterFunc(o.Grace, server.Stop)
		defer late.Stop()
		server.GracefulStop()
	})
	err := server.Serve(newHTTPListener(o.Listener, o.MaxConnections, true))
	if !ended() {
		<-stopped
		return nil
	}
	server.Stop()
	return fmt.Errorf("flight: %w", err)
}

// flightServer answers Flight SQL's calls.
type flightServer struct {
	flightsql.BaseServer
	gateway  *Gateway
	sessions flightSessions
	prepared flightStatements
}

func newFlightServer(g *Gateway) *flightServer {
	s := &flightServer{gateway: g}
	s.Alloc = arrowMemory
	s.sessions.now, s.prepared.now = g.now, g.now
	for id, value := range map[flightsql.SqlInfo]any{
		flightsql.SqlInfoFlightSqlServerName: "arbor", flightsql.SqlInfoFlightSqlServerVersion: Version,
		flightsql.SqlInfoFlightSqlServerArrowVersion: "15.0.2", flightsql.SqlInfoFlightSqlServerReadOnly: false,
		flightsql.SqlInfoFlightSqlServerSql: true, flightsql.SqlInfoFlightSqlServerSubstrait: false,
		flightsql.SqlInfoFlightSqlServerTransaction: int32(flightsql.SqlTransactionNone), flightsql.SqlInfoFlightSqlServerCancel: false,
		flightsql.SqlInfoIdentifierQuoteChar: "`",
	} {
		if err := s.RegisterSqlInfo(id, value); err != nil {
			panic(err) // a type that there is not
		}
	}
	return s
}

// unary checks who calls, and turns panics and errors into statuses.
func (s *flightServer) unary(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (answer any, err error) {
	defer s.settle(&err)
	if ctx, err = s.authenticate(ctx); err != nil {
		return nil, err
	}
	return handle(ctx, request)
}

// stream does it for streams, and answers handshakes.
func (s *flightServer) stream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
	defer s.settle(&err)
	ctx, err := s.authenticate(stream.Context())
	if err != nil {
		return err
	}
	if strings.HasSuffix(info.FullMethod, "/Handshake") {
		return s.handshake(ctx, stream)
	}
	return handle(server, &flightStream{ServerStream: stream, ctx: ctx})
}

// flightStream is a call with what is known of its client.
type flightStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context is the call's.
func (f *flightStream) Context() context.Context { return f.ctx }

// RecvMsg takes a message, unless it has compressed buffers: the library makes room
// for as much as they say that they have.
func (f *flightStream) RecvMsg(m any) error {
	if err := f.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if data, ok := m.(*flight.FlightData); ok && len(data.DataHeader) > 0 {
		if packed, err := isCompressed(data.DataHeader); err != nil || packed {
			return status.Error(codes.InvalidArgument, "parameters are taken as plain record batches, without dictionaries and compression")
		}
	}
	return nil
}

// Places of fields in the tables of Arrow's messages, as Message.fbs has them, and the
// numbers of kinds of messages.
const (
	messageKind, messageHeader = 6, 8
	batchCompression           = 10
	kindSchema, kindBatch      = 1, 3
)

// isCompressed reports whether a message of Arrow's is a record batch with compression,
// or anything else but a schema or a batch.
func isCompressed(message []byte) (packed bool, err error) {
	defer func() {
		if recover() != nil { // an offset that leads nowhere
			err = errors.New("not a message")
		}
	}()
	table := flatbuffers.Table{Bytes: message, Pos: flatbuffers.GetUOffsetT(message)}
	kind := byte(0)
	if at := table.Offset(messageKind); at != 0 {
		kind = table.GetByte(table.Pos + flatbuffers.UOffsetT(at))
	}
	if kind == kindSchema {
		return false, nil
	}
	at := table.Offset(messageHeader)
	if kind != kindBatch || at == 0 {
		return true, nil
	}
	var batch flatbuffers.Table
	table.Union(&batch, flatbuffers.UOffsetT(at))
	return batch.Offset(batchCompression) != 0, nil
}

// settle is to be deferred: it recovers, and gives an error its status.
func (s *flightServer) settle(err *error) {
	if p := recover(); p != nil {
		id := faultID()
		s.gateway.logger.Error("panic in a Flight call", "id", id, "panic", p, "stack", string(debug.Stack()))
		*err = status.Errorf(codes.Internal, "Internal error %s; the server's log says more under this id", id)
		return
	}
	*err = flightError(*err)
}

// flightError is an error with its status.
func flightError(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	code := codes.Internal
	var fault *mysql.MySQLError
	switch is := errors.As(err, &fault); {
	case is && fault.Number == codeTimeout:
		code = codes.DeadlineExceeded
	case is && (fault.Number == 1317 || fault.Number == 1053):
		code = codes.Canceled
	case is && fault.Number == codeCapacity:
		code = codes.ResourceExhausted
	case errors.Is(err, context.Canceled):
		code = codes.Canceled
	default:
		switch httpStatus, _ := statusOf(err); httpStatus {
		case http.StatusBadRequest:
			code = codes.InvalidArgument
		case http.StatusUnauthorized:
			code = codes.Unauthenticated
		case http.StatusForbidden:
			code = codes.PermissionDenied
		case http.StatusNotFound:
			code = codes.NotFound
		case http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
			code = codes.ResourceExhausted
		case http.StatusServiceUnavailable:
			code = codes.Unavailable
		}
	}
	return status.Error(code, err.Error())
}

// flightPeer is where a call comes from, and whether it came encrypted.
func flightPeer(ctx context.Context) (from net.Addr, encrypted bool) {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return &net.TCPAddr{}, false
	}
	_, encrypted = p.AuthInfo.(credentials.TLSInfo)
	return p.Addr, encrypted
}

// flightHeader is a call's header, empty if there is none.
func flightHeader(ctx context.Context, name string) string {
	if values := metadata.ValueFromIncomingContext(ctx, name); len(values) > 0 {
		return values[0]
	}
	return ""
}
