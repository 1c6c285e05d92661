package exec

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"arbor/catalog"
)

// TestDomains: domains are found again, the largest unused ones are dropped, and
// one that alone is too large is begun anew.
func TestDomains(t *testing.T) {
	d := NewDomains(10_000)
	key := func(name string) DomainKey {
		return DomainKey{1, Column{Source: SourceProperty, Property: name, Type: catalog.TypeString}}
	}
	a, b := d.Get(key("a")), d.Get(key("b"))
	if a == b || d.Get(key("a")) != a {
		t.Fatal("a column's domain is not its own")
	}
	a.Number(catalog.String(strings.Repeat("x", 6000)))
	if d.Trim(); d.Get(key("a")) != a || d.Get(key("b")) != b {
		t.Fatal("domains that fit were dropped")
	}
	b.Number(catalog.String(strings.Repeat("y", 6000)))
	d.Trim()
	if d.Get(key("b")) != b || d.Get(key("a")) == a {
		t.Error("of two that do not fit together the one used first stays")
	}
	b.Number(catalog.String(strings.Repeat("z", 20_000)))
	if d.Get(key("b")) == b {
		t.Error("a domain that is too large alone was kept")
	}
	if b.Len() != 3 {
		t.Errorf("who uses a dropped domain has %d values, want 3", b.Len())
	}
}

// TestDomainNumbers: many at once give a value one number.
func TestDomainNumbers(t *testing.T) {
	d := NewDomain(catalog.TypeString)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 2000 {
				v := catalog.String(fmt.Sprint(i % 500))
				if id := d.Number(v); d.all()[id].Text != v.Text {
					t.Errorf("number %d is %q, want %q", id, d.all()[id].Text, v.Text)
				}
			}
		})
	}
	group.Wait()
	if d.Len() != 501 {
		t.Errorf("%d values, want 500 and null", d.Len())
	}
	if d.Number(catalog.Null) != nullID {
		t.Error("null has another number")
	}
}

// TestIDSet compares sets with maps.
func TestIDSet(t *testing.T) {
	all := [][]uint32{{}, {1, 1, 2}, {9, 8, 7, 6, 5, 4, 3, 2, 1, 100000, 1, 4095, 4096}}
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{maxFew, maxFew + 1, minTable / 3 * 2, minTable/3*2 + 1, 500, 5000} {
		for _, most := range []uint32{1 << pageBits, 100_000, 1 << 31} {
			ids := make([]uint32, n)
			for i := range ids {
				ids[i] = 1 + random.Uint32N(most)
			}
			all = append(all, ids)
		}
	}
	for _, ids := range all {
		var s, o idSet
		want := map[uint32]bool{}
		size := int64(0)
		for i, id := range ids {
			size += s.add(id)
			want[id] = true
			if i%2 == 0 {
				o.add(id + 3)
			}
		}
		if s.count() != int64(len(want)) {
			t.Errorf("%v: %d numbers, want %d", ids, s.count(), len(want))
		}
		held := 4*int64(cap(s.few)) + 8*int64(len(s.pages))
		for _, p := range s.pages {
			if p != nil {
				held += 512
			}
		}
		if size != held {
			t.Errorf("%d numbers: grown by %d bytes, has %d", len(ids), size, held)
		}
		o.each(func(id uint32) { want[id] = true })
		if s.pages != nil {
			s.unite(&o)
		} else {
			o.each(func(id uint32) { s.add(id) })
		}
		if s.count() != int64(len(want)) {
			t.Errorf("%v united: %d numbers, want %d", ids, s.count(), len(want))
		}
		s.each(func(id uint32) {
			if !want[id] {
				t.Errorf("%v has %d", ids, id)
			}
		})
	}
}
