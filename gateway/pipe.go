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
	// mu guards the rest.
	mu        sync.Mutex
	listening *pipeListener
	closed    bool
	// inside ends the server that was started for pipes alone, if there is one;
	// servers counts it.
	inside  context.CancelFunc
	servers sync.WaitGroup
}

// join makes a listener that gives what l gives, and pipes. Closing it closes l.
// A server that was there for pipes alone ends.
func (p *pipes) join(l net.Listener) net.Listener {
	if joined, ok := l.(*pipeListener); ok {
		return joined
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inside != nil {
		p.inside()
		p.inside = nil
	}
	p.listening = newPipeListener(l)
	return p.listening
}

// listener is where pipes go. Where no MySQL server runs, one is started that has
// no port.
func (p *pipes) listener(serve func(context.Context, net.Listener)) (*pipeListener, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, fmt.Errorf("%w: SQL is going down", ErrNotServing)
	}
	if p.listening == nil {
		var ctx context.Context
		ctx, p.inside = context.WithCancel(context.Background())
		p.listening = newPipeListener(newNoListener())
		l := p.listening
		p.servers.Go(func() { serve(ctx, l) }) // ends with inside
	}
	return p.listening, nil
}

// close ends the server that was started for pipes alone.
func (p *pipes) close() {
	p.mu.Lock()
	p.closed = true
	if p.inside != nil {
		p.inside()
	}
	p.mu.Unlock()
	p.servers.Wait()
}

// JoinMySQL makes a listener for ServeMySQL of one that was opened. From now on queries
// over HTTP wait for the server on it, so that none begins on a server without a port
// which ends when that one begins.
func (g *Gateway) JoinMySQL(l net.Listener) net.Listener { return g.pipes.join(l) }

// dialSQL opens a connection to the MySQL server as a client at address from. The rows
// of its results go to taker, unless it is nil.
func (g *Gateway) dialSQL(ctx context.Context, from net.Addr, taker resultTaker) (net.Conn, error) {
	var last *pipeListener
	for {
		l, err := g.pipes.listener(func(ctx context.Context, l net.Listener) {
			if err := g.ServeMySQL(ctx, MySQLOptions{Listener: l}); err != nil {
				g.logger.Error("SQL inside the process", "error", err)
			}
		})
		if err != nil {
			return nil, err
		}
		if l == last {
			return nil, fmt.Errorf("%w: SQL is going down", ErrNotServing)
		}
		client, server := net.Pipe()
		select {
		case l.accepted <- accepted{conn: &pipe{Conn: server, local: l.Addr(), remote: from, taker: taker}}:
			return client, nil
		case <-l.closed: // the server with a port may have begun, and takes its place
			last = l
		case <-ctx.Done():
			return nil, ctx.Err()
		}
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

func newPipeListener(l net.Listener) *pipeListener {
	p := &pipeListener{Listener: l, accepted: make(chan accepted), closed: make(chan struct{}), ended: make(chan struct{})}
	go p.forward()
	return p
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
	taker         resultTaker
}

// LocalAddr is the MySQL port's address.
func (p *pipe) LocalAddr() net.Addr { return p.local }

// RemoteAddr is the address of the HTTP client.
func (p *pipe) RemoteAddr() net.Addr { return p.remote }

// noListener is a listener without a port, which no client reaches.
type noListener struct {
	once   sync.Once
	closed chan struct{}
}

func newNoListener() *noListener { return &noListener{closed: make(chan struct{})} }

// Accept waits for Close.
func (n *noListener) Accept() (net.Conn, error) {
	<-n.closed
	return nil, net.ErrClosed
}

// Close ends Accept.
func (n *noListener) Close() error {
	n.once.Do(func() { close(n.closed) })
	return nil
}

// Addr is nobody's address.
func (n *noListener) Addr() net.Addr { return &net.TCPAddr{} }
