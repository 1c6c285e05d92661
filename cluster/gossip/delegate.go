package gossip

import (
	"fmt"
	"slices"

	"github.com/hashicorp/memberlist"
)

// delegate is what memberlist calls. Some of it is called under memberlist's own
// locks, so none of it calls back.
type delegate Gossip

var (
	_ memberlist.Delegate      = (*delegate)(nil)
	_ memberlist.EventDelegate = (*delegate)(nil)
	_ memberlist.AliveDelegate = (*delegate)(nil)
	_ memberlist.MergeDelegate = (*delegate)(nil)
)

// NodeMeta is this member's hint.
func (d *delegate) NodeMeta(int) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hint
}

// NotifyMsg is for messages that nobody sends.
func (d *delegate) NotifyMsg([]byte) {}

// GetBroadcasts has none.
func (d *delegate) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState has nothing to exchange but what memberlist has.
func (d *delegate) LocalState(bool) []byte { return nil }

// MergeRemoteState takes nothing.
func (d *delegate) MergeRemoteState([]byte, bool) {}

// check says whether a node is a member of this cluster.
func (d *delegate) check(n *memberlist.Node) (MemberID, Hint, error) {
	id, ok := parseID(n.Name)
	if !ok {
		return id, Hint{}, fmt.Errorf("gossip about %q: %w", n.Name, ErrStranger)
	}
	h, err := decodeHint(d.o.Cluster, n.Meta)
	if err == nil && id != d.o.ID && !slices.Contains(d.o.Members(), id) {
		err = ErrStranger
	}
	if err != nil {
		err = fmt.Errorf("gossip about %s: %w", id, err)
	}
	return id, h, err
}

// NotifyAlive refuses nodes of other clusters, and those that were removed or
// that the metadata here does not know yet, which are heard of again.
func (d *delegate) NotifyAlive(n *memberlist.Node) error {
	_, _, err := d.check(n)
	return err
}

// NotifyMerge refuses to exchange all with nodes of another cluster. One that is
// merely unknown here does no harm: NotifyAlive leaves it out.
func (d *delegate) NotifyMerge(nodes []*memberlist.Node) error {
	for _, n := range nodes {
		if _, err := decodeHint(d.o.Cluster, n.Meta); err != nil {
			return fmt.Errorf("gossip with %q: %w", n.Name, err)
		}
	}
	return nil
}

// NotifyJoin notes that a member came.
func (d *delegate) NotifyJoin(n *memberlist.Node) { d.note(n) }

// NotifyUpdate notes a member's new hint.
func (d *delegate) NotifyUpdate(n *memberlist.Node) { d.note(n) }

func (d *delegate) note(n *memberlist.Node) {
	id, h, err := d.check(n)
	if err != nil {
		return
	}
	d.mu.Lock()
	d.peers[id] = h
	d.mu.Unlock()
	d.o.Changed()
}

// NotifyLeave notes that a member left or seems to be dead.
func (d *delegate) NotifyLeave(n *memberlist.Node) {
	if id, ok := parseID(n.Name); ok {
		d.mu.Lock()
		delete(d.peers, id)
		d.mu.Unlock()
		d.o.Changed()
	}
}
