// Package members tests several members in one process: what clients see of them
// while they die, come back, are cut off, hang, and hand their buckets over.
package members

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"

	"arbor/cluster"
	"arbor/cluster/protocol"
)

// lines are what is between members: cut as a cable is, so that nobody is told, or
// losing a part of all messages.
type lines struct {
	mu    sync.Mutex // guards what follows
	rand  *rand.Rand
	loss  float64
	cut   map[[2]protocol.MemberID]bool
	news  chan struct{} // closed when something is cut or joined
	piece func(from protocol.MemberID)
}

func newLines(loss float64) *lines {
	return &lines{rand: rand.New(rand.NewPCG(1, 2)), loss: loss, cut: map[[2]protocol.MemberID]bool{}, news: make(chan struct{})}
}

// line is a member's end.
type line struct {
	cluster.Peers
	l    *lines
	from protocol.MemberID
}

func (l *lines) line(from protocol.MemberID, p cluster.Peers) cluster.Peers { return line{p, l, from} }

// isolate cuts a member from all others, or joins it again.
func (l *lines) isolate(who protocol.MemberID, others []protocol.MemberID, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range others {
		l.cut[[2]protocol.MemberID{who, o}], l.cut[[2]protocol.MemberID{o, who}] = cut, cut
	}
	close(l.news)
	l.news = make(chan struct{})
}

// state says whether a line is cut, and what tells of a change.
func (l *lines) state(from, to protocol.MemberID) (bool, chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut[[2]protocol.MemberID{from, to}] || l.cut[[2]protocol.MemberID{to, from}], l.news
}

var errLost = errors.New("connection was lost")

// pass waits as long as the line is cut, and then says that the connection was lost.
func (x line) pass(ctx context.Context, to protocol.MemberID) error {
	was := false
	for {
		cut, news := x.l.state(x.from, to)
		if !cut {
			if was {
				return errLost
			}
			return nil
		}
		was = true
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (x line) Send(to protocol.MemberID, message []byte) {
	cut, _ := x.l.state(x.from, to)
	x.l.mu.Lock()
	lost := x.l.rand.Float64() < x.l.loss
	x.l.mu.Unlock()
	if !cut && !lost {
		x.Peers.Send(to, message)
	}
}

func (x line) Call(ctx context.Context, to protocol.MemberID, call string, request []byte) ([]byte, error) {
	if err := x.pass(ctx, to); err != nil {
		return nil, err
	}
	return x.Peers.Call(ctx, to, call, request)
}

func (x line) Stream(ctx context.Context, to protocol.MemberID, call string, request []byte, take func([]byte) error) error {
	if err := x.pass(ctx, to); err != nil {
		return err
	}
	return x.Peers.Stream(ctx, to, call, request, func(b []byte) error {
		x.l.mu.Lock()
		piece := x.l.piece
		x.l.mu.Unlock()
		if piece != nil {
			piece(to)
		}
		if err := x.pass(ctx, to); err != nil {
			return err
		}
		return take(b)
	})
}
