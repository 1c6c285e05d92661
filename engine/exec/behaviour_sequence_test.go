package exec

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"arbor/catalog"
)

// backtrack looks for a chain from event i on, as a search does that takes as
// little as it can at every .* and time, and comes back where it went wrong. Base
// is the moment that a time counts from. It gives the event behind the chain.
func backtrack(events []seen, elements []element, i int, base int64) (end int, ok bool) {
	if len(elements) == 0 {
		return i, true
	}
	e := &elements[0]
	if i == len(events) {
		if e.emptyAtEnd() {
			return backtrack(events, elements[1:], i, base)
		}
		return 0, false
	}
	now := events[i].time
	switch e.kind {
	case elementCondition:
		if events[i].mask>>e.condition&1 == 0 {
			return 0, false
		}
		return backtrack(events, elements[1:], i+1, now)
	case elementAny:
		return backtrack(events, elements[1:], i+1, now)
	}
	if e.kind == elementStar || e.satisfied(now, base) {
		if end, ok := backtrack(events, elements[1:], i, now); ok {
			return end, true
		}
	}
	if e.kind == elementAtMost && !e.satisfied(now, base) {
		return 0, false
	}
	return backtrack(events, elements, i+1, base)
}

// referenceSequence counts the chains that do not overlap.
func referenceSequence(all []seen, elements []element) (count int64) {
	var events []seen
	for _, e := range all {
		if e.mask != 0 {
			events = append(events, e)
		}
	}
	for i := 0; i < len(events); count++ {
		end, ok := backtrack(events, elements, i, 0)
		if !ok {
			break
		}
		i = end
	}
	return count
}

func randomPattern(rng *rand.Rand, conditions int) string {
	var p strings.Builder
	timed := false
	for range 1 + rng.IntN(5) {
		switch n := rng.IntN(7); {
		case n == 0:
			p.WriteString(".")
			timed = false
		case n == 1:
			p.WriteString(".*")
			timed = false
		case n <= 3 && !timed:
			fmt.Fprintf(&p, "(?t%s%d)", []string{"<", "<=", ">", ">="}[rng.IntN(4)], rng.IntN(5))
			timed = true
		default:
			fmt.Fprintf(&p, "(?%d)", 1+rng.IntN(conditions))
			timed = false
		}
	}
	return p.String()
}

// checkSequence compares both functions with the reference.
func checkSequence(t *testing.T, pattern string, conditions int, events []seen) {
	t.Helper()
	elements, err := parsePattern(BehaviourSequenceMatch, pattern, conditions)
	if err != nil {
		return
	}
	want := referenceSequence(events, elements)
	if got := valueOf(mustBehaviour(t, BehaviourSequenceCount, conditions, catalog.String(pattern)), events); got != catalog.Int(want) {
		t.Fatalf("%v counts %d of %q, want %d", events, got.Int(), pattern, want)
	}
	if got := valueOf(mustBehaviour(t, BehaviourSequenceMatch, conditions, catalog.String(pattern)), events); got != catalog.Int(min(want, 1)) {
		t.Fatalf("%v matches %q: %d, want %d", events, pattern, got.Int(), min(want, 1))
	}
}

func TestSequenceIsASearch(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	for range 60000 {
		conditions := 1 + rng.IntN(3)
		checkSequence(t, randomPattern(rng, conditions), conditions, randomSeen(rng, 9, conditions))
	}
}

// choose tries every choice of events for a pattern of conditions with at most
// one gap between them: the definition of a match, without any search.
func choose(events []seen, elements []element, from int, base int64, gap *element) bool {
	if len(elements) == 0 {
		return true
	}
	e := &elements[0]
	if !e.consumes() {
		return choose(events, elements[1:], from, base, e)
	}
	for i := from; i < len(events); i++ {
		fits := e.kind == elementAny || events[i].mask>>e.condition&1 != 0
		switch {
		case gap == nil:
			fits = fits && i == from
		case gap.timed():
			fits = fits && gap.satisfied(events[i].time, base)
		}
		if fits && choose(events, elements[1:], i+1, events[i].time, nil) {
			return true
		}
	}
	return false
}

func TestSequenceIsAChoice(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	gaps := []string{"", ".*", "(?t<=1)", "(?t<2)", "(?t>1)", "(?t>=2)"}
	for range 20000 {
		var p strings.Builder
		for i := range 1 + rng.IntN(4) {
			if i > 0 {
				p.WriteString(gaps[rng.IntN(len(gaps))])
			}
			p.WriteString([]string{"(?1)", "(?2)", "."}[rng.IntN(3)])
		}
		elements, err := parsePattern(BehaviourSequenceMatch, p.String(), 2)
		if err != nil {
			t.Fatal(err)
		}
		events := randomSeen(rng, 8, 2)
		var some []seen
		for _, e := range events {
			if e.mask != 0 {
				some = append(some, e)
			}
		}
		want := catalog.Bool(choose(some, elements, 0, 0, nil))
		if got := valueOf(mustBehaviour(t, BehaviourSequenceMatch, 2, catalog.String(p.String())), events); got.Bits != want.Bits {
			t.Fatalf("%v matches %q: %d, want %d", events, p.String(), got.Bits, want.Bits)
		}
	}
}

func TestPatterns(t *testing.T) {
	long := strings.Repeat("(?1)", MaxPatternElements)
	for _, tt := range []struct{ pattern, want string }{
		{"(?1)", ""},
		{"(?1)(?2).(?3).*(?t<=3600)(?1)", ""},
		{"(?1)(?t>0.5)(?2)", ""},
		{".", ""},
		{long, ""},
		{long + ".", "more than 62 elements"},
		{strings.Repeat(".*", MaxPatternBytes/2-2) + "(?1)", "more than 62 elements"},
		{strings.Repeat(".", MaxPatternBytes+1), "pattern of 4097 bytes, at most 4096"},
		{strings.Repeat(".", MaxPatternBytes), "more than 62 elements"},
		{"", "names no event"},
		{".*", "names no event"},
		{"(?t<1)", "names no event"},
		{"(?0)", "at position 3: there is no condition 0: they are numbered from 1 to 3"},
		{"(?1)(?4)", "at position 7: there is no condition 4"},
		{"(?99999999999999999999)", "there is no condition"},
		{"(?)", "expected the number of a condition"},
		{"(?1", "expected )"},
		{"(1)", "at position 1: expected (?1), ., .* or (?t<=60)"},
		{"(?1) (?2)", "at position 5: expected"},
		{"(?1)(?t==5)(?2)", "exactly"},
		{"(?1)(?t=5)(?2)", "exactly"},
		{"(?1)(?t~5)(?2)", "expected <="},
		{"(?1)(?t<=x)(?2)", "number of seconds"},
		{"(?1)(?t<=.)(?2)", "number of seconds"},
		{"(?1)(?t<=1.2.3)(?2)", "number of seconds"},
		{"(?1)(?t<=5(?2)", "expected )"},
		{"(?1)(?t<=99999999999999)(?2)", "from 0 to"},
		{"(?1)(?t>=1)(?t<=2)(?2)", "behind an event"},
	} {
		_, err := parsePattern(BehaviourSequenceMatch, tt.pattern, 3)
		if tt.want == "" && err == nil {
			continue
		}
		if tt.want == "" || err == nil || !errors.Is(err, ErrBehaviour) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60q: %v, want %q", tt.pattern, err, tt.want)
		}
	}
}

// The examples of ClickHouse's documentation, and what a time means.
func TestSequenceExamples(t *testing.T) {
	for _, tt := range []struct {
		events, pattern string // as in TestFunnelExamples
		conditions      int
		want            int64
	}{
		{"a c b", "(?1)(?2)", 2, 1},
		{"a c b", "(?1)(?2)", 3, 0},
		{"a c b a c b", "(?1).*(?2)", 3, 2},
		{"a c b a c b", "(?1)(?2)", 2, 2},
		{"a  b", "(?1)(?t<=2)(?2)", 2, 1},
		{"a   b", "(?1)(?t<=2)(?2)", 2, 0},
		{"a  b", "(?1)(?t>2)(?2)", 2, 0},
		{"a c   b", "(?1)(?t>2)(?2)", 3, 1},
		{"a b b", "(?1)(?t>1)(?2)", 2, 1},
		{"a a b b", "(?1).*(?2)", 2, 1},
		{"a a", "(?1)(?1)", 1, 1},
		{"a a a", "(?1)(?1)", 1, 1},
		{"a b c", "(?1).(?3)", 3, 1},
		{"a a a", "(?1)", 1, 3},
		{"a b", "(?1).*", 2, 1},
		{"", "(?1)", 1, 0},
	} {
		var events []seen
		time := int64(0)
		for _, c := range tt.events {
			switch {
			case c == ' ':
				time += second
			case int(c-'a') < tt.conditions:
				events = append(events, seen{time: time, mask: 1 << (c - 'a')})
			default:
				events = append(events, seen{time: time})
			}
		}
		if got := valueOf(mustBehaviour(t, BehaviourSequenceCount, tt.conditions, catalog.String(tt.pattern)), events); got != catalog.Int(tt.want) {
			t.Errorf("%q in %q: %d, want %d", tt.pattern, tt.events, got.Int(), tt.want)
		}
	}
}

// FuzzPattern: whatever the text, it is a pattern that finds what a search finds,
// or an error that says where.
func FuzzPattern(f *testing.F) {
	f.Add("(?1)(?t<=2)(?2).*.(?3)", []byte("abc"))
	f.Add("(?1).*(?t>0.5).(?t>=0)", []byte{1, 9, 17, 255})
	f.Fuzz(func(t *testing.T, pattern string, data []byte) {
		_, err := parsePattern(BehaviourSequenceMatch, pattern, 3)
		if err != nil {
			if !errors.Is(err, ErrBehaviour) {
				t.Fatal(err)
			}
			return
		}
		if len(pattern) > 40 {
			return // a search that comes back takes its time
		}
		var events []seen
		time := int64(0)
		for _, b := range data[:min(len(data), 10)] {
			time += int64(b>>3&7) * second / 2
			events = append(events, seen{time: time, mask: uint64(b & 7)})
		}
		checkSequence(t, pattern, 3, events)
	})
}
