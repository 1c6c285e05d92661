package exec

import (
	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// touches is AggFirst or AggLast: the value at the first or last moment, by ingest
// id where moments are equal.
type touches struct {
	plan *Plan
	g    *Grouper
	args []int
	typ  catalog.Type
	last bool
	best []touch
}

type touch struct {
	id       uint32
	time     int64
	ingestID string
}

func (t *touches) add(r *Rows, lo int, groups []uint32, _ []int64) error {
	ids, err := t.g.idsOf(r, t.args[0], lo, len(groups))
	if err != nil {
		return err
	}
	for i, group := range groups {
		if ids[i] == nullID || group == hiddenGroup {
			continue
		}
		at, err := r.value(t.args[1], lo+i)
		if err != nil {
			return err
		}
		best := &t.best[group]
		if best.id != nullID && t.before(best.time, at.Int()) {
			continue
		}
		ingestID, err := r.value(t.args[2], lo+i)
		if err != nil {
			return err
		}
		t.offer(group, touch{ids[i], at.Int(), ingestID.Text})
	}
	return nil
}

// before reports whether a moment rules another out.
func (t *touches) before(best, at int64) bool {
	if t.last {
		return best > at
	}
	return best < at
}

func (t *touches) offer(group uint32, new touch) {
	best := &t.best[group]
	if best.id != nullID {
		if t.before(best.time, new.time) {
			return
		}
		if best.time == new.time && (best.ingestID <= new.ingestID) == !t.last {
			return
		}
	}
	new.ingestID = string(append([]byte(nil), new.ingestID...))
	*best = new
}

func (t *touches) grow(n int) int64 { return grow(&t.best, n) }

func (t *touches) merge(o accumulator, to []uint32) error {
	for group, b := range o.(*touches).best {
		if group < len(to) && to[group] != 0 && b.id != nullID {
			t.offer(to[group], b)
		}
	}
	return nil
}

func (t *touches) result(groups []uint32) (arrow.Array, error) {
	values := t.plan.domains[t.args[0]].all()
	return t.plan.valueArray(t.typ, len(groups), func(i int) catalog.Value { return values[t.best[groups[i]].id] })
}
