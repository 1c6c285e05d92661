package exec

import (
	"fmt"
	"math"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// histogram counts how often each group has each value of a column: as cells of
// a table while it is small, by pairs of group and value otherwise.
type histogram struct {
	plan    *Plan
	g       *Grouper
	column  int
	size    int // groups there is room for
	cells   []uint32
	stride  int
	pending int64
	pairs   pairTable
	counts  []int64 // by pair
	shared  int
	seen    int
	// byGroup and values are what ranked gave, until something is added.
	byGroup [][]valueCount
	values  []catalog.Value
	listed  [][]uint32 // the numbers of each group's pairs, once they are asked for
}

// maxHistogramCells is how many cells a histogram for percentiles has at most.
const maxHistogramCells = 4 << 20

// histogramOf is the histogram of a column, which all percentiles of it share.
func (g *Grouper) histogramOf(p *Plan, column int) *histogram {
	for _, t := range g.tables {
		if q, ok := t.(*percentiles); ok && q.histogram.column == column {
			q.histogram.shared++
			return q.histogram
		}
	}
	return &histogram{plan: p, g: g, column: column, shared: 1}
}

// add adds a chunk; only the last of those who share the histogram has it added.
func (h *histogram) add(r *Rows, lo int, groups []uint32, weights []int64) error {
	if h.seen++; h.seen < h.shared {
		return nil
	}
	h.seen, h.byGroup = 0, nil
	ids, err := h.g.idsOf(r, h.column, lo, len(groups))
	if err != nil {
		return err
	}
	if h.fit() && weights == nil {
		for i, group := range groups {
			h.cells[int(group)*h.stride+int(ids[i])]++
		}
		if h.pending += int64(len(groups)); h.pending > math.MaxInt32 {
			h.flush()
		}
		return nil
	}
	if n := totalWeight(weights); weights != nil && n < math.MaxInt32 && h.fit() {
		if h.pending+n > math.MaxInt32 {
			h.flush()
		}
		h.pending += n
		for i, group := range groups {
			h.cells[int(group)*h.stride+int(ids[i])] += uint32(weights[i])
		}
		return nil
	}
	before := len(h.counts)
	for i, group := range groups {
		if ids[i] != nullID && group != hiddenGroup {
			h.count(group, ids[i], weight(weights, i))
		}
	}
	return h.plan.take(int64(len(h.counts)-before) * 40)
}

// totalWeight is how many rows the weights stand for, or more than cells count if
// some are taken off.
func totalWeight(weights []int64) (n int64) {
	for _, w := range weights {
		if n += w; w < 0 || n > math.MaxInt32 {
			return math.MaxInt32
		}
	}
	return n
}

func (h *histogram) count(group, id uint32, n int64) {
	pair, fresh := h.pairs.number(group, id)
	if fresh {
		h.counts = append(h.counts, 0)
	}
	h.counts[pair] += n
}

// fit sees that every group has a cell for each value.
func (h *histogram) fit() bool {
	values := h.plan.domains[h.column].Len()
	if h.stride > 0 && values <= h.stride && h.size*h.stride <= len(h.cells) {
		return true
	}
	if h.stride == 0 && len(h.counts) > 0 {
		return false // it has grown too large before
	}
	stride := 64
	for stride < values {
		stride *= 2
	}
	if h.size*stride > maxHistogramCells {
		h.flush()
		h.stride, h.cells = 0, nil
		return false
	}
	cells := make([]uint32, h.size*stride)
	for at, n := range h.cells {
		if n > 0 {
			cells[at/h.stride*stride+at%h.stride] = n
		}
	}
	h.stride, h.cells = stride, cells
	return true
}

// flush moves what the cells count to pairs.
func (h *histogram) flush() {
	for at, n := range h.cells {
		if group, id := uint32(at/h.stride), uint32(at%h.stride); n > 0 && id != nullID && group != hiddenGroup {
			h.count(group, id, int64(n))
		}
		h.cells[at] = 0
	}
	h.pending = 0
}

func (h *histogram) merge(o *histogram, to []uint32) error {
	if h.seen++; h.seen < h.shared {
		return nil
	}
	h.seen, h.byGroup = 0, nil
	dense := h.fit()
	put := func(group, id uint32, n int64) {
		if int(group) >= len(to) || to[group] == 0 {
			return
		}
		if cell := int(to[group])*h.stride + int(id); dense && n < math.MaxInt32 && h.pending+n < math.MaxInt32 {
			h.cells[cell] += uint32(n)
			h.pending += n
			return
		}
		h.count(to[group], id, n)
	}
	for group := 1; (group+1)*o.stride <= len(o.cells) && group < len(to) && o.stride > 0; group++ {
		if to[group] == 0 {
			continue
		}
		for id, n := range o.cells[group*o.stride : (group+1)*o.stride] {
			if n > 0 && id != nullID {
				put(uint32(group), uint32(id), int64(n))
			}
		}
	}
	for i, pair := range o.pairs.pairs {
		put(uint32(pair>>32), uint32(pair), o.counts[i])
	}
	return nil
}

// valueCount says how often a group has a value.
type valueCount struct {
	rank  uint32 // of the value among all
	count int64
}

// used says which values some group has. A dictionary may have entries that no row
// has, and that are no number either.
func (h *histogram) used(values int) []bool {
	used := make([]bool, values)
	for at, n := range h.cells {
		if n > 0 && at/h.stride != hiddenGroup {
			used[at%h.stride] = true
		}
	}
	for _, pair := range h.pairs.pairs {
		used[uint32(pair)] = true
	}
	return used
}

// rankedTogether is how many steps the values of a group are, that are looked at for
// each of the groups.
const rankedTogether = 64

// ranked are the values of the groups, each group's in order, and the values by
// rank.
func (h *histogram) ranked() (byGroup [][]valueCount, values []catalog.Value, err error) {
	if h.byGroup != nil {
		return h.byGroup, h.values, nil
	}
	defer func() {
		if err == nil {
			h.byGroup, h.values = byGroup, values
		}
	}()
	all := h.plan.domains[h.column].all()
	used := h.used(len(all))
	order := make([]uint32, 0, len(all)-1)
	for id := 1; id < len(all); id++ {
		if used[id] {
			order = append(order, uint32(id))
		}
	}
	t := h.plan.domains[h.column].Type
	if err := SortUntil(h.plan, order, func(a, b uint32) int { return compareValues(all[a], all[b], t) }); err != nil {
		return nil, nil, err
	}
	values = make([]catalog.Value, len(order))
	ranks := make([]uint32, len(all))
	for rank, id := range order {
		ranks[id] = uint32(rank)
		values[rank] = all[id]
	}
	byGroup = make([][]valueCount, h.size)
	if len(h.cells) > 0 {
		for group := 1; group < h.size; group++ {
			if err := h.plan.ended(group * rankedTogether); err != nil {
				return nil, nil, err
			}
			row := h.cells[group*h.stride : (group+1)*h.stride]
			for rank, id := range order {
				if int(id) < len(row) && row[id] > 0 {
					byGroup[group] = append(byGroup[group], valueCount{uint32(rank), int64(row[id])})
				}
			}
		}
	}
	if len(h.counts) == 0 {
		return byGroup, values, nil
	}
	for i, pair := range h.pairs.pairs {
		group := pair >> 32
		byGroup[group] = append(byGroup[group], valueCount{ranks[uint32(pair)], h.counts[i]})
	}
	for group, counts := range byGroup {
		if err := h.plan.ended(group); err != nil {
			return nil, nil, err
		}
		if err := SortUntil(h.plan, counts, func(a, b valueCount) int { return int(int64(a.rank) - int64(b.rank)) }); err != nil {
			return nil, nil, err
		}
	}
	return byGroup, values, nil
}

// percentiles is AggPercentile or AggPercentileDisc.
type percentiles struct {
	plan        *Plan
	histogram   *histogram
	owner       bool // the first of those who share the histogram
	share       float64
	typ         catalog.Type
	interpolate bool
}

func (q *percentiles) add(r *Rows, lo int, groups []uint32, weights []int64) error {
	return q.histogram.add(r, lo, groups, weights)
}

func (q *percentiles) grow(n int) int64 {
	q.histogram.size = max(q.histogram.size, n)
	return 0
}

func (q *percentiles) merge(o accumulator, to []uint32) error {
	return q.histogram.merge(o.(*percentiles).histogram, to)
}

func (q *percentiles) result(groups []uint32) (arrow.Array, error) {
	byGroup, values, err := q.histogram.ranked()
	if err != nil {
		return nil, err
	}
	if !q.interpolate {
		return q.plan.valueArray(q.typ, len(groups), func(i int) catalog.Value {
			counts := byGroup[groups[i]]
			n := total(counts)
			if n == 0 {
				return catalog.Null
			}
			at := int64(math.Ceil(q.share*float64(n))) - 1
			return values[valueAt(counts, max(at, 0))]
		})
	}
	out := make([]float64, len(groups))
	var valid []byte
	for i, group := range groups {
		counts := byGroup[group]
		n := total(counts)
		if n == 0 {
			valid = unset(valid, len(groups), i)
			continue
		}
		at := q.share * float64(n-1)
		below := int64(math.Floor(at))
		low, ok := doubleOf(values[valueAt(counts, below)])
		high, ok2 := doubleOf(values[valueAt(counts, min(below+1, n-1))])
		if !ok || !ok2 {
			return nil, fmt.Errorf("percentile of a value that is no number: %w", ErrArray)
		}
		out[i] = low + (at-float64(below))*(high-low)
	}
	return doubleArray(out, valid), nil
}

func total(counts []valueCount) (n int64) {
	for _, c := range counts {
		n += c.count
	}
	return n
}

// valueAt is the rank of the value at a place in the sorted values.
func valueAt(counts []valueCount, at int64) uint32 {
	for _, c := range counts {
		if at -= c.count; at < 0 {
			return c.rank
		}
	}
	return counts[len(counts)-1].rank
}
