package gateway

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	driver "github.com/go-sql-driver/mysql"
)

// ping tries to log in.
func (s *testServer) ping(user, password string, change ...func(*driver.Config)) error {
	s.t.Helper()
	change = append(change, func(c *driver.Config) { c.DBName = "" })
	db := s.open(user, password, change...)
	defer db.Close()
	return db.PingContext(s.t.Context())
}

func (s *testServer) mustPing(user, password string, change ...func(*driver.Config)) {
	s.t.Helper()
	if err := s.ping(user, password, change...); err != nil {
		s.t.Errorf("login of %s with %q: %v", user, password, err)
	}
}

func (s *testServer) denied(user, password string, change ...func(*driver.Config)) {
	s.t.Helper()
	err := s.ping(user, password, change...)
	if err == nil {
		s.t.Errorf("%s logs in with %q", user, password)
		return
	}
	wantError(s.t, err, 1045, "Access denied for user '"+user+"'@")
}

func TestLogins(t *testing.T) {
	s := startServer(t, serverOptions{mysql: MySQLOptions{TLS: testTLS(t)}})
	s.mustPing("root", "")
	s.denied("root", "x")
	s.denied("nobody", "")
	s.denied("nobody", "x")
	c := s.conn()
	mustExec(t, c, `CREATE USER sha2 IDENTIFIED BY 'right'`)
	mustExec(t, c, `CREATE USER old IDENTIFIED WITH mysql_native_password BY 'right'`)
	mustQuery(t, c, `SELECT user, plugin FROM mysql.user WHERE user <> 'root' ORDER BY 1`, "old|mysql_native_password\nsha2|caching_sha2_password")
	for range 2 { // the second time by the fast way
		s.mustPing("sha2", "right") // the password goes under the server's key
		s.mustPing("sha2", "right", withTLS)
		s.mustPing("old", "right")
		s.mustPing("old", "right", withTLS)
		for _, wrong := range []string{"", "Right", "right2", strings.Repeat("x", maxPassword+1)} {
			if len(wrong) <= maxPassword {
				s.denied("sha2", wrong)
				s.denied("sha2", wrong, withTLS)
			}
			s.denied("old", wrong)
		}
	}
	if err := s.ping("sha2", strings.Repeat("x", maxPassword+1), withTLS); err == nil {
		t.Error("a password beyond the limit is taken")
	}
	mustExec(t, c, `ALTER USER sha2 IDENTIFIED BY 'new'`)
	s.denied("sha2", "right")
	s.mustPing("sha2", "new")
	mustExec(t, c, `ALTER USER 'root'@'localhost' IDENTIFIED BY 'secret'`)
	s.denied("root", "")
	s.mustPing("root", "secret")
	mustExec(t, c, `CREATE USER safe IDENTIFIED BY 'x' REQUIRE SSL`)
	s.denied("safe", "x")
	s.mustPing("safe", "x", withTLS)
}

// elsewhere is a listener whose clients seem to come from another machine.
type elsewhere struct{ net.Listener }

func elsewhereListener(l net.Listener) net.Listener { return elsewhere{l} }

func (e elsewhere) Accept() (net.Conn, error) {
	c, err := e.Listener.Accept()
	return remote{c}, err
}

type remote struct{ net.Conn }

func (remote) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 1234} }

func TestNoPasswordNoEntryFromElsewhere(t *testing.T) {
	grants := &memoryGrants{}
	home := startServer(t, serverOptions{grants: grants})
	mustExec(t, home.conn(), `CREATE USER open`)
	mustExec(t, home.conn(), `CREATE USER shut IDENTIFIED BY 'x'`)
	home.mustPing("open", "")
	home.close()
	away := startServer(t, serverOptions{grants: grants, listen: func(l net.Listener) net.Listener { return elsewhere{l} }})
	away.denied("root", "")
	away.denied("open", "")
	away.mustPing("shut", "x")
}

func TestUsersAreDurable(t *testing.T) {
	grants := &memoryGrants{}
	s := startServer(t, serverOptions{grants: grants, tables: []*testTable{words()}})
	c := s.conn()
	mustExec(t, c, `CREATE USER ann IDENTIFIED BY 'x'`)
	mustExec(t, c, `GRANT SELECT ON test.* TO ann`)
	grants.fail = errors.New("no quorum")
	if _, err := c.ExecContext(t.Context(), `CREATE USER bob IDENTIFIED BY 'x'`); err == nil {
		t.Error("a user that could not be stored was created")
	}
	if _, err := c.ExecContext(t.Context(), `DROP USER ann`); err == nil {
		t.Error("a user that could not be removed was removed")
	}
	grants.fail = nil
	s.denied("bob", "x")
	s.mustPing("ann", "x")
	mustExec(t, c, `CREATE USER eve IDENTIFIED BY 'x'`)
	s.close()

	s = startServer(t, serverOptions{grants: grants, tables: []*testTable{words()}})
	ann, err := s.open("ann", "x").Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer ann.Close()
	mustQuery(t, ann, `SELECT COUNT(*) FROM words`, "4")
	mustQuery(t, s.conn(), `SELECT user FROM mysql.user ORDER BY 1`, "ann\neve\nroot")
	mustQuery(t, s.conn(), `SHOW GRANTS FOR ann`, "GRANT USAGE ON *.* TO `ann`@`%`\nGRANT SELECT ON `test`.* TO `ann`@`%`")
	mustExec(t, s.conn(), `CREATE DATABASE more`) // root still may
}

func TestPrivileges(t *testing.T) {
	s := startServer(t, serverOptions{tables: []*testTable{words(), numbers(3)}})
	root := s.conn()
	mustExec(t, root, `CREATE DATABASE secret`)
	mustExec(t, root, `CREATE USER ann IDENTIFIED BY 'x'`)
	mustExec(t, root, `GRANT SELECT ON test.words TO ann`)
	ann, err := s.open("ann", "x").Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer ann.Close()
	mustQuery(t, ann, `SELECT COUNT(*) FROM words`, "4")
	failing(t, ann, `SELECT * FROM numbers`, 1142, "SELECT command denied to user 'ann'@'%' for table 'numbers'")
	failing(t, ann, `INSERT INTO words (k) VALUES ('x')`, 1142, "INSERT command denied to user 'ann'@'%' for table 'words'")
	failing(t, ann, `USE secret`, 1044, "Access denied for user 'ann'@'%' to database 'secret'")
	failing(t, ann, `SELECT * FROM secret.x`, 1044, "to database 'secret'")
	failing(t, ann, `CREATE DATABASE mine`, 1044, "to database 'mine'")
	failing(t, ann, `CREATE USER bob`, 1227, "CREATE USER")
	failing(t, ann, `SET GLOBAL max_execution_time = 1`, 1227, "SYSTEM_VARIABLES_ADMIN")
	failing(t, ann, `SET @@global.max_execution_time = 1`, 1227, "SYSTEM_VARIABLES_ADMIN")
	failing(t, ann, `SELECT * FROM mysql.user`, 1044, "")
	failing(t, ann, `SHOW GRANTS FOR root@localhost`, 1044, "")
	mustQuery(t, ann, `SHOW GRANTS`, "GRANT USAGE ON *.* TO `ann`@`%`\nGRANT SELECT ON `test`.`words` TO `ann`@`%`")
	failing(t, ann, `INSERT INTO words (k) VALUES ('x') ON DUPLICATE KEY UPDATE k = 'y'`, 1142, "")
	mustExec(t, root, `GRANT INSERT ON test.words TO ann`)
	failing(t, ann, `INSERT INTO words (k) VALUES ('x') ON DUPLICATE KEY UPDATE k = 'y'`, 1142, "UPDATE command denied")
	mustExec(t, root, `SET GLOBAL max_execution_time = 0`)
	failing(t, root, `SET PERSIST max_execution_time = 1`, 1235, "SET PERSIST")
	failing(t, root, `SET PERSIST_ONLY max_execution_time = 1`, 1235, "SET PERSIST")

	mustQuery(t, ann, `SELECT COUNT(*) FROM information_schema.processlist WHERE user <> 'ann'`, "0")
	rows, err := rowsText(t, ann, `SHOW PROCESSLIST`)
	if err != nil || strings.Contains(rows, "root") || !strings.Contains(rows, "ann") {
		t.Errorf("SHOW PROCESSLIST of ann: %q, %v", rows, err)
	}
	rows, err = rowsText(t, root, `SHOW PROCESSLIST`)
	if err != nil || !strings.Contains(rows, "root") || !strings.Contains(rows, "ann") {
		t.Errorf("SHOW PROCESSLIST of root: %q, %v", rows, err)
	}
	id, err := rowsText(t, root, `SELECT CONNECTION_ID()`)
	if err != nil {
		t.Fatal(err)
	}
	failing(t, ann, `KILL `+id, 1095, "not owner")
	failing(t, root, `KILL 99999`, 1094, "Unknown thread")
}

// TestTwoGatewaysKeepEachOthersUsers: both have clients that change users at the same
// time; none of the changes is lost, and each gateway knows of the other's.
func TestTwoGatewaysKeepEachOthersUsers(t *testing.T) {
	grants := &memoryGrants{}
	gateways := []*testServer{startServer(t, serverOptions{grants: grants}), startServer(t, serverOptions{grants: grants})}
	const each = 12
	var running sync.WaitGroup
	for i, s := range gateways {
		c := s.conn()
		running.Go(func() {
			for n := range each {
				name := fmt.Sprintf("u%d_%d", i, n)
				for _, statement := range []string{"CREATE USER " + name + " IDENTIFIED BY 'x'", "GRANT SELECT ON test.* TO " + name} {
					if _, err := c.ExecContext(t.Context(), statement); err != nil {
						t.Errorf("%s: %v", statement, err)
					}
				}
			}
		})
	}
	running.Wait()
	for _, s := range gateways {
		mustQuery(t, s.conn(), `SELECT COUNT(*) FROM mysql.user WHERE user LIKE 'u%'`, fmt.Sprint(2*each))
	}
	gateways[0].mustPing("u1_3", "x")
	mustExec(t, gateways[0].conn(), `DROP USER u1_3`)
	gateways[1].denied("u1_3", "x")
	ann, err := gateways[1].open("u0_1", "x").Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer ann.Close()
	if _, err := ann.ExecContext(t.Context(), `CREATE USER more`); err == nil {
		t.Error("a user without the right created another")
	}
	mustExec(t, gateways[0].conn(), `GRANT CREATE USER ON *.* TO u0_1`)
	mustExec(t, ann, `CREATE USER more`)
}

func TestOptionsOfUsersAreNotForgotten(t *testing.T) {
	c := startServer(t, serverOptions{}).conn()
	for _, options := range []string{"ACCOUNT LOCK", "PASSWORD EXPIRE", "FAILED_LOGIN_ATTEMPTS 3", "WITH MAX_USER_CONNECTIONS 1", "DEFAULT ROLE x"} {
		option := "CREATE USER u IDENTIFIED BY 'x' " + options
		if strings.HasPrefix(options, "DEFAULT") {
			option = "CREATE USER u DEFAULT ROLE x"
		}
		if _, err := c.ExecContext(t.Context(), option); err == nil {
			t.Errorf("%s is taken", option)
		}
	}
	failing(t, c, "CREATE USER u IDENTIFIED BY 'x' ACCOUNT LOCK", 1235, "ACCOUNT LOCK")
	mustQuery(t, c, "SELECT COUNT(*) FROM mysql.user", "1")
}
