package exec

import (
	"cmp"
	"encoding/binary"

	"github.com/apache/arrow/go/v15/arrow"

	"arbor/catalog"
)

// touches is AggFirst or AggLast: the value at the first or last moment, by ingest
// id where moments are equal. Rows of a user come in order, so that the last of many
// is another one again and again: ingest ids are read of those that are left when a
// chunk of rows was looked at, or are compared.
type touches struct {
	plan    *Plan
	g       *Grouper
	args    []int
	typ     catalog.Type
	last    bool
	best    []touch
	unread  []uint32 // groups whose best row's ingest id was not read
	scratch [1]PackedText
}

type touch struct {
	id     uint32 // of the value
	unread int32  // the row that has the ingest id, from 1 on; 0 if it is here
	time   int64
	hi, lo uint64 // the ingest id
}

func (t *touches) add(r *Rows, lo int, groups []uint32, _ []int64) error {
	ids, err := t.g.idsOf(r, t.args[0], lo, len(groups))
	if err != nil {
		return err
	}
	moments := &r.vectors[t.args[1]]
	if err := moments.need(); err != nil {
		return err
	}
	t.unread = t.unread[:0]
	for i, group := range groups {
		id := ids[i]
		if id == nullID || group == hiddenGroup {
			continue
		}
		row, best := lo+i, &t.best[group]
		at, err := t.moment(r, moments, row)
		if err != nil {
			return err
		}
		if best.id != nullID && t.before(best.time, at) {
			continue
		}
		if best.id != nullID && best.time == at {
			new := touch{id: id, unread: int32(row + 1), time: at}
			if err := t.read(r, best); err != nil {
				return err
			}
			if err := t.read(r, &new); err != nil {
				return err
			}
			t.offer(group, new)
			continue
		}
		if best.unread == 0 {
			t.unread = append(t.unread, group)
		}
		*best = touch{id: id, unread: int32(row + 1), time: at}
	}
	for _, group := range t.unread {
		if err := t.read(r, &t.best[group]); err != nil {
			return err
		}
	}
	return nil
}

// moment is the time of a row.
func (t *touches) moment(r *Rows, moments *Vector, row int) (int64, error) {
	if moments.ints != nil && moments.valid == nil {
		return moments.ints[row], nil
	}
	v, err := r.value(t.args[1], row)
	return v.Int(), err
}

// read reads a touch's ingest id, if it was not read.
func (t *touches) read(r *Rows, of *touch) error {
	if of.unread == 0 {
		return nil
	}
	if err := r.packedTexts(t.args[2], int(of.unread)-1, t.scratch[:]); err != nil {
		return err
	}
	of.hi, of.lo, of.unread = t.scratch[0].Hi, t.scratch[0].Lo, 0
	return nil
}

// before reports whether a moment rules another out.
func (t *touches) before(best, at int64) bool {
	if t.last {
		return best > at
	}
	return best < at
}

// offer takes a touch, whose ingest id was read as the best one's was, if it is better.
func (t *touches) offer(group uint32, new touch) {
	best := &t.best[group]
	if best.id != nullID {
		if t.before(best.time, new.time) {
			return
		}
		if best.time == new.time && (cmp.Or(cmp.Compare(best.hi, new.hi), cmp.Compare(best.lo, new.lo)) <= 0) == !t.last {
			return
		}
	}
	*best = new
}

// ingestID is a touch's.
func (t touch) ingestID() catalog.IngestID {
	var b [catalog.IngestIDSize]byte
	binary.BigEndian.PutUint64(b[:], t.hi)
	binary.BigEndian.PutUint64(b[8:], t.lo)
	return catalog.IngestIDFromBytes(b[:])
}

// touchOf is a touch of a value.
func touchOf(value uint32, time int64, ingestID catalog.IngestID) touch {
	var room [catalog.IngestIDSize]byte
	b, _ := ingestID.AppendBinary(room[:0])
	return touch{id: value, time: time, hi: binary.BigEndian.Uint64(b), lo: binary.BigEndian.Uint64(b[8:])}
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
