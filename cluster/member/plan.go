package member

import (
	"slices"

	"arbor/cluster"
	"arbor/cluster/consensus"
	"arbor/cluster/protocol"
)

// Limits of placement.
const (
	// maxChanges of buckets are under way at once: what moves does not crowd out
	// what is asked, and a leader that is lost leaves little half done.
	maxChanges = 256
	// automaticReplicas is how many copies there are where no setting says so, as
	// far as there are members.
	automaticReplicas = cluster.DefaultReplicas
)

// wanted is who should hold each bucket: a pure function of what is agreed on.
type wanted struct {
	nodes    []protocol.Node
	replicas int
	sets     [][]protocol.Replica
	members  map[MemberID]*consensus.Member // that may hold buckets
}

// eligible are the members that may hold buckets. One that never started has
// nowhere to put them.
func eligible(s *consensus.State) (nodes []protocol.Node) {
	for _, m := range s.Members {
		if m.Standing == consensus.Admitted && m.Roles&consensus.RoleStorage != 0 && m.Generation > 0 && m.Boot > 0 {
			nodes = append(nodes, protocol.Node{Replica: protocol.Replica{Member: m.ID, Generation: m.Generation}, Zone: m.Zone, Weight: 1})
		}
	}
	return nodes
}

// replicasOf is how many copies of each bucket there should be.
func replicasOf(s *consensus.State) int {
	if n := s.Catalog.Replicas(); n > 0 {
		return n
	}
	return automaticReplicas
}

// want says who should hold each bucket. It gives before where nothing of that has
// changed.
func want(s *consensus.State, before *wanted) *wanted {
	nodes, replicas := eligible(s), replicasOf(s)
	w := &wanted{nodes: nodes, replicas: replicas, members: map[MemberID]*consensus.Member{}}
	for _, n := range nodes {
		w.members[n.Replica.Member], _ = s.Member(n.Replica.Member)
	}
	if before != nil && before.replicas == replicas && slices.Equal(before.nodes, nodes) {
		w.sets = before.sets
	} else {
		w.sets = protocol.Assign(nodes, protocol.Buckets, replicas)
	}
	return w
}

// lasts says whether a replica of a bucket is one still, and of a member that may
// hold buckets.
func (w *wanted) lasts(b protocol.Bucket, r protocol.Replica) bool {
	m := w.members[r.Member]
	return m != nil && r.Generation <= m.Generation && !m.Lost(int(b), r.Generation)
}

// set is who should hold a bucket. A member that holds it already holds it under
// the identity that it has there, unless that was lost.
func (w *wanted) set(b protocol.Bucket, c *protocol.Config) []protocol.Replica {
	set := slices.Clone(w.sets[b])
	for i, r := range set {
		for _, held := range c.Members() {
			if held.Member == r.Member && w.lasts(b, held) {
				set[i] = held
			}
		}
	}
	return set
}

// changes are the next changes of a placement towards what is wanted: those of
// buckets with a replica that is none any more first, then the others, as many as
// may be under way. Liveness has a say in when a change begins, never in which:
// ready says whether a member that is to get a bucket seems to be there.
func changes(p *protocol.Placement, w *wanted, most int, ready func(MemberID) bool) (begin []protocol.Begin) {
	if len(w.nodes) == 0 {
		return nil
	}
	var other, urgent, moves []protocol.Begin // other aims take the place of a change
	for b := range p.Configs {
		bucket, c := protocol.Bucket(b), &p.Configs[b]
		to, aim := w.set(bucket, c), c.Old
		if c.Joint() {
			aim = c.New
			most--
		}
		switch {
		case sameSet(aim, to):
			continue
		case c.Joint():
			// A change goes on to its end, unless it leads to somebody who is lost.
			if !slices.ContainsFunc(c.New, func(r protocol.Replica) bool { return !w.lasts(bucket, r) }) {
				continue
			}
		}
		if sameSet(c.Old, to) {
			to = c.Old
		}
		if slices.ContainsFunc(to, func(r protocol.Replica) bool { return !slices.Contains(c.Old, r) && !ready(r.Member) }) {
			continue
		}
		change := protocol.Begin{Bucket: bucket, Epoch: c.Epoch, New: to}
		switch {
		case c.Joint():
			other = append(other, change)
		case slices.ContainsFunc(c.Old, func(r protocol.Replica) bool { return !w.lasts(bucket, r) }):
			urgent = append(urgent, change)
		default:
			moves = append(moves, change)
		}
	}
	begin = append(urgent, moves...)
	return append(other, begin[:min(len(begin), max(most, 0))]...)
}

func sameSet(a, b []protocol.Replica) bool {
	if len(a) != len(b) {
		return false
	}
	for _, r := range a {
		if !slices.Contains(b, r) {
			return false
		}
	}
	return true
}

// progress counts the buckets that are as wanted, on their way, and yet to move.
type progress struct{ settled, moving, waiting int }

func progressOf(p *protocol.Placement, w *wanted) (n progress) {
	for b := range p.Configs {
		switch c := &p.Configs[b]; {
		case c.Joint():
			n.moving++
		case len(w.nodes) == 0 || sameSet(c.Old, w.set(protocol.Bucket(b), c)):
			n.settled++
		default:
			n.waiting++
		}
	}
	return n
}

// heldBy counts the buckets that a member has, or gets.
func heldBy(p *protocol.Placement, id MemberID) (n int) {
	of := func(r protocol.Replica) bool { return r.Member == id }
	for b := range p.Configs {
		if slices.ContainsFunc(p.Configs[b].Old, of) || slices.ContainsFunc(p.Configs[b].New, of) {
			n++
		}
	}
	return n
}
