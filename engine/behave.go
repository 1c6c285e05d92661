package engine

import (
	"cmp"
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"arbor/catalog"
	"arbor/engine/exec"
)

// behave answers behavioural functions of each user: day by day, since a user's
// events of one day are together and come before those of the next. In a day that
// is one file several workers step through runs of users at once; a day of several
// sources is collected and sorted first.
func (s *scan) behave(ctx context.Context, b *exec.Behaviours, yield func(*exec.Batch) error) error {
	if err := s.takeViews(); err != nil {
		return err
	}
	defer s.releaseViews()
	slices.SortFunc(s.views, func(x, y *view) int {
		return cmp.Or(cmp.Compare(x.shard.key.Day, y.shard.key.Day), cmp.Compare(x.shard.key.Bucket, y.shard.key.Bucket))
	})
	if s.bounds.Users == nil {
		for _, v := range s.views {
			for _, f := range v.files.files {
				if err := b.Know(f.users()); err != nil {
					return v.blame(err)
				}
			}
		}
	}
	workers := make([]*worker, s.engine.opts.Workers)
	rows := make([]*exec.BehaviourRows, len(workers))
	for i := range workers {
		w, err := newWorker(s)
		if err != nil {
			return err
		}
		w.groups = nil
		workers[i], rows[i] = w, b.NewRows()
		defer w.finish()
	}
	for lo := 0; lo < len(s.views); {
		hi := lo + 1
		for hi < len(s.views) && s.views[hi].shard.key.Day == s.views[lo].shard.key.Day {
			hi++
		}
		if err := s.behaveDay(ctx, b, s.views[lo:hi], workers, rows); err != nil {
			return err
		}
		lo = hi
	}
	return b.Answer(s.giveAnswer(ctx, yield))
}

// giveAnswer yields an answer's batches and counts their rows.
func (s *scan) giveAnswer(ctx context.Context, yield func(*exec.Batch) error) func(*exec.Batch) error {
	return func(b *exec.Batch) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.stats.RowsGiven += int64(b.Rows)
		return yield(b)
	}
}

// behaveDay steps through a day's events, in the views of its buckets. A user is
// in one bucket, but for users without an id, who may be in all.
func (s *scan) behaveDay(ctx context.Context, b *exec.Behaviours, views []*view, workers []*worker, rows []*exec.BehaviourRows) error {
	if len(views) == 1 && len(views[0].files.files) == 1 && len(views[0].logs) == 0 && s.bounds.Users == nil {
		return s.behaveFile(ctx, b, views[0], workers, rows)
	}
	w := workers[0]
	w.collect = rows[0]
	defer func() { w.collect = nil }()
	for _, v := range views {
		st, err := s.stateOf(ctx, v)
		if err != nil {
			return err
		}
		for i := range v.files.files {
			err := s.divideFile(v, st, int32(i), func(p part) error {
				p.view, p.state = v, st
				return w.scanFile(ctx, &p)
			})
			if err != nil {
				return v.blame(err)
			}
		}
		err = divideLog(v, func(p part) error {
			p.view, p.state = v, st
			return w.scanLog(ctx, &p)
		})
		if err != nil {
			return v.blame(err)
		}
	}
	b.EndDay()
	return nil
}

// stateOf says who is visible in a view.
func (s *scan) stateOf(ctx context.Context, v *view) (*state, error) {
	r := rulesFor(s.catalog, v.shard.key, s.fragment.AsOf, s.fragment.Policy)
	r.detail = s.fragment.Copies && s.wantsKinds()
	if s.fragment.Stored() {
		r.stored, r.upTo = true, catalog.IngestID{}
	}
	if s.fragment.Measured {
		since := time.Now()
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.stats.TimeVisible += time.Since(since).Nanoseconds()
		}()
	}
	return v.state(ctx, r)
}

// behaveFile has the workers step through the users of a day's one file.
func (s *scan) behaveFile(ctx context.Context, b *exec.Behaviours, v *view, workers []*worker, rows []*exec.BehaviourRows) error {
	st, err := s.stateOf(ctx, v)
	if err != nil {
		return err
	}
	if done, err := s.behaveKept(ctx, b, v, st, workers, rows); done || err != nil {
		return v.blame(err)
	}
	cuts, err := userCuts(v.files.files[0], len(workers))
	if err != nil {
		return v.blame(err)
	}
	work, ctx := errgroup.WithContext(ctx)
	for i, w := range workers {
		lo, hi := cuts[i], cuts[i+1]
		work.Go(func() error {
			w.step = rows[i]
			defer func() { w.step = nil }()
			for ; lo < hi; lo = min(lo+pieceRows, hi) {
				p := &part{view: v, state: st, lo: lo, hi: min(lo+pieceRows, hi)}
				if err := w.scanFile(ctx, p); err != nil {
					return v.blame(err)
				}
			}
			return nil
		})
	}
	return work.Wait()
}

// userCuts divides a file's rows into n runs at the bounds of users.
func userCuts(f *file, n int) ([]int, error) {
	cuts := []int{0}
	for i := 1; i < n; i++ {
		at := max(f.rows()*i/n, cuts[i-1])
		if at < f.rows() && at > 0 {
			user, err := f.reader.UserOf(at)
			if err != nil {
				return nil, err
			}
			if _, at, _, err = f.reader.User(user); err != nil {
				return nil, err
			}
			at = max(at, cuts[i-1])
		}
		cuts = append(cuts, at)
	}
	return append(cuts, f.rows()), nil
}

// behave takes the rows at hand for behavioural functions.
func (w *worker) behave(selected exec.Bitmap, allSeen bool) error {
	if w.collect != nil {
		return w.collect.Collect(w.reads, selected)
	}
	return w.step.Step(w.reads, selected, allSeen)
}
