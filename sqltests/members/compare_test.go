package members

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/cluster/protocol"
	"arbor/engine/dot"
	"arbor/engine/event"
	"arbor/sqltests/stack"
)

// compareAll compares the buckets of all members that are up, each two replicas once.
func compareAll(t *testing.T, g *stack.Group) (whole cluster.Comparison) {
	t.Helper()
	for _, m := range g.Members {
		if m.Engine == nil {
			continue
		}
		c, err := m.Parts.Compare(t.Context(), func(protocol.Bucket) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		whole.Compared += c.Compared
		whole.Apart += c.Apart
		whole.Silent = append(whole.Silent, c.Silent...)
		whole.Divergences = append(whole.Divergences, c.Divergences...)
		whole.United = append(whole.United, c.United...)
	}
	return whole
}

// plant gives a member a batch of one event under a name, past the protocol.
func plant(t *testing.T, m *stack.GroupMember, shard catalog.ShardKey, seq uint64, text string) {
	t.Helper()
	at := shard.Day.Start()
	record, err := event.AppendBatch(nil, &event.Batch{Shard: shard, Events: []event.Event{{
		ID: catalog.IngestID{Time: uint64(at) * 1000, Edge: 99, Index: uint32(seq)}, Name: "planted", Time: at, DistinctID: "u1",
		Properties: []event.Property{{Name: "text", Value: catalog.String(text)}}}}})
	if err != nil {
		t.Fatal(err)
	}
	outcomes, err := m.Engine.AppendNamed(t.Context(), []dot.Named{{Dot: dot.Dot{Stream: dot.Stream{1, 2, 3}, Seq: seq}, Record: record}})
	if err != nil || !slices.Equal(outcomes, []dot.Outcome{dot.Stored}) {
		t.Fatal(outcomes, err)
	}
}

// TestReplicasAreCompared: members that have the same batches agree, however each of
// them indexed them; one that has other bytes under a name is found, and named; one
// that only lacks something is not.
func TestReplicasAreCompared(t *testing.T) {
	t.Parallel()
	g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 3, Slots: 4})
	first, second, third := g.Members[0], g.Members[1], g.Members[2]
	token := first.Project(t, "shop")
	first.Stack.Import(t, token, events(0, 200))
	first.Stack.Import(t, token, events(150, 300)) // fifty of them are duplicates
	if err := second.Engine.Index(t.Context(), 0, false); err != nil {
		t.Fatal(err)
	}
	first.Rows(t, "DELETE FROM shop.events WHERE insert_id = 'i7'")
	first.Stack.Import(t, token, events(300, 350))
	if err := third.Engine.Index(t.Context(), 0, true); err != nil {
		t.Fatal(err)
	}

	// A write is acknowledged when two of three have it; the third may be on its way.
	for c := compareAll(t, g); ; c = compareAll(t, g) {
		if len(c.Divergences) > 0 || len(c.Silent) > 0 {
			t.Fatalf("%+v", c)
		}
		if c.Compared == 4*3 && c.Apart == 0 { // slots, pairs of members
			break
		}
	}
	digests := "SELECT COUNT(*), COUNT(DISTINCT member), COUNT(DISTINCT bucket, batches), COUNT(DISTINCT bucket, digest) FROM arbor.digests"
	if got := first.One(t, digests); got != "12\t3\t4\t4" {
		t.Errorf("digests of three members that agree: %s", got)
	}
	if rows := strings.Join(first.Rows(t, "CHECK TABLE shop.events"), "\n"); strings.Contains(rows, "same batches") {
		t.Errorf("check: %s", rows)
	}

	// What one lacks is no divergence.
	shard := first.Catalog().Projects[0].Shard(1768300000_000000, "u1", "")
	plant(t, first, shard, 1, "right")
	plant(t, third, shard, 1, "right")
	if c := compareAll(t, g); len(c.Divergences) > 0 || c.Compared != 3*3+1 || c.Apart != 2 {
		t.Errorf("one member lacks a batch: %+v", c)
	}

	// Other bytes under the same name are one, from the log and from files.
	plant(t, second, shard, 1, "wrong")
	for round := range 2 {
		c := compareAll(t, g)
		if c.Compared != 4*3 || c.Apart != 0 || len(c.Divergences) != 2 {
			t.Fatalf("round %d: %+v", round, c)
		}
		pairs := []string{}
		for _, d := range c.Divergences {
			if d.Shard != shard {
				t.Errorf("round %d: shard %s, want %s", round, d.Shard, shard)
			}
			pairs = append(pairs, fmt.Sprint(d.Members))
		}
		if want := []string{fmt.Sprint([]protocol.MemberID{first.ID, second.ID}), fmt.Sprint([]protocol.MemberID{second.ID, third.ID})}; !slices.Equal(pairs, want) {
			t.Errorf("round %d: %v, want %v", round, pairs, want)
		}
		if err := first.Cluster.Index(t.Context(), 0, false); err != nil {
			t.Fatal(err)
		}
	}
	alarms := first.Rows(t, "SELECT project, bucket, message FROM arbor.alarms WHERE kind = 'divergence' ORDER BY message")
	if len(alarms) != 2 {
		t.Fatalf("each pair is one alarm: %q", alarms)
	}
	for i, pair := range [][]*stack.GroupMember{{first, second}, {second, third}} {
		for _, part := range []string{"shop\t" + fmt.Sprint(shard.Bucket) + "\t", shard.String(), pair[0].ID.String(), pair[1].ID.String()} {
			if !strings.Contains(alarms[i], part) {
				t.Errorf("alarm %q does not say %q", alarms[i], part)
			}
		}
	}
	if rows := strings.Join(first.Rows(t, "CHECK TABLE shop.events"), "\n"); strings.Count(rows, "same batches") != 2 {
		t.Errorf("check: %s", rows)
	}
	if got := first.One(t, digests); got != "12\t3\t4\t5" {
		t.Errorf("digests of three members that do not agree: %s", got)
	}

	// Who is away is named, and the others are compared.
	third.Kill(t)
	c := compareAll(t, g)
	if c.Compared != 4 || len(c.Divergences) != 1 || !slices.Equal(c.Silent, []protocol.MemberID{third.ID, third.ID}) {
		t.Errorf("one member is away: %+v", c)
	}
	if got := first.One(t, "SELECT COUNT(*) FROM arbor.digests WHERE digest = 'unreachable' AND member = '"+third.ID.String()+"'"); got != "1" {
		t.Errorf("%s rows say that a member is away", got)
	}
}

// TestReplicasAreComparedAgainAndAgain: nobody asks, and what differs is found by
// members that go on through all buckets: also what comes to differ later, and while one of
// them is away.
func TestReplicasAreComparedAgainAndAgain(t *testing.T) {
	t.Parallel()
	g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 3, Slots: 4, CompareEvery: time.Millisecond})
	first, second, third := g.Members[0], g.Members[1], g.Members[2]
	token := first.Project(t, "shop")
	first.Stack.Import(t, token, events(0, 200))
	shards := map[uint16]catalog.ShardKey{}
	for n := range 97 {
		k := first.Catalog().Projects[0].Shard(1768300000_000000, fmt.Sprintf("u%d", n), "")
		shards[k.Bucket] = k
	}
	if len(shards) != 4 {
		t.Fatalf("%d shards", len(shards))
	}
	found := func(m *stack.GroupMember, shard catalog.ShardKey) {
		t.Helper()
		look := time.NewTicker(2 * time.Millisecond)
		defer look.Stop()
		for late := time.Now().Add(5 * time.Minute); ; {
			alarms, err := m.Engine.Describe(t.Context(), "alarms")
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range alarms.Rows {
				for _, v := range row {
					if strings.Contains(v.Text, "same batches") && strings.Contains(v.Text, shard.String()) {
						return
					}
				}
			}
			if time.Now().After(late) {
				t.Fatalf("nobody found out about shard %s", shard)
			}
			<-look.C
		}
	}
	plant(t, first, shards[2], 1, "right")
	plant(t, second, shards[2], 1, "wrong")
	plant(t, third, shards[2], 1, "right")
	found(first, shards[2])
	found(second, shards[2])
	plant(t, first, shards[0], 2, "right")
	plant(t, second, shards[0], 2, "right")
	plant(t, third, shards[0], 2, "wrong")
	found(first, shards[0])
	found(second, shards[0])
	third.Kill(t)
	plant(t, first, shards[3], 3, "right")
	plant(t, second, shards[3], 3, "wrong")
	found(first, shards[3])
	alarms, err := first.Engine.Describe(t.Context(), "alarms")
	if err != nil || len(alarms.Rows) != 3 {
		t.Errorf("each pair and shard is one alarm: %d rows, %v", len(alarms.Rows), err)
	}
}
