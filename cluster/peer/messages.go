package peer

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
)

// maxQueuedBytes wait for one member; what comes then is dropped, and the
// protocol repeats what matters.
const maxQueuedBytes = 64 << 20

// resendAfter is the pause before a broken stream of messages is begun anew.
const resendAfter = 100 * time.Millisecond

// Send sends a message, or drops it: it never waits. The node keeps the bytes.
func (n *Node) Send(to MemberID, message []byte) {
	if len(message) > MaxMessageBytes {
		n.o.Logger.Error("a message is too large to be sent", "member", to, "bytes", len(message))
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	q, ok := n.queues[to]
	if !ok {
		q = newQueue()
		n.queues[to] = q
		n.running.Go(func() { n.carry(to, q) })
	}
	q.put(message)
}

// Dropped is how many messages to a member found no room.
func (n *Node) Dropped(to MemberID) uint64 {
	n.mu.Lock()
	q := n.queues[to]
	n.mu.Unlock()
	if q == nil {
		return 0
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// carry sends a queue's messages until the node is closed. When a stream breaks,
// the message at hand is lost, and what waits is sent over the next one.
func (n *Node) carry(to MemberID, q *queue) {
	for n.ctx.Err() == nil {
		if err := n.carryOn(to, q); err != nil && n.ctx.Err() == nil {
			n.o.Logger.Debug("messages to a member are interrupted", "member", to, "error", err)
			select {
			case <-time.After(resendAfter):
			case <-n.ctx.Done():
			}
		}
	}
}

func (n *Node) carryOn(to MemberID, q *queue) error {
	message, ok := q.take()
	if !ok {
		return ErrClosed
	}
	conn, err := n.conn(to)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(n.ctx)
	defer cancel()
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, service+callMessages)
	if err != nil {
		return local(ctx, to, err)
	}
	for ok {
		if err := s.SendMsg(&message); err != nil {
			var none []byte
			return local(ctx, to, s.RecvMsg(&none)) // which says why
		}
		message, ok = q.take()
	}
	return ErrClosed
}

// receive hands a member's messages on until its stream ends, or the member is
// one no more.
func (n *Node) receive(from MemberID, s grpc.ServerStream) error {
	for {
		var message []byte
		if err := s.RecvMsg(&message); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if !n.o.Allow(from) {
			return ErrRefused
		}
		if n.o.Receive != nil {
			n.o.Receive(from, message)
		}
	}
}

// queue is what waits to be sent to one member.
type queue struct {
	mu       sync.Mutex
	some     sync.Cond
	messages [][]byte
	bytes    int
	dropped  uint64
	closed   bool
}

func newQueue() *queue {
	q := &queue{}
	q.some.L = &q.mu
	return q
}

func (q *queue) put(message []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes+len(message) > maxQueuedBytes && len(q.messages) > 0 {
		q.dropped++
		return
	}
	q.messages, q.bytes = append(q.messages, message), q.bytes+len(message)
	q.some.Signal()
}

// take waits for a message; it gives none once the queue is closed.
func (q *queue) take() ([]byte, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.messages) == 0 && !q.closed {
		q.some.Wait()
	}
	if q.closed {
		return nil, false
	}
	m := q.messages[0]
	q.messages[0] = nil
	q.messages, q.bytes = q.messages[1:], q.bytes-len(m)
	return m, true
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.some.Broadcast()
}
