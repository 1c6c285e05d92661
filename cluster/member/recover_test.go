package member

import (
	"testing"

	"arbor/cluster/consensus"
	"arbor/cluster/protocol"
)

// TestGiveUpReplicas: a bucket goes on without lost members only if it cannot with them.
func TestGiveUpReplicas(t *testing.T) {
	l := newLand(t)
	for n := byte(2); n <= 6; n++ {
		l.add(n, "")
	}
	l.change(4, func(m *consensus.Member) { m.Losses = []consensus.Loss{{Generation: 1}}; m.Generation = 2 })
	set := func(members ...byte) (all []protocol.Replica) {
		for _, n := range members {
			all = append(all, protocol.Replica{Member: id(n), Generation: 1})
		}
		return all
	}
	cases := []struct{ is, want protocol.Config }{
		{protocol.Config{Epoch: 1, Old: set(1, 2, 3)}, protocol.Config{Epoch: 1, Old: set(1, 2, 3)}}, // two are left
		{protocol.Config{Epoch: 1, Old: set(1, 5, 6)}, protocol.Config{Epoch: 1, Old: set(1)}},
		{protocol.Config{Epoch: 1, Old: set(1, 4, 6)}, protocol.Config{Epoch: 1, Old: set(1)}}, // 4 lost its disk
		{protocol.Config{Epoch: 1, Old: set(1, 2, 5, 6)}, protocol.Config{Epoch: 1, Old: set(1, 2)}},
		{protocol.Config{Epoch: 1, Old: set(5, 6)}, protocol.Config{Epoch: 1, Old: set(5, 6)}},                                             // gone
		{protocol.Config{Epoch: 1, Old: set(1, 2, 3), New: set(1, 2, 5)}, protocol.Config{Epoch: 1, Old: set(1, 2, 3), New: set(1, 2, 5)}}, // two of each
		{protocol.Config{Epoch: 1, Old: set(1, 2, 3), New: set(5, 6)}, protocol.Config{Epoch: 1, Old: set(1, 2, 3)}},
		{protocol.Config{Epoch: 1, Old: set(1, 5, 6), New: set(1, 2, 3)}, protocol.Config{Epoch: 1, Old: set(1), New: set(1, 2, 3)}},
		{protocol.Config{Epoch: 1, Old: set(1, 5), New: set(1, 6)}, protocol.Config{Epoch: 1, Old: set(1)}},
		{protocol.Config{}, protocol.Config{}},
	}
	p := &protocol.Placement{}
	for _, c := range cases {
		p.Configs = append(p.Configs, c.is)
	}
	alone, gone := giveUpReplicas(l.state, p, []MemberID{id(5), id(6)})
	if alone != 5 || len(gone) != 1 || gone[0] != 4 {
		t.Errorf("%d go on alone, %v are gone", alone, gone)
	}
	for b, c := range cases {
		if !p.Configs[b].Equal(&c.want) {
			t.Errorf("%v becomes %v, want %v", c.is, p.Configs[b], c.want)
		}
	}
	for b, c := range cases {
		p.Configs[b] = c.is
	}
	if alone, gone := giveUpReplicas(l.state, p, nil); alone != 0 || gone != nil || !p.Configs[1].Equal(&cases[1].is) {
		t.Error("something is given up though nobody is lost")
	}
}
