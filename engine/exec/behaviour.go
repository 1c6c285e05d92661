package exec

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"arbor/catalog"
)

// Behaviour computes one value of a group's events, which are usually one user's,
// in the order (time, ingest id). Of an event it sees the time and a mask: bit i
// says that the condition i+1 of the function is true of it.
//
// It has two faces. Whoever has a group's events in their order steps a state
// through them: Words words, all zero at first, which may be copied and kept side
// by side in one array. Whoever gets them in any order, or in parts, collects
// them in BehaviourEvents. Both give the same value.
//
// A Behaviour never changes and may be used by many goroutines at once.
type Behaviour interface {
	// Result is the type of Value.
	Result() catalog.Type
	// Conditions is how many conditions there are; higher bits of a mask must
	// not be set.
	Conditions() int
	// Skips says that events which meet no condition change nothing and need not
	// be stepped through.
	Skips() bool
	// Ordered is false where the value depends on nothing but which conditions
	// were met: then the masks of events may be joined by OR, and their times are
	// of no account.
	Ordered() bool
	// Words is the length of a state.
	Words() int
	// Step takes in the next event. Time is in microseconds since 1970, not
	// before that of the last step.
	Step(state []int64, time int64, mask uint64)
	// Wants says which events can change what a state will come to: those that
	// meet one of these conditions and, unless the function Skips them, those that
	// meet none. 0 says that no event can any more.
	Wants(state []int64) uint64
	// Value is the value of the events so far. It does not change the state.
	Value(state []int64) catalog.Value
	// New makes the state of no events.
	New() State
}

// State is the state of a Behaviour in one group.
type State struct {
	behaviour Behaviour
	words     []int64
}

func newState(b Behaviour) State { return State{behaviour: b, words: make([]int64, b.Words())} }

// Step takes in the next event, as Behaviour.Step does.
func (s State) Step(time int64, mask uint64) { s.behaviour.Step(s.words, time, mask) }

// Value is the value of the events so far.
func (s State) Value() catalog.Value { return s.behaviour.Value(s.words) }

// Clone is a state that goes its own way from here.
func (s State) Clone() State { return State{behaviour: s.behaviour, words: slices.Clone(s.words)} }

// The names of the behavioural functions.
const (
	BehaviourFunnel         = "window_funnel"
	BehaviourRetention      = "retention"
	BehaviourSequenceMatch  = "sequence_match"
	BehaviourSequenceCount  = "sequence_count"
	BehaviourSessions       = "sessions"
	BehaviourSessionSeconds = "session_seconds"
)

// Limits of behavioural functions.
const (
	// MaxConditions is how many conditions a function may have: the arguments of
	// an Aggregate but for time and ingest id.
	MaxConditions = MaxAggregateArgs - 2
	// MaxSeconds is the longest window or time-out: ten thousand years.
	MaxSeconds = 10_000 * 366 * 86_400
)

const microsPerSecond = 1_000_000

// ErrBehaviour means that a behavioural function was given what it cannot take.
// What is wrapped beside it says what to do.
var ErrBehaviour = errors.New("incorrect arguments")

// NewBehaviour makes the behavioural function of a name. Params are its own
// constants, without the name:
//
//	window_funnel    the window in seconds, then any modes
//	retention        none
//	sequence_match   the pattern
//	sequence_count   the pattern
//	sessions         the time-out in seconds; no conditions
//	session_seconds  the time-out in seconds; no conditions
func NewBehaviour(name string, params []catalog.Value, conditions int) (Behaviour, error) {
	if conditions > MaxConditions {
		return nil, incorrect(name, "%d conditions, at most %d", conditions, MaxConditions)
	}
	switch name {
	case BehaviourFunnel:
		return newFunnel(params, conditions)
	case BehaviourRetention:
		return newRetention(params, conditions)
	case BehaviourSequenceMatch, BehaviourSequenceCount:
		return newSequence(name, params, conditions)
	case BehaviourSessions, BehaviourSessionSeconds:
		return newSessions(name, params, conditions)
	}
	return nil, incorrect(name, "there is no such behavioural function")
}

// validateOrdered reports what is wrong with an aggregate that looks at rows in
// the order (time, ingest id).
func (f *Fragment) validateOrdered(a *Aggregate) error {
	order := a.Args
	switch a.Op {
	case AggFirst, AggLast:
		order = order[1:]
	case AggBehaviour:
		if _, err := behaviourOf(a); errors.Is(err, ErrBehaviour) {
			return fmt.Errorf("%w: %w", ErrFragment, err)
		} else if err != nil {
			return err
		}
		for _, c := range order[2:] {
			if t, _, _ := f.ColumnType(c); !isNumber(t) {
				return fmt.Errorf("%w: condition on a %s", ErrFragment, t)
			}
		}
	default:
		return nil
	}
	for i, source := range []Source{SourceTime, SourceIngestID} {
		if c := order[i]; c >= len(f.Columns) || f.Columns[c].Source != source {
			return fmt.Errorf("%w: aggregate %d is not ordered by time and ingest id", ErrFragment, a.Op)
		}
	}
	return nil
}

// incorrect says why the arguments of a function are, and what to do.
func incorrect(name, format string, args ...any) error {
	return fmt.Errorf("%w to %s: %s", ErrBehaviour, name, fmt.Sprintf(format, args...))
}

// needConditions refuses a function without conditions.
func needConditions(name string, conditions int, usage string) error {
	if conditions < 1 {
		return incorrect(name, "a condition is missing: %s", usage)
	}
	return nil
}

// seconds reads a length of time, as microseconds.
func seconds(name, what string, v catalog.Value) (int64, error) {
	var s float64
	switch v.Kind {
	case catalog.KindInt:
		if n := v.Int(); n >= 0 && n <= MaxSeconds {
			return n * microsPerSecond, nil
		}
		s = float64(v.Int())
	case catalog.KindDouble:
		s = v.Double()
	case catalog.KindNumber:
		var err error
		if s, err = strconv.ParseFloat(v.Text, 64); err != nil {
			s = math.NaN()
		}
	default:
		return 0, incorrect(name, "the %s must be a number of seconds, as in 86400", what)
	}
	if !(s >= 0 && s <= MaxSeconds) {
		return 0, incorrect(name, "the %s must be from 0 to %d seconds", what, int64(MaxSeconds))
	}
	return int64(math.Round(s * microsPerSecond)), nil
}

// within reports whether a moment is at most so long after another, which must
// not be later.
func within(time, start, length int64) bool { return uint64(time-start) <= uint64(length) }

// conditionMask has a bit for each condition.
func conditionMask(conditions int) uint64 { return 1<<conditions - 1 }
