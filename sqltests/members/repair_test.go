package members

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/cluster/peer"
	"arbor/cluster/protocol"
	"arbor/engine/dot"
	"arbor/engine/event"
	"arbor/sqltests/stack"
)

// filesOf are a member's indexed files.
func filesOf(t *testing.T, m *stack.GroupMember) (names []string) {
	t.Helper()
	var walk func(dir string)
	walk = func(dir string) {
		all, err := m.FS.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range all {
			if sub, ok := strings.CutSuffix(name, "/"); ok {
				walk(dir + "/" + sub)
			} else if strings.HasSuffix(name, ".idx") {
				names = append(names, dir+"/"+name)
			}
		}
	}
	walk("data/shards")
	return names
}

// rot changes each so many bytes of a file in place, below whoever has it open.
func rot(t *testing.T, m *stack.GroupMember, name string, every int) {
	t.Helper()
	f, err := m.FS.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := f.Map()
	if err != nil {
		t.Fatal(err)
	}
	for at := every; at < len(b); at += every {
		b[at] ^= 0x40
	}
}

// heldOf are how many events a member has of each slot that it has any of.
func heldOf(t *testing.T, m *stack.GroupMember) map[catalog.Slot]uint64 {
	t.Helper()
	contents, err := m.Engine.Digests(t.Context(), func(catalog.Slot) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	slots := map[catalog.Slot]uint64{}
	for slot, c := range contents {
		if c.Records.Count > 0 {
			slots[slot] = c.Records.Count
		}
	}
	return slots
}

// held are how many events a member has, of which a query sees some.
func held(t *testing.T, m *stack.GroupMember) (events uint64) {
	t.Helper()
	for _, n := range heldOf(t, m) {
		events += n
	}
	return events
}

// sameEverywhere waits until all members hold the same so many events, and none of them
// damaged: a member may come late to what two others acknowledged, and has nothing to
// compare of a shard until then.
func sameEverywhere(t *testing.T, g *stack.Group, events uint64) {
	t.Helper()
	late := time.Now().Add(reached)
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for _, m := range g.Members {
		for ; held(t, m) != events; <-look.C {
			if time.Now().After(late) {
				t.Fatalf("member %s holds %d events, want %d", m.ID, held(t, m), events)
			}
		}
	}
	for c := compareAll(t, g); c.Apart > 0 || c.Compared == 0; c = compareAll(t, g) {
		if len(c.Divergences) > 0 || len(c.Silent) > 0 {
			t.Fatalf("%+v", c)
		}
	}
	for _, m := range g.Members {
		if d := m.Engine.Damaged(); len(d) > 0 {
			t.Fatalf("member %s: damaged are %v", m.ID, d)
		}
		if n := held(t, m); n != events {
			t.Errorf("member %s holds %d events, want %d", m.ID, n, events)
		}
	}
}

// TestDamageIsRepaired harms indexed files of one member of three, takes a file away from
// another one, and has CHECK TABLE and CALL arbor.repair make it good: the same events
// everywhere, no alarm, and jobs that say what was done.
func TestDamageIsRepaired(t *testing.T) {
	t.Parallel()
	g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 3, Slots: 4, CompareEvery: time.Hour})
	first, second, third := g.Members[0], g.Members[1], g.Members[2]
	token := first.Project(t, "shop")
	first.Stack.Import(t, token, events(0, 400))
	sameEverywhere(t, g, 400)
	if err := second.Engine.Index(t.Context(), 0, false); err != nil {
		t.Fatal(err)
	}
	first.Stack.Import(t, token, events(400, 500))
	sameEverywhere(t, g, 500)
	for _, name := range filesOf(t, second)[:3] {
		rot(t, second, name, 301)
	}
	if err := third.Engine.Index(t.Context(), 0, true); err != nil {
		t.Fatal(err)
	}
	if err := third.FS.Remove(filesOf(t, third)[0]); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(first.Rows(t, "CHECK TABLE shop.events"), "\n")
	if strings.Count(text, "came again from member") != 4 || !strings.HasSuffix(text, "status\tOK") || strings.Contains(text, "\terror\t") {
		t.Errorf("check: %s", text)
	}
	sameEverywhere(t, g, 500)
	if got := first.One(t, "SELECT COUNT(*), COUNT(DISTINCT insert_id) FROM shop.events"); got != "500\t500" {
		t.Error(got)
	}
	if got := first.Rows(t, "SELECT message FROM arbor.alarms"); len(got) > 0 {
		t.Errorf("alarms: %q", got)
	}
	if got := first.One(t, "SELECT COUNT(*), SUM(progress = 1), SUM(message LIKE '%was damaged, and came again from member%') FROM arbor.jobs WHERE kind = 'repair' AND state = 'done'"); got != "4\t4\t4" {
		t.Errorf("jobs: %s", got)
	}
	if got := first.Rows(t, "CALL arbor.repair('shop')"); len(got) > 0 {
		t.Errorf("all is well, and yet: %q", got)
	}

	// One day of a project, and another one.
	rot(t, second, filesOf(t, second)[0], 99)
	if got := first.Rows(t, "CALL arbor.repair('shop', '2026-01-14')"); len(got) > 0 {
		t.Errorf("another day: %q", got)
	}
	if got := first.Rows(t, "CALL arbor.repair('shop', '2026-01-13')"); len(got) != 1 || !strings.Contains(got[0], "came again from member") {
		t.Errorf("the day: %q", got)
	}
	sameEverywhere(t, g, 500)

	// What is on nobody else stays damaged, and says so.
	first.Close(t)
	third.Close(t)
	rot(t, second, filesOf(t, second)[0], 99)
	if got := second.Rows(t, "CALL arbor.repair('shop')"); !strings.Contains(strings.Join(got, "\n"), "cannot be repaired") {
		t.Errorf("nobody else is there: %q", got)
	}
	if got := second.Rows(t, "SELECT message FROM arbor.alarms WHERE kind = 'unrepaired'"); len(got) != 1 {
		t.Errorf("alarms: %q", got)
	}
	first.Open(t)
	third.Open(t)
	// Connections are tried again after a while.
	for late := time.Now().Add(5 * time.Minute); ; {
		got := second.Rows(t, "CALL arbor.repair('shop')")
		if len(second.Engine.Damaged()) == 0 { // it looks by itself, too
			break
		}
		if time.Now().After(late) {
			t.Fatalf("they are back: %q", got)
		}
	}
	sameEverywhere(t, g, 500)
	// Until then a member may have said of another one that it is not known.
	for late := time.Now().Add(5 * time.Minute); ; {
		got := second.Rows(t, "SELECT message FROM arbor.alarms")
		if len(got) == 0 {
			break
		}
		if time.Now().After(late) {
			t.Fatalf("alarms: %q", got)
		}
	}
	for _, m := range g.Members {
		if err := m.Broken.Load(); err != nil {
			t.Errorf("member %s gave up its disk: %v", m.ID, *err)
		}
	}
}

// TestDamageIsRepairedByItself: nobody asks, and a member that finds out about its damage
// gets what it lost.
func TestDamageIsRepairedByItself(t *testing.T) {
	t.Parallel()
	g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 3, Slots: 4, CompareEvery: time.Millisecond})
	first, second := g.Members[0], g.Members[1]
	token := first.Project(t, "shop")
	first.Stack.Import(t, token, events(0, 300))
	sameEverywhere(t, g, 300)
	for _, m := range g.Members {
		if err := m.Engine.Index(t.Context(), 0, false); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range filesOf(t, second) {
		rot(t, second, name, 211)
	}
	if err := second.Engine.Scrub(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for late := time.Now().Add(5 * time.Minute); len(second.Engine.Damaged()) > 0; <-look.C {
		if time.Now().After(late) {
			t.Fatalf("damaged still: %v", second.Engine.Damaged())
		}
	}
	sameEverywhere(t, g, 300)
}

// TestReplicasAreUnited: of replicas that have other events under one name each gets what
// it lacks, and none is an alarm.
func TestReplicasAreUnited(t *testing.T) {
	t.Parallel()
	g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 3, Slots: 4})
	first := g.Members[0]
	token := first.Project(t, "shop")
	first.Stack.Import(t, token, events(0, 200))
	sameEverywhere(t, g, 200)
	shard := first.Catalog().Projects[0].Shard(1768300000_000000, "u1", "")
	for i, m := range g.Members {
		var all []event.Event
		for n := range 3 {
			if n != i { // each member lacks another one of three
				at := shard.Day.Start()
				all = append(all, event.Event{ID: catalog.IngestID{Time: uint64(at) * 1000, Edge: 99, Index: uint32(n)}, Name: "planted", Time: at, DistinctID: "u1",
					Properties: []event.Property{{Name: "n", Value: catalog.Int(int64(n))}}})
			}
		}
		record, err := event.AppendBatch(nil, &event.Batch{Shard: shard, Events: all})
		if err != nil {
			t.Fatal(err)
		}
		outcomes, err := m.Engine.AppendNamed(t.Context(), []dot.Named{{Dot: dot.Dot{Stream: dot.Stream{1, 2, 3}, Seq: 1}, Record: record}})
		if err != nil || !slices.Equal(outcomes, []dot.Outcome{dot.Stored}) {
			t.Fatal(outcomes, err)
		}
	}
	united := 0
	for range 3 { // what the third has of the second goes on to the first
		c := compareAll(t, g)
		if len(c.Divergences) > 0 {
			t.Fatalf("%+v", c)
		}
		united += len(c.United)
	}
	if united < 2 {
		t.Errorf("%d pairs were united", united)
	}
	sameEverywhere(t, g, 203)
	for i, m := range g.Members {
		if got := m.One(t, "SELECT COUNT(*) FROM shop.events WHERE event = 'planted'"); got != "3" {
			t.Errorf("member %d: %s of 3", i, got)
		}
	}
	if got := first.Rows(t, "SELECT message FROM arbor.alarms"); len(got) > 0 {
		t.Errorf("alarms: %q", got)
	}
	if c := compareAll(t, g); len(c.Divergences)+len(c.United) > 0 {
		t.Errorf("%+v", c)
	}
}

// older is the lines of members of which one runs an arbor that knows nothing of repairs.
type older struct {
	cluster.Peers
	member protocol.MemberID
}

// Call is refused by the older member as it refuses whatever it does not know.
func (o older) Call(ctx context.Context, to protocol.MemberID, call string, request []byte) ([]byte, error) {
	if to == o.member && (call == "events.offer" || call == "events.unite") {
		return nil, peer.ErrNoMethod
	}
	return o.Peers.Call(ctx, to, call, request)
}

// TestRepairBesideAnOlderMember: one that cannot give what is lost is passed over, and the
// next one is asked.
func TestRepairBesideAnOlderMember(t *testing.T) {
	t.Parallel()
	g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 3, Slots: 2, CompareEvery: time.Hour,
		Lines: func(_ protocol.MemberID, p cluster.Peers) cluster.Peers {
			return older{p, protocol.MemberID{0: 1, 15: 1}}
		}})
	second := g.Members[1]
	token := second.Project(t, "shop")
	second.Stack.Import(t, token, events(0, 200))
	sameEverywhere(t, g, 200)
	if err := second.Engine.Index(t.Context(), 0, false); err != nil {
		t.Fatal(err)
	}
	for _, name := range filesOf(t, second) {
		rot(t, second, name, 301)
	}
	third := "came again from member " + g.Members[2].ID.String()
	if got := second.Rows(t, "CALL arbor.repair('shop')"); len(got) != 2 || !strings.Contains(got[0], third) || !strings.Contains(got[1], third) {
		t.Errorf("repaired: %q", got)
	}
	sameEverywhere(t, g, 200)
}

// cutShort takes the end of a member's file away.
func cutShort(t *testing.T, m *stack.GroupMember, name string) {
	t.Helper()
	f, err := m.FS.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.Map()
	if err != nil {
		t.Fatal(err)
	}
	short := slices.Clone(b[:len(b)*2/3])
	w, err := m.FS.Create(name)
	if err == nil {
		_, err = w.Write(short)
	}
	if err = errors.Join(err, w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestDamageAtOpeningIsRepaired harms files of a member that is stopped, so that they
// cannot be opened when it comes back. It comes back as who it is, whoever is asked has
// the whole answer, events are taken in, and only what was harmed is had again.
func TestDamageAtOpeningIsRepaired(t *testing.T) {
	t.Parallel()
	g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 3, Slots: 4, CompareEvery: time.Hour})
	first, second, third := g.Members[0], g.Members[1], g.Members[2]
	token := first.Project(t, "shop")
	first.Stack.Import(t, token, events(0, 300))
	sameEverywhere(t, g, 300)
	if err := second.Engine.Index(t.Context(), 0, false); err != nil {
		t.Fatal(err)
	}
	first.Stack.Import(t, token, events(300, 400))
	sameEverywhere(t, g, 400)
	if err := second.Engine.Index(t.Context(), 0, false); err != nil {
		t.Fatal(err)
	}
	files := filesOf(t, second)
	second.Close(t)
	cutShort(t, second, files[0])
	if err := second.FS.Remove(files[1]); err != nil {
		t.Fatal(err)
	}
	cutShort(t, second, files[len(files)-1])
	second.Open(t)
	damaged := second.Engine.Damaged()
	if len(damaged) == 0 || len(damaged) == 4 {
		t.Fatalf("damaged are %v", damaged)
	}
	if got := second.One(t, "SELECT COUNT(*), COUNT(DISTINCT insert_id) FROM shop.events"); got != "400\t400" {
		t.Errorf("a damaged member answers %s", got)
	}
	third.Close(t)
	second.Stack.Import(t, token, events(400, 500))
	for _, m := range []*stack.GroupMember{first, second} {
		if got := m.One(t, "SELECT COUNT(*), COUNT(DISTINCT insert_id) FROM shop.events"); got != "500\t500" {
			t.Errorf("member %s answers %s", m.ID, got)
		}
	}
	third.Open(t)
	for late := time.Now().Add(5 * time.Minute); len(second.Engine.Damaged()) > 0; {
		if got := first.Rows(t, "CALL arbor.repair('shop')"); time.Now().After(late) { // connections are tried again after a while
			t.Fatalf("damaged still: %q", got)
		}
	}
	sameEverywhere(t, g, 500)
	for _, name := range []string{files[0], files[1], files[len(files)-1]} {
		if slices.Contains(filesOf(t, second), name) {
			t.Errorf("%s is there still", name)
		}
	}
	second.Close(t)
	second.Open(t)
	sameEverywhere(t, g, 500)
	for _, m := range g.Members {
		if got := m.Rows(t, "SELECT message FROM arbor.alarms"); len(got) > 0 {
			t.Errorf("alarms: %q", got)
		}
	}
}
