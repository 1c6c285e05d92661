package exec

import (
	"math"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// numberExtremes is MIN or MAX of a stored column of integers, moments or doubles.
// It compares the numbers themselves, since columns such as time have a value of
// their own in every row, which a domain would have to number first.
type numberExtremes struct {
	plan   *Plan
	g      *Grouper
	column int
	typ    catalog.Type
	flip   uint64   // all ones for MIN: the best is always the greatest rank
	best   []uint64 // ranks
	some   []bool   // whether a group has any value
}

// newNumberExtremes makes the accumulator, or nil for a column of another type.
func newNumberExtremes(p *Plan, g *Grouper, a *Aggregate, t catalog.Type) accumulator {
	if a.Args[0] >= len(p.Fragment.Columns) {
		return nil
	}
	switch t {
	case catalog.TypeInt, catalog.TypeDatetime, catalog.TypeDouble:
	default:
		return nil
	}
	x := &numberExtremes{plan: p, g: g, column: a.Args[0], typ: t}
	if a.Op == AggMin {
		x.flip = math.MaxUint64
	}
	return x
}

const signBit = 1 << 63

// intRank and doubleRank are numbers in the order of what they stand for.
func intRank(v int64) uint64 { return uint64(v) ^ signBit }

func doubleRank(f float64) uint64 {
	bits := math.Float64bits(f + 0) // -0 is 0
	if bits&signBit != 0 {
		return ^bits
	}
	return bits | signBit
}

// rank is a value's rank, the best the greatest.
func (x *numberExtremes) rank(v catalog.Value) uint64 {
	if x.typ == catalog.TypeDouble {
		return doubleRank(v.Double()) ^ x.flip
	}
	return intRank(v.Int()) ^ x.flip
}

// valueOf is the value of a group, null if it has none.
func (x *numberExtremes) valueOf(group uint32) catalog.Value {
	if !x.some[group] {
		return catalog.Null
	}
	rank := x.best[group] ^ x.flip
	if x.typ != catalog.TypeDouble {
		return catalog.Int(int64(rank ^ signBit))
	}
	bits := rank &^ signBit
	if rank&signBit == 0 {
		bits = ^rank
	}
	return catalog.Value{Kind: catalog.KindDouble, Bits: bits}
}

// offer takes a rank if it is better.
func (x *numberExtremes) offer(group uint32, rank uint64) {
	if rank >= x.best[group] {
		x.best[group], x.some[group] = rank, true
	}
}

func (x *numberExtremes) add(r *Rows, lo int, groups []uint32, _ []int64) error {
	v := &r.vectors[x.column]
	if x.settled(v) {
		return nil
	}
	if err := v.need(); err != nil {
		return err
	}
	switch {
	case v.ints != nil:
		for i, n := range v.ints[lo : lo+len(groups)] {
			if group := groups[i]; intRank(n)^x.flip >= x.best[group] && !v.isNull(lo+i) {
				x.best[group], x.some[group] = intRank(n)^x.flip, true
			}
		}
		return nil
	case v.doubles != nil:
		for i, f := range v.doubles[lo : lo+len(groups)] {
			if !v.isNull(lo + i) {
				x.offer(groups[i], doubleRank(f)^x.flip)
			}
		}
		return nil
	}
	ids, err := x.g.idsOf(r, x.column, lo, len(groups))
	if err != nil {
		return err
	}
	values := x.plan.domains[x.column].all()
	for i, group := range groups {
		if id := ids[i]; id != nullID {
			x.offer(group, x.rank(values[id]))
		}
	}
	return nil
}

// settled reports whether no row of a vector can be better than what the only group
// has: then it need not be read.
func (x *numberExtremes) settled(v *Vector) bool {
	if !v.bounded || v.load == nil || len(x.g.group.Keys) > 0 || len(x.some) < 2 || !x.some[1] {
		return false
	}
	return max(intRank(v.least)^x.flip, intRank(v.greatest)^x.flip) <= x.best[1]
}

func (x *numberExtremes) grow(n int) int64 { return grow(&x.best, n) + grow(&x.some, n) }

func (x *numberExtremes) merge(o accumulator, to []uint32) error {
	from := o.(*numberExtremes)
	for group, some := range from.some {
		if some && group < len(to) && to[group] != 0 {
			x.offer(to[group], from.best[group])
		}
	}
	return nil
}

func (x *numberExtremes) result(groups []uint32) (arrow.Array, error) {
	return x.plan.valueArray(x.typ, len(groups), func(i int) catalog.Value { return x.valueOf(groups[i]) })
}

func (x *numberExtremes) put(w *groupWriter, group uint32, _ int) int {
	w.value(x.column, x.plan.domains[x.column].Number(x.valueOf(group)))
	return 0
}

func (x *numberExtremes) get(r *groupReader, group uint32) error {
	if id := r.value(x.column); id != nullID {
		x.offer(group, x.rank(x.plan.domains[x.column].all()[id]))
	}
	return nil
}
