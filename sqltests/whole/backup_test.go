package whole

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"arbor/sqltests/server"
)

// arbor runs a command of the binary and returns what it printed.
func arbor(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(server.Binary(t), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("arbor %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// arborFails runs a command that must fail, and returns what it printed.
func arborFails(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(server.Binary(t), args...).CombinedOutput()
	if err == nil {
		t.Fatalf("arbor %s succeeded\n%s", strings.Join(args, " "), out)
	}
	return string(out)
}

// TestBackup makes backups of a server that runs, harms one of the two stores, and
// has a server over what is restored show the same.
func TestBackup(t *testing.T) {
	dir := t.TempDir()
	a, b := "file://"+filepath.Join(dir, "a"), "file://"+filepath.Join(dir, "b")
	s := server.Start(t, "--backup-to", a, "--backup-to", b)
	s.Exec(t, "CREATE DATABASE shop", "CALL arbor.set_setting('seal_after_age', '1h')")
	insert := `INSERT INTO shop.events (event, time, distinct_id, insert_id) VALUES ('buy', '2026-05-01 10:00:00', 'ann', 'i1'), ('buy', '2026-05-01 10:00:00', 'ann', 'i1'), ('see', '2026-05-02 10:00:00', 'bob', 'i2')`
	s.Exec(t, insert, "CALL arbor.index_project('shop')", strings.ReplaceAll(insert, "'i", "'j"), "DELETE FROM shop.events WHERE insert_id = 'j2'")
	if out := arbor(t, "backup", "--server", s.MySQL); strings.Count(out, "has backup") != 2 {
		t.Errorf("backup said %s", out)
	}
	sums := []string{
		"SELECT GROUP_CONCAT(insert_id ORDER BY insert_id) FROM shop.events",
		"SELECT COUNT(*) FROM shop.events_all",
		"SELECT GROUP_CONCAT(digest ORDER BY day) FROM arbor.digests",
	}
	var want []string
	for _, q := range sums {
		want = append(want, s.QueryOne(t, q))
	}
	s.Exec(t, "INSERT INTO shop.events (event, time, distinct_id) VALUES ('late', '2026-05-03', 'ann')")
	if n := s.QueryOne(t, "SELECT COUNT(*) FROM arbor.jobs WHERE kind = 'backup' AND state = 'done'"); n == "0" {
		t.Error("no backup is in arbor.jobs")
	}
	s.Stop(t)
	if out := arbor(t, "verify-backup", "--quiet", "--from", b, "--scratch", dir); !strings.Contains(out, "is right") {
		t.Errorf("verify-backup said %s", out)
	}

	objects, err := filepath.Glob(filepath.Join(dir, "a", "arbor", "files", "*", "*"))
	if err != nil || len(objects) < 3 {
		t.Fatalf("%d objects in the store, %v", len(objects), err)
	}
	for _, object := range objects {
		content, err := os.ReadFile(object)
		if err != nil {
			t.Fatal(err)
		}
		content[len(content)/2] ^= 1
		if err := os.WriteFile(object, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	restored := filepath.Join(dir, "restored")
	// The server made one by itself when it started, before there was anything.
	backups := strings.Split(strings.TrimSpace(arbor(t, "restore", "--from", a, "--list")), "\n")
	latest := strings.Fields(backups[len(backups)-1])[1]
	if out := arborFails(t, "restore", "--quiet", "--from", a, "--manifest", latest, "--data", restored); !strings.Contains(out, "object is not what was stored") || !strings.Contains(out, "arbor/files/") {
		t.Errorf("restore from a damaged store said %s", out)
	}
	if out := arborFails(t, "serve", "--data", restored, "--mysql", "127.0.0.1:0", "--http", "127.0.0.1:0"); !strings.Contains(out, "not finished") {
		t.Errorf("serve over half a restore said %s", out)
	}
	if out := arbor(t, "restore", "--quiet", "--from", a, "--from", b, "--manifest", latest, "--data", restored); !strings.Contains(out, "was taken from") {
		t.Errorf("restore from two stores said %s", out)
	}
	again := server.StartOver(t, restored)
	for i, q := range sums {
		if got := again.QueryOne(t, q); got != want[i] {
			t.Errorf("%s gives %s, and gave %s", q, got, want[i])
		}
	}
	again.Stop(t)
	// The first server's directory, with what came later, to the store that is whole.
	if out := arbor(t, "backup", "--quiet", "--data", s.Data, "--to", b); !strings.Contains(out, "has backup") {
		t.Errorf("backup of a directory said %s", out)
	}
	if out := arbor(t, "collect-backups", "--from", b); !strings.Contains(out, "0 backups, and 0 B") {
		t.Errorf("collect-backups said %s", out)
	}
}
