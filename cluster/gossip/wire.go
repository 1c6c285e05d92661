package gossip

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// wire is memberlist's transport. A connection begins with one byte that says
// what it is for: an exchange, which memberlist leads, or packets of one sender:
//
//	┌──────┬────────┬─────────────────────────┐
//	│ 'p'  │ sender │ length, LE │ packet │ … │
//	│ 1    │ 16     │ 4          │        │   │
//	└──────┴────────┴─────────────────────────┘
//
// Packets may get lost, and do, when a connection breaks or nobody takes them.
type wire struct {
	o       Options
	packets chan *memberlist.Packet
	streams chan net.Conn

	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup

	// mu guards what follows.
	mu      sync.Mutex
	closed  bool
	senders map[MemberID]*sender
	conns   map[net.Conn]struct{} // that came, and are read here
}

// The kinds of connection.
const (
	kindStream  = 's'
	kindPackets = 'p'
)

// Limits of a wire.
const (
	maxPacketBytes  = 64 << 10
	maxQueued       = 256 // packets to one member
	maxWaitingReads = 1024
	dialWithin      = 2 * time.Second
	writeWithin     = 2 * time.Second
	beginWithin     = 5 * time.Second
	// idleAfter is how long a connection for packets is kept without any.
	idleAfter = time.Minute
)

var (
	errClosed = errors.New("gossip is closed")
	_         = memberlist.NodeAwareTransport((*wire)(nil))
)

// address is what memberlist takes for an address of the internet: one of a
// private range of IPv6, made of the member's id.
type address MemberID

func (a address) ip() net.IP { return append(net.IP{0xfd}, a[1:]...) }

// Network is not one of the operating system's.
func (a address) Network() string { return "arbor" }

// String is the address with a port that means nothing.
func (a address) String() string { return net.JoinHostPort(a.ip().String(), "1") }

func addressOf(id MemberID) string { return address(id).String() }

func openWire(o Options) *wire {
	w := &wire{o: o, packets: make(chan *memberlist.Packet, maxWaitingReads), streams: make(chan net.Conn),
		senders: map[MemberID]*sender{}, conns: map[net.Conn]struct{}{}}
	w.ctx, w.stop = context.WithCancel(context.Background())
	w.running.Go(w.accept)
	return w
}

// FinalAdvertiseAddr is the address that is made of the id.
func (w *wire) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return address(w.o.ID).ip(), 1, nil
}

// PacketCh gives the packets that come.
func (w *wire) PacketCh() <-chan *memberlist.Packet { return w.packets }

// StreamCh gives the exchanges that others begin.
func (w *wire) StreamCh() <-chan net.Conn { return w.streams }

// WriteTo cannot know who is meant.
func (w *wire) WriteTo(_ []byte, addr string) (time.Time, error) {
	return time.Time{}, fmt.Errorf("send to %s: %w: a name is needed", addr, ErrStranger)
}

// DialTimeout cannot know who is meant.
func (w *wire) DialTimeout(addr string, _ time.Duration) (net.Conn, error) {
	return nil, fmt.Errorf("connect to %s: %w: a name is needed", addr, ErrStranger)
}

// WriteToAddress sends a packet, or drops it: it does not wait.
func (w *wire) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	id, ok := parseID(addr.Name)
	if !ok || len(b) > maxPacketBytes {
		return time.Time{}, fmt.Errorf("send %d bytes to %q: %w", len(b), addr.Name, ErrStranger)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return time.Time{}, errClosed
	}
	s := w.senders[id]
	if s == nil {
		s = &sender{wire: w, to: id, packets: make(chan []byte, maxQueued)}
		w.senders[id] = s
		w.running.Go(s.run)
	}
	frame := make([]byte, 0, 4+len(b))
	frame = append(binary.LittleEndian.AppendUint32(frame, uint32(len(b))), b...)
	select {
	case s.packets <- frame:
	default: // it gets lost
	}
	return time.Now(), nil
}

// DialAddressTimeout begins an exchange.
func (w *wire) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	id, ok := parseID(addr.Name)
	if !ok {
		return nil, fmt.Errorf("connect to %q: %w", addr.Name, ErrStranger)
	}
	ctx, cancel := context.WithTimeout(w.ctx, timeout)
	defer cancel()
	return w.dial(ctx, id, []byte{kindStream})
}

func (w *wire) dial(ctx context.Context, to MemberID, hello []byte) (net.Conn, error) {
	c, err := w.o.Dial(ctx, to)
	if err != nil {
		return nil, err
	}
	if err := write(c, hello); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func write(c net.Conn, b []byte) error {
	if err := c.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
		return err
	}
	_, err := c.Write(b)
	return err
}

// Shutdown ends all connections and waits for what runs.
func (w *wire) Shutdown() error {
	w.mu.Lock()
	w.closed = true
	for c := range w.conns {
		_ = c.Close() // nobody was told of it
	}
	w.mu.Unlock()
	w.stop()
	err := w.o.Listener.Close()
	w.running.Wait()
	return err
}

// accept takes connections until the listener is closed.
func (w *wire) accept() {
	for {
		c, err := w.o.Listener.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		if w.closed {
			w.mu.Unlock()
			_ = c.Close() // nobody was told of it
			return
		}
		w.conns[c] = struct{}{}
		w.running.Go(func() { w.serve(c) })
		w.mu.Unlock()
	}
}

// serve finds out what a connection is for.
func (w *wire) serve(c net.Conn) {
	handed := false
	defer func() {
		w.mu.Lock()
		delete(w.conns, c)
		w.mu.Unlock()
		if !handed {
			_ = c.Close() // nobody was told of it
		}
	}()
	var kind [1]byte
	if err := c.SetReadDeadline(time.Now().Add(beginWithin)); err != nil {
		return
	}
	if _, err := io.ReadFull(c, kind[:]); err != nil {
		return
	}
	switch kind[0] {
	case kindStream:
		if c.SetReadDeadline(time.Time{}) != nil {
			return
		}
		select {
		case w.streams <- c:
			handed = true
		case <-w.ctx.Done():
		}
	case kindPackets:
		if err := w.read(c); err != nil && w.ctx.Err() == nil {
			w.o.Logger.Debug("packets of gossip end", "error", err)
		}
	}
}

// read takes packets until there are none for long.
func (w *wire) read(c net.Conn) error {
	var from address
	if _, err := io.ReadFull(c, from[:]); err != nil {
		return err
	}
	for {
		var length [4]byte
		if err := c.SetReadDeadline(time.Now().Add(2 * idleAfter)); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return err
		}
		n := binary.LittleEndian.Uint32(length[:])
		if n > maxPacketBytes {
			return fmt.Errorf("a packet of %d bytes, at most %d are possible", n, maxPacketBytes)
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(c, b); err != nil {
			return err
		}
		select {
		case w.packets <- &memberlist.Packet{Buf: b, From: from, Timestamp: time.Now()}:
		case <-w.ctx.Done():
			return nil
		}
	}
}
