package member

import (
	"errors"
	"net"
	"path"
	"strings"
	"syscall"
	"testing"

	"arbor/cluster/consensus"
	"arbor/engine/vfs"
)

// fillUp has a disk refuse whatever needs room, but where the name has one of the parts.
func fillUp(disk *vfs.Faulty, but ...string) {
	disk.Inject(func(op vfs.Op) error {
		for _, part := range but {
			if strings.Contains(op.Name, part) {
				return nil
			}
		}
		if op.Kind == vfs.OpWrite || op.Kind == vfs.OpCreate {
			return syscall.ENOSPC
		}
		return nil
	})
}

func relisten(t *testing.T, at string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestStartOnAFullDisk: a member starts whose disk is full, as who it is, and announces
// that as soon as there is room; a second start is no copy's then.
func TestStartOnAFullDisk(t *testing.T) {
	first := founded(t, vfs.NewMem(), listen(t))
	defer first.close()
	disk := vfs.NewFaulty(vfs.NewMem())
	second, third := first.joins(disk), first.joins(vfs.NewMem())
	defer third.close()
	waitFor(t, "all hold everything", func() bool { return allHold(first, second, third) })
	first.create("before")
	waitFor(t, "the second has heard", func() bool { return second.has("before") })
	at, boot := second.member.o.Place.Listen, first.row(second).Boot
	second.close()
	for range 2 { // started twice, it has still the same count
		fillUp(disk)
		var err error
		if second, err = start(t, disk, relisten(t, at)); err != nil {
			t.Fatal(err)
		}
		if second.generation != 1 || !second.has("before") || !second.member.isUncounted() {
			t.Errorf("generation %d, uncounted %v", second.generation, second.member.isUncounted())
		}
		first.create("without it" + string(rune('a'+boot))) // two of three vote
		if got := first.row(second).Boot; got != boot {
			t.Errorf("it has announced start %d, and could count %d", got, boot)
		}
		disk.Inject(nil)
		waitFor(t, "it has announced itself", func() bool { return first.row(second).Boot == boot+1 })
		boot++
		first.create("with it" + string(rune('a'+boot)))
		waitFor(t, "it hears again", func() bool { return second.has("with it" + string(rune('a'+boot))) })
		second.close()
		if err := second.failure(); err != nil {
			t.Error(err)
		}
	}
}

// TestOldCopyOnAFullDisk: a directory of before is refused though its start cannot be
// counted, at the start where others answer, and later where they did not.
func TestOldCopyOnAFullDisk(t *testing.T) {
	first := founded(t, vfs.NewMem(), listen(t))
	defer first.close()
	disk := vfs.NewMem()
	second := first.joins(disk)
	waitFor(t, "both hold everything", func() bool { return allHold(first, second) })
	at := second.member.o.Place.Listen
	second.close()
	old := vfs.NewMem()
	copyTree(t, disk, old, "data")
	second, err := start(t, disk, relisten(t, at))
	if err != nil {
		t.Fatal(err)
	}
	second.close()
	full := vfs.NewFaulty(old)
	fillUp(full)
	if again, err := start(t, full, relisten(t, at)); !errors.Is(err, consensus.ErrStaleBoot) {
		if err == nil {
			again.close()
		}
		t.Fatalf("a copy started on a full disk: %v", err)
	}
	// The other one is away at first.
	where := first.member.o.Place.Listen
	first.close()
	second, err = start(t, full, relisten(t, at))
	if err != nil {
		t.Fatal(err)
	}
	defer second.close()
	first, err = start(t, first.disk, relisten(t, where))
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the copy is found out", func() bool {
		return errors.Is(second.failure(), consensus.ErrStaleBoot) || errors.Is(second.failure(), ErrFenced)
	})
}

// copyTree copies a directory.
func copyTree(t *testing.T, from, to vfs.FS, dir string) {
	t.Helper()
	names, err := from.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := to.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if sub, ok := strings.CutSuffix(name, "/"); ok {
			copyTree(t, from, to, path.Join(dir, sub))
			continue
		}
		b, err := readFile(from, path.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		f, err := to.Create(path.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = f.Write(b); errors.Join(err, f.Sync(), f.Close(), to.SyncDir(dir)) != nil {
			t.Fatal(err)
		}
	}
}
