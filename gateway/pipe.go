package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// ErrNotServing says that a part of the server is not up, or going down.
var ErrNotServing = errors.New("not serving")

// pipes are connections to the MySQL server from inside the process. A query
// that comes over HTTP takes this way, so that logins, privileges, limits and
// errors are those of every other client, by being the same code.
type pipes struct {
	// mu guards listening.
	mu        sync.Mutex
	listening *pipeListener
}

// join makes a listener that gives what l gives, and pipes. Closing it closes l.
func (p *pipes) join(l net.Listener) net.Listener {
	joined := &pipeListener{Listener: l, accepted: make(chan accepted), closed: make(chan struct{}), ended: make(chan struct{})}
	go joined.forward()
	p.mu.Lock()
	p.listening = joined
	p.mu.Unlock()
	return joined
}

// dial opens a connection as a client at address from.
func (p *pipes) dial(ctx context.Context, from net.Addr) (net.Conn, error) {
	p.mu.Lock()
	l := p.listening
	p.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("%w: SQL is not up yet", ErrNotServing)
	}
	client, server := net.Pipe()
	select {
	case l.accepted <- accepted{conn: &pipe{Conn: server, local: l.Addr(), remote: from}}:
		return client, nil
	case <-l.closed:
		return nil, fmt.Errorf("%w: SQL is going down", ErrNotServing)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pipeListener gives the connections of a listener and pipes, as they come.
type pipeListener struct {
	net.Listener
	accepted chan accepted
	once     sync.Once
	closed   chan struct{}
	ended    chan struct{} // forward has ended
}

// accepted is what an Accept gave.
type accepted struct {
	conn net.Conn
	err  error
}

// Accept waits for either kind of client.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// forward passes on what the listener below accepts; it ends when that is closed.
func (l *pipeListener) forward() {
	defer close(l.ended)
	for {
		conn, err := l.Listener.Accept()
		select {
		case l.accepted <- accepted{conn, err}:
		case <-l.closed:
			if conn != nil {
				conn.Close()
			}
			return
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

// Close stops accepting.
func (l *pipeListener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		close(l.closed)
		err = l.Listener.Close()
		<-l.ended
	})
	return err
}

// pipe is the server's end of a connection inside the process, with the address
// of the client it is for.
type pipe struct {
	net.Conn
	local, remote net.Addr
}

// LocalAddr is the MySQL port's address.
func (p *pipe) LocalAddr() net.Addr { return p.local }

// RemoteAddr is the address of the HTTP client.
func (p *pipe) RemoteAddr() net.Addr { return p.remote }
