package exec

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"

	"arbor/catalog"
)

// Each accumulator's put appends a group's state, from its part number from on, and
// gives the number to go on with, or 0 when all was written; get adds such a state
// to a group's. What they write is in partial.go.

func (c rowCounts) put(*groupWriter, uint32, int) int     { return 0 }
func (c rowCounts) get(*groupReader, uint32) error        { return nil }
func (s sharedSum) put(*groupWriter, uint32, int) int     { return 0 }
func (s sharedSum) get(*groupReader, uint32) error        { return nil }
func (s sumCounts) put(*groupWriter, uint32, int) int     { return 0 }
func (s sumCounts) get(*groupReader, uint32) error        { return nil }
func (s *behaviourStates) get(*groupReader, uint32) error { return errStepped }

// put writes nothing: states that were stepped through are no partial.
func (s *behaviourStates) put(*groupWriter, uint32, int) int { return 0 }

func (c *valueCounts) put(w *groupWriter, group uint32, _ int) int {
	w.number(uint64(c.counts[group]))
	return 0
}

func (c *valueCounts) get(r *groupReader, group uint32) error {
	c.counts[group] += int64(r.below(1 << 62))
	return nil
}

func (b *bitwise) put(w *groupWriter, group uint32, _ int) int {
	w.body = binary.LittleEndian.AppendUint64(w.body, b.bits[group])
	return 0
}

func (b *bitwise) get(r *groupReader, group uint32) error {
	b.join(&b.bits[group], r.word())
	return nil
}

func (x *extremes) put(w *groupWriter, group uint32, _ int) int {
	w.value(x.column, x.best[group])
	return 0
}

func (x *extremes) get(r *groupReader, group uint32) error {
	if id := r.value(x.column); id != nullID {
		x.offer(x.plan.domains[x.column].all(), group, id)
	}
	return nil
}

func (t *touches) put(w *groupWriter, group uint32, _ int) int {
	best := &t.best[group]
	w.value(t.args[0], best.id)
	if best.id != nullID {
		w.signed(best.time)
		w.body, _ = best.ingestID().AppendBinary(w.body)
	}
	return 0
}

func (t *touches) get(r *groupReader, group uint32) error {
	id := r.value(t.args[0])
	if id == nullID {
		return nil
	}
	time := r.varint()
	if ingestID := catalog.IngestIDFromBytes(r.bytes(catalog.IngestIDSize)); !r.bad {
		t.offer(group, touchOf(id, time, ingestID))
	}
	return nil
}

func (d *distincts) put(w *groupWriter, group uint32, from int) int {
	if from == 0 || w.elements == nil {
		w.elements = w.elements[:0]
		d.sets[group].each(func(id uint32) { w.elements = append(w.elements, id) })
	}
	to := min(len(w.elements), from+w.out.stateRun)
	w.number(uint64(to - from))
	for _, id := range w.elements[from:to] {
		if len(d.args) == 1 {
			w.value(d.args[0], id)
			continue
		}
		for k, one := range d.columnsOf(id) {
			w.value(d.args[k], one)
		}
	}
	return onward(to, len(w.elements))
}

// onward is where to go on, or 0 at the end.
func onward(to, end int) int {
	if to == end {
		return 0
	}
	return to
}

func (d *distincts) get(r *groupReader, group uint32) error {
	size := int64(0)
	ids := make([]uint32, len(d.args))
	for range r.count(len(d.args)) {
		for k, column := range d.args {
			if ids[k] = r.value(column); ids[k] == nullID {
				r.bad = true
			}
		}
		if r.bad {
			return nil
		}
		size += d.sets[group].add(d.numberOf(ids))
	}
	return d.plan.take(size)
}

func (w *groupWriter) big(n *big.Int) {
	w.body = append(w.body, boolByte(n.Sign() < 0))
	w.body = appendText(w.body, string(n.Bytes()))
}

// maxBigBytes is more than any sum of doubles has.
const maxBigBytes = 2048

func (d *decoder) big() *big.Int {
	negative := d.bool()
	n := d.below(maxBigBytes + 1)
	if d.bad || uint64(len(d.rest)) < n {
		d.bad = true
		return new(big.Int)
	}
	v := new(big.Int).SetBytes(d.rest[:n])
	d.rest = d.rest[n:]
	if negative {
		v.Neg(v)
	}
	return v
}

func (s *doubleSums) put(w *groupWriter, group uint32, _ int) int {
	t := &s.small[group]
	w.number(uint64(t.count))
	w.signed(t.sum)
	large, other := s.large[group], &s.other[group]
	w.body = append(w.body, boolByte(large != nil)|boolByte(!other.zero())<<1)
	if large != nil {
		w.big(large)
	}
	if !other.zero() {
		w.exact(other)
	}
	return 0
}

func (s *doubleSums) get(r *groupReader, group uint32) error {
	count, sum, flags := int64(r.below(1<<62)), r.varint(), r.byte()
	if r.bad || flags > 3 {
		r.bad = true
		return nil
	}
	s.addSmall(group, smallSum{sum, count})
	if flags&1 != 0 {
		s.addLarge(group, r.big())
	}
	if flags&2 != 0 {
		s.other[group].merge(r.exact())
	}
	return nil
}

func (w *groupWriter) exact(s *exactSum) {
	for _, word := range [...]uint64{s.lo, s.mid, uint64(s.hi)} {
		w.body = binary.LittleEndian.AppendUint64(w.body, word)
	}
	w.body = append(w.body, boolByte(s.rest != nil)|boolByte(s.special != 0)<<1)
	if s.rest != nil {
		mantissa := new(big.Float)
		exponent := s.rest.MantExp(mantissa)
		digits := int(mantissa.MinPrec())
		whole, _ := mantissa.SetMantExp(mantissa, digits).Int(nil)
		w.big(whole)
		w.signed(int64(exponent - digits))
	}
	if s.special != 0 {
		w.body = binary.LittleEndian.AppendUint64(w.body, math.Float64bits(s.special))
	}
}

// maxRestExponent bounds the exponents that sums of doubles and their squares have.
const maxRestExponent = 1 << 13

func (d *decoder) exact() *exactSum {
	s := &exactSum{lo: d.word(), mid: d.word(), hi: int64(d.word())}
	flags := d.byte()
	if d.bad || flags > 3 {
		d.bad = true
		return &exactSum{}
	}
	if flags&1 != 0 {
		whole, exponent := d.big(), d.varint()
		if exponent < -maxRestExponent || exponent > maxRestExponent {
			d.bad = true
			return &exactSum{}
		}
		s.big()
		s.rest.SetInt(whole)
		s.rest.SetMantExp(s.rest, int(exponent))
	}
	if flags&2 != 0 {
		s.special = math.Float64frombits(d.word())
		if !math.IsInf(s.special, 0) && !math.IsNaN(s.special) {
			d.bad = true
		}
	}
	return s
}

func (s *intSums) put(w *groupWriter, group uint32, _ int) int {
	w.number(uint64(s.counts[group]))
	w.body = binary.LittleEndian.AppendUint64(w.body, s.low[group])
	w.body = binary.LittleEndian.AppendUint64(w.body, uint64(s.high[group]))
	large := s.rest[group]
	w.body = append(w.body, boolByte(large != nil))
	if large != nil {
		w.big(large)
	}
	return 0
}

func (s *intSums) get(r *groupReader, group uint32) error {
	count, low, high := int64(r.below(1<<62)), r.word(), int64(r.word())
	s.addWords(group, count, low, high)
	if r.bool() {
		s.addLarge(group, r.big(), 1)
		s.counts[group]--
	}
	return nil
}

func (d *deviations) put(w *groupWriter, group uint32, _ int) int {
	w.number(uint64(d.counts[group]))
	w.exact(&d.sums[group])
	w.exact(&d.squares[group])
	return 0
}

func (d *deviations) get(r *groupReader, group uint32) error {
	d.counts[group] += int64(r.below(1 << 62))
	d.sums[group].merge(r.exact())
	d.squares[group].merge(r.exact())
	return nil
}

// list makes pairs of all that the histogram counts, and finds each group's.
func (h *histogram) list() {
	h.flush()
	h.listed = make([][]uint32, h.size)
	for i, pair := range h.pairs.pairs {
		h.listed[pair>>32] = append(h.listed[pair>>32], uint32(i))
	}
}

func (q *percentiles) put(w *groupWriter, group uint32, from int) int {
	if !q.owner {
		return 0
	}
	h := q.histogram
	pairs := h.listed[group]
	to := min(len(pairs), from+w.out.stateRun)
	w.number(uint64(to - from))
	for _, i := range pairs[from:to] {
		w.value(h.column, uint32(h.pairs.pairs[i]))
		w.number(uint64(h.counts[i]))
	}
	return onward(to, len(pairs))
}

func (q *percentiles) get(r *groupReader, group uint32) error {
	if !q.owner {
		return nil
	}
	h := q.histogram
	before := len(h.counts)
	for range r.count(2) {
		id, n := r.value(h.column), int64(r.below(1<<62))
		if id == nullID || n == 0 {
			r.bad = true
		}
		if r.bad {
			return nil
		}
		h.count(group, id, n)
	}
	return h.plan.take(int64(len(h.counts)-before) * 40)
}

func (b *behaviourGroups) put(w *groupWriter, group uint32, from int) int {
	e := b.events[group]
	if e == nil {
		e = NewBehaviourEvents(b.function)
	}
	to := min(len(e.events), from+w.out.stateRun)
	w.number(e.met)
	w.number(uint64(to - from))
	for i := from; i < to; i++ {
		event := &e.events[i]
		w.signed(event.time)
		w.body, _ = event.id.AppendBinary(w.body)
		w.number(event.mask)
	}
	return onward(to, len(e.events))
}

func (b *behaviourGroups) get(r *groupReader, group uint32) error {
	e := b.of(group)
	before := e.Bytes()
	masks := conditionMask(b.function.Conditions()) + 1
	met, n := r.below(masks), r.count(minBehaviourEvent)
	if met != 0 && b.function.Ordered() || n != 0 && !b.function.Ordered() {
		r.bad = true
	}
	if r.bad {
		return nil
	}
	e.met |= met
	for range n {
		time := r.varint()
		id := catalog.IngestIDFromBytes(r.bytes(catalog.IngestIDSize))
		mask := r.below(masks)
		if r.bad {
			return nil
		}
		e.Add(time, id, mask)
	}
	if err := b.plan.take(e.Bytes() - before); err != nil {
		return fmt.Errorf("events of a group: %w", err)
	}
	return nil
}
