package member

import (
	"fmt"
	"slices"

	"arbor/cluster"
	"arbor/cluster/consensus"
	"arbor/cluster/protocol"
)

// Members describes the members of the cluster, removed ones included.
func (m *Member) Members() ([]cluster.MemberRow, error) {
	s, placed, _, err := m.placed()
	if err != nil {
		return nil, err
	}
	group := m.group.Load()
	leader, _ := group.Leader()
	voters := group.Voters()
	var rows []cluster.MemberRow
	for _, other := range s.Members {
		row := cluster.MemberRow{
			ID: other.ID.String(), Addresses: other.Addresses, Zone: other.Zone, Role: other.Roles.String(), Standing: other.Standing.String(),
			Alive: m.Alive(other.ID), Leader: other.ID == leader, Votes: slices.Contains(voters, other.ID), Self: other.ID == m.identity.id,
			Buckets: heldBy(placed, other.ID), Boot: other.Boot, Generation: other.Generation, Release: other.Release,
		}
		if g := m.gossip.Load(); g != nil {
			hint, _ := g.Hint(other.ID)
			row.MySQL, row.HTTP = hint.MySQL, hint.HTTP
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// Replicas describes which members hold which buckets.
func (m *Member) Replicas() ([]cluster.ReplicaRow, error) {
	_, placed, _, err := m.placed()
	if err != nil {
		return nil, err
	}
	var rows []cluster.ReplicaRow
	for b := range placed.Configs {
		c := &placed.Configs[b]
		for _, r := range c.Members() {
			state := cluster.ReplicaSettled
			switch here, there := slices.Contains(c.Old, r), slices.Contains(c.New, r); {
			case !c.Joint():
			case here && there:
				state = cluster.ReplicaStays
			case here:
				state = cluster.ReplicaLeaves
			default:
				state = cluster.ReplicaArrives
			}
			rows = append(rows, cluster.ReplicaRow{Bucket: b, Member: r.Member.String(), Generation: r.Generation, Epoch: c.Epoch, State: state, Alive: m.Alive(r.Member)})
		}
	}
	return rows, nil
}

// Jobs describes moves that are under way.
func (m *Member) Jobs() ([]cluster.JobRow, error) {
	_, placed, wanted, err := m.placed()
	if err != nil {
		return nil, err
	}
	n := progressOf(placed, wanted)
	if n.moving+n.waiting == 0 {
		return nil, nil
	}
	return []cluster.JobRow{{
		Kind: "move", Progress: float64(n.settled) / protocol.Buckets,
		Message: fmt.Sprintf("%d of %d buckets are where they should be, %d are on their way, %d wait", n.settled, protocol.Buckets, n.moving, n.waiting),
	}}, nil
}

// placed is the state in force with its placement, and what the plan wants of it.
func (m *Member) placed() (*consensus.State, *protocol.Placement, *wanted, error) {
	s := m.state()
	if s == nil {
		return nil, nil, nil, ErrNotReady
	}
	placed, wanted, err := m.planner.placement(s)
	return s, placed, wanted, err
}
