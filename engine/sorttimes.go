package engine

import (
	"cmp"
	"context"
	"slices"

	"arbor/catalog"
	"arbor/engine/exec"
	"arbor/engine/indexfile"
)

// The newest events, or the oldest, are looked for in the runs of rows that can have
// some of them. The first rows come from the runs with the newest times, so that the
// worst of them is soon known, and most other runs need not be looked at.

// filterGap is how many rows that cannot win are read with those around them where
// there is a filter: to begin to filter has a price.
const filterGap = 4 * indexfile.TimeRunRows

// byTimeRuns reports whether the first rows by time are wanted. Users that are asked
// for by name have few rows.
func (s *sorter) byTimeRuns() bool {
	o := s.order
	return o.top > 0 && o.plain && s.emit == nil && o.byTime() && o.scan.bounds.Users == nil
}

// timeRuns takes the rows [lo, hi) of a file but for those of runs that cannot win.
func (s *sorter) timeRuns(ctx context.Context, p *part, f *file, lo, hi int) error {
	runs, err := f.reader.TimeRuns()
	if err != nil {
		return err
	}
	w, o := s.worker, s.order
	can := func(run int) bool {
		least, greatest := runs.Bounds(run)
		return o.canWin(catalog.Int(least), catalog.Int(greatest))
	}
	if o.worst.Load() == nil && w.filter == nil {
		return s.bestFirst(ctx, p, f, runs, lo, hi)
	}
	gap := 0
	if w.filter != nil {
		gap = filterGap
	}
	for at := lo; at < hi; {
		from, end := at, at // the rows to take
		for at < hi && (end == from || at-end <= gap) {
			next := min((at/indexfile.TimeRunRows+1)*indexfile.TimeRunRows, hi)
			if can(at / indexfile.TimeRunRows) {
				if end == from {
					w.prune(at - from)
					from = at
				}
				end = next
			}
			at = next
		}
		if end == from {
			w.prune(at - from)
			return nil
		}
		if err := w.scanRows(ctx, p, f, from, end); err != nil {
			return err
		}
		at = end
	}
	return nil
}

// bestFirst takes the runs of rows in the order of their best times, until none can
// win.
func (s *sorter) bestFirst(ctx context.Context, p *part, f *file, runs *indexfile.TimeRuns, lo, hi int) error {
	w, o := s.worker, s.order
	var rows []exec.Run
	for at := lo; at < hi; {
		next := min((at/indexfile.TimeRunRows+1)*indexfile.TimeRunRows, hi)
		rows = append(rows, exec.Run{Lo: at, Hi: next})
		at = next
	}
	bounds := func(r exec.Run) (least, greatest int64) { return runs.Bounds(r.Lo / indexfile.TimeRunRows) }
	descending := o.scan.fragment.Order[0].Descending
	slices.SortFunc(rows, func(a, b exec.Run) int {
		aLeast, aGreatest := bounds(a)
		bLeast, bGreatest := bounds(b)
		if descending {
			return cmp.Compare(bGreatest, aGreatest)
		}
		return cmp.Compare(aLeast, bLeast)
	})
	for i, r := range rows {
		if least, greatest := bounds(r); !o.canWin(catalog.Int(least), catalog.Int(greatest)) {
			for _, r := range rows[i:] {
				w.prune(r.Hi - r.Lo)
			}
			return nil
		}
		if err := w.scanRows(ctx, p, f, r.Lo, r.Hi); err != nil {
			return err
		}
	}
	return nil
}
