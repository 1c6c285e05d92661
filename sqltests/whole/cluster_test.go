package whole

import (
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"

	"arbor/sqltests/server"
)

// eventually waits until a query that a member answers gives a value.
func eventually(t *testing.T, s *server.Server, query, want string) {
	t.Helper()
	db, err := sql.Open("mysql", s.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(45 * time.Second)
	for {
		var got string
		err := db.QueryRow(query).Scan(&got)
		if err == nil && got == want {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: %q, %v; want %q\n%s", query, got, err, want, s.Log())
		}
	}
}

// members starts a cluster of three, each of which holds everything.
func members(t *testing.T) (all []*server.Server) {
	t.Helper()
	seed := server.FreeAddress(t)
	return join(t, server.Start(t, "--peer", seed), seed)
}

// join has two more members, with these flags, join the first, which listens at the seed.
func join(t *testing.T, first *server.Server, seed string, flags ...string) (all []*server.Server) {
	t.Helper()
	all = append(all, first)
	for range 2 {
		token, err := run(t, "token", "--mysql", all[0].MySQL)
		if err != nil {
			t.Fatal(token, err)
		}
		all = append(all, server.Start(t, append([]string{"--peer", server.FreeAddress(t), "--join", seed, "--token", strings.TrimSpace(token)}, flags...)...))
	}
	eventually(t, all[0], "SELECT COUNT(*) FROM arbor.replicas WHERE state = 'settled'", "3072")
	eventually(t, all[2], "SELECT COUNT(*) FROM arbor.members WHERE alive AND buckets = 1024", "3")
	eventually(t, all[0], "SELECT SUM(votes) FROM arbor.members", "3")
	return all
}

// writer inserts events, each under a name of its own, again and again until it is
// told that they are stored.
type writer struct {
	attempted, acked atomic.Int64
}

func (w *writer) write(t *testing.T, name string, at []*server.Server, stop <-chan struct{}) {
	var dbs []*sql.DB
	for _, s := range at {
		db, err := sql.Open("mysql", s.DSN("shop"))
		if err != nil {
			t.Error(err)
			return
		}
		defer db.Close()
		dbs = append(dbs, db)
	}
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		w.attempted.Add(1)
		insert := fmt.Sprintf("INSERT INTO events (event, time, distinct_id, insert_id, n) VALUES ('e', '2026-05-01 00:00:00', '%s-%d', '%s-%d', 1)", name, n%7, name, n)
		for tries := 0; ; tries++ {
			if _, err := dbs[(n+tries)%len(dbs)].Exec(insert); err == nil {
				break
			} else if tries > 20 {
				t.Errorf("%s: %v", insert, err)
				return
			}
		}
		w.acked.Add(1)
	}
}

// during runs something while events are written, and holds every count against
// what was acknowledged before it was asked for and attempted when it was answered.
func (w *writer) during(t *testing.T, at []*server.Server, something func()) {
	t.Helper()
	stop := make(chan struct{})
	var running sync.WaitGroup
	for i := range 3 {
		running.Go(func() { w.write(t, fmt.Sprintf("%d of %d", i, w.attempted.Load()), at, stop) })
	}
	running.Go(func() {
		db, err := sql.Open("mysql", at[len(at)-1].DSN("shop"))
		if err != nil {
			t.Error(err)
			return
		}
		defer db.Close()
		for {
			select {
			case <-stop:
				return
			default:
			}
			var count int64
			before := w.acked.Load()
			err := db.QueryRow("SELECT COUNT(*) FROM events").Scan(&count)
			if after := w.attempted.Load(); err != nil || count < before || count > after {
				t.Errorf("%d events are counted, of %d acknowledged and %d attempted: %v", count, before, after, err)
				return
			}
		}
	})
	something()
	close(stop)
	running.Wait()
}

func (w *writer) exact(t *testing.T, at ...*server.Server) {
	t.Helper()
	for _, s := range at {
		if got := s.QueryOne(t, "SELECT CONCAT(COUNT(*), ' ', COUNT(DISTINCT insert_id), ' ', SUM(n)) FROM shop.events"); got != fmt.Sprintf("%[1]d %[1]d %[1]d", w.acked.Load()) {
			t.Errorf("a member counts %s, acknowledged were %d", got, w.acked.Load())
		}
	}
}

// TestClusterOutlivesItsMembers: three processes take events in while one of them,
// and then the leader, is killed and comes back; every count is exact, everywhere.
func TestClusterOutlivesItsMembers(t *testing.T) {
	if testing.Short() {
		t.Skip("three processes")
	}
	all := members(t)
	all[1].Exec(t, "CREATE DATABASE shop", "ALTER TABLE shop.events ADD COLUMN n INT")
	for _, s := range all {
		eventually(t, s, "SELECT COUNT(*) FROM arbor.columns WHERE project = 'shop' AND name = 'n'", "1")
	}
	w := &writer{}
	acked := func(more int64) {
		start := w.acked.Load()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		late := time.After(30 * time.Second)
		for w.acked.Load() < start+more {
			select {
			case <-tick.C:
			case <-late:
				t.Error("writing came to a stand")
				return
			}
		}
	}
	w.during(t, all[:2], func() {
		acked(100)
		all[2].Kill(t)
		acked(300)
	})
	w.exact(t, all[0], all[1])
	all[2].Run(t)
	w.exact(t, all...)

	leader := 0
	for i, s := range all {
		if s.QueryOne(t, "SELECT COALESCE(MAX(leader), 0) FROM arbor.members WHERE self") == "1" {
			leader = i
		}
	}
	var rest []*server.Server
	for i, s := range all {
		if i != leader {
			rest = append(rest, s)
		}
	}
	w.during(t, rest, func() {
		acked(50)
		all[leader].Kill(t)
		acked(100)
	})
	w.exact(t, rest...)
	eventually(t, rest[0], "SELECT COUNT(*) FROM arbor.members WHERE leader AND alive", "1")
	rest[1].Exec(t, "CREATE DATABASE without_the_first", "CREATE USER ann IDENTIFIED BY 'x'")
	all[leader].Run(t)
	w.exact(t, all...)
	eventually(t, all[leader], "SELECT COUNT(*) FROM mysql.user WHERE user = 'ann'", "1")

	// What would do harm is refused, and what is done shows.
	id := rest[0].QueryOne(t, "SELECT id FROM arbor.members WHERE self")
	db, err := sql.Open("mysql", all[leader].DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for statement, want := range map[string]string{
		"CALL arbor.drain('" + id + "')":  "add a member first",
		"CALL arbor.remove('" + id + "')": "holds 1024 of 1024 buckets",
		"CALL arbor.remove('none')":       "there is no member 'none'",
		"CALL arbor.add_member('1s')":     "want a time",
	} {
		if _, err := db.Exec(statement); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", statement, err, want)
		}
	}
	all[leader].Exec(t, "CALL arbor.set_setting('replicas', '2')")
	eventually(t, rest[1], "SELECT COUNT(*) FROM arbor.replicas WHERE state = 'settled'", "2048")
	w.exact(t, all...)
}

// TestClusterOfAServerThatWasAlone begins a cluster with a directory that was used alone:
// its events, in files and in the log, with their duplicates and deletes, and its users and
// tables, are every member's, and outlive the first one.
func TestClusterOfAServerThatWasAlone(t *testing.T) {
	if testing.Short() {
		t.Skip("three processes")
	}
	alone := server.Start(t)
	alone.Exec(t, "CREATE DATABASE shop", "CREATE DATABASE other", "CREATE USER ann IDENTIFIED BY 'x'", "CREATE TABLE shop.places (id INT PRIMARY KEY, name VARCHAR(20))",
		"INSERT INTO shop.places VALUES (1, 'here')", "ALTER TABLE shop.events ADD COLUMN n INT")
	insert := func(s *server.Server, from, to int) {
		for i := from; i < to; i++ {
			row := fmt.Sprintf("('e', '2026-05-%02d 00:00:00', 'u%d', 'i%d', %d)", 1+i%3, i%5, i, i)
			s.Exec(t, "INSERT INTO shop.events (event, time, distinct_id, insert_id, n) VALUES "+row+", "+row)
		}
	}
	insert(alone, 0, 20)
	alone.Exec(t, "DELETE FROM shop.events WHERE n = 3", "OPTIMIZE TABLE shop.events")
	insert(alone, 10, 40) // half of them once more
	alone.Exec(t, "DELETE FROM shop.events WHERE n = 35", "INSERT INTO other.events (event, time, distinct_id) VALUES ('e', '2026-05-01 00:00:00', 'u')")
	answers := func(s *server.Server) (all string) {
		for _, q := range []string{
			"SELECT CONCAT(COUNT(*), ' ', SUM(CRC32(CONCAT_WS('/', time, distinct_id, insert_id, n, _ingest_id)))) FROM shop.events",
			"SELECT CONCAT(COUNT(*), ' ', COUNT(DISTINCT _ingest_id), ' ', SUM(_duplicate)) FROM shop.events_all",
			"SELECT CONCAT(COUNT(*), ' ', MIN(_ingest_id)) FROM other.events", "SELECT name FROM shop.places", "SELECT COUNT(*) FROM mysql.user WHERE user = 'ann'",
		} {
			all += s.QueryOne(t, q) + "\n"
		}
		return all
	}
	want := answers(alone)
	alone.Stop(t)

	seed := server.FreeAddress(t)
	all := join(t, server.StartOver(t, alone.Data, "--peer", seed), seed)
	for i, s := range all {
		if got := answers(s); got != want {
			t.Fatalf("member %d answers %s, it was %s", i, got, want)
		}
	}
	all[0].Kill(t)
	insert(all[1], 0, 3) // their originals are the first member's
	for i, s := range all[1:] {
		copies := strings.Replace(want, "96 96 58", "102 102 64", 1)
		if got := answers(s); got != copies {
			t.Errorf("after the first is gone member %d answers %s, it was %s", i+1, got, copies)
		}
	}
}

// TestClusterFlagsRefuse: each wrong start says what helps.
func TestClusterFlagsRefuse(t *testing.T) {
	alone := server.Start(t)
	alone.Exec(t, "CREATE DATABASE shop", "INSERT INTO shop.events (event, time, distinct_id) VALUES ('e', '2026-05-01 00:00:00', 'u')")
	alone.Stop(t)
	ports := []string{"--mysql", "127.0.0.1:0", "--http", "127.0.0.1:0"}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"join without peer":     {[]string{"--data", t.TempDir(), "--join", "127.0.0.1:1"}, "--peer is missing"},
		"join without token":    {[]string{"--data", t.TempDir(), "--peer", server.FreeAddress(t), "--join", "127.0.0.1:1"}, "CALL arbor.add_member()"},
		"bad token":             {[]string{"--data", t.TempDir(), "--peer", server.FreeAddress(t), "--join", "127.0.0.1:1", "--token", "x"}, "join token cannot be read"},
		"all addresses":         {[]string{"--data", t.TempDir(), "--peer", "0.0.0.0:0"}, "--advertise"},
		"unknown role":          {[]string{"--data", t.TempDir(), "--peer", server.FreeAddress(t), "--role", "none"}, "want gateway, storage or both"},
		"not a member's at all": {[]string{"--data", t.TempDir(), "--zone", "a"}, "--peer is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := run(t, append(append([]string{"serve"}, ports...), c.args...)...)
			if err == nil || !strings.Contains(out, c.want) {
				t.Errorf("%v: %s; want %q", err, out, c.want)
			}
		})
	}
	if out, err := run(t, "metadata", "recover", "--data", alone.Data, "--yes"); err == nil || !strings.Contains(out, "is not a cluster member's") {
		t.Errorf("recover of a server that is alone: %v %s", err, out)
	}
	again := server.StartOver(t, alone.Data) // nothing has changed
	if got := again.QueryOne(t, "SELECT COUNT(*) FROM shop.events"); got != "1" {
		t.Errorf("the server that was alone has %s events", got)
	}
}
