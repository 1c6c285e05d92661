package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/cluster/consensus"
	clustermember "arbor/cluster/member"
	"arbor/cluster/peer"
	"arbor/cluster/protocol"
	"arbor/engine"
	"arbor/engine/vfs"
)

// clusterOptions are what a member of a cluster is told when it starts. Later
// starts need none of it: what was said last is kept.
type clusterOptions struct {
	peer, advertise  string
	join             []string
	token, tokenFile string
	zone, role       string
}

func (o *clusterOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.peer, "peer", "", "`host:port` for other members; makes this server a member of a cluster")
	f.StringVar(&o.advertise, "advertise", "", "`host:port` at which other members reach it, if not --peer's; several with commas")
	f.StringSliceVar(&o.join, "join", nil, "`host:port` of members whose cluster an empty server joins; ignored once it has")
	f.StringVar(&o.token, "token", "", "join `token` that CALL arbor.add_member() gave")
	f.StringVar(&o.tokenFile, "token-file", "", "`file` with the join token")
	f.StringVar(&o.zone, "zone", "", "`name` of what this member shares the fate of: a rack, a site")
	f.StringVar(&o.role, "role", "", "gateway, storage or both (default both)")
}

// any says whether anything of a cluster was asked for.
func (o *clusterOptions) any() bool {
	return o.peer != "" || o.advertise != "" || len(o.join) > 0 || o.token != "" || o.tokenFile != "" || o.zone != "" || o.role != ""
}

// membership is who this server is in a cluster, or is about to be.
type membership struct {
	place clustermember.Place
	kept  bool
}

// find reads who the data directory is, and holds it against the flags. It gives nil
// for a server that is alone.
func (o *clusterOptions) find(dir string) (*membership, error) {
	place, kept, err := clustermember.Kept(vfs.OS(), dir)
	if err != nil {
		return nil, err
	}
	m := &membership{kept: kept}
	switch {
	case !kept && !o.any():
		return nil, nil
	case !kept && o.peer == "":
		return nil, errors.New("--peer is missing: say at which host:port other members reach this one, for example --peer 127.0.0.1:4306")
	case kept:
		m.place = place
	default:
		m.place.Roles = consensus.RoleBoth
	}
	if err := o.update(&m.place); err != nil {
		return nil, err
	}
	return m, nil
}

// update lets flags say what is otherwise from now on.
func (o *clusterOptions) update(p *clustermember.Place) error {
	if o.zone != "" {
		p.Zone = o.zone
	}
	if o.role != "" {
		i := slices.IndexFunc([]consensus.Roles{consensus.RoleGateway, consensus.RoleStorage, consensus.RoleBoth}, func(r consensus.Roles) bool { return r.String() == o.role })
		if i < 0 {
			return fmt.Errorf("--role %q: want gateway, storage or both", o.role)
		}
		p.Roles = consensus.Roles(i + 1)
	}
	if o.peer != "" {
		host, _, err := net.SplitHostPort(o.peer)
		if err != nil {
			return fmt.Errorf("--peer %q: %w (want host:port, like 127.0.0.1:4306)", o.peer, err)
		}
		if ip := net.ParseIP(host); o.advertise == "" && (host == "" || ip != nil && ip.IsUnspecified()) {
			return fmt.Errorf("--peer %s listens on all addresses; say at which other members reach it with --advertise HOST:PORT", o.peer)
		}
		p.Listen, p.Addresses = o.peer, []string{o.peer}
	}
	if o.advertise != "" {
		p.Addresses = strings.Split(o.advertise, ",")
	}
	return nil
}

// readToken reads the join token.
func (o *clusterOptions) readToken() (token peer.Token, given bool, err error) {
	text := o.token
	if text == "" && o.tokenFile != "" {
		b, err := os.ReadFile(o.tokenFile)
		if err != nil {
			return token, true, fmt.Errorf("--token-file: %w", err)
		}
		text = string(b)
	}
	if text == "" {
		return token, false, nil
	}
	if token, err = peer.ParseToken(text); err != nil {
		return token, true, fmt.Errorf("--token: %w", err)
	}
	return token, true, nil
}

// openClustered opens a member of a cluster, which it joins or begins first where the
// directory is nobody's yet.
func openClustered(ctx context.Context, o serveOptions, m *membership, mysql, http string, fail func(error), logger *slog.Logger) (*member, error) {
	o.replica = true
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", m.place.Listen)
	if err != nil {
		return nil, fmt.Errorf("--peer %s: %w; choose another one with --peer", m.place.Listen, err)
	}
	if err := o.enter(ctx, m, logger); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	fs, late := vfs.OS(), &cluster.Late{}
	control, err := clustermember.Open(ctx, clustermember.Options{
		FS: fs, Dir: o.data, Listener: listener, Place: m.place, MySQL: mysql, HTTP: http, Release: release(),
		Receive: late.Receive, Calls: late.Calls(), Streams: late.Streams(), Fail: fail, Logger: logger,
	})
	if errors.Is(err, vfs.ErrLocked) {
		return nil, inUse(o.data)
	}
	if err != nil {
		return nil, err
	}
	opened := &member{control: control, logger: logger}
	if err := opened.openEvents(ctx, o, late, fail, m.place.Zone); err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return opened, nil
}

// enter makes the data directory a member's, if it is none yet.
func (o serveOptions) enter(ctx context.Context, m *membership, logger *slog.Logger) error {
	token, given, err := o.cluster.readToken()
	if err != nil {
		return err
	}
	fs := vfs.OS()
	switch {
	case m.kept && given:
		if err := clustermember.CheckToken(fs, o.data, token); err != nil {
			return err
		}
	case m.kept:
	case len(o.cluster.join) > 0 && !given:
		return errors.New("--join needs a token: CALL arbor.add_member() on a member of the cluster gives one, for --token or --token-file")
	case len(o.cluster.join) > 0:
		return clustermember.Join(ctx, clustermember.Joining{FS: fs, Dir: o.data, At: o.cluster.join, Token: token, Place: m.place, Release: release()})
	case given:
		return errors.New("--token without --join: say at which members to join, --join HOST:PORT")
	default:
		if err := o.begin(ctx, m, logger); err != nil {
			return err
		}
	}
	return clustermember.Retire(fs, o.data)
}

// begin makes the directory of a server that was alone, or is new, that of a cluster's
// first member.
func (o serveOptions) begin(ctx context.Context, m *membership, logger *slog.Logger) (err error) {
	alone, err := openAlone(ctx, o, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, alone.Close()) }()
	logger.Info("making a member's directory of one that was used alone; what is logged is indexed first", "data", o.data)
	slots, err := alone.engine.NameAll(ctx)
	if err != nil {
		return fmt.Errorf("begin a cluster with data directory %s: %w; start it without the flags of a cluster, have arbor.alarms show what is wrong, and begin when that is put right", o.data, err)
	}
	return clustermember.Found(clustermember.Founding{
		FS: vfs.OS(), Dir: o.data, Catalog: alone.metadata.Catalog(), Tables: alone.metadata.Tables(), Place: m.place, Release: release(), Logger: logger,
		Claim: func(c protocol.Config) error { return cluster.Claim(vfs.OS(), o.replicasDir(), slots, c) },
	})
}

// replicasDir is where the records of a member's replicas lie.
func (o serveOptions) replicasDir() string {
	return path.Join(filepath.ToSlash(o.data), "cluster", "replicas")
}

// openEvents opens what the member holds of the events.
func (m *member) openEvents(ctx context.Context, o serveOptions, late *cluster.Late, fail func(error), zone string) (err error) {
	if err := m.openEngine(ctx, o); err != nil {
		return err
	}
	if m.trail, err = openTrail(o.data, m.control.Catalog, m.logger); err != nil {
		return err
	}
	if m.replicas, err = cluster.OpenReplicas(m.engine, vfs.OS(), o.replicasDir()); err != nil {
		return err
	}
	generation, err := m.control.Generation(ctx, m.held, m.forget)
	if err != nil {
		return err
	}
	m.members, err = cluster.OpenMembers(ctx, cluster.MembersOptions{
		Member: m.control.ID(), Generation: generation, Engine: audited{m.engine, m.trail}, Storage: m.replicas, Ledger: m.replicas, Logger: m.logger,
		Prefer: m.prefer(zone), Synced: m.control.Synced, Lost: m.lost, Present: m.control.Storing, Keeping: m.control.Keeping, Measures: m.control.Measures,
		Broken: func(err error) {
			m.control.Broken(err)
			fail(fmt.Errorf("this member's disk cannot be believed any more: start it again: %w", err))
		},
	})
	if err != nil {
		return err
	}
	m.members.Start(m.control.Node())
	late.Set(m.members)
	m.cluster = cluster.NewOver(m.control, m.members)
	m.cluster.SetControl(m.control)
	return m.control.FollowPlacement(m.members.Learn)
}

// catalogPause is how long a member waits before it asks again for a catalog.
const catalogPause = time.Second

// openEngine opens the events. A member that was ended in the middle may hold events of
// a project that its own catalog does not have again yet: those who vote have it, so
// it waits until one of them leads.
func (m *member) openEngine(ctx context.Context, o serveOptions) error {
	return openCaughtUp(ctx, func() (err error) {
		m.engine, err = openEngine(ctx, o, m.control.Catalog(), catalog.MemberKey(m.control.ID()), m.logger)
		return err
	}, func() error {
		m.logger.Warn("there are events of a project that the catalog here does not have yet; waiting for a member that leads", "data", o.data)
		return m.control.Current(ctx)
	}, func() <-chan time.Time { return time.After(catalogPause) })
}

// openCaughtUp opens, and if the catalog is older than the events once more when
// current says that it is not any more; if there is nobody to ask, after a pause.
func openCaughtUp(ctx context.Context, open, current func() error, pause func() <-chan time.Time) error {
	lost := open()
	if !errors.Is(lost, engine.ErrCatalogLost) {
		return lost
	}
	for {
		err := current()
		if err == nil {
			return open()
		}
		if !errors.Is(err, cluster.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return errors.Join(lost, err)
		}
		select {
		case <-ctx.Done():
			return errors.Join(lost, ctx.Err())
		case <-pause():
		}
	}
}

// prefer has questions answered here, or else near.
func (m *member) prefer(zone string) func(protocol.MemberID) int {
	return func(id protocol.MemberID) int {
		switch {
		case id == m.control.ID():
			return 0
		case !m.control.Alive(id):
			return 3
		case zone != "" && m.control.Zone(id) == zone:
			return 1
		default:
			return 2
		}
	}
}

// held are the buckets that the member has something of, under an identity that it has
// taken up.
func (m *member) held(ctx context.Context) ([]protocol.Bucket, error) {
	records, err := m.replicas.Load(ctx)
	var held []protocol.Bucket
	for b, r := range records {
		if r.Generation > 0 {
			held = append(held, b)
		}
	}
	return held, err
}

// forget gives up what the member has of some buckets.
func (m *member) forget(ctx context.Context, buckets []protocol.Bucket) error {
	for _, b := range buckets {
		if err := m.replicas.Save(ctx, b, protocol.Record{}); err != nil {
			return err
		}
	}
	return m.replicas.Drop(ctx, buckets...)
}

// lost has the member go on under another generation without what it lost.
func (m *member) lost(ctx context.Context, lost *protocol.LostError) (uint32, error) {
	held, err := m.held(ctx)
	if err != nil {
		return 0, err
	}
	return m.control.LostBuckets(ctx, lost.Buckets, held)
}

var _ cluster.Engine = (*engine.Engine)(nil)
