package exec

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"arbor/catalog"
)

// seen is an event as a behavioural function sees it.
type seen struct {
	time int64
	mask uint64
}

const second = microsPerSecond

// randomSeen makes a few events in order, close together, many at the same time.
func randomSeen(rng *rand.Rand, most, conditions int) []seen {
	events := make([]seen, rng.IntN(most+1))
	time := int64(0)
	for i := range events {
		time += []int64{0, 0, second, second, 2 * second, 4 * second}[rng.IntN(6)]
		events[i] = seen{time: time}
		for c := range conditions {
			if rng.IntN(3) == 0 {
				events[i].mask |= 1 << c
			}
		}
	}
	return events
}

func mustBehaviour(t testing.TB, name string, conditions int, params ...catalog.Value) Behaviour {
	t.Helper()
	b, err := NewBehaviour(name, params, conditions)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func valueOf(b Behaviour, events []seen) catalog.Value {
	s := b.New()
	for _, e := range events {
		s.Step(e.time, e.mask)
	}
	return s.Value()
}

func strings2values(s ...string) []catalog.Value {
	values := make([]catalog.Value, len(s))
	for i := range s {
		values[i] = catalog.String(s[i])
	}
	return values
}

// everyBehaviour is one of each kind, with up to three conditions.
func everyBehaviour(t testing.TB) map[string]Behaviour {
	all := map[string]Behaviour{
		"retention":       mustBehaviour(t, BehaviourRetention, 3),
		"sessions":        mustBehaviour(t, BehaviourSessions, 0, catalog.Int(2)),
		"session_seconds": mustBehaviour(t, BehaviourSessionSeconds, 0, catalog.Int(2)),
		"match":           mustBehaviour(t, BehaviourSequenceMatch, 3, catalog.String("(?1)(?t<=4).*(?2)(?3)")),
		"count":           mustBehaviour(t, BehaviourSequenceCount, 3, catalog.String("(?1)(?t>=2)(?2)")),
		"count plain":     mustBehaviour(t, BehaviourSequenceCount, 3, catalog.String("(?1).*(?2)")),
	}
	for _, modes := range funnelModes {
		all["funnel "+strings.Join(modes, " ")] = mustBehaviour(t, BehaviourFunnel, 3, append([]catalog.Value{catalog.Int(5)}, strings2values(modes...)...)...)
	}
	return all
}

// Whatever a function is, feeding it in order, and collecting it in parts that
// come in any order and travel, give the same.
func TestBehaviourEventsLaws(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for name, b := range everyBehaviour(t) {
		t.Run(name, func(t *testing.T) {
			for range 300 {
				events := randomSeen(rng, 12, b.Conditions())
				want := valueOf(b, events)
				parts := make([]*BehaviourEvents, 1+rng.IntN(4))
				for i := range parts {
					parts[i] = NewBehaviourEvents(b)
				}
				for _, i := range rng.Perm(len(events)) {
					id := catalog.IngestID{Time: 7, Index: uint32(i)}
					parts[rng.IntN(len(parts))].Add(events[i].time, id, events[i].mask)
				}
				whole := NewBehaviourEvents(b)
				for _, part := range parts {
					encoded := AppendBehaviourEvents(nil, part)
					decoded, err := DecodeBehaviourEvents(b, encoded)
					if err != nil {
						t.Fatal(err)
					}
					if part.Value() != decoded.Value() {
						t.Fatalf("%v is %v after it travelled, %v before", events, decoded.Value(), part.Value())
					}
					whole.Merge(decoded)
				}
				if got := whole.Value(); got != want {
					t.Fatalf("%v in parts is %v, in order %v", events, got, want)
				}
				if got := whole.Value(); got != want {
					t.Fatalf("asked again it is %v", got)
				}
			}
		})
	}
}

// More events than are sorted at once are still in their order, and whoever asks
// for their value can give up.
func TestManyBehaviourEvents(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 12))
	b := mustBehaviour(t, BehaviourSequenceCount, 3, catalog.String("(?1)(?t<=2)(?2)"))
	for _, n := range []int{behaviourRun, behaviourRun + 1, 3*behaviourRun + 5} {
		e := NewBehaviourEvents(b)
		for i := range n {
			e.Add(rng.Int64N(int64(n))*second, catalog.IngestID{Time: 1, Index: uint32(i)}, 1<<rng.IntN(3))
		}
		ctx, cancel := context.WithCancel(t.Context())
		got, err := e.ValueUntil(ctx)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := e.ValueUntil(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%d events: %v after the context has ended", n, err)
		}
		sorted := slices.SortedFunc(slices.Values(e.events), compareBehaviourEvents)
		s := b.New()
		for _, event := range sorted {
			s.Step(event.time, event.mask)
		}
		if got != s.Value() || e.Value() != got || got.Int() == 0 {
			t.Errorf("%d events: %d, again %d, want %d", n, got.Int(), e.Value().Int(), s.Value().Int())
		}
	}
}

// A state can be copied at any moment, and asking for its value changes nothing.
func TestStatesAreWords(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for name, b := range everyBehaviour(t) {
		t.Run(name, func(t *testing.T) {
			for range 200 {
				events := randomSeen(rng, 12, b.Conditions())
				cut := rng.IntN(len(events) + 1)
				s := b.New()
				for _, e := range events[:cut] {
					s.Step(e.time, e.mask)
					s.Value()
				}
				clone := s.Clone()
				for _, e := range events[cut:] {
					s.Step(e.time, e.mask)
				}
				if clone.Value() != valueOf(b, events[:cut]) || s.Value() != valueOf(b, events) {
					t.Fatalf("%v cut at %d", events, cut)
				}
			}
		})
	}
}

// Events that meet no condition change nothing, where a function says so, and
// order and times do not, where it says that.
func TestSkipsAndOrdered(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for name, b := range everyBehaviour(t) {
		t.Run(name, func(t *testing.T) {
			skipped, shuffled := 0, 0
			for range 500 {
				events := randomSeen(rng, 10, b.Conditions())
				want := valueOf(b, events)
				some := slices.DeleteFunc(slices.Clone(events), func(e seen) bool { return e.mask == 0 })
				if valueOf(b, some) != want {
					skipped++
				}
				joined := seen{}
				for _, e := range events {
					joined.mask |= e.mask
				}
				if valueOf(b, []seen{joined}) != want {
					shuffled++
				}
			}
			if (skipped == 0) != b.Skips() {
				t.Errorf("Skips is %v, and events without a condition mattered %d times", b.Skips(), skipped)
			}
			if (shuffled == 0) == b.Ordered() {
				t.Errorf("Ordered is %v, and order mattered %d times", b.Ordered(), shuffled)
			}
		})
	}
}

// Leaving out the events that a state does not want changes nothing.
func TestWants(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 3))
	for name, b := range everyBehaviour(t) {
		left := 0
		for range 3000 {
			events := randomSeen(rng, 12, b.Conditions())
			s := b.New()
			for _, e := range events {
				wants := b.Wants(s.words)
				if wants == 0 || e.mask&wants == 0 && (e.mask != 0 || b.Skips()) {
					left++
					continue
				}
				s.Step(e.time, e.mask)
			}
			if got, want := s.Value(), valueOf(b, events); got != want {
				t.Fatalf("%s: %v of what is wanted of %v, and %v of all", name, got, events, want)
			}
		}
		if left == 0 && !strings.Contains(name, "session") {
			t.Errorf("%s wants all events", name)
		}
	}
}

func TestRetention(t *testing.T) {
	b := mustBehaviour(t, BehaviourRetention, 3)
	for _, tt := range []struct {
		masks []uint64
		want  int64
	}{
		{nil, 0},
		{[]uint64{0}, 0},
		{[]uint64{1}, 1},
		{[]uint64{2, 4}, 0},
		{[]uint64{4, 1}, 5},
		{[]uint64{7}, 7},
	} {
		s := b.New()
		for _, m := range tt.masks {
			s.Step(0, m)
		}
		if got := s.Value(); got != catalog.Int(tt.want) {
			t.Errorf("%v: %v, want %d", tt.masks, got, tt.want)
		}
	}
}

func TestSessions(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for range 2000 {
		events := randomSeen(rng, 10, 0)
		timeout := int64(rng.IntN(4))
		var count int64
		var length float64
		for i, e := range events {
			if i == 0 || e.time-events[i-1].time > timeout*second {
				count++
			} else {
				length += float64(e.time-events[i-1].time) / second
			}
		}
		if got := valueOf(mustBehaviour(t, BehaviourSessions, 0, catalog.Int(timeout)), events); got != catalog.Int(count) {
			t.Fatalf("%v: %d sessions, want %d", events, got.Int(), count)
		}
		if got := valueOf(mustBehaviour(t, BehaviourSessionSeconds, 0, catalog.Int(timeout)), events); got != catalog.Double(length) {
			t.Fatalf("%v: %v seconds, want %v", events, got.Double(), length)
		}
	}
}

func TestNewBehaviourRefuses(t *testing.T) {
	num, str := catalog.Int, catalog.String
	for _, tt := range []struct {
		name       string
		conditions int
		params     []catalog.Value
		want       string // part of the error, empty for none
	}{
		{"funnel", 1, nil, "to funnel: there is no such behavioural function"},
		{"window_funnel", 0, []catalog.Value{num(1)}, "condition is missing"},
		{"window_funnel", 1, nil, "window is missing"},
		{"window_funnel", 1, []catalog.Value{str("x")}, "number of seconds"},
		{"window_funnel", 1, []catalog.Value{num(-1)}, "from 0 to"},
		{"window_funnel", 1, []catalog.Value{num(0)}, ""},
		{"window_funnel", 1, []catalog.Value{num(MaxSeconds)}, ""},
		{"window_funnel", 1, []catalog.Value{num(MaxSeconds + 1)}, "from 0 to"},
		{"window_funnel", 1, []catalog.Value{catalog.Double(0.5)}, ""},
		{"window_funnel", 1, []catalog.Value{catalog.Number("0.50")}, ""},
		{"window_funnel", 1, []catalog.Value{catalog.Number("1e999")}, "from 0 to"},
		{"window_funnel", 1, []catalog.Value{num(1), num(1)}, "must be a string"},
		{"window_funnel", 1, []catalog.Value{num(1), str("strict")}, "strict_deduplication"},
		{"window_funnel", 1, []catalog.Value{num(1), str("lax")}, `no mode "lax"`},
		{"window_funnel", 1, []catalog.Value{num(1), str("reentry")}, "strict_order"},
		{"window_funnel", 1, []catalog.Value{num(1), str("allow_reentry"), str("strict_order")}, ""},
		{"window_funnel", MaxConditions, []catalog.Value{num(1)}, ""},
		{"window_funnel", MaxConditions + 1, []catalog.Value{num(1)}, "at most 62"},
		{"retention", 0, nil, "condition is missing"},
		{"retention", MaxConditions, nil, ""},
		{"retention", MaxConditions + 1, nil, "at most 62"},
		{"retention", 1, []catalog.Value{num(1)}, "conditions only"},
		{"sequence_match", 0, []catalog.Value{str("(?1)")}, "condition is missing"},
		{"sequence_match", 1, nil, "takes a pattern"},
		{"sequence_count", 1, []catalog.Value{num(1)}, "takes a pattern"},
		{"sessions", 0, nil, "time-out in seconds"},
		{"sessions", 1, []catalog.Value{num(1)}, "time-out in seconds"},
		{"sessions", 0, []catalog.Value{str("1")}, "number of seconds"},
		{"session_seconds", 0, []catalog.Value{num(1)}, ""},
	} {
		_, err := NewBehaviour(tt.name, tt.params, tt.conditions)
		if tt.want == "" && err == nil {
			continue
		}
		if tt.want == "" || err == nil || !errors.Is(err, ErrBehaviour) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s of %v with %d conditions: %v, want %q", tt.name, tt.params, tt.conditions, err, tt.want)
		}
	}
}

// A fragment that is let in can be computed.
func TestValidateOrdered(t *testing.T) {
	columns := []Column{{Source: SourceTime, Type: catalog.TypeDatetime}, {Source: SourceIngestID, Type: catalog.TypeString},
		property("ok", catalog.TypeBool), property("s", catalog.TypeString), property("t", catalog.TypeDatetime)}
	params := func(name string, more ...catalog.Value) []catalog.Value {
		return append([]catalog.Value{catalog.String(name)}, more...)
	}
	for _, tt := range []struct {
		name string
		a    Aggregate
		ok   bool
	}{
		{"a funnel", Aggregate{Op: AggBehaviour, Args: []int{0, 1, 2, 2}, Params: params(BehaviourFunnel, catalog.Int(1))}, true},
		{"sessions", Aggregate{Op: AggBehaviour, Args: []int{0, 1}, Params: params(BehaviourSessions, catalog.Int(1))}, true},
		{"without a name", Aggregate{Op: AggBehaviour, Args: []int{0, 1, 2}}, false},
		{"a name that is a number", Aggregate{Op: AggBehaviour, Args: []int{0, 1, 2}, Params: []catalog.Value{catalog.Int(1)}}, false},
		{"no such name", Aggregate{Op: AggBehaviour, Args: []int{0, 1, 2}, Params: params("guess")}, false},
		{"wrong params", Aggregate{Op: AggBehaviour, Args: []int{0, 1, 2}, Params: params(BehaviourSequenceCount, catalog.String("(?2)"))}, false},
		{"without an ingest id", Aggregate{Op: AggBehaviour, Args: []int{0}, Params: params(BehaviourSessions, catalog.Int(1))}, false},
		{"a property for the time", Aggregate{Op: AggBehaviour, Args: []int{4, 1, 2}, Params: params(BehaviourRetention)}, false},
		{"a property for the ingest id", Aggregate{Op: AggBehaviour, Args: []int{0, 3, 2}, Params: params(BehaviourRetention)}, false},
		{"a text for a condition", Aggregate{Op: AggBehaviour, Args: []int{0, 1, 3}, Params: params(BehaviourRetention)}, false},
		{"the first", Aggregate{Op: AggFirst, Args: []int{3, 0, 1}}, true},
		{"the first by another time", Aggregate{Op: AggFirst, Args: []int{3, 4, 1}}, false},
		{"the last by another id", Aggregate{Op: AggLast, Args: []int{3, 0, 3}}, false},
		{"the last without an order", Aggregate{Op: AggLast, Args: []int{3}}, false},
		{"texts in order", Aggregate{Op: AggConcat, Args: []int{3}, Params: params(",", catalog.Int(0))}, true},
		{"where texts are cut", Aggregate{Op: AggConcatCut, Args: []int{3}, Params: params("", catalog.Int(9))}, true},
		{"texts without a length", Aggregate{Op: AggConcat, Args: []int{3}, Params: params(",")}, false},
		{"texts of a length below zero", Aggregate{Op: AggConcat, Args: []int{3}, Params: params(",", catalog.Int(-1))}, false},
		{"texts of numbers", Aggregate{Op: AggConcat, Args: []int{0}, Params: params(",", catalog.Int(9))}, false},
	} {
		f := Fragment{Columns: columns, Group: &Group{Aggregates: []Aggregate{tt.a}}}
		if tt.ok && (tt.a.Op == AggConcat || tt.a.Op == AggConcatCut) {
			f.Project = 1
			if err := f.Validate(); !errors.Is(err, ErrFragment) {
				t.Errorf("%s of a project's events: %v", tt.name, err)
			}
			f.Project = 0
		}
		if err := f.Validate(); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrFragment) {
			t.Errorf("%s: %v, want ok=%v", tt.name, err, tt.ok)
		}
	}
}

// The greatest number of conditions works, bit by bit.
func TestAllConditions(t *testing.T) {
	var events []seen
	var pattern strings.Builder
	for i := range MaxConditions {
		events = append(events, seen{time: int64(i) * second, mask: 1 << i})
		fmt.Fprintf(&pattern, "(?%d)", i+1)
	}
	if got := valueOf(mustBehaviour(t, BehaviourFunnel, MaxConditions, catalog.Int(1000), catalog.String(ModeStrictIncrease)), events); got != catalog.Int(MaxConditions) {
		t.Errorf("funnel: %d", got.Int())
	}
	if got := valueOf(mustBehaviour(t, BehaviourRetention, MaxConditions), events); got != catalog.Int(1<<MaxConditions-1) {
		t.Errorf("retention: %x", got.Int())
	}
	if got := valueOf(mustBehaviour(t, BehaviourSequenceMatch, MaxConditions, catalog.String(pattern.String())), events); got != catalog.Int(1) {
		t.Errorf("sequence: %d", got.Int())
	}
}

func TestDecodeBehaviourEventsRefuses(t *testing.T) {
	b := mustBehaviour(t, BehaviourFunnel, 2, catalog.Int(1))
	e := NewBehaviourEvents(b)
	e.Add(-5, catalog.IngestID{Index: 1}, 1)
	e.Add(7, catalog.IngestID{Index: 2}, 3)
	good := AppendBehaviourEvents(nil, e)
	if _, err := DecodeBehaviourEvents(b, good); err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if _, err := DecodeBehaviourEvents(b, good[:n]); !errors.Is(err, ErrFragment) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	newer := slices.Clone(good)
	newer[0]++
	if _, err := DecodeBehaviourEvents(b, newer); !errors.Is(err, ErrVersion) {
		t.Errorf("a newer version: %v", err)
	}
	if _, err := DecodeBehaviourEvents(b, append(slices.Clone(good), 0)); !errors.Is(err, ErrFragment) {
		t.Errorf("a byte more: %v", err)
	}
	if _, err := DecodeBehaviourEvents(mustBehaviour(t, BehaviourFunnel, 1, catalog.Int(1)), good); !errors.Is(err, ErrFragment) {
		t.Errorf("a mask with a bit too many: %v", err)
	}
	if _, err := DecodeBehaviourEvents(mustBehaviour(t, BehaviourRetention, 2), good); !errors.Is(err, ErrFragment) {
		t.Errorf("events of a function that keeps none: %v", err)
	}
}

// FuzzBehaviourEvents: whatever the bytes, they are events that encode to
// themselves, or an error.
func FuzzBehaviourEvents(f *testing.F) {
	funnel, retention := mustBehaviour(f, BehaviourFunnel, 3, catalog.Int(1)), mustBehaviour(f, BehaviourRetention, 3)
	e := NewBehaviourEvents(funnel)
	e.Add(-5, catalog.IngestID{Time: 9, Edge: 1, Index: 1}, 1)
	e.Add(7, catalog.IngestID{Time: 8}, 3)
	f.Add(false, AppendBehaviourEvents(nil, e))
	e = NewBehaviourEvents(retention)
	e.Add(1, catalog.IngestID{}, 5)
	f.Add(true, AppendBehaviourEvents(nil, e))
	f.Fuzz(func(t *testing.T, unordered bool, b []byte) {
		behaviour := funnel
		if unordered {
			behaviour = retention
		}
		e, err := DecodeBehaviourEvents(behaviour, b)
		if err != nil {
			return
		}
		again, err := DecodeBehaviourEvents(behaviour, AppendBehaviourEvents(nil, e))
		if err != nil || !slices.Equal(again.events, e.events) || again.met != e.met {
			t.Fatalf("%v became %v: %v", e, again, err)
		}
		e.Value()
	})
}
