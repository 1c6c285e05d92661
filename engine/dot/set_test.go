package dot

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func stream(b byte) Stream { return Stream{b, 1: 0x11, 15: b} }

// model is a set without intervals.
type model map[Dot]bool

func (m model) set() Set {
	var s Set
	for d := range m {
		s.Add(d)
	}
	return s
}

// check holds a set against the model, and the set's own shape.
func check(t *testing.T, what string, s Set, m model) {
	t.Helper()
	n := 0
	var last Dot
	for d := range s.All() {
		if !m[d] || !s.Contains(d) || d.Compare(last) <= 0 {
			t.Fatalf("%s: %v is in %v and should not be, or not there", what, d, s)
		}
		last = d
		n++
	}
	if n != len(m) || s.Len() != uint64(n) || s.IsEmpty() != (n == 0) {
		t.Fatalf("%s: %d dots, want %d", what, n, len(m))
	}
	for _, r := range s.ranges {
		if len(r.Intervals) == 0 {
			t.Fatalf("%s: a stream without intervals", what)
		}
		for i, in := range r.Intervals {
			if in.Lo >= in.Hi || i > 0 && in.Lo <= r.Intervals[i-1].Hi {
				t.Fatalf("%s: intervals %v", what, r.Intervals)
			}
		}
	}
}

func randomModel(r *rand.Rand) model {
	m := model{}
	for range r.IntN(60) {
		m[Dot{stream(byte(r.IntN(3))), 1 + r.Uint64N(20)}] = true
	}
	return m
}

func TestSetIsLikeAMap(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		a, b := randomModel(r), randomModel(r)
		sa, sb := a.set(), b.set()
		check(t, "a", sa, a)
		union, minus, and := model{}, model{}, model{}
		for d := range a {
			union[d] = true
			if b[d] {
				and[d] = true
			} else {
				minus[d] = true
			}
		}
		for d := range b {
			union[d] = true
		}
		both := sa.Clone()
		both.AddSet(&sb)
		check(t, "a ∪ b", both, union)
		check(t, "a − b", sa.Minus(&sb), minus)
		check(t, "a ∩ b", sa.And(&sb), and)
		check(t, "a after all that", sa, a)
		if sa.Includes(&sb) != (len(union) == len(a)) || !both.Includes(&sa) || !both.Includes(&sb) {
			t.Fatal("Includes")
		}
		if same := union.set(); !same.Equal(&both) || same.Hash() != both.Hash() || len(union) > len(a) && both.Equal(&sa) {
			t.Fatal("Equal or Hash")
		}
		decoded, rest, err := DecodeSet(append(both.Append(nil), "rest"...))
		if err != nil || string(rest) != "rest" || !decoded.Equal(&both) {
			t.Fatalf("decoded %v, rest %q, %v", decoded, rest, err)
		}
	}
}

func TestAddKnowsWhatIsNew(t *testing.T) {
	var s Set
	d := Dot{stream(1), 5}
	if !s.Add(d) || s.Add(d) {
		t.Fatal("new once and then not")
	}
	if s.Add(Dot{stream(1), 0}) || s.Add(Dot{stream(1), math.MaxUint64}) || s.Len() != 1 {
		t.Fatal("0 and beyond MaxSeq name nothing")
	}
	if !s.Add(Dot{stream(1), MaxSeq}) {
		t.Fatal("MaxSeq is a number")
	}
	decoded, _, err := DecodeSet(s.Append(nil))
	if err != nil || !decoded.Equal(&s) {
		t.Fatalf("%v %v", decoded, err)
	}
}

func TestCloneSharesNothing(t *testing.T) {
	s := Of(Dot{stream(1), 1}, Dot{stream(1), 3})
	c := s.Clone()
	c.Add(Dot{stream(1), 2})
	if s.Len() != 2 || c.Len() != 3 {
		t.Fatalf("%v %v", s, c)
	}
	none := s.Without(func(x Stream) bool { return x == stream(1) })
	if !none.IsEmpty() {
		t.Fatal(none)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := Of(Dot{stream(1), 1}, Dot{stream(2), 7})
	for i := range good.Append(nil) {
		if _, _, err := DecodeSet(good.Append(nil)[:i]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	if _, _, err := DecodeSet([]byte{2, 0}); !errors.Is(err, ErrVersion) {
		t.Errorf("newer version: %v", err)
	}
	one := append([]byte{1, 1}, make([]byte, 16)...)
	for _, bad := range [][]byte{
		{0, 0},
		{1, 0x80, 0},                    // not the shortest form
		append(slices.Clone(one), 0),    // no interval
		append(slices.Clone(one), 5, 0), // five intervals in a byte
		append(append(slices.Clone(one), 1), append(bytes.Repeat([]byte{0xff}, 9), 1, 0)...), // beyond MaxSeq
	} {
		if s, _, err := DecodeSet(bad); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%x: %v %v", bad, s, err)
		}
	}
}

// TestGolden keeps the encoding: sets are on disks and on the way to members
// that are a release behind.
func TestGolden(t *testing.T) {
	var b strings.Builder
	for _, s := range []Set{
		{},
		Of(Dot{stream(1), 1}),
		Of(Dot{stream(1), 1}, Dot{stream(1), 2}, Dot{stream(1), 4}, Dot{stream(0xfe), 300}),
	} {
		fmt.Fprintf(&b, "%v\n%x\n\n", s, s.Append(nil))
	}
	const file = "testdata/set.v1"
	if *rewrite {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != b.String() {
		t.Fatalf("%v, got\n%s", err, b.String())
	}
}

func FuzzDecodeSet(f *testing.F) {
	for _, s := range []Set{{}, Of(Dot{stream(1), 1}), Of(Dot{stream(1), 1}, Dot{stream(2), 9}, Dot{stream(2), 11})} {
		f.Add(s.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, rest, err := DecodeSet(b)
		if err != nil {
			return
		}
		if again := s.Append(nil); !bytes.Equal(again, b[:len(b)-len(rest)]) {
			t.Fatalf("%x has another encoding %x", b, again)
		}
		other := Of(Dot{stream(1), 3})
		union := s.Clone()
		union.AddSet(&other)
		if !union.Includes(&s) || !union.Includes(&other) {
			t.Fatal("a union includes its parts")
		}
	})
}
