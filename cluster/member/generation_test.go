package member

import (
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"arbor/cluster"
	"arbor/cluster/protocol"
	"arbor/engine/vfs"
)

// TestBrokenAlone: a member that has the only copy of everything keeps it when a sync
// failed, as a server that is alone does.
func TestBrokenAlone(t *testing.T) {
	first := founded(t, vfs.NewMem(), listen(t))
	waitFor(t, "it holds everything", func() bool { return first.settled() })
	first.member.Broken(errors.New("a sync failed"))
	first.close()
	l, err := net.Listen("tcp", first.member.o.Place.Listen)
	if err != nil {
		t.Fatal(err)
	}
	if first, err = start(t, first.disk, l); err != nil {
		t.Fatal(err)
	}
	defer first.close()
	if first.generation != 2 || first.gave != 0 {
		t.Errorf("it goes on under generation %d and gave up %d buckets", first.generation, first.gave)
	}
	rows, err := first.member.Replicas()
	if err != nil || len(rows) != protocol.Buckets || slices.ContainsFunc(rows, func(r cluster.ReplicaRow) bool { return r.Generation != 1 }) {
		t.Errorf("%d replicas, not all as they were: %v", len(rows), err)
	}
}

// TestLostIdentity: a member that lost something comes back under its next
// generation, and is given everything anew.
func TestLostIdentity(t *testing.T) {
	first := founded(t, vfs.NewMem(), listen(t))
	defer first.close()
	second, third := first.joins(vfs.NewMem()), first.joins(vfs.NewMem())
	defer third.close()
	waitFor(t, "all hold everything", func() bool { return first.settled() && first.row(third).Buckets == protocol.Buckets })
	second.member.Broken(errors.New("a bit flipped"))
	second.close()
	l, err := net.Listen("tcp", second.member.o.Place.Listen)
	if err != nil {
		t.Fatal(err)
	}
	if second, err = start(t, second.disk, l); err != nil {
		t.Fatal(err)
	}
	defer second.close()
	if g := second.generation; g != 2 {
		t.Errorf("its generation is %d", g)
	}
	waitFor(t, "it has everything under the new one", func() bool {
		rows, err := first.member.Replicas()
		return err == nil && first.settled() && !slices.ContainsFunc(rows, func(r cluster.ReplicaRow) bool {
			return r.Member == second.member.ID().String() && r.Generation != 2
		})
	})
}

// TestLostIdentityIsToldToTheCluster: a disk that takes nothing any more cannot keep that
// it is broken. The cluster keeps it, also when the one whose disk it is leads, and when
// the process is ending already.
func TestLostIdentityIsToldToTheCluster(t *testing.T) {
	disk := vfs.NewFaulty(vfs.NewMem())
	first := founded(t, disk, listen(t))
	second, third := first.joins(vfs.NewMem()), first.joins(vfs.NewMem())
	defer second.close()
	defer third.close()
	waitFor(t, "all hold everything and vote", func() bool {
		return allHold(first, second, third) && first.row(first).Votes && first.row(second).Votes && first.row(third).Votes
	})
	var once sync.Once
	refused, closing := make(chan struct{}), make(chan struct{})
	disk.Inject(func(op vfs.Op) error {
		if op.Kind != vfs.OpSync {
			return nil
		}
		if strings.Contains(op.Name, "identity") {
			once.Do(func() { close(refused) })
			<-closing
		}
		return syscall.EIO
	})
	told := make(chan struct{})
	go func() { // ends when the disk has refused the record and the others have it
		first.member.Broken(errors.New("a sync failed"))
		close(told)
	}()
	at := first.member.o.Place.Listen
	<-refused // the process ends meanwhile, because of another log on the same disk
	first.stop()
	<-first.done
	close(closing)
	if err := first.member.Close(); err != nil {
		t.Log(err) // its log takes no more
	}
	<-told
	disk.Inject(func(vfs.Op) error { return nil })
	if i, err := readIdentity(disk, "data"); err != nil || i.Lost {
		t.Fatalf("the broken disk has it on record: %v %v", i, err)
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	again, err := start(t, disk, l)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	if again.generation < 2 || again.gave != protocol.Buckets {
		t.Errorf("it goes on under generation %d and gave up %d buckets", again.generation, again.gave)
	}
}

// TestLostBuckets: of what a member has lost it gets a new identity, and of the rest
// it keeps the one that it has.
func TestLostBuckets(t *testing.T) {
	first := founded(t, vfs.NewMem(), listen(t))
	defer first.close()
	if _, err := first.member.LostBuckets(t.Context(), []protocol.Bucket{3}, allBuckets()); !errors.Is(err, ErrOnlyCopy) {
		t.Errorf("the only copy is given up: %v", err)
	}
	second, third := first.joins(vfs.NewMem()), first.joins(vfs.NewMem())
	defer second.close()
	defer third.close()
	waitFor(t, "all hold everything", func() bool { return allHold(first, second, third) })
	if g, err := second.member.LostBuckets(t.Context(), []protocol.Bucket{3, 900}, allBuckets()[:1000]); g != 2 || err != nil {
		t.Fatal(g, err)
	}
	waitFor(t, "it has another identity of what it lost or never held", func() bool {
		rows, err := first.member.Replicas()
		return err == nil && first.settled() && !slices.ContainsFunc(rows, func(r cluster.ReplicaRow) bool {
			want := uint32(1)
			if r.Bucket == 3 || r.Bucket == 900 || r.Bucket >= 1000 {
				want = 2
			}
			return r.Member == second.member.ID().String() && r.Generation != want
		})
	})
}
