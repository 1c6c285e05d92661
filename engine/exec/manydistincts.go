package exec

import (
	"encoding/binary"

	"github.com/apache/arrow/go/v15/arrow"
)

// manyDistincts is COUNT(DISTINCT …) of a column of which nearly every row has
// another value, such as insert ids. Numbering such values would keep a text of each
// for nothing; most are packed, and for each form and group there is a set of them.
// Long ones are numbered.
type manyDistincts struct {
	long   *distincts
	column int
	size   int                    // groups there is room for
	byForm [textForms][]packedSet // by group; nil for forms that did not come
	texts  []PackedText           // of a chunk
	table  []uint32               // room for looking what comes twice
}

// many reports whether nearly every row has another value of a column.
func (f *Fragment) many(column int) bool {
	if column >= len(f.Columns) {
		return false
	}
	s := f.Columns[column].Source
	return s == SourceInsertID || s == SourceIngestID
}

// manyDistinct reports whether an aggregate is a manyDistincts.
func (f *Fragment) manyDistinct(a *Aggregate) bool {
	return a.Op == AggCountDistinct && len(a.Args) == 1 && f.many(a.Args[0])
}

func newManyDistincts(p *Plan, g *Grouper, column int) *manyDistincts {
	return &manyDistincts{long: newDistincts(p, g, []int{column}), column: column, texts: make([]PackedText, chunkRows)}
}

func (m *manyDistincts) add(r *Rows, lo int, groups []uint32, _ []int64) error {
	texts := m.texts[:len(groups)]
	if err := r.packedTexts(m.column, lo, texts); err != nil {
		return err
	}
	size := int64(0)
	for i, group := range groups {
		t := &texts[i]
		switch {
		case t.Form == TextNull || group == hiddenGroup:
		case t.Form == TextLong:
			v, err := r.value(m.column, lo+i)
			if err != nil {
				return err
			}
			size += m.long.sets[group].add(m.long.plan.domains[m.column].Number(v))
		default:
			set := m.set(t.Form, group, &size)
			size += set.add(packedKey{t.Hi, t.Lo}, &m.table)
		}
	}
	return m.long.plan.take(size)
}

// set is the set of a form and a group; what it takes is added to size.
func (m *manyDistincts) set(form TextForm, group uint32, size *int64) *packedSet {
	if m.byForm[form] == nil {
		*size += grow(&m.byForm[form], m.size)
	}
	return &m.byForm[form][group]
}

func (m *manyDistincts) grow(n int) (size int64) {
	m.size = max(m.size, n)
	for form := range m.byForm {
		if m.byForm[form] != nil {
			size += grow(&m.byForm[form], n)
		}
	}
	return size + m.long.grow(n)
}

func (m *manyDistincts) merge(o accumulator, to []uint32) error {
	other := o.(*manyDistincts)
	size := int64(0)
	for form := range other.byForm {
		for group := range other.byForm[form] {
			if err := m.long.plan.ended(group); err != nil {
				return err
			}
			if set := &other.byForm[form][group]; group < len(to) && to[group] != 0 && !set.empty() {
				mine := m.set(TextForm(form), to[group], &size)
				size += mine.unite(set, &m.table)
			}
		}
	}
	if err := m.long.plan.take(size); err != nil {
		return err
	}
	return m.long.merge(other.long, to)
}

func (m *manyDistincts) result(groups []uint32) (arrow.Array, error) {
	out := make([]int64, len(groups))
	for i, group := range groups {
		if err := m.long.plan.ended(i); err != nil {
			return nil, err
		}
		out[i] = m.long.sets[group].count()
		packed, err := m.settle(group)
		if err != nil {
			return nil, err
		}
		out[i] += int64(packed)
	}
	return int64Array(out, nil), nil
}

// settle settles a group's sets and says how many keys they have.
func (m *manyDistincts) settle(group uint32) (count int, err error) {
	size := int64(0)
	for form := range m.byForm {
		if m.byForm[form] == nil {
			continue
		}
		n, grown, err := m.byForm[form][group].settle(m.long.plan, &m.table)
		size += grown
		if err != nil {
			return 0, err
		}
		count += n
	}
	return count, m.long.plan.take(size)
}

// put writes the long texts, and behind them the packed ones, each in a list for
// itself.
func (m *manyDistincts) put(w *groupWriter, group uint32, from int) int {
	if from == 0 || w.elements == nil {
		w.elements = w.elements[:0]
		m.long.sets[group].each(func(id uint32) { w.elements = append(w.elements, id) })
		for form := range m.byForm {
			if m.byForm[form] != nil {
				// The plan is not asked whether the query has ended: a set is settled in some
				// milliseconds.
				m.byForm[form][group].settle(&Plan{}, &m.table)
			}
		}
	}
	most := w.out.stateRun
	long := w.elements[min(from, len(w.elements)):min(len(w.elements), from+most)]
	w.number(uint64(len(long)))
	for _, id := range long {
		w.value(m.column, id)
	}
	at, total := from+len(long), len(w.elements)
	for form := range m.byForm {
		if m.byForm[form] == nil {
			continue
		}
		set := &m.byForm[form][group]
		first, n := at-total, set.len()
		total += n
		left := most - (at - from)
		if first < 0 || first >= n || left <= 0 {
			continue
		}
		count := min(n-first, left)
		w.body = append(w.body, byte(form))
		w.number(uint64(count))
		at += count
		for k := range func(yield func(packedKey) bool) { set.from(first, yield) } {
			w.body = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(w.body, k.hi), k.lo)
			if count--; count == 0 {
				break
			}
		}
	}
	w.body = append(w.body, byte(TextNull))
	return onward(at, total)
}

func (m *manyDistincts) get(r *groupReader, group uint32) error {
	if err := m.long.get(r, group); err != nil || r.bad {
		return err
	}
	size := int64(0)
	for {
		form := TextForm(r.byte())
		if r.bad || form >= textForms {
			r.bad = true
			return nil
		}
		if form == TextNull {
			return m.long.plan.take(size)
		}
		set := m.set(form, group, &size)
		for range r.count(16) {
			b := r.bytes(16)
			if r.bad {
				return nil
			}
			size += set.add(packedKey{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}, &m.table)
		}
	}
}
