package consensus

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestASilentLeaderIsReplacedInTime: however the timers of raft fall, two election timeouts
// after a leader was last heard a command is applied that was begun at once, through either
// of the others.
func TestASilentLeaderIsReplacedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		threeMembers(w)
		for round := range 40 {
			l := w.leader()
			for _, g := range w.groups {
				w.until("all are followed", func() bool { led, known := g.Leader(); return known && led == l.o.ID })
			}
			time.Sleep(time.Duration(round) * 37 * time.Millisecond) // fake: timers fall otherwise
			dead := l.o.ID
			w.cut(dead)
			cut := time.Now()
			for _, g := range w.groups {
				if g.o.ID != dead {
					w.must(g.Apply(t.Context(), project(fmt.Sprintf("r%d_%s", round, g.o.ID.String()[:2]))))
				}
			}
			if took := time.Since(cut); took > 2*DefaultTiming.Election {
				t.Errorf("round %d: the next command was applied %v after the leader was cut off", round, took)
			}
			w.heal(dead)
			w.until("it follows", func() bool {
				return !w.groups[dead].Leads() && w.groups[dead].State().Version == w.leader().State().Version
			})
		}
		w.stopAll()
	})
}

// TestNobodyWaitsForALeaderThatHangs: a command that a leader took, and never answers, is
// given to the next one, and is applied once.
func TestNobodyWaitsForALeaderThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		threeMembers(w)
		hangs := w.leader().o.ID
		var through *Group
		for me, g := range w.groups {
			if me != hangs {
				through = g
			}
		}
		w.mu.Lock()
		w.hangs = hangs
		w.mu.Unlock()
		began := time.Now()
		done := make(chan error)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := through.Apply(ctx, project("taken"))
			done <- err
		}()
		time.Sleep(time.Millisecond) // fake
		w.cut(hangs)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 2*DefaultTiming.Election+100*time.Millisecond {
			t.Errorf("it was applied after %v", took)
		}
		w.mu.Lock()
		w.hangs = MemberID{}
		w.mu.Unlock()
		w.stopAll()
	})
}

// TestWhileTheLeaderLeads: the context ends with the one that it came from, and with the
// leadership.
func TestWhileTheLeaderLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		threeMembers(w)
		l := w.leader()
		from, cancel := context.WithCancel(t.Context())
		ended, done := l.While(from, l.o.ID)
		defer done()
		led, over := l.While(t.Context(), l.o.ID)
		defer over()
		cancel()
		synctest.Wait()
		if ended.Err() == nil || led.Err() != nil {
			t.Fatalf("%v, %v", ended.Err(), led.Err())
		}
		if err := l.TransferLeader(MemberID{}); err != nil {
			t.Fatal(err)
		}
		w.until("it ends", func() bool { return led.Err() != nil })
		w.stopAll()
	})
}
