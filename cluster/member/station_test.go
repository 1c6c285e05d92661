package member

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/cluster/consensus"
	"arbor/cluster/peer"
	"arbor/cluster/protocol"
	"arbor/engine/vfs"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// quick is for members on one machine.
var quick = consensus.Timing{Election: 300 * time.Millisecond, Look: 100 * time.Millisecond, Stable: 200 * time.Millisecond, Dead: 2 * time.Second, Retry: 20 * time.Millisecond}

// station is a member, its disk, and a data plane that says at once that it has
// caught up.
type station struct {
	t      *testing.T
	disk   vfs.FS
	member *Member
	ctx    context.Context // ends with the process
	stop   context.CancelFunc
	done   chan struct{}
	// generation is the one that the member has.
	generation uint32
	// gave is how many buckets it gave up when it started.
	gave int

	mu     sync.Mutex
	placed *protocol.Placement
	failed error
}

func shop(t *testing.T) *catalog.Catalog {
	t.Helper()
	c, err := (&catalog.Catalog{}).Apply(catalog.CreateProject{Name: "shop", Token: "token"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func place(l net.Listener) Place {
	return Place{Listen: l.Addr().String(), Addresses: []string{l.Addr().String()}, Roles: consensus.RoleBoth}
}

// start opens the member of a disk.
func start(t *testing.T, disk vfs.FS, l net.Listener) (*station, error) {
	t.Helper()
	return startAs(t, disk, l, 0)
}

// startAs opens the member of a disk, as an arbor that knows no newer format.
func startAs(t *testing.T, disk vfs.FS, l net.Listener, format uint32) (*station, error) {
	t.Helper()
	s := &station{t: t, disk: disk, done: make(chan struct{})}
	m, err := Open(t.Context(), Options{FS: disk, Dir: "data", Listener: l, Place: place(l), Release: "test", Format: format, Timing: quick, Logger: quiet,
		Fail: func(err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.failed = err
		}})
	if err != nil {
		return nil, err
	}
	s.member = m
	if s.generation, err = m.Generation(t.Context(), func(context.Context) ([]protocol.Bucket, error) { return allBuckets(), nil }, func(_ context.Context, gone []protocol.Bucket) error {
		s.gave = len(gone)
		return nil
	}); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	s.ctx, s.stop = context.WithCancel(t.Context())
	if err := m.FollowPlacement(func(p *protocol.Placement) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.placed = p
	}); err != nil {
		t.Fatal(err)
	}
	go s.reports()
	return s, nil
}

// reports says again and again what has caught up, as a data plane does.
func (s *station) reports() {
	defer close(s.done)
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-s.ctx.Done():
			return
		}
		s.mu.Lock()
		p := s.placed
		s.mu.Unlock()
		for b := range p.Configs {
			for _, r := range p.Configs[b].New {
				if r.Member == s.member.ID() {
					s.member.Synced(protocol.Synced{From: r, Bucket: protocol.Bucket(b), Epoch: p.Configs[b].Epoch})
				}
			}
		}
	}
}

func (s *station) close() {
	s.t.Helper()
	if s.ctx.Err() != nil {
		return
	}
	s.stop()
	<-s.done
	if err := s.member.Close(); err != nil {
		s.t.Error(err)
	}
}

func (s *station) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

func founded(t *testing.T, disk vfs.FS, l net.Listener) *station {
	t.Helper()
	if err := Found(Founding{FS: disk, Dir: "data", Catalog: shop(t), Place: place(l), Release: "test", Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	s, err := start(t, disk, l)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// joins has a new member join at another one.
func (s *station) joins(disk vfs.FS) *station {
	s.t.Helper()
	token := s.token()
	l := listen(s.t)
	if err := Join(s.t.Context(), Joining{FS: disk, Dir: "data", At: s.member.o.Place.Addresses, Token: token, Place: place(l), Release: "test"}); err != nil {
		s.t.Fatal(err)
	}
	joined, err := start(s.t, disk, l)
	if err != nil {
		s.t.Fatal(err)
	}
	return joined
}

func (s *station) token() peer.Token {
	s.t.Helper()
	text, err := s.member.JoinToken(s.t.Context(), time.Hour)
	if err != nil {
		s.t.Fatal(err)
	}
	token, err := peer.ParseToken(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(40 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: not within 40 s", what)
		}
	}
}

// row is a member as another one describes it.
func (s *station) row(of *station) cluster.MemberRow {
	s.t.Helper()
	rows, err := s.member.Members()
	if err != nil {
		s.t.Fatal(err)
	}
	i := slices.IndexFunc(rows, func(r cluster.MemberRow) bool { return r.ID == of.member.ID().String() })
	if i < 0 {
		return cluster.MemberRow{}
	}
	return rows[i]
}

func (s *station) settled() bool {
	jobs, err := s.member.Jobs()
	return err == nil && len(jobs) == 0
}

// allHold says whether each of some members knows that all of them hold everything.
func allHold(all ...*station) bool {
	for _, s := range all {
		for _, of := range all {
			if !s.settled() || s.row(of).Buckets != protocol.Buckets {
				return false
			}
		}
	}
	return true
}

func (s *station) create(name string) {
	s.t.Helper()
	if _, err := s.member.Change(s.t.Context(), catalog.CreateProject{Name: name}); err != nil {
		s.t.Fatalf("create %s: %v", name, err)
	}
}

func (s *station) has(name string) bool {
	_, ok := s.member.Catalog().Project(name)
	return ok
}
