package protocol

import (
	"errors"
	"testing"
	"time"

	"arbor/engine/dot"
)

// left is a replica that has left a bucket.
type left struct {
	t    *testing.T
	h    *Holder
	self Replica
	now  Moment
}

// newLeft makes one that still has a batch: it left before this process began.
func newLeft(t *testing.T) *left {
	self, other := Replica{MemberID{1}, 1}, Replica{MemberID{2}, 1}
	return &left{t: t, self: self, h: NewHolder(self.Member, dot.Stream{8}, 1, map[Bucket]Kept{0: {
		Record: Record{Generation: 1, Synced: 1, Config: Config{Epoch: 3, Old: []Replica{other}}},
		Dots:   dot.Of(dot.Dot{Stream: dot.Stream{9}, Seq: 1}),
	}})}
}

// tick lets time pass, and gives what is to be done.
func (l *left) tick(d time.Duration) []Task {
	l.t.Helper()
	var e Effects
	l.now += d
	l.h.Tick(&e, l.now)
	return e.Tasks
}

// ends ends a task, and gives what is to be done next.
func (l *left) ends(task Task, err error) []Task {
	l.t.Helper()
	var e Effects
	l.h.Complete(&e, l.now, task.Number, Result{Err: err})
	if e.Broken != nil {
		l.t.Fatalf("the replica stops: %v", e.Broken)
	}
	return e.Tasks
}

func (l *left) one(tasks []Task) Task {
	l.t.Helper()
	if len(tasks) != 1 {
		l.t.Fatalf("to be done is %+v, want one thing", tasks)
	}
	return tasks[0]
}

// TestWhatWasLeftIsDroppedAfterARestart: it need not have been left in this process.
func TestWhatWasLeftIsDroppedAfterARestart(t *testing.T) {
	l := newLeft(t)
	if tasks := append(l.tick(time.Second), l.tick(dropAfter-time.Second)...); len(tasks) > 0 {
		t.Fatalf("too early: %+v", tasks)
	}
	save := l.one(l.tick(time.Second))
	if save.Save == nil || save.Save.Synced != 0 || save.Save.Config.Epoch != 3 {
		t.Fatalf("first %+v", save)
	}
	if drop := l.one(l.ends(save, nil)); !drop.Drop {
		t.Fatalf("then %+v", drop)
	}
}

// TestNoRoomToDrop: on a full disk dropping is tried again and again, nothing else is done
// to the bucket meanwhile, and a config that came in the middle is saved afterwards.
func TestNoRoomToDrop(t *testing.T) {
	l := newLeft(t)
	l.tick(time.Second)
	drop := l.one(l.ends(l.one(l.tick(dropAfter)), nil))
	full := errors.Join(ErrFull, errors.New("no space left on device"))
	for range 3 {
		if tasks := l.ends(drop, full); len(tasks) > 0 {
			t.Fatalf("at once: %+v", tasks)
		}
		var e Effects
		l.h.Learn(&e, l.now, 0, Config{Epoch: 4, Old: []Replica{{MemberID{2}, 1}}, New: []Replica{l.self}})
		if tasks := append(e.Tasks, l.tick(saveAgainAfter/2)...); len(tasks) > 0 {
			t.Fatalf("too early: %+v", tasks)
		}
		if drop = l.one(l.tick(saveAgainAfter)); !drop.Drop {
			t.Fatalf("then %+v", drop)
		}
	}
	if save := l.one(l.ends(drop, nil)); save.Save == nil || save.Save.Config.Epoch != 4 || save.Save.Synced != 0 {
		t.Fatalf("in the end %+v", save)
	}
	// Any other error is one of a disk that cannot be believed.
	l = newLeft(t)
	l.tick(time.Second)
	drop = l.one(l.ends(l.one(l.tick(dropAfter)), nil))
	var e Effects
	if l.h.Complete(&e, l.now, drop.Number, Result{Err: errors.New("input/output error")}); e.Broken == nil {
		t.Fatal("the replica goes on")
	}
}
