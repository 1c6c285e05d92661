package whole

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"arbor/sqltests/server"
)

// TestBackupOfCluster makes a backup of three members through one of them, restores it
// into an empty directory, and has that begin a cluster of one, and then of three.
func TestBackupOfCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("six processes")
	}
	dir := t.TempDir()
	a, b := "file://"+filepath.Join(dir, "a"), "file://"+filepath.Join(dir, "b")
	seed := server.FreeAddress(t)
	all := join(t, server.Start(t, "--peer", seed), seed, "--backup-to", a, "--backup-to", b)
	all[1].Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.plans (id INT PRIMARY KEY, name VARCHAR(9))", "INSERT INTO shop.plans VALUES (1, 'free')", "CREATE USER ann IDENTIFIED BY 'x'")
	insert := func(s *server.Server, from, to int) {
		for i := from; i < to; i++ {
			s.Exec(t, fmt.Sprintf("INSERT INTO shop.events (event, time, distinct_id, insert_id) VALUES ('e', '2026-05-%02d 00:00:00', 'u%d', 'i%d')", 1+i%3, i%5, i))
		}
	}
	insert(all[1], 0, 20)
	all[1].Exec(t, "OPTIMIZE TABLE shop.events", "DELETE FROM shop.events WHERE insert_id = 'i3'")
	insert(all[2], 10, 30)
	if out := arbor(t, "backup", "--server", all[2].MySQL); strings.Count(out, "has backup") != 2 {
		t.Errorf("backup said %s", out)
	}
	answers := func(s *server.Server) (all string) {
		for _, q := range []string{
			"SELECT GROUP_CONCAT(CONCAT(insert_id, ' ', _ingest_id) ORDER BY insert_id) FROM shop.events",
			"SELECT CONCAT(COUNT(*), ' ', SUM(_duplicate)) FROM shop.events_all", "SELECT name FROM shop.plans", "SELECT COUNT(*) FROM mysql.user WHERE user = 'ann'",
		} {
			all += s.QueryOne(t, q) + "\n"
		}
		return all
	}
	want := answers(all[0])
	insert(all[0], 30, 33)
	for _, s := range all {
		s.Stop(t)
	}

	if out := arbor(t, "verify-backup", "--quiet", "--from", b, "--scratch", dir); !strings.Contains(out, "is right") {
		t.Errorf("verify-backup said %s", out)
	}
	data := filepath.Join(dir, "restored")
	arbor(t, "restore", "--quiet", "--from", a, "--data", data)
	seed = server.FreeAddress(t)
	first := server.StartOver(t, data, "--peer", seed)
	if got := answers(first); got != want {
		t.Fatalf("a cluster of one answers %s, it was %s", got, want)
	}
	for i, s := range join(t, first, seed) {
		if got := answers(s); got != want {
			t.Errorf("member %d of three answers %s, it was %s", i, got, want)
		}
	}
	insert(first, 29, 31)
	if got := first.QueryOne(t, "SELECT COUNT(*) FROM shop.events"); got != "30" {
		t.Errorf("%s events after one more and one that was there", got)
	}
}
