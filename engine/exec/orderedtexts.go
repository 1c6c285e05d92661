package exec

import (
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"arbor/catalog"
)

// The users of a file come in order, and most of them are those of the file before. So
// they are not looked for by hash, each in another place of memory, but next to each other
// in the order of those that are known; and the file gives some of them at a time, so that
// neither their texts nor copies of them are held.

// orderedMerge is a walk through the entries of an ordered dictionary beside the known
// values of a domain.
type orderedMerge struct {
	order  []uint32 // known values, as they are ordered
	values []catalog.Value
	at     int // in order

	numbers []uint32
	// What is not known: its texts, which entries they are, and the places in order
	// before which they come.
	texts   []string
	entries []int32
	places  []int32
}

// errNotOrdered says that entries do not ascend.
var errNotOrdered = errors.New("entries do not ascend")

// find finds a text that is not before those looked for earlier. If it is not known, at is
// where it would be.
func (m *orderedMerge) find(text string) (number uint32, found bool) {
	for m.at < len(m.order) {
		switch known := m.textAt(m.at); {
		case known == text: // as nearly always
			m.at++
			return m.order[m.at-1], true
		case known > text:
			return 0, false
		}
		m.at = m.after(text)
	}
	return 0, false
}

func (m *orderedMerge) textAt(place int) string { return m.values[m.order[place]].Text }

// after is the first place behind at whose text is not before one: near it, as a rule.
func (m *orderedMerge) after(text string) int {
	lo, step := m.at+1, 1 // all before lo are before it
	for lo+step <= len(m.order) && m.textAt(lo+step-1) < text {
		lo += step
		step *= 2
	}
	hi := min(lo+step-1, len(m.order))
	for lo < hi {
		if mid := (lo + hi) / 2; m.textAt(mid) < text {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// walk finds the entries of a dictionary.
func (m *orderedMerge) walk(d *Dictionary) error {
	m.numbers = make([]uint32, 0, max(1, d.Len))
	var last, fresh []byte
	var freshEnds []int
	err := d.ordered(func(texts []byte, ends []uint32) error {
		if len(m.numbers)+len(ends) > d.Len {
			return fmt.Errorf("%w: more than %d entries", ErrArray, d.Len)
		}
		from := uint32(0)
		fresh, freshEnds = fresh[:0], freshEnds[:0]
		for i, end := range ends {
			text := texts[from:end]
			if len(m.numbers) > 0 && string(text) <= string(last) {
				return errNotOrdered
			}
			last = text
			if i == len(ends)-1 {
				last = append([]byte(nil), text...) // it is compared when these are gone
			}
			from = end
			number, found := m.find(unsafe.String(unsafe.SliceData(text), len(text)))
			if !found {
				fresh = append(fresh, text...)
				freshEnds = append(freshEnds, len(fresh))
				m.entries, m.places = append(m.entries, int32(len(m.numbers))), append(m.places, int32(m.at))
			}
			m.numbers = append(m.numbers, number)
		}
		start, all := 0, string(fresh)
		for _, end := range freshEnds {
			m.texts = append(m.texts, all[start:end])
			start = end
		}
		return nil
	})
	if err == nil && len(m.numbers) != d.Len {
		err = fmt.Errorf("%w: %d entries, want %d", ErrArray, len(m.numbers), d.Len)
	}
	if len(m.numbers) == 0 {
		m.numbers = append(m.numbers, nullID) // without entries all rows are null
	}
	return err
}

// translateOrdered makes the translation of an ordered dictionary; nil if its entries do
// not ascend. The caller has mu, which is given up while they are read.
func (d *Domain) translateOrdered(dictionary *Dictionary) (*translation, error) {
	for d.making[dictionary.id] {
		d.made.Wait()
		if t := d.known(dictionary); t != nil {
			return t, nil
		}
	}
	d.making[dictionary.id] = true
	m := &orderedMerge{order: d.order, values: d.list}
	d.mu.Unlock()
	err := m.walk(dictionary)
	d.mu.Lock()
	delete(d.making, dictionary.id)
	d.made.Broadcast()
	switch {
	case errors.Is(err, errNotOrdered):
		return nil, nil
	case err != nil:
		return nil, err
	}
	d.addOrdered(m)
	return d.remember(dictionary, m.numbers), nil
}

// addOrdered gives the texts that a merge did not find numbers, and finds those that have
// become known meanwhile. The caller has mu.
func (d *Domain) addOrdered(m *orderedMerge) {
	if len(m.texts) == 0 {
		return
	}
	again := &orderedMerge{order: d.order, values: d.list}
	same := len(d.order) == len(m.order)
	hashed := len(d.order)+1 < len(d.list) // some values are not in order
	merged, done := make([]uint32, 0, len(d.order)+len(m.texts)), 0
	if !hashed {
		d.list = slices.Grow(d.list, len(m.texts))
	}
	for i, text := range m.texts {
		place := int(m.places[i])
		if !same {
			if number, found := again.find(text); found {
				m.numbers[m.entries[i]] = number
				continue
			}
			place = again.at
		}
		number := uint32(len(d.list))
		if v := catalog.String(text); hashed {
			number = d.number(v)
		} else {
			d.list = append(d.list, v)
			d.bytes.Add(int64(48 + len(text)))
		}
		m.numbers[m.entries[i]] = number
		merged = append(append(merged, d.order[done:place]...), number)
		done = place
	}
	merged = append(merged, d.order[done:]...)
	d.bytes.Add(4 * int64(len(merged)-len(d.order)))
	d.order = merged
}
