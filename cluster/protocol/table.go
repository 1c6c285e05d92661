package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
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

// Limits of a placement.
const (
	MaxReplicas = 8 // of a bucket
	// maxIdentities is how many different replicas a table may name.
	maxIdentities = 1 << 16
)

// Encode gives the placement's bytes. Equal placements have equal bytes.
func (p *Placement) Encode() []byte {
	places := map[Replica]uint64{}
	var all []Replica
	for i := range p.Configs {
		for _, set := range [][]Replica{p.Configs[i].Old, p.Configs[i].New} {
			for _, r := range set {
				if _, ok := places[r]; !ok {
					places[r] = uint64(len(all))
					all = append(all, r)
				}
			}
		}
	}
	b := binary.AppendUvarint([]byte{tableVersion}, uint64(len(all)))
	for _, r := range all {
		b = binary.AppendUvarint(append(b, r.Member[:]...), uint64(r.Generation))
	}
	b = binary.AppendUvarint(b, uint64(len(p.Configs)))
	for i := range p.Configs {
		b = binary.AppendUvarint(b, p.Configs[i].Epoch)
		for _, set := range [][]Replica{p.Configs[i].Old, p.Configs[i].New} {
			b = binary.AppendUvarint(b, uint64(len(set)))
			for _, r := range set {
				b = binary.AppendUvarint(b, places[r])
			}
		}
	}
	return b
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
	t := &tableReader{b: b[1:]}
	all := make([]Replica, t.number(maxIdentities))
	for i := range all {
		copy(all[i].Member[:], t.bytes(len(all[i].Member)))
		all[i].Generation = uint32(t.number(1<<32 - 1))
	}
	if n := t.number(Buckets); n != Buckets && !t.bad {
		return nil, fmt.Errorf("%w: it has %d buckets, not %d", ErrTable, n, Buckets)
	}
	for i := range p.Configs {
		p.Configs[i] = Config{Epoch: t.number(1<<63 - 1), Old: t.set(all), New: t.set(all)}
	}
	if t.bad || len(t.b) > 0 {
		return nil, fmt.Errorf("%w: its bytes are damaged", ErrTable)
	}
	return p, nil
}

// tableReader reads numbers until one is not as it should be.
type tableReader struct {
	b   []byte
	bad bool
}

func (t *tableReader) number(most uint64) uint64 {
	v, n := binary.Uvarint(t.b)
	if n <= 0 || v > most {
		t.b, t.bad = nil, true
		return 0
	}
	t.b = t.b[n:]
	return v
}

func (t *tableReader) bytes(n int) []byte {
	if len(t.b) < n {
		t.b, t.bad = nil, true
		return nil
	}
	b := t.b[:n]
	t.b = t.b[n:]
	return b
}

func (t *tableReader) set(all []Replica) []Replica {
	n := t.number(MaxReplicas)
	if n == 0 {
		return nil
	}
	set := make([]Replica, n)
	for i := range set {
		at := t.number(maxIdentities)
		if at >= uint64(len(all)) {
			t.b, t.bad = nil, true
			return nil
		}
		set[i] = all[at]
	}
	return set
}

// Clone gives a copy whose configs can be changed by commands.
func (p *Placement) Clone() *Placement { return &Placement{Configs: slices.Clone(p.Configs)} }
