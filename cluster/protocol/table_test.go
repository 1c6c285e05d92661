package protocol

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func someTable(seed uint64) *Placement {
	r := rand.New(rand.NewPCG(seed, 1))
	p := &Placement{Configs: make([]Config, Buckets)}
	some := func(most int) (set []Replica) {
		for range r.IntN(most + 1) {
			set = append(set, Replica{MemberID{byte(r.IntN(9))}, r.Uint32N(3)})
		}
		return set
	}
	for i := range p.Configs {
		p.Configs[i] = Config{Epoch: r.Uint64N(300), Old: some(MaxReplicas), New: some(3)}
	}
	return p
}

func TestTableGivesBackItself(t *testing.T) {
	for seed := range uint64(20) {
		p := someTable(seed)
		b := p.Encode()
		back, err := DecodePlacement(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, back); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
		}
		if !bytes.Equal(back.Encode(), b) {
			t.Fatalf("seed %d: encoded again, the bytes differ", seed)
		}
	}
	if p, err := DecodePlacement(nil); err != nil || len(p.Configs) != Buckets || p.Configs[0].Epoch != 0 {
		t.Errorf("no bytes give %v, %v", p, err)
	}
}

func TestTableRefuses(t *testing.T) {
	b := someTable(1).Encode()
	tooMany := &Placement{Configs: make([]Config, Buckets)}
	tooMany.Configs[3].Old = make([]Replica, MaxReplicas+1)
	more := (&Placement{Configs: make([]Config, Buckets+2)}).Encode()
	more[len(more)-1] = 9 // replicas, of which nothing follows
	for name, bad := range map[string][]byte{
		"cut": b[:len(b)-1], "longer": append(bytes.Clone(b), 0), "newer": append([]byte{tableVersion + 1}, b[1:]...),
		"more buckets, damaged": more,
		"fewer buckets":         (&Placement{Configs: make([]Config, Buckets-1)}).Encode(), "nine replicas": tooMany.Encode(),
	} {
		if _, err := DecodePlacement(bad); !errors.Is(err, ErrTable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecodePlacement(f *testing.F) {
	f.Add(someTable(1).Encode())
	f.Add((&Placement{Configs: make([]Config, Buckets)}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := DecodePlacement(b); err == nil && len(p.Configs) != Buckets {
			t.Errorf("%d configs", len(p.Configs))
		}
	})
}
