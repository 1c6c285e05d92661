package gateway

import (
	"io"
	"net"
	"testing"
	"time"
)

// Clients that do not finish their login are cut off, however far they came, and
// make room for others.
func TestLoginsHaveATime(t *testing.T) {
	s := startServer(t, serverOptions{mysql: MySQLOptions{LoginTimeout: time.Millisecond, MaxConnections: 1}})
	for _, sent := range [][]byte{nil, {0x20, 0, 0}, {0x20, 0, 0, 1, 0x85, 0xa6}, handshakeResponse("root")[:1]} {
		for { // until there is room
			c := dialRaw(t, s.address)
			first, err := c.next()
			if err != nil || errorCode(first) == 1040 {
				continue
			}
			c.conn.Write(sent)
			io.Copy(io.Discard, c.conn) // until the server closes it
			break
		}
	}
}

// timedConn notes the deadline of reading.
type timedConn struct {
	net.Conn
	deadline time.Time
}

func (c *timedConn) SetReadDeadline(t time.Time) error {
	c.deadline = t
	return nil
}

// The time of a login is set once, so that a byte now and then does not extend
// it, and ends with the login.
func TestLoginTimeIsSetOnce(t *testing.T) {
	client, end := net.Pipe()
	defer client.Close()
	conn := &timedConn{Conn: end}
	before := time.Now()
	w := newWire(conn, &wireOptions{LoginTimeout: DefaultLoginTimeout, IdleTimeout: func() time.Duration { return 0 }, MaxPacket: func() int { return 1 << 20 }})
	set := conn.deadline
	if set.Before(before.Add(DefaultLoginTimeout)) || set.After(time.Now().Add(DefaultLoginTimeout)) {
		t.Fatalf("a new client has until %v, want %v from now", set, DefaultLoginTimeout)
	}
	go client.Write([]byte{40, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	if _, err := io.ReadFull(w, make([]byte, 10)); err != nil || conn.deadline != set {
		t.Errorf("after a part of the login the client has until %v, want %v; %v", conn.deadline, set, err)
	}
	w.authenticated()
	if !conn.deadline.IsZero() {
		t.Errorf("after the login the client has until %v", conn.deadline)
	}
}
