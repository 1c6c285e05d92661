package member

import (
	"math/rand/v2"
	"slices"
	"testing"

	"arbor/catalog"
	"arbor/cluster/consensus"
	"arbor/cluster/protocol"
)

func id(n byte) MemberID { return MemberID{0: n, 15: n} }

// land is a state and its placement, on which a leader works alone.
type land struct {
	t      *testing.T
	state  *consensus.State
	placed *protocol.Placement
	wanted *wanted
	up     map[MemberID]bool
}

func newLand(t *testing.T) *land {
	l := &land{t: t, state: &consensus.State{Catalog: &catalog.Catalog{}}, up: map[MemberID]bool{}}
	l.add(1, "")
	l.placed = &protocol.Placement{Configs: make([]protocol.Config, protocol.Buckets)}
	for b := range l.placed.Configs {
		l.placed.Configs[b] = protocol.Config{Epoch: 1, Old: []protocol.Replica{{Member: id(1), Generation: 1}}}
	}
	return l
}

func (l *land) add(n byte, zone string) {
	l.up[id(n)] = true
	l.state.Members = append(l.state.Members, &consensus.Member{ID: id(n), Zone: zone, Roles: consensus.RoleBoth, Standing: consensus.Admitted, Boot: 1, Generation: 1})
}

// change changes a member.
func (l *land) change(n byte, by func(*consensus.Member)) {
	for i, m := range l.state.Members {
		if m.ID == id(n) {
			c := *m
			by(&c)
			l.state.Members[i] = &c
		}
	}
}

// step begins what is due, and says whether anything was.
func (l *land) step() bool {
	l.t.Helper()
	l.wanted = want(l.state, l.wanted)
	begins := changes(l.placed, l.wanted, maxChanges, func(m MemberID) bool { return l.up[m] })
	for _, begin := range begins {
		if _, err := l.placed.Begin(begin); err != nil {
			l.t.Fatal(err)
		}
	}
	if n := progressOf(l.placed, l.wanted).moving; n > maxChanges {
		l.t.Fatalf("%d buckets are on their way at once", n)
	}
	return len(begins) > 0
}

// finish lets those under way end whose replicas, old and new, are up in their
// majorities, and says whether any did.
func (l *land) finish() (any bool) {
	l.t.Helper()
	for b := range l.placed.Configs {
		c := &l.placed.Configs[b]
		var synced []protocol.Replica
		for _, r := range c.New {
			if l.up[r.Member] {
				synced = append(synced, r)
			}
		}
		fenced := c.Quorum(func(r protocol.Replica) bool { return l.up[r.Member] })
		if !c.Joint() || !fenced {
			continue
		}
		if _, err := l.placed.End(protocol.End{Bucket: protocol.Bucket(b), Epoch: c.Epoch, Synced: synced}); err != nil {
			l.t.Fatal(err)
		}
		any = true
	}
	return any
}

// settle works until nothing is left to do.
func (l *land) settle() progress {
	l.t.Helper()
	for rounds := 0; ; rounds++ {
		began, ended := l.step(), l.finish()
		if !began && !ended {
			return progressOf(l.placed, l.wanted)
		}
		if rounds > 1000 {
			l.t.Fatal("it does not settle")
		}
	}
}

func (l *land) settles(what string) {
	l.t.Helper()
	if n := l.settle(); n.settled != protocol.Buckets {
		l.t.Fatalf("%s: %+v", what, n)
	}
}

func (l *land) copies(n int) {
	l.t.Helper()
	for b := range l.placed.Configs {
		if got := len(l.placed.Configs[b].Old); got != n {
			l.t.Fatalf("bucket %d has %d replicas, not %d", b, got, n)
		}
	}
}

func TestPlanGrowsAndShrinks(t *testing.T) {
	l := newLand(t)
	l.settles("one member")
	l.add(2, "")
	l.settles("two members")
	l.copies(2)
	l.add(3, "")
	l.add(4, "")
	l.settles("four members")
	l.copies(3)
	for n := byte(1); n <= 4; n++ {
		if held := heldBy(l.placed, id(n)); held < 650 || held > 850 {
			t.Errorf("member %d holds %d buckets of %d", n, held, 3*protocol.Buckets)
		}
	}
	l.change(2, func(m *consensus.Member) { m.Standing = consensus.Draining })
	l.settles("without the second")
	if held := heldBy(l.placed, id(2)); held != 0 {
		t.Errorf("a drained member holds %d buckets", held)
	}
	l.copies(3)
	next, err := l.state.Catalog.Apply(catalog.SetSetting{Name: catalog.SettingReplicas, Value: "2"})
	if err != nil {
		t.Fatal(err)
	}
	l.state.Catalog = next
	l.settles("two copies")
	l.copies(2)
}

// TestPlanOutlivesDeath: a dead member is replaced when it is drained, and a
// change towards somebody who dies gets another aim.
func TestPlanOutlivesDeath(t *testing.T) {
	l := newLand(t)
	for n := byte(2); n <= 4; n++ {
		l.add(n, "")
	}
	l.settles("four members")
	l.up[id(3)] = false
	if l.settle(); heldBy(l.placed, id(3)) == 0 {
		t.Fatal("a member that is silent lost what it has without anybody asking for it")
	}
	l.change(3, func(m *consensus.Member) { m.Standing = consensus.Draining })
	l.settles("the dead one was drained")
	if heldBy(l.placed, id(3)) != 0 {
		t.Fatal("the dead one still holds something")
	}
	l.add(5, "")
	l.step()
	l.change(5, func(m *consensus.Member) { m.Standing = consensus.Removed })
	l.up[id(5)] = false
	l.settles("one that came was removed on its way")
	l.copies(3)
}

// TestPlanWaitsForWhoIsNotThere: nothing begins that leads to a member that does
// not answer.
func TestPlanWaitsForWhoIsNotThere(t *testing.T) {
	l := newLand(t)
	l.add(2, "")
	l.up[id(2)] = false
	if l.step() {
		t.Fatal("a change began towards a member that is not there")
	}
	l.change(2, func(m *consensus.Member) { m.Boot = 0 })
	l.up[id(2)] = true
	if l.step() {
		t.Fatal("a change began towards a member that never started")
	}
	l.change(2, func(m *consensus.Member) { m.Boot, m.Roles = 1, consensus.RoleGateway })
	if l.step() {
		t.Fatal("a change began towards a member that stores nothing")
	}
	l.change(2, func(m *consensus.Member) { m.Roles = consensus.RoleStorage })
	l.settles("it is there")
	l.copies(2)
}

// TestPlanReplacesLostIdentities: who lost what it had gets all of it anew, under
// its next generation.
func TestPlanReplacesLostIdentities(t *testing.T) {
	l := newLand(t)
	l.add(2, "")
	l.add(3, "")
	l.settles("three members")
	l.change(2, func(m *consensus.Member) {
		m.Losses = []consensus.Loss{{Generation: m.Generation}}
		m.Generation++
	})
	l.settles("one lost its disk")
	for b := range l.placed.Configs {
		for _, r := range l.placed.Configs[b].Old {
			if r.Member == id(2) && r.Generation != 2 {
				t.Fatalf("bucket %d: %v", b, l.placed.Configs[b])
			}
		}
	}
}

func TestPlanSpreadsOverZones(t *testing.T) {
	l := newLand(t)
	l.change(1, func(m *consensus.Member) { m.Zone = "a" })
	for n, zone := range map[byte]string{2: "a", 3: "b", 4: "b", 5: "c", 6: "c"} {
		l.add(n, zone)
	}
	slices.SortFunc(l.state.Members, func(a, b *consensus.Member) int { return int(a.ID[0]) - int(b.ID[0]) })
	l.settles("three zones")
	zones := map[MemberID]string{}
	for _, m := range l.state.Members {
		zones[m.ID] = m.Zone
	}
	for b := range l.placed.Configs {
		seen := map[string]bool{}
		for _, r := range l.placed.Configs[b].Old {
			seen[zones[r.Member]] = true
		}
		if len(seen) != 3 {
			t.Fatalf("bucket %d is in %d zones", b, len(seen))
		}
	}
}

// TestPlanSettlesAfterAnything: members come, go, lose disks and are silent at
// random; when all that are left are up, everything gets to where it should be.
func TestPlanSettlesAfterAnything(t *testing.T) {
	for seed := range uint64(15) {
		r := rand.New(rand.NewPCG(seed, 7))
		l := newLand(t)
		members := byte(1)
		for range 25 {
			n := 1 + byte(r.IntN(int(members)))
			switch r.IntN(5) {
			case 0:
				members++
				l.add(members, "")
			case 1:
				l.up[id(n)] = r.IntN(2) == 0
			case 2:
				if n > 1 {
					l.change(n, func(m *consensus.Member) { m.Standing = consensus.Draining })
				}
			default:
				l.step()
				if r.IntN(2) == 0 {
					l.finish()
				}
			}
		}
		for m := range l.up {
			l.up[m] = true
		}
		l.settles("all are up")
	}
}

func TestVotersAndMajorities(t *testing.T) {
	up := func(ids ...byte) func(MemberID) bool {
		return func(m MemberID) bool { return slices.Contains(ids, m[0]) }
	}
	three := []MemberID{id(1), id(2), id(3)}
	if err := mayVote(three, id(3), up(1, 2, 3)); err != nil {
		t.Error(err)
	}
	if err := mayVote(three, id(2), up(1, 2)); err == nil {
		t.Error("one of two that are up could be removed")
	}
	if err := mayVote(three, id(3), up(1, 2)); err != nil {
		t.Errorf("the dead one could not be removed: %v", err)
	}
	if err := mayVote(three[:1], id(1), up(1, 2)); err == nil {
		t.Error("the only one that votes could be removed")
	}
	if err := mayVote(three[:2], id(1), up(1, 2)); err == nil {
		t.Error("one of two that vote could be removed")
	}
	if err := mayVote(three[:1], id(2), up(1)); err != nil {
		t.Errorf("one that does not vote could not be removed: %v", err)
	}
	p := &protocol.Placement{Configs: []protocol.Config{
		{Old: []protocol.Replica{{Member: id(1)}}}, {Old: []protocol.Replica{{Member: id(1)}, {Member: id(2)}}},
		{Old: []protocol.Replica{{Member: id(1)}, {Member: id(2)}, {Member: id(3)}}},
	}}
	l := newLand(t)
	l.add(2, "")
	l.add(3, "")
	all := []protocol.Bucket{0, 1, 2}
	for i := range p.Configs {
		for k := range p.Configs[i].Old {
			p.Configs[i].Old[k].Generation = 1
		}
	}
	if got := needs(l.state, p, id(1), all); !slices.Equal(got, all[:2]) {
		t.Errorf("buckets %v need the member, not 0 and 1", got)
	}
	if got := needs(l.state, p, id(3), all); len(got) > 0 {
		t.Errorf("buckets %v need a member that is one of three, or none", got)
	}
	l.change(2, func(m *consensus.Member) { m.Losses = []consensus.Loss{{Generation: 1}} })
	if got := needs(l.state, p, id(1), all); !slices.Equal(got, all) {
		t.Errorf("buckets %v need the member, not all three: the second has lost its replicas", got)
	}
	l.change(2, func(m *consensus.Member) { m.Losses, m.Standing = nil, consensus.Removed })
	if got := needs(l.state, p, id(3), all); !slices.Equal(got, all[2:]) {
		t.Errorf("buckets %v need the member, not 2: the second was removed", got)
	}
}
