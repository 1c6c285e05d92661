package exec

import (
	"unsafe"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"

	"arbor/catalog"
)

// joinOutput notes pairs and makes batches of them.
type joinOutput struct {
	plan   *JoinPlan
	yield  func(*Batch) error
	filter *Filter
	counts bool // nobody looks at a column
	count  int

	left   *Batch
	pieces []*joinPiece
	lefts  []Place // of the pairs
	rights []Place
	// alone are rows of the left side whose pairs nobody wants, and weights how many pairs
	// they have where that is asked for.
	alone   []Place
	weights []int64
	weight  int64 // of the row at hand
	// The rest is for filters, which say later what becomes of a row: which rows have a
	// pair, and of which all candidates are noted.
	matched []bool
	decided []int32
	taken   bool // the row at hand has a pair
}

func newJoinOutput(p *JoinPlan, yield func(*Batch) error) joinOutput {
	o := joinOutput{plan: p, yield: yield}
	if p.Filter != nil {
		o.filter = p.Filter.NewFilter()
	}
	o.counts = len(p.Columns) == 0
	return o
}

// begin notes the batch whose rows come now.
func (o *joinOutput) begin(b *Batch) {
	o.left = b
	if o.filter != nil {
		o.matched = make([]bool, b.Rows)
	}
}

// pairs notes that a row goes with the rows [lo, hi) of a piece; enough says that more of
// them make no difference.
func (o *joinOutput) pairs(row int, p *joinPiece, lo, hi int) (enough bool, err error) {
	partial := o.plan.Kind == JoinSemi || o.plan.Kind == JoinAnti
	if o.filter == nil {
		o.taken = true
		switch {
		case partial:
			if o.plan.Kind == JoinSemi {
				return true, o.single(row)
			}
			return true, nil
		case o.counts:
			o.count += hi - lo
			return false, nil
		case o.plan.Weighs:
			o.weight += int64(hi - lo)
			return false, nil
		}
	}
	if p.number < 0 {
		o.pieces = append(o.pieces, p)
		p.number = int32(len(o.pieces))
	}
	for lo < hi {
		n := min(hi-lo, MaxBatchRows-len(o.lefts))
		for at := lo; at < lo+n; at++ {
			o.lefts = append(o.lefts, Place{0, int32(row)})
			o.rights = append(o.rights, Place{p.number, int32(at)})
		}
		lo += n
		if len(o.lefts) == MaxBatchRows {
			if err := o.pass(); err != nil {
				return false, err
			}
			if p.number < 0 {
				o.pieces = append(o.pieces, p)
				p.number = int32(len(o.pieces))
			}
		}
		if partial && o.matched[row] {
			return false, nil
		}
	}
	return false, nil
}

// endRow notes that there are no more pairs of a row.
func (o *joinOutput) endRow(row int) error {
	if o.plan.Weighs && !o.counts {
		n := o.weight
		if o.weight = 0; n == 0 && o.plan.Kind == JoinLeft {
			n = 1
		}
		if n == 0 {
			return nil
		}
		o.weights = append(o.weights, n)
		return o.single(row)
	}
	if o.plan.Kind == JoinInner {
		return nil
	}
	if o.filter != nil {
		o.decided = append(o.decided, int32(row))
		return nil
	}
	switch {
	case o.taken || o.plan.Kind == JoinSemi:
		return nil
	case o.plan.Kind == JoinAnti || o.counts:
		return o.single(row)
	}
	o.lefts, o.rights = append(o.lefts, Place{0, int32(row)}), append(o.rights, noPlace)
	if len(o.lefts) == MaxBatchRows {
		return o.pass()
	}
	return nil
}

// noPlace is the right side of a row that has none: array 0 has a null.
var noPlace = Place{}

// single gives a row of the left side.
func (o *joinOutput) single(row int) error {
	if o.counts {
		o.count++
		return nil
	}
	o.alone = append(o.alone, Place{0, int32(row)})
	if len(o.alone) == MaxBatchRows {
		return o.giveAlone()
	}
	return nil
}

// flush gives what is noted: a batch that it refers to goes.
func (o *joinOutput) flush() error {
	if err := o.pass(); err != nil {
		return err
	}
	if err := o.giveAlone(); err != nil {
		return err
	}
	for o.count > 0 {
		n := min(o.count, MaxBatchRows)
		o.count -= n
		if err := o.yield(&Batch{Rows: n}); err != nil {
			return err
		}
	}
	return nil
}

// pass gives the pairs that pass the filter, and what follows for the rows of the left side
// of which no more pairs come.
func (o *joinOutput) pass() error {
	defer o.forget()
	if err := o.plan.Ended(); err != nil {
		return err
	}
	if o.filter == nil {
		return o.givePairs()
	}
	if n := len(o.lefts); n > 0 {
		columns, err := o.gather(o.plan.Filter.used)
		if err != nil {
			return err
		}
		passed := NewBitmap(n)
		passed.Fill(n)
		if err := o.filter.Select(columns, n, passed); err != nil {
			return err
		}
		kept := 0
		for i := range n {
			if !passed.Has(i) {
				continue
			}
			o.matched[o.lefts[i].Row] = true
			o.lefts[kept], o.rights[kept] = o.lefts[i], o.rights[i]
			kept++
		}
		o.lefts, o.rights = o.lefts[:kept], o.rights[:kept]
	}
	switch o.plan.Kind {
	case JoinLeft:
		o.addUnmatched()
		fallthrough
	case JoinInner:
		if o.counts {
			o.count += len(o.lefts)
			return nil
		}
		return o.givePairs()
	}
	for _, row := range o.decided {
		if o.matched[row] == (o.plan.Kind == JoinSemi) {
			if err := o.single(int(row)); err != nil {
				return err
			}
		}
	}
	return nil
}

// addUnmatched puts the rows that have no pair where they belong, so that a left join's rows
// stay in order.
func (o *joinOutput) addUnmatched() {
	var lefts, rights []Place
	at := 0
	for _, row := range o.decided {
		if o.matched[row] {
			continue
		}
		for at < len(o.lefts) && o.lefts[at].Row < row {
			lefts, rights = append(lefts, o.lefts[at]), append(rights, o.rights[at])
			at++
		}
		lefts, rights = append(lefts, Place{0, row}), append(rights, noPlace)
	}
	o.lefts, o.rights = append(lefts, o.lefts[at:]...), append(rights, o.rights[at:]...)
}

// forget forgets the pairs.
func (o *joinOutput) forget() {
	for _, p := range o.pieces {
		p.number = -1
	}
	o.pieces, o.lefts, o.rights, o.decided = o.pieces[:0], o.lefts[:0], o.rights[:0], o.decided[:0]
}

// givePairs gives the pairs.
func (o *joinOutput) givePairs() error {
	for lefts, rights := o.lefts, o.rights; len(lefts) > 0; {
		n := min(len(lefts), MaxBatchRows)
		o.lefts, o.rights = lefts[:n], rights[:n]
		columns, err := o.gather(func(int) bool { return true })
		if err != nil {
			return err
		}
		if err := o.yield(&Batch{Columns: columns, Rows: n}); err != nil {
			return err
		}
		lefts, rights = lefts[n:], rights[n:]
	}
	return nil
}

// giveAlone gives rows of the left side.
func (o *joinOutput) giveAlone() error {
	if len(o.alone) == 0 {
		return nil
	}
	columns := make([]arrow.Array, len(o.plan.Columns))
	for i, c := range o.plan.Columns {
		if c.Right {
			continue
		}
		var err error
		if columns[i], err = o.gathered(&o.plan.Left, c.Column, []arrow.Array{o.left.Columns[c.Column]}, o.alone); err != nil {
			return err
		}
	}
	b := &Batch{Columns: columns, Rows: len(o.alone)}
	if o.plan.Weighs {
		b.Weights = o.weights
	}
	err := o.yield(b)
	o.alone, o.weights = o.alone[:0], o.weights[:0]
	return err
}

// gather makes the pairs' columns that are asked for.
func (o *joinOutput) gather(wanted func(column int) bool) ([]arrow.Array, error) {
	columns := make([]arrow.Array, len(o.plan.Columns))
	arrays := make([]arrow.Array, len(o.pieces)+1)
	for i, c := range o.plan.Columns {
		if !wanted(i) {
			continue
		}
		var err error
		if c.Right {
			for k, p := range o.pieces {
				arrays[k+1] = p.columns[c.Column]
			}
			if arrays[0], err = nullArray(o.plan.Right.Types[c.Column], 1); err != nil {
				return nil, err
			}
			columns[i], err = o.gathered(&o.plan.Right, c.Column, arrays, o.rights)
		} else {
			columns[i], err = o.gathered(&o.plan.Left, c.Column, []arrow.Array{o.left.Columns[c.Column]}, o.lefts)
		}
		if err != nil {
			return nil, err
		}
	}
	return columns, nil
}

func (o *joinOutput) gathered(s *JoinSide, column int, arrays []arrow.Array, at []Place) (arrow.Array, error) {
	t := s.Types[column]
	if len(arrays) == 1 {
		if d, ok := arrays[0].(*array.Dictionary); ok {
			if a := gatherCodes(d, at); a != nil {
				return a, nil
			}
		}
	}
	a, err := Gather(t, arrays, at)
	if err != nil {
		return nil, err
	}
	return asBatchColumn(a, t), nil
}

// gatherCodes takes rows of a dictionary; nil if its codes are of a width that batches have
// not. The words are shared.
func gatherCodes(d *array.Dictionary, at []Place) arrow.Array {
	var codes *memory.Buffer
	switch x := d.Indices().(type) {
	case *array.Int8:
		codes = codesAt(x.Int8Values(), at)
	case *array.Int16:
		codes = codesAt(x.Int16Values(), at)
	case *array.Int32:
		codes = codesAt(x.Int32Values(), at)
	default:
		return nil
	}
	buffers, nulls := []*memory.Buffer{nil, codes}, 0
	if d.NullN() > 0 {
		var valid []byte
		for i, p := range at {
			if d.IsNull(int(p.Row)) {
				valid = unset(valid, len(at), i)
			}
		}
		if valid != nil {
			buffers[0], nulls = memory.NewBufferBytes(valid), array.UnknownNullCount
		}
	}
	return array.NewDictionaryData(array.NewDataWithDictionary(d.DataType(), len(at), buffers, nulls, 0, d.Data().Dictionary().(*array.Data)))
}

func codesAt[T int8 | int16 | int32](from []T, at []Place) *memory.Buffer {
	size := int(unsafe.Sizeof(*new(T)))
	to := make([]T, len(at))
	for i, p := range at {
		to[i] = from[p.Row]
	}
	return memory.NewBufferBytes(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(to))), len(to)*size))
}

// nullArray is a column of nulls, of any layout that is gathered.
func nullArray(t catalog.Type, rows int) (arrow.Array, error) {
	a, err := valueArray(t, rows, func(int) catalog.Value { return catalog.Null })
	if err != nil {
		return nil, err
	}
	return asBatchColumn(a, t), nil
}
