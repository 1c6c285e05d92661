package exec

import (
	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// extremes is MIN or MAX of texts and of computed columns, by the numbers of values.
type extremes struct {
	plan   *Plan
	g      *Grouper
	column int
	typ    catalog.Type
	most   bool
	best   []uint32 // nullID for none
}

func (x *extremes) add(r *Rows, lo int, groups []uint32, _ []int64) error {
	ids, err := x.g.idsOf(r, x.column, lo, len(groups))
	if err != nil {
		return err
	}
	values := x.plan.domains[x.column].all()
	for i, group := range groups {
		if id := ids[i]; id != x.best[group] && id != nullID {
			x.offer(values, group, id)
		}
	}
	return nil
}

// offer takes a value if it is better.
func (x *extremes) offer(values []catalog.Value, group, id uint32) {
	best := x.best[group]
	if best != nullID {
		sign := compareValues(values[id], values[best], x.typ)
		if x.most && sign <= 0 || !x.most && sign >= 0 {
			return
		}
	}
	x.best[group] = id
}

func (x *extremes) grow(n int) int64 { return grow(&x.best, n) }

func (x *extremes) merge(o accumulator, to []uint32) error {
	values := x.plan.domains[x.column].all()
	for group, id := range o.(*extremes).best {
		if group < len(to) && to[group] != 0 && id != nullID {
			x.offer(values, to[group], id)
		}
	}
	return nil
}

func (x *extremes) result(groups []uint32) (arrow.Array, error) {
	values := x.plan.domains[x.column].all()
	return x.plan.valueArray(x.typ, len(groups), func(i int) catalog.Value { return values[x.best[groups[i]]] })
}
