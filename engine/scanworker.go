package engine

import (
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/engine/event"
	"arbor/engine/exec"
	"arbor/engine/indexfile"
)

// worker makes batches. What it keeps between parts is memory to use again.
type worker struct {
	scan   *scan
	filter *exec.Filter
	taker  exec.Taker
	stats  exec.ScanStats

	// visibleColumns is how many columns the batches have.
	visibleColumns int

	// groups are what the rows are added to, nil where rows are given themselves.
	groups *exec.Grouper
	// step or collect takes the rows for behavioural functions, if not nil.
	step, collect *exec.BehaviourRows
	reads         *exec.Rows // the rows at hand, for groups
	codes         []int32    // of their users
	// filtersOn are the parts of the filter that look at one column alone, by its number.
	filtersOn   map[int]*exec.Filter
	pairWeights []int64
	pairCodes   []int32
	keys        []indexfile.InsertKey
	found       []uint32 // rows with insert ids that are looked for

	sorter *sorter // takes the rows to sort, if not nil
	// pieceRows is how many rows of a file are read at once, 0 for as many as are in a part.
	pieceRows int

	selected exec.Bitmap
	runs     []exec.Run
	columns  []arrow.Array // of the fragment, hidden ones included

	away   time.Duration // how long others took over what it gave
	looked map[*file]bool

	held    heldRows // the logged events at hand, by column
	buffers [][]byte
	batches []event.Batch
	rows    []logRow
}

func newWorker(s *scan) (*worker, error) {
	w := &worker{scan: s, filter: s.plan.NewFilter(), reads: exec.NewRows(s.plan), columns: make([]arrow.Array, len(s.fragment.Columns))}
	if s.fragment.Group != nil {
		var err error
		if w.groups, err = exec.NewGrouper(s.plan); err != nil {
			return nil, err
		}
	}
	for _, c := range s.fragment.Columns {
		if !c.Hidden {
			w.visibleColumns++
		}
	}
	return w, nil
}

// finish adds the worker's counts to the scan's.
func (w *worker) finish() {
	w.scan.mu.Lock()
	defer w.scan.mu.Unlock()
	s := &w.scan.stats
	s.RowsPruned += w.stats.RowsPruned
	s.RowsDuplicate += w.stats.RowsDuplicate
	s.RowsDeleted += w.stats.RowsDeleted
	s.RowsFiltered += w.stats.RowsFiltered
	s.RowsTallied += w.stats.RowsTallied
	w.scan.finishWork(w)
	if w.groups != nil {
		w.scan.groups = append(w.scan.groups, w.groups)
	}
}

// selectVisible makes selected the rows [lo, hi) of a source that the fragment
// may see, as numbers from 0, and counts them. Where only their number is asked
// for selected stays as it is.
func (w *worker) selectVisible(m *marks, lo, hi int) (visible int) {
	absent, hidden := between(m.absent, lo, hi), between(m.hidden, lo, hi)
	if w.scan.fragment.Copies {
		hidden = nil
	}
	w.stats.RowsDuplicate += int64(len(hidden))
	visible = hi - lo - len(absent) - len(hidden)
	if w.countsOnly() && m.gone == nil {
		return visible
	}
	w.selected = w.selected.Reset(hi - lo)
	w.selected.Fill(hi - lo)
	for _, o := range absent {
		w.selected.Unset(int(o) - lo)
	}
	if m.gone != nil {
		gone := unsetGone(w.selected, m.gone, lo, hi)
		w.stats.RowsDeleted += int64(gone)
		visible -= gone
	}
	for _, o := range hidden {
		w.selected.Unset(int(o) - lo)
	}
	return visible
}

// countsOnly reports whether neither values nor a filter are asked for.
func (w *worker) countsOnly() bool {
	return w.filter == nil && w.visibleColumns == 0 && w.scan.fragment.Group == nil && w.sorter == nil
}

// unsetGone removes the rows [lo, hi) that are gone, and counts them.
func unsetGone(selected, gone exec.Bitmap, lo, hi int) (n int) {
	for i := lo; i < hi; {
		if gone[i>>6]>>(i&63) == 0 {
			i = i&^63 + 64
			continue
		}
		if gone.Has(i) && selected.Has(i-lo) {
			selected.Unset(i - lo)
			n++
		}
		i++
	}
	return n
}

// between are the ordinals in [lo, hi) of an ascending list.
func between(ordinals []uint32, lo, hi int) []uint32 {
	return ordinals[atLeast(ordinals, lo):atLeast(ordinals, hi)]
}

// atLeast is the number of the first ordinal that is not below n.
func atLeast(ordinals []uint32, n int) int {
	lo, hi := 0, len(ordinals)
	for lo < hi {
		if mid := (lo + hi) / 2; int(ordinals[mid]) < n {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}
