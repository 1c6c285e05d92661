package sqltests

import (
	"context"
	"errors"
	"flag"
	"regexp"
	"testing"
	"time"

	"arbor/gateway"
	"arbor/sqltests/stack"
)

// moveEvery is after how many commands the shape that is rebalancing waits until
// everything is elsewhere.
var moveEvery = flag.Int("move-every", 150, "commands of SQL files after which all buckets have to be elsewhere, where they move")

// clusterShapes are members of which the group is not whole or does not stand still.
// What is answered must not show it.
var clusterShapes = []shape{
	{"one member of a cluster", openOne, sometimes},
	{"three members, one away", openOneAway, sometimes},
	{"three members, rebalancing", openRebalancing, sometimes},
}

// namesAway are what statements have that ask of every member. Where one is away they
// say so, which is tested elsewhere.
var namesAway = regexp.MustCompile(`(?i)arbor\.(digests|alarms|files|jobs|loss)|^(OPTIMIZE|CHECK) TABLE|CALL arbor\.(index|check|close|repair)`)

// openOne opens a cluster of one member.
func openOne(t *testing.T) *member {
	return memberOf(t, stack.NewGroup(t, stack.GroupOptions{Members: 1, Replicas: 1}), 1)
}

// openOneAway opens three members with everything on all of them, and ends one before
// anything is stored. A restart is one of the others.
func openOneAway(t *testing.T) *member {
	g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 3, Far: true})
	g.Members[2].Kill(t)
	m := memberOf(t, g, 2)
	m.skips = namesAway.MatchString
	return m
}

// openRebalancing opens three members with everything on two of them, which are others
// after every few commands: buckets are hardly ever settled.
func openRebalancing(t *testing.T) *member {
	g := stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 2, Far: true})
	m := memberOf(t, g, 3)
	commands, rounds := 0, 0
	m.move = func() {
		look := time.NewTicker(time.Millisecond)
		defer look.Stop()
		// Most commands meet buckets that are on their way. Each so many wait for the
		// end, so that the next ones find everything elsewhere.
		for commands++; g.Moving(t) && commands%*moveEvery == 0; {
			<-look.C
		}
		if !g.Moving(t) {
			rounds++
			g.Place(t, g.Nodes(rounds%3, (rounds+1)%3), 2)
		}
	}
	t.Cleanup(func() {
		if want := commands / *moveEvery; rounds < want {
			t.Errorf("%d moves were begun in %d commands, want %d", rounds, commands, want)
		}
	})
	return m
}

// memberOf is the first member of a group of which so many are up.
func memberOf(t *testing.T, g *stack.Group, up int) *member {
	first := g.Members[0]
	return &member{
		gateway: first.Gateway,
		index: func(closeDays bool) (err error) {
			for _, m := range g.Members[:up] {
				err = errors.Join(err, m.Engine.Index(context.Background(), 0, closeDays))
			}
			return err
		},
		reopen: func() *gateway.Gateway {
			for _, m := range g.Members[:up] {
				m.Close(t)
			}
			for _, m := range g.Members[:up] {
				m.Open(t)
			}
			return first.Gateway
		},
	}
}
