package engine

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"
	"golang.org/x/sync/errgroup"

	"arbor/engine/exec"
	"arbor/engine/indexfile"
)

// fetched is a run of rows that are read together: of a file those with numbers in
// [lo, hi), of a log those that are wanted of a part.
type fetched struct {
	part   *part
	lo, hi int
	rows   []*sortedRow // by number
}

// Rows of a file that are read together: rows between them are read too if they are
// few, since each read has a price.
const (
	fetchGap  = 32
	fetchRows = 4096
)

// fetch reads the columns of the rows that won.
func (s *scan) fetch(ctx context.Context, o *ordering, rows []sortedRow) error {
	runs := o.fetches(rows)
	var next atomic.Int64
	work, ctx := errgroup.WithContext(ctx)
	for range min(s.engine.opts.Workers, len(runs)) {
		work.Go(func() error {
			w, err := newWorker(s)
			if err != nil {
				return err
			}
			defer w.finishFetch()
			for {
				n := int(next.Add(1)) - 1
				if n >= len(runs) {
					return nil
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				r := &runs[n]
				if r.part.file == inLog && !r.part.held {
					err = w.fetchLog(ctx, o, r)
				} else {
					err = w.fetchRows(o, r)
				}
				if err != nil {
					return r.part.view.blame(err)
				}
			}
		})
	}
	return work.Wait()
}

// fetches makes runs of rows.
func (o *ordering) fetches(rows []sortedRow) []fetched {
	byPlace := make([]*sortedRow, len(rows))
	for i := range rows {
		byPlace[i] = &rows[i]
	}
	views := map[*view]int{}
	for i := range rows {
		if v := rows[i].part.view; views[v] == 0 {
			views[v] = len(views) + 1
		}
	}
	lo := func(p *part) int { // files are read whatever part found the row
		if p.file == inLog {
			return p.lo
		}
		return 0
	}
	held := func(p *part) int {
		if p.held {
			return 1
		}
		return 0
	}
	compare := func(a, b *part) int {
		return cmp.Or(cmp.Compare(views[a.view], views[b.view]), cmp.Compare(a.file, b.file), cmp.Compare(held(a), held(b)), cmp.Compare(lo(a), lo(b)))
	}
	slices.SortFunc(byPlace, func(a, b *sortedRow) int {
		return cmp.Or(compare(a.part, b.part), cmp.Compare(a.row, b.row))
	})
	gap := fetchGap
	if !o.exact {
		gap = 0
	}
	var runs []fetched
	for i, r := range byPlace {
		if i > 0 {
			last := &runs[len(runs)-1]
			joins := r.part.file == inLog && !r.part.held || int(r.row) <= last.hi+gap && int(r.row) < last.lo+fetchRows
			if compare(last.part, r.part) == 0 && joins {
				last.hi, last.rows = int(r.row)+1, append(last.rows, r)
				continue
			}
		}
		runs = append(runs, fetched{part: r.part, lo: int(r.row), hi: int(r.row) + 1, rows: byPlace[i : i+1 : i+1]})
	}
	return runs
}

// finishFetch adds what reading the rows that won took.
func (w *worker) finishFetch() {
	w.scan.mu.Lock()
	defer w.scan.mu.Unlock()
	w.scan.stats.Work.Add(exec.Work{BytesFiles: w.stats.BytesFiles, BytesLog: w.stats.BytesLog, BytesMemory: w.stats.BytesMemory, TimeRows: w.stats.TimeRows})
}

// fetchRows reads rows of a file, or of a chunk of logged events that are held.
func (w *worker) fetchRows(o *ordering, r *fetched) error {
	defer w.begin()()
	p := r.part
	w.held.view = p.view
	f, m := source(&w.held), p.marks()
	if p.file != inLog {
		f = p.view.files.files[p.file]
	}
	columns, err := o.answer(w.reads, r.hi-r.lo, func(column int) (arrow.Array, error) {
		return w.column(p, f, m, &o.scan.fragment.Columns[column], r.lo, r.hi, nil)
	})
	if errors.Is(err, indexfile.ErrLimit) && len(r.rows) > 1 {
		half := len(r.rows) / 2
		for _, rows := range [][]*sortedRow{r.rows[:half], r.rows[half:]} {
			part := fetched{part: p, lo: int(rows[0].row), hi: int(rows[len(rows)-1].row) + 1, rows: rows}
			if err := w.fetchRows(o, &part); err != nil {
				return err
			}
		}
		return nil
	}
	if err != nil {
		return err
	}
	read := &piece{columns}
	return o.place(read, r.rows, func(row *sortedRow) uint32 { return row.row - uint32(r.lo) })
}

// fetchLog decodes a part's events again.
func (w *worker) fetchLog(ctx context.Context, o *ordering, r *fetched) error {
	defer w.begin()()
	p := r.part
	if err := w.readRows(ctx, p); err != nil {
		return err
	}
	wanted := w.rows[:0]
	at := 0
	for _, row := range w.rows {
		if at < len(r.rows) && r.rows[at].row == row.number {
			wanted = append(wanted, row)
			at++
		}
	}
	if at < len(r.rows) {
		panic("engine: a logged event that was there is not")
	}
	columns, err := o.answer(w.reads, len(wanted), func(column int) (arrow.Array, error) {
		return logColumn(p, &o.scan.fragment.Columns[column], wanted), nil
	})
	if err != nil {
		return err
	}
	number := uint32(0)
	return o.place(&piece{columns}, r.rows, func(*sortedRow) uint32 { number++; return number - 1 })
}

// place says where rows' columns are, and counts what they take.
func (o *ordering) place(read *piece, rows []*sortedRow, number func(*sortedRow) uint32) error {
	size := int64(0)
	for _, a := range read.columns {
		size += arrayBytes(a)
	}
	for _, row := range rows {
		row.row, row.piece = number(row), read
	}
	return o.hold(size)
}
