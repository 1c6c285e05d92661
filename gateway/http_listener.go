package gateway

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// DefaultMaxHTTPConnections is how many HTTP clients are connected at once.
const DefaultMaxHTTPConnections = 10_000

// httpListener keeps HTTP clients from taking every file descriptor that the
// process may have, which the log and the files need too: past the limit a
// client is told to come back, as it is for memory.
type httpListener struct {
	net.Listener
	limit int64
	open  atomic.Int64
	// busy is what a client past the limit is told; nil where it expects TLS.
	busy []byte
}

func newHTTPListener(l net.Listener, limit int, encrypted bool) *httpListener {
	if limit <= 0 {
		limit = DefaultMaxHTTPConnections
	}
	h := &httpListener{Listener: l, limit: int64(min(limit, descriptors()/2))}
	if !encrypted {
		const text = "the server has as many connections as it may\n"
		h.busy = fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nRetry-After: %d\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
			http.StatusServiceUnavailable, http.StatusText(http.StatusServiceUnavailable), downRetryAfter, len(text), text)
	}
	return h
}

// descriptors is how many files and sockets the process may have open.
func descriptors() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<30 {
		return 1 << 30
	}
	return int(limit.Cur)
}

// Accept waits for a client within the limit.
func (h *httpListener) Accept() (net.Conn, error) {
	for {
		c, err := h.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if h.open.Add(1) <= h.limit {
			return &httpConn{Conn: c, listener: h}, nil
		}
		h.open.Add(-1)
		// So short a text fits into the socket's buffer, so it waits for nobody.
		_ = c.SetWriteDeadline(time.Now().Add(refuseTimeout))
		_, _ = c.Write(h.busy)
		c.Close()
	}
}

// httpConn is a counted connection.
type httpConn struct {
	net.Conn
	listener *httpListener
	once     sync.Once
}

// Close closes the connection and counts it out.
func (c *httpConn) Close() error {
	c.once.Do(func() { c.listener.open.Add(-1) })
	return c.Conn.Close()
}
