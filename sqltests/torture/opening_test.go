package torture

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"arbor/engine/vfs"
	"arbor/sqltests/oracle"
)

// TestCrashWhileOpening crashes the play at operation k and then crashes again
// at each operation of the opening that heals it, before it is let through.
func TestCrashWhileOpening(t *testing.T) {
	skipShort(t)
	openings := 0
	step := int64(7)
	if exhaustive() {
		step = 1
	}
	for k := int64(1); ; k += step {
		r, failed, err := interruptedPlay(t, k)
		if err != nil {
			t.Fatalf("operation %d: %v\n%s", k, err, r)
		}
		if !failed {
			break
		}
		for j := int64(1); ; j++ {
			healed, err := r.openingFails(k, j)
			if err != nil {
				t.Fatalf("operation %d of the play, operation %d of opening: %v\n%s", k, j, err, r)
			}
			openings++
			if healed {
				break
			}
		}
		_ = r.subject.Close() // its disk has crashed
	}
	t.Logf("%d openings", openings)
}

// interruptedPlay plays until operation k, where the machine stops.
func interruptedPlay(t *testing.T, k int64) (r *run, failed bool, err error) {
	r, err = begin(t.Context(), openEngine, oneDay)
	if err != nil {
		return r, false, err
	}
	m := r.subject.(*member)
	m.FailAt(k, vfs.ErrCrashed, false)
	for i, scene := range play {
		r.logf("%d: %s", i, scene.name)
		err := scene.act(r, rand.New(rand.NewPCG(uint64(i), 3)))
		if m.fired.Load() {
			return r, true, nil
		}
		if err != nil {
			return r, false, err
		}
	}
	return r, false, nil
}

// openingFails opens what a crash left, and stops that at operation j. It
// reports whether opening was done before.
func (r *run) openingFails(k, j int64) (healed bool, err error) {
	m := r.subject.(*member)
	rng := rand.New(rand.NewPCG(uint64(k), uint64(j)))
	unsynced := []float64{0, 0.5, 1}[rng.IntN(3)]
	disk := m.disk.CrashClone(rng, unsynced)
	again := &member{disk: disk, options: m.options, unsynced: []float64{unsynced}, faulty: vfs.NewFaulty(disk)}
	again.FailAt(j, vfs.ErrCrashed, false)
	err = again.open(r.ctx)
	if err == nil && again.fired.Load() {
		return false, fmt.Errorf("opening did not notice that operation %d failed", j)
	}
	healed = err == nil
	if healed {
		err = again.Close()
	} else {
		_ = again.Close()
	}
	if healed && err != nil {
		return false, err
	}

	// Whatever the second crash left is opened in peace. The doubt is settled on
	// a copy of the history, since the next opening starts from the first crash.
	copied := *r
	copied.model = copyModel(r)
	copied.subject = again
	again.unsynced = []float64{0.5}
	if err := copied.recover(rng); err != nil {
		return healed, err
	}
	return healed, errors.Join(copied.compareAll(rng), again.Close())
}

func copyModel(r *run) *oracle.Model {
	m := oracle.New(r.catalog)
	m.Add(r.model.Records()...)
	return m
}
