package engine

import (
	"slices"
	"sync"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
	"arbor/engine/exec"
	"arbor/engine/indexfile"
)

// A question that looks at one column of a file, beside what is the same for all
// its rows, needs no row: how often each value comes says as much. So the file
// is asked as a table of its distinct values, each with the number of visible
// rows that have it. Counts by event, by day or by country, most filters on one
// column, sums, percentiles and distinct values of a column, unique users: all
// cost as much as there are values.

// tallyMany is how many rows there must be for each distinct value.
const tallyMany = 4

// pays reports whether there are so many rows for each of some values that these are asked
// instead of the rows.
func (s *scan) pays(values, each, rows int) bool { return s.engine.opts.KeepFew || values*each <= rows }

// tallied reports whether a file's rows can be answered by tally, and the number of
// the column, -1 for none, and of another one plus 1, where it takes both.
func (s *scan) tallied(f *file) (column, second int, ok bool, err error) {
	if s.fragment.Group == nil || slices.ContainsFunc(s.fragment.Group.Aggregates, func(a exec.Aggregate) bool { return !a.Weighs() }) {
		return -1, 0, false, nil
	}
	column = -1
	least, greatest := f.reader.TimeBounds()
	for i := range s.fragment.Columns {
		if !s.uses[i] && !s.grouped[i] || s.sameEverywhere(f, i, least, greatest) {
			continue
		}
		switch {
		case column < 0:
			column = i
		case second == 0:
			second = i + 1
		default:
			return -1, 0, false, nil
		}
	}
	if column < 0 {
		return -1, 0, true, nil
	}
	if second > 0 {
		a, b, ok, err := s.pairs(f, column, second-1)
		return a, b + 1, ok, err
	}
	c := &s.fragment.Columns[column]
	if c.Source == exec.SourceDistinctID {
		// Where it makes no difference how often they come, the set of the file's users
		// is all there is to it, however many they are.
		return column, 0, s.once || s.pays(f.reader.Users(), tallyMany, f.rows()), nil
	}
	tally, err := tallyOf(f, c)
	if err != nil || tally == nil {
		return -1, 0, false, err
	}
	return column, 0, s.pays(len(tally.Counts()), tallyMany, f.rows()), nil
}

// tallyOf is the tally of an event or property column, nil if there is none.
func tallyOf(f *file, c *exec.Column) (*indexfile.Tally, error) {
	switch c.Source {
	case exec.SourceEvent:
		return f.reader.EventTally()
	case exec.SourceProperty:
		return f.reader.PropertyTally(c.Property)
	}
	return nil, nil
}

// sameEverywhere reports whether nothing asks for more of a column than what all
// rows of the file have in common.
func (s *scan) sameEverywhere(f *file, column int, least, greatest int64) bool {
	switch c := &s.fragment.Columns[column]; c.Source {
	case exec.SourceTime:
		return s.plan.SameBetween(column, least, greatest)
	case exec.SourceProperty:
		return !f.reader.HasProperty(c.Property)
	case exec.SourceShard:
		return true
	}
	return false
}

// tallyFile adds all rows of a file by the values of a column.
func (w *worker) tallyFile(p *part, f *file) error {
	if f.rows() == 0 {
		return nil
	}
	defer w.begin()()
	w.look(f)
	if err := w.countFound(p, 0, f.rows()); err != nil {
		return err
	}
	m := p.marks()
	w.stats.RowsDuplicate += int64(len(w.hiddenOf(m)))
	w.stats.RowsTallied += int64(f.rows())
	switch {
	case p.kept != nil:
		return w.addKept(p, f)
	case p.second > 0:
		return w.tallyPairs(p, f)
	}
	weights, err := w.tallyWeights(p, f, m)
	if err != nil {
		return err
	}
	values := len(weights)
	if weights == nil {
		values = f.reader.Users()
	}
	r := w.reads
	r.Reset(values)
	if p.column >= 0 {
		c := &w.scan.fragment.Columns[p.column]
		if c.Source == exec.SourceDistinctID {
			r.Set(p.column, exec.CodedVector(c.Result(), f.users(), w.scan.engine.ordinalsTo(values), values).Whole())
		} else {
			tally, err := tallyOf(f, c)
			if err != nil {
				return err
			}
			v, err := tallyVector(tally, c)
			if err != nil {
				return err
			}
			r.Set(p.column, v)
		}
	}
	if err := w.setOthers(p, f, values); err != nil {
		return err
	}
	return w.addTally(r, values, weights)
}

// tallyVector is the values of a column's tally.
func tallyVector(t *indexfile.Tally, c *exec.Column) (exec.Vector, error) {
	a, err := t.Array(c.Result(), c.Precision, c.Scale)
	if err != nil {
		return exec.Vector{}, err
	}
	return exec.VectorOf(a, c.Result())
}

// ordinalsTo are the numbers from 0 on, which are not to be changed.
func (e *Engine) ordinalsTo(n int) []int32 {
	if known := e.ordinals.Load(); known != nil && len(*known) >= n {
		return (*known)[:n]
	}
	all := make([]int32, n)
	for i := range all {
		all[i] = int32(i)
	}
	e.ordinals.Store(&all)
	return all
}

// has reports whether a part is answered by how often values of a column come.
func (p *part) has(column int) bool {
	if p.kept != nil {
		return slices.Contains(p.kept.columns[:p.kept.keys], column) // others are in the states, and a filter may look at them
	}
	return column == p.column || column == p.second-1
}

// setOthers sets the columns of rows that stand for others, but for those that they are
// made of: only the bounds of these are asked for, or they are the same in all rows.
func (w *worker) setOthers(p *part, f *file, values int) error {
	least, greatest := f.reader.TimeBounds()
	for i := range w.scan.fragment.Columns {
		if !w.scan.uses[i] && !w.scan.grouped[i] || p.has(i) {
			continue
		}
		c := &w.scan.fragment.Columns[i]
		t := c.Result()
		v := exec.LaterVector(t, values, func() (arrow.Array, error) { return f.column(p, p.marks(), c, 0, values, nil) })
		var err error
		switch c.Source {
		case exec.SourceTime:
			v = v.Between(least, greatest)
		case exec.SourceShard:
			v, err = exec.VectorOf(constantColumn(p.view.shard.key.String(), values), t)
		case exec.SourceProperty:
			v, err = exec.VectorOf(nullColumn(*c, values), t)
		}
		if err != nil {
			return err
		}
		w.reads.Set(i, v)
	}
	return nil
}

// addTally adds so many rows, each as many times as its weight says.
func (w *worker) addTally(r *exec.Rows, values int, weights []int64) error {
	if w.filter == nil {
		return w.groups.AddWeighted(r, nil, weights)
	}
	selected := w.selected.Reset(values)
	selected.Fill(values)
	w.selected = selected
	for i, n := range weights {
		if n == 0 {
			selected.Unset(i)
		}
	}
	if err := w.filter.SelectRows(r, selected); err != nil {
		return err
	}
	for i, n := range weights {
		if !selected.Has(i) {
			w.stats.RowsFiltered += n
		}
	}
	return w.groups.AddWeighted(r, selected, weights)
}

// hiddenOf are the rows that are hidden as duplicates.
func (w *worker) hiddenOf(m *marks) []uint32 {
	if w.scan.fragment.Copies {
		return nil
	}
	return m.hidden
}

// plain reports whether none but duplicates are left out.
func (m *marks) plain() bool { return m.gone == nil && len(m.absent) == 0 }

// leave calls off for each row of a file that is not visible, once.
func (w *worker) leave(f *file, m *marks, off func(row int)) {
	lists := [][]uint32{m.absent, w.hiddenOf(m)}
	for _, list := range lists {
		for _, row := range list {
			off(int(row))
		}
	}
	if m.gone == nil {
		return
	}
	selected := exec.NewBitmap(f.rows())
	selected.Fill(f.rows())
	for _, list := range lists {
		for _, row := range list {
			selected.Unset(int(row))
		}
	}
	m.gone.Each(func(row int) {
		if row < f.rows() && selected.Has(row) {
			off(row)
			w.stats.RowsDeleted++
		}
	})
}

// tallyWeights are how many visible rows have each of a column's values.
func (w *worker) tallyWeights(p *part, f *file, m *marks) ([]int64, error) {
	hidden := w.hiddenOf(m)
	if p.column < 0 && m.gone == nil {
		return []int64{int64(f.rows() - len(m.absent) - len(hidden))}, nil
	}
	if p.column < 0 {
		weights := []int64{int64(f.rows())}
		w.leave(f, m, func(int) { weights[0]-- })
		return weights, nil
	}
	c := &w.scan.fragment.Columns[p.column]
	if c.Source == exec.SourceDistinctID && w.scan.once && m.plain() &&
		(len(hidden) == 0 || len(p.view.files.files) == 1 && len(p.view.logs) == 0) {
		// Each user has a visible row, since the copies of an event are of one user
		// and one of them is visible; how many rows makes no difference.
		return nil, nil
	}
	if c.Source == exec.SourceDistinctID {
		weights, err := f.reader.UserTally()
		if err != nil {
			return nil, err
		}
		ends := make([]int64, len(weights))
		at := int64(0)
		for k, n := range weights {
			at += n
			ends[k] = at
		}
		last := 0 // rows mostly come in order
		w.leave(f, m, func(row int) {
			if last > 0 && int64(row) < ends[last-1] {
				last, _ = slices.BinarySearch(ends, int64(row)+1)
			}
			for ends[last] <= int64(row) {
				last++
			}
			weights[last]--
		})
		return weights, nil
	}
	tally, err := tallyOf(f, c)
	if err != nil {
		return nil, err
	}
	if m.plain() {
		if len(hidden) == 0 {
			return tally.Counts(), nil
		}
		if known, ok := f.visible.get(tally, hidden); ok {
			return known, nil
		}
	}
	weights := slices.Clone(tally.Counts())
	w.leave(f, m, func(row int) { weights[tally.Code(row)]-- })
	if m.plain() {
		f.visible.put(tally, hidden, weights)
	}
	return weights, nil
}

// visibleCounts are how many visible rows have each value of a file's columns,
// given which rows are hidden: kept, since they are asked for again and again.
type visibleCounts struct {
	mu    sync.Mutex // guards known
	known map[*indexfile.Tally]*byHidden[[]int64]
}

// maxVisibleCounts is of how many columns a file keeps them.
const maxVisibleCounts = 64

func (v *visibleCounts) get(t *indexfile.Tally, hidden []uint32) ([]int64, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if k := v.known[t]; k != nil {
		return k.get(hidden)
	}
	return nil, false
}

func (v *visibleCounts) put(t *indexfile.Tally, hidden []uint32, counts []int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	k := v.known[t]
	if k == nil {
		if v.known == nil || len(v.known) >= maxVisibleCounts {
			v.known = map[*indexfile.Tally]*byHidden[[]int64]{}
		}
		k = &byHidden[[]int64]{}
		v.known[t] = k
	}
	if _, ok := k.get(hidden); !ok { // another question may have come first
		k.put(hidden, counts)
	}
}

// nullColumn is a column without values.
func nullColumn(c exec.Column, rows int) arrow.Array {
	b := newColumnBuilder(c.Result(), rows)
	for range rows {
		b.append(catalog.Null, false)
	}
	return b.array()
}
