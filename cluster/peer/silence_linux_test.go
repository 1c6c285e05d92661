package peer

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// userTimeout reads back what boundSilence set.
func userTimeout(t *testing.T, c net.Conn) (ms int) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var getErr error
	if err := raw.Control(func(fd uintptr) { ms, getErr = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) }); err != nil || getErr != nil {
		t.Fatal(err, getErr)
	}
	return ms
}

// TestASilentConnectionEnds: a write to a process that hangs, and reads nothing, ends with
// an error without any deadline.
func TestASilentConnectionEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	hangs, err := l.Accept() // and is never read
	if err != nil {
		t.Fatal(err)
	}
	defer hangs.Close()
	if err := boundSilence(c, 200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = c.Write(make([]byte, 1<<20))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, unix.ETIMEDOUT) {
		t.Fatalf("it ended with %v", err)
	}
}

// taking keeps the connections that a listener takes.
type taking struct {
	net.Listener
	conns chan net.Conn
}

func (t taking) Accept() (net.Conn, error) {
	c, err := t.Listener.Accept()
	if err == nil {
		t.conns <- c
	}
	return c, err
}

// TestConnectionsAreBounded: those that a member makes and those that it takes.
func TestConnectionsAreBounded(t *testing.T) {
	p := newPair(t)
	conns := make(chan net.Conn, 2)
	p.serve(1, func(o *Options) {
		o.Listener = taking{o.Listener, conns}
		o.Calls = map[string]Call{"hello": func(context.Context, MemberID, []byte) ([]byte, error) { return nil, nil }}
	})
	from := p.serve(2, nil)
	if _, err := from.Call(t.Context(), id(1), "hello", nil); err != nil {
		t.Fatal(err)
	}
	if got := userTimeout(t, <-conns); got != int(silentWithin.Milliseconds()) {
		t.Errorf("one that was taken is bounded by %d ms", got)
	}
	made, err := from.dialTCP(t.Context(), id(1))
	if err != nil {
		t.Fatal(err)
	}
	defer made.Close()
	if got := userTimeout(t, made); got != int(silentWithin.Milliseconds()) {
		t.Errorf("one that was made is bounded by %d ms", got)
	}
}
