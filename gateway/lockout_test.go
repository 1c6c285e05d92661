package gateway

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

func TestLockouts(t *testing.T) {
	now, failures := time.Unix(1_700_000_000, 0), 3
	l := newLockouts(func() time.Time { return now }, func() (int, time.Duration) { return failures, time.Minute })
	ann := lockoutKey{"ann", "192.0.2.1"}
	locked := func(k lockoutKey, want bool) {
		t.Helper()
		if _, got := l.until(k); got != want {
			t.Errorf("%v is locked: %v", k, got)
		}
	}
	for range 2 {
		l.failed(ann)
	}
	locked(ann, false)
	l.succeeded(ann)
	for range 2 {
		l.failed(ann)
	}
	locked(ann, false)
	l.failed(ann)
	locked(ann, true)
	locked(lockoutKey{"ann", "192.0.2.2"}, false)
	locked(lockoutKey{"bob", "192.0.2.1"}, false)
	now = now.Add(time.Minute - 1)
	locked(ann, true)
	now = now.Add(1)
	locked(ann, false)
	for range 2 {
		l.failed(ann)
		now = now.Add(2 * time.Minute) // what was long ago does not count
	}
	l.failed(ann)
	locked(ann, false)
	failures = 0
	for range 10 {
		l.failed(ann)
	}
	locked(ann, false)
	failures = 1
	for i := range maxLockouts + 100 {
		l.failed(lockoutKey{fmt.Sprint(i), "192.0.2.1"})
		now = now.Add(time.Millisecond)
	}
	if len(l.known) > maxLockouts {
		t.Errorf("%d are remembered", len(l.known))
	}
	locked(lockoutKey{fmt.Sprint(maxLockouts + 99), "192.0.2.1"}, true)
}

// TestLimitsOfUsers has one user open connections up to the limit and one past it, and
// a SELECT run up to the server's limit, whatever it asks for.
func TestLimitsOfUsers(t *testing.T) {
	w := newSQLWorld(t)
	address := w.listen()
	open := func(user string) (*sql.Conn, error) {
		c := driver.NewConfig()
		c.User, c.Net, c.Addr = user, "tcp", address
		connector, err := driver.NewConnector(c)
		if err != nil {
			t.Fatal(err)
		}
		db := sql.OpenDB(connector)
		t.Cleanup(func() { db.Close() })
		return db.Conn(t.Context())
	}
	root, err := open("root")
	if err != nil {
		t.Fatal(err)
	}
	mustExec(t, root, "CALL arbor.set_setting('max_user_connections', '2')")
	mustExec(t, root, "CREATE USER low@localhost")
	var conns []*sql.Conn
	for range 2 {
		c, err := open("low")
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	_, err = open("low")
	wantError(t, err, codeUserLimit, "max_user_connections")
	if _, err := open("root"); err != nil {
		t.Error(err)
	}
	mustExec(t, root, "CALL arbor.set_setting('max_execution_time', '20ms')")
	for _, q := range []string{"SELECT SLEEP(1000)", "SELECT /*+ MAX_EXECUTION_TIME(1000000) */ SLEEP(1000)"} {
		failing(t, conns[0], q, 3024, "")
	}
	mustExec(t, conns[0], "SET max_execution_time = 1000000")
	failing(t, conns[0], "SELECT SLEEP(1000)", 3024, "")
}

func TestPlainTextFromElsewhere(t *testing.T) {
	grants := &memoryGrants{}
	config := testTLS(t)
	home := startServer(t, serverOptions{grants: grants, mysql: MySQLOptions{TLS: config, RequireTLSElsewhere: true}})
	mustExec(t, home.conn(), `CREATE USER ann IDENTIFIED BY 'x'`)
	home.mustPing("ann", "x")
	home.close()
	away := startServer(t, serverOptions{grants: grants, listen: elsewhereListener, mysql: MySQLOptions{TLS: config, RequireTLSElsewhere: true}})
	wantError(t, away.ping("ann", "x"), 3159, "")
	away.mustPing("ann", "x", withTLS)
}
