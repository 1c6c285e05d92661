package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"arbor/backup"
	"arbor/catalog"
	"arbor/cluster"
	"arbor/cluster/consensus"
	clustermember "arbor/cluster/member"
	"arbor/engine"
	"arbor/engine/appendlog"
	"arbor/engine/vfs"
	"arbor/gateway"
	"arbor/gateway/audit"
)

// shutdownGrace is how long open requests and statements may take to end once
// the server was asked to stop.
const shutdownGrace = 10 * time.Second

// purgeEvery is how often dropped projects are looked at.
const purgeEvery = 10 * time.Minute

// shutdownBound is how long stopping may take at all.
const shutdownBound = 3 * shutdownGrace

type serveOptions struct {
	data, mysql, http string
	flight            string
	tlsCert, tlsKey   string
	tlsSelfSigned     bool
	insecure, salvage bool
	logLevel, logForm string
	edgeKey           string
	maxConnections    int
	backupTo          []string
	drillDir          string
	exportDir         string
	// manual leaves indexing to whoever opens the member.
	manual bool
	// replica says that the directory is a cluster member's, or is about to be.
	replica bool
	cluster clusterOptions
}

// heapFloor is memory that is held and never touched, so that it is no machine's, only
// the collector's reason to let at least as much garbage come together. What a server
// keeps on the heap is little, since files are mapped: without it the collector would
// run every few dozen questions, and take a quarter of the processor for small ones.
const heapFloor = 64 << 20

func newServe() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a server: MySQL on 127.0.0.1:3306, HTTP on 127.0.0.1:8080, data in ./arbor-data",
		Long: `Run a server. Without flags it is ready for use on this machine alone:

  mariadb -h 127.0.0.1 -u root          (or mysql; no password until one is set)
  curl http://127.0.0.1:8080/healthz

Stop it with Ctrl-C or SIGTERM: open requests end first, and whatever was
acknowledged is on disk in any case.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.data, "data", "arbor-data", "`directory` that holds everything; made if missing")
	f.StringVar(&o.mysql, "mysql", "127.0.0.1:3306", "`host:port` for MySQL clients")
	f.StringVar(&o.http, "http", "127.0.0.1:8080", "`host:port` for SDKs, queries over HTTP and metrics")
	f.StringVar(&o.flight, "flight", "", "`host:port` for Arrow Flight SQL, which ADBC and JDBC drivers speak; without it there is none")
	f.StringVar(&o.tlsCert, "tls-cert", "", "certificate `file` (PEM) for all ports")
	f.StringVar(&o.tlsKey, "tls-key", "", "key `file` (PEM) of the certificate")
	f.BoolVar(&o.tlsSelfSigned, "tls-self-signed", false, "use TLS with a certificate that the server makes itself, as it does for a public address without another")
	f.BoolVar(&o.insecure, "insecure", false, "allow a public address without TLS, and clients without it")
	f.BoolVar(&o.salvage, "salvage", false, "open a damaged log with what can be read of it, raising alarms")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&o.logForm, "log-format", "text", "text or json")
	f.StringVar(&o.edgeKey, "edge-key", "", "`file` with the key that is shared with the siphon in front, whose stamps are then taken")
	f.StringSliceVar(&o.backupTo, "backup-to", nil, "`URL` of a store that gets backups: s3://, gs://, azblob:// or file://; repeat it for several")
	f.StringVar(&o.drillDir, "drill-dir", "", "`directory` in which backups are restored and compared now and then; it needs as much room as the data")
	f.StringVar(&o.exportDir, "export-dir", "", "`directory` that CALL arbor.export and SELECT … INTO OUTFILE write into; without it they are refused")
	f.IntVar(&o.maxConnections, "max-connections", 1000, "MySQL connections at once")
	o.cluster.flags(f)
	return cmd
}

// serve opens the member from the disk up, serves until ctx ends, and closes it
// from the clients down.
func serve(ctx context.Context, o serveOptions) (err error) {
	logger, err := newLogger(o.logLevel, o.logForm)
	if err != nil {
		return err
	}
	edgeKey, oldEdgeKeys, err := readEdgeKey(o.edgeKey)
	if err != nil {
		return err
	}
	if err := vfs.OS().MkdirAll(o.data); err != nil {
		return fmt.Errorf("data directory %s: %w", o.data, err)
	}
	tlsConfig, err := o.tls(logger)
	if err != nil {
		return err
	}
	who, err := o.cluster.find(o.data)
	if err != nil {
		return err
	}
	ports, err := o.open(who)
	if err != nil {
		return err
	}
	defer ports.close()

	floor := make([]byte, heapFloor)
	defer runtime.KeepAlive(floor)
	start := time.Now()
	stores, closeStores, err := openStores(ctx, o.backupTo)
	if err != nil {
		return fmt.Errorf("--backup-to: %w", err)
	}
	defer func() { err = errors.Join(err, closeStores()) }()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	member, err := openMember(ctx, o, who, ports, fail, logger)
	if err != nil {
		return err
	}
	options := gateway.Options{Cluster: member.cluster, Logger: logger, EdgeKey: edgeKey, OldEdgeKeys: oldEdgeKeys, Collectors: scrubMetrics(member.engine)}
	if member.trail != nil {
		options.Audit = member.trail
	}
	if len(stores) > 0 {
		k := newKeeper(member, stores, o.drillDir, logger)
		options.Keeper, options.Collectors, member.keeper = k, append(options.Collectors, k), k.Keeper
	}
	exports, closeExports, err := openExports(o.exportDir, member)
	if err != nil {
		return errors.Join(err, member.Close())
	}
	defer func() { err = errors.Join(err, closeExports()) }()
	options.Exports = exports
	g := gateway.New(options)
	logger.Info("serving", append([]any{"version", version(), "data", o.data, "mysql", ports.address(ports.mysql), "http", ports.address(ports.http), "flight", ports.address(ports.flight),
		"projects", len(g.Catalog().Projects), "opened_in", time.Since(start).Round(time.Millisecond)}, member.says(who)...)...)

	leaveAfter(ctx, shutdownBound, logger)
	if member.control == nil { // one of a cluster waits for a majority first, in resumeErasures
		if err := member.cluster.HideErasedRows(ctx); err != nil {
			return errors.Join(err, g.Close(), member.Close())
		}
	}
	err = serveGateway(ctx, g, member, o, ports, tlsConfig)
	if errors.Is(err, gateway.ErrStillRunning) {
		return err // a statement that is left behind may still read the files
	}
	if why := context.Cause(ctx); why != nil && !errors.Is(why, context.Canceled) {
		err = errors.Join(why, err)
	}
	return errors.Join(err, g.Close(), member.Close())
}

// ports are where clients come in. A member that only stores has none.
type ports struct{ mysql, http, flight net.Listener }

// open opens the ports.
func (o serveOptions) open(who *membership) (p ports, err error) {
	if who != nil && who.place.Roles&consensus.RoleGateway == 0 {
		return p, nil
	}
	if p.mysql, err = o.listen("mysql", o.mysql); err != nil {
		return p, err
	}
	if p.http, err = o.listen("http", o.http); err != nil {
		return p, errors.Join(err, p.mysql.Close())
	}
	if o.flight == "" {
		return p, nil
	}
	if p.flight, err = o.listen("flight", o.flight); err != nil {
		return p, errors.Join(err, p.mysql.Close(), p.http.Close())
	}
	return p, nil
}

func (p ports) close() {
	for _, l := range []net.Listener{p.mysql, p.http, p.flight} {
		if l != nil {
			_ = l.Close() // the servers have closed it, if they began
		}
	}
}

// address is a port's, empty if there is none.
func (p ports) address(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// leaveAfter ends the process when it was asked to stop and a statement will not
// end: what was acknowledged is on disk in any case.
func leaveAfter(ctx context.Context, bound time.Duration, logger *slog.Logger) {
	context.AfterFunc(ctx, func() {
		time.AfterFunc(bound, func() {
			logger.Error("a statement did not end in time; leaving without it", "waited", bound)
			os.Exit(1)
		})
	})
}

// serveGateway runs both ports until ctx ends or one of them fails.
func serveGateway(ctx context.Context, g *gateway.Gateway, m *member, o serveOptions, p ports, tlsConfig *tls.Config) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return purgeDropped(ctx, m) })
	group.Go(func() error { return resumeErasures(ctx, m) })
	if m.keeper != nil {
		group.Go(func() error { return m.keeper.Run(ctx) })
	}
	if p.mysql == nil {
		return group.Wait()
	}
	listener := g.JoinMySQL(p.mysql)
	group.Go(func() error {
		return g.ServeMySQL(ctx, gateway.MySQLOptions{Listener: listener, TLS: tlsConfig, RequireTLSElsewhere: tlsConfig != nil && !o.insecure, MaxConnections: o.maxConnections, Grace: shutdownGrace})
	})
	group.Go(func() error {
		return g.ServeHTTP(ctx, gateway.HTTPOptions{Listener: p.http, TLS: tlsConfig, Grace: shutdownGrace})
	})
	if p.flight != nil {
		group.Go(func() error {
			return g.ServeFlight(ctx, gateway.FlightOptions{Listener: p.flight, TLS: tlsConfig, Grace: shutdownGrace})
		})
	}
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// purgeDropped forgets dropped projects once their time has come, until ctx ends.
func purgeDropped(ctx context.Context, m *member) error {
	ticker := time.NewTicker(purgeEvery)
	defer ticker.Stop()
	for {
		if m.control != nil && !m.control.Leads() { // one member is enough
			select {
			case <-ctx.Done():
				return nil
			case <-ticker.C:
			}
			continue
		}
		n, err := m.cluster.PurgeDropped(ctx, time.Now())
		if err != nil && ctx.Err() == nil {
			m.logger.Error("purge dropped projects", "error", err)
		}
		if n > 0 {
			m.logger.Info("purged dropped projects", "projects", n)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// resumeErasuresEvery is how often erasures that did not come to their end are gone on with.
const resumeErasuresEvery = time.Minute

// resumeErasures goes on with erasures that a crash interrupted, and then, until ctx ends,
// with those that an error did.
func resumeErasures(ctx context.Context, m *member) error {
	ticker := time.NewTicker(resumeErasuresEvery)
	defer ticker.Stop()
	for {
		if m.control == nil || m.control.Leads() { // one member is enough
			if err := m.cluster.ResumeErasures(ctx, time.Now); err != nil && ctx.Err() == nil {
				m.logger.Error("erase users", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// member is a whole open data directory: its catalog, its engine, and the
// cluster over both. One that is alone has metadata, one of a cluster the rest.
type member struct {
	metadata *cluster.Metadata
	control  *clustermember.Member
	replicas *cluster.Replicas
	members  *cluster.Members
	engine   *engine.Engine
	cluster  *cluster.Cluster
	logger   *slog.Logger
	// trail is where is written down who did what; nil where nobody comes in.
	trail *audit.Trail
	// keeper makes backups; nil for none.
	keeper *backup.Keeper
}

// openMember opens a data directory as what it is: a server's that is alone, or a
// member's of a cluster.
func openMember(ctx context.Context, o serveOptions, who *membership, p ports, fail func(error), logger *slog.Logger) (*member, error) {
	if who == nil {
		return openAlone(ctx, o, logger)
	}
	return openClustered(ctx, o, who, p.address(p.mysql), p.address(p.http), fail, logger)
}

func inUse(dir string) error {
	return fmt.Errorf("data directory %s is in use by another arbor process; stop it, or give this one its own with --data", dir)
}

func openAlone(ctx context.Context, o serveOptions, logger *slog.Logger) (*member, error) {
	if _, err := vfs.OS().Stat(filepath.Join(o.data, backup.Marker)); err == nil {
		return nil, fmt.Errorf("data directory %s: a restore into it is not finished; give the same arbor restore again, and start then", o.data)
	}
	metadata, err := cluster.OpenMetadata(vfs.OS(), filepath.Join(o.data, "catalog"), logger)
	if errors.Is(err, vfs.ErrLocked) {
		return nil, inUse(o.data)
	}
	if err != nil {
		return nil, err
	}
	e, err := openEngine(ctx, o, metadata.Catalog(), catalog.MemberKey{}, logger)
	if err != nil {
		return nil, errors.Join(err, metadata.Close())
	}
	m := &member{metadata: metadata, engine: e, logger: logger}
	if !o.manual {
		if m.trail, err = openTrail(o.data, metadata.Catalog, logger); err != nil {
			return nil, errors.Join(err, m.Close())
		}
	}
	m.cluster = cluster.New(metadata, audited{e, m.trail})
	return m, nil
}

func openEngine(ctx context.Context, o serveOptions, c *catalog.Catalog, who catalog.MemberKey, logger *slog.Logger) (*engine.Engine, error) {
	e, err := engine.Open(ctx, engine.Options{FS: vfs.OS(), Dir: o.data, Logger: logger, Catalog: c, CreatedBy: version(), Functions: gateway.NewFunctions(), OpenDamagedLog: o.salvage, Manual: o.manual, Replica: o.replica, Member: who})
	if errors.Is(err, appendlog.ErrCorrupt) {
		err = fmt.Errorf("%w; put the file back from a copy, or start once with --salvage to go on with what can be read", err)
	}
	return e, err
}

// says is what the log says of a member of a cluster.
func (m *member) says(who *membership) []any {
	if who == nil {
		return nil
	}
	return []any{"member", m.control.ID(), "peer", who.place.Addresses, "role", who.place.Roles}
}

// Close ends the background work and releases the data directory.
func (m *member) Close() (err error) {
	if m.cluster != nil {
		err = m.cluster.Close()
	}
	if m.trail != nil {
		err = errors.Join(err, m.trail.Close())
	}
	if m.control != nil {
		m.control.Leave()
		err = errors.Join(err, m.control.Close())
	}
	if m.members != nil {
		err = errors.Join(err, m.members.Close())
	}
	if m.replicas != nil {
		err = errors.Join(err, m.replicas.Close())
	}
	if m.engine != nil {
		err = errors.Join(err, m.engine.Close())
	}
	if m.metadata != nil {
		err = errors.Join(err, m.metadata.Close())
	}
	return err
}

// listen opens one of the two ports, and says which flag moves it when it cannot.
func (o serveOptions) listen(flag, address string) (net.Listener, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, fmt.Errorf("--%s %q: %w (want host:port, like 127.0.0.1:8080)", flag, address, err)
	}
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %s is taken by another program; choose another with --%s, for example --%s %s", address, flag, flag, nextPort(address))
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("port %s needs more rights than this process has; choose one above 1023 with --%s", address, flag)
	case err != nil:
		return nil, fmt.Errorf("--%s %s: %w", flag, address, err)
	}
	return l, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func nextPort(address string) string {
	host, port, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(port)
	return net.JoinHostPort(host, strconv.Itoa(n+1))
}

// tls is how the ports encrypt, nil for not at all. Ports that other machines can reach
// do so unless it was said that plain text is meant.
func (o serveOptions) tls(logger *slog.Logger) (*tls.Config, error) {
	var c *certificate
	var err error
	switch {
	case o.tlsCert != "" || o.tlsKey != "":
		c, err = openCertificate(o.tlsCert, o.tlsKey, logger)
	case o.tlsSelfSigned || !o.insecure && (isPublic(o.mysql) || isPublic(o.http) || o.flight != "" && isPublic(o.flight)):
		c, err = ownCertificate(o.data, o.addresses(), logger)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12}, nil
}

// addresses are those of all ports.
func (o serveOptions) addresses() []string {
	all := []string{o.mysql, o.http}
	if o.flight != "" {
		all = append(all, o.flight)
	}
	return all
}

// isPublic reports whether other machines can reach an address.
func isPublic(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && !isLoopback(host)
}

func newLogger(level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level %q: want debug, info, warn or error", level)
	}
	o := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(os.Stderr, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(os.Stderr, o)), nil
	}
	return nil, fmt.Errorf("--log-format %q: want text or json", format)
}
