package member

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"arbor/cluster"
	"arbor/cluster/consensus"
	"arbor/cluster/protocol"
)

var _ cluster.Control = (*Member)(nil)

// wish is what an operator asks of the leader.
type wish struct {
	Verb string
	// ID and Other are members' ids.
	ID    string `json:",omitempty"`
	Other string `json:",omitempty"`
	Force bool   `json:",omitempty"`
}

// The verbs.
const (
	verbDrain    = "drain"
	verbRestore  = "restore"
	verbRemove   = "remove"
	verbReplace  = "replace"
	verbTransfer = "transfer"
)

// Drain has what a member holds moved to others.
func (m *Member) Drain(ctx context.Context, id string, force bool) error {
	return m.ask(ctx, wish{Verb: verbDrain, ID: id, Force: force})
}

// Restore takes a drain back.
func (m *Member) Restore(ctx context.Context, id string) error {
	return m.ask(ctx, wish{Verb: verbRestore, ID: id})
}

// Remove ends a membership for ever.
func (m *Member) Remove(ctx context.Context, id string, force bool) error {
	return m.ask(ctx, wish{Verb: verbRemove, ID: id, Force: force})
}

// Replace drains a member whose part another one, already there, will take.
func (m *Member) Replace(ctx context.Context, id, by string) error {
	return m.ask(ctx, wish{Verb: verbReplace, ID: id, Other: by})
}

// TransferLeader lets another member lead the metadata: that one, or, for no id,
// whichever is best.
func (m *Member) TransferLeader(ctx context.Context, id string) error {
	return m.ask(ctx, wish{Verb: verbTransfer, ID: id})
}

// ask has the leader do what an operator asks for.
func (m *Member) ask(ctx context.Context, w wish) error {
	group, err := m.ready()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, applyWithin)
	defer cancel()
	if group.Leads() {
		return m.grant(ctx, w)
	}
	leader, ok := group.Leader()
	if !ok {
		return fmt.Errorf("%w: %w", cluster.ErrUnavailable, consensus.ErrNoLeader)
	}
	b, err := json.Marshal(w)
	if err != nil {
		return err
	}
	asked, over := group.While(ctx, leader)
	defer over()
	answer, err := m.node.Call(asked, leader, callAdmin, b)
	if asked.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: member %s leads no more, and whether it did what was asked is not known: %w", cluster.ErrUnavailable, leader, consensus.ErrNoLeader)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", cluster.ErrUnavailable, err)
	}
	if len(answer) > 0 {
		return fmt.Errorf("%w: %s", cluster.ErrRefused, answer)
	}
	return nil
}

// answerAdmin gives why a wish is refused, or nothing.
func (m *Member) answerAdmin(ctx context.Context, _ MemberID, b []byte) ([]byte, error) {
	var w wish
	if err := json.Unmarshal(b, &w); err != nil {
		return nil, err
	}
	err := m.grant(ctx, w)
	if text, ok := strings.CutPrefix(fmt.Sprint(err), cluster.ErrRefused.Error()+": "); ok && errors.Is(err, cluster.ErrRefused) {
		return []byte(text), nil
	}
	return nil, err
}

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %w", cluster.ErrRefused, fmt.Errorf(format, args...))
}

// grant does what an operator asks for, one wish at a time, as the leader.
func (m *Member) grant(ctx context.Context, w wish) error {
	m.admin.Lock()
	defer m.admin.Unlock()
	group := m.group.Load()
	s := group.State()
	if w.Verb == verbTransfer && w.ID == "" {
		return m.transfer(MemberID{})
	}
	target, err := find(s, w.ID)
	if err != nil {
		return err
	}
	switch w.Verb {
	case verbTransfer:
		if !slices.Contains(group.Voters(), target.ID) {
			return refused("member %s does not vote, so it cannot lead; arbor.members says who votes", target.ID)
		}
		return m.transfer(target.ID)
	case verbRestore:
		return m.stand(ctx, target.ID, consensus.Admitted)
	case verbDrain:
		if !w.Force {
			if err := m.mayDrain(s, target); err != nil {
				return err
			}
		}
		return m.stand(ctx, target.ID, consensus.Draining)
	case verbReplace:
		other, err := find(s, w.Other)
		if err != nil {
			return err
		}
		if other.ID == target.ID || other.Standing != consensus.Admitted || other.Roles&consensus.RoleStorage == 0 || other.Boot == 0 || !m.Alive(other.ID) {
			return refused("member %s cannot take the part of another: it has to be admitted, to store events, and to be up", other.ID)
		}
		if err := m.mayDrain(s, target); err != nil {
			return err
		}
		return m.stand(ctx, target.ID, consensus.Draining)
	case verbRemove:
		if err := m.mayRemove(s, target, w.Force); err != nil {
			return err
		}
		return m.stand(ctx, target.ID, consensus.Removed)
	}
	return refused("this arbor does not know how to %s", w.Verb)
}

func (m *Member) stand(ctx context.Context, id MemberID, to consensus.Standing) error {
	if _, err := m.apply(ctx, consensus.Stand{ID: id, Standing: to}); err != nil {
		if errors.Is(err, cluster.ErrUnavailable) {
			return err
		}
		return refused("%w", err)
	}
	m.logger.Info("a member stands otherwise now", "member", id, "standing", to.String())
	return nil
}

func (m *Member) transfer(to MemberID) error {
	if to == m.identity.id {
		return nil // it leads already
	}
	if len(m.group.Load().Voters()) < 2 {
		return refused("there is no other member that votes")
	}
	if err := m.group.Load().TransferLeader(to); err != nil {
		return refused("%w", err)
	}
	return nil
}

// find finds a present member by its id or an unambiguous beginning of it.
func find(s *consensus.State, name string) (*consensus.Member, error) {
	var found []*consensus.Member
	for _, m := range s.Present() {
		if name != "" && strings.HasPrefix(m.ID.String(), strings.ToLower(name)) {
			found = append(found, m)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, refused("there is no member '%.40s'; SELECT id FROM arbor.members", name)
	default:
		return nil, refused("'%.40s' is the beginning of %d members' ids; give more of it", name, len(found))
	}
}

// mayDrain refuses to leave fewer members than there should be copies.
func (m *Member) mayDrain(s *consensus.State, target *consensus.Member) error {
	if target.Standing == consensus.Draining || target.Roles&consensus.RoleStorage == 0 {
		return nil
	}
	left := len(slices.DeleteFunc(eligible(s), func(n protocol.Node) bool { return n.Replica.Member == target.ID }))
	if copies := min(replicasOf(s), len(eligible(s))); left < copies {
		return refused("without member %s there are %d members for %d copies of the events: add a member first (CALL arbor.add_member()), or force it (CALL arbor.drain('%s', 'force'))",
			target.ID, left, copies, target.ID)
	}
	return nil
}

// mayRemove refuses to remove a member that still has something, whose absence would
// cost the metadata its majority, or, unless forced, that is up and not drained.
func (m *Member) mayRemove(s *consensus.State, target *consensus.Member, force bool) error {
	placed, _, err := m.planner.placement(s)
	if err != nil {
		return err
	}
	if err := mayVote(m.group.Load().Voters(), target.ID, m.Alive); err != nil && !force {
		return err
	}
	held := heldBy(placed, target.ID)
	if held == 0 {
		return nil
	}
	if !force {
		return refused("member %s holds %d of %d buckets: CALL arbor.drain('%s') first, and wait until arbor.members says that it holds none",
			target.ID, held, protocol.Buckets, target.ID)
	}
	if alone := len(needs(s, placed, target.ID, allBuckets())); alone > 0 {
		return refused("%d buckets have no majority of copies without member %s, so they could not be moved any more and their events would be lost: start it again and drain it",
			alone, target.ID)
	}
	return nil
}

// mayVote refuses to take out a member without whom those that vote, as far as
// they are up, are no majority. Its own vote counts until another one has it.
func mayVote(voters []MemberID, without MemberID, alive func(MemberID) bool) error {
	up := 0
	for _, v := range voters {
		if v != without && alive(v) {
			up++
		}
	}
	if len(voters) > 0 && up <= len(voters)/2 {
		return refused("without member %s only %d of the %d members that vote are up, which cannot decide anything: start the others, or wait until arbor.members says that more of them vote", without, up, len(voters))
	}
	return nil
}

// needs are those of the buckets that a member is a replica of and that have no
// majority of their replicas without it. A replica that was lost, or whose member was
// removed, is none.
func needs(s *consensus.State, p *protocol.Placement, id MemberID, buckets []protocol.Bucket) (needed []protocol.Bucket) {
	for _, b := range buckets {
		held, left := false, 0
		for _, r := range p.Configs[b].Old {
			member, known := s.Member(r.Member)
			switch {
			case r.Member == id:
				held = true
			case known && member.Standing != consensus.Removed && !member.Lost(int(b), r.Generation):
				left++
			}
		}
		if held && left <= len(p.Configs[b].Old)/2 {
			needed = append(needed, b)
		}
	}
	return needed
}

// Rebalance has the leader look at once, and says how many buckets are not where
// they should be.
func (m *Member) Rebalance(context.Context) (moving int, err error) {
	_, placed, wanted, err := m.placed()
	if err != nil {
		return 0, err
	}
	m.planner.wake()
	n := progressOf(placed, wanted)
	return n.moving + n.waiting, nil
}
