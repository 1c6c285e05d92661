package engine

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
	"arbor/engine/exec"
)

// Execute answers a fragment with a group: workers make groups of the parts of
// all shards' views, which are put together in the end; nothing is yielded before
// all rows were read. Without a group it gives the rows in the fragment's order,
// those that it does not tell apart by time and ingest id. Like Scan it says
// yield's error, or its own. Batches stay valid while yield runs.
func (e *Engine) Execute(ctx context.Context, f *exec.Fragment, yield func(*exec.Batch) error) (exec.ScanStats, error) {
	leave, err := e.enter()
	if err != nil {
		return exec.ScanStats{}, err
	}
	defer leave()
	if err := f.Validate(); err != nil {
		return exec.ScanStats{}, fmt.Errorf("execute: %w", err)
	}
	if f.Group == nil && len(f.Order) == 0 {
		return exec.ScanStats{}, fmt.Errorf("execute: %w: there is nothing to group or sort", exec.ErrFragment)
	}
	s, err := e.newScan(f)
	if err != nil {
		return exec.ScanStats{}, fmt.Errorf("execute: %w", err)
	}
	s.plan.Until(ctx)
	answer := s.answer
	if f.Group == nil {
		answer = s.sort
	}
	err = s.finish(answer(ctx, yield))
	return s.stats, err
}

// answer makes the groups and gives them.
func (s *scan) answer(ctx context.Context, yield func(*exec.Batch) error) error {
	b, err := exec.NewBehaviours(s.plan)
	if err != nil {
		return err
	}
	if b != nil {
		return s.behave(ctx, b, yield)
	}
	all, err := s.group(ctx)
	if err != nil {
		return err
	}
	return all.Answer(s.giveAnswer(ctx, yield))
}

// group has the workers make groups and puts them together.
func (s *scan) group(ctx context.Context) (all *exec.Grouper, err error) {
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	for _, g := range s.groups {
		if all == nil {
			all = g
		} else if err := all.Merge(g); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// groupRows adds the rows [lo, hi) of a source, of which so many are selected.
func (w *worker) groupRows(p *part, f source, m *marks, lo, hi, visible int) error {
	r := w.reads
	r.Reset(hi - lo)
	for i := range w.scan.fragment.Columns {
		if w.scan.uses[i] || w.scan.grouped[i] {
			v, err := f.vector(w, p, m, &w.scan.fragment.Columns[i], lo, hi)
			if err != nil {
				return err
			}
			r.Set(i, v)
		}
	}
	selected := w.selected
	if visible == hi-lo && w.filter == nil {
		selected = nil
	}
	if w.filter != nil {
		if err := w.filter.SelectRows(r, w.selected); err != nil {
			return err
		}
		kept := w.selected.Count()
		w.stats.RowsFiltered += int64(visible - kept)
		visible = kept
	}
	if w.groups == nil {
		// Without a filter, and with no rows gone, every user has a visible row.
		allSeen := w.filter == nil && m.gone == nil && len(m.absent) == 0
		return w.behave(selected, allSeen)
	}
	return w.groups.Add(r, selected, visible)
}

// vector is a column of the rows [lo, hi) of a file, read when it is needed.
func (f *file) vector(w *worker, p *part, m *marks, c *exec.Column, lo, hi int) (exec.Vector, error) {
	t := c.Result()
	switch c.Source {
	case exec.SourceProperty:
		return exec.LaterVector(t, hi-lo, func() (arrow.Array, error) {
			a, err := f.reader.PropertyCoded(c.Property, c.Type, c.Precision, c.Scale, lo, hi)
			if s, ok := a.(*array.String); ok && err == nil && c.Type == catalog.TypeDecimal {
				a = toDictionary(s)
			}
			w.countBytes(f, c, a, lo, hi)
			return a, err
		}), nil
	case exec.SourceDistinctID:
		if w.scan.bounds.Users != nil {
			// The rows are of the users asked for: a dictionary of those is small.
			return exec.LaterVector(t, hi-lo, func() (arrow.Array, error) { return w.column(p, f, m, c, lo, hi, nil) }), nil
		}
		ends, err := f.reader.UserEnds()
		if err != nil {
			return exec.Vector{}, err
		}
		return exec.LaterCodes(t, hi-lo, func() (*exec.Dictionary, []int32, error) {
			codes, err := f.reader.UserCodes(w.codes, lo, hi)
			w.codes = codes
			w.countBytes(f, c, nil, lo, hi)
			return f.users(), codes, err
		}).InRuns(f.users(), ends, lo), nil
	}
	v := exec.LaterVector(t, hi-lo, func() (arrow.Array, error) { return w.column(p, f, m, c, lo, hi, nil) })
	switch c.Source {
	case exec.SourceTime:
		times, err := f.reader.Times()
		if err != nil {
			return exec.Vector{}, err
		}
		v = v.Between(f.reader.TimeBounds()).At(func(row int) int64 { return times.At(lo + row) })
	case exec.SourceInsertID:
		v = v.Costly().Packed(func(from, to int, out []exec.PackedText) error { return f.packedInsertIDs(w, lo+from, lo+to, out) })
	case exec.SourceIngestID:
		v = v.Costly().Packed(func(from, to int, out []exec.PackedText) error {
			for i := range out {
				id, err := f.reader.IngestID(lo + from + i)
				if err != nil {
					return err
				}
				out[i] = packedIngestID(id)
			}
			return nil
		})
	case exec.SourceProperties:
		if c.Property == "" {
			v = v.Costly()
		}
	}
	return v, nil
}

// users is the dictionary of the file's distinct ids, in order.
func (f *file) users() *exec.Dictionary {
	return exec.NewDictionary(f.reader, f.reader.Users(), f.reader.UserArray).Ordered(f.reader.WalkUsers)
}

// groupLog adds logged events.
func (w *worker) groupLog(p *part, rows []logRow) error {
	r := w.reads
	r.Reset(len(rows))
	for i := range w.scan.fragment.Columns {
		c := &w.scan.fragment.Columns[i]
		if w.scan.uses[i] || w.scan.grouped[i] {
			r.Set(i, exec.LaterVector(c.Result(), len(rows), func() (arrow.Array, error) { return logColumn(p, c, rows), nil }))
		}
	}
	count := len(rows)
	var selected exec.Bitmap
	if w.filter != nil {
		w.selected = w.selected.Reset(len(rows))
		w.selected.Fill(len(rows))
		if err := w.filter.SelectRows(r, w.selected); err != nil {
			return err
		}
		selected, count = w.selected, w.selected.Count()
		w.stats.RowsFiltered += int64(len(rows) - count)
	}
	if w.groups == nil {
		return w.behave(selected, false)
	}
	return w.groups.Add(r, selected, count)
}
