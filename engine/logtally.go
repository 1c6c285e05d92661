package engine

import (
	"slices"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
	"arbor/engine/exec"
)

// logTally is how often a column of logged events has each value of its
// dictionary, in the first rows; the last count is that of rows without a value.
// It grows with the rows that are asked for. The lock of its logColumns guards it.
type logTally struct {
	rows   int
	counts []int64

	// visible are the counts without some hidden rows, kept since they are asked
	// for again and again; not to be changed.
	visible     []int64
	hidden      []uint32
	visibleRows int
}

// sizedCounts are counts for a dictionary of n entries, of which they may have
// been made when it had fewer.
func sizedCounts(counts []int64, n int) []int64 {
	if len(counts) == n+1 {
		return counts
	}
	grown := make([]int64, n+1)
	if last := len(counts) - 1; last >= 0 {
		copy(grown, counts[:last])
		grown[n] = counts[last]
	}
	return grown
}

// codedColumn is a column whose rows are codes of one dictionary.
type codedColumn struct {
	dictionary *logDictionary
	tally      *logTally
	// chunk gives a chunk's codes, and the rows of those if they are not all.
	chunk func(chunk *logChunk) (codes *codeList, rows []uint16)
}

// coded is a column of the first n rows as codes; false if it is none. The caller
// has mu.
func (c *logColumns) coded(column *exec.Column, n int) (codedColumn, bool) {
	switch column.Source {
	case exec.SourceEvent:
		return codedColumn{&c.events, &c.eventTally, func(chunk *logChunk) (*codeList, []uint16) { return &chunk.events, nil }}, true
	case exec.SourceDistinctID:
		return codedColumn{&c.users, &c.userTally, func(chunk *logChunk) (*codeList, []uint16) { return &chunk.users, nil }}, true
	case exec.SourceProperty:
	default:
		return codedColumn{}, false
	}
	p := c.byName[column.Property]
	if p == nil {
		return codedColumn{}, false
	}
	for _, chunk := range c.chunksOf(n) {
		if s := chunk.slotsOf(p); s != nil && s.plain {
			return codedColumn{}, false
		}
	}
	none := &codeList{}
	return codedColumn{&p.dictionary, &p.tally, func(chunk *logChunk) (*codeList, []uint16) {
		s := chunk.slotsOf(p)
		if s == nil {
			return none, nil
		}
		return &s.codes, s.rows
	}}, true
}

// chunksOf are the chunks that hold the first n rows. The caller has mu.
func (c *logColumns) chunksOf(n int) []*logChunk { return c.chunks[:(n+logChunkRows-1)/logChunkRows] }

// count adds the rows [from, to) to counts.
func (k *codedColumn) count(c *logColumns, counts []int64, from, to int) {
	for i := from / logChunkRows; i*logChunkRows < to; i++ {
		lo, hi := max(from-i*logChunkRows, 0), min(to-i*logChunkRows, logChunkRows)
		codes, rows := k.chunk(c.chunks[i])
		first, end := slotsBelow(rows, codes.len(), lo), slotsBelow(rows, codes.len(), hi)
		switch codes.width {
		case 1:
			countCodes(counts, codes.in8[first:end])
		case 2:
			countCodes(counts, codes.in16[first:end])
		case 4:
			countCodes(counts, codes.in32[first:end])
		}
		counts[len(counts)-1] += int64(hi - lo - (end - first))
	}
}

func countCodes[T int8 | int16 | int32](counts []int64, codes []T) {
	for _, code := range codes {
		counts[code]++
	}
}

// at is the place in counts of the value of a row.
func (k *codedColumn) at(c *logColumns, row int) int {
	codes, rows := k.chunk(c.chunks[row/logChunkRows])
	row %= logChunkRows
	slot := slotsBelow(rows, codes.len(), row)
	if slot == codes.len() || rows != nil && int(rows[slot]) != row {
		return k.dictionary.len()
	}
	return int(codes.at(slot))
}

// all counts the first n rows. What it gives may be changed.
func (k *codedColumn) all(c *logColumns, n int) []int64 {
	t := k.tally
	if n < t.rows {
		counts := make([]int64, k.dictionary.len()+1)
		k.count(c, counts, 0, n)
		return counts
	}
	before := len(t.counts)
	t.counts = sizedCounts(t.counts, k.dictionary.len())
	c.size += 8 * int64(len(t.counts)-before)
	k.count(c, t.counts, t.rows, n)
	t.rows = n
	return slices.Clone(t.counts)
}

// tallies reports whether the first n rows can be asked by how often the values of
// a column come, and the number of those values.
func (c *logColumns) tallies(column *exec.Column, n int) (values int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.coded(column, n)
	if !ok {
		return 0, false
	}
	return k.dictionary.len(), true
}

// tally is how many of the first n rows have each value of a column that tallies,
// without those that the marks of the log or the fragment hide, and the values as
// an array, with a null for rows without one. It says how many deleted rows it
// left out.
func (c *logColumns) tally(column *exec.Column, n int, m *marks, hidden []uint32) (weights []int64, values arrow.Array, deleted int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.settle()
	k, _ := c.coded(column, n)
	t := k.tally
	plain := m.gone == nil && len(m.absent) == 0
	if plain && t.visibleRows == n && len(t.visible) == k.dictionary.len()+1 && sameList(t.hidden, hidden) {
		weights = t.visible
	} else {
		weights = k.all(c, n)
		deleted = leave(weights, m, hidden, n, func(row int) int { return k.at(c, row) })
		if plain {
			c.size += 8 * int64(len(weights)-len(t.visible))
			t.visible, t.hidden, t.visibleRows = weights, hidden, n
		}
	}
	key := typeOf(column.Result(), column.Precision, column.Scale)
	typed, err := k.dictionary.as(key, &c.size)
	if err != nil {
		return nil, nil, 0, err
	}
	codes := make([]int32, len(weights))
	valid := make([]byte, (len(weights)+7)/8)
	for i := range len(weights) - 1 {
		codes[i] = int32(i)
		if typed.valid == nil || typed.valid[i] {
			valid[i>>3] |= 1 << (i & 7)
		}
	}
	nulls := len(weights) - countBits(valid)
	return weights, codedArray(4, bytesOf(codes), valid, nulls, typed.values, len(weights)), deleted, nil
}

func sameList(a, b []uint32) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

// leave takes the rows that are absent, hidden or gone off the weights, and says
// how many are gone alone.
func leave(weights []int64, m *marks, hidden []uint32, n int, at func(row int) int) (gone int) {
	lists := [][]uint32{between(m.absent, 0, n), hidden}
	for _, list := range lists {
		for _, row := range list {
			weights[at(int(row))]--
		}
	}
	if m.gone == nil {
		return 0
	}
	selected := exec.NewBitmap(n)
	selected.Fill(n)
	for _, list := range lists {
		for _, row := range list {
			selected.Unset(int(row))
		}
	}
	m.gone.Each(func(row int) {
		if row < n && selected.Has(row) {
			weights[at(row)]--
			gone++
		}
	})
	return gone
}

// talliedLog is tallied for the first n of a view's logged events, which are held by
// column.
func (s *scan) talliedLog(v *view, n int) (column int, ok bool) {
	if n == 0 || s.fragment.Group == nil || slices.ContainsFunc(s.fragment.Group.Aggregates, func(a exec.Aggregate) bool { return !a.Weighs() }) {
		return -1, false
	}
	column = -1
	columns := &v.tail.columns
	least, greatest := columns.allTimeBounds()
	for i := range s.fragment.Columns {
		if !s.uses[i] && !s.grouped[i] {
			continue
		}
		c := &s.fragment.Columns[i]
		if c.Source == exec.SourceTime && s.plan.SameBetween(i, least, greatest) || c.Source == exec.SourceShard || c.Source == exec.SourceFile {
			continue
		}
		if column >= 0 {
			return -1, false
		}
		column = i
	}
	if column < 0 {
		return -1, true
	}
	values, ok := columns.tallies(&s.fragment.Columns[column], n)
	return column, ok && s.pays(values, tallyMany, n)
}

// tallyLog adds a view's logged events that are held by the values of a column.
func (w *worker) tallyLog(p *part) error {
	defer w.begin()()
	if err := w.countFound(p, 0, p.hi); err != nil {
		return err
	}
	m, columns := &p.state.log, &p.view.tail.columns
	hidden := between(m.hidden, 0, p.hi)
	if w.scan.fragment.Copies {
		hidden = nil
	}
	w.stats.RowsDuplicate += int64(len(hidden))
	var weights []int64
	var values arrow.Array
	var deleted int
	var err error
	if p.column < 0 {
		weights = []int64{int64(p.hi)}
		deleted = leave(weights, m, hidden, p.hi, func(int) int { return 0 })
	} else if weights, values, deleted, err = columns.tally(&w.scan.fragment.Columns[p.column], p.hi, m, hidden); err != nil {
		return err
	}
	w.stats.RowsDeleted += int64(deleted)
	r := w.reads
	r.Reset(len(weights))
	for i := range w.scan.fragment.Columns {
		if !w.scan.uses[i] && !w.scan.grouped[i] {
			continue
		}
		c := &w.scan.fragment.Columns[i]
		v, err := w.talliedVector(p, c, values, len(weights), i == p.column)
		if err != nil {
			return err
		}
		r.Set(i, v)
	}
	w.stats.RowsTallied += int64(p.hi)
	return w.addTally(r, len(weights), weights)
}

// talliedVector is a column of a tally of n values: the values, or what is the same
// for all rows.
func (w *worker) talliedVector(p *part, c *exec.Column, values arrow.Array, n int, tallied bool) (exec.Vector, error) {
	switch {
	case tallied:
		return exec.VectorOf(values, c.Result())
	case c.Source == exec.SourceShard:
		return exec.VectorOf(constantColumn(p.view.shard.key.String(), n), c.Result())
	case c.Source == exec.SourceFile:
		return exec.VectorOf(constantColumn("log", n), c.Result())
	}
	least, greatest := p.view.tail.columns.allTimeBounds()
	times := slices.Repeat([]int64{least}, n) // any moment between the bounds will do
	v, err := exec.VectorOf(fixedArray(columnType{t: catalog.TypeDatetime}, asBits(times), nil, 0), c.Result())
	return v.Between(least, greatest), err
}
