package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/zeebo/xxh3"
)

// ErrMoved: a change of a config was made for another epoch than the one in
// force. Look again.
var ErrMoved = errors.New("config has changed meanwhile")

// Placement is the table of configs, by bucket. It is part of the metadata, and
// changes by the commands below only, each a pure function of the table.
type Placement struct {
	Configs []Config
}

// Begin starts a change of a bucket's replicas, or gives one that is under way
// another aim; without New it is given up. A bucket without any config gets its
// first one, for it holds nothing. A member that was in a config of the bucket
// before comes back under the generation that it had there, unless that was
// lost; any other comes under the member's generation of now. When that goes up,
// identities of the member that it had not taken up yet are lost, too.
type Begin struct {
	Bucket Bucket
	Epoch  uint64 // in force
	New    []Replica
}

// End finishes a change: the old replicas are relieved. Synced are the new ones
// that have said at this epoch that they have caught up.
type End struct {
	Bucket Bucket
	Epoch  uint64
	Synced []Replica
}

// Begin gives the config that the command makes.
func (p *Placement) Begin(b Begin) (Config, error) {
	c, err := p.at(b.Bucket, b.Epoch)
	if err != nil {
		return Config{}, err
	}
	for i, r := range b.New {
		if slices.ContainsFunc(b.New[:i], func(o Replica) bool { return o.Member == r.Member }) {
			return Config{}, fmt.Errorf("begin a change of bucket %d: member %v stands there twice", b.Bucket, r.Member)
		}
	}
	if c.Epoch == 0 {
		if len(b.New) == 0 {
			return Config{}, fmt.Errorf("begin bucket %d: it needs a replica", b.Bucket)
		}
		return p.set(b.Bucket, Config{Epoch: 1, Old: b.New}), nil
	}
	if slices.Equal(b.New, c.Old) {
		b.New = nil
	}
	if slices.Equal(b.New, c.New) {
		return *c, nil
	}
	return p.set(b.Bucket, Config{Epoch: c.Epoch + 1, Old: c.Old, New: b.New}), nil
}

// End gives the config that the command makes.
func (p *Placement) End(x End) (Config, error) {
	c, err := p.at(x.Bucket, x.Epoch)
	if err != nil {
		return Config{}, err
	}
	if !c.Joint() || !majority(c.New, func(r Replica) bool { return slices.Contains(x.Synced, r) }) {
		return Config{}, fmt.Errorf("end the change of bucket %d: %v are not a majority of the new replicas of %v", x.Bucket, x.Synced, *c)
	}
	return p.set(x.Bucket, Config{Epoch: c.Epoch + 1, Old: c.New}), nil
}

func (p *Placement) at(b Bucket, epoch uint64) (*Config, error) {
	if int(b) >= len(p.Configs) {
		return nil, fmt.Errorf("there is no bucket %d", b)
	}
	if c := &p.Configs[b]; c.Epoch == epoch {
		return c, nil
	}
	return nil, fmt.Errorf("%w: bucket %d is at epoch %d, not %d", ErrMoved, b, p.Configs[b].Epoch, epoch)
}

func (p *Placement) set(b Bucket, c Config) Config {
	p.Configs[b] = c
	return c
}

// Node is a member as placement sees it: what the metadata says, never whether it
// is alive.
type Node struct {
	Replica Replica
	Zone    string
	// Weight is its share of the buckets, beside others'; 0 takes none.
	Weight float64
}

// loadSlack is how much above its fair share a node may hold.
const loadSlack = 1.1

// Assign says which nodes should hold each of n buckets: by weighted rendezvous,
// in different zones as far as there are enough, and no node with much more than
// its share. The same nodes give the same answer in any order, and one node more
// or less moves little else than what it holds.
func Assign(nodes []Node, n, replicas int) [][]Replica {
	nodes = slices.DeleteFunc(slices.Clone(nodes), func(x Node) bool { return x.Weight <= 0 })
	slices.SortFunc(nodes, func(a, b Node) int { return slices.Compare(a.Replica.Member[:], b.Replica.Member[:]) })
	replicas = min(replicas, len(nodes))
	var total float64
	zones := map[string]bool{}
	for _, x := range nodes {
		total += x.Weight
		zones[x.Zone] = true
	}
	room := make([]int, len(nodes))
	for i, x := range nodes {
		room[i] = int(math.Ceil(loadSlack * x.Weight / total * float64(n*replicas)))
	}
	all := make([][]Replica, n)
	for b := range all {
		order := ranked(nodes, b)
		var chosen []int
		used := map[string]bool{}
		// First with all wishes; then with fewer, until there are enough.
		for _, wish := range []struct{ zone, load bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
			for _, i := range order {
				full := wish.load && room[i] <= 0
				near := wish.zone && used[nodes[i].Zone] && len(used) < len(zones)
				if len(chosen) == replicas || full || near || slices.Contains(chosen, i) {
					continue
				}
				chosen = append(chosen, i)
				used[nodes[i].Zone] = true
				room[i]--
			}
		}
		for _, i := range chosen {
			all[b] = append(all[b], nodes[i].Replica)
		}
	}
	return all
}

// ranked are the nodes in the order in which a bucket likes them.
func ranked(nodes []Node, bucket int) []int {
	scores, order := make([]float64, len(nodes)), make([]int, len(nodes))
	for i, x := range nodes {
		key := binary.LittleEndian.AppendUint16(slices.Clone(x.Replica.Member[:]), uint16(bucket))
		u := (float64(xxh3.Hash(key)>>11) + 0.5) / (1 << 53)
		scores[i], order[i] = -x.Weight/math.Log(u), i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return 0
	})
	return order
}
