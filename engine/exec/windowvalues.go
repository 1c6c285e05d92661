package exec

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"arbor/catalog"
)

// function computes a function for all rows of the block.
func (b *windowBlock) function(f *WindowFunction) (arrow.Array, error) {
	switch f.Op {
	case WindowRowNumber:
		given := b.before.given()
		return b.ints(func(i int) int64 { return given + int64(i) - int64(b.begin[i]) + 1 }), nil
	case WindowRank:
		peers, given := b.peersBy(f.Order), b.before.given()
		return b.ints(func(i int) int64 { return given + int64(peers.begin[i]-b.begin[i]) + 1 }), nil
	case WindowDenseRank:
		peers, rank, first := b.peersBy(f.Order), int64(0), int64(1)
		if b.before != nil {
			first += b.before.rank
		}
		a := b.ints(func(i int) int64 {
			switch at := int32(i); {
			case at == b.begin[i]:
				rank = first
			case at == peers.begin[i]:
				rank++
			}
			return rank
		})
		if b.before != nil {
			b.before.rank = rank
		}
		return a, nil
	case WindowPercentRank:
		peers := b.peersBy(f.Order)
		return b.doubles(func(i int) float64 {
			if n := b.end[i] - b.begin[i]; n > 1 {
				return float64(peers.begin[i]-b.begin[i]) / float64(n-1)
			}
			return 0
		}), nil
	case WindowCumeDist:
		peers := b.peersBy(f.Order)
		return b.doubles(func(i int) float64 {
			return float64(peers.end[i]-b.begin[i]) / float64(b.end[i]-b.begin[i])
		}), nil
	case WindowTiles:
		return b.doubles(func(i int) float64 {
			return float64(tileOf(int64(i)-int64(b.begin[i]), int64(b.end[i]-b.begin[i]), f.N))
		}), nil
	case WindowBefore:
		n := min(max(f.N, -1<<31), 1<<31)
		return b.pick(f, func(i int) int32 {
			at := int64(i) - n
			if at < int64(b.begin[i]) || at >= int64(b.end[i]) {
				return -1
			}
			return int32(at)
		})
	}
	frames, err := b.framesOf(f)
	if err != nil {
		return nil, err
	}
	switch f.Op {
	case WindowFirst, WindowLast, WindowNth:
		return b.pick(f, func(i int) int32 {
			lo, hi := frames.lo[i], frames.hi[i]
			switch {
			case f.Op == WindowLast:
				lo = hi - 1
				if hi == frames.lo[i] {
					return -1
				}
			case f.Op == WindowNth && f.N > int64(hi-lo):
				return -1
			case f.Op == WindowNth:
				lo += int32(f.N - 1)
			}
			if lo >= hi {
				return -1
			}
			return lo
		})
	case WindowCount:
		return b.count(f, frames)
	case WindowSum, WindowAverage:
		if b.plan.Types[f.Arg] == catalog.TypeDouble {
			return b.sumDoubles(f, frames)
		}
		return b.sumExact(f, frames)
	case WindowMin, WindowMax:
		return b.extreme(f, frames)
	}
	return nil, fmt.Errorf("%w: window function %d", ErrFragment, f.Op)
}

// ints is a column of integers.
func (b *windowBlock) ints(of func(row int) int64) arrow.Array {
	values := make([]int64, b.rows)
	for i := range values {
		values[i] = of(i)
	}
	return int64Array(values, nil)
}

func (b *windowBlock) doubles(of func(row int) float64) arrow.Array {
	values := make([]float64, b.rows)
	for i := range values {
		values[i] = of(i)
	}
	return doubleArray(values, nil)
}

// tileOf is the tile, from 1, of one of so many rows that are divided into n tiles, of
// which the first are greater by one where that cannot be done evenly.
func tileOf(row, rows, n int64) int64 {
	size, greater := rows/n, rows%n
	if row < greater*(size+1) {
		return row/(size+1) + 1
	}
	return greater + (row-greater*(size+1))/size + 1
}

// flat reads a column of the block row by row; decimals as integers, in units of the
// scale's last digit, or if they are too large for that as texts.
func (b *windowBlock) flat(column, scale int) (*flat, error) {
	key := flatKey{column, scale}
	if f, ok := b.flats[key]; ok {
		return f, nil
	}
	t := b.plan.Types[column]
	f := &flat{}
	switch {
	case t == catalog.TypeDouble:
		f.doubles = make([]float64, 0, b.rows)
	case isWord(t) || t == catalog.TypeDecimal:
		f.ints = make([]int64, 0, b.rows)
	default:
		f.texts = make([]string, 0, b.rows)
	}
	for i := range b.segments {
		a := b.segments[i].columns[column]
		if a.NullN() > 0 && f.nulls == nil {
			f.nulls = make([]bool, b.rows)
		}
		if err := f.read(a, t, scale, b.starts[i]); err != nil {
			return nil, err
		}
	}
	b.flats[key] = f
	return f, nil
}

// errLargeDecimal says that a decimal is no 64 bit integer.
var errLargeDecimal = fmt.Errorf("%w: a large decimal", ErrArray)

// read reads an array, whose first row is one of the block's.
func (f *flat) read(a arrow.Array, t catalog.Type, scale, first int) error {
	switch a := a.(type) {
	case *array.Int64:
		f.ints = append(f.ints, a.Int64Values()...)
	case *array.Timestamp:
		f.ints = append(f.ints, view64(a.TimestampValues())...)
	case *array.Float64:
		f.doubles = append(f.doubles, a.Float64Values()...)
	case *array.Boolean:
		for i := range a.Len() {
			f.ints = append(f.ints, int64(boolByte(a.IsValid(i) && a.Value(i))))
		}
	case *array.String:
		for i := range a.Len() {
			if err := f.readText(a.Value(i), t, scale, a.IsNull(i)); err != nil {
				return err
			}
		}
	case *array.Dictionary:
		return f.readCoded(a, t, scale, first)
	default:
		return fmt.Errorf("%w: %s", ErrArray, a.DataType())
	}
	if a.NullN() > 0 {
		for i := range a.Len() {
			f.nulls[first+i] = a.IsNull(i)
		}
	}
	return nil
}

func (f *flat) readText(text string, t catalog.Type, scale int, null bool) error {
	if t != catalog.TypeDecimal {
		f.texts = append(f.texts, text)
		return nil
	}
	unit := int64(0)
	if !null {
		var ok bool
		if unit, ok = scaledInt(text, scale); !ok {
			return errLargeDecimal
		}
	}
	f.ints = append(f.ints, unit)
	return nil
}

// readCoded reads each word once.
func (f *flat) readCoded(a *array.Dictionary, t catalog.Type, scale, first int) error {
	words, ok := a.Dictionary().(*array.String)
	if !ok {
		return fmt.Errorf("%w: dictionary of %s", ErrArray, a.Dictionary().DataType())
	}
	v, err := VectorOf(a, t)
	if err != nil {
		return err
	}
	var units []int64
	var known []bool
	if t == catalog.TypeDecimal {
		units, known = make([]int64, words.Len()), make([]bool, words.Len())
	}
	for i := range a.Len() {
		word := -1
		if !v.isNull(i) {
			if word = v.code(i); words.IsNull(word) {
				word = -1
			}
		}
		if word < 0 {
			if f.nulls == nil {
				f.nulls = make([]bool, max(first+a.Len(), cap(f.ints), cap(f.texts)))
			}
			f.nulls[first+i] = true
		}
		switch {
		case units == nil && word < 0:
			f.texts = append(f.texts, "")
		case units == nil:
			f.texts = append(f.texts, words.Value(word))
		case word < 0:
			f.ints = append(f.ints, 0)
		default:
			if !known[word] {
				if units[word], known[word] = scaledInt(words.Value(word), scale); !known[word] {
					return errLargeDecimal
				}
			}
			f.ints = append(f.ints, units[word])
		}
	}
	return nil
}

// scaledInt is a decimal's text times ten to the scale, if that is a 64 bit integer.
func scaledInt(text string, scale int) (int64, bool) {
	n, ok := scaled(text, scale)
	if !ok || !n.IsInt64() {
		return 0, false
	}
	return n.Int64(), true
}

// count counts the rows of frames whose argument is not null.
func (b *windowBlock) count(f *WindowFunction, frames *windowFrames) (arrow.Array, error) {
	var before []int32
	if f.Arg >= 0 {
		var err error
		if before, err = b.nullsBefore(f.Arg); err != nil {
			return nil, err
		}
	}
	earlier := int64(0)
	if run := b.before.fromStart(); run != nil {
		earlier = run.count
		defer run.counts(before, frames)
	}
	return b.ints(func(i int) int64 { return earlier + frames.counts(before, i) }), nil
}

// nullsBefore counts the nulls of a column before each row; nil if there are none.
func (b *windowBlock) nullsBefore(column int) ([]int32, error) {
	var before []int32
	for i := range b.segments {
		a := b.segments[i].columns[column]
		_, coded := a.(*array.Dictionary)
		if a.NullN() == 0 && !coded {
			continue
		}
		if before == nil {
			before = make([]int32, b.rows+1)
		}
		at, err := valuesOf(a, b.plan.Types[column])
		if err != nil {
			return nil, err
		}
		for k := range a.Len() {
			if at(k).Kind == catalog.KindNull {
				before[b.starts[i]+k+1] = 1
			}
		}
	}
	for i := 1; i < len(before); i++ {
		before[i] += before[i-1]
	}
	return before, nil
}

// extreme finds the least or greatest value of frames: the first of equal ones.
func (b *windowBlock) extreme(f *WindowFunction, frames *windowFrames) (arrow.Array, error) {
	scale := f.ArgScale
	values, err := b.flat(f.Arg, scale)
	if err == errLargeDecimal {
		values, err = b.decimalKeys(f.Arg)
	}
	if err != nil {
		return nil, err
	}
	better := func(i, j int32) bool { return values.valueOrder(i, j) < 0 }
	if f.Op == WindowMax {
		better = func(i, j int32) bool { return values.valueOrder(i, j) > 0 }
	}
	// Rows that may be the extreme of a frame to come, the best one first.
	var queue []int32
	head, lo, hi := 0, int32(0), int32(0)
	at := make([]int32, b.rows)
	for i := range at {
		if frames.lo[i] < lo || frames.lo[i] > hi || frames.hi[i] < hi {
			queue, head, hi = queue[:0], 0, frames.lo[i]
		}
		for ; hi < frames.hi[i]; hi++ {
			if values.isNull(int(hi)) {
				continue
			}
			for len(queue) > head && better(hi, queue[len(queue)-1]) {
				queue = queue[:len(queue)-1]
			}
			queue = append(queue, hi)
		}
		lo = frames.lo[i]
		for head < len(queue) && queue[head] < lo {
			head++
		}
		at[i] = -1
		if head < len(queue) {
			at[i] = queue[head]
		}
	}
	if b.before != nil && b.rows > 0 {
		b.before.bestRow = at[b.rows-1]
	}
	return b.pick(&WindowFunction{Arg: f.Arg}, func(i int) int32 { return at[i] })
}

// decimalKeys are decimals of any size as texts in their order.
func (b *windowBlock) decimalKeys(column int) (*flat, error) {
	f := &flat{texts: make([]string, 0, b.rows), nulls: make([]bool, b.rows)}
	for i := range b.segments {
		a := b.segments[i].columns[column]
		at, err := valuesOf(a, catalog.TypeDecimal)
		if err != nil {
			return nil, err
		}
		for k := range a.Len() {
			v := at(k)
			f.nulls[len(f.texts)] = v.Kind == catalog.KindNull
			f.texts = append(f.texts, string(appendNumberKey(nil, v.Text)))
		}
	}
	return f, nil
}
