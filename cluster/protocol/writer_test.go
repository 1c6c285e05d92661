package protocol

import (
	"errors"
	"slices"
	"testing"
	"time"

	"arbor/engine/dot"
)

// TestWritesWaitForAsManyAsWanted: a write is acknowledged by majorities, or by as many
// as it wants, and is refused where there are fewer replicas.
func TestWritesWaitForAsManyAsWanted(t *testing.T) {
	r := []Replica{{MemberID{1}, 1}, {MemberID{2}, 1}, {MemberID{3}, 1}, {MemberID{4}, 1}}
	settled := Config{Epoch: 1, Old: r[:3]}
	moving := Config{Epoch: 2, Old: r[:1], New: r[1:4]}
	for _, x := range []struct {
		config Config
		least  int
		acks   []int // who acknowledges, the last of whom ends it; none where it is refused
	}{
		{settled, 0, []int{0, 1}},
		{settled, 1, []int{0, 1}},
		{settled, 2, []int{2, 1}},
		{settled, 3, []int{2, 1, 0}},
		{settled, 4, nil},
		{moving, 0, []int{0, 1, 2}},
		{moving, 2, []int{1, 2, 0}},
		{moving, 3, []int{0, 1, 2, 3}},
		{moving, 4, []int{0, 1, 2, 3}},
		{moving, 5, nil},
	} {
		configs := NewConfigs()
		configs.Learn(&Effects{}, 7, x.config)
		w := NewWriter(dot.Stream{1}, configs)
		var e Effects
		w.Write(&e, 0, 1, []Item{{Bucket: 7, Record: []byte("a")}, {Bucket: 7, Least: x.least, Record: []byte("b")}})
		if x.acks == nil {
			if len(e.Messages) > 0 || len(e.Written) != 1 || !errors.Is(e.Written[0].Err, ErrNoQuorum) {
				t.Errorf("%v, %d wanted: %+v", x.config, x.least, e)
			}
			continue
		}
		for i, from := range x.acks {
			if len(e.Written) > 0 {
				t.Errorf("%v, %d wanted: it ended after %d of %v", x.config, x.least, i, x.acks)
			}
			at := slices.IndexFunc(e.Messages, func(m Envelope) bool { return m.To == r[from].Member })
			if at < 0 {
				t.Fatalf("%v: %v was not asked", x.config, r[from])
			}
			ask := e.Messages[at].Message.(*AppendRequest)
			w.Receive(&e, time.Second, &AppendReply{Call: ask.Call, From: r[from], Bucket: 7, Config: x.config, Status: OK})
		}
		if len(e.Written) != 1 || e.Written[0].Err != nil {
			t.Errorf("%v, %d wanted: %+v after all of %v", x.config, x.least, e.Written, x.acks)
		}
	}
}

// TestTooFewAreLeftForWhatIsWanted: a write that wants all ends when one is full.
func TestTooFewAreLeftForWhatIsWanted(t *testing.T) {
	config := Config{Epoch: 1, Old: []Replica{{MemberID{1}, 1}, {MemberID{2}, 1}, {MemberID{3}, 1}}}
	for least, ended := range map[int]int{2: 0, 3: 1} {
		configs := NewConfigs()
		configs.Learn(&Effects{}, 0, config)
		w := NewWriter(dot.Stream{1}, configs)
		var e Effects
		w.Write(&e, 0, 1, []Item{{Least: least, Record: []byte("a")}})
		ask := e.Messages[0].Message.(*AppendRequest)
		w.Receive(&e, 0, &AppendReply{Call: ask.Call, From: config.Old[2], Config: config, Status: Full})
		if len(e.Written) != ended {
			t.Errorf("%d wanted and one is full: %+v", least, e.Written)
		}
	}
}
