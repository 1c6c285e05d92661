package gateway

import (
	"context"
	"errors"
	"runtime/debug"

	"github.com/dolthub/go-mysql-server/sql"

	"arbor/catalog"
	"arbor/engine/exec"
)

// columnScan gives the rows of a plan that does no more than choose rows and
// columns of an events table. Its rows can be had as batches; where they are
// wanted as rows, the plan is executed as any other.
type columnScan struct {
	table  *eventsTable // with what was pushed into it
	read   *exec.Fragment
	shape  batchLayout
	where  []*computedValue // what the scan does not decide by itself
	window rowWindow
	lateRows
}

var _ batchRows = (*columnScan)(nil)

// rowWindow is which of the rows are given, counted from 0: those from skip up to
// end, which is past all of them where there is no limit.
type rowWindow struct{ skip, end int64 }

// unlimited is past the last row.
const unlimited = 1<<63 - 1

// limit leaves the first n rows of the window.
func (w *rowWindow) limit(n int64) {
	if n < w.end-w.skip {
		w.end = w.skip + n
	}
}

// offset takes the first n rows out of the window.
func (w *rowWindow) offset(n int64) { w.skip += min(n, w.end-w.skip) }

// layout says how the result's columns are made.
func (s *columnScan) layout() *batchLayout { return &s.shape }

// errWindowFull ends a scan whose other rows nobody wants.
var errWindowFull = errors.New("the window is full")

// batches runs the scan.
func (s *columnScan) batches(ctx *sql.Context, yield func(*exec.Batch) error) (err error) {
	defer s.guard(&err)
	if s.window.skip >= s.window.end {
		return nil
	}
	scanning, cancel := context.WithCancel(ctx.Context)
	defer cancel()
	ctx = ctx.WithContext(scanning)
	seen := int64(0) // rows that passed the conditions
	take := func(b *exec.Batch) (err error) {
		defer s.guard(&err)
		runs, err := s.passing(ctx, b)
		if err != nil {
			return err
		}
		runs, seen = s.window.cut(runs, seen)
		if len(runs) > 0 {
			if err := yield(&exec.Batch{Columns: b.Columns, Rows: b.Rows, Runs: runs}); err != nil {
				return err
			}
		}
		if seen >= s.window.end {
			return errWindowFull
		}
		return nil
	}
	meter := s.table.totals.begin()
	stats, err := s.table.gateway.cluster.Scan(scanning, s.read, func(b *exec.Batch) error { return meter.batch(b, take) })
	meter.end(stats)
	if errors.Is(err, errWindowFull) {
		return nil
	}
	return err
}

// guard turns a panic of what is called for a batch into an error: it would end
// the process, since scans call from goroutines of their own.
func (s *columnScan) guard(err *error) {
	if p := recover(); p != nil {
		s.table.gateway.logger.Error("scan panicked", "panic", p, "stack", string(debug.Stack()))
		*err = scanPanic(s.table)
	}
}

// scanPanic is what a client is told of a scan that panicked.
func scanPanic(t *eventsTable) error {
	return refuse(erGeneral, "HY000", "internal error while scanning %s.%s; the server's log has the details", t.project.Name, t.name)
}

// cut gives the part of runs that is in the window, after seen rows before them,
// and the number of rows seen now. It may change runs.
func (w rowWindow) cut(runs []exec.Run, seen int64) ([]exec.Run, int64) {
	kept := runs[:0]
	for _, r := range runs {
		n := int64(r.Hi - r.Lo)
		lo, hi := max(w.skip-seen, 0), min(w.end-seen, n)
		seen += n
		if lo < hi {
			kept = append(kept, exec.Run{Lo: r.Lo + int(lo), Hi: r.Lo + int(hi)})
		}
	}
	return kept, seen
}

// checkRows is how many rows are worked on before the statement's end is looked for.
const checkRows = 256

// passing gives the batch's rows for which the conditions are true.
func (s *columnScan) passing(ctx *sql.Context, b *exec.Batch) ([]exec.Run, error) {
	runs := b.Runs
	if runs == nil {
		runs = []exec.Run{{Lo: 0, Hi: b.Rows}}
	}
	if len(s.where) == 0 {
		return append([]exec.Run(nil), runs...), nil
	}
	tests := make([]*batchValue, len(s.where))
	for i, c := range s.where {
		v, err := c.over(ctx, &s.shape, b, appendTruth)
		if err != nil {
			return nil, err
		}
		tests[i] = v
	}
	var kept []exec.Run
	for _, r := range runs {
		for i := r.Lo; i < r.Hi; i++ {
			if i%checkRows == 0 && ctx.Err() != nil {
				return nil, ctx.Err()
			}
			pass, err := all(tests, i)
			if err != nil {
				return nil, err
			}
			switch {
			case !pass:
			case len(kept) > 0 && kept[len(kept)-1].Hi == i:
				kept[len(kept)-1].Hi++
			default:
				kept = append(kept, exec.Run{Lo: i, Hi: i + 1})
			}
		}
	}
	return kept, nil
}

// appendTruth is a condition's value: a byte for true, none for false and unknown.
func appendTruth(ctx *sql.Context, dst []byte, v any) ([]byte, error) {
	if v == nil {
		return dst, nil
	}
	is, err := sql.ConvertToBool(ctx, v)
	if err != nil || !is {
		return dst, err
	}
	return append(dst, 1), nil
}

// all reports whether all conditions are true for a row.
func all(tests []*batchValue, row int) (bool, error) {
	var truth [1]byte
	for _, t := range tests {
		v, err := t.append(truth[:0], row)
		if err != nil || len(v) == 0 {
			return false, err
		}
	}
	return true, nil
}

// kindsOf are the types of what a fragment gives.
func kindsOf(f *exec.Fragment) []catalog.Type {
	var kinds []catalog.Type
	for i := range f.Columns {
		if c := &f.Columns[i]; !c.Hidden {
			kinds = append(kinds, c.Result())
		}
	}
	return kinds
}
