package engine

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"arbor/engine/exec"
)

// inUserOrder reports whether the rows are those of one user, in the order of time.
// Users without an id are in all buckets.
func (o *ordering) inUserOrder() bool {
	order, users := o.scan.fragment.Order, o.scan.bounds.Users
	return len(order) == 1 && o.byTime() && !order[0].Descending && len(users) == 1 && users[0] != ""
}

// userDay is the part of a user's events that are of one day. Days are worked on
// side by side and given one after the other.
type userDay struct {
	views []*view
	// sources are the files and logs that have rows of the user, or may have some. The
	// rows of one source are in order.
	sources int
	batches chan *exec.Batch
}

// userPieceRows is how many rows of a user are read at once. The first are on their way to
// the client while the next are read, and what was made of them is still near the processor.
const userPieceRows = 2048

// batchesAhead is how many batches of a day are made before their turn has come.
const batchesAhead = 2

// followUser gives the events of one user day by day.
func (s *scan) followUser(ctx context.Context, o *ordering, yield func(*exec.Batch) error) error {
	o.top = 0
	s.order = o
	slices.SortStableFunc(s.views, func(a, b *view) int { return int(a.shard.key.Day) - int(b.shard.key.Day) })
	var days []*userDay
	for _, v := range s.views {
		if n := len(days); n > 0 && days[n-1].views[0].shard.key.Day == v.shard.key.Day {
			days[n-1].views = append(days[n-1].views, v)
			continue
		}
		days = append(days, &userDay{views: []*view{v}, batches: make(chan *exec.Batch, batchesAhead)})
	}
	rows := int64(0)
	for _, d := range days {
		n, err := s.userRows(d)
		if err != nil {
			return err
		}
		rows += n
	}
	if rows <= int64(s.fewRows()) {
		return s.giveDays(ctx, days, yield)
	}
	work, ctx := errgroup.WithContext(ctx)
	queue := make(chan *userDay, len(days))
	for _, d := range days {
		queue <- d
	}
	close(queue)
	for range min(s.engine.opts.Workers, len(days)) {
		work.Go(func() error { return s.userWorker(ctx, queue) })
	}
	work.Go(func() error {
		for _, d := range days {
			if err := s.giveDay(ctx, d, yield); err != nil {
				return err
			}
		}
		return nil
	})
	if err := work.Wait(); err != nil && !errors.Is(err, errEnough) {
		return err
	}
	return nil
}

// userRows counts the rows that a day may have of the user, and where they are.
func (s *scan) userRows(d *userDay) (rows int64, err error) {
	for _, v := range d.views {
		if len(v.logs) > 0 {
			d.sources += 2
			rows += v.events
		}
		for _, f := range v.files.files {
			lo, hi, err := f.reader.UserRange(s.bounds.Users[0])
			if err != nil {
				return 0, v.blame(err)
			}
			if lo < hi {
				d.sources++
				rows += int64(hi - lo)
			}
		}
	}
	return rows, nil
}

// giveDays yields all days, which have few rows, one after the other.
func (s *scan) giveDays(ctx context.Context, days []*userDay, yield func(*exec.Batch) error) error {
	w, err := newWorker(s)
	if err != nil {
		return err
	}
	defer w.finish()
	for _, d := range days {
		if err := w.userDay(ctx, d, func(ctx context.Context, b *exec.Batch) error { return s.giveUser(ctx, b, yield) }); err != nil {
			if errors.Is(err, errEnough) {
				return nil
			}
			return err
		}
	}
	return nil
}

// giveDay yields a day's batches as they come.
func (s *scan) giveDay(ctx context.Context, d *userDay, yield func(*exec.Batch) error) error {
	for {
		select {
		case b, ok := <-d.batches:
			if !ok {
				return nil
			}
			if err := s.giveUser(ctx, b, yield); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *scan) giveUser(ctx context.Context, b *exec.Batch, yield func(*exec.Batch) error) error {
	s.mu.Lock() // workers count too
	given := s.stats.RowsGiven
	s.mu.Unlock()
	limit := s.fragment.Limit
	if limit > 0 {
		b.Cut(int(min(limit-given, int64(b.Rows))))
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := yield(b); err != nil {
		return err
	}
	s.mu.Lock()
	s.stats.RowsGiven += int64(b.Rows)
	s.mu.Unlock()
	if limit > 0 && given+int64(b.Rows) >= limit {
		return errEnough
	}
	return nil
}

// userWorker works on days until there are none. Days are taken in order, so the
// one whose turn it is always goes on.
func (s *scan) userWorker(ctx context.Context, queue <-chan *userDay) error {
	w, err := newWorker(s)
	if err != nil {
		return err
	}
	defer w.finish()
	for d := range queue {
		send := func(ctx context.Context, b *exec.Batch) error {
			select {
			case d.batches <- b:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		err := w.userDay(ctx, d, send)
		close(d.batches)
		if err != nil {
			return err
		}
	}
	return nil
}

// userDay makes the batches of a day. Where they come from one file they are in
// order; else the day is sorted.
func (w *worker) userDay(ctx context.Context, d *userDay, send func(context.Context, *exec.Batch) error) error {
	s := w.scan
	w.sorter, w.pieceRows = newSorter(w), min(userPieceRows, s.fewRows())
	if d.sources == 1 {
		w.sorter.emit = send
	}
	for _, v := range d.views {
		if err := w.userView(ctx, v); err != nil {
			return v.blame(err)
		}
	}
	if w.sorter.emit != nil {
		return nil
	}
	if err := w.sorter.sort(); err != nil {
		return err
	}
	if err := s.order.give(w.sorter.rows, func(b *exec.Batch) error { return send(ctx, b) }); err != nil {
		return err
	}
	return w.sorter.hold(-w.sorter.held)
}

// userView takes the user's rows of a view.
func (w *worker) userView(ctx context.Context, v *view) error {
	st, err := w.scan.stateOf(ctx, v)
	if err != nil {
		return err
	}
	for i := range v.files.files {
		err := w.scan.divideFile(v, st, int32(i), func(p part) error {
			p.view, p.state = v, st
			return w.scanFile(ctx, &p)
		})
		if err != nil {
			return err
		}
	}
	return divideLog(v, func(p part) error {
		p.view, p.state = v, st
		return w.scanLog(ctx, &p)
	})
}
