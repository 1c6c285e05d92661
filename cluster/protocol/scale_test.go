package protocol

import (
	"fmt"
	"testing"

	"arbor/engine/dot"
)

// scaled is a placement over so many members.
func scaled(members int) *Placement {
	var nodes []Node
	for i := range members {
		nodes = append(nodes, Node{Replica: Replica{MemberID{byte(i), byte(i >> 8), 1}, 1}, Zone: fmt.Sprint(i % 3), Weight: 1})
	}
	p := &Placement{}
	for _, replicas := range Assign(nodes, Buckets, 3) {
		p.Configs = append(p.Configs, Config{Epoch: 1, Old: replicas})
	}
	return p
}

// BenchmarkPlacement assigns all buckets anew, as the leader does when members come and
// go, and reports what the table has in bytes, which each change of it carries.
func BenchmarkPlacement(b *testing.B) {
	for _, members := range []int{3, 100, 1000} {
		b.Run(fmt.Sprint(members, " members"), func(b *testing.B) {
			var p *Placement
			for b.Loop() {
				p = scaled(members)
			}
			b.ReportMetric(float64(len(p.Encode())), "B/table")
		})
	}
}

// TestPlacementOfAThousand: with 1,000 members the table stays small, and nobody holds
// more than a bucket or two above the share.
func TestPlacementOfAThousand(t *testing.T) {
	p := scaled(1000)
	if n := len(p.Encode()); n > 96<<10 {
		t.Errorf("the table has %d bytes", n)
	}
	held := map[MemberID]int{}
	for i := range p.Configs {
		for _, r := range p.Configs[i].Old {
			held[r.Member]++
		}
	}
	for id, n := range held {
		if n > 4 { // 3 × 1024 / 1000, with a tenth more
			t.Errorf("member %v holds %d buckets", id, n)
		}
	}
	// What a member says each second of what it holds is a few lines.
	if n := len(Encode(&Summary{Call: Call{dot.Stream{1}, 1}, Lines: make([]SummaryLine, 4)})); n > 256 {
		t.Errorf("a summary has %d bytes", n)
	}
}
