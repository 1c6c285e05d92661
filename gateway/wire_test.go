package gateway

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

func TestErrorAfterTheFirstRowsReachesTheClient(t *testing.T) {
	s := startServer(t, serverOptions{tables: []*testTable{failingAt(5000)}})
	c := dialRaw(t, s.address)
	c.login()
	packets, last := c.query("SELECT i FROM bad")
	if errorCode(last) != 1105 || packets < 4000 {
		t.Errorf("after %d packets: %q, want error 1105 after the first rows", packets, last)
	}
	if _, last := c.query("SELECT 1"); last[0] != packetEnd {
		t.Errorf("the connection is not as before: %q", last)
	}
	c.execute(c.prepare("SELECT i FROM bad"), 0)
	if packets, last := c.result(); errorCode(last) != 1105 || packets < 4000 {
		t.Errorf("prepared: after %d packets: %q, want error 1105 after the first rows", packets, last)
	}
}

// failingAt is a table whose row n cannot be read.
func failingAt(n int) *testTable {
	return &testTable{name: "bad", schema: sql.Schema{column("bad", "i", types.Int64)},
		next: func(_ *sql.Context, i int) (sql.Row, error) {
			if i == n {
				return nil, errTest
			}
			return sql.Row{int64(i)}, nil
		}}
}

var errTest = io.ErrUnexpectedEOF

func TestCursors(t *testing.T) {
	s := startServer(t, serverOptions{tables: []*testTable{numbers(100_000), failingAt(1000)}})
	c := dialRaw(t, s.address)
	c.login()
	id := c.prepare("SELECT i FROM numbers")
	c.execute(id, 1)
	c.read()
	c.read()
	if p := c.read(); p[0] != packetEnd || binary.LittleEndian.Uint16(p[3:])&0x40 == 0 {
		t.Fatalf("no cursor was opened: %q", p)
	}
	rows := 0
	for {
		n, last := c.fetch(id, 997)
		if rows == 0 { // another statement between
			if _, other := c.query("SELECT COUNT(*) FROM numbers"); other[0] != packetEnd {
				t.Fatalf("beside a cursor: %q", other)
			}
		}
		rows += n
		if errorCode(last) != 0 {
			t.Fatalf("fetch: %q\n%s", last, s.log)
		}
		if binary.LittleEndian.Uint16(last[3:])&0x80 != 0 {
			break
		}
	}
	if rows != 100_000 {
		t.Errorf("%d rows came through the cursor, want 100000", rows)
	}

	bad := c.prepare("SELECT i FROM bad")
	c.execute(bad, 1)
	for range 3 {
		c.read()
	}
	rows = 0
	for {
		n, last := c.fetch(bad, 100)
		rows += n
		if code := errorCode(last); code != 0 {
			if code != 1105 {
				t.Errorf("error %d, want 1105", code)
			}
			break
		}
		if n == 0 {
			t.Fatal("the rows end without their error")
		}
	}
	c.command(binary.LittleEndian.AppendUint32([]byte{0x19}, bad)) // close, without an answer
	none := c.prepare("SELECT i FROM bad WHERE JSON_EXTRACT('{', '$.a') = i")
	c.execute(none, 1)
	if p := c.read(); errorCode(p) != 3141 {
		t.Errorf("an error before the first row: %q, want 3141", p)
	}
	if _, last := c.query("SELECT 1"); last[0] != packetEnd {
		t.Errorf("the connection is not as before: %q", last)
	}
}

func TestPacketLimit(t *testing.T) {
	const limit = 1 << 20
	s := startServer(t, serverOptions{mysql: MySQLOptions{MaxPacket: limit}})
	c := dialRaw(t, s.address)
	c.login()
	statement := func(size int) string {
		head, tail := "SELECT '", "'"
		return head + strings.Repeat("x", size-1-len(head)-len(tail)) + tail
	}
	if _, last := c.query(statement(limit)); last[0] != packetEnd {
		t.Errorf("at the limit: %q", last[:20])
	}
	for _, size := range []int{limit + 1, 3 * limit, 1<<24 - 1, 1 << 24, 3 << 24} {
		if _, last := c.query(statement(size)); errorCode(last) != 1153 {
			t.Errorf("%d bytes: %q, want error 1153", size, last[:min(40, len(last))])
		}
		if _, last := c.query("SELECT 1"); last[0] != packetEnd {
			t.Fatalf("after %d bytes the connection is not as before: %q", size, last)
		}
	}
	c.command(append([]byte{0x16}, statement(limit+1)...))
	if p := c.read(); errorCode(p) != 1153 {
		t.Errorf("prepare: %q, want error 1153", p)
	}
	c.command(append([]byte{2}, bytes.Repeat([]byte("x"), limit+1)...))
	if p := c.read(); errorCode(p) != 1153 {
		t.Errorf("init db: %q, want error 1153", p)
	}
}

func TestLongDataLimit(t *testing.T) {
	const limit = 1 << 20
	s := startServer(t, serverOptions{mysql: MySQLOptions{MaxPacket: limit}})
	c := dialRaw(t, s.address)
	c.login()
	id := c.prepare("SELECT LENGTH(?)")
	for range 20 {
		b := binary.LittleEndian.AppendUint32([]byte{0x18}, id)
		c.command(append(append(b, 0, 0), make([]byte, limit/10)...))
	}
	b := binary.LittleEndian.AppendUint32([]byte{0x17}, id)
	c.command(append(b, 0, 1, 0, 0, 0, 0, 1, 252, 0))
	if _, last := c.result(); errorCode(last) != 1153 {
		t.Errorf("%q, want error 1153", last)
	}
	if _, last := c.query("SELECT 1"); last[0] != packetEnd {
		t.Errorf("the connection is not as before: %q", last)
	}
}

func TestInsertInfoIsInTheOKPacket(t *testing.T) {
	w := newSQLWorld(t)
	w.must("CREATE DATABASE test")
	s := serveEngine(t, w.engine, serverOptions{})
	c := dialRaw(t, s.address)
	c.login()
	const insert = "INSERT INTO events (event, time, distinct_id, insert_id) VALUES ('a', '2026-05-01', 'u', '1'), ('a', '2026-05-01', 'u', '1')"
	_, last := c.query(insert)
	if text := "\x26Records: 2  Duplicates: 1  Warnings: 0"; !bytes.HasSuffix(last, []byte(text)) {
		t.Errorf("%q, want the suffix %q", last, text)
	}
	c.execute(c.prepare(insert), 0)
	if _, last := c.result(); !bytes.HasSuffix(last, []byte("\x26Records: 2  Duplicates: 2  Warnings: 0")) {
		t.Errorf("prepared: %q", last)
	}
}

func TestClientsWithoutTLSAreTurnedAway(t *testing.T) {
	s := startServer(t, serverOptions{mysql: MySQLOptions{TLS: testTLS(t), RequireTLS: true}})
	c := dialRaw(t, s.address)
	c.read()
	c.write(handshakeResponse("root"))
	if p := c.read(); errorCode(p) != 3159 {
		t.Fatalf("%q, want error 3159", p)
	}
	if _, err := c.next(); err == nil {
		t.Error("the connection goes on")
	}
	mustQuery(t, s.conn(withTLS), "SELECT 1", "1")
}

func TestTooManyConnections(t *testing.T) {
	s := startServer(t, serverOptions{mysql: MySQLOptions{MaxConnections: 2}})
	first, second := dialRaw(t, s.address), dialRaw(t, s.address)
	first.login()
	second.login()
	if p := dialRaw(t, s.address).read(); errorCode(p) != 1040 {
		t.Errorf("%q, want error 1040", p)
	}
	first.conn.Close()
	for { // until the server has seen it
		c := dialRaw(t, s.address)
		if p := c.read(); errorCode(p) == 0 {
			return
		}
	}
}

// exhausted is a listener that has no file descriptors at first.
type exhausted struct {
	net.Listener
	failures int
}

func (e *exhausted) Accept() (net.Conn, error) {
	if e.failures > 0 {
		e.failures--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return e.Listener.Accept()
}

func TestListenerSurvivesExhaustion(t *testing.T) {
	s := startServer(t, serverOptions{listen: func(l net.Listener) net.Listener { return &exhausted{l, 3} }})
	mustQuery(t, s.conn(), "SELECT 1", "1")
	if !strings.Contains(s.log.String(), "too many open files") {
		t.Errorf("the log says nothing of it: %s", s.log)
	}
}

func TestGarbageInsteadOfALogin(t *testing.T) {
	s := startServer(t, serverOptions{})
	for _, garbage := range [][]byte{{}, {0}, bytes.Repeat([]byte{0xff}, 40), make([]byte, maxHandshakePacket+1), []byte("GET / HTTP/1.1\r\n\r\n")} {
		c := dialRaw(t, s.address)
		c.read()
		c.conn.Write(append([]byte{byte(len(garbage)), byte(len(garbage) >> 8), byte(len(garbage) >> 16), 1}, garbage...))
		io.Copy(io.Discard, c.conn) // the server closes it
	}
	// Each on a connection of its own: the server may end one that sends garbage.
	for _, garbage := range [][]byte{{0x17}, {0x17, 1, 2}, {0x18, 1}, {0x19}, {0x1c, 9, 9, 9, 9, 1, 0, 0, 0}, {0x77, 1}, {3, 0xff, 0xfe}} {
		c := dialRaw(t, s.address)
		c.login()
		c.command(garbage)
		if garbage[0] == 0x18 || garbage[0] == 0x19 {
			continue // these have no answer
		}
		if p, err := c.next(); err == nil && errorCode(p) == 0 {
			t.Errorf("% x: %q", garbage, p)
		}
	}
	mustQuery(t, s.conn(), "SELECT 1", "1")
}
