package protocol

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"arbor/catalog"
)

func nodes(n, zones int) []Node {
	all := make([]Node, n)
	r := rand.New(rand.NewPCG(7, 7))
	for i := range all {
		for j := range all[i].Replica.Member {
			all[i].Replica.Member[j] = byte(r.Uint32())
		}
		all[i].Weight, all[i].Zone = 1, fmt.Sprint("z", i%zones)
	}
	return all
}

func TestAssignIsBalancedAndZoned(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 9, 30, 100} {
		all := nodes(n, 3)
		assigned := Assign(all, Buckets, 3)
		load, zone := map[Replica]int{}, map[Replica]string{}
		for _, x := range all {
			zone[x.Replica] = x.Zone
		}
		for b, rs := range assigned {
			zones := map[string]bool{}
			for _, r := range rs {
				load[r]++
				zones[zone[r]] = true
			}
			if len(rs) != min(3, n) || len(zones) != min(3, n) {
				t.Fatalf("%d nodes, bucket %d: %v in %v", n, b, rs, zones)
			}
		}
		fair := float64(Buckets*min(3, n)) / float64(n)
		for r, l := range load {
			// With 5 nodes one zone is one node, which then has a copy of all.
			if n != 5 && float64(l) > fair*1.25+1 {
				t.Errorf("%d nodes: %v has %d buckets, fair are %.0f", n, r, l, fair)
			}
		}
		shuffled := slices.Clone(all)
		rand.New(rand.NewPCG(1, 1)).Shuffle(n, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if !slices.EqualFunc(assigned, Assign(shuffled, Buckets, 3), slices.Equal[[]Replica]) {
			t.Errorf("%d nodes: the order of nodes matters", n)
		}
	}
}

func TestOneNodeMoreMovesLittle(t *testing.T) {
	all := nodes(11, 1)
	before, after := Assign(all[:10], Buckets, 3), Assign(all, Buckets, 3)
	moved := 0
	for b := range before {
		for _, r := range after[b] {
			if !slices.Contains(before[b], r) {
				moved++
			}
		}
	}
	if fair := Buckets * 3 / 11; moved > fair*3/2 {
		t.Errorf("%d replicas moved, fair are %d", moved, fair)
	}
}

func TestWeights(t *testing.T) {
	all := nodes(6, 1)
	all[0].Weight, all[1].Weight = 0, 2
	load := map[Replica]int{}
	for _, rs := range Assign(all, Buckets, 2) {
		for _, r := range rs {
			load[r]++
		}
	}
	if load[all[0].Replica] != 0 || load[all[1].Replica] < load[all[2].Replica]*3/2 {
		t.Errorf("%v", load)
	}
}

func TestChangesOfAConfig(t *testing.T) {
	a, b, c := Replica{MemberID{1}, 1}, Replica{MemberID{2}, 1}, Replica{MemberID{3}, 1}
	p := &Placement{Configs: make([]Config, 2)}
	step := func(got Config, err error, want string) {
		t.Helper()
		if err != nil || got.String() != want {
			t.Fatalf("got %v, %v, want %s", got, err, want)
		}
	}
	got, err := p.Begin(Begin{1, 0, []Replica{a}})
	step(got, err, "1{[0100.1]}")
	got, err = p.Begin(Begin{1, 1, []Replica{a, b, c}})
	step(got, err, "2{[0100.1] → [0100.1 0200.1 0300.1]}")
	if _, err := p.End(End{1, 2, []Replica{a}}); err == nil {
		t.Fatal("one of three is no majority")
	}
	if _, err := p.End(End{1, 1, []Replica{a, b, c}}); !errors.Is(err, ErrMoved) {
		t.Fatal(err)
	}
	got, err = p.Begin(Begin{1, 2, []Replica{b}})
	step(got, err, "3{[0100.1] → [0200.1]}")
	got, err = p.Begin(Begin{1, 3, []Replica{a}}) // back to where it was
	step(got, err, "4{[0100.1]}")
	if _, err := p.End(End{1, 4, []Replica{a}}); err == nil {
		t.Fatal("there is no change to end")
	}
	got, err = p.Begin(Begin{1, 4, []Replica{b, c}})
	step(got, err, "5{[0100.1] → [0200.1 0300.1]}")
	got, err = p.End(End{1, 5, []Replica{b, c}})
	step(got, err, "6{[0200.1 0300.1]}")
	for _, bad := range []Begin{{0, 0, nil}, {2, 0, []Replica{a}}, {1, 6, []Replica{a, a}}} {
		if _, err := p.Begin(bad); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}

// TestBucketsStay: where an event falls is part of the format.
func TestBucketsStay(t *testing.T) {
	for _, x := range []struct {
		project catalog.ProjectID
		slot    uint16
		want    Bucket
	}{{1, 0, 759}, {2, 0, 855}, {1, 1, 735}} {
		k := catalog.ShardKey{Project: x.project, Day: 20000, Bucket: x.slot}
		other := k
		other.Day++
		if got := BucketOf(k); got != x.want || got != BucketOf(other) {
			t.Errorf("project %d, slot %d: bucket %d, want %d", x.project, x.slot, got, x.want)
		}
	}
}
