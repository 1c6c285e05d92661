package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gocloud.dev/blob/memblob"

	"arbor/backup"
	"arbor/catalog"
	"arbor/cluster"
	"arbor/cluster/protocol"
	"arbor/engine"
	"arbor/engine/event"
	"arbor/engine/vfs"
	"arbor/sqltests/stack"
)

// copiedGroup are three members, each bucket on two of them, and two stores.
type copiedGroup struct {
	*stack.Group
	stores []*backup.Store
	token  string
	sent   int
}

func newCopiedGroup(t *testing.T, o stack.GroupOptions) *copiedGroup {
	t.Helper()
	g := &copiedGroup{Group: stack.NewGroup(t, o)}
	g.stores = []*backup.Store{{Name: "a", Bucket: memblob.OpenBucket(nil)}, {Name: "b", Bucket: memblob.OpenBucket(nil)}}
	g.token = g.Members[0].Project(t, "shop")
	g.Members[0].Rows(t, "CREATE TABLE shop.plans (id INT PRIMARY KEY, name VARCHAR(9))")
	g.Members[0].Rows(t, "INSERT INTO shop.plans VALUES (1, 'free'), (2, 'pro')")
	return g
}

// send sends events through one member: on three days, of many users, half of them twice.
func (g *copiedGroup) send(t *testing.T, through, n int) {
	t.Helper()
	var lines []string
	for range n {
		k := g.sent / 2
		lines = append(lines, fmt.Sprintf(`{"event":"view","properties":{"time":%d,"distinct_id":"u%d","$insert_id":"i%d","n":%d}}`, 1768300000+86400*(k%3), k%41, k, g.sent))
		g.sent++
	}
	g.Members[through].Import(t, g.token, "["+strings.Join(lines, ",")+"]")
}

const copiedContents = "SELECT _ingest_id, event, time, distinct_id, insert_id, n, _duplicate, _dup_of, _dup_kind FROM shop.events_all ORDER BY _ingest_id"

func (g *copiedGroup) source(member int) clusterSource {
	m := g.Members[member]
	return clusterSource{m.Parts, func(context.Context) error { return nil }, m.Catalog, m.Tables}
}

func (g *copiedGroup) backUp(t *testing.T, through int) backup.Result {
	t.Helper()
	res, err := backup.Run(t.Context(), backup.Options{Sources: []backup.Source{g.source(through)}, Stores: g.stores})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// restored is a server over what a store has.
func restored(t *testing.T, stores []*backup.Store, id string) *dayServer {
	t.Helper()
	disk := vfs.NewMem()
	_, err := backup.Restore(t.Context(), backup.RestoreOptions{Stores: stores, ID: id, FS: disk, Dir: "data", WriteCatalog: cluster.WriteCatalog, WriteTables: cluster.WriteTables})
	if err != nil {
		t.Fatal(err)
	}
	return openDay(t, disk, nil, nil)
}

// mustAnswer compares what a server has with what it should.
func mustAnswer(t *testing.T, s *dayServer, want []string) {
	t.Helper()
	got := s.contents(t)
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], ",", "\t")
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%d events came back, of %d", len(got), len(want))
	}
	if plans := post(t, s.url.String()+"/query?format=csv", "root", "SELECT id, name FROM shop.plans ORDER BY id"); plans != "id,name\n1,free\n2,pro\n" {
		t.Errorf("the table has %q", plans)
	}
}

// TestBackupOfMembers: what members hold together, in logs and in files that differ from
// member to member, is copied once, through any of them, and comes back on one server with
// all copies, deletes and tables, which goes on with it.
func TestBackupOfMembers(t *testing.T) {
	g := newCopiedGroup(t, stack.GroupOptions{Members: 3, Replicas: 3, Slots: 4})
	g.send(t, 0, 300)
	if err := g.Members[1].Engine.Index(t.Context(), 0, false); err != nil {
		t.Fatal(err)
	}
	g.send(t, 1, 300)
	g.Members[2].Rows(t, "DELETE FROM shop.events WHERE insert_id IN ('i7', 'i250')")
	if err := g.Members[2].Engine.Index(t.Context(), 0, true); err != nil {
		t.Fatal(err)
	}
	g.send(t, 2, 100)
	want := g.Members[0].Rows(t, copiedContents)
	if len(want) != g.sent-4 {
		t.Fatalf("%d events of %d", len(want), g.sent)
	}

	first := g.backUp(t, 0)
	seen, records := map[backup.ShardID]bool{}, uint64(0)
	for _, m := range first.Manifest.Members {
		for _, s := range m.Shards {
			if seen[s.ShardID] {
				t.Errorf("shard %s is there twice", s.ShardID)
			}
			seen[s.ShardID] = true
			records += s.Records
		}
	}
	if len(seen) != 12 || records != uint64(g.sent+2) { // two deletes
		t.Errorf("%d shards of %d records", len(seen), records)
	}
	back := restored(t, g.stores[1:], first.ID)
	mustAnswer(t, back, want)

	// Through another member the same files are found again.
	if again := g.backUp(t, 2); again.Stores[0].Objects != 0 || again.Stores[1].Objects != 0 {
		t.Errorf("a second backup of the same sent %+v", again.Stores)
	}

	// What came later, without one of the members.
	g.send(t, 2, 100)
	g.Members[1].Kill(t)
	want = g.Members[2].Rows(t, copiedContents)
	second := g.backUp(t, 0)
	mustAnswer(t, restored(t, g.stores[:1], second.ID), want)
	_, err := backup.Drill(t.Context(), backup.RestoreOptions{Stores: g.stores, ID: second.ID, FS: vfs.NewMem(), Dir: "data", WriteCatalog: cluster.WriteCatalog, WriteTables: cluster.WriteTables},
		func(ctx context.Context, fs vfs.FS, dir string) (backup.Opened, error) {
			return drilledDay{openedMember{openDay(t, fs, nil, nil).member}}, nil
		})
	if err != nil {
		t.Error(err)
	}

	// What is restored takes events in, indexes them, and forgets nothing of what it had.
	before := back.contents(t)
	post(t, back.url.String()+"/import", g.token, `[{"event":"late","properties":{"time":1768300000,"distinct_id":"u1","$insert_id":"late"}},{"event":"view","properties":{"time":1768300000,"distinct_id":"u0","$insert_id":"i0","n":0}}]`)
	if err := back.engine.Index(t.Context(), 0, true); err != nil {
		t.Fatal(err)
	}
	after := back.contents(t)
	if len(after) != len(before)+2 || !slices.Equal(after[:len(before)], before) || !strings.Contains(after[len(before)+1], "retry") {
		t.Errorf("%d events after two more, of %d: %v", len(after), len(before), after[len(after)-2:])
	}
}

// drilledDay is closed with the test.
type drilledDay struct{ openedMember }

func (drilledDay) Close() error { return nil }

// sickEngine says of some shards that they are damaged.
type sickEngine struct {
	*engine.Engine
	sick *atomic.Pointer[func(catalog.ShardKey) bool]
}

func (e sickEngine) CutFiles(ctx context.Context, which func(catalog.Slot) bool) (*event.FileCut, error) {
	c, err := e.Engine.CutFiles(ctx, which)
	if sick := e.sick.Load(); err == nil && sick != nil {
		c.Shards = slices.DeleteFunc(c.Shards, func(s event.ShardCut) bool {
			if (*sick)(s.Shard) {
				c.Damaged = append(c.Damaged, event.DamagedShard{Key: s.Shard, Reason: "it is sick"})
			}
			return (*sick)(s.Shard)
		})
	}
	return c, err
}

// TestBackupOfDamagedMember: a shard that is damaged on one replica is copied from
// another; one that is damaged on all is named, and keeps no other away.
func TestBackupOfDamagedMember(t *testing.T) {
	var sick [3]atomic.Pointer[func(catalog.ShardKey) bool]
	g := newCopiedGroup(t, stack.GroupOptions{Members: 3, Replicas: 3, Slots: 4, Engine: func(id protocol.MemberID, e *engine.Engine) cluster.Engine {
		return sickEngine{e, &sick[id[0]-1]}
	}})
	g.send(t, 0, 300)
	want := g.Members[0].Rows(t, copiedContents)
	one := g.Members[0].Catalog().Projects[0].Shard(1768300000_000000, "u1", "")
	isOne := func(k catalog.ShardKey) bool { return k == one }
	sick[0].Store(&isOne)
	sick[1].Store(&isOne)
	first, err := backup.Run(t.Context(), backup.Options{Sources: []backup.Source{g.source(0)}, Stores: g.stores})
	for deadline := time.Now().Add(time.Minute); err != nil && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		// Two of three acknowledged the events: the third may still be without some.
		first, err = backup.Run(t.Context(), backup.Options{Sources: []backup.Source{g.source(0)}, Stores: g.stores})
	}
	if err != nil {
		t.Fatal(err)
	}
	mustAnswer(t, restored(t, g.stores, first.ID), want)

	sick[2].Store(&isOne)
	res, err := backup.Run(t.Context(), backup.Options{Sources: []backup.Source{g.source(0)}, Stores: g.stores})
	if res.ID == "" || err == nil || !strings.Contains(err.Error(), one.String()) {
		t.Fatalf("a backup without a shard: %v", err)
	}
	whole, err := res.Manifest.Member("")
	if err != nil || len(whole.Shards) != 11 || len(whole.Damaged) != 1 || !strings.Contains(whole.Damaged[0].Reason, "sick") {
		t.Errorf("%d shards, damaged %v, %v", len(whole.Shards), whole.Damaged, err)
	}
	if n := len(restored(t, g.stores, res.ID).contents(t)); n >= len(want) || n < len(want)/2 {
		t.Errorf("%d events of %d came back", n, len(want))
	}
}
