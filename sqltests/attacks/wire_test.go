package attacks

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

func basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// raw is a client that says what it likes.
type raw struct {
	net.Conn
	in *bufio.Reader
}

func (a *target) dial(t *testing.T) *raw {
	t.Helper()
	c, err := net.Dial("tcp", a.MySQL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil { // bounds a failure
		t.Fatal(err)
	}
	return &raw{c, bufio.NewReader(c)}
}

// next reads a packet; nil at the end of the connection.
func (r *raw) next() []byte {
	var head [4]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return nil
	}
	b := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
	if _, err := io.ReadFull(r.in, b); err != nil {
		return nil
	}
	return b
}

// say sends a packet. The server may have hung up, which is an answer.
func (r *raw) say(sequence byte, payload []byte) {
	n := len(payload)
	_, _ = r.Write(append([]byte{byte(n), byte(n >> 8), byte(n >> 16), sequence}, payload...))
}

// hello is a client's first packet, with an answer to the server's scramble.
func hello(flags uint32, user string, answer []byte, rest string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, flags)
	b = binary.LittleEndian.AppendUint32(b, 1<<24)
	b = append(b, 45)
	b = append(b, make([]byte, 23)...)
	b = append(append(b, user...), 0)
	b = append(append(b, byte(len(answer))), answer...)
	return append(b, rest...)
}

const usual = 1<<9 | 1<<15 | 1<<19 | 1<<16

// attackPackets sends what is no protocol, before and after a login.
func attackPackets(t *testing.T, a *target) {
	long := strings.Repeat("x", 60_000)
	for _, first := range [][]byte{
		{}, {0}, {1, 2, 3}, []byte("GET / HTTP/1.1\r\n\r\n"), make([]byte, 32), make([]byte, 60_000),
		hello(usual, "root", nil, ""), hello(usual, long, nil, long), hello(usual|8, "root", nil, long),
		hello(0xffffffff, "root", []byte("12345"), "db\x00plugin\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff"),
		hello(usual|1<<20, "root", nil, "caching_sha2_password\x00\xfd\xff\xff\xff"),
		hello(usual|1<<21, "root", []byte{0xfe, 0xff}, "x"), hello(usual, "root\x00\xff\xfe", []byte{0xff}, "\xff"),
		hello(usual, "root", nil, "no_such_plugin\x00"), hello(0, "root", nil, ""), hello(1<<11, "root", nil, ""),
		{0, 0, 0, 0, 0, 0, 0, 0}, {255, 255, 255, 255, 255, 255, 255, 255},
	} {
		c := a.dial(t)
		if len(c.next()) == 0 {
			t.Fatal("no greeting")
		}
		c.say(1, first)
		// Whatever comes of it, commands that were not allowed are not run.
		c.say(2, []byte{0})
		c.say(0, []byte("\x03DROP DATABASE shop"))
		_ = c.CloseWrite()
		for range 50 {
			if c.next() == nil {
				break
			}
		}
		c.Close()
	}
	// A packet that is announced and does not come, before a login: it is not waited for.
	c := a.dial(t)
	c.next()
	_, _ = c.Write([]byte{0xff, 0xff, 0xff, 1})
	_, _ = c.Write(make([]byte, 1<<20))
	if b := c.next(); b != nil && b[0] == 0 {
		t.Error("a login of 16 MiB is taken")
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	for range 200 {
		c := a.dial(t)
		c.next()
		b := make([]byte, random.IntN(200))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		c.say(1, b)
		_ = c.CloseWrite()
		for c.next() != nil {
		}
		c.Close()
	}
	a.commands(t, random, seed)
}

// CloseWrite ends what the client says.
func (r *raw) CloseWrite() error { return r.Conn.(*net.TCPConn).CloseWrite() }

// commands sends broken commands as a user who is logged in.
func (a *target) commands(t *testing.T, random *rand.Rand, seed uint64) {
	for round := range 200 {
		c := a.dial(t)
		c.next()
		c.say(1, hello(usual, "root", nil, "caching_sha2_password\x00"))
		if b := c.next(); len(b) > 0 && b[0] == 0xfe {
			c.say(3, nil)
			c.next()
		}
		for range 5 {
			b := make([]byte, 1+random.IntN(40))
			for i := range b {
				b[i] = byte(random.Uint32())
			}
			b[0] = byte(random.IntN(40))
			c.say(0, b)
		}
		if round%4 == 0 {
			c.say(0, []byte("\x16SELECT ?, ?"))
			c.say(0, append([]byte{0x17, byte(random.IntN(3)), 0, 0, 0, byte(random.Uint32()), 1, 0, 0, 0}, byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32()), 0xfe))
			c.say(0, []byte{0x18, 1, 0, 0, 0, 0xff, 0xff, 1})
			c.say(0, []byte{0x1c, 1, 0, 0, 0})
		}
		_ = c.CloseWrite()
		for c.next() != nil {
		}
		c.Close()
	}
	if t.Failed() {
		t.Logf("seed %d", seed)
	}
	if n := a.QueryOne(t, "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = 'shop'"); n != "1" {
		t.Errorf("seed %d: shop is gone", seed)
	}
}

// attackLogins tries to get in without a password, as somebody else, or by a weaker method.
func attackLogins(t *testing.T, a *target) {
	a.exec(t, "CALL arbor.set_setting('login_failures', '0')", "CREATE USER old IDENTIFIED WITH mysql_native_password BY 'pw'", "CREATE USER safe IDENTIFIED BY 'pw' REQUIRE SSL")
	defer a.exec(t, "DROP USER old", "DROP USER safe")
	if status, answer := a.post(t, "/query?database=shop", "SELECT 1", "Authorization", "Basic "+basic(a.QueryOne(t, "SELECT secret FROM arbor.projects WHERE name = 'shop'"), "")); status != 200 {
		t.Errorf("a secret: %d %s", status, answer) // which makes a user of the server's own
	}
	for _, user := range []string{"ann", "old", "safe", "nobody", "", "ann'--", "ann\x00", "ANN", "mysql.session", "mysql.infoschema", "event_scheduler", "secret of project 1", "%"} {
		for _, plugin := range []string{"caching_sha2_password", "mysql_native_password", "mysql_clear_password", "sha256_password", "mysql_old_password", "dialog", "auth_socket", ""} {
			for _, answer := range [][]byte{nil, {0}, []byte("pw"), make([]byte, 20), make([]byte, 32)} {
				if a.getsIn(t, user, plugin, answer) {
					t.Errorf("%q gets in by %s with %x", user, plugin, answer)
				}
			}
		}
	}
	for _, login := range [][2]string{{"ann", "PW"}, {"ann", ""}, {"old", ""}, {"pw"}, {"safe", "pw"}, {"root", "x"}} {
		refused(t, a.open(t, login[0], login[1], ""), "SELECT 1", 1045, 3118)
	}
	for _, credentials := range [][]string{{"Authorization", "Basic " + basic(a.token, "")}, {"Authorization", "Basic " + basic("ann", "")}, {"Authorization", "Bearer " + a.token}, {"Authorization", "Basic ///"},
		{"Authorization", "Basic " + basic("", "pw")}, {"Authorization", "Basic " + basic("root", "x")}, {"Origin", "http://evil.example"}, {"Sec-Fetch-Site", "cross-site"}} {
		if status, answer := a.post(t, "/query", "SELECT 1", credentials...); status != 401 && status != 403 {
			t.Errorf("%v: %d %s", credentials, status, answer)
		}
	}
}

// attackByGuessing guesses a password until the account is locked, which the right one does
// not open then, and no other account is.
func attackByGuessing(t *testing.T, a *target) {
	a.exec(t, "CALL arbor.set_setting('login_failures', '5')", "CREATE USER guessed IDENTIFIED BY 'pw'", "CREATE USER other IDENTIFIED BY 'pw'")
	defer a.exec(t, "CALL arbor.set_setting('login_failures', NULL)", "DROP USER guessed", "DROP USER other")
	for range 5 {
		refused(t, a.open(t, "guessed", "wrong", ""), "SELECT 1", 1045)
		refused(t, a.open(t, "nobody", "wrong", ""), "SELECT 1", 1045)
	}
	refused(t, a.open(t, "guessed", "pw", ""), "SELECT 1", 3955)
	refused(t, a.open(t, "nobody", "pw", ""), "SELECT 1", 3955)
	if status, answer := a.post(t, "/query", "SELECT 1", "Authorization", "Basic "+basic("guessed", "pw")); status == 200 {
		t.Errorf("/query opens a locked account: %s", answer)
	}
	if _, err := a.open(t, "other", "pw", "").Exec("SET @a = 1"); err != nil {
		t.Error(err)
	}
}

// getsIn reports whether a login that knows no password is let in.
func (a *target) getsIn(t *testing.T, user, plugin string, answer []byte) bool {
	c := a.dial(t)
	defer c.Close()
	c.next()
	c.say(1, hello(usual, user, answer, plugin+"\x00"))
	for sequence := byte(3); sequence < 9; sequence += 2 {
		b := c.next()
		switch {
		case len(b) == 0 || b[0] == 0xff:
			return false
		case b[0] == 0:
			return true
		}
		c.say(sequence, answer)
	}
	return false
}

// withTimeout is the driver's configuration for statements that must not last.
func withTimeout(a *target, user, password string) *mysql.Config {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = user, password, "tcp", a.MySQL, "shop"
	c.Params = map[string]string{"max_execution_time": "500", "group_concat_max_len": "18446744073709551615"}
	c.MaxAllowedPacket = 0
	return c
}
