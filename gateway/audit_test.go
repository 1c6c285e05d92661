package gateway

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	driver "github.com/go-sql-driver/mysql"

	"arbor/cluster"
	"arbor/engine/exec"
	"arbor/engine/vfs"
	"arbor/gateway/audit"
	"arbor/sqltests/oracle"
)

// auditedLocal is storage that is asked for the audit trail, too.
type auditedLocal struct {
	*oracle.Model
	trail *audit.Trail
}

func (l *auditedLocal) Describe(ctx context.Context, table string) (*exec.Table, error) {
	if table == audit.Table {
		return l.trail.Describe(ctx)
	}
	return l.Model.Describe(ctx, table)
}

// auditedWorld is a world with an audit trail.
func auditedWorld(t *testing.T) (*sqlWorld, *audit.Trail) {
	t.Helper()
	local := &auditedLocal{}
	w := newSQLWorldOver(t, func(m *oracle.Model) cluster.Local {
		local.Model = m
		return local
	})
	var err error
	local.trail, err = audit.Open(audit.Options{FS: vfs.NewMem(), Dir: "audit", MaxBytes: w.gateway.Catalog().AuditBytes, Now: w.gateway.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { local.trail.Close() })
	w.gateway.audit = local.trail
	w.engine.logins = newLoginAudit(w.gateway, w.engine.grants)
	return w, local.trail
}

// auditWant compares what was written down since, log-ins left out, one record a line.
func auditWant(t *testing.T, trail *audit.Trail, seen *int, lines ...string) {
	t.Helper()
	records, err := trail.Read()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range records[*seen:] {
		if r.Kind != auditLogin {
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s@%s %s: %s = %s %d", r.Kind, r.User, r.Host, r.Project, r.Statement, r.Outcome, r.Code)))
		}
	}
	*seen = len(records)
	if strings.Join(got, "\n") != strings.Join(lines, "\n") {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(lines, "\n  "))
	}
}

func openAudited(t *testing.T, address, user, password, database string) *sql.Conn {
	t.Helper()
	db, err := sql.Open("mysql", fmt.Sprintf("%s:%s@tcp(%s)/%s?multiStatements=true", user, password, address, database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestStatementsAreWrittenDown(t *testing.T) {
	w, trail := auditedWorld(t)
	c := openAudited(t, w.listen(), "root", "", "")
	seen := 0
	fails := func(statement string, code uint16, args ...any) {
		t.Helper()
		var failed *driver.MySQLError
		if _, err := c.ExecContext(t.Context(), statement, args...); !errors.As(err, &failed) || failed.Number != code {
			t.Errorf("%s: %v, want error %d", statement, err, code)
		}
	}
	mustExec(t, c, "CREATE DATABASE shop; CREATE DATABASE other; USE shop")
	auditWant(t, trail, &seen, "ddl root@localhost shop: CREATE DATABASE shop = ok 0", "ddl root@localhost other: CREATE DATABASE other = ok 0")

	mustExec(t, c, "SELECT 1; SHOW TABLES; BEGIN; COMMIT; SET @a = 1; SET autocommit = 1")
	mustExec(t, c, "INSERT INTO events (event, distinct_id) VALUES ('a', 'ann')")
	mustExec(t, c, "EXPLAIN DELETE FROM events WHERE distinct_id = 'ann'")
	auditWant(t, trail, &seen)

	mustExec(t, c, `CREATE USER 'ann'@'%' IDENTIFIED BY 'top secret', bob IDENTIFIED WITH 'mysql_native_password' BY "it's"`)
	mustExec(t, c, `/* top secret */ ALTER USER ann IDENTIFIED BY 'top\' secret'`)
	mustExec(t, c, `GRANT SELECT, DELETE ON shop.* TO ann`)
	mustExec(t, c, `REVOKE DELETE ON shop.* FROM ann`)
	mustExec(t, c, `DROP USER bob`)
	auditWant(t, trail, &seen,
		`user root@localhost : CREATE USER 'ann'@'%' IDENTIFIED BY '***', bob IDENTIFIED WITH 'mysql_native_password' BY '***' = ok 0`,
		`user root@localhost : ALTER USER ann IDENTIFIED BY '***' = ok 0`,
		`user root@localhost shop: GRANT SELECT, DELETE ON shop.* TO ann = ok 0`,
		`user root@localhost shop: REVOKE DELETE ON shop.* FROM ann = ok 0`,
		`user root@localhost : DROP USER bob = ok 0`)

	mustExec(t, c, `CREATE TABLE plans (id INT PRIMARY KEY, name VARCHAR(20) DEFAULT 'free')`)
	mustExec(t, c, `ALTER TABLE plans ADD COLUMN price DECIMAL(10,2)`)
	mustExec(t, c, `CREATE VIEW v AS SELECT event FROM other.events`)
	fails(`DROP TABLE nope`, 1146)
	mustExec(t, c, `TRUNCATE TABLE events`)
	auditWant(t, trail, &seen,
		`ddl root@localhost shop: CREATE TABLE plans (id INT PRIMARY KEY, name VARCHAR(20) DEFAULT 'free') = ok 0`,
		`ddl root@localhost shop: ALTER TABLE plans ADD COLUMN price DECIMAL(10,2) = ok 0`,
		`ddl root@localhost : CREATE VIEW v AS SELECT event FROM other.events = ok 0`,
		`ddl root@localhost shop: DROP TABLE nope = failed 1146`,
		`ddl root@localhost shop: TRUNCATE TABLE events = ok 0`)

	mustExec(t, c, `DELETE FROM events WHERE distinct_id = 'ann' AND time > 20260101`)
	mustExec(t, c, `DELETE FROM events WHERE distinct_id = ?`, "ann")
	mustExec(t, c, `CALL arbor.set_setting('login_failures', '7')`)
	mustExec(t, c, `CALL arbor.set_setting(?, ?)`, "login_failures", "8")
	mustExec(t, c, `CALL arbor.rotate_token('shop', 'both')`)
	mustExec(t, c, `CALL arbor.set_policy('shop', 'ENABLED=off')`)
	fails(`CALL arbor.erase_user('shop', 'ann@example.com')`, 1235) // the model cannot
	mustExec(t, c, `SET GLOBAL max_connections = 900`)
	mustExec(t, c, `OPTIMIZE TABLE events`)
	auditWant(t, trail, &seen,
		`delete root@localhost shop: DELETE FROM events WHERE distinct_id = '***' AND time > '***' = ok 0`,
		`delete root@localhost shop: DELETE FROM events WHERE distinct_id = '***' = ok 0`,
		`setting root@localhost : CALL arbor.set_setting('login_failures', '7') = ok 0`,
		`setting root@localhost : CALL arbor.set_setting('login_failures', '8') = ok 0`,
		`token root@localhost shop: CALL arbor.rotate_token('shop', 'both') = ok 0`,
		`call root@localhost shop: CALL arbor.set_policy('shop', 'ENABLED=off') = ok 0`,
		`erasure root@localhost shop: CALL arbor.erase_user('shop', '***') = failed 1235`,
		`setting root@localhost : SET GLOBAL max_connections = 900 = ok 0`,
		`admin root@localhost shop: OPTIMIZE TABLE events = ok 0`)

	mustExec(t, c, `PREPARE s FROM 'CREATE USER zed IDENTIFIED BY ''top secret'''`)
	mustExec(t, c, `EXECUTE s`)
	mustExec(t, c, `/*!50000 DROP USER zed */`)
	auditWant(t, trail, &seen,
		"user root@localhost : create user `zed`@`%` identified with caching_sha2_password by '***' = ok 0",
		"user root@localhost : drop user `zed`@`%` = ok 0")

	records, err := trail.Read()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if strings.Contains(r.Statement, "secret") || strings.Contains(r.Statement, "it's") || strings.Contains(r.Statement, "ann@example") {
			t.Errorf("a secret is in %q", r.Statement)
		}
	}
}

// TestAuditShowsWhoMay: all records to who may administer all, those of a project to who
// may administer that, and none to others.
func TestAuditShowsWhoMay(t *testing.T) {
	w, _ := auditedWorld(t)
	address := w.listen()
	c := openAudited(t, address, "root", "", "")
	for _, s := range []string{
		"CREATE DATABASE shop", "CREATE DATABASE other",
		"CREATE USER owner IDENTIFIED BY 'x'", "GRANT ALL ON shop.* TO owner WITH GRANT OPTION", "GRANT SELECT ON arbor.* TO owner",
		"CREATE USER reader IDENTIFIED BY 'x'", "GRANT ALL ON shop.* TO reader", "GRANT SELECT ON arbor.* TO reader",
		"CALL arbor.rotate_token('other')", "TRUNCATE TABLE shop.events",
	} {
		mustExec(t, c, s)
	}
	const query = "SELECT statement FROM arbor.audit WHERE kind <> 'login' AND kind <> 'user' ORDER BY id"
	mustQuery(t, c, query, "CREATE DATABASE shop\nCREATE DATABASE other\nCALL arbor.rotate_token('other')\nTRUNCATE TABLE shop.events")
	mustQuery(t, openAudited(t, address, "owner", "x", ""), query, "TRUNCATE TABLE shop.events")
	mustQuery(t, openAudited(t, address, "reader", "x", ""), query, "")

	mustExec(t, c, "DROP DATABASE shop")
	mustExec(t, c, "CREATE DATABASE shop")
	mustQuery(t, openAudited(t, address, "owner", "x", ""), "SELECT COUNT(*) FROM arbor.audit WHERE project = 'other'", "0")
}

// TestLoginsAreWrittenDown, those that fail too, but not without end.
func TestLoginsAreWrittenDown(t *testing.T) {
	w, trail := auditedWorld(t)
	address := w.listen()
	openAudited(t, address, "root", "", "")
	db, err := sql.Open("mysql", "root:wrong@tcp("+address+")/")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.PingContext(t.Context()); err == nil {
		t.Fatal("a wrong password opens")
	}
	records, err := trail.Read()
	if err != nil || len(records) != 2 {
		t.Fatalf("%v, %v", records, err)
	}
	in, out := records[0], records[1]
	if in.Kind != auditLogin || in.User != "root" || in.Host != "localhost" || in.Address != "127.0.0.1" || in.Via != "mysql" || in.Outcome != audit.OK {
		t.Errorf("the log-in is %+v", in)
	}
	if out.Kind != auditLogin || out.User != "root" || out.Outcome != audit.Failed || out.Code != 1045 {
		t.Errorf("the failed log-in is %+v", out)
	}

	l := newLoginAudit(w.gateway, w.engine.grants)
	at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	l.now = func() time.Time { return at }
	for i := range maxFailedLogins + 5 {
		if _, ok := l.failures.take(l.now()); ok != (i < maxFailedLogins) {
			t.Fatalf("failure %d: %v", i, ok)
		}
	}
	at = at.Add(failedLoginsEvery - 1)
	if _, ok := l.failures.take(l.now()); ok {
		t.Fatal("the hour is not over")
	}
	at = at.Add(1)
	if before, ok := l.failures.take(l.now()); !ok || before != 6 {
		t.Fatalf("the next hour: %v with %d before", ok, before)
	}
	k := lockoutKey{"ann", "1.2.3.4"}
	if !l.first(k) || l.first(k) {
		t.Error("a log-in over HTTP is not written down once")
	}
	at = at.Add(httpLoginEvery)
	if !l.first(k) {
		t.Error("nor again after an hour")
	}
}

// brokenTrail is a trail whose disk is full.
type brokenTrail struct{ AuditTrail }

func (brokenTrail) Note(audit.Record) error            { return errors.New("no room") }
func (brokenTrail) Begin(audit.Record) (uint64, error) { return 0, errors.New("no room") }

// TestWithoutRoomForTheTrail: what has to be written down does not run, and users come in.
func TestWithoutRoomForTheTrail(t *testing.T) {
	w, _ := auditedWorld(t)
	w.gateway.audit = brokenTrail{}
	w.engine.logins = newLoginAudit(w.gateway, w.engine.grants)
	c := openAudited(t, w.listen(), "root", "", "")
	_, err := c.ExecContext(t.Context(), "CREATE DATABASE shop")
	if err == nil || !strings.Contains(err.Error(), "audit trail: no room") {
		t.Fatalf("CREATE DATABASE: %v", err)
	}
	mustQuery(t, c, "SELECT COUNT(*) FROM arbor.projects", "0")
}

// TestUnparsedStatementsAreWrittenDown: whatever cannot be parsed leaves a trace, without
// what may be a secret.
func TestUnparsedStatementsAreWrittenDown(t *testing.T) {
	w, trail := auditedWorld(t)
	c := openAudited(t, w.listen(), "root", "", "")
	seen := 0
	fails := func(statement string, code uint16, args ...any) {
		t.Helper()
		var failed *driver.MySQLError
		if _, err := c.ExecContext(t.Context(), statement, args...); !errors.As(err, &failed) || failed.Number != code {
			t.Errorf("%s: %v, want error %d", statement, err, code)
		}
	}
	fails("SELCT 1", 1064)
	fails("DROP TABEL `plans` /* top secret */", 1064)
	fails("SELECT * FORM people WHERE name = 'ann' AND age > 41", 1064)
	fails("CREATE USER x' IDENTIFIED BY 'top secret'", 1064)
	fails("ALTER USER x IDENTIFED BY 'top secret' PASSWORD top secret", 1064)
	fails("INSERT INTO t VALUS ('it's Bob's', 5)", 1064)
	fails("SELECT ? FORM t", 1064, 5)
	fails("PREPARE s FROM 'SELCT 1'", 1064)
	fails("SELECT * FROM events WHERE email = 'ann@example.com", 1064)
	fails("CALL arbor.backup('s3', 'key', 'topsecretkey)", 1064)
	fails("SELECT 'it's ann''s', \"and bob", 1064)
	fails("HANDLER events OPEN", 1235)
	auditWant(t, trail, &seen,
		"syntax root@localhost : SELCT '***' /* syntax error at position 6 */ = failed 1064",
		"syntax root@localhost : DROP TABEL `plans` /* syntax error at position 11 */ = failed 1064",
		"syntax root@localhost : SELECT * FORM people WHERE name = '***' … /* syntax error at position 14 */ = failed 1064",
		"syntax root@localhost : CREATE USER x'***' … /* syntax error at position 15 */ = failed 1064",
		"syntax root@localhost : ALTER USER x IDENTIFED BY '***' … /* syntax error at position 23 */ = failed 1064",
		"syntax root@localhost : INSERT INTO t VALUS ('***' … /* syntax error at position 20 */ = failed 1064",
		"syntax root@localhost : SELECT '***' FORM t /* syntax error at position 16 */ = failed 1064",
		"syntax root@localhost : PREPARE s FROM '***' … /* syntax error at position 6 */ = failed 1064",
		"syntax root@localhost : SELECT * FROM events WHERE email = '***' … /* syntax error at position 52 */ = failed 1064",
		"syntax root@localhost : CALL arbor.backup('***' … /* syntax error at position 46 */ = failed 1064",
		"syntax root@localhost : SELECT '***' … /* syntax error at position 17 */ = failed 1064",
		"syntax root@localhost : HANDLER events OPEN = failed 1235")

	long := strings.Repeat("é", maxUnparsedText)
	if text := unparsedText("x" + long); len(text) > maxUnparsedText+len(" …") || !utf8.ValidString(text) || !strings.HasSuffix(text, " …") {
		t.Errorf("of %d bytes %d are kept: %q", len(long), len(text), text[len(text)-10:])
	}
}
