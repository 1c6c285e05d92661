package member

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
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

// TestLifeOfACluster grows one member to four and back to three, with deaths and
// changes of leaders between.
func TestLifeOfACluster(t *testing.T) {
	first := founded(t, vfs.NewMem(), listen(t))
	defer first.close()
	if !first.has("shop") || !first.member.Leads() {
		t.Fatal("the first member lacks the catalog of before, or does not lead")
	}
	second, third := first.joins(vfs.NewMem()), first.joins(vfs.NewMem())
	defer third.close()
	waitFor(t, "three members hold everything", func() bool {
		return first.settled() && first.row(first).Buckets == protocol.Buckets && third.row(second).Buckets == protocol.Buckets && third.row(third).Buckets == protocol.Buckets
	})
	waitFor(t, "all three vote", func() bool { return first.row(first).Votes && first.row(second).Votes && first.row(third).Votes })

	// The catalog changes through any member, and is known to all.
	third.create("of the third")
	second.create("of the second")
	waitFor(t, "all know all projects", func() bool {
		return first.has("of the third") && first.has("of the second") && third.has("of the second") && second.has("of the third")
	})

	// Refusals.
	for what, try := range map[string]func() error{
		"drain one of three": func() error { return third.member.Drain(t.Context(), second.member.ID().String(), false) },
		"remove who holds":   func() error { return third.member.Remove(t.Context(), second.member.ID().String(), false) },
		"no such member":     func() error { return third.member.Remove(t.Context(), "ffffffff", false) },
		"nobody":             func() error { return first.member.Restore(t.Context(), "") },
	} {
		refused := func() bool {
			err := try()
			if err == nil {
				t.Fatalf("%s: it was done", what)
			}
			return errors.Is(err, cluster.ErrRefused)
		}
		waitFor(t, what, refused) // a busy machine may elect another leader meanwhile
	}

	// The leader dies without a word; the others go on.
	disk, at := first.disk, first.member.o.Place.Listen
	first.close()
	waitFor(t, "another one leads", func() bool { return second.member.Leads() || third.member.Leads() })
	second.create("without the first")
	waitFor(t, "its death is noticed", func() bool { return !second.row(first).Alive })
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	if first, err = start(t, disk, l); err != nil {
		t.Fatal(err)
	}
	if !first.has("without the first") {
		t.Error("a member that is ready does not know what was agreed on before it started")
	}
	if boot := first.row(first).Boot; boot != 2 {
		t.Errorf("the first member started %d times", boot)
	}

	// A fourth comes, and takes the place of the second, which died.
	fourth := third.joins(vfs.NewMem())
	defer fourth.close()
	waitFor(t, "the fourth has its part", func() bool { return third.settled() && third.row(fourth).Buckets > 0 })
	second.close()
	waitFor(t, "its death is noticed", func() bool { return !third.row(second).Alive && !first.row(second).Alive && !fourth.row(second).Alive })
	if err := third.member.Replace(t.Context(), second.member.ID().String(), fourth.member.ID().String()[:10]); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the second holds nothing", func() bool { return third.settled() && third.row(second).Buckets == 0 })
	waitFor(t, "the second is removed", func() bool {
		return third.member.Remove(t.Context(), second.member.ID().String(), false) == nil
	})
	waitFor(t, "it does not vote, and three others do", func() bool {
		return !fourth.row(second).Votes && fourth.row(first).Votes && fourth.row(third).Votes && fourth.row(fourth).Votes
	})
	l, err = net.Listen("tcp", second.member.o.Place.Listen)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := start(t, second.disk, l); err == nil {
		waitFor(t, "a removed member that starts again ends", func() bool { return errors.Is(back.failure(), consensus.ErrRemoved) })
		back.close()
	} else if !errors.Is(err, consensus.ErrRemoved) {
		t.Errorf("a removed member starts again: %v", err)
	}
	waitFor(t, "the fourth leads", func() bool {
		return fourth.member.Leads() || fourth.member.TransferLeader(t.Context(), fourth.member.ID().String()) == nil && fourth.member.Leads()
	})
}

func TestJoinRefusals(t *testing.T) {
	first := founded(t, vfs.NewMem(), listen(t))
	defer first.close()
	disk := vfs.NewMem()
	if err := disk.MkdirAll("data/catalog/log"); err != nil {
		t.Fatal(err)
	}
	join := Joining{FS: disk, Dir: "data", At: first.member.o.Place.Addresses, Token: first.token(), Release: "test",
		Place: Place{Addresses: []string{"127.0.0.1:1"}, Roles: consensus.RoleBoth}}
	if err := Join(t.Context(), join); !errors.Is(err, ErrHasData) {
		t.Errorf("a directory with data: %v", err)
	}
	join.FS = vfs.NewMem()
	other := join
	other.Token.Secret[0]++
	if err := Join(t.Context(), other); err == nil || !strings.Contains(err.Error(), "join token is not valid") {
		t.Errorf("another secret: %v", err)
	}
	if err := Join(t.Context(), join); err != nil {
		t.Fatal(err)
	}
	again := join
	again.FS = vfs.NewMem()
	if err := Join(t.Context(), again); err == nil || !strings.Contains(err.Error(), "was used") {
		t.Errorf("a token is used twice: %v", err)
	}
	if err := CheckToken(join.FS, "data", join.Token); err != nil {
		t.Errorf("the token of before: %v", err)
	}
	stranger := join.Token
	stranger.Cluster[0]++
	if err := CheckToken(join.FS, "data", stranger); !errors.Is(err, ErrOtherCluster) {
		t.Errorf("another cluster's token: %v", err)
	}
}

// TestCopiesAreFenced: of two processes of one member the one with the older
// directory ends, or is told at its start that it is old.
func TestCopiesAreFenced(t *testing.T) {
	mem := vfs.NewMem()
	first := founded(t, vfs.NewMem(), listen(t))
	defer first.close()
	second, third := first.joins(mem), first.joins(vfs.NewMem())
	defer third.close()
	waitFor(t, "all hold everything", func() bool { return allHold(first, second, third) })
	running := mem.CrashClone(rand.New(rand.NewPCG(1, 1)), 0)
	var twin *station
	var err error
	started := make(chan struct{})
	go func() {
		defer close(started)
		twin, err = start(t, running, listen(t))
	}()
	waitFor(t, "the first process learns that it is fenced", func() bool { return errors.Is(second.failure(), ErrFenced) })
	second.close()
	<-started
	if err != nil {
		t.Fatal(err)
	}
	twin.close()
	// The first directory has started once, its copy twice.
	if _, err := start(t, mem, listen(t)); !errors.Is(err, consensus.ErrStaleBoot) {
		t.Errorf("a directory that started less often than is known: %v", err)
	}
	// Started once more it is the one that has started most often. It lacks what the
	// copy took in, so it does not go on as the same.
	again, err := start(t, mem, listen(t))
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	if again.generation <= twin.generation {
		t.Errorf("an older directory goes on under generation %d, the newer one had %d", again.generation, twin.generation)
	}
}

// TestSecondProcessChangesNothing: a directory that is in use stays as it is.
func TestSecondProcessChangesNothing(t *testing.T) {
	first := founded(t, vfs.NewMem(), listen(t))
	defer first.close()
	before, err := readIdentity(first.disk, "data")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := start(t, first.disk, listen(t)); !errors.Is(err, vfs.ErrLocked) {
		t.Fatalf("a second process: %v", err)
	}
	after, err := readIdentity(first.disk, "data")
	if err != nil || after.Boot != before.Boot || after.Place.Listen != before.Place.Listen {
		t.Errorf("start %d at %s became start %d at %s: %v", before.Boot, before.Place.Listen, after.Boot, after.Place.Listen, err)
	}
}

// TestBrokenAlone: a member that has the only copy of everything keeps it when a sync
// failed, as a server that is alone does.
func TestBrokenAlone(t *testing.T) {
	first := founded(t, vfs.NewMem(), listen(t))
	waitFor(t, "it holds everything", func() bool { return first.settled() })
	first.member.Broken(errors.New("a sync failed"))
	first.close()
	l, err := net.Listen("tcp", first.member.o.Place.Listen)
	if err != nil {
		t.Fatal(err)
	}
	if first, err = start(t, first.disk, l); err != nil {
		t.Fatal(err)
	}
	defer first.close()
	if first.generation != 2 || first.gave != 0 {
		t.Errorf("it goes on under generation %d and gave up %d buckets", first.generation, first.gave)
	}
	rows, err := first.member.Replicas()
	if err != nil || len(rows) != protocol.Buckets || slices.ContainsFunc(rows, func(r cluster.ReplicaRow) bool { return r.Generation != 1 }) {
		t.Errorf("%d replicas, not all as they were: %v", len(rows), err)
	}
}

// TestRecoverGoesOnAlone: of two members the one that voted is lost for good.
func TestRecoverGoesOnAlone(t *testing.T) {
	first := founded(t, vfs.NewMem(), listen(t))
	second := first.joins(vfs.NewMem())
	waitFor(t, "both hold everything", func() bool { return first.settled() && second.row(second).Buckets == protocol.Buckets })
	first.create("kept")
	waitFor(t, "both know", func() bool { return second.has("kept") })
	first.close()
	second.close()
	lost := first.member.ID().String()
	for name, want := range map[string]string{second.member.ID().String(): "is the one that goes on", "none": "there is no member"} {
		if _, err := Recover(second.disk, "data", []string{lost, name}, quiet); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("recover without %s: %v", name, err)
		}
	}
	got, err := Recover(second.disk, "data", []string{lost[:8], LostOthers}, quiet)
	if err != nil || got.ID != second.member.ID() || got.Alone != protocol.Buckets || len(got.Gone) > 0 {
		t.Fatalf("%+v %v", got, err)
	}
	l := listen(t)
	if second, err = start(t, second.disk, l); err != nil {
		t.Fatal(err)
	}
	defer second.close()
	if !second.has("kept") {
		t.Error("what was agreed on is gone")
	}
	second.create("alone")
	if !second.member.Leads() {
		t.Error("it does not lead")
	}
	rows, err := second.member.Replicas()
	if err != nil || len(rows) != protocol.Buckets {
		t.Errorf("%d replicas are left: %v", len(rows), err)
	}
	if err := second.member.Remove(t.Context(), lost, false); err != nil {
		t.Error(err)
	}
	third := second.joins(vfs.NewMem())
	defer third.close()
	waitFor(t, "there are two copies again", func() bool { return second.settled() && second.row(third).Buckets == protocol.Buckets })
}

// TestLostIdentity: a member that lost something comes back under its next
// generation, and is given everything anew.
func TestLostIdentity(t *testing.T) {
	first := founded(t, vfs.NewMem(), listen(t))
	defer first.close()
	second, third := first.joins(vfs.NewMem()), first.joins(vfs.NewMem())
	defer third.close()
	waitFor(t, "all hold everything", func() bool { return first.settled() && first.row(third).Buckets == protocol.Buckets })
	second.member.Broken(errors.New("a bit flipped"))
	second.close()
	l, err := net.Listen("tcp", second.member.o.Place.Listen)
	if err != nil {
		t.Fatal(err)
	}
	if second, err = start(t, second.disk, l); err != nil {
		t.Fatal(err)
	}
	defer second.close()
	if g := second.generation; g != 2 {
		t.Errorf("its generation is %d", g)
	}
	waitFor(t, "it has everything under the new one", func() bool {
		rows, err := first.member.Replicas()
		return err == nil && first.settled() && !slices.ContainsFunc(rows, func(r cluster.ReplicaRow) bool {
			return r.Member == second.member.ID().String() && r.Generation != 2
		})
	})
}

// TestLostIdentityIsToldToTheCluster: a disk that takes nothing any more cannot keep that
// it is broken. The cluster keeps it, also when the one whose disk it is leads.
func TestLostIdentityIsToldToTheCluster(t *testing.T) {
	disk := vfs.NewFaulty(vfs.NewMem())
	first := founded(t, disk, listen(t))
	second, third := first.joins(vfs.NewMem()), first.joins(vfs.NewMem())
	defer second.close()
	defer third.close()
	waitFor(t, "all hold everything and vote", func() bool {
		return allHold(first, second, third) && first.row(first).Votes && first.row(second).Votes && first.row(third).Votes
	})
	disk.Inject(func(op vfs.Op) error {
		if op.Kind == vfs.OpSync {
			return syscall.EIO
		}
		return nil
	})
	first.member.Broken(errors.New("a sync failed"))
	disk.Inject(func(vfs.Op) error { return nil })
	at := first.member.o.Place.Listen
	first.stop()
	<-first.done
	if err := first.member.Close(); err != nil {
		t.Log(err) // its log takes no more
	}
	if i, err := readIdentity(disk, "data"); err != nil || i.Lost {
		t.Fatalf("the broken disk has it on record: %v %v", i, err)
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	again, err := start(t, disk, l)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	if again.generation < 2 || again.gave != protocol.Buckets {
		t.Errorf("it goes on under generation %d and gave up %d buckets", again.generation, again.gave)
	}
}

// TestAnnouncedAndNotHeardOf: a member whose log lags behind is told by the leader that it
// is announced before it sees that itself. That is late, and no reason to go on as if
// there were no leader.
func TestAnnouncedAndNotHeardOf(t *testing.T) {
	first := founded(t, vfs.NewMem(), listen(t))
	disk := vfs.NewFaulty(vfs.NewMem())
	second := first.joins(disk)
	defer second.close()
	waitFor(t, "both hold everything", func() bool { return allHold(first, second) })
	disk.Inject(func(op vfs.Op) error {
		if op.Kind == vfs.OpWrite && strings.HasPrefix(op.Name, MetadataDir("data")) {
			return syscall.ENOSPC
		}
		return nil
	})
	for within := 100 * time.Millisecond; ; within *= 2 {
		err := second.member.announceFor(t.Context(), within)
		if errors.Is(err, errLate) && !errors.Is(err, consensus.ErrNoLeader) {
			break
		}
		// The leader may have needed longer than that to answer.
		if !errors.Is(err, consensus.ErrNoLeader) || within > hearWithin {
			t.Fatalf("within %v: %v", within, err)
		}
	}
	disk.Inject(func(vfs.Op) error { return nil })
	if err := second.member.announceFor(t.Context(), hearWithin); err != nil {
		t.Errorf("with a log that has caught up: %v", err)
	}
	first.close()
	waitFor(t, "there is no leader", func() bool { _, ok := second.member.group.Load().Leader(); return !ok })
	if err := second.member.announceFor(t.Context(), 10*time.Millisecond); !errors.Is(err, consensus.ErrNoLeader) || errors.Is(err, errLate) {
		t.Errorf("without a leader: %v", err)
	}
}

// TestNoLeaderNoColumnsButEvents: without a leader a change is refused, but new
// columns are only late.
func TestNoLeaderNoColumnsButEvents(t *testing.T) {
	first := founded(t, vfs.NewMem(), listen(t))
	second := first.joins(vfs.NewMem())
	defer second.close()
	project := second.member.Catalog().Projects[0].ID
	disk, at := first.disk, first.member.o.Place.Listen
	first.close()
	waitFor(t, "there is no leader", func() bool { _, ok := second.member.group.Load().Leader(); return !ok })
	seen := catalog.Observe{Project: project, Properties: []catalog.Observed{{Name: "colour", Kind: catalog.KindString}}}
	if c, err := second.member.Change(t.Context(), seen); err != nil || len(c.Projects) != 1 {
		t.Errorf("new columns without a leader: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := second.member.Change(ctx, catalog.CreateProject{Name: "x"}); err == nil {
		t.Error("a project was created without a leader")
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	if first, err = start(t, disk, l); err != nil {
		t.Fatal(err)
	}
	defer first.close()
	waitFor(t, "the column is made", func() bool { return len(first.member.Catalog().Projects[0].Columns) == 1 })
}

// TestCrashAtEveryOperationOfFounding: whatever the moment, there is a cluster with
// the catalog of before, or none and founding begins again.
func TestCrashAtEveryOperationOfFounding(t *testing.T) {
	counting := vfs.NewFaulty(vfs.NewMem())
	founding := func(fs vfs.FS) error {
		err := Found(Founding{FS: fs, Dir: "data", Catalog: shop(t), Place: Place{Addresses: []string{"127.0.0.1:1"}, Roles: consensus.RoleBoth}, Logger: quiet})
		if err == nil {
			err = Retire(fs, "data")
		}
		return err
	}
	if err := founding(counting); err != nil {
		t.Fatal(err)
	}
	begun := 0
	for k := range counting.Operations() {
		mem := vfs.NewMem()
		disk := vfs.NewFaulty(mem)
		disk.CrashAt(k + 1)
		if err := founding(disk); err == nil {
			t.Fatalf("operation %d: the crash went unnoticed", k+1)
		}
		after := mem.CrashClone(rand.New(rand.NewPCG(uint64(k), 1)), 0.5)
		_, ok, err := Kept(after, "data")
		if err != nil {
			t.Fatalf("operation %d: %v", k+1, err)
		}
		if ok {
			begun++
		} else if err := founding(after); err != nil {
			t.Fatalf("operation %d: again: %v", k+1, err)
		}
		s, err := start(t, after, listen(t))
		if err != nil {
			t.Fatalf("operation %d: %v", k+1, err)
		}
		if !s.has("shop") {
			t.Fatalf("operation %d: the catalog is gone", k+1)
		}
		s.close()
	}
	t.Logf("%d operations, in %d cases the cluster had begun", counting.Operations(), begun)
}

// TestLostBuckets: of what a member has lost it gets a new identity, and of the rest
// it keeps the one that it has.
func TestLostBuckets(t *testing.T) {
	first := founded(t, vfs.NewMem(), listen(t))
	defer first.close()
	if _, err := first.member.LostBuckets(t.Context(), []protocol.Bucket{3}, allBuckets()); !errors.Is(err, ErrOnlyCopy) {
		t.Errorf("the only copy is given up: %v", err)
	}
	second, third := first.joins(vfs.NewMem()), first.joins(vfs.NewMem())
	defer second.close()
	defer third.close()
	waitFor(t, "all hold everything", func() bool { return allHold(first, second, third) })
	if g, err := second.member.LostBuckets(t.Context(), []protocol.Bucket{3, 900}, allBuckets()[:1000]); g != 2 || err != nil {
		t.Fatal(g, err)
	}
	waitFor(t, "it has another identity of what it lost or never held", func() bool {
		rows, err := first.member.Replicas()
		return err == nil && first.settled() && !slices.ContainsFunc(rows, func(r cluster.ReplicaRow) bool {
			want := uint32(1)
			if r.Bucket == 3 || r.Bucket == 900 || r.Bucket >= 1000 {
				want = 2
			}
			return r.Member == second.member.ID().String() && r.Generation != want
		})
	})
}
