package member

import (
	"errors"
	"math/rand/v2"
	"testing"

	"arbor/cluster/consensus"
	"arbor/engine/vfs"
)

// TestCopiesAreFenced: of two processes of one member the one with the older
// directory ends, or is told at its start that it is old.
func TestCopiesAreFenced(t *testing.T) {
	mem := vfs.NewMem()
	first := founded(t, vfs.NewMem(), listen(t))
	defer first.close()
	second, third := first.joins(mem), first.joins(vfs.NewMem())
	defer third.close()
	waitFor(t, "all hold everything", func() bool { return allHold(first, second, third) })
	running := mem.CrashClone(rand.New(rand.NewPCG(1, 1)), 0)
	var twin *station
	var err error
	started := make(chan struct{})
	go func() {
		defer close(started)
		twin, err = start(t, running, listen(t))
	}()
	waitFor(t, "the first process learns that it is fenced", func() bool { return errors.Is(second.failure(), ErrFenced) })
	second.close()
	<-started
	if err != nil {
		t.Fatal(err)
	}
	twin.close()
	// The first directory has started once, its copy twice.
	if _, err := start(t, mem, listen(t)); !errors.Is(err, consensus.ErrStaleBoot) {
		t.Errorf("a directory that started less often than is known: %v", err)
	}
	// Started once more it is the one that has started most often. It lacks what the
	// copy took in, so it does not go on as the same.
	again, err := start(t, mem, listen(t))
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	if again.generation <= twin.generation {
		t.Errorf("an older directory goes on under generation %d, the newer one had %d", again.generation, twin.generation)
	}
}

// TestSecondProcessChangesNothing: a directory that is in use stays as it is.
func TestSecondProcessChangesNothing(t *testing.T) {
	first := founded(t, vfs.NewMem(), listen(t))
	defer first.close()
	before, err := readIdentity(first.disk, "data")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := start(t, first.disk, listen(t)); !errors.Is(err, vfs.ErrLocked) {
		t.Fatalf("a second process: %v", err)
	}
	after, err := readIdentity(first.disk, "data")
	if err != nil || after.Boot != before.Boot || after.Place.Listen != before.Place.Listen {
		t.Errorf("start %d at %s became start %d at %s: %v", before.Boot, before.Place.Listen, after.Boot, after.Place.Listen, err)
	}
}
