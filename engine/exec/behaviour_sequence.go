package exec

import (
	"math/bits"

	"arbor/catalog"
)

// sequence is sequence_match and sequence_count: whether a chain of events fits a
// pattern, and how many chains do that do not overlap. Events that meet no
// condition are not there for it.
//
// The pattern is an automaton without loops but .*: its places are the elements
// and the end, and a bit says of each that some chain has got there. Where a time
// is asked for it must also be known since when; of all chains there the best one
// is enough, the latest for at most, the earliest for at least. So a step costs
// no more than the pattern is long, however many chains there are.
//
// The search takes the chain that ends first, and goes on behind it. That is the
// chain that a search from left to right finds, in which every .* takes as little
// as it can: for if another ended before it, the two had a place in common from
// where the other's end could be reached.
//
//	word 0   the places, without the first .*, where a chain may always begin
//	word 1   how many chains were found
//	then     for each time of the pattern since when
type sequence struct {
	elements   []element
	bases      []int // where a time's base is in the state, by element
	words      int
	conditions int
	counts     bool // go on after the first chain

	tail uint64 // the places from where nothing more is needed at the end

	// For patterns without times:
	timed bool
	stars uint64
	any   uint64
	hits  []uint64 // by condition: the places that ask for it
	end   uint64
}

const (
	sequencePlaces = 0
	sequenceFound  = 1
	sequenceBases  = 2
)

func newSequence(name string, params []catalog.Value, conditions int) (Behaviour, error) {
	usage := "write " + name + "('(?1).*(?2)', event = 'View', event = 'Purchase')"
	if len(params) != 1 || params[0].Kind != catalog.KindString {
		return nil, incorrect(name, "it takes a pattern and then conditions: %s", usage)
	}
	if err := needConditions(name, conditions, usage); err != nil {
		return nil, err
	}
	elements, err := parsePattern(name, params[0].Text, conditions)
	if err != nil {
		return nil, err
	}
	s := &sequence{elements: elements, bases: make([]int, len(elements)), words: sequenceBases, conditions: conditions,
		counts: name == BehaviourSequenceCount, hits: make([]uint64, conditions), end: 1 << len(elements)}
	for i := range elements {
		place := uint64(1) << i
		switch e := &elements[i]; e.kind {
		case elementCondition:
			s.hits[e.condition] |= place
		case elementAny:
			s.any |= place
		case elementStar:
			s.stars |= place
		default:
			s.timed = true
			s.bases[i] = s.words
			s.words++
		}
	}
	for i := len(elements) - 1; elements[i].emptyAtEnd(); i-- {
		s.tail |= 1 << i
	}
	return s, nil
}

func (s *sequence) Result() catalog.Type { return catalog.TypeInt }
func (s *sequence) Conditions() int      { return s.conditions }
func (s *sequence) Skips() bool          { return true }
func (s *sequence) Ordered() bool        { return true }
func (s *sequence) Words() int           { return s.words }
func (s *sequence) New() State           { return newState(s) }

func (s *sequence) Wants(state []int64) uint64 {
	if !s.counts && state[sequenceFound] > 0 {
		return 0
	}
	return conditionMask(s.conditions)
}

func (s *sequence) Value(state []int64) catalog.Value {
	found := state[sequenceFound]
	if uint64(state[sequencePlaces])&s.tail != 0 {
		found++
	}
	if !s.counts {
		found = min(found, 1)
	}
	return catalog.Int(found)
}

func (s *sequence) Step(state []int64, time int64, mask uint64) {
	if mask == 0 || !s.counts && state[sequenceFound] > 0 {
		return
	}
	advance := s.advance
	if s.timed {
		advance = s.advanceTimed
	}
	before, after := advance(state, time, mask)
	if before { // a chain ended before this event, which may be of the next one
		state[sequenceFound]++
		state[sequencePlaces] = 0
		_, after = advance(state, time, mask)
	}
	if after {
		state[sequenceFound]++
		state[sequencePlaces] = 0
	}
}

// advance takes an event in, for a pattern without times. It reports whether a
// chain ended before the event, and then leaves the rest undone, or else with it.
func (s *sequence) advance(state []int64, _ int64, mask uint64) (before, after bool) {
	places := uint64(state[sequencePlaces]) | 1
	places |= places & s.stars << 1
	if places&s.end != 0 {
		return true, false
	}
	hits := s.any
	for m := mask; m != 0; m &= m - 1 {
		hits |= s.hits[bits.TrailingZeros64(m)]
	}
	places = places&s.stars | places&hits<<1
	state[sequencePlaces] = int64(places)
	return false, places&s.end != 0
}

// advanceTimed is advance for a pattern with times. From place to place it
// carries two things: that a chain got there before the event, which .* and times
// let pass, and that one got there with the event.
func (s *sequence) advanceTimed(state []int64, time int64, mask uint64) (before, after bool) {
	places := uint64(state[sequencePlaces]) | 1
	var next uint64
	for i := range s.elements {
		e := &s.elements[i]
		here := places>>i&1 != 0
		var passes, takes, stays bool
		switch e.kind {
		case elementCondition:
			takes = (here || before) && mask>>e.condition&1 != 0
			stays = after
		case elementAny:
			takes = here || before
			stays = after
		case elementStar:
			passes = here || before
			stays = passes || after
		case elementAtMost:
			base := &state[s.bases[i]]
			if before {
				*base = time
			}
			passes = (here || before) && e.satisfied(time, *base)
			if after {
				*base = time
			}
			stays = passes || after
		case elementAtLeast:
			base := &state[s.bases[i]]
			if (before || after) && !here {
				*base = time
			}
			passes = (here || before) && e.satisfied(time, *base)
			stays = here || before || after
		}
		if stays {
			next |= 1 << i
		}
		before, after = passes, takes
	}
	if !before {
		state[sequencePlaces] = int64(next)
	}
	return before, after
}
