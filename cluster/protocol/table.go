package protocol

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// ErrTable: a placement's bytes are damaged, or a newer arbor wrote them.
var ErrTable = errors.New("placement cannot be read")

// tableVersion is of the encoding of a placement:
//
//	┌─────────┬──────────┬───────────────────────────┬─────────┬──────────────────────────────────────┐
//	│ version │ replicas │ member, generation of each │ configs │ epoch, old, new of each; old and new │
//	│ 1       │ varint   │ 16, varint                 │ varint  │ as a number and that many replicas   │
//	└─────────┴──────────┴───────────────────────────┴─────────┴──────────────────────────────────────┘
//
// where a replica of a config is its place in the list. Numbers are varints. What
// holds the bytes has the checksum.
const tableVersion = 1

// MaxReplicas is how many replicas a bucket may have.
const MaxReplicas = 8

// places is a config whose replicas are named by their places in a list of all.
type places struct {
	epoch    uint64
	old, new []uint64
}

func (c *coder) places(v *places) {
	c.uint(&v.epoch)
	list(c, &v.old, 1, (*coder).uint)
	list(c, &v.new, 1, (*coder).uint)
}

// Encode gives the placement's bytes. Equal placements have equal bytes.
func (p *Placement) Encode() []byte {
	at := map[Replica]uint64{}
	var all []Replica
	placesOf := func(set []Replica) (out []uint64) {
		for _, r := range set {
			if _, ok := at[r]; !ok {
				at[r] = uint64(len(all))
				all = append(all, r)
			}
			out = append(out, at[r])
		}
		return out
	}
	configs := make([]places, len(p.Configs))
	for i := range p.Configs {
		c := &p.Configs[i]
		configs[i] = places{c.Epoch, placesOf(c.Old), placesOf(c.New)}
	}
	c := &coder{b: []byte{tableVersion}}
	c.replicas(&all)
	list(c, &configs, 3, (*coder).places)
	return c.b
}

// DecodePlacement reads what Encode wrote. No bytes are a placement of nothing.
func DecodePlacement(b []byte) (*Placement, error) {
	p := &Placement{Configs: make([]Config, Buckets)}
	if len(b) == 0 {
		return p, nil
	}
	if b[0] != tableVersion {
		return nil, fmt.Errorf("%w: version %d, this one reads version %d", ErrTable, b[0], tableVersion)
	}
	c := &coder{b: b[1:], decoding: true}
	var all []Replica
	var configs []places
	c.replicas(&all)
	list(c, &configs, 3, (*coder).places)
	if c.broken {
		return nil, fmt.Errorf("%w: its bytes are damaged", ErrTable)
	}
	if n := len(configs); n != Buckets {
		return nil, fmt.Errorf("%w: it has %d buckets, not %d", ErrTable, n, Buckets)
	}
	set := func(at []uint64) (out []Replica) {
		if len(at) > MaxReplicas {
			c.fail()
			return nil
		}
		for _, place := range at {
			if place >= uint64(len(all)) {
				c.fail()
				return nil
			}
			out = append(out, all[place])
		}
		return out
	}
	for i := range configs {
		if configs[i].epoch > math.MaxInt64 {
			c.fail()
		}
		p.Configs[i] = Config{Epoch: configs[i].epoch, Old: set(configs[i].old), New: set(configs[i].new)}
	}
	if c.broken || len(c.b) > 0 {
		return nil, fmt.Errorf("%w: its bytes are damaged", ErrTable)
	}
	return p, nil
}

// Clone gives a copy whose configs can be changed by commands.
func (p *Placement) Clone() *Placement { return &Placement{Configs: slices.Clone(p.Configs)} }
