package sqltests

import (
	"context"
	"errors"
	"flag"
	"regexp"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/cluster"
	"arbor/cluster/protocol"
	"arbor/engine"
	"arbor/engine/exec"
	"arbor/engine/indexfile"
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
	{"three members, one older", openMixed, sometimes},
	{mixedMoving, openMixedMoving, sometimes},
}

// mixedMoving is a shape of which each run has a part of the files.
const mixedMoving = "three members, one older, rebalancing"

// The parts take turns, by the day.
const mixedTurns = 7

var mixedTurn = flag.Int("mixed-turn", time.Now().YearDay()%mixedTurns, "which part of the SQL files, from 0 to 6, is run on members of two versions while buckets move; -1 for all")

// waitsForTurn says whether the n-th file is not run on a shape this time.
func waitsForTurn(s shape, n int) bool {
	return s.name == mixedMoving && *mixedTurn >= 0 && n%mixedTurns != *mixedTurn
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
	return rebalancing(t, stack.NewGroup(t, stack.GroupOptions{Members: 3, Replicas: 2, Far: true}))
}

// openMixed opens three members, each event on two of them, of which the last one is of the
// arbor before this one.
func openMixed(t *testing.T) *member { return memberOf(t, newMixed(t), 3) }

// openMixedMoving has files of both versions move between them besides.
func openMixedMoving(t *testing.T) *member { return rebalancing(t, newMixed(t)) }

// The versions before the newest.
const (
	olderIndexVersion   = indexfile.Version - 1
	olderPartialVersion = 2
)

// newMixed opens three members, the last one of which is older: it writes indexed files of
// the version before, refuses fragments that came after it, as its decoder would, and
// answers in the partials of its time.
func newMixed(t *testing.T) *stack.Group {
	g := stack.NewGroup(t, stack.GroupOptions{
		Members: 3, Replicas: 2, Far: true,
		Measures: func() bool { return false }, // as cluster/member says while one is older
		Files: func(id protocol.MemberID) (o indexfile.BuilderOptions) {
			if isOlder(id) {
				o.Version = olderIndexVersion
			}
			return o
		},
		Engine: func(id protocol.MemberID, e *engine.Engine) cluster.Engine {
			if isOlder(id) {
				return older{e, t}
			}
			return e
		},
	})
	t.Cleanup(func() {
		for _, m := range g.Members {
			checkVersions(t, m)
		}
	})
	return g
}

// isOlder says whether a member is the last of three.
func isOlder(id protocol.MemberID) bool { return id[0] == 3 }

// checkVersions looks at the versions of the files that a member has made.
func checkVersions(t *testing.T, m *stack.GroupMember) {
	t.Helper()
	want := indexfile.Version
	if isOlder(m.ID) {
		want = olderIndexVersion
	}
	files, err := m.Engine.Describe(context.Background(), "files")
	if err != nil {
		t.Error(err)
		return
	}
	for _, row := range files.Rows {
		if got := row[len(row)-1]; got != catalog.Int(int64(want)) {
			t.Errorf("member %s has an indexed file of version %v, want %d", m.ID, got, want)
		}
	}
}

// older is the engine of an older member.
type older struct {
	*engine.Engine
	t *testing.T
}

// ExecutePartial answers what the older arbor knew.
func (o older) ExecutePartial(ctx context.Context, f *exec.Fragment, yield func([]byte) error) (exec.ScanStats, error) {
	if f.Measured {
		o.t.Error("a fragment that is measured came to a member that does not know it")
		return exec.ScanStats{}, exec.ErrVersion
	}
	return o.Engine.ExecutePartial(ctx, f, func(piece []byte) error {
		if version := piece[len("exp")]; version > olderPartialVersion {
			o.t.Errorf("a member answers in version %d of partials, and knows %d", version, olderPartialVersion)
		}
		return yield(piece)
	})
}

// rebalancing has the buckets of a group move.
func rebalancing(t *testing.T, g *stack.Group) *member {
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
				m.Bind(t)
			}
			for _, m := range g.Members[:up] {
				m.Open(t)
			}
			return first.Gateway
		},
	}
}
