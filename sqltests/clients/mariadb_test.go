// Package clients runs real clients against the real server: each test is what
// a user of that client would do first.
package clients

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"arbor/sqltests/server"
)

// mariadb runs the mariadb command line and returns what it printed.
func mariadb(t *testing.T, s *server.Server, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	base := []string{"--no-defaults", "-h", "127.0.0.1", "-P", server.Port(s.MySQL), "-u", "root"}
	cmd := exec.Command("mariadb", append(base, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err = cmd.Run()
	return out.String(), complaint.String(), err
}

func TestMariaDBCommandLine(t *testing.T) {
	s := server.Start(t)
	session := `
CREATE DATABASE shop;
USE shop;
ALTER TABLE events ADD COLUMN price DOUBLE;
INSERT INTO events (event, time, distinct_id, insert_id, price, properties) VALUES
  ('Purchase', '2026-01-01 10:00:00', 'ann', 'a1', 25, '{"plan": "pro", "tags": ["x", "y"]}'),
  ('Purchase', '2026-01-01 10:00:01.5', 'bob', 'b1', 17.5, NULL),
  ('Purchase', '2026-01-01 10:00:00', 'ann', 'a1', 25, '{"plan": "pro", "tags": ["x", "y"]}');
SELECT COUNT(*) FROM events;
SELECT COUNT(*) FROM events_all;
SELECT event, time, distinct_id, insert_id, price, plan, tags FROM events ORDER BY time;
SHOW TABLES;
SHOW DATABASES LIKE 'sh%';
DELETE FROM events WHERE distinct_id = 'bob';
SELECT distinct_id, properties FROM events;
SET arbor_dedupe = off;
SELECT COUNT(*) FROM events;
`
	out, complaint, err := mariadb(t, s, session, "-N")
	if err != nil {
		t.Fatalf("%v: %s", err, complaint)
	}
	want := `2
3
Purchase	2026-01-01 10:00:00.000000	ann	a1	25	pro	["x","y"]
Purchase	2026-01-01 10:00:01.500000	bob	b1	17.5	NULL	NULL
events
events_all
shop
ann	{"plan":"pro","price":25,"tags":["x","y"]}
2
`
	if squeeze(out) != squeeze(want) {
		t.Errorf("got:\n%s\nwant:\n%s", out, want)
	}
}

// squeeze drops the spaces that a JSON printer may put in or leave out.
func squeeze(s string) string {
	return strings.NewReplacer(", ", ",", ": ", ":").Replace(s)
}

func TestMariaDBCommandLineErrors(t *testing.T) {
	s := server.Start(t)
	if _, complaint, err := mariadb(t, s, "CREATE DATABASE shop;"); err != nil {
		t.Fatal(complaint)
	}
	for _, c := range []struct{ sql, want string }{
		{"SELEC 1", "ERROR 1064 (42000)"},
		{"SELECT nothing FROM shop.events", "ERROR 1054 (42S22)"},
		{"INSERT INTO shop.events (event, nothing) VALUES ('a', 1)", "ERROR 1054 (42S22)"},
		{"SELECT * FROM shop.nothing", "ERROR 1146 (42S02)"},
		{"USE nothing", "ERROR 1049 (42000)"},
		{"CREATE DATABASE shop", "ERROR 1007 (HY000)"},
		{"DROP DATABASE nothing", "ERROR 1008 (HY000)"},
		{"INSERT INTO shop.events (distinct_id) VALUES ('a')", "ERROR 1364 (HY000)"},
		{"INSERT INTO shop.events (event, time) VALUES ('a', 'yesterday')", "ERROR 1292 (22007)"},
	} {
		_, complaint, err := mariadb(t, s, c.sql+";")
		if err == nil || !strings.Contains(complaint, c.want) {
			t.Errorf("%s: got %q, want %s", c.sql, strings.TrimSpace(complaint), c.want)
		}
	}
	_, complaint, err := mariadb(t, s, "SELECT 1;", "-u", "nobody", "-pwrong")
	if err == nil || !strings.Contains(complaint, "ERROR 1045 (28000)") {
		t.Errorf("login as nobody: got %q, want ERROR 1045 (28000)", strings.TrimSpace(complaint))
	}
}
