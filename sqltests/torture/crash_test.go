package torture

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"arbor/catalog"
	"arbor/engine/vfs"
)

var crashAll = flag.Bool("crashall", false, "try every kind of failure at every operation on files; else one of them each (implied by 10,000 histories)")

// scene is one step of the play that is stopped at every operation on files.
type scene struct {
	name string
	act  func(*run, *rand.Rand) error
}

// script is a play: its scenes, where they take place, and the salt of what is
// random in them.
type script struct {
	name   string
	world  world
	salt   uint64
	scenes []scene
	// thorough wants all that can come after a failure.
	thorough bool
}

// scripts are performed in turn. The salts differ so that scenes meet different
// events.
var scripts = []script{
	{"the life of a day", oneDay, 3, play, false},
	{"another day", oneDay, 4, play, false},
	{"a project is purged", twoProjects, 5, purgePlay, false},
	{"files are merged", oneDay, 6, mergePlay, true},
}

// play goes through everything that writes: appends, deletes, undo, indexing by
// command and by age, closing days, late events, emptying the trash, changes of
// the catalog, opening again.
var play = []scene{
	{"append", (*run).append},
	{"append", (*run).append},
	{"index", indexAll},
	{"append", (*run).append},
	{"replay", (*run).replay},
	{"delete", (*run).delete},
	{"index again", indexAll},
	{"append", (*run).append},
	{"undo", (*run).undo},
	{"policy", (*run).policy},
	{"seal by age", func(r *run, _ *rand.Rand) error { return r.later(2 * time.Minute) }},
	{"truncate", (*run).truncate},
	{"append", (*run).append},
	{"close the day", closeAll},
	{"append late", (*run).append},
	{"delete", (*run).delete},
	{"close by time", func(r *run, _ *rand.Rand) error { return r.later(50 * time.Hour) }},
	{"empty the trash", func(r *run, _ *rand.Rand) error { return r.later(100 * time.Hour) }},
	{"append", (*run).append},
	{"reopen", (*run).reopen},
	{"append", (*run).append},
	{"close the day again", closeAll},
	{"empty the trash again", func(r *run, _ *rand.Rand) error { return r.later(100 * time.Hour) }},
}

// mergePlay makes so many files that some become one before the day is over,
// while the log still holds what came later.
var mergePlay = []scene{
	{"append", (*run).append}, {"index", indexAll},
	{"append", (*run).append}, {"index", indexAll},
	{"append", (*run).append}, {"index", indexAll},
	{"append", (*run).append}, {"delete", (*run).delete}, {"index", indexAll},
	{"append", (*run).append}, {"index", indexAll},
	{"append", (*run).append},
	{"merge", cleanUp},
	{"append", (*run).append}, {"index", indexAll},
	{"append", (*run).append},
	{"close the day", closeAll},
	{"append", (*run).append}, {"index", indexAll},
	{"append", (*run).append},
	{"empty the trash", func(r *run, _ *rand.Rand) error { return r.later(longAfter) }},
	{"append", (*run).append},
}

// purgePlay drops a project for good while another, whose records share the
// log's segments with it, goes on.
var purgePlay = []scene{
	{"append", (*run).append},
	{"append", (*run).append},
	{"append", (*run).append},
	{"index", indexAll},
	{"append", (*run).append},
	{"append", (*run).append},
	{"drop", func(r *run, _ *rand.Rand) error {
		return r.change(catalog.DropProject{ID: 2, At: r.now.UnixMicro()})
	}},
	{"append to the other", (*run).append},
	{"purge", func(r *run, _ *rand.Rand) error { return r.change(catalog.PurgeProject{ID: 2}) }},
	{"clean up", cleanUp},
	{"append to the other", (*run).append},
	{"close the day", closeAll},
	{"empty the trash", func(r *run, _ *rand.Rand) error { return r.later(longAfter) }},
	{"reopen", (*run).reopen},
	{"append to the other", (*run).append},
	{"clean up again", cleanUp},
}

func cleanUp(r *run, _ *rand.Rand) error { return r.later(time.Second) }

func indexAll(r *run, _ *rand.Rand) error { return r.subject.Index(r.ctx, 0, false) }
func closeAll(r *run, _ *rand.Rand) error { return r.subject.Index(r.ctx, 0, true) }

// perform performs a script with the k-th operation failing (0: none) and reports whether
// the play was long enough for it. When a scene suffers from it, the engine is
// opened again, and holds what it acknowledged and perhaps what it did not. At
// the end everything is indexed, and still equal.
func perform(ctx context.Context, script script, k int64, fault error, once bool, unsynced float64) (failed bool, history *run, err error) {
	r, err := begin(ctx, openEngine, script.world)
	if err != nil {
		return false, r, err
	}
	defer func() { err = r.end(recover(), err) }()
	s := r.subject.(*member)
	s.unsynced = []float64{unsynced}
	if k > 0 {
		s.FailAt(k, fault, once)
	}
	for i, scene := range script.scenes {
		rng := rand.New(rand.NewPCG(uint64(i), script.salt))
		r.logf("%d: %s", i, scene.name)
		err := scene.act(r, rng)
		switch suffers := s.fired.Load() && !failed; {
		case err != nil && !suffers:
			return failed, r, fmt.Errorf("scene %d (%s): %w", i, scene.name, err)
		case suffers:
			failed = true
			r.detail("operation %d fails: %v", k, err)
			if err := r.recover(rng); err != nil {
				return failed, r, fmt.Errorf("after scene %d (%s): %w", i, scene.name, err)
			}
			if err := r.compareAll(rng); err != nil {
				return failed, r, fmt.Errorf("after scene %d (%s): %w", i, scene.name, err)
			}
		}
	}
	s.Heal() // the play was too short for operation k
	for _, finish := range []func(*run, *rand.Rand) error{(*run).compareAll, cleanUp, closeAll, (*run).compareAll, (*run).reopen, (*run).compareAll, (*run).oneFileEach} {
		if err := finish(r, rand.New(rand.NewPCG(uint64(k), 4))); err != nil {
			return failed, r, fmt.Errorf("at the end: %w", err)
		}
	}
	return failed, r, nil
}

// everyOperation performs the scripts with operation 1, 2, 3 … failing, until
// each ends before.
func everyOperation(t *testing.T, fault error, once bool, unsynced func(k int64) []float64) {
	t.Helper()
	skipShort(t)
	for _, script := range scripts {
		t.Run(script.name, func(t *testing.T) {
			t.Parallel()
			if _, history, err := perform(t.Context(), script, 0, nil, false, 0); err != nil {
				t.Fatalf("without any fault: %v\n%s", err, history)
			}
			for k := int64(1); ; k++ {
				for _, u := range unsynced(k) {
					failed, history, err := perform(t.Context(), script, k, fault, once, u)
					if err != nil {
						t.Fatalf("operation %d, %v, once=%v, unsynced=%v: %v\n\n%s", k, fault, once, u, err, history)
					}
					if !failed {
						t.Logf("%d operations on files", k-1)
						return
					}
				}
			}
		})
	}
}

// TestCrashAtEveryOperation stops the machine at operation k, for every k.
// Nothing that was acknowledged is lost, nothing is counted twice, and opening
// heals.
func TestCrashAtEveryOperation(t *testing.T) {
	all := []float64{0, 0.5, 1}
	everyOperation(t, vfs.ErrCrashed, false, func(k int64) []float64 {
		if exhaustive() {
			return all
		}
		return all[k%3 : k%3+1]
	})
}

// TestFailAtEveryOperation has the disk refuse operation k once, a failed fsync
// among them.
func TestFailAtEveryOperation(t *testing.T) {
	everyOperation(t, syscall.EIO, true, func(int64) []float64 { return []float64{0} })
}

// TestDiskFullAtEveryOperation has the disk full from operation k on, until
// somebody makes room.
func TestDiskFullAtEveryOperation(t *testing.T) {
	everyOperation(t, syscall.ENOSPC, false, func(int64) []float64 { return []float64{0.5} })
}

// compareAll compares the contents and the tables, without queries at random.
func (r *run) compareAll(rng *rand.Rand) error {
	for _, p := range r.catalog.Projects {
		if err := r.compareScan(everything(rng, p.ID, true)); err != nil {
			return err
		}
		f := someFragment(rng, p.ID, r.someMoment(rng))
		if err := r.compareScan(f); err != nil {
			return err
		}
	}
	for table, columns := range map[string]string{"balance": balanceColumns, "digests": digestColumns, "deletes": deleteColumns} {
		if err := r.compareTable(table, columns); err != nil {
			return err
		}
	}
	return r.check()
}

// oneFileEach is compareFiles as an act.
func (r *run) oneFileEach(*rand.Rand) error { return r.compareFiles() }
