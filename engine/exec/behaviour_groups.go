package exec

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// behaviourStates gives a behavioural function's values of users whose states
// Behaviours has made.
type behaviourStates struct {
	plan     *Plan
	function Behaviour
	states   []int64
	words    int // of a user's states together
	at       int // where this function's are
}

var errStepped = errors.New("behavioural states are not added to")

func (s *behaviourStates) add(*Rows, int, []uint32, []int64) error { return errStepped }
func (s *behaviourStates) grow(int) int64                          { return 0 }
func (s *behaviourStates) merge(accumulator, []uint32) error       { return errStepped }

func (s *behaviourStates) result(groups []uint32) (arrow.Array, error) {
	return s.plan.valueArray(s.function.Result(), len(groups), func(i int) catalog.Value {
		at := int(groups[i]-1)*s.words + s.at
		return s.function.Value(s.states[at : at+s.function.Words()])
	})
}

// behaviourGroups is a behavioural function of groups of any kind, whose events
// are kept until the end.
type behaviourGroups struct {
	plan     *Plan
	g        *Grouper
	args     []int
	function Behaviour
	events   []*BehaviourEvents
	truth    [][]uint8
	masks    []uint64
}

func newBehaviourGroups(p *Plan, g *Grouper, a *Aggregate) (accumulator, error) {
	function, err := behaviourOf(a)
	if err != nil {
		return nil, err
	}
	return &behaviourGroups{plan: p, g: g, args: a.Args, function: function, truth: make([][]uint8, len(a.Args))}, nil
}

func (b *behaviourGroups) add(r *Rows, lo int, groups []uint32, _ []int64) error {
	b.masks = append(b.masks[:0], make([]uint64, len(groups))...)
	for k, column := range b.args[2:] {
		ids, err := b.g.idsOf(r, column, lo, len(groups))
		if err != nil {
			return err
		}
		values := b.plan.domains[column].all()
		for len(b.truth[k]) < len(values) {
			b.truth[k] = append(b.truth[k], boolByte(isTrue(values[len(b.truth[k])])))
		}
		for i, id := range ids {
			b.masks[i] |= uint64(b.truth[k][id]) << k
		}
	}
	size := int64(0)
	for i, group := range groups {
		if group == hiddenGroup || b.masks[i] == 0 && b.function.Skips() {
			continue
		}
		time, err := r.value(b.args[0], lo+i)
		if err != nil {
			return err
		}
		text, err := r.value(b.args[1], lo+i)
		if err != nil {
			return err
		}
		id, err := catalog.ParseIngestID(text.Text)
		if err != nil {
			return fmt.Errorf("%w: ingest id %q", ErrArray, text.Text)
		}
		e := b.of(group)
		size -= e.Bytes()
		e.Add(time.Int(), id, b.masks[i])
		size += e.Bytes()
	}
	return b.plan.take(size)
}

// of are the events of a group.
func (b *behaviourGroups) of(group uint32) *BehaviourEvents {
	if b.events[group] == nil {
		b.events[group] = NewBehaviourEvents(b.function)
	}
	return b.events[group]
}

func (b *behaviourGroups) grow(n int) int64 { return grow(&b.events, n) }

func (b *behaviourGroups) merge(o accumulator, to []uint32) error {
	size := int64(0)
	for group, events := range o.(*behaviourGroups).events {
		if err := b.plan.ended(group); err != nil {
			return err
		}
		if group < len(to) && to[group] != 0 && events != nil {
			mine := b.of(to[group])
			size -= mine.Bytes()
			mine.Merge(events)
			size += mine.Bytes()
		}
	}
	return b.plan.take(size)
}

func (b *behaviourGroups) result(groups []uint32) (arrow.Array, error) {
	ctx := b.plan.until
	if ctx == nil {
		ctx = context.Background()
	}
	var ended error
	a, err := b.plan.valueArray(b.function.Result(), len(groups), func(i int) catalog.Value {
		if b.events[groups[i]] == nil {
			return b.function.New().Value()
		}
		if ended != nil {
			return catalog.Null
		}
		var v catalog.Value
		v, ended = b.events[groups[i]].ValueUntil(ctx)
		return v
	})
	if ended != nil {
		return nil, ended
	}
	return a, err
}
