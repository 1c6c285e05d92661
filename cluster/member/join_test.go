package member

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"arbor/cluster/consensus"
	"arbor/engine/vfs"
)

func TestJoinRefusals(t *testing.T) {
	first := founded(t, vfs.NewMem(), listen(t))
	defer first.close()
	disk := vfs.NewMem()
	if err := disk.MkdirAll("data/catalog/log"); err != nil {
		t.Fatal(err)
	}
	join := Joining{FS: disk, Dir: "data", At: first.member.o.Place.Addresses, Token: first.token(), Release: "test",
		Place: Place{Addresses: []string{"127.0.0.1:1"}, Roles: consensus.RoleBoth}}
	if err := Join(t.Context(), join); !errors.Is(err, ErrHasData) {
		t.Errorf("a directory with data: %v", err)
	}
	join.FS = vfs.NewMem()
	other := join
	other.Token.Secret[0]++
	if err := Join(t.Context(), other); err == nil || !strings.Contains(err.Error(), "join token is not valid") {
		t.Errorf("another secret: %v", err)
	}
	if err := Join(t.Context(), join); err != nil {
		t.Fatal(err)
	}
	again := join
	again.FS = vfs.NewMem()
	if err := Join(t.Context(), again); err == nil || !strings.Contains(err.Error(), "was used") {
		t.Errorf("a token is used twice: %v", err)
	}
	if err := CheckToken(join.FS, "data", join.Token); err != nil {
		t.Errorf("the token of before: %v", err)
	}
	stranger := join.Token
	stranger.Cluster[0]++
	if err := CheckToken(join.FS, "data", stranger); !errors.Is(err, ErrOtherCluster) {
		t.Errorf("another cluster's token: %v", err)
	}
}

// TestAnnouncedAndNotHeardOf: a member whose log lags behind is told by the leader that it
// is announced before it sees that itself. That is late, and no reason to go on as if
// there were no leader.
func TestAnnouncedAndNotHeardOf(t *testing.T) {
	first := founded(t, vfs.NewMem(), listen(t))
	disk := vfs.NewFaulty(vfs.NewMem())
	second := first.joins(disk)
	defer second.close()
	waitFor(t, "both hold everything", func() bool { return allHold(first, second) })
	disk.Inject(func(op vfs.Op) error {
		if op.Kind == vfs.OpWrite && strings.HasPrefix(op.Name, MetadataDir("data")) {
			return syscall.ENOSPC
		}
		return nil
	})
	for within := 100 * time.Millisecond; ; within *= 2 {
		err := second.member.announceFor(t.Context(), within)
		if errors.Is(err, errLate) && !errors.Is(err, consensus.ErrNoLeader) {
			break
		}
		// The leader may have needed longer than that to answer.
		if !errors.Is(err, consensus.ErrNoLeader) || within > hearWithin {
			t.Fatalf("within %v: %v", within, err)
		}
	}
	disk.Inject(func(vfs.Op) error { return nil })
	if err := second.member.announceFor(t.Context(), hearWithin); err != nil {
		t.Errorf("with a log that has caught up: %v", err)
	}
	first.close()
	waitFor(t, "there is no leader", func() bool { _, ok := second.member.group.Load().Leader(); return !ok })
	if err := second.member.announceFor(t.Context(), 10*time.Millisecond); !errors.Is(err, consensus.ErrNoLeader) || errors.Is(err, errLate) {
		t.Errorf("without a leader: %v", err)
	}
}
