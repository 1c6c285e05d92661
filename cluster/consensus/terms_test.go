package consensus

import (
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"arbor/engine/vfs"
)

// failing are three members that vote, of which the second's disk gives an error from
// now on, until it is mended, and of which the leader, if it is another one, has died.
func failing(t *testing.T, kind vfs.OpKind, with error, then func(w *world, second *Group, mend func())) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		disk := vfs.NewFaulty(vfs.NewMem())
		w.faulty = map[MemberID]*vfs.Faulty{id(2): disk}
		threeMembers(w)
		w.must(w.leader().Apply(t.Context(), project("before")))
		second := w.groups[id(2)]
		if l := w.leader(); l.o.ID == id(2) {
			if err := l.TransferLeader(id(1)); err != nil {
				w.t.Fatal(err)
			}
		}
		disk.Inject(func(op vfs.Op) error {
			if op.Kind == kind {
				return with
			}
			return nil
		})
		w.stop(w.leader().o.ID)
		then(w, second, func() { disk.Inject(func(vfs.Op) error { return nil }) })
	})
}

// TestFullDiskWaitsForRoom: a member whose disk is full when a leader is elected takes
// no part in that, and does when there is room.
func TestFullDiskWaitsForRoom(t *testing.T) {
	failing(t, vfs.OpWrite, syscall.ENOSPC, func(w *world, second *Group, mend func()) {
		time.Sleep(time.Minute) // fake
		for _, g := range w.groups {
			if g.Leads() {
				w.t.Fatal("a leader was elected by a vote that is nowhere")
			}
		}
		mend()
		w.leader()
		if s := w.must(second.Apply(w.t.Context(), project("after"))); !has(s, "before") || !has(s, "after") {
			w.t.Error("the member whose disk was full lacks something")
		}
		w.stopAll()
	})
}

// TestFullDiskCanBeClosed: nobody has to make room for that.
func TestFullDiskCanBeClosed(t *testing.T) {
	failing(t, vfs.OpWrite, syscall.ENOSPC, func(w *world, second *Group, _ func()) {
		time.Sleep(time.Minute) // fake
		if err := second.Snapshot(); !errors.Is(err, errAway) {
			w.t.Errorf("a snapshot: %v", err)
		}
		for _, g := range w.groups {
			if err := g.Close(); err != nil && g != second {
				w.t.Error(err)
			}
		}
	})
}

// TestBrokenDiskTakesNoPart: after a sync failed a member tells so, takes part in no
// election, though nothing panics, and can be closed.
func TestBrokenDiskTakesNoPart(t *testing.T) {
	failing(t, vfs.OpSync, syscall.EIO, func(w *world, second *Group, mend func()) {
		w.until("it tells of it", func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.failure[id(2)] != nil
		})
		mend()
		time.Sleep(time.Minute) // fake
		if err := second.Snapshot(); !errors.Is(err, errAway) {
			w.t.Errorf("a snapshot: %v", err)
		}
		for _, g := range w.groups {
			if g.Leads() {
				w.t.Error("a leader was elected by a vote that may be nowhere")
			}
		}
		for _, g := range w.groups {
			if err := g.Close(); err != nil && g != second {
				w.t.Error(err)
			}
		}
	})
}
