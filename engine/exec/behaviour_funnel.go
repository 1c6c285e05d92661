package exec

import (
	"math/bits"

	"arbor/catalog"
)

// The modes of window_funnel.
const (
	// ModeStrictDeduplication ends the search at an event of a step, other than
	// the first, that was reached before.
	ModeStrictDeduplication = "strict_deduplication"
	// ModeStrictOrder ends the search at an event that no step asks for, once
	// the first step was reached, and at one whose step comes too early.
	ModeStrictOrder = "strict_order"
	// ModeStrictIncrease wants each event of a chain later than the last one.
	ModeStrictIncrease = "strict_increase"
	// ModeStrictOnce lets an event stand for one step of a chain only.
	ModeStrictOnce = "strict_once"
	// ModeReentry, with strict_order, passes over events whose step comes too
	// early. ModeAllowReentry is ClickHouse's name of it.
	ModeReentry      = "reentry"
	ModeAllowReentry = "allow_reentry"
)

// funnel is window_funnel: how many steps of a chain a user got through. A chain
// of length k is k events, in order, of which the i-th meets condition i, and
// which all happen within the window of the first; the value is the greatest k.
// Unless strict_once is set, an event that meets several conditions may be
// several steps in a row.
//
// For each step it suffices to know the latest start of a chain that has got
// there: whatever an earlier start can still reach, a later one can. So the state
// is one moment for each step but the last:
//
//	word 0          level, then from bit 8 on: the level of the settled starts; bit 16: ended
//	words 1 … n-1   the latest start of a chain that reached step i, below the level
//	then, if a chain may not use all that is so far (strict_once, strict_increase):
//	n-1 words       the settled starts: those of chains that the event may go on with
//	1 word          strict_increase: the moment of the last event
type funnel struct {
	steps  int
	window int64

	deduplicate, order, reentry, increase, once bool
}

const (
	funnelLevel        = 0xff
	funnelSettledShift = 8
	funnelEnded        = 1 << 16
)

func newFunnel(params []catalog.Value, conditions int) (Behaviour, error) {
	const usage = "write window_funnel(86400, event = 'View', event = 'Purchase'), and modes behind the seconds"
	if len(params) == 0 {
		return nil, incorrect(BehaviourFunnel, "the window is missing: %s", usage)
	}
	if err := needConditions(BehaviourFunnel, conditions, usage); err != nil {
		return nil, err
	}
	window, err := seconds(BehaviourFunnel, "window", params[0])
	if err != nil {
		return nil, err
	}
	f := &funnel{steps: conditions, window: window}
	for _, p := range params[1:] {
		if p.Kind != catalog.KindString {
			return nil, incorrect(BehaviourFunnel, "a mode must be a string: %s", usage)
		}
		switch p.Text {
		case ModeStrictDeduplication:
			f.deduplicate = true
		case ModeStrictOrder:
			f.order = true
		case ModeStrictIncrease:
			f.increase = true
		case ModeStrictOnce:
			f.once = true
		case ModeReentry, ModeAllowReentry:
			f.reentry = true
		case "strict":
			return nil, incorrect(BehaviourFunnel, "the mode strict is now called %s", ModeStrictDeduplication)
		default:
			return nil, incorrect(BehaviourFunnel, "there is no mode %.80q; there are %s, %s, %s, %s, %s", p.Text,
				ModeStrictDeduplication, ModeStrictOrder, ModeStrictIncrease, ModeStrictOnce, ModeReentry)
		}
	}
	if f.reentry && !f.order {
		return nil, incorrect(BehaviourFunnel, "the mode %s goes with %s only: name both", ModeReentry, ModeStrictOrder)
	}
	return f, nil
}

func (f *funnel) Result() catalog.Type { return catalog.TypeInt }
func (f *funnel) Conditions() int      { return f.steps }
func (f *funnel) Skips() bool          { return !f.order }
func (f *funnel) Ordered() bool        { return true }
func (f *funnel) New() State           { return newState(f) }

func (f *funnel) Words() int {
	n := 1 + f.steps - 1
	if f.once || f.increase {
		n += f.steps - 1
	}
	if f.increase {
		n++
	}
	return n
}

// Value is the level.
func (f *funnel) Value(state []int64) catalog.Value { return catalog.Int(state[0] & funnelLevel) }

// Wants are the steps that some chain has reached, and the next one.
func (f *funnel) Wants(state []int64) uint64 {
	level := int(state[0] & funnelLevel)
	switch {
	case level == f.steps || state[0]&funnelEnded != 0:
		return 0
	case f.order:
		return ^uint64(0)
	}
	return conditionMask(level + 1)
}

func (f *funnel) Step(state []int64, time int64, mask uint64) {
	level := int(state[0] & funnelLevel)
	if level == f.steps || state[0]&funnelEnded != 0 {
		return
	}
	if mask == 0 {
		if f.order && level > 0 {
			state[0] |= funnelEnded
		}
		return
	}
	starts := state[1:f.steps]
	from, reached := starts, -1 // -1: all that is reached, at every moment
	if f.once || f.increase {
		from, reached = f.settle(state, time, level)
	}
	for m := mask; m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m)
		known := reached
		if known < 0 {
			known = level
		}
		switch {
		case i == 0:
			if level = max(level, 1); level == f.steps {
				state[0] = int64(level)
				return
			}
			starts[0] = time
		case f.deduplicate && i < level, f.order && level > 0 && i > level && !f.reentry:
			state[0] = state[0]&^funnelLevel | int64(level) | funnelEnded
			return
		case i <= known && within(time, from[i-1], f.window):
			if level = max(level, i+1); level == f.steps {
				state[0] = int64(level)
				return
			}
			starts[i] = from[i-1]
		}
	}
	state[0] = state[0]&^funnelLevel | int64(level)
}

// plain reports whether no mode is set.
func (f *funnel) plain() bool {
	return !f.deduplicate && !f.order && !f.reentry && !f.increase && !f.once
}

// stepRows is Step, without a mode, for those of the rows [lo, hi) that match. It
// reports whether the last step was reached.
func (f *funnel) stepRows(state []int64, matches Bitmap, lo, hi int, masks rowMasks, times *Vector) (done bool) {
	level := int(state[0])
	if level == f.steps {
		return true
	}
	starts := state[1:f.steps]
	for at := lo >> 6; at<<6 < hi; at++ {
		for word := matches.wordBetween(at, lo, hi); word != 0; word &= word - 1 {
			row := at*64 + trailing(word)
			mask := masks.of(row)
			if mask&(2<<level-1) == 0 { // steps behind the next one
				continue
			}
			time := times.momentOf(row)
			for ; mask != 0; mask &= mask - 1 {
				i := trailing(mask)
				switch {
				case i > level:
					continue
				case i > 0 && !within(time, starts[i-1], f.window):
					continue
				case i == level:
					if level++; level == f.steps {
						state[0] = int64(level)
						return true
					}
				}
				if i == 0 {
					starts[0] = time
				} else {
					starts[i] = starts[i-1]
				}
			}
		}
	}
	state[0] = int64(level)
	return false
}

// stepEvents is stepRows for events of Steps.
func (f *funnel) stepEvents(state []int64, events []uint64, least int64) (done bool) {
	level := int(state[0])
	if level == f.steps {
		return true
	}
	starts := state[1:f.steps]
	for _, e := range events {
		mask := e & (stepLast - 1)
		if mask&(2<<level-1) == 0 { // steps behind the next one
			continue
		}
		time := least + int64(e>>stepShift)
		for ; mask != 0; mask &= mask - 1 {
			i := trailing(mask)
			switch {
			case i > level:
				continue
			case i > 0 && !within(time, starts[i-1], f.window):
				continue
			case i == level:
				if level++; level == f.steps {
					state[0] = int64(level)
					return true
				}
			}
			if i == 0 {
				starts[0] = time
			} else {
				starts[i] = starts[i-1]
			}
		}
	}
	state[0] = int64(level)
	return false
}

// settle gives the starts of the chains that an event of that time may go on
// with, and how many steps they have reached: those from before the event, and
// with strict_increase those from before its moment.
func (f *funnel) settle(state []int64, time int64, level int) (from []int64, reached int) {
	from = state[f.steps : 2*f.steps-1]
	now := state[len(state)-1:]
	if !f.increase || time != now[0] {
		copy(from, state[1:f.steps])
		state[0] = state[0]&^(funnelLevel<<funnelSettledShift) | int64(level)<<funnelSettledShift
		if f.increase {
			now[0] = time
		}
	}
	return from, int(state[0] >> funnelSettledShift & funnelLevel)
}
