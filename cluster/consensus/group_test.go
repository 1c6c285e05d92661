package consensus

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"arbor/catalog"
	"arbor/cluster/protocol"
	"arbor/engine/vfs"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// world is members over an in-memory network, in fake time.
type world struct {
	t *testing.T
	// mu guards the maps: members ask each other in the background.
	mu      sync.Mutex
	disks   map[MemberID]*vfs.Mem
	faulty  map[MemberID]*vfs.Faulty // those of disks that are to fail
	groups  map[MemberID]*Group
	wires   map[MemberID]*raft.InmemTransport
	down    map[MemberID]bool // cut off from all others
	hangs   MemberID          // it takes commands that are forwarded to it, and answers none
	failure map[MemberID]error
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, disks: map[MemberID]*vfs.Mem{}, groups: map[MemberID]*Group{}, wires: map[MemberID]*raft.InmemTransport{},
		down: map[MemberID]bool{}, failure: map[MemberID]error{}}
	return w
}

func id(n byte) MemberID { return MemberID{0: n, 15: n} }

func member(n byte) Member {
	return Member{ID: id(n), Addresses: []string{fmt.Sprintf("10.0.0.%d:4306", n)}, Roles: RoleBoth, Standing: Admitted, Boot: 1, Session: Session{n}}
}

func initial(n byte) *State {
	m := member(n)
	return &State{Cluster: MemberID{99}, Catalog: &catalog.Catalog{}, Members: []*Member{&m}}
}

func (w *world) options(n byte) Options {
	me := id(n)
	if w.disks[me] == nil {
		w.disks[me] = vfs.NewMem()
	}
	var fs vfs.FS = w.disks[me]
	if f := w.faulty[me]; f != nil {
		fs = f
	}
	return Options{FS: fs, Dir: "metadata", ID: me, Transport: w.wires[me], Logger: quiet,
		Forward: func(ctx context.Context, to MemberID, command []byte) ([]byte, error) {
			w.mu.Lock()
			hangs := w.hangs == to
			w.mu.Unlock()
			if hangs {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			g := w.reach(me, to)
			if g == nil {
				return nil, errors.New("unreachable")
			}
			return g.Handle(ctx, command), nil
		},
		Ask: func(_ context.Context, to MemberID) (uint64, error) {
			g := w.reach(me, to)
			if g == nil {
				return 0, errors.New("unreachable")
			}
			return g.Applied(), nil
		},
		Fail: func(err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.failure[me] = err
		},
	}
}

// reach is the other member as one sees it, nil if it cannot.
func (w *world) reach(from, to MemberID) *Group {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down[from] || w.down[to] {
		return nil
	}
	return w.groups[to]
}

func (w *world) begin(n byte) {
	w.t.Helper()
	if err := Begin(w.options(n), initial(n)); err != nil {
		w.t.Fatal(err)
	}
}

// open starts a member and connects it with those that are not cut off.
func (w *world) open(n byte) *Group {
	w.t.Helper()
	me := id(n)
	_, wire := raft.NewInmemTransport(raft.ServerAddress(me.String()))
	w.wires[me] = wire
	w.connect(me)
	g, err := Open(w.options(n))
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.groups[me] = g
	return g
}

func (w *world) connect(me MemberID) {
	for other, wire := range w.wires {
		if other != me && !w.down[me] && !w.down[other] {
			wire.Connect(raft.ServerAddress(me.String()), w.wires[me])
			w.wires[me].Connect(raft.ServerAddress(other.String()), wire)
		}
	}
}

func (w *world) cut(me MemberID) {
	w.mu.Lock()
	w.down[me] = true
	w.mu.Unlock()
	for other, wire := range w.wires {
		if other != me {
			wire.Disconnect(raft.ServerAddress(me.String()))
		}
	}
	w.wires[me].DisconnectAll()
}

func (w *world) heal(me MemberID) {
	w.mu.Lock()
	w.down[me] = false
	w.mu.Unlock()
	w.connect(me)
}

func (w *world) stop(me MemberID) {
	w.t.Helper()
	if err := w.groups[me].Close(); err != nil {
		w.t.Fatal(err)
	}
	if err := w.wires[me].Close(); err != nil {
		w.t.Fatal(err)
	}
	w.cut(me)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down[me] = false
	delete(w.groups, me)
	delete(w.wires, me)
}

func (w *world) stopAll() {
	for me := range w.groups {
		w.stop(me)
	}
}

// admit lets a member in through g, and starts it.
func (w *world) admit(g *Group, n byte) *Group {
	w.t.Helper()
	secret := []byte(fmt.Sprint("secret ", n))
	now := time.Now().UnixMicro()
	w.must(g.Apply(w.t.Context(), AddSecret{Secret: Secret{Hash: sha256.Sum256(secret), Expires: now + 1e6}, At: now}))
	w.must(g.Apply(w.t.Context(), Admit{Member: member(n), Secret: secret, At: now}))
	return w.open(n)
}

func (w *world) must(s *State, err error) *State {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// until lets fake time pass until ok.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for range 10_000 {
		if ok() {
			return
		}
		time.Sleep(100 * time.Millisecond) // fake
	}
	w.t.Fatalf("never came: %s", what)
}

func (w *world) leader() *Group {
	w.t.Helper()
	var leader *Group
	w.until("a leader", func() bool {
		for _, g := range w.groups {
			if g.Leads() && !w.down[g.o.ID] {
				leader = g
				return true
			}
		}
		return false
	})
	return leader
}

func project(name string) Change { return Change{catalog.CreateProject{Name: name}} }

func has(s *State, name string) bool {
	_, ok := s.Catalog.Project(name)
	return ok
}

func TestAloneItLeadsAtOnceAndForgetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		before, err := (&catalog.Catalog{}).Apply(catalog.CreateProject{Name: "before"})
		if err != nil {
			t.Fatal(err)
		}
		s := initial(1)
		s.Catalog = before
		if err := Begin(w.options(1), s); err != nil {
			t.Fatal(err)
		}
		if err := Begin(w.options(1), s); !errors.Is(err, ErrBegun) {
			t.Fatalf("begun twice: %v", err)
		}
		for i := range 3 {
			start := time.Now()
			g := w.open(1)
			if !has(g.State(), "before") {
				t.Fatal("the catalog from before is not there when the group is open")
			}
			got := w.must(g.Apply(t.Context(), project(fmt.Sprint("p", i))))
			if waited := time.Since(start); waited > 100*time.Millisecond {
				t.Errorf("the first command took %v, an election's timeout is %v", waited, DefaultTiming.Election)
			}
			for j := range i + 1 {
				if !has(got, fmt.Sprint("p", j)) {
					t.Errorf("start %d: project p%d is not there", i, j)
				}
			}
			if i == 1 {
				if err := g.Snapshot(); err != nil {
					t.Fatal(err)
				}
			}
			w.stopAll()
		}
	})
}

func TestVotersGrowFromOneToFive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.begin(1)
		first := w.open(1)
		for n := byte(2); n <= 7; n++ {
			w.admit(first, n)
			want := votersFor(int(n))
			w.until(fmt.Sprintf("%d voters of %d members", want, n), func() bool {
				return len(first.Voters()) == want && len(first.configuration().Servers) == int(n)
			})
		}
		for me, g := range w.groups { // through any member, and seen there at once
			if s := w.must(g.Apply(t.Context(), project("p"+me.String()[:2]))); !has(s, "p"+me.String()[:2]) {
				t.Errorf("member %s does not see what it wrote", me)
			}
			if _, err := g.Apply(t.Context(), project("p"+me.String()[:2])); !errors.Is(err, catalog.ErrProjectExists) {
				t.Errorf("member %s makes a project twice: %v", me, err)
			}
		}
		// A dead voter's place goes to another member.
		var dead MemberID
		for _, v := range first.Voters() {
			if v != id(1) {
				dead = v
			}
		}
		w.stop(dead)
		w.until("another voter", func() bool {
			l := w.leader()
			return len(l.Voters()) == 5 && !slices.Contains(l.Voters(), dead)
		})
		// Whoever is removed is out, and stays out.
		l := w.leader()
		w.must(l.Apply(t.Context(), Stand{ID: dead, Standing: Removed}))
		w.until("it is gone", func() bool { return len(l.configuration().Servers) == 6 })
		if _, err := l.Apply(t.Context(), Announce{Member: Member{ID: dead, Boot: 9}}); !errors.Is(err, ErrRemoved) {
			t.Errorf("a removed member announced itself: %v", err)
		}
		w.stopAll()
	})
}

func threeMembers(w *world) {
	w.begin(1)
	first := w.open(1)
	w.admit(first, 2)
	w.admit(first, 3)
	w.until("three voters", func() bool { return len(first.Voters()) == 3 })
}

func TestLeaderDiesAndNothingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		threeMembers(w)
		for i := range 3 {
			l := w.leader()
			dead := l.o.ID
			w.must(l.Apply(t.Context(), project(fmt.Sprint("before", i))))
			w.stop(dead)
			for _, g := range w.groups {
				if s := w.must(g.Apply(t.Context(), project(fmt.Sprintf("after%d_%s", i, g.o.ID.String()[:2])))); !has(s, fmt.Sprint("before", i)) {
					t.Fatalf("round %d: acknowledged and lost", i)
				}
			}
			g := w.open(dead[0])
			w.until("it has caught up", func() bool { return g.State().Version == w.leader().State().Version })
		}
		l := w.leader()
		if err := l.TransferLeader(MemberID{}); err != nil {
			t.Fatal(err)
		}
		w.until("another leads", func() bool { return w.leader() != l })
		w.stopAll()
	})
}

func TestMinorityDecidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		threeMembers(w)
		old := w.leader()
		w.cut(old.o.ID)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		name := NewRequestID()
		if _, err := old.ApplyAs(ctx, name, project("alone")); !errors.Is(err, ErrNoLeader) {
			t.Fatalf("cut off, it applied: %v", err)
		}
		if has(old.State(), "alone") {
			t.Fatal("cut off, it applied a command")
		}
		now := w.leader()
		w.must(now.Apply(t.Context(), project("together")))
		w.heal(old.o.ID)
		// What was not known is asked again, under the same name, and is done once.
		s := w.must(old.ApplyAs(t.Context(), name, project("alone")))
		if !has(s, "alone") || !has(s, "together") {
			t.Fatal("after the network healed the cut off member lacks something")
		}
		again := w.must(now.ApplyAs(t.Context(), name, project("alone")))
		if again.Catalog.Version != s.Catalog.Version {
			t.Fatal("a command was applied twice")
		}
		w.stopAll()
	})
}

func TestLateMemberGetsASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.begin(1)
		first := w.open(1)
		for i := range trailingLogs + 200 {
			w.must(first.Apply(t.Context(), Change{catalog.SetSetting{Name: "max_columns", Value: fmt.Sprint(i)}}))
		}
		if err := first.Snapshot(); err != nil {
			t.Fatal(err)
		}
		if low, _ := first.store.FirstIndex(); low < 100 {
			t.Fatalf("the log still begins at %d", low)
		}
		w.must(first.Apply(t.Context(), lookup()))
		w.must(first.Apply(t.Context(), project("last")))
		g := w.admit(first, 2)
		w.until("all is there", func() bool { return g.State().Version == first.State().Version })
		if !has(g.State(), "last") {
			t.Fatal("the last project is not there")
		}
		if !g.State().Tables.Equal(first.State().Tables) || len(g.State().Tables.All(1)) != 1 {
			t.Fatal("the table is not there")
		}
		w.stop(id(2))
		g = w.open(2)
		w.until("all is there again", func() bool { return g.State().Version == first.State().Version })
		w.stopAll()
	})
}

func TestRecoverFromLostVoters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		threeMembers(w)
		placed := &protocol.Placement{Configs: make([]protocol.Config, protocol.Buckets)}
		for b := range placed.Configs {
			placed.Configs[b] = protocol.Config{Epoch: 3, Old: []protocol.Replica{{Member: id(1), Generation: 1}}}
		}
		w.must(w.leader().Apply(t.Context(), Place{Epoch: w.leader().State().PlacementEpoch + 1, Placement: placed.Encode()}))
		w.must(w.leader().Apply(t.Context(), project("kept")))
		w.until("all have it", func() bool { return has(w.groups[id(3)].State(), "kept") })
		w.stopAll()
		alone := w.open(3)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := alone.Apply(ctx, project("refused")); !errors.Is(err, ErrNoLeader) {
			t.Fatalf("one of three decided: %v", err)
		}
		w.stop(id(3))
		before := alone.State()
		version, err := Recover(w.options(3), nil)
		if err != nil || version < before.Version {
			t.Fatalf("version %d after %d: %v", version, before.Version, err)
		}
		alone = w.open(3)
		is, err := protocol.DecodePlacement(alone.State().Placement)
		if err != nil {
			t.Fatal(err)
		}
		for b := range is.Configs {
			if c := &is.Configs[b]; c.Epoch <= placed.Configs[b].Epoch+1000 || !slices.Equal(c.Old, placed.Configs[b].Old) {
				t.Fatalf("bucket %d has %v after %v: others may have heard of that epoch", b, c, &placed.Configs[b])
			}
		}
		if s := w.must(alone.Apply(t.Context(), project("new"))); !has(s, "kept") {
			t.Fatal("recovery lost what was agreed on")
		}
		w.stopAll()
	})
}

func TestUnknownCommandStopsTheMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.begin(1)
		g := w.open(1)
		w.must(g.Apply(t.Context(), project("p")))
		version := g.State().Version
		id := NewRequestID()
		encoded := append([]byte{commandVersion + 1, kindChange}, id[:]...)
		if _, err := g.lead(t.Context(), encoded); !errors.Is(err, ErrVersion) {
			t.Fatalf("got %v", err)
		}
		if _, err := g.Apply(t.Context(), project("q")); !errors.Is(err, ErrVersion) || w.failure[g.o.ID] == nil || g.State().Version != version {
			t.Fatalf("it goes on: %v, told %v", err, w.failure)
		}
		w.stopAll()
	})
}

// TestCrashAtEveryOperationOfOneMember begins with a member that leads: raft ends
// the process, by a panic, when it cannot keep the term that it stands in.
func TestCrashAtEveryOperationOfOneMember(t *testing.T) {
	for k := int64(1); ; k++ {
		var done bool
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.begin(1)
			disk := w.disks[id(1)]
			fs := vfs.NewFaulty(disk)
			var acknowledged int
			acknowledged, done = crashAfter(w, fs, k)
			w.disks[id(1)] = disk.CrashClone(rand.New(rand.NewPCG(uint64(k), 1)), 0.5)
			g := w.open(1)
			w.must(g.Apply(t.Context(), project("probe")))
			for i := range acknowledged {
				if !has(g.State(), fmt.Sprint("p", i)) {
					t.Errorf("crash at operation %d: project p%d was acknowledged and is lost", k, i)
				}
			}
			w.stopAll()
		})
		if done || t.Failed() {
			t.Logf("crashed at each of %d operations", k-1)
			return
		}
	}
}

// crashAfter stops the world at the k-th operation after the first command, and
// says how many commands were acknowledged, and whether the world went on.
func crashAfter(w *world, fs *vfs.Faulty, k int64) (acknowledged int, done bool) {
	_, wire := raft.NewInmemTransport(raft.ServerAddress(id(1).String()))
	defer wire.Close()
	w.wires[id(1)] = wire
	o := w.options(1)
	o.FS = fs
	g, err := Open(o)
	if err != nil {
		w.t.Fatal(err)
	}
	defer g.Close() // before it stands for election again
	ctx, cancel := context.WithTimeout(w.t.Context(), 200*time.Millisecond)
	defer cancel()
	var at int64
	for i := range 5 {
		if _, err := g.Apply(ctx, project(fmt.Sprint("p", i))); err != nil {
			break
		}
		acknowledged++
		if i == 0 {
			at = fs.Operations() + k
			fs.CrashAt(at)
		}
		if i == 2 {
			_ = g.Snapshot()
		}
	}
	return acknowledged, fs.Operations() < at
}
