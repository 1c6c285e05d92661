package cluster

import (
	"context"
	"errors"
	"sync/atomic"

	"arbor/cluster/peer"
	"arbor/cluster/protocol"
)

// ErrOpening: the member is only just starting, and will answer soon.
var ErrOpening = errors.New("member is opening what it holds")

// Late stands for Members that open after the peer port: until Set it drops
// messages, which come again, and refuses calls.
type Late struct{ members atomic.Pointer[Members] }

// Set has the members answer from now on.
func (l *Late) Set(m *Members) { l.members.Store(m) }

// Receive is Members.Receive.
func (l *Late) Receive(from protocol.MemberID, message []byte) {
	if m := l.members.Load(); m != nil {
		m.Receive(from, message)
	}
}

// Calls is Members.Calls.
func (l *Late) Calls() map[string]peer.Call {
	calls := map[string]peer.Call{}
	for name := range (&Members{}).Calls() {
		calls[name] = func(ctx context.Context, from protocol.MemberID, request []byte) ([]byte, error) {
			if m := l.members.Load(); m != nil {
				return m.Calls()[name](ctx, from, request)
			}
			return nil, ErrOpening
		}
	}
	return calls
}

// Streams is Members.Streams.
func (l *Late) Streams() map[string]peer.Stream {
	streams := map[string]peer.Stream{}
	for name := range (&Members{}).Streams() {
		streams[name] = func(ctx context.Context, from protocol.MemberID, request []byte, send func([]byte) error) error {
			if m := l.members.Load(); m != nil {
				return m.Streams()[name](ctx, from, request, send)
			}
			return ErrOpening
		}
	}
	return streams
}
