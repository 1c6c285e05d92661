package engine

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
	"arbor/engine/exec"
)

// Rows in an order come in one of three ways. The first rows, up to MaxTop, are
// found by the columns of the order alone, and the other columns are read of the
// winners. The events of one user in the order of time are merged: files have them
// in that order, and the days follow each other. All others are sorted in memory,
// which counts as the query's: by time day by day, and by user some users at a time.

// MaxTop is the greatest limit for which only the columns of the order are kept.
const MaxTop = 100_000

// ordering is what the workers of a sorted scan share.
type ordering struct {
	scan    *scan
	types   []catalog.Type // of the columns of the order
	columns []int          // their numbers, of Fragment.Columns and Computed
	// plain says that none of them is computed, and exact that no visible column
	// is, so that rows that nobody wants may be read too.
	plain, exact bool
	// args says which of Fragment.Columns visible computed columns are made of.
	args    []bool
	visible []int // the answer's columns, as columns has them
	// top is how many rows are wanted; 0 means that rows are kept whole.
	top int
	// worst is the key of a row that as many rows as are wanted come before; a row
	// that comes after it is none of them. Nil as long as there is none.
	worst atomic.Pointer[[]byte]
	lists [][]sortedRow // of workers that have ended; scan.mu guards it
	held  int64         // what those take of the query's memory; likewise
	// merging says that rows of files are kept as pieces, which are in order.
	merging bool
	pieces  []userPiece // likewise
}

// sortedRow is a row with its place in the order.
type sortedRow struct {
	key []byte
	// first is the key's first bytes, by which most rows are told apart without a look at
	// the key.
	first [2]uint64
	// piece has the row's columns, and row is its place in it. Before they are
	// read part says where the row is, and row is its number in the file or view.
	piece *piece
	part  *part
	row   uint32
}

// piece is some rows' columns of the answer.
type piece struct{ columns []arrow.Array }

// sortedBytes is about what a sorted row takes beside its key.
const sortedBytes = 64

func newOrdering(s *scan) *ordering {
	f := s.fragment
	o := &ordering{scan: s, plain: true, exact: true, args: make([]bool, len(f.Columns))}
	for i := range f.Columns {
		if !f.Columns[i].Hidden {
			o.visible = append(o.visible, i)
		}
	}
	for i := range f.Computed {
		if c := &f.Computed[i]; !c.Hidden {
			o.visible = append(o.visible, len(f.Columns)+i)
			o.exact = false
			for _, a := range c.Args {
				o.args[a] = true
			}
		}
	}
	for _, order := range f.Order {
		column := o.visible[order.Column]
		t, _, _ := f.ColumnType(column)
		o.columns, o.types = append(o.columns, column), append(o.types, t)
		o.plain = o.plain && column < len(f.Columns)
	}
	if f.Limit > 0 && f.Limit <= MaxTop {
		o.top = int(f.Limit)
	}
	return o
}

// sort gives the rows in the fragment's order.
func (s *scan) sort(ctx context.Context, yield func(*exec.Batch) error) error {
	if err := s.takeViews(); err != nil {
		return err
	}
	defer s.releaseViews()
	o := newOrdering(s)
	if o.inUserOrder() {
		return s.followUser(ctx, o, yield)
	}
	s.order = o
	descending := o.byTime() && s.fragment.Order[0].Descending
	slices.SortStableFunc(s.views, func(a, b *view) int {
		if descending {
			a, b = b, a
		}
		return cmp.Compare(a.shard.key.Day, b.shard.key.Day)
	})
	switch {
	case !o.parts():
	case o.byTime():
		return s.sortByDays(ctx, o, yield)
	case o.byUser():
		if between, err := s.betweenUsers(o.partRows()); err != nil || len(between) > 0 || o.mergesUsers() {
			if err != nil {
				return err
			}
			return s.sortByUsers(ctx, o, between, yield)
		}
	}
	if err := s.work(ctx); err != nil {
		return err
	}
	rows, err := o.mergeSorted(s.fragment.Limit)
	if err != nil {
		return err
	}
	if o.top > 0 {
		if err := s.fetch(ctx, o, rows); err != nil {
			return err
		}
	}
	return o.give(rows, s.giveAnswer(ctx, yield))
}

// hold counts memory of the query; it fails if there is too much.
func (o *ordering) hold(n int64) error {
	if err := o.scan.plan.Take(n); err != nil {
		return fmt.Errorf("sort: %w", err)
	}
	return nil
}

// byTime reports whether the first column of the order is the time.
func (o *ordering) byTime() bool {
	return o.columns[0] < len(o.scan.fragment.Columns) && o.scan.fragment.Columns[o.columns[0]].Source == exec.SourceTime
}

// dayCanWin reports whether events of a day can be among the first rows.
func (o *ordering) dayCanWin(day catalog.Day) bool {
	return !o.byTime() || o.canWin(catalog.Int(day.Start()), catalog.Int((day+1).Start()-1))
}

// canWin reports whether rows whose first columns lie between two values can be
// among the first rows.
func (o *ordering) canWin(least, greatest catalog.Value) bool {
	worst := o.worst.Load()
	if worst == nil {
		return true
	}
	best := least
	if o.scan.fragment.Order[0].Descending {
		best = greatest
	}
	var room [64]byte
	return bytes.Compare(exec.AppendSortKey(room[:0], best, o.types[0], o.scan.fragment.Order[0].Descending), *worst) <= 0
}

// beat says that as many rows as are wanted do not come after a key.
func (o *ordering) beat(key []byte) {
	for {
		worst := o.worst.Load()
		if worst != nil && bytes.Compare(*worst, key) <= 0 {
			return
		}
		next := slices.Clone(key)
		if o.worst.CompareAndSwap(worst, &next) {
			return
		}
	}
}

// mergeSorted puts sorted lists together, up to a limit; 0 is none. It ends with the
// query.
func (o *ordering) mergeSorted(limit int64) ([]sortedRow, error) {
	lists, total := sortedLists(o.lists), 0
	for _, l := range lists {
		total += len(l)
	}
	if limit > 0 {
		total = int(min(int64(total), limit))
	}
	if len(lists) == 1 {
		return lists[0][:total], o.scan.plan.Ended()
	}
	heap.Init(&lists)
	out := make([]sortedRow, 0, total)
	for len(out) < total {
		if len(out)%sortedRun == 0 {
			if err := o.scan.plan.Ended(); err != nil {
				return nil, err
			}
		}
		out = append(out, lists[0][0])
		if lists[0] = lists[0][1:]; len(lists[0]) == 0 {
			heap.Pop(&lists)
		} else {
			heap.Fix(&lists, 0)
		}
	}
	return out, o.scan.plan.Ended()
}

// sortedLists are lists of rows, none empty, by their first rows.
type sortedLists [][]sortedRow

func (l sortedLists) Len() int           { return len(l) }
func (l sortedLists) Less(i, j int) bool { return compareSorted(l[i][0], l[j][0]) < 0 }
func (l sortedLists) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *sortedLists) Push(x any)        { *l = append(*l, x.([]sortedRow)) }
func (l *sortedLists) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}

// give yields rows whose columns were read.
func (o *ordering) give(rows []sortedRow, yield func(*exec.Batch) error) error {
	for len(rows) > 0 {
		n := min(len(rows), exec.MaxBatchRows)
		if err := o.giveBatch(rows[:n], yield); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// giveText is how much text a batch may have, before it is given in two halves.
const giveText = 64 << 20

func (o *ordering) giveBatch(rows []sortedRow, yield func(*exec.Batch) error) error {
	var pieces []*piece
	numbers := map[*piece]int32{}
	at := make([]exec.Place, len(rows))
	var last *piece
	number := int32(0)
	for i := range rows {
		if p := rows[i].piece; p != last {
			n, ok := numbers[p]
			if !ok {
				n = int32(len(pieces))
				numbers[p], pieces = n, append(pieces, p)
			}
			last, number = p, n
		}
		at[i] = exec.Place{Array: number, Row: int32(rows[i].row)}
	}
	return o.givePlaces(pieces, at, yield)
}

// givePlaces yields the rows of pieces that are at some places.
func (o *ordering) givePlaces(pieces []*piece, at []exec.Place, yield func(*exec.Batch) error) error {
	batch := &exec.Batch{Rows: len(at)}
	arrays := make([]arrow.Array, len(pieces))
	text := 0
	for i, column := range o.visible {
		for j, p := range pieces {
			arrays[j] = p.columns[i]
		}
		if len(at) > 1 {
			if text += exec.TextBytes(arrays, at); text > giveText {
				half := len(at) / 2
				if err := o.givePlaces(pieces, at[:half], yield); err != nil {
					return err
				}
				return o.givePlaces(pieces, at[half:], yield)
			}
		}
		t, _, _ := o.scan.fragment.ColumnType(column)
		a, err := exec.Gather(t, arrays, at)
		if err != nil {
			return fmt.Errorf("sort: %w", err)
		}
		batch.Columns = append(batch.Columns, asBatchColumn(a, t))
	}
	return yield(batch)
}

// answer reads the answer's columns for n rows: get gives the fragment's.
func (o *ordering) answer(r *exec.Rows, n int, get func(column int) (arrow.Array, error)) ([]arrow.Array, error) {
	f := o.scan.fragment
	read := make([]arrow.Array, len(f.Columns))
	for i := range f.Columns {
		if f.Columns[i].Hidden && !o.args[i] {
			continue
		}
		a, err := get(i)
		if err != nil {
			return nil, err
		}
		read[i] = a
	}
	columns := make([]arrow.Array, len(o.visible))
	for i, column := range o.visible {
		if column < len(f.Columns) {
			columns[i] = read[column]
			continue
		}
		a, err := r.Compute(column-len(f.Columns), read, n)
		if err != nil {
			return nil, err
		}
		columns[i] = asBatchColumn(a, f.Computed[column-len(f.Columns)].Type)
	}
	return columns, nil
}
