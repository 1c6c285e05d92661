package exec

import (
	"cmp"
	"container/heap"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"arbor/catalog"
)

// BehaviourEvents are events of a group that come in any order, or in parts: the
// partial result of a Behaviour where nobody has all events in their order. They
// are sorted when the value is asked for, by time, ingest id and mask, so that
// the value does not depend on the order in which they came. Where the order does
// not matter (Behaviour.Ordered) only the conditions that were met are kept.
type BehaviourEvents struct {
	behaviour Behaviour
	events    []behaviourEvent
	sorted    bool
	met       uint64 // where the order does not matter
}

type behaviourEvent struct {
	time int64
	id   catalog.IngestID
	mask uint64
}

// BehaviourEventBytes is what an event of BehaviourEvents takes in memory.
const BehaviourEventBytes = 32

func compareBehaviourEvents(a, b behaviourEvent) int {
	return cmp.Or(cmp.Compare(a.time, b.time), a.id.Compare(b.id), cmp.Compare(a.mask, b.mask))
}

// NewBehaviourEvents makes the partial result of no events.
func NewBehaviourEvents(b Behaviour) *BehaviourEvents {
	return &BehaviourEvents{behaviour: b, sorted: true}
}

// Add adds an event.
func (e *BehaviourEvents) Add(time int64, id catalog.IngestID, mask uint64) {
	switch {
	case !e.behaviour.Ordered():
		e.met |= mask
	case mask != 0 || !e.behaviour.Skips():
		e.append(behaviourEvent{time: time, id: id, mask: mask})
	}
}

func (e *BehaviourEvents) append(event behaviourEvent) {
	if n := len(e.events); e.sorted && n > 0 && compareBehaviourEvents(e.events[n-1], event) > 0 {
		e.sorted = false
	}
	e.events = append(e.events, event)
}

// Merge adds the events of another partial result of the same function, which it
// does not change.
func (e *BehaviourEvents) Merge(other *BehaviourEvents) {
	e.met |= other.met
	if len(other.events) == 0 {
		return
	}
	e.sorted = e.sorted && other.sorted && (len(e.events) == 0 || compareBehaviourEvents(e.events[len(e.events)-1], other.events[0]) <= 0)
	e.events = append(e.events, other.events...)
}

// Bytes is what the events take in memory.
func (e *BehaviourEvents) Bytes() int64 { return int64(cap(e.events)) * BehaviourEventBytes }

// Value is the function's value of all events.
func (e *BehaviourEvents) Value() catalog.Value {
	v, _ := e.ValueUntil(context.Background()) // which never ends
	return v
}

// behaviourRun is how many events are sorted, or stepped through, between two
// looks at a context.
const behaviourRun = 1 << 16

// ValueUntil is Value, unless the context ends.
func (e *BehaviourEvents) ValueUntil(ctx context.Context) (catalog.Value, error) {
	s := e.behaviour.New()
	if e.met != 0 {
		s.Step(0, e.met)
	}
	if len(e.events) <= behaviourRun {
		e.sort()
	}
	if !e.sorted {
		err := e.stepRuns(ctx, s)
		return s.Value(), err
	}
	for lo := 0; lo < len(e.events); lo += behaviourRun {
		if err := ctx.Err(); err != nil {
			return catalog.Null, err
		}
		for i := lo; i < min(lo+behaviourRun, len(e.events)); i++ {
			s.Step(e.events[i].time, e.events[i].mask)
		}
	}
	return s.Value(), nil
}

// stepRuns sorts the events in runs, and steps through them as they follow one
// another in all runs together.
func (e *BehaviourEvents) stepRuns(ctx context.Context, s State) error {
	var runs behaviourRuns
	for lo := 0; lo < len(e.events); lo += behaviourRun {
		if err := ctx.Err(); err != nil {
			return err
		}
		run := e.events[lo:min(lo+behaviourRun, len(e.events))]
		slices.SortFunc(run, compareBehaviourEvents)
		runs = append(runs, run)
	}
	heap.Init(&runs)
	for n := 0; len(runs) > 0; n++ {
		if n%behaviourRun == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		event := &runs[0][0]
		s.Step(event.time, event.mask)
		if runs[0] = runs[0][1:]; len(runs[0]) == 0 {
			heap.Pop(&runs)
		} else {
			heap.Fix(&runs, 0)
		}
	}
	return nil
}

// behaviourRuns are sorted runs that are not empty, as a heap by their first event.
type behaviourRuns [][]behaviourEvent

func (r behaviourRuns) Len() int           { return len(r) }
func (r behaviourRuns) Less(i, j int) bool { return compareBehaviourEvents(r[i][0], r[j][0]) < 0 }
func (r behaviourRuns) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *behaviourRuns) Push(x any)        { *r = append(*r, x.([]behaviourEvent)) }
func (r *behaviourRuns) Pop() any {
	last := len(*r) - 1
	run := (*r)[last]
	*r = (*r)[:last]
	return run
}

func (e *BehaviourEvents) sort() {
	if !e.sorted {
		slices.SortFunc(e.events, compareBehaviourEvents)
		e.sorted = true
	}
}

// Encoded events:
//
//	version  byte     1
//	met      uvarint  conditions met, where the order does not matter, else 0
//	count    uvarint
//	events   sorted, each: time (the first a varint, then uvarints of the time
//	         since the last), ingest id (16 bytes), mask (uvarint)
const behaviourEventsVersion = 1

// minBehaviourEvent is the shortest an encoded event can be.
const minBehaviourEvent = 1 + catalog.IngestIDSize + 1

// AppendBehaviourEvents appends the encoding to dst. It sorts the events.
func AppendBehaviourEvents(dst []byte, e *BehaviourEvents) []byte {
	e.sort()
	dst = append(dst, behaviourEventsVersion)
	dst = binary.AppendUvarint(dst, e.met)
	dst = binary.AppendUvarint(dst, uint64(len(e.events)))
	for i := range e.events {
		event := &e.events[i]
		if i == 0 {
			dst = binary.AppendVarint(dst, event.time)
		} else {
			dst = binary.AppendUvarint(dst, uint64(event.time-e.events[i-1].time))
		}
		dst, _ = event.id.AppendBinary(dst)
		dst = binary.AppendUvarint(dst, event.mask)
	}
	return dst
}

// DecodeBehaviourEvents reads what AppendBehaviourEvents wrote for the same
// function. The events share no memory with b.
func DecodeBehaviourEvents(behaviour Behaviour, b []byte) (*BehaviourEvents, error) {
	if len(b) > 0 && b[0] > behaviourEventsVersion {
		return nil, fmt.Errorf("%w: behaviour events of version %d, this arbor knows %d", ErrVersion, b[0], behaviourEventsVersion)
	}
	d := decoder{rest: b}
	e := NewBehaviourEvents(behaviour)
	if d.byte() != behaviourEventsVersion {
		d.bad = true
	}
	masks := conditionMask(behaviour.Conditions()) + 1
	e.met = d.below(masks)
	n := d.below(uint64(len(b)/minBehaviourEvent) + 1)
	if e.met != 0 && behaviour.Ordered() || n != 0 && !behaviour.Ordered() {
		d.bad = true
	}
	if !d.bad {
		e.events = make([]behaviourEvent, 0, n)
	}
	for i := range n {
		event := behaviourEvent{time: d.eventTime(e, i)}
		event.id = catalog.IngestIDFromBytes(d.bytes(catalog.IngestIDSize))
		event.mask = d.below(masks)
		if d.bad {
			break
		}
		e.append(event)
	}
	if d.bad || len(d.rest) != 0 || !e.sorted {
		return nil, fmt.Errorf("%w: behaviour events of %d bytes are damaged", ErrFragment, len(b))
	}
	return e, nil
}

// eventTime reads the time of the i-th event.
func (d *decoder) eventTime(e *BehaviourEvents, i uint64) int64 {
	if i > 0 {
		last := e.events[i-1].time
		time := last + int64(d.uvarint())
		if time < last {
			d.bad = true
		}
		return time
	}
	v, n := binary.Varint(d.rest)
	if d.bad || n <= 0 {
		d.bad = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}
