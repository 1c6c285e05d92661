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
		ok, err := s.pairs(f, [2]int{column, second - 1})
		return column, second, ok, err
	}
	c := &s.fragment.Columns[column]
	entries := f.reader.Users()
	if c.Source != exec.SourceDistinctID {
		tally, err := tallyOf(f, c)
		if err != nil || tally == nil {
			return -1, 0, false, err
		}
		entries = len(tally.Counts())
	}
	return column, 0, entries*tallyMany <= f.rows(), nil
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
	m := &p.state.files[p.file]
	var pairs *pairTally
	if p.second > 0 {
		var err error
		if pairs, err = w.pairTally(p, f); err != nil {
			return err
		}
	}
	weights, err := w.tallyWeights(p, f, m, pairs)
	if err != nil {
		return err
	}
	values := len(weights)
	if weights == nil {
		values = f.reader.Users()
	}
	r := w.reads
	r.Reset(values)
	least, greatest := f.reader.TimeBounds()
	for i := range w.scan.fragment.Columns {
		if !w.scan.uses[i] && !w.scan.grouped[i] {
			continue
		}
		c := &w.scan.fragment.Columns[i]
		t := c.Result()
		switch {
		case i == p.column && c.Source == exec.SourceDistinctID:
			codes := make([]int32, values)
			for k := range codes {
				codes[k] = int32(k)
			}
			r.Set(i, exec.CodedVector(t, f.users(), codes, values))
		case i == p.column || i == p.second-1:
			tally, err := tallyOf(f, c)
			if err != nil {
				return err
			}
			a, err := tally.Array(t, c.Precision, c.Scale)
			if err != nil {
				return err
			}
			v, err := exec.VectorOf(a, t)
			if err != nil {
				return err
			}
			if pairs != nil {
				at := 0
				if i != p.column {
					at = 1
				}
				v = v.Pick(pairs.codes[at])
			}
			r.Set(i, v)
		default:
			// Only its bounds are asked for, or it is the same in all rows.
			v := exec.LaterVector(t, values, func() (arrow.Array, error) { return f.column(p, m, c, 0, values, nil) })
			if c.Source == exec.SourceTime {
				v = v.Between(least, greatest)
			}
			if c.Source == exec.SourceShard {
				v, err = exec.VectorOf(constantColumn(p.view.shard.key.String(), values), t)
			} else if c.Source == exec.SourceProperty {
				v, err = exec.VectorOf(nullColumn(*c, values), t)
			}
			if err != nil {
				return err
			}
			r.Set(i, v)
		}
	}
	w.stats.RowsTallied += int64(f.rows())
	return w.addTally(r, values, weights)
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

// tallyWeights are how many visible rows have each of a column's values.
func (w *worker) tallyWeights(p *part, f *file, m *marks, pairs *pairTally) ([]int64, error) {
	hidden := m.hidden
	if w.scan.fragment.Copies {
		hidden = nil
	}
	w.stats.RowsDuplicate += int64(len(hidden))
	leave := func(code func(row int) int, weights []int64) {
		for _, list := range [][]uint32{m.absent, hidden} {
			for _, row := range list {
				weights[code(int(row))]--
			}
		}
		if m.gone != nil {
			selected := exec.NewBitmap(f.rows())
			selected.Fill(f.rows())
			for _, list := range [][]uint32{m.absent, hidden} {
				for _, row := range list {
					selected.Unset(int(row))
				}
			}
			m.gone.Each(func(row int) {
				if row < f.rows() && selected.Has(row) {
					weights[code(row)]--
					w.stats.RowsDeleted++
				}
			})
		}
	}
	if pairs != nil {
		return pairs.weights(m.gone == nil && len(m.absent) == 0, hidden, leave), nil
	}
	if p.column < 0 && m.gone == nil {
		return []int64{int64(f.rows() - len(m.absent) - len(hidden))}, nil
	}
	if p.column < 0 {
		weights := []int64{int64(f.rows())}
		leave(func(int) int { return 0 }, weights)
		return weights, nil
	}
	c := &w.scan.fragment.Columns[p.column]
	if c.Source == exec.SourceDistinctID && w.scan.once && m.gone == nil && len(m.absent) == 0 &&
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
		leave(func(row int) int {
			if last > 0 && int64(row) < ends[last-1] {
				last, _ = slices.BinarySearch(ends, int64(row)+1)
			}
			for ends[last] <= int64(row) {
				last++
			}
			return last
		}, weights)
		return weights, nil
	}
	tally, err := tallyOf(f, c)
	if err != nil {
		return nil, err
	}
	plain := m.gone == nil && len(m.absent) == 0
	if plain {
		if known, ok := f.visible.get(tally, hidden); ok {
			return known, nil
		}
	}
	weights := slices.Clone(tally.Counts())
	leave(tally.Code, weights)
	if plain {
		f.visible.put(tally, hidden, weights)
	}
	return weights, nil
}

// visibleCounts are how many visible rows have each value of a file's columns,
// given which rows are hidden: kept, since they are asked for again and again.
type visibleCounts struct {
	mu    sync.Mutex // guards known
	known map[*indexfile.Tally]visibleCount
}

type visibleCount struct {
	hidden []uint32
	counts []int64
}

// maxVisibleCounts is of how many columns a file keeps them.
const maxVisibleCounts = 64

func (v *visibleCounts) get(t *indexfile.Tally, hidden []uint32) ([]int64, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	k, ok := v.known[t]
	return k.counts, ok && k.of(hidden)
}

// of reports whether the counts are those without the hidden rows.
func (k *visibleCount) of(hidden []uint32) bool {
	return len(k.hidden) == len(hidden) && (len(hidden) == 0 || &k.hidden[0] == &hidden[0])
}

func (v *visibleCounts) put(t *indexfile.Tally, hidden []uint32, counts []int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known == nil || len(v.known) >= maxVisibleCounts {
		v.known = map[*indexfile.Tally]visibleCount{}
	}
	v.known[t] = visibleCount{hidden, counts}
}

// nullColumn is a column without values.
func nullColumn(c exec.Column, rows int) arrow.Array {
	b := newColumnBuilder(c.Result(), rows)
	for range rows {
		b.append(catalog.Null, false)
	}
	return b.array()
}
