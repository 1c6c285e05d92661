package consensus

import (
	"bytes"
	"context"
	"time"

	"github.com/hashicorp/raft"
)

// notice has a leader's silence noticed in time. Raft looks at it only when a timer of one
// to two election timeouts ends, which began at no word of the leader: up to three pass
// before a follower stands, and others, who still believe in the leader, refuse it until
// their own timers end. It ends with the group.
func (g *Group) notice() {
	timer := time.NewTimer(g.o.Timing.Election)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-g.stopped.Done():
			return
		}
		timer.Reset(g.heed())
	}
}

// heed has raft look at the leader if that was silent for too long, and says when to come
// again.
func (g *Group) heed() time.Duration {
	heard := g.raft.LastContact()
	leader, known := g.Leader()
	if !known || g.raft.State() != raft.Follower || heard.IsZero() {
		return g.o.Timing.Election
	}
	patience := g.patience(leader)
	if left := patience - time.Since(heard); left > 0 {
		return left
	}
	if err := g.nudge(); err != nil {
		g.o.Logger.Warn("the metadata's leader is silent, and raft could not be told", "error", err)
	}
	return g.o.Timing.Election / 4
}

// patience is how long the leader may be silent towards this member: all voters' differ,
// so that they do not stand at the same moment and share the votes.
func (g *Group) patience(leader MemberID) time.Duration {
	before := 0
	for _, v := range g.Voters() {
		if v != leader && bytes.Compare(v[:], g.o.ID[:]) < 0 {
			before++
		}
	}
	return g.o.Timing.Election + time.Duration(before)*g.o.Timing.Election/4
}

// nudge has raft look at when it last heard of its leader: it does so when its timeout is
// made shorter, be it by nothing.
func (g *Group) nudge() error {
	c := g.raft.ReloadableConfig()
	whole := c.HeartbeatTimeout
	c.HeartbeatTimeout = whole - 1
	if err := g.raft.ReloadConfig(c); err != nil {
		return err
	}
	c.HeartbeatTimeout = whole
	return g.raft.ReloadConfig(c)
}

// While gives a context that ends, too, when that member is not known to lead any more.
// Who waits for the answer of a leader that hangs would wait in vain.
func (g *Group) While(ctx context.Context, leader MemberID) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() { // ends with the context
		for {
			_, news, _ := g.machine.now()
			if now, known := g.Leader(); !known || now != leader {
				cancel()
				return
			}
			select {
			case <-news:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, cancel
}
