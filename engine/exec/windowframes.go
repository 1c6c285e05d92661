package exec

import (
	"slices"
	"sort"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// windowBlock is rows of complete partitions, of which windows are computed. Its memory
// is used again for the next.
type windowBlock struct {
	plan     *WindowPlan
	segments []segment
	starts   []int // where each segment begins
	rows     int
	// begin and end are the bounds of each row's partition.
	begin, end []int32
	peers      []*windowPeers
	frames     []*windowFrames
	flats      map[flatKey]*flat
	results    []arrow.Array
	// before is what is known of the rows of the partition before the block's, nil for
	// none.
	before *runningFunction
}

// windowPeers are the bounds of each row's peers in the first columns of the order.
type windowPeers struct {
	order      int
	begin, end []int32
}

// windowFrames are the bounds of each row's frame.
type windowFrames struct {
	frame  WindowFrame
	order  int
	lo, hi []int32
}

// counts counts the rows of a row's frame that are not null, of which so many are before
// each row; nil if there are none.
func (w *windowFrames) counts(nullsBefore []int32, row int) int64 {
	lo, hi := w.lo[row], w.hi[row]
	n := int64(hi - lo)
	if nullsBefore != nil {
		n -= int64(nullsBefore[hi] - nullsBefore[lo])
	}
	return n
}

// rowBytes is about what a row of a block takes beside its columns.
func (b *windowBlock) rowBytes() int64 { return 16 + 40*int64(len(b.plan.Functions)) }

// compute gives the functions' results for the rows of some segments.
func (b *windowBlock) compute(segments []segment, rows int) ([]arrow.Array, error) {
	b.begins(segments, rows)
	b.results, b.before = b.results[:0], nil
	for i := range b.plan.Functions {
		a, err := b.function(&b.plan.Functions[i])
		if err != nil {
			return nil, err
		}
		b.results = append(b.results, a)
	}
	return b.results, nil
}

// begins makes the block one of some segments.
func (b *windowBlock) begins(segments []segment, rows int) {
	b.segments, b.rows = segments, rows
	b.starts = b.starts[:0]
	at := 0
	for i := range segments {
		b.starts = append(b.starts, at)
		at += segments[i].rows
	}
	b.peers, b.frames, b.flats = nil, nil, map[flatKey]*flat{}
	b.begin, b.end = b.bounds(b.begin, b.end, len(b.plan.Partition))
}

// bounds are where the runs of rows begin and end that the first so many keys do not
// tell apart.
func (b *windowBlock) bounds(begin, end []int32, keys int) ([]int32, []int32) {
	begin, end = slices.Grow(begin[:0], b.rows)[:b.rows], slices.Grow(end[:0], b.rows)[:b.rows]
	row, first := int32(0), int32(0)
	for i := range b.segments {
		for _, level := range b.segments[i].levels {
			if int(level) < keys && row > 0 {
				for k := first; k < row; k++ {
					end[k] = row
				}
				first = row
			}
			begin[row] = first
			row++
		}
	}
	for k := first; k < row; k++ {
		end[k] = row
	}
	return begin, end
}

// peersBy are the peers by the first columns of the order.
func (b *windowBlock) peersBy(order int) *windowPeers {
	for _, p := range b.peers {
		if p.order == order {
			return p
		}
	}
	p := &windowPeers{order: order, begin: b.begin, end: b.end}
	switch {
	case order > len(b.plan.Order):
		p.begin, p.end = make([]int32, b.rows), make([]int32, b.rows)
		for i := range p.begin {
			p.begin[i], p.end[i] = int32(i), int32(i+1)
		}
	case order > 0:
		p.begin, p.end = b.bounds(nil, nil, len(b.plan.Partition)+order)
	}
	b.peers = append(b.peers, p)
	return p
}

// framesOf are the bounds of the frames of a function.
func (b *windowBlock) framesOf(f *WindowFunction) (*windowFrames, error) {
	for _, w := range b.frames {
		if w.frame == f.Frame && w.order == f.Order {
			return w, nil
		}
	}
	w := &windowFrames{frame: f.Frame, order: f.Order}
	var err error
	if w.lo, err = b.edge(f, f.Frame.Start, true); err != nil {
		return nil, err
	}
	if w.hi, err = b.edge(f, f.Frame.End, false); err != nil {
		return nil, err
	}
	for i := range w.lo {
		w.hi[i] = max(w.lo[i], w.hi[i])
	}
	b.frames = append(b.frames, w)
	return w, nil
}

// edge is where the frame of each row starts, or ends.
func (b *windowBlock) edge(f *WindowFunction, bound WindowBound, start bool) ([]int32, error) {
	out := make([]int32, b.rows)
	switch {
	case bound.Kind == BoundNone && start:
		copy(out, b.begin)
	case bound.Kind == BoundNone:
		copy(out, b.end)
	case f.Frame.ByRows:
		n := bound.N
		switch bound.Kind {
		case BoundBefore:
			n = -n
		case BoundCurrent:
			n = 0
		}
		if !start {
			n++
		}
		n = min(max(n, -1<<31), 1<<31)
		for i := range out {
			out[i] = int32(min(max(int64(i)+n, int64(b.begin[i])), int64(b.end[i])))
		}
	case bound.Kind == BoundCurrent:
		if p := b.peersBy(f.Order); start {
			copy(out, p.begin)
		} else {
			copy(out, p.end)
		}
	default:
		return out, b.edgeByValue(out, bound, start)
	}
	return out, nil
}

// edgeByValue is that of a bound which is so much before or after the row's value. Null
// is as far from everything as from itself.
func (b *windowBlock) edgeByValue(out []int32, bound WindowBound, start bool) error {
	values, err := b.flat(b.plan.Order[0], 0)
	if err != nil {
		return err
	}
	peers := b.peersBy(1)
	descending := b.plan.Descending[0]
	for i := 0; i < b.rows; {
		stop := int(b.end[i])
		lo, hi := i, stop // of the values that are not null, which are at one end
		for lo < hi && values.isNull(lo) {
			lo++
		}
		for lo < hi && values.isNull(hi-1) {
			hi--
		}
		for ; i < stop; i++ {
			switch {
			case values.isNull(i) && start:
				out[i] = peers.begin[i]
			case values.isNull(i):
				out[i] = peers.end[i]
			default:
				limit, there := moved(values.ints[i], bound.N, (bound.Kind == BoundAfter) != descending)
				if !there {
					out[i] = int32(lo)
					if bound.Kind == BoundAfter {
						out[i] = int32(hi)
					}
					continue
				}
				out[i] = int32(lo + sort.Search(hi-lo, func(k int) bool {
					v := values.ints[lo+k]
					if v == limit {
						return start
					}
					return (v > limit) != descending
				}))
			}
		}
	}
	return nil
}

// moved is a value with so much added or taken off; not there if that is past all values.
func moved(v, n int64, onwards bool) (limit int64, there bool) {
	if !onwards {
		return v - n, v-n <= v
	}
	return v + n, v+n >= v
}

// flatKey is a column, and the scale to which its decimals are brought.
type flatKey struct{ column, scale int }

// flat is a column of a block, row by row.
type flat struct {
	nulls   []bool // nil if there are none
	ints    []int64
	doubles []float64
	texts   []string
}

// isNull reports whether a row's value is null.
func (f *flat) isNull(row int) bool { return f.nulls != nil && f.nulls[row] }

// valueOrder compares the values of two rows, neither of which is null.
func (f *flat) valueOrder(i, j int32) int {
	switch {
	case f.ints != nil:
		return compareNumbers(f.ints[i], f.ints[j])
	case f.doubles != nil:
		return compareNumbers(f.doubles[i], f.doubles[j])
	case f.texts[i] < f.texts[j]:
		return -1
	case f.texts[i] > f.texts[j]:
		return 1
	}
	return 0
}

func compareNumbers[T int64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// locate finds the segment of a row, beginning with a guess.
func (b *windowBlock) locate(row, guess int) int {
	for guess > 0 && row < b.starts[guess] {
		guess--
	}
	for guess+1 < len(b.starts) && row >= b.starts[guess+1] {
		guess++
	}
	return guess
}

// isWord reports whether a type's values are numbers of 64 bits or fewer.
func isWord(t catalog.Type) bool {
	return t == catalog.TypeInt || t == catalog.TypeDatetime || t == catalog.TypeDouble || t == catalog.TypeBool
}
