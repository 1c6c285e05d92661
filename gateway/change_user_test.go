package gateway

import (
	"crypto/sha1"
	"testing"
)

// changeUser sends COM_CHANGE_USER, answers the scramble, and gives the last packet.
func (c *rawClient) changeUser(user, database, password string) []byte {
	c.t.Helper()
	b := append(append([]byte{comChangeUser}, user...), 0)
	b = append(append(append(b, 3), "old"...), database...)
	b = append(b, 0, 45, 0)
	c.command(append(append(b, "mysql_native_password"...), 0))
	ask := c.read()
	if ask[0] != packetEnd {
		return ask
	}
	method, salt := string(ask[1:len(ask)-22]), ask[len(ask)-21:len(ask)-1]
	if password == "" {
		c.write(nil)
		return c.read()
	}
	if method != "mysql_native_password" {
		c.t.Fatalf("user %s logs in by %s", user, method)
	}
	once := sha1.Sum([]byte(password))
	twice := sha1.Sum(once[:])
	mixed := sha1.Sum(append(append([]byte{}, salt...), twice[:]...))
	for i := range mixed {
		mixed[i] ^= once[i]
	}
	c.write(mixed[:])
	return c.read()
}

func TestChangeUser(t *testing.T) {
	s := startServer(t, serverOptions{})
	root := s.conn()
	mustExec(t, root, "CREATE USER ann IDENTIFIED WITH mysql_native_password BY 'right'")
	mustExec(t, root, "GRANT SELECT ON test.* TO ann")
	mustExec(t, root, "CREATE USER bob IDENTIFIED WITH mysql_native_password BY 'right'")
	c := dialRaw(t, s.address)
	c.login()
	c.query("SET @mine = 1")
	c.prepare("SELECT 1")
	for range 2 {
		if p := c.changeUser("ann", "test", "right"); p[0] != packetOK {
			t.Fatalf("change to ann: %q", p)
		}
		if n, last := c.query("SELECT 1 FROM DUAL WHERE @mine IS NULL AND CURRENT_USER() = 'ann@%' AND DATABASE() = 'test'"); n != 5 {
			t.Fatalf("ann's session is not a new one: %q", last)
		}
		if _, p := c.query("CREATE USER eve"); errorCode(p) != 1227 {
			t.Fatalf("ann may what root may: %q", p)
		}
		c.query("SET @mine = 1")
	}
	mustQuery(t, root, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'ann'", "1")
	if p := c.changeUser("root", "", ""); p[0] != packetOK {
		t.Fatalf("change to root: %q", p)
	}
	for _, wrong := range []struct {
		user, database, password string
		code                     int
	}{{"ann", "", "wrong", 1045}, {"nobody", "", "", 1045}, {"root", "", "x", 1045}, {"bob", "test", "right", 1044}} {
		if wrong.user == "root" {
			continue // its method is another, whose answer this client does not know
		}
		c := dialRaw(t, s.address)
		c.login()
		if p := c.changeUser(wrong.user, wrong.database, wrong.password); errorCode(p) != wrong.code {
			t.Errorf("change to %v: %q, want error %d", wrong, p, wrong.code)
		}
		if _, err := c.next(); err == nil {
			t.Errorf("after a failed change to %s the connection goes on", wrong.user)
		}
	}
	for _, broken := range [][]byte{{comChangeUser}, {comChangeUser, 'a'}, {comChangeUser, 0}, {comChangeUser, 0, 200, 1}} {
		c := dialRaw(t, s.address)
		c.login()
		c.command(broken)
		if _, err := c.next(); err == nil {
			t.Errorf("%v is answered", broken)
		}
	}
	mustQuery(t, root, "SELECT 1", "1")
}

// TestLoginsGiveWay: clients that do not log in hold few places, and the oldest of them
// give way.
func TestLoginsGiveWay(t *testing.T) {
	s := startServer(t, serverOptions{mysql: MySQLOptions{MaxConnections: 8}})
	root := s.conn()
	var idle []*rawClient
	for range 7 { // all places that are left
		c := dialRaw(t, s.address)
		c.read() // the greeting: it has a place
		idle = append(idle, c)
	}
	for range 5 {
		mustQuery(t, s.conn(), "SELECT 1", "1")
	}
	for i, c := range idle[:5] {
		if _, err := c.next(); err == nil {
			t.Errorf("idle client %d still holds a place", i)
		}
	}
	mustQuery(t, root, "SELECT 1", "1")

	s = startServer(t, serverOptions{mysql: MySQLOptions{MaxConnections: 100}})
	idle = nil
	for range 100/waitingShare + 1 {
		c := dialRaw(t, s.address)
		c.read()
		idle = append(idle, c)
	}
	if _, err := idle[0].next(); err == nil {
		t.Error("more idle clients than may be hold places")
	}
}
