package exec

import (
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// newAccumulator makes the state of an aggregate in all groups. Aggregates of one
// column that follow from how often it has each value share a histogram.
func newAccumulator(p *Plan, a *Aggregate, g *Grouper) (accumulator, error) {
	if a.Op == AggCount && len(a.Args) == 0 {
		g.counted = true
		return rowCounts{g}, nil
	}
	var t catalog.Type
	if len(a.Args) > 0 {
		t, _, _ = p.Fragment.ColumnType(a.Args[0])
	}
	switch a.Op {
	case AggCount:
		if sum := g.sumOf(a.Args[0]); sum != nil {
			return sumCounts{sum}, nil
		}
		return &valueCounts{g: g, column: a.Args[0]}, nil
	case AggCountDistinct:
		if p.Fragment.manyDistinct(a) {
			return newManyDistincts(p, g, a.Args[0]), nil
		}
		return newDistincts(p, g, a.Args), nil
	case AggSum:
		if sum := g.sumOf(a.Args[0]); sum != nil {
			return sharedSum{sum}, nil
		}
		return newSums(p, g, a, t), nil
	case AggVarPop, AggVarSamp, AggStdPop, AggStdSamp:
		return newSums(p, g, a, t), nil
	case AggMin, AggMax:
		if x := newNumberExtremes(p, g, a, t); x != nil {
			return x, nil
		}
		return &extremes{plan: p, g: g, column: a.Args[0], typ: t, most: a.Op == AggMax}, nil
	case AggBitAnd, AggBitOr, AggBitXor:
		return &bitwise{plan: p, g: g, column: a.Args[0], op: a.Op}, nil
	case AggPercentile, AggPercentileDisc:
		h := g.histogramOf(p, a.Args[0])
		return &percentiles{plan: p, histogram: h, owner: h.shared == 1, share: a.Params[0].Double(), typ: t, interpolate: a.Op == AggPercentile}, nil
	case AggFirst, AggLast:
		return &touches{plan: p, g: g, args: a.Args, typ: t, last: a.Op == AggLast}, nil
	case AggBehaviour:
		return newBehaviourGroups(p, g, a)
	case AggConcat:
		c, owner := newConcats(p, g, a)
		if !owner {
			return concatTexts{c}, nil
		}
		return c, nil
	case AggConcatCut:
		c, owner := newConcats(p, g, a)
		return concatCuts{c, owner}, nil
	}
	return nil, fmt.Errorf("%w: aggregate %d", ErrFragment, a.Op)
}

// rowCounts is COUNT(*): the Grouper has it.
type rowCounts struct{ g *Grouper }

func (c rowCounts) add(*Rows, int, []uint32, []int64) error { return nil }
func (c rowCounts) grow(int) int64                          { return 0 }
func (c rowCounts) merge(accumulator, []uint32) error       { return nil }
func (c rowCounts) result(groups []uint32) (arrow.Array, error) {
	out := make([]int64, len(groups))
	for i, group := range groups {
		out[i] = c.g.rows[group]
	}
	return int64Array(out, nil), nil
}

// summing is the accumulator of a sum: it counts what it adds.
type summing interface {
	accumulator
	countOf(group uint32) int64
}

// sumOf is the sum of a column that is worked out already, or nil.
func (g *Grouper) sumOf(column int) summing {
	for _, t := range g.tables {
		switch s := t.(type) {
		case *doubleSums:
			if s.column == column {
				return s
			}
		case *intSums:
			if s.column == column {
				return s
			}
		}
	}
	return nil
}

// sharedSum is a sum that another accumulator works out.
type sharedSum struct{ summing }

func (s sharedSum) add(*Rows, int, []uint32, []int64) error { return nil }
func (s sharedSum) grow(int) int64                          { return 0 }
func (s sharedSum) merge(accumulator, []uint32) error       { return nil }

// sumCounts is COUNT of a column whose sum is worked out too.
type sumCounts struct{ summing }

func (s sumCounts) add(*Rows, int, []uint32, []int64) error { return nil }
func (s sumCounts) grow(int) int64                          { return 0 }
func (s sumCounts) merge(accumulator, []uint32) error       { return nil }

func (s sumCounts) result(groups []uint32) (arrow.Array, error) {
	out := make([]int64, len(groups))
	for i, group := range groups {
		out[i] = s.countOf(group)
	}
	return int64Array(out, nil), nil
}

// valueCounts is COUNT of a column.
type valueCounts struct {
	g      *Grouper
	column int
	counts []int64
}

func (c *valueCounts) add(r *Rows, lo int, groups []uint32, weights []int64) error {
	if c.column < len(r.vectors) {
		v := &r.vectors[c.column]
		if err := v.need(); err != nil {
			return err
		}
		if v.valid == nil && v.Rows > 0 && (v.Dictionary == nil || v.Dictionary.Len > 0) {
			for i, group := range groups {
				c.counts[group] += weight(weights, i)
			}
			return nil
		}
		if v.Dictionary == nil { // values that nobody else numbers
			for i, group := range groups {
				if !v.isNull(lo + i) {
					c.counts[group] += weight(weights, i)
				}
			}
			return nil
		}
	}
	ids, err := c.g.idsOf(r, c.column, lo, len(groups))
	if err != nil {
		return err
	}
	for i, group := range groups {
		if ids[i] != nullID {
			c.counts[group] += weight(weights, i)
		}
	}
	return nil
}

func (c *valueCounts) grow(n int) int64 { return grow(&c.counts, n) }

func (c *valueCounts) merge(o accumulator, to []uint32) error {
	for group, n := range o.(*valueCounts).counts {
		if group < len(to) && to[group] != 0 {
			c.counts[to[group]] += n
		}
	}
	return nil
}

func (c *valueCounts) result(groups []uint32) (arrow.Array, error) {
	out := make([]int64, len(groups))
	for i, group := range groups {
		out[i] = c.counts[group]
	}
	return int64Array(out, nil), nil
}

// weight is how many rows row i stands for.
func weight(weights []int64, i int) int64 {
	if weights == nil {
		return 1
	}
	return weights[i]
}

// grow makes a slice longer and says how many bytes that took.
func grow[T any](s *[]T, n int) int64 {
	if n <= len(*s) {
		return 0
	}
	grown := make([]T, n)
	copy(grown, *s)
	before := len(*s)
	*s = grown
	return int64(n-before) * sizeOf[T]()
}

// bitwise is BIT_AND, BIT_OR or BIT_XOR.
type bitwise struct {
	plan   *Plan
	g      *Grouper
	column int
	op     AggregateOp
	bits   []uint64
}

func (b *bitwise) add(r *Rows, lo int, groups []uint32, weights []int64) error {
	if b.column < len(r.vectors) {
		v := &r.vectors[b.column]
		if err := v.need(); err != nil {
			return err
		}
		if v.ints != nil {
			for i, n := range v.ints[lo : lo+len(groups)] {
				if !v.isNull(lo + i) {
					b.take(groups[i], uint64(n), weight(weights, i))
				}
			}
			return nil
		}
	}
	ids, err := b.g.idsOf(r, b.column, lo, len(groups))
	if err != nil {
		return err
	}
	values := b.plan.domains[b.column].all()
	for i, group := range groups {
		if ids[i] == nullID {
			continue
		}
		b.take(group, values[ids[i]].Bits, weight(weights, i))
	}
	return nil
}

// take adds a value so many times.
func (b *bitwise) take(group uint32, v uint64, times int64) {
	if b.op != AggBitXor || times&1 != 0 {
		b.join(&b.bits[group], v)
	}
}

func (b *bitwise) grow(n int) int64 {
	before := len(b.bits)
	size := grow(&b.bits, n)
	if b.op == AggBitAnd {
		for i := before; i < len(b.bits); i++ {
			b.bits[i] = ^uint64(0)
		}
	}
	return size
}

func (b *bitwise) merge(o accumulator, to []uint32) error {
	for group, v := range o.(*bitwise).bits {
		if group >= len(to) || to[group] == 0 {
			continue
		}
		b.join(&b.bits[to[group]], v)
	}
	return nil
}

// join adds bits to others.
func (b *bitwise) join(mine *uint64, v uint64) {
	switch b.op {
	case AggBitAnd:
		*mine &= v
	case AggBitOr:
		*mine |= v
	default:
		*mine ^= v
	}
}

func (b *bitwise) result(groups []uint32) (arrow.Array, error) {
	out := make([]int64, len(groups))
	for i, group := range groups {
		out[i] = int64(b.bits[group])
	}
	return int64Array(out, nil), nil
}
