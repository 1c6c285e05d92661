package exec

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"arbor/catalog"
)

// funnelModes are all combinations of modes.
var funnelModes = func() (all [][]string) {
	modes := []string{ModeStrictDeduplication, ModeStrictOrder, ModeStrictIncrease, ModeStrictOnce, ModeReentry}
	for set := range 1 << len(modes) {
		var some []string
		for i, m := range modes {
			if set>>i&1 != 0 {
				some = append(some, m)
			}
		}
		if !slices.Contains(some, ModeReentry) || slices.Contains(some, ModeStrictOrder) {
			all = append(all, some)
		}
	}
	return all
}()

// longestChain tries every choice of events: the definition of window_funnel
// without the modes that end the search.
func longestChain(events []seen, steps int, window int64, increase, once bool) int {
	longest := 0
	var try func(step, from int, first, last int64)
	try = func(step, from int, first, last int64) {
		longest = max(longest, step)
		if step == steps {
			return
		}
		for i := from; i < len(events); i++ {
			e := events[i]
			switch {
			case e.mask>>step&1 == 0:
			case step == 0:
				try(1, next(i, increase || once), e.time, e.time)
			case e.time <= first+window && (!increase || e.time > last):
				try(step+1, next(i, increase || once), first, e.time)
			}
		}
	}
	try(0, 0, 0, 0)
	return longest
}

// next is the first event that may come after event i in a chain.
func next(i int, other bool) int {
	if other {
		return i + 1
	}
	return i
}

func TestFunnelIsTheLongestChain(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	for range 20000 {
		steps, window := 1+rng.IntN(4), int64(rng.IntN(7))
		increase, once := rng.IntN(2) == 0, rng.IntN(2) == 0
		params := []catalog.Value{catalog.Int(window)}
		if increase {
			params = append(params, catalog.String(ModeStrictIncrease))
		}
		if once {
			params = append(params, catalog.String(ModeStrictOnce))
		}
		events := randomSeen(rng, 9, steps)
		want := longestChain(events, steps, window*second, increase, once)
		if got := valueOf(mustBehaviour(t, BehaviourFunnel, steps, params...), events); got != catalog.Int(int64(want)) {
			t.Fatalf("%v, %d steps in %d s, increase %v, once %v: %d, want %d", events, steps, window, increase, once, got.Int(), want)
		}
	}
}

// chain is one of all chains that referenceFunnel keeps.
type chain struct {
	first, last int64
	events      []int
}

// referenceFunnel is window_funnel with all its modes, keeping every chain.
func referenceFunnel(events []seen, steps int, window int64, modes []string) int {
	is := func(mode string) bool { return slices.Contains(modes, mode) }
	chains := make([][]chain, steps)
	level := func() int {
		n := 0
		for n < steps && len(chains[n]) > 0 {
			n++
		}
		return n
	}
	for n, e := range events {
		if e.mask == 0 && is(ModeStrictOrder) && level() > 0 {
			return level()
		}
		for m := e.mask; m != 0; m &= m - 1 {
			i := bits.TrailingZeros64(m)
			switch {
			case i == 0:
				chains[0] = append(chains[0], chain{e.time, e.time, []int{n}})
			case is(ModeStrictDeduplication) && len(chains[i]) > 0:
				return level()
			case is(ModeStrictOrder) && level() > 0 && len(chains[i-1]) == 0:
				if !is(ModeReentry) {
					return level()
				}
			default:
				for _, c := range chains[i-1] {
					if e.time-c.first <= window && (!is(ModeStrictIncrease) || c.last < e.time) && (!is(ModeStrictOnce) || !slices.Contains(c.events, n)) {
						chains[i] = append(chains[i], chain{c.first, e.time, append(slices.Clone(c.events), n)})
					}
				}
			}
			if len(chains[steps-1]) > 0 {
				return steps
			}
		}
	}
	return level()
}

func TestFunnelModes(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for _, modes := range funnelModes {
		t.Run(strings.Join(modes, " "), func(t *testing.T) {
			for range 2000 {
				steps, window := 1+rng.IntN(4), int64(rng.IntN(7))
				events := randomSeen(rng, 9, steps)
				want := referenceFunnel(events, steps, window*second, modes)
				params := append([]catalog.Value{catalog.Int(window)}, strings2values(modes...)...)
				if got := valueOf(mustBehaviour(t, BehaviourFunnel, steps, params...), events); got != catalog.Int(int64(want)) {
					t.Fatalf("%v, %d steps in %d s: %d, want %d", events, steps, window, got.Int(), want)
				}
			}
		})
	}
}

// The examples of what the modes mean.
func TestFunnelExamples(t *testing.T) {
	for _, tt := range []struct {
		modes  string
		events string // letters are conditions from a on, . is an event without one, a blank a second
		steps  int
		want   int64
	}{
		{"", "a b c", 3, 3},
		{"", "b a c b c", 3, 3},
		{"", "a          b", 2, 1},                      // ten seconds are just too long
		{"", "a         b", 2, 2},                       // nine are not
		{"", "a     a b    c", 3, 3},                    // the window begins anew
		{"", "abc", 3, 3},                               // at the same time, in order
		{"", "cba", 3, 1},                               // out of order
		{"strict_increase", "a bcd e", 5, 2},            // b, c and d at one time
		{"strict_increase", "a ab", 2, 2},               // the first a, not the second
		{"strict_order", "a b d c", 3, 2},               // d comes between: it meets no condition
		{"strict_order", "a c b c", 3, 1},               // c comes too early
		{"strict_order reentry", "a c b c", 3, 3},       // and is passed over
		{"strict_order allow_reentry", "a a b c", 3, 3}, // ClickHouse's own example
		{"strict_order", ". a b", 2, 2},                 // before the chain anything may be
		{"strict_deduplication", "a b c b d", 4, 3},     // b again ends it
		{"strict_deduplication", "a a b c", 3, 3},       // the first step may come again
		{"strict_deduplication strict_order", "a b", 2, 2},
	} {
		var events []seen
		time := int64(0)
		for _, c := range tt.events {
			switch {
			case c == ' ':
				time += second
			case c == '.' || int(c-'a') >= tt.steps:
				events = append(events, seen{time: time})
			default:
				events = append(events, seen{time: time, mask: 1 << (c - 'a')})
			}
		}
		params := append([]catalog.Value{catalog.Int(9)}, strings2values(strings.Fields(tt.modes)...)...)
		if got := valueOf(mustBehaviour(t, BehaviourFunnel, tt.steps, params...), events); got != catalog.Int(tt.want) {
			t.Errorf("%q %s: %d, want %d", tt.events, tt.modes, got.Int(), tt.want)
		}
	}
}

// An event that meets several conditions may be several steps, unless it may be
// one only.
func TestFunnelOfOneEvent(t *testing.T) {
	one := []seen{{mask: 7}}
	if got := valueOf(mustBehaviour(t, BehaviourFunnel, 3, catalog.Int(0)), one); got != catalog.Int(3) {
		t.Errorf("%d", got.Int())
	}
	if got := valueOf(mustBehaviour(t, BehaviourFunnel, 3, catalog.Int(0), catalog.String(ModeStrictOnce)), one); got != catalog.Int(1) {
		t.Errorf("once: %d", got.Int())
	}
}
