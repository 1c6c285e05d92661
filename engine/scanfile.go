package engine

import (
	"cmp"
	"context"
	"errors"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
	"arbor/engine/exec"
	"arbor/engine/indexfile"
)

// scanFile scans rows of a file, but for the blocks that the zone maps rule out.
func (w *worker) scanFile(ctx context.Context, p *part) error {
	defer w.begin()()
	f := p.view.files.files[p.file]
	for lo := p.lo; lo < p.hi; {
		hi, passes, err := w.sameBlocks(f, lo, p.hi)
		if err != nil {
			return err
		}
		w.zone(lo, hi, passes)
		if passes {
			w.look(f)
		}
		switch {
		case !passes:
			w.prune(hi - lo)
		case w.scan.inserts != nil:
			err = w.scanFound(ctx, p, f, lo, hi)
		case w.sorter != nil && w.sorter.byTimeRuns():
			err = w.sorter.timeRuns(ctx, p, f, lo, hi)
		default:
			piece := cmp.Or(w.pieceRows, hi-lo)
			for at := lo; at < hi && err == nil; at += piece {
				err = w.scanRows(ctx, p, f, at, min(at+piece, hi))
			}
		}
		if err != nil {
			return err
		}
		lo = hi
	}
	return nil
}

// sameBlocks is the end of the run of blocks from lo on that all can pass the
// filter, or all cannot.
func (w *worker) sameBlocks(f *file, lo, end int) (hi int, passes bool, err error) {
	for hi = lo; hi < end; {
		can, err := w.blockCanPass(f, hi/indexfile.BlockRows)
		if err != nil {
			return 0, false, err
		}
		if hi > lo && can != passes {
			return hi, passes, nil
		}
		passes = can
		hi = min(end, (hi/indexfile.BlockRows+1)*indexfile.BlockRows)
	}
	return hi, passes, nil
}

// blockCanPass holds the filter's bounds against a block's zone maps.
func (w *worker) blockCanPass(f *file, block int) (bool, error) {
	if w.sorter != nil {
		if can, err := w.sorter.blockCanWin(f, block); err != nil || !can {
			return false, err
		}
	}
	b := &w.scan.bounds
	if w.filter == nil {
		return true, nil
	}
	minTime, maxTime, err := f.reader.BlockTime(block)
	if err != nil || b.MaxTime < minTime || b.MinTime > maxTime {
		return false, err
	}
	for number, want := range b.Ranges {
		c := w.scan.fragment.Columns[number]
		var have indexfile.Range
		switch c.Source {
		case exec.SourceProperty:
			have, err = f.reader.BlockRange(block, c.Property, c.Type, c.Precision, c.Scale)
		case exec.SourceEvent:
			have, err = f.reader.BlockEvent(block)
		}
		if err != nil {
			return false, err
		}
		if have.Known && (have.Empty || !want.Meets(have.Min, have.Max, c.Result())) {
			return false, nil
		}
	}
	return true, nil
}

// source has rows by column: a file, or a view's logged events that are held.
type source interface {
	// column is a column of the rows [lo, hi), of which only those in runs, as
	// numbers from lo on, are looked at; nil is all. ErrLimit of indexfile means that
	// fewer rows must be asked for.
	column(p *part, m *marks, c *exec.Column, lo, hi int, runs []exec.Run) (arrow.Array, error)
	// vector is the column for groups, read when it is needed.
	vector(w *worker, p *part, m *marks, c *exec.Column, lo, hi int) (exec.Vector, error)
	// withInserts appends the rows [lo, hi) whose insert ids are looked for, ascending.
	withInserts(s *indexfile.InsertSearch, lo, hi int, rows []uint32) ([]uint32, error)
}

// marks say who of the part's source is not visible.
func (p *part) marks() *marks {
	if p.file == inLog {
		return &p.state.log
	}
	return &p.state.files[p.file]
}

// scanHeld scans logged events that are held by column, unless their times rule
// them out.
func (w *worker) scanHeld(ctx context.Context, p *part) error {
	w.held.view = p.view
	if w.filter != nil && !w.held.canPass(&w.scan.bounds, p.lo) {
		w.prune(p.hi - p.lo)
		return nil
	}
	if w.scan.inserts != nil {
		return w.scanFound(ctx, p, &w.held, p.lo, p.hi)
	}
	return w.scanRows(ctx, p, &w.held, p.lo, p.hi)
}

// scanRows gives the rows [lo, hi) of a source that are visible and pass the
// filter: the filter's columns are read for all rows, the others only from the
// first to the last row that passed.
func (w *worker) scanRows(ctx context.Context, p *part, f source, lo, hi int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := w.tryRows(ctx, p, f, lo, hi)
	if errors.Is(err, indexfile.ErrLimit) && hi-lo > 1 {
		// An array of so many long texts cannot be: halve it.
		mid := lo + (hi-lo)/2
		if err := w.scanRows(ctx, p, f, lo, mid); err != nil {
			return err
		}
		return w.scanRows(ctx, p, f, mid, hi)
	}
	return err
}

func (w *worker) tryRows(ctx context.Context, p *part, f source, lo, hi int) error {
	before := w.stats
	w.taker.Reset()
	m := p.marks()
	visible := w.selectVisible(m, lo, hi)
	if err := w.countFound(p, lo, hi); err != nil {
		return err
	}
	if visible == 0 {
		return nil
	}
	if w.scan.fragment.Group != nil {
		if err := w.groupRows(p, f, m, lo, hi, visible); err != nil {
			w.stats = before
			return err
		}
		return nil
	}
	kept, err := w.filterRows(p, f, m, lo, hi, visible)
	if err != nil {
		w.stats = before
		return err
	}
	if kept == 0 {
		return nil
	}
	if w.sorter != nil {
		if err := w.sorter.source(ctx, p, f, lo, hi, kept); err != nil {
			w.stats = before
			return err
		}
		return nil
	}
	if w.visibleColumns == 0 {
		return w.give(ctx, &exec.Batch{Rows: kept})
	}
	w.runs = w.selected.AppendRuns(w.runs[:0])
	batch, err := w.output(p, f, m, lo, kept)
	if err != nil {
		w.stats = before
		return err
	}
	return w.give(ctx, batch)
}

// output makes the batch of the rows in runs, whose numbers count from row lo. The
// filter's columns are there; the others are read from the first to the last
// row that is meant.
func (w *worker) output(p *part, f source, m *marks, lo, kept int) (*exec.Batch, error) {
	first, end := w.runs[0].Lo, w.runs[len(w.runs)-1].Hi
	w.shiftRuns(first)
	for i := range w.scan.fragment.Columns {
		c := &w.scan.fragment.Columns[i]
		if c.Hidden {
			continue
		}
		if w.scan.uses[i] {
			w.columns[i] = array.NewSlice(w.columns[i], int64(first), int64(end))
			continue
		}
		a, err := w.column(p, f, m, c, lo+first, lo+end, w.runs)
		if err != nil {
			return nil, err
		}
		w.columns[i] = a
	}
	batch := &exec.Batch{Rows: end - first}
	// Where most rows are meant it is cheaper to say which than to copy them.
	const most = 4
	if w.scan.fragment.Runs && kept*most >= batch.Rows {
		batch.Runs = w.runs
	}
	for i, c := range w.scan.fragment.Columns {
		if c.Hidden {
			continue
		}
		a := w.columns[i]
		if batch.Runs == nil && kept < a.Len() {
			var err error
			if a, err = w.taker.Take(a, w.runs, kept); err != nil {
				return nil, err
			}
		}
		batch.Columns = append(batch.Columns, a)
	}
	if batch.Runs == nil {
		batch.Rows = kept
	}
	return batch, nil
}

// shiftRuns makes the runs count from row first.
func (w *worker) shiftRuns(first int) {
	if first == 0 {
		return
	}
	for i := range w.runs {
		w.runs[i].Lo -= first
		w.runs[i].Hi -= first
	}
}

// filterRows reads the filter's columns and removes from selected what does not
// pass. It returns how many rows are left.
func (w *worker) filterRows(p *part, f source, m *marks, lo, hi, visible int) (kept int, err error) {
	if w.filter == nil {
		return visible, nil
	}
	for i, used := range w.scan.uses {
		if used {
			if w.columns[i], err = w.column(p, f, m, &w.scan.fragment.Columns[i], lo, hi, nil); err != nil {
				return 0, err
			}
		}
	}
	if err := w.filter.Select(w.columns, hi-lo, w.selected); err != nil {
		return 0, err
	}
	kept = w.selected.Count()
	w.stats.RowsFiltered += int64(visible - kept)
	return kept, nil
}

// column is a column of the rows [lo, hi) of a file.
func (f *file) column(p *part, m *marks, c *exec.Column, lo, hi int, _ []exec.Run) (arrow.Array, error) {
	r := f.reader
	switch c.Source {
	case exec.SourceProperty:
		a, err := r.PropertyArray(c.Property, c.Type, c.Precision, c.Scale, lo, hi)
		if s, ok := a.(*array.String); ok && err == nil && c.Type == catalog.TypeDecimal {
			a = toDictionary(s)
		}
		return a, err
	case exec.SourceEvent:
		return r.EventArray(lo, hi)
	case exec.SourceTime:
		return r.TimeArray(lo, hi)
	case exec.SourceDistinctID:
		return r.DistinctIDArray(lo, hi)
	case exec.SourceInsertID:
		return r.InsertIDArray(lo, hi)
	case exec.SourceProperties:
		return r.PropertyObjectArray(c.Property, lo, hi)
	case exec.SourceIngestID:
		return r.IngestIDArray(lo, hi)
	case exec.SourceIngestedAt:
		return r.IngestedAtArray(lo, hi)
	case exec.SourceTimeRaw:
		return r.TimeRawArray(lo, hi)
	case exec.SourceDuplicate, exec.SourceDupOf, exec.SourceDupKind:
		return dupColumn(c.Source, m, lo, hi), nil
	case exec.SourceFile:
		return constantColumn(f.name.String(), hi-lo), nil
	case exec.SourceRecord:
		return f.recordColumn(lo, hi)
	default:
		return constantColumn(p.view.shard.key.String(), hi-lo), nil
	}
}

// dupColumn says which of the rows [lo, hi) are duplicates, of what, and of
// which kind.
func dupColumn(source exec.Source, m *marks, lo, hi int) arrow.Array {
	at := atLeast(m.hidden, lo)
	duplicateOf := func(row int) *duplicate {
		for at < len(m.why) && int(m.why[at].ordinal) < row {
			at++
		}
		if at < len(m.why) && int(m.why[at].ordinal) == row {
			return &m.why[at]
		}
		return nil
	}
	b := newColumnBuilder(exec.Column{Source: source}.Result(), hi-lo)
	for row := lo; row < hi; row++ {
		b.append(dupValue(source, duplicateOf(row)))
	}
	return b.array()
}

// dupValue is what a column says of a row that is a duplicate, or nil, of another.
func dupValue(source exec.Source, d *duplicate) (catalog.Value, bool) {
	switch {
	case source == exec.SourceDuplicate:
		return catalog.Bool(d != nil), true
	case d == nil:
		return catalog.Null, false
	case source == exec.SourceDupOf:
		return catalog.String(d.of.String()), true
	}
	return catalog.String(d.kind.String()), true
}
