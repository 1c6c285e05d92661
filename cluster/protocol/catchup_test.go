package protocol

import (
	"testing"
	"time"

	"arbor/engine/dot"
)

// TestCatchUpDoesNotWaitForTheLost: an old replica tells of a batch that nobody
// else has, and is gone before it gives it. Two others are a majority, and what
// they have is enough; without a second of them it is not.
func TestCatchUpDoesNotWaitForTheLost(t *testing.T) {
	a, b, c, p := Replica{MemberID{1}, 1}, Replica{MemberID{2}, 1}, Replica{MemberID{3}, 1}, Replica{MemberID{4}, 1}
	s := dot.Stream{9}
	config := Config{Epoch: 2, Old: []Replica{a, b, c}, New: []Replica{p}}
	h := NewHolder(p.Member, dot.Stream{8}, 1, map[Bucket]Kept{0: {
		Record: Record{Generation: 1, Config: config},
		Dots:   dot.Of(dot.Dot{Stream: s, Seq: 1}),
	}})
	now := Moment(0)
	// tick lets time pass, and gives the records that are to be saved and the
	// call under which the old replicas are asked.
	tick := func() (saves []Record, call Call) {
		var e Effects
		now += time.Second
		h.Tick(&e, now)
		for _, task := range e.Tasks {
			if task.Save != nil {
				saves = append(saves, *task.Save)
			}
		}
		for _, m := range e.Messages {
			if ask, ok := m.Message.(*SetsRequest); ok && ask.All {
				call = ask.Call
			}
		}
		return saves, call
	}
	_, call := tick()
	tell := func(from Replica, dots dot.Set) {
		var e Effects
		h.Receive(&e, now, from.Member, &SetsReply{Call: call, Sets: []Held{{From: from, Config: config, Status: OK, Dots: dots}}})
	}
	tell(c, dot.Of(dot.Dot{Stream: s, Seq: 1}, dot.Dot{Stream: s, Seq: 2}))
	tell(a, dot.Of(dot.Dot{Stream: s, Seq: 1}))
	if saves, _ := tick(); len(saves) > 0 {
		t.Fatalf("caught up with one of three: %+v", saves)
	}
	tell(b, dot.Set{})
	if saves, _ := tick(); len(saves) != 1 || saves[0].Synced != 2 {
		t.Fatalf("has all of two of three, and saves %+v", saves)
	}
}
