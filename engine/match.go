package engine

import (
	"sort"

	"arbor/engine/event"
	"arbor/engine/indexfile"
)

// probe is an event that is looked for among a file's rows.
type probe struct {
	number   uint32 // its asker's
	key      indexfile.InsertKey
	insertID string // where the key does not stand for it
	time     int64
	payload  fingerprint
	found    bool // in the file at hand
}

// matcher looks for copies of events in a file, user by user: a user's rows lie
// together, so that they are passed over once for all probes of the user.
type matcher struct {
	file   *file
	ids    *idFilter // of the file, or nil
	users  userWalk
	rows   *cursor
	filter [filterBits / 64]uint64
	keys   []indexfile.InsertKey
	byKey  map[indexfile.InsertKey][]int32
}

// filterBits is the size of the set of key hashes that a row is held against
// first: most rows of a user are ruled out by one look at it.
const filterBits = 1 << 14

// newMatcher is for so many events that are to be looked for.
func newMatcher(f *file, events int) matcher {
	return matcher{file: f, ids: f.filterFor(events), users: newUserWalk(f)}
}

// matchUser calls found for a row, of the user's rows [first, end), that is a copy
// of a probe, if there is one: the file's own group has the others. Probes that the
// file's filter rules out are passed over, and copies are looked for at the probe's own
// time first, since who sends an event again sends its time, too: only for what is not
// there are all rows of the user looked through.
func (m *matcher) matchUser(probes []probe, first, end int, found func(p *probe, ordinal uint32) error) error {
	m.keys = m.keys[:0]
	for i := range probes {
		p := &probes[i]
		p.found = false
		if p.key.Form == indexfile.FormNone {
			if err := m.matchContent(p, first, end, found); err != nil {
				return err
			}
			continue
		}
		if m.ids != nil && !m.ids.may(copyHashOf(keyHash(p.key))) {
			continue
		}
		if done, err := m.matchTime(p, first, end, found); done || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		if m.byKey == nil {
			m.byKey = map[indexfile.InsertKey][]int32{}
		}
		m.byKey[p.key] = append(m.byKey[p.key], int32(i))
		m.keys = append(m.keys, p.key)
		bit := keyBit(p.key)
		m.filter[bit/64] |= 1 << (bit % 64)
	}
	if len(m.keys) == 0 {
		return nil
	}
	err := m.matchKeys(probes, first, end, found)
	for _, k := range m.keys {
		m.filter[keyBit(k)/64] = 0
		delete(m.byKey, k) // clearing would cost as much as the largest user's keys
	}
	return err
}

func keyBit(k indexfile.InsertKey) uint64 { return (k.Lo ^ k.Hi>>17) % filterBits }

// matchKeys holds the rows' insert ids against the probes'.
func (m *matcher) matchKeys(probes []probe, first, end int, found func(p *probe, ordinal uint32) error) error {
	r := m.cursor().rows
	for row := first; row < end; row++ {
		k, err := r.InsertKey(row)
		if err != nil {
			return err
		}
		if bit := keyBit(k); m.filter[bit/64]>>(bit%64)&1 == 0 {
			continue
		}
		for _, i := range m.byKey[k] {
			p := &probes[i]
			if p.found {
				continue
			}
			if !k.Exact() {
				id, err := r.InsertID(row)
				if err != nil {
					return err
				}
				if id != p.insertID {
					continue
				}
			}
			p.found = true
			if err := found(p, uint32(row)); err != nil {
				return err
			}
		}
	}
	return nil
}

// matchTime finds the row with a probe's insert id and time, if there is one, and reports
// whether there is.
func (m *matcher) matchTime(p *probe, first, end int, found func(p *probe, ordinal uint32) error) (bool, error) {
	at, err := m.atTime(p.time, first, end)
	for ; at < end && err == nil; at++ {
		t, err := m.file.reader.Time(at)
		if err != nil || t != p.time {
			return false, err
		}
		k, err := m.cursor().rows.InsertKey(at)
		if err != nil {
			return false, err
		}
		if k != p.key {
			continue
		}
		if !k.Exact() {
			id, err := m.cursor().rows.InsertID(at)
			if err != nil {
				return false, err
			}
			if id != p.insertID {
				continue
			}
		}
		p.found = true
		return true, found(p, uint32(at))
	}
	return false, err
}

// atTime is the first of the rows [first, end) of a user that is not before a time.
func (m *matcher) atTime(time int64, first, end int) (row int, err error) {
	row = first + sort.Search(end-first, func(i int) bool {
		t, failed := m.file.reader.Time(first + i)
		if failed != nil {
			err = failed
		}
		return t >= time
	})
	return row, err
}

// matchContent finds the rows without an insert id that say what the probe says
// at the same time. A user's rows are in the order of their times.
func (m *matcher) matchContent(p *probe, first, end int, found func(p *probe, ordinal uint32) error) error {
	r := m.file.reader
	at, failed := m.atTime(p.time, first, end)
	for ; at < end && failed == nil; at++ {
		t, err := r.Time(at)
		if err != nil || t != p.time {
			return err
		}
		k, err := m.cursor().rows.InsertKey(at)
		if err != nil {
			return err
		}
		if k.Form != indexfile.FormNone {
			continue
		}
		e, err := m.event(at)
		if err != nil {
			return err
		}
		if hi, lo := event.PayloadHash(e); p.payload != (fingerprint{hi, lo}) {
			continue
		}
		return found(p, uint32(at))
	}
	return failed
}

func (m *matcher) event(row int) (*event.Event, error) { return m.cursor().event(row) }

func (m *matcher) cursor() *cursor {
	if m.rows == nil {
		m.rows = m.file.cursor()
	}
	return m.rows
}
