// Package attacks has a real server attacked through its ports: what must come is a
// clear refusal, and a server that is healthy afterwards.
package attacks

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"arbor/sqltests/server"
)

// target is the server that is attacked, with two projects of two users.
type target struct {
	*server.Server
	root, ann    *sql.DB // ann may do everything in shop, and nothing elsewhere
	token, rival string  // of shop and of rival
}

func TestAttacks(t *testing.T) {
	a := &target{Server: server.Start(t)}
	a.root = a.open(t, "root", "", "")
	a.exec(t, "CREATE DATABASE shop", "CREATE DATABASE rival", "CREATE USER ann IDENTIFIED BY 'pw'", "GRANT ALL ON shop.* TO ann", "GRANT SELECT, EXECUTE ON arbor.* TO ann",
		"INSERT INTO shop.events (event, time, distinct_id, insert_id) VALUES ('mine', '2026-05-01', 'u', 'm1')",
		"INSERT INTO rival.events (event, time, distinct_id, insert_id) VALUES ('rivalsecret', '2026-05-01', 'rivaluser', 'rivalid')",
		"CALL arbor.set_setting('max_query_memory', '64MiB')")
	a.token = a.QueryOne(t, "SELECT token FROM arbor.projects WHERE name = 'shop'")
	a.rival = a.QueryOne(t, "SELECT token FROM arbor.projects WHERE name = 'rival'")
	if status, answer := a.post(t, "/track", fmt.Sprintf(`{"event":"rivalsecret","properties":{"token":%q,"time":1767348000,"rivalproperty":"rivalvalue"}}`, a.rival)); status != 200 {
		t.Fatal(status, answer)
	}
	a.ann = a.open(t, "ann", "pw", "shop")
	for _, attack := range []struct {
		name string
		run  func(*testing.T, *target)
	}{
		{"property names", attackPropertyNames}, {"project names", attackProjectNames}, {"bodies", attackBodies}, {"packets", attackPackets},
		{"slow clients", attackSlowly}, {"logins", attackLogins}, {"guesses", attackByGuessing}, {"statements", attackStatements}, {"other projects", attackOtherProjects},
		{"project ids", attackProjectIDs},
	} {
		t.Run(attack.name, func(t *testing.T) {
			attack.run(t, a)
			a.healthy(t)
		})
	}
}

// open opens a pool of connections as a user.
func (a *target) open(t *testing.T, user, password, database string) *sql.DB {
	t.Helper()
	c := mysql.NewConfig()
	c.User, c.Passwd, c.DBName, c.Net, c.Addr = user, password, database, "tcp", a.MySQL
	connector, err := mysql.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}

func (a *target) exec(t *testing.T, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := a.root.Exec(s); err != nil {
			t.Fatalf("%s: %v", clipped(s), err)
		}
	}
}

// post sends a body over HTTP, with headers as name and value in turn.
func (a *target) post(t *testing.T, path, body string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://"+a.HTTP+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(answer.Body, 1<<20)); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, b.String()
}

// healthy has the server answer on both ports, without a panic behind it, and hold
// what it held.
func (a *target) healthy(t *testing.T) {
	t.Helper()
	for _, path := range []string{"/healthz", "/readyz"} {
		answer, err := http.Get("http://" + a.HTTP + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, answer.Status)
		}
	}
	if n := a.QueryOne(t, "SELECT COUNT(*) FROM shop.events WHERE insert_id = 'm1'"); n != "1" {
		t.Errorf("%s events of shop are left", n)
	}
	if n := a.QueryOne(t, "SELECT COUNT(*) FROM rival.events"); n != "2" {
		t.Errorf("rival has %s events", n)
	}
	if log := a.Log(); strings.Contains(log, "panic") {
		t.Errorf("a panic is in the log:\n%.2000s", log[strings.Index(log, "panic"):])
	}
}

// refused has a statement fail with one of MySQL's codes.
func refused(t *testing.T, db *sql.DB, statement string, codes ...uint16) {
	t.Helper()
	rows, err := db.Query(statement)
	if err == nil {
		for rows.Next() {
		}
		err = rows.Err()
		rows.Close()
	}
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		t.Errorf("%s: %v", clipped(statement), err)
		return
	}
	for _, code := range codes {
		if e.Number == code {
			return
		}
	}
	t.Errorf("%s: %v, want one of %v", clipped(statement), e, codes)
}

func clipped(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

// attackPropertyNames sends properties whose names are SQL, paths and terminators, and
// has each come back as a column of that name and value.
func attackPropertyNames(t *testing.T, a *target) {
	names := []string{"x`; DROP DATABASE shop; -- ", "'; DELETE FROM events; --", `"; SELECT 1; "`, "a) FROM events; --", "../../../../etc/passwd", "*/ x /*", "events", "properties", "SELECT",
		"a`b``c", "nul\x00byte", "line\nfeed", "\\", "%s%n%x", "{{7*7}}", "<script>", "_ingest_id", "insert_id", "arbor systems", "ü∆", "a.b.c", "@@version", "?", ":v1"}
	var body strings.Builder
	fmt.Fprintf(&body, `{"event":"named","properties":{"token":%q,"time":1767348000,"$insert_id":"names"`, a.token)
	for i, n := range names {
		quoted := fmt.Sprintf("%q", n)
		quoted = strings.ReplaceAll(quoted, `\x00`, `\u0000`)
		fmt.Fprintf(&body, `,%s:"value %d"`, quoted, i)
	}
	body.WriteString("}}")
	if status, answer := a.post(t, "/track?verbose=1", body.String()); status != 200 && status != 400 {
		t.Fatal(status, answer)
	} else if status == 400 {
		t.Fatalf("the names are refused: %s", answer)
	}
	rows, err := a.root.Query("SELECT name, property FROM arbor.columns WHERE project = 'shop'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns := map[string]string{}
	for rows.Next() {
		var name, property string
		if err := rows.Scan(&name, &property); err != nil {
			t.Fatal(err)
		}
		columns[property] = name
	}
	for i, n := range names {
		name, ok := columns[n]
		if !ok {
			continue // a name of the system's own stays among the properties
		}
		var value string
		q := "SELECT `" + strings.ReplaceAll(name, "`", "``") + "` FROM shop.events WHERE insert_id = 'names'"
		if err := a.root.QueryRow(q).Scan(&value); err != nil || value != fmt.Sprint("value ", i) {
			t.Errorf("property %q, column %q: %q, %v", n, name, value, err)
		}
	}
	if len(columns) < len(names)/2 {
		t.Errorf("%d columns of %d names", len(columns), len(names))
	}
	for _, q := range []string{"SHOW COLUMNS FROM shop.events", "SHOW CREATE TABLE shop.events", "SELECT * FROM shop.events", "SELECT * FROM information_schema.columns WHERE table_schema = 'shop'"} {
		r, err := a.root.Query(q)
		if err != nil {
			t.Errorf("%s: %v", q, err)
			continue
		}
		r.Close()
	}
}

// attackProjectNames makes databases with names that are paths. No file may appear
// outside the data directory, nor in it under such a name.
func attackProjectNames(t *testing.T, a *target) {
	above, err := os.ReadDir(filepath.Dir(a.Data))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"..", ".", "../escape", "../../tmp/escape", "/etc/escape", `..\\escape`, "a/b", "shop/../escape", "%2e%2e%2fescape", "con", "nul\x00", "x\ny", strings.Repeat("e", 1000), " ", "", "catalog", "log"} {
		_, err := a.root.Exec("CREATE DATABASE `" + name + "`")
		if err == nil {
			a.exec(t, "INSERT INTO `"+name+"`.events (event, time) VALUES ('x', '2026-05-01')", "CALL arbor.index_project('"+strings.ReplaceAll(name, `\`, `\\`)+"')", "DROP DATABASE `"+name+"`")
		}
		for _, path := range []string{"/query?database=" + strings.NewReplacer("%", "%25", "\x00", "%00", "\n", "%0A", " ", "%20").Replace(name), "/api/2.0/export?from_date=2026-05-01&to_date=2026-05-01&project_id=../../" + a.token} {
			if status, answer := a.post(t, path, "SELECT 1"); status >= 500 {
				t.Errorf("%q: %d %s", path, status, answer)
			}
		}
	}
	now, err := os.ReadDir(filepath.Dir(a.Data))
	if err != nil || len(now) != len(above) {
		t.Errorf("beside the data are %v, and were %v; %v", now, above, err)
	}
	err = filepath.WalkDir(a.Data, func(path string, _ os.DirEntry, err error) error {
		if strings.Contains(path, "escape") || strings.Contains(path, "eeee") {
			t.Errorf("there is %s", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
