package gateway

import (
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"
)

// Limits of a listener.
const (
	// DefaultMaxConnections is how many clients are served at once.
	DefaultMaxConnections = 1000
	// acceptRetryMin and acceptRetryMax bound the pause after a failed accept.
	acceptRetryMin = 5 * time.Millisecond
	acceptRetryMax = time.Second
	// refuseTimeout bounds how long a client that is refused is told so.
	refuseTimeout = time.Second
)

// listener gives the protocol library its clients, each as a wire. The library
// stops serving at the first error of Accept, so that a server which is out of
// file descriptors for a moment would be gone for good: this one tries again
// until it is closed. Clients beyond the limit are told "Too many connections".
type listener struct {
	net.Listener
	options *wireOptions
	limit   int
	logger  *slog.Logger
	closed  chan struct{}

	// mu guards open and closing.
	mu      sync.Mutex
	open    map[*wire]struct{}
	closing bool
	// waiting are those whose clients have not logged in, the oldest first.
	waiting []*wire
}

func newListener(l net.Listener, limit int, logger *slog.Logger, o *wireOptions) *listener {
	return &listener{Listener: l, options: o, limit: limit, logger: logger,
		closed: make(chan struct{}), open: make(map[*wire]struct{})}
}

// Accept waits for a client. It fails only when the listener is closed.
func (l *listener) Accept() (net.Conn, error) {
	pause := acceptRetryMin
	for {
		c, err := l.Listener.Accept()
		switch {
		case err == nil:
			if w := l.admit(c); w != nil {
				return w, nil
			}
			continue
		case errors.Is(err, net.ErrClosed):
			return nil, err
		}
		l.logger.Warn("accept a MySQL client; trying again", "error", err, "pause", pause)
		select {
		case <-l.closed:
			return nil, net.ErrClosed
		case <-time.After(pause):
		}
		pause = min(2*pause, acceptRetryMax)
	}
}

// admit makes c one of the open connections, or refuses it and returns nil.
func (l *listener) admit(c net.Conn) *wire {
	l.makeRoom()
	l.mu.Lock()
	full := len(l.open) >= l.limit || l.closing
	var w *wire
	if !full {
		w = newWire(c, l.options)
		w.closed = func() { l.forget(w) }
		w.entered = func() { l.loggedIn(w) }
		l.open[w] = struct{}{}
		l.waiting = append(l.waiting, w)
	}
	l.mu.Unlock()
	if !full {
		return w
	}
	c.SetWriteDeadline(time.Now().Add(refuseTimeout))
	c.Write(greetingError(errTooManyConnections))
	c.Close()
	return nil
}

// makeRoom ends the oldest connection whose client has not logged in, if those have all
// the places that they may have, or there is no other place: they hold none that others
// want for as long as a log-in may take.
func (l *listener) makeRoom() {
	l.mu.Lock()
	var oldest *wire
	if n := len(l.waiting); n > 0 && (n >= max(waitingLeast, l.limit/waitingShare) || len(l.open) >= l.limit) {
		oldest = l.waiting[0]
	}
	l.mu.Unlock()
	if oldest != nil {
		oldest.Close()
	}
}

// waitingShare is the part of the places that clients who have not logged in may have,
// at least waitingLeast of them.
const (
	waitingShare = 4
	waitingLeast = 16
)

// loggedIn takes a connection from those that wait.
func (l *listener) loggedIn(w *wire) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.waiting, w); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
}

func (l *listener) forget(w *wire) {
	l.loggedIn(w)
	l.mu.Lock()
	delete(l.open, w)
	l.mu.Unlock()
}

// Close stops accepting. The connections stay.
func (l *listener) Close() error {
	l.mu.Lock()
	again := l.closing
	l.closing = true
	l.mu.Unlock()
	if again {
		return nil
	}
	close(l.closed)
	return l.Listener.Close()
}

// drain ends each connection as soon as no command runs on it.
func (l *listener) drain() {
	for _, w := range l.connections() {
		w.drain()
	}
}

// connections are the open ones.
func (l *listener) connections() []*wire {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]*wire, 0, len(l.open))
	for w := range l.open {
		list = append(list, w)
	}
	return list
}
