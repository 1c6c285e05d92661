package engine

import (
	"context"
	"encoding/binary"

	"golang.org/x/sync/errgroup"

	"arbor/engine/exec"
)

// stepsName begins the names of steps in keptGroups; groups have as many keys there.
const stepsName = 0x7f

// behaveKept has the workers step through the events of a day's one file that meet
// conditions, as they were listed when the file was asked the second time. It reports
// false where that cannot be, or where the file is asked the first time.
func (s *scan) behaveKept(ctx context.Context, b *exec.Behaviours, v *view, st *state, workers []*worker, rows []*exec.BehaviourRows) (done bool, err error) {
	f, m, w := v.files.files[0], &st.files[0], workers[0]
	if !b.ByConditions() || w.filter != nil || !m.plain() || f.rows() == 0 {
		return false, nil
	}
	name, err := s.stepsName(f, w, rows[0])
	if err != nil || name == "" {
		return false, err
	}
	hidden := w.hiddenOf(m)
	g := f.groups.askSteps(name, hidden, s.question, s.engine.keptRoom)
	if g == nil {
		return false, nil
	}
	g.once.Do(func() {
		bytes := int64(0)
		if g.steps, g.err = s.makeSteps(context.WithoutCancel(ctx), v, st, w, rows[0]); g.steps != nil {
			bytes = g.steps.Bytes()
		}
		f.groups.made(name, g, bytes, &s.engine.pairBytes)
	})
	if g.err != nil || g.steps == nil {
		return false, g.err
	}
	if all, err := b.SeeAll(f.users()); err != nil || !all {
		return false, err
	}
	s.engine.metrics.KeptSteps.Add(1)
	w.look(f)
	w.stats.RowsTallied += int64(f.rows())
	w.stats.RowsDuplicate += int64(len(hidden))
	var work errgroup.Group
	cuts := g.steps.Cut(len(workers))
	for i := range workers {
		work.Go(func() error {
			defer workers[i].begin()()
			return rows[i].StepKept(workers[i].reads, g.steps, cuts[i], cuts[i+1])
		})
	}
	return true, work.Wait()
}

// stepsName tells steps apart by the conditions that each value of a column meets; empty
// where conditions look at others, or at rows without a value.
func (s *scan) stepsName(f *file, w *worker, rows *exec.BehaviourRows) (string, error) {
	_, column, ok, err := rows.MaskBytes(w.reads, nil)
	if err != nil || !ok {
		return "", err
	}
	c := &s.fragment.Columns[column]
	tally, err := tallyOf(f, c)
	if err != nil || tally == nil {
		return "", err
	}
	if counts := tally.Counts(); len(counts) > maxStepValues || counts[len(counts)-1] > 0 {
		return "", nil
	}
	v, err := tallyVector(tally, c)
	if err != nil {
		return "", err
	}
	masks, _, ok, err := rows.MaskBytes(w.reads, &v)
	if err != nil || !ok {
		return "", err
	}
	copies := byte(0)
	if s.fragment.Copies {
		copies = 1
	}
	head := []byte{stepsName, copies, byte(c.Source), byte(c.Result()), c.Precision, c.Scale}
	head = binary.AppendUvarint(head, uint64(len(c.Property)))
	return string(head) + c.Property + masks, nil
}

// maxStepValues is how many values the column of conditions has at most.
const maxStepValues = 256

// makeSteps lists the visible events of a view's one file that meet conditions.
func (s *scan) makeSteps(ctx context.Context, v *view, st *state, w *worker, rows *exec.BehaviourRows) (*exec.Steps, error) {
	f := v.files.files[0]
	least, greatest := f.reader.TimeBounds()
	steps := exec.NewSteps(f.users(), least, greatest)
	if steps == nil {
		return nil, nil
	}
	rows.MakeSteps(steps)
	w.step = rows
	defer func() {
		rows.MakeSteps(nil)
		w.step = nil
	}()
	before := w.stats
	defer func() { w.stats = before }()
	for lo := 0; lo < f.rows(); lo += pieceRows {
		p := &part{view: v, state: st, lo: lo, hi: min(lo+pieceRows, f.rows())}
		if err := w.scanFile(ctx, p); err != nil {
			return nil, err
		}
	}
	return steps, nil
}
