package consensus

import (
	"context"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// votersFor is how many of n members vote: an odd number, since an even one
// outlives no more losses, and few, since each must have every command on disk.
// Two members have one voter: with two, the loss of either would stop the group.
func votersFor(n int) int {
	switch {
	case n < 3:
		return 1
	case n < 7:
		return 3
	default:
		return 5
	}
}

// action is one step towards the voters that should be.
type action struct {
	do actionKind
	id MemberID
}

type actionKind uint8

const (
	actNothing actionKind = iota
	actAdd                // as a non-voter
	actPromote
	actDemote
	actRemove
)

// health is what the leader has seen of a member: since when it answers, or since
// when it does not.
type health struct {
	answers bool
	since   time.Time
}

// plan decides on the next step. It is a pure function: who is in raft's
// configuration against who should be, one step at a time, each of which leaves
// a group that works.
func plan(self MemberID, s *State, servers []raft.Server, seen map[MemberID]health, now time.Time, t Timing) action {
	inRaft := map[MemberID]bool{}
	var voters, spare []MemberID
	for _, server := range servers {
		id, ok := parseID(server.ID)
		m, known := s.Member(id)
		if !ok || !known || m.Standing == Removed {
			if id != self {
				return action{actRemove, id}
			}
			continue
		}
		inRaft[id] = true
		h := seen[id]
		switch {
		case server.Suffrage == raft.Voter:
			voters = append(voters, id)
		case m.Standing == Admitted && h.answers && now.Sub(h.since) >= t.Stable:
			spare = append(spare, id)
		}
	}
	present := s.Present()
	for _, m := range present {
		if !inRaft[m.ID] {
			return action{actAdd, m.ID}
		}
	}
	lasting := slices.DeleteFunc(present, func(m *Member) bool { return m.Standing != Admitted })
	want := votersFor(len(lasting))
	weak := func(id MemberID) bool { // its vote should go to another
		m, _ := s.Member(id)
		h := seen[id]
		return id != self && (m.Standing != Admitted || !h.answers && now.Sub(h.since) >= t.Dead)
	}
	i := slices.IndexFunc(voters, weak)
	// A leader that is to go has another one vote, leads no more, and then loses its own
	// vote as any other does.
	me, _ := s.Member(self)
	if leaves := me != nil && me.Standing != Admitted && slices.Contains(voters, self); leaves {
		if _, ok := lastingVoter(s, voters); ok {
			return action{}
		}
		if len(spare) > 0 {
			return action{actPromote, spare[0]}
		}
	}
	switch {
	case len(voters) > want:
		if i < 0 {
			i = slices.IndexFunc(voters, func(id MemberID) bool { return id != self })
		}
		return action{actDemote, voters[i]}
	case i >= 0 && len(spare) > 0:
		return action{actPromote, spare[0]} // the weak one is then one too many
	case len(voters) < want && len(spare) > 0 && (len(voters)+len(spare) >= want || len(voters)%2 == 0):
		return action{actPromote, spare[0]}
	}
	return action{}
}

// lastingVoter is a voter that is not to go.
func lastingVoter(s *State, voters []MemberID) (id MemberID, ok bool) {
	for _, id := range voters {
		if m, known := s.Member(id); known && m.Standing == Admitted {
			return id, true
		}
	}
	return id, false
}

// look keeps the voters as they should be while this member leads. It ends with
// the group.
func (g *Group) look() {
	ticker := time.NewTicker(g.o.Timing.Look)
	defer ticker.Stop()
	seen := map[MemberID]health{}
	for {
		select {
		case <-ticker.C:
		case <-g.stopped.Done():
			return
		}
		if !g.Leads() {
			clear(seen)
			continue
		}
		g.visit(seen)
		for g.Leads() && g.step(seen) {
		}
	}
}

// step takes one step and says whether there may be another.
func (g *Group) step(seen map[MemberID]health) bool {
	state := g.State()
	if m, ok := state.Member(g.o.ID); ok && m.Standing != Admitted {
		if to, ok := lastingVoter(state, g.Voters()); ok {
			if err := g.TransferLeader(to); err != nil {
				g.o.Logger.Warn("the leadership could not be given away", "error", err)
			}
			return false
		}
	}
	a := plan(g.o.ID, state, g.configuration().Servers, seen, time.Now(), g.o.Timing)
	id, address := raft.ServerID(a.id.String()), raft.ServerAddress(a.id.String())
	var f raft.IndexFuture
	switch a.do {
	case actNothing:
		return false
	case actAdd:
		f = g.raft.AddNonvoter(id, address, 0, enqueueWithin)
	case actPromote:
		f = g.raft.AddVoter(id, address, 0, enqueueWithin)
	case actDemote:
		f = g.raft.DemoteVoter(id, 0, enqueueWithin)
	case actRemove:
		f = g.raft.RemoveServer(id, 0, enqueueWithin)
	}
	if err := f.Error(); err != nil {
		g.o.Logger.Warn("voters of the metadata could not be changed", "member", a.id, "error", err)
		return false
	}
	return true
}

// visit asks all members whether they are there, at once.
func (g *Group) visit(seen map[MemberID]health) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(g.stopped, g.o.Timing.Look)
	defer cancel()
	for _, m := range g.State().Present() {
		if m.ID == g.o.ID || g.o.Ask == nil {
			continue
		}
		wg.Go(func() {
			applied, err := g.o.Ask(ctx, m.ID)
			answers := err == nil && applied+snapshotAfter >= g.Applied()
			mu.Lock()
			defer mu.Unlock()
			if h, ok := seen[m.ID]; !ok || h.answers != answers {
				seen[m.ID] = health{answers: answers, since: time.Now()}
			}
		})
	}
	wg.Wait()
}

func votersOf(c raft.Configuration) []MemberID {
	var voters []MemberID
	for _, server := range c.Servers {
		if id, ok := parseID(server.ID); ok && server.Suffrage == raft.Voter {
			voters = append(voters, id)
		}
	}
	return voters
}

func parseID(text raft.ServerID) (id MemberID, ok bool) {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(id) {
		return id, false
	}
	copy(id[:], b)
	return id, true
}
