package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
)

// TestFailAndGoOn has the disk fail at operation k, and goes on without opening
// the engine again: what the failure left half done stays beside what comes
// after it, until the power is cut some scenes later.
func TestFailAndGoOn(t *testing.T) {
	skipShort(t)
	for _, script := range scripts {
		t.Run(script.name, func(t *testing.T) {
			t.Parallel()
			for k := int64(1); ; k++ {
				long := true
				for i, how := range aftermaths {
					apart := int64(len(aftermaths))
					if script.thorough {
						apart = 3
					}
					if !exhaustive() && int64(i)%apart != k%apart {
						continue
					}
					failed, history, err := how.goOn(t.Context(), script, k)
					if err != nil {
						t.Fatalf("operation %d, %+v: %v\n\n%s", k, how, err, history)
					}
					long = failed
				}
				if !long {
					t.Logf("%d operations on files", k-1)
					return
				}
			}
		})
	}
}

// aftermath is how a failure goes on: for one operation or to the end of its
// scene, and how many scenes later the power is cut.
type aftermath struct {
	once  bool
	later int
}

var aftermaths = []aftermath{{true, 0}, {false, 2}, {true, 1}, {false, 1}, {true, 3}, {false, 0}, {true, 2}, {false, 3}, {false, 5}}

// goOn performs a script with operation k failing, and cuts the power afterwards,
// and again.
func (how aftermath) goOn(ctx context.Context, script script, k int64) (failed bool, r *run, err error) {
	r, err = begin(ctx, openEngine, script.world)
	if err != nil {
		return false, r, err
	}
	defer func() { err = r.end(recover(), err) }()
	m := r.subject.(*member)
	m.FailAt(k, syscall.EIO, how.once)
	const never = -100
	cut := never
	for i, scene := range script.scenes {
		rng := rand.New(rand.NewPCG(uint64(i), script.salt))
		r.logf("%d: %s", i, scene.name)
		err := scene.act(r, rng)
		if m.fired.Load() && cut == never {
			m.Heal()
			failed, cut = true, i+how.later
			r.detail("operation %d fails: %v", k, err)
		}
		switch {
		case err != nil && !failed:
			return failed, r, fmt.Errorf("scene %d (%s): %w", i, scene.name, err)
		case !m.Opened(), i == cut, i == cut+3, err != nil && m.Failed() && len(r.doubt) > 0, r.doubtful != nil:
			// The power is cut, or a log that could not be synced must be opened
			// again before it takes anything.
			m.crashed.Store(true)
			r.detail("the power is cut: %v", err)
			if err := r.recover(rng); err != nil {
				return failed, r, fmt.Errorf("after scene %d (%s): %w", i, scene.name, err)
			}
			if err := r.compareAll(rng); err != nil {
				return failed, r, fmt.Errorf("after scene %d (%s): %w", i, scene.name, err)
			}
		}
	}
	m.Heal()
	rng := rand.New(rand.NewPCG(uint64(k), 4))
	return failed, r, errors.Join(r.crash(rng), r.compareAll(rng), closeAll(r, rng), r.compareAll(rng))
}
