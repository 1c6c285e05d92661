package gossip

import (
	"context"
	"net"
	"time"
)

// sender sends packets to one member. It is one goroutine, which ends when the
// wire is shut down or nothing was sent for a while.
type sender struct {
	wire    *wire
	to      MemberID
	packets chan []byte
	conn    net.Conn
}

func (s *sender) run() {
	defer s.hangUp()
	idle := time.NewTimer(idleAfter)
	defer idle.Stop()
	for {
		select {
		case b := <-s.packets:
			idle.Reset(idleAfter)
			s.send(b)
		case <-idle.C:
			if s.retire() {
				return
			}
		case <-s.wire.ctx.Done():
			return
		}
	}
}

// retire takes the sender out of the table, unless a packet has come meanwhile.
func (s *sender) retire() bool {
	s.wire.mu.Lock()
	defer s.wire.mu.Unlock()
	if len(s.packets) > 0 {
		return false
	}
	delete(s.wire.senders, s.to)
	return true
}

// send sends a packet, over a new connection if there is none. It is lost if that
// does not work, and so is what waits by then: it is old.
func (s *sender) send(b []byte) {
	if s.conn == nil {
		ctx, cancel := context.WithTimeout(s.wire.ctx, dialWithin)
		defer cancel()
		conn, err := s.wire.dial(ctx, s.to, append([]byte{kindPackets}, s.wire.o.ID[:]...))
		if err != nil {
			s.drop()
			return
		}
		s.conn = conn
	}
	if write(s.conn, b) != nil {
		s.hangUp()
		s.drop()
	}
}

func (s *sender) drop() {
	for len(s.packets) > 0 {
		<-s.packets
	}
}

func (s *sender) hangUp() {
	if s.conn != nil {
		_ = s.conn.Close() // it is given up
		s.conn = nil
	}
}
