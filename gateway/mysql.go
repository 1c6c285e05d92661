package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"sync"
	"time"

	sqle "github.com/dolthub/go-mysql-server"
	"github.com/dolthub/go-mysql-server/server"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/analyzer"
	"github.com/dolthub/vitess/go/mysql"
	vitesslog "github.com/dolthub/vitess/go/vt/log"
	"github.com/sirupsen/logrus"
)

// Version is what the server says it is. Clients read the number and expect
// what MySQL of that number does, which the SQL library speaks for.
const Version = "8.0.31-arbor"

// Times of a MySQL server.
const (
	// DefaultGrace is how long running statements may go on after the server was
	// told to stop.
	DefaultGrace = 10 * time.Second
	// DefaultStopGrace is how long statements that were told to stop may take to do so.
	DefaultStopGrace = 2 * time.Second
	// DefaultLoginTimeout bounds a login: MySQL's connect_timeout.
	DefaultLoginTimeout = 10 * time.Second
	// writeStallTimeout bounds how long a client may take no data: MySQL's
	// net_write_timeout.
	writeStallTimeout = 60 * time.Second
	// idleClientTimeout ends connections without commands: MySQL's wait_timeout.
	idleClientTimeout = 8 * time.Hour
	// watchAfter is how long a statement runs before its client is watched.
	watchAfter = 50 * time.Millisecond
)

// MySQLOptions say how MySQL's clients are served.
type MySQLOptions struct {
	// Listener is where they come from. ServeMySQL closes it.
	Listener net.Listener
	// TLS lets clients encrypt, RequireTLS turns away those that do not.
	TLS        *tls.Config
	RequireTLS bool
	// RequireTLSElsewhere turns away those that do not and are on other machines.
	RequireTLSElsewhere bool
	// MaxConnections is how many are served at once, 0 for
	// DefaultMaxConnections.
	MaxConnections int
	// LoginTimeout is how long a client may take to log in, 0 for
	// DefaultLoginTimeout. Then it is cut off: until then it holds a connection
	// that others may want.
	LoginTimeout time.Duration
	// MaxPacket is the longest statement in bytes, 0 for DefaultMaxPacket.
	MaxPacket int
	// Grace is how long statements may go on after the end of the context, 0 for
	// DefaultGrace.
	Grace time.Duration
	// StopGrace is how long those that were told to stop then may take, 0 for
	// DefaultStopGrace.
	StopGrace time.Duration
}

// ErrStillRunning says that a server has ended without some statements, which
// may still read what they were given to read.
var ErrStillRunning = errors.New("statements did not end in time and still run")

func (o *MySQLOptions) validate() error {
	if o.Listener == nil {
		return errors.New("serve MySQL: no listener")
	}
	if (o.RequireTLS || o.RequireTLSElsewhere) && o.TLS == nil {
		return errors.New("serve MySQL: TLS is required of clients, but there is no certificate")
	}
	if o.MaxConnections <= 0 {
		o.MaxConnections = DefaultMaxConnections
	}
	if o.LoginTimeout <= 0 {
		o.LoginTimeout = DefaultLoginTimeout
	}
	if o.MaxPacket <= 0 {
		o.MaxPacket = DefaultMaxPacket
	}
	if o.Grace <= 0 {
		o.Grace = DefaultGrace
	}
	if o.StopGrace <= 0 {
		o.StopGrace = DefaultStopGrace
	}
	return nil
}

// ServeMySQL serves clients until ctx ends. Then it takes no more of them, lets
// the statements that run finish for as long as o.Grace, and returns when
// nothing of it runs any more; or o.StopGrace later with ErrStillRunning, if a
// statement does not end although it was told to.
func (g *Gateway) ServeMySQL(ctx context.Context, o MySQLOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	if most := connectionShare(descriptors()); o.MaxConnections > most {
		g.logger.Warn("fewer MySQL connections than asked for: the process may have too few files open", "connections", most, "asked", o.MaxConnections)
		o.MaxConnections = most
	}
	if g.exports != nil {
		if err := sql.SystemVariables.AssignValues(map[string]any{"secure_file_priv": g.exports.Root()}); err != nil {
			o.Listener.Close()
			return err
		}
	}
	o.Listener = g.pipes.join(o.Listener)
	e, err := newSQLEngine(sqlEngineOptions{
		Provider: g.newProvider(), Parser: g.parserOverride(), Builder: g, Grants: g, Logger: g.logger,
		StockGroups: g.stockGroups,
	})
	if err != nil {
		o.Listener.Close()
		return err
	}
	g.readers.use(e.grants)
	return e.serve(ctx, o)
}

// connectionShare is how many of the files that the process may have open its
// MySQL clients may take. HTTP's take up to half; the rest is for data.
func connectionShare(descriptors int) int { return max(descriptors/4, 1) }

// sqlEngineOptions are what a sqlEngine is made of.
type sqlEngineOptions struct {
	Provider sql.DatabaseProvider
	// Parser reads statements; nil means the SQL library's.
	Parser sql.Parser
	// Builder changes a node before it is executed; nil changes none.
	Builder     nodeRewriter
	Grants      grantStore
	Logger      *slog.Logger
	Limits      queryLimits
	StockGroups bool // see Options.StockGroups
}

// nodeRewriter gives the node to execute in the place of another.
type nodeRewriter interface {
	rewriteNode(ctx *sql.Context, n sql.Node) (sql.Node, error)
}

// sqlEngine is the SQL library with arbor's parts in its seams.
type sqlEngine struct {
	gms    *sqle.Engine
	grants *grants
	limits queryLimits
	logger *slog.Logger
	events *Gateway // the handler's
	plans  *planServer
	logins *loginAudit
	auth   *logins
}

func newSQLEngine(o sqlEngineOptions) (*sqlEngine, error) {
	quietLibraries()
	installComparisons()
	installBehaviours()
	if err := setServerVariables(); err != nil {
		return nil, err
	}
	if o.Parser == nil {
		o.Parser = sql.NewMysqlParser()
	}
	o.Limits = o.Limits.orDefaults()
	parser := &strictParser{Parser: o.Parser}
	a := analyzer.NewBuilder(o.Provider).AddOverrides(sql.EngineOverrides{
		Builder: sql.BuilderOverrides{Parser: parser},
	}).Build()
	parser.users = a.Catalog.MySQLDb
	e := &sqlEngine{gms: sqle.New(a, &sqle.Config{}), limits: o.Limits, logger: o.Logger}
	e.gms.ProcessList = newProcesses()
	var err error
	if e.grants, err = openGrants(sql.NewContext(context.Background(), sql.WithSession(withVariables(sql.NewBaseSession))), a.Catalog.MySQLDb, o.Grants); err != nil {
		return nil, err
	}
	installSessionMaps()
	a.Catalog.AuthHandler = &access{AuthorizationHandler: a.Catalog.AuthHandler}
	x := newExecutor(a.ExecBuilder, a.Catalog.MySQLDb, o.Builder, o.Limits)
	x.stockGroups = o.StockGroups
	a.ExecBuilder.PriorityBuilder = x
	e.events, _ = o.Builder.(*Gateway)
	e.logins = newLoginAudit(e.events, e.grants)
	e.plans = &planServer{gateway: e.events, grants: e.grants, globals: &x.globals}
	return e, nil
}

// serve serves clients until ctx ends.
func (e *sqlEngine) serve(ctx context.Context, o MySQLOptions) error {
	if err := sql.SystemVariables.AssignValues(map[string]any{"max_connections": int64(o.MaxConnections)}); err != nil {
		o.Listener.Close()
		return err
	}
	base, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	wires := &wireOptions{
		TLS: o.TLS, RequireTLS: o.RequireTLS, RequireTLSElsewhere: o.RequireTLSElsewhere, MaxPacket: func() int { return o.MaxPacket },
		LoginTimeout: o.LoginTimeout, WriteTimeout: writeStallTimeout,
		IdleTimeout: func() time.Duration { return idleClientTimeout },
		Preparable:  preparable,
		MapError:    libraryError,
	}
	clients := newListener(o.Listener, o.MaxConnections, e.logger, wires)
	e.auth = newLogins(e.grants, newLockouts(time.Now, lockoutSettings(e.events))).noteInto(e.logins)
	h := &handler{auth: e.auth, engine: e.gms, grants: e.grants, logger: e.logger, base: base, memory: e.limits.Memory, events: e.events, watchDelay: watchAfter, plans: e.plans, logins: e.logins}
	s, err := server.NewServer(server.Config{
		Listener: clients,
		Version:  Version,
		// The handler watches clients itself: the library's way reads from the
		// connection while a cursor does.
		DisableConnectionWatcher: true,
		Options:                  []server.Option{h.install},
		ProtocolListenerFactory:  e.protocolListener,
	}, e.gms, sql.NewContext, e.newSession, nil)
	if err != nil {
		clients.Close()
		return fmt.Errorf("serve MySQL: %w", err)
	}
	served := make(chan struct{})
	go func() { // ends when clients is closed
		defer close(served)
		s.Start()
	}()
	select {
	case <-ctx.Done():
	case <-served:
		err = errors.New("serve MySQL: the listener failed")
	}
	clients.Close()
	s.Close()
	<-served
	clients.drain()
	ended := e.end(clients, s.SessionManager(), o, stop)
	return errors.Join(err, ended, e.gms.Close())
}

// end waits for the connections to end, and ends them when grace is over. A
// statement that does not see its end even then is left behind.
func (e *sqlEngine) end(clients *listener, sessions *server.SessionManager, o MySQLOptions, stop context.CancelCauseFunc) error {
	timer := time.AfterFunc(o.Grace, func() {
		stop(errShutdown)
		for _, w := range clients.connections() {
			w.Close()
		}
	})
	defer timer.Stop()
	ended := make(chan struct{})
	go func() { // ends with the last connection
		sessions.WaitForClosedConnections()
		close(ended)
	}()
	late := time.NewTimer(o.Grace + o.StopGrace)
	defer late.Stop()
	select {
	case <-ended:
		return nil
	case <-late.C:
		return ErrStillRunning
	}
}

// install puts the handler before the library's own.
func (h *handler) install(e *sqle.Engine, sm *server.SessionManager, stock mysql.Handler) (*sqle.Engine, *server.SessionManager, mysql.Handler) {
	h.stock, h.sessions = stock, sm
	return e, sm, h
}

// protocolListener makes the library's listener with our logins, and leaves TLS
// to the wire.
func (e *sqlEngine) protocolListener(c server.Config, l mysql.ListenerConfig, _ server.ServerEventListener) (server.ProtocolListener, error) {
	l.AuthServer = e.auth
	listener, err := mysql.NewListenerWithConfig(l)
	if err != nil {
		return nil, err
	}
	listener.ServerVersion = c.Version
	return listener, nil
}

// newSession makes a client's session.
func (e *sqlEngine) newSession(_ context.Context, c *mysql.Conn, address string) (sql.Session, error) {
	client := sql.Client{User: c.User, Capabilities: c.Capabilities}
	if u, ok := c.UserData.(sql.MysqlConnectionUser); ok {
		client.User, client.Address = u.User, u.Host
	}
	s := newSession(address, client, c.ConnectionID)
	s.users = e.grants.db
	return s, nil
}

var serverVariables sync.Once

// setServerVariables makes the SQL library's variables, which are the
// process's, say what is true of this server.
func setServerVariables() (err error) {
	serverVariables.Do(func() {
		err = sql.SystemVariables.AssignValues(map[string]any{
			"version":                       Version,
			"version_comment":               "arbor",
			"secure_file_priv":              "/nonexistent",
			"local_infile":                  int8(1),
			"default_authentication_plugin": string(mysql.CachingSha2Password),
			"max_allowed_packet":            int64(DefaultMaxPacket),
		})
	})
	return err
}

var quiet sync.Once

// quietLibraries keeps the SQL library and the protocol library from logging:
// they log statements and errors, each of which is handled here.
func quietLibraries() {
	quiet.Do(func() {
		logrus.SetOutput(io.Discard)
		logrus.SetLevel(logrus.PanicLevel)
		none := log.New(io.Discard, "", 0)
		vitesslog.Info, vitesslog.Infof = none.Print, none.Printf
		vitesslog.Warning, vitesslog.Warningf = none.Print, none.Printf
		vitesslog.Error, vitesslog.Errorf = none.Print, none.Printf
	})
}
