package exec

import (
	"sync"
	"sync/atomic"

	"arbor/catalog"
)

// sharedPeriods are the values by period that all workers of a query know of a
// computed column, by the number of the page.
type sharedPeriods struct {
	mu    sync.Mutex // guards pages; what is in them is read and written atomically
	pages map[int64]*periodPage
}

// page gives a page.
func (s *sharedPeriods) page(number int64) *periodPage {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pages[number]
	if p == nil {
		if s.pages == nil {
			s.pages = map[int64]*periodPage{}
		}
		p = new(periodPage)
		for i := range p {
			p[i] = unknownID
		}
		s.pages[number] = p
	}
	return p
}

// periodMemo is what a worker knows of them. Pages that are near each other are in a
// list, so that a value is found by two looks; values of periods that are far from the
// first are in a map.
type periodMemo struct {
	pages []*periodPage
	first int64 // the number of the first page
	far   map[int64]uint32
}

// periodPage is the values of some periods that follow each other, or unknownID.
type periodPage [1 << periodPageBits]uint32

const (
	periodPageBits = 10
	// maxPeriodPages is how many pages there may be: seconds of two years, or
	// minutes of more than a hundred.
	maxPeriodPages = 1 << 16
)

// at is the place of a period's value, nil if it is far from the others.
func (m *periodMemo) at(period int64, shared *sharedPeriods) *uint32 {
	number := period >> periodPageBits
	if m.pages == nil {
		m.first = number
	}
	if number < m.first && m.first-number+int64(len(m.pages)) <= maxPeriodPages {
		m.pages = append(make([]*periodPage, m.first-number), m.pages...)
		m.first = number
	}
	i := number - m.first
	if i < 0 || i >= maxPeriodPages {
		return nil
	}
	for int64(len(m.pages)) <= i {
		m.pages = append(m.pages, nil)
	}
	p := m.pages[i]
	if p == nil {
		p = shared.page(number)
		m.pages[i] = p
	}
	return &p[period&(1<<periodPageBits-1)]
}

// periodIDs evaluates once for each period.
func (r *Rows) periodIDs(k, lo int, out []uint32) error {
	c := &r.plan.Fragment.Computed[k]
	v := &r.vectors[c.Args[0]]
	m := &r.periods[k]
	if v.ints == nil {
		return r.rowIDs(k, lo, out)
	}
	divide := divider(c.Period)
	for i := range out {
		if v.valid != nil && v.isNull(lo+i) {
			id, err := r.evaluatedValue(k, catalog.Null)
			if err != nil {
				return err
			}
			out[i] = id
			continue
		}
		period := divide.floor(v.ints[lo+i])
		if page := period>>periodPageBits - m.first; uint64(page) < uint64(len(m.pages)) && m.pages[page] != nil {
			if id := atomic.LoadUint32(&m.pages[page][period&(1<<periodPageBits-1)]); id != unknownID {
				out[i] = id
				continue
			}
		}
		var id uint32
		var err error
		if nearEpoch(v.ints[lo+i]) {
			id, err = r.evaluatedValue(k, catalog.Int(v.ints[lo+i]))
		} else {
			id, err = r.periodID(k, period)
		}
		if err != nil {
			return err
		}
		out[i] = id
	}
	return nil
}

// nearEpoch reports whether a moment is so near to the beginning of 1970 that a period
// of it may begin before: functions of time zones leave moments before that as they are.
func nearEpoch(t int64) bool {
	const day = 86_400_000_000
	return uint64(t+day) < 2*day
}

// periodDivider divides moments by a period, without a division where a product of
// floating-point numbers is at most one off.
type periodDivider struct {
	period  int64
	inverse float64
}

func divider(period int64) periodDivider { return periodDivider{period, 1 / float64(period)} }

// exactMoments is how far from 0 moments and periods may be, to be exact as
// floating-point numbers.
const exactMoments = 1 << 53

// floor divides and rounds down.
func (d *periodDivider) floor(t int64) int64 {
	if t < 0 || t >= exactMoments || d.period >= exactMoments {
		return floorDiv(t, d.period)
	}
	q := int64(float64(t) * d.inverse)
	if rest := t - q*d.period; rest < 0 {
		q--
	} else if rest >= d.period {
		q++
	}
	return q
}

// periodID is the value for the moments of a period.
func (r *Rows) periodID(k int, period int64) (uint32, error) {
	m := &r.periods[k]
	near := m.at(period, &r.plan.periods[k])
	id, known := uint32(unknownID), false
	if near != nil {
		id = atomic.LoadUint32(near)
		known = id != unknownID
	} else {
		id, known = m.far[period]
	}
	if !known {
		var err error
		if id, err = r.evaluatedValue(k, catalog.Int(period*r.plan.Fragment.Computed[k].Period)); err != nil {
			return 0, err
		}
		if near != nil {
			atomic.StoreUint32(near, id)
		} else {
			if m.far == nil {
				m.far = map[int64]uint32{}
			}
			m.far[period] = id
		}
	}
	return id, nil
}
