package gateway

import (
	"strings"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"
	driver "github.com/go-sql-driver/mysql"
)

func TestRoles(t *testing.T) {
	w := newSQLWorld(t)
	address := w.listen()
	c := openAudited(t, address, "root", "", "")
	for _, s := range []string{
		"CREATE DATABASE shop", "CREATE DATABASE other", "CREATE ROLE reader, 'writer'@'%'", "GRANT SELECT ON shop.* TO reader", "GRANT INSERT ON shop.* TO writer",
		"CREATE USER ann IDENTIFIED BY 'x'", "GRANT reader, writer TO ann", "CREATE USER bob IDENTIFIED BY 'x'", "GRANT SELECT, GRANT OPTION ON other.* TO bob",
		"GRANT DROP ROLE ON *.* TO bob",
	} {
		mustExec(t, c, s)
	}
	ann := openAudited(t, address, "ann", "x", "shop")
	const insert = "INSERT INTO events (event) VALUES ('a')"
	both := "`reader`@`%`,`writer`@`%`"
	mustQuery(t, ann, "SELECT CURRENT_ROLE()", both)
	mustExec(t, ann, insert)
	mustQuery(t, ann, "SELECT COUNT(*) FROM events", "1")
	mustQuery(t, ann, "SHOW GRANTS", "GRANT USAGE ON *.* TO `ann`@`%`\nGRANT `reader`@`%`, `writer`@`%` TO `ann`@`%`")
	mustQuery(t, c, "SHOW GRANTS FOR reader", "GRANT USAGE ON *.* TO `reader`@`%`\nGRANT SELECT ON `shop`.* TO `reader`@`%`")

	reads := func(can bool) {
		t.Helper()
		for range 2 { // by a plan of before, too
			if _, err := ann.ExecContext(t.Context(), "SELECT COUNT(*) FROM shop.events"); (err == nil) != can {
				t.Errorf("reading: %v, want it %v", err, can)
			}
		}
	}
	writes := func(can bool) {
		t.Helper()
		if _, err := ann.ExecContext(t.Context(), "INSERT INTO shop.events (event) VALUES ('a')"); (err == nil) != can {
			t.Errorf("writing: %v, want it %v", err, can)
		}
	}
	for _, set := range []struct {
		statement, current string
		reads, writes      bool
	}{
		{"SET ROLE NONE", "NONE", false, false},
		{"SET ROLE reader", "`reader`@`%`", true, false},
		{"SET ROLE 'writer'@'%'", "`writer`@`%`", false, true},
		{"SET ROLE reader, writer", both, true, true},
		{"SET ROLE ALL EXCEPT reader", "`writer`@`%`", false, true},
		{"SET ROLE ALL", both, true, true},
		{"SET ROLE `reader`", "`reader`@`%`", true, false},
		{"SET ROLE DEFAULT", both, true, true},
	} {
		mustExec(t, ann, set.statement)
		mustQuery(t, ann, "SELECT CURRENT_ROLE()", set.current)
		reads(set.reads)
		writes(set.writes)
		mustExec(t, c, "GRANT SELECT ON other.* TO bob") // any change makes privileges anew
		reads(set.reads)
		writes(set.writes)
	}
	fails := func(of interface {
		refused(string, int, ...string)
	}, statement string, code int, words ...string) {
		t.Helper()
		of.refused(statement, code, words...)
	}
	wann, wbob := w.as("ann"), w.as("bob")
	wann.session.users, wbob.session.users = w.engine.grants.db, w.engine.grants.db
	fails(wann, "SET ROLE nothing", 3530, "`nothing`@`%` is not granted")
	mustExec(t, ann, "SET DEFAULT ROLE ALL TO ann")
	fails(wbob, "GRANT reader TO bob", 1227)
	fails(wbob, "GRANT root@localhost TO bob", 1227)
	fails(wbob, "CREATE ROLE mine", 1227)
	fails(wbob, "DROP ROLE root@localhost", 1396, "is a user")
	wbob.must("DROP ROLE writer")
	mustQuery(t, ann, "SELECT CURRENT_ROLE()", "`reader`@`%`")
	writes(false)
	reads(true)
	mustExec(t, c, "REVOKE reader FROM ann")
	mustQuery(t, ann, "SELECT CURRENT_ROLE()", "NONE")
	reads(false)
	fails(w, "SHOW GRANTS FOR ann USING reader", 1235)
}

// TestDefaultRoles: those that count at log-in are chosen by whoever has them, or by who
// may change users, and are kept with the users.
func TestDefaultRoles(t *testing.T) {
	w := newSQLWorld(t)
	address := w.listen()
	c := openAudited(t, address, "root", "", "")
	for _, s := range []string{
		"CREATE DATABASE shop", "CREATE ROLE reader, writer, other", "GRANT SELECT ON shop.* TO reader", "GRANT INSERT ON shop.* TO writer",
		"CREATE USER ann IDENTIFIED BY 'x'", "GRANT reader, writer TO ann", "CREATE USER bob IDENTIFIED BY 'x'",
	} {
		mustExec(t, c, s)
	}
	both := "`reader`@`%`,`writer`@`%`"
	begins := func(roles string, reads, writes bool) {
		t.Helper()
		ann := openAudited(t, address, "ann", "x", "shop")
		mustQuery(t, ann, "SELECT CURRENT_ROLE()", roles)
		if _, err := ann.ExecContext(t.Context(), "SELECT COUNT(*) FROM events"); (err == nil) != reads {
			t.Errorf("with %s, reading: %v", roles, err)
		}
		if _, err := ann.ExecContext(t.Context(), "INSERT INTO events (event) VALUES ('a')"); (err == nil) != writes {
			t.Errorf("with %s, writing: %v", roles, err)
		}
	}
	begins(both, true, true)
	mustExec(t, c, "SET DEFAULT ROLE reader TO ann")
	begins("`reader`@`%`", true, false)
	mustExec(t, c, "ALTER USER ann DEFAULT ROLE writer, reader")
	begins(both, true, true)
	mustExec(t, c, "SET DEFAULT ROLE NONE TO ann")
	begins("NONE", false, false)

	ann := openAudited(t, address, "ann", "x", "shop")
	mustExec(t, ann, "SET ROLE ALL")
	mustQuery(t, ann, "SELECT CURRENT_ROLE()", both)
	mustExec(t, ann, "SET ROLE DEFAULT")
	mustQuery(t, ann, "SELECT CURRENT_ROLE()", "NONE")
	mustExec(t, ann, "SET DEFAULT ROLE writer TO ann")
	mustQuery(t, ann, "SELECT CURRENT_ROLE()", "NONE")
	mustExec(t, ann, "SET ROLE DEFAULT")
	mustQuery(t, ann, "SELECT CURRENT_ROLE()", "`writer`@`%`")
	failing(t, ann, "SET DEFAULT ROLE other TO ann", 3530, "`other`@`%` is not granted to `ann`@`%`")
	failing(t, ann, "SET DEFAULT ROLE NONE TO bob", 1227, "")
	failing(t, c, "SET DEFAULT ROLE reader TO ann, bob", 3530, "`reader`@`%` is not granted to `bob`@`%`")
	begins("`writer`@`%`", false, true)
	failing(t, c, "SET DEFAULT ROLE NONE TO nobody", 3523, "`nobody`@`%`")
	failing(t, c, "SET DEFAULT ROLE NONE TO reader", 3523, "")
	mustQuery(t, c, `SELECT JSON_EXTRACT(User_attributes, '$.arbor_default_roles[0][0]') FROM mysql.user WHERE user = 'ann'`, `"writer"`)

	mustExec(t, c, "REVOKE writer FROM ann")
	begins("NONE", false, false)
	mustExec(t, c, "SET DEFAULT ROLE ALL TO ann, bob")
	begins("`reader`@`%`", true, false)
}

// TestRolesOfRoles: a role has what its roles have, and none is its own.
func TestRolesOfRoles(t *testing.T) {
	w := newSQLWorld(t)
	address := w.listen()
	c := openAudited(t, address, "root", "", "")
	for _, s := range []string{
		"CREATE DATABASE shop", "CREATE ROLE reader, analyst, chief, seer", "GRANT SELECT ON shop.* TO reader", "GRANT INSERT ON shop.* TO chief",
		"CREATE USER ann IDENTIFIED BY 'x'", "GRANT reader TO analyst", "GRANT analyst TO chief", "GRANT chief TO ann",
	} {
		mustExec(t, c, s)
	}
	ann := openAudited(t, address, "ann", "x", "shop")
	mustQuery(t, ann, "SELECT CURRENT_ROLE()", "`chief`@`%`")
	const insert, read = "INSERT INTO events (event) VALUES ('a')", "SELECT COUNT(*) FROM events"
	mustExec(t, ann, insert)
	mustQuery(t, ann, read, "1")
	failing(t, c, "GRANT chief TO reader", 4027, "`reader`@`%` is directly or indirectly granted to the role `chief`@`%`")
	failing(t, c, "GRANT seer, reader TO reader", 4027, "")
	failing(t, ann, "SET ROLE reader", 3530, "")
	mustQuery(t, c, "SHOW GRANTS FOR chief", "GRANT USAGE ON *.* TO `chief`@`%`\nGRANT INSERT ON `shop`.* TO `chief`@`%`\nGRANT `analyst`@`%` TO `chief`@`%`")

	mustExec(t, c, "REVOKE reader FROM analyst")
	failing(t, ann, read, 1142, "")
	mustExec(t, c, "GRANT reader TO seer, analyst")
	mustQuery(t, ann, read, "1")
	mustExec(t, c, "DROP ROLE analyst")
	failing(t, ann, read, 1142, "")
	mustExec(t, ann, insert)
	mustExec(t, c, "GRANT PROCESS ON *.* TO seer")
	mustExec(t, c, "GRANT seer TO chief")
	if !w.engine.grants.privileges("ann", "%").Has(sql.PrivilegeType_Process) {
		t.Error("a role of a role does not count where metrics are asked for")
	}
	mustExec(t, ann, "SET ROLE NONE")
	failing(t, ann, read, 1044, "")
	failing(t, ann, insert, 1044, "")
}

func TestAccountsAreLocked(t *testing.T) {
	s := startServer(t, serverOptions{mysql: MySQLOptions{TLS: testTLS(t)}})
	c := s.conn()
	mustExec(t, c, "CREATE USER sha2 IDENTIFIED BY 'right'")
	mustExec(t, c, "CREATE USER 'old'@'%' IDENTIFIED WITH mysql_native_password BY 'right'")
	for _, u := range []string{"sha2", "old"} {
		s.mustPing(u, "right")
		mustExec(t, c, "ALTER USER "+u+" ACCOUNT LOCK")
		mustQuery(t, c, "SELECT account_locked FROM mysql.user WHERE user = '"+u+"'", "Y")
		wantError(t, s.ping(u, "right"), 3118, "Account is locked")
		wantError(t, s.ping(u, "right", withTLS), 3118, "Account is locked")
		s.denied(u, "wrong")
		mustExec(t, c, "ALTER USER '"+u+"'@'%' ACCOUNT UNLOCK")
		s.mustPing(u, "right")
	}
	mustExec(t, c, "ALTER USER IF EXISTS nobody ACCOUNT LOCK")
	for statement, code := range map[string]uint16{
		"ALTER USER nobody ACCOUNT LOCK": 1396, "ALTER USER sha2 PASSWORD EXPIRE": 1235, "ALTER USER sha2 FAILED_LOGIN_ATTEMPTS 3": 1235,
		"ALTER USER sha2 DEFAULT ROLE r": 3530, "ALTER USER sha2 DEFAULT x": 1064, "ALTER USER sha2 ACCOUNT": 1064, "ALTER USER sha2 ACCOUNT LOCK x": 1064,
	} {
		_, err := c.ExecContext(t.Context(), statement)
		wantError(t, err, code, "")
	}
}

// TestOwnPassword: users change their own password, and no other account's, even of the
// same name.
func TestOwnPassword(t *testing.T) {
	s := startServer(t, serverOptions{})
	c := s.conn()
	mustExec(t, c, "CREATE USER ann@'%' IDENTIFIED BY 'a'")
	mustExec(t, c, "CREATE USER ann@'10.1.1.1' IDENTIFIED BY 'other'")
	mustExec(t, c, "CREATE USER bob IDENTIFIED BY 'b'")
	password := "a"
	for i, statement := range []string{
		"SET PASSWORD = '%'", "SET PASSWORD FOR ann = '%'", "SET PASSWORD FOR 'ann'@'%%' = '%'", "ALTER USER USER() IDENTIFIED BY '%'",
		"ALTER USER CURRENT_USER() IDENTIFIED BY \"%\"", "ALTER USER CURRENT_USER IDENTIFIED BY '%'", "ALTER USER ann IDENTIFIED BY '%'", "ALTER USER 'ann'@'%%' IDENTIFIED BY '%'",
	} {
		next := "p'" + strings.Repeat("\\", i+1)
		written := strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(next)
		if strings.Contains(statement, `"`) {
			written = strings.NewReplacer(`\`, `\\`).Replace(next)
		}
		statement = strings.ReplaceAll(strings.Replace(strings.ReplaceAll(statement, "%%", "\x00"), "%", written, 1), "\x00", "%")
		db := s.open("ann", password, func(c *driver.Config) { c.DBName = "" })
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		db.Close()
		s.denied("ann", password)
		s.mustPing("ann", next)
		password = next
	}
	db := s.open("ann", password, func(c *driver.Config) { c.DBName = "" })
	defer db.Close()
	for _, statement := range []string{
		"ALTER USER ann@'10.1.1.1' IDENTIFIED BY 'x'", "SET PASSWORD FOR ann@'10.1.1.1' = 'x'", "ALTER USER bob IDENTIFIED BY 'x'", "SET PASSWORD FOR root@localhost = 'x'",
		"ALTER USER bob ACCOUNT LOCK",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err == nil {
			t.Errorf("%s is not refused", statement)
		} else {
			wantError(t, err, 1227, "CREATE")
		}
	}
	mustExec(t, c, "SET PASSWORD FOR bob = 'root says'")
	s.mustPing("bob", "root says")
}
