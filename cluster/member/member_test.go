package member

import (
	"errors"
	"net"
	"strings"
	"testing"

	"arbor/cluster"
	"arbor/cluster/consensus"
	"arbor/cluster/protocol"
	"arbor/engine/vfs"
)

// TestLifeOfACluster grows one member to four and back to three, with deaths and
// changes of leaders between.
func TestLifeOfACluster(t *testing.T) {
	first := founded(t, vfs.NewMem(), listen(t))
	defer first.close()
	if !first.has("shop") || !first.member.Leads() {
		t.Fatal("the first member lacks the catalog of before, or does not lead")
	}
	second, third := first.joins(vfs.NewMem()), first.joins(vfs.NewMem())
	defer third.close()
	waitFor(t, "three members hold everything", func() bool {
		return first.settled() && first.row(first).Buckets == protocol.Buckets && third.row(second).Buckets == protocol.Buckets && third.row(third).Buckets == protocol.Buckets
	})
	waitFor(t, "all three vote", func() bool { return first.row(first).Votes && first.row(second).Votes && first.row(third).Votes })

	// The catalog changes through any member, and is known to all.
	third.create("of the third")
	second.create("of the second")
	waitFor(t, "all know all projects", func() bool {
		return first.has("of the third") && first.has("of the second") && third.has("of the second") && second.has("of the third")
	})

	// Refusals.
	for what, try := range map[string]func() error{
		"drain one of three": func() error { return third.member.Drain(t.Context(), second.member.ID().String(), false) },
		"remove who holds":   func() error { return third.member.Remove(t.Context(), second.member.ID().String(), false) },
		"no such member":     func() error { return third.member.Remove(t.Context(), "ffffffff", false) },
		"nobody":             func() error { return first.member.Restore(t.Context(), "") },
	} {
		refused := func() bool {
			err := try()
			if err == nil {
				t.Fatalf("%s: it was done", what)
			}
			return errors.Is(err, cluster.ErrRefused)
		}
		waitFor(t, what, refused) // a busy machine may elect another leader meanwhile
	}

	// The leader dies without a word; the others go on.
	disk, at := first.disk, first.member.o.Place.Listen
	first.close()
	waitFor(t, "another one leads", func() bool { return second.member.Leads() || third.member.Leads() })
	second.create("without the first")
	waitFor(t, "its death is noticed", func() bool { return !second.row(first).Alive })
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	if first, err = start(t, disk, l); err != nil {
		t.Fatal(err)
	}
	if !first.has("without the first") {
		t.Error("a member that is ready does not know what was agreed on before it started")
	}
	if boot := first.row(first).Boot; boot != 2 {
		t.Errorf("the first member started %d times", boot)
	}

	// A fourth comes, and takes the place of the second, which died.
	fourth := third.joins(vfs.NewMem())
	defer fourth.close()
	waitFor(t, "the fourth has its part", func() bool { return third.settled() && third.row(fourth).Buckets > 0 })
	second.close()
	waitFor(t, "its death is noticed", func() bool { return !third.row(second).Alive && !first.row(second).Alive && !fourth.row(second).Alive })
	if err := third.member.Replace(t.Context(), second.member.ID().String(), fourth.member.ID().String()[:10]); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the second holds nothing", func() bool { return third.settled() && third.row(second).Buckets == 0 })
	waitFor(t, "the second is removed", func() bool {
		return third.member.Remove(t.Context(), second.member.ID().String(), false) == nil
	})
	waitFor(t, "it does not vote, and three others do", func() bool {
		return !fourth.row(second).Votes && fourth.row(first).Votes && fourth.row(third).Votes && fourth.row(fourth).Votes
	})
	l, err = net.Listen("tcp", second.member.o.Place.Listen)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := start(t, second.disk, l); err == nil {
		waitFor(t, "a removed member that starts again ends", func() bool { return errors.Is(back.failure(), consensus.ErrRemoved) })
		back.close()
	} else if !errors.Is(err, consensus.ErrRemoved) {
		t.Errorf("a removed member starts again: %v", err)
	}
	waitFor(t, "the fourth leads", func() bool {
		return fourth.member.Leads() || fourth.member.TransferLeader(t.Context(), fourth.member.ID().String()) == nil && fourth.member.Leads()
	})
}

// TestRecoverGoesOnAlone: of two members the one that voted is lost for good.
func TestRecoverGoesOnAlone(t *testing.T) {
	first := founded(t, vfs.NewMem(), listen(t))
	second := first.joins(vfs.NewMem())
	waitFor(t, "both hold everything", func() bool { return first.settled() && second.row(second).Buckets == protocol.Buckets })
	first.create("kept")
	waitFor(t, "both know", func() bool { return second.has("kept") })
	first.close()
	second.close()
	lost := first.member.ID().String()
	for name, want := range map[string]string{second.member.ID().String(): "is the one that goes on", "none": "there is no member"} {
		if _, err := Recover(second.disk, "data", []string{lost, name}, quiet); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("recover without %s: %v", name, err)
		}
	}
	got, err := Recover(second.disk, "data", []string{lost[:8], LostOthers}, quiet)
	if err != nil || got.ID != second.member.ID() || got.Alone != protocol.Buckets || len(got.Gone) > 0 {
		t.Fatalf("%+v %v", got, err)
	}
	l := listen(t)
	if second, err = start(t, second.disk, l); err != nil {
		t.Fatal(err)
	}
	defer second.close()
	if !second.has("kept") {
		t.Error("what was agreed on is gone")
	}
	second.create("alone")
	if !second.member.Leads() {
		t.Error("it does not lead")
	}
	rows, err := second.member.Replicas()
	if err != nil || len(rows) != protocol.Buckets {
		t.Errorf("%d replicas are left: %v", len(rows), err)
	}
	if err := second.member.Remove(t.Context(), lost, false); err != nil {
		t.Error(err)
	}
	third := second.joins(vfs.NewMem())
	defer third.close()
	waitFor(t, "there are two copies again", func() bool { return second.settled() && second.row(third).Buckets == protocol.Buckets })
}
