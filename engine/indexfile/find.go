package indexfile

import (
	"slices"
	"sort"

	"arbor/catalog"
)

// FindIDs gives the rows, ascending, that bear one of the ids, which are
// ascending too. Where ids have a table of requests, and none of the ids is of
// one of them, no row is looked at.
func (r *Reader) FindIDs(ids []catalog.IngestID) ([]uint32, error) {
	least, greatest := r.IngestBounds()
	from, _ := slices.BinarySearchFunc(ids, least, catalog.IngestID.Compare)
	to, found := slices.BinarySearchFunc(ids, greatest, catalog.IngestID.Compare)
	if found {
		to++
	}
	if r.Rows() == 0 || from >= to {
		return nil, nil
	}
	s, err := r.ingestColumn()
	if err != nil {
		return nil, err
	}
	return s.find(ids[from:to], r.Rows()), nil
}

func (s *ingestIDs) find(ids []catalog.IngestID, rows int) (found []uint32) {
	wanted, some := s.wanted(ids)
	if !some {
		return nil
	}
	for i := range rows {
		if wanted != nil {
			if code := s.request(i); wanted[code>>6]>>(code&63)&1 == 0 {
				continue
			}
		}
		if _, ok := slices.BinarySearchFunc(ids, s.at(i), catalog.IngestID.Compare); ok {
			found = append(found, uint32(i))
		}
	}
	return found
}

// request is the code of a row's request, where there is a table.
func (s *ingestIDs) request(i int) uint64 {
	if s.arrivals != nil {
		code, _ := s.arrivals.at(i)
		return uint64(code)
	}
	return s.codes.at(i)
}

// wanted is the set of codes of the ids' requests; nil without a table, which
// any row may match.
func (s *ingestIDs) wanted(ids []catalog.IngestID) (set []uint64, some bool) {
	if s.requestTimes == nil {
		return nil, true
	}
	set = make([]uint64, len(s.requestTimes)/64+1)
	if s.arrivals != nil {
		for code, t := range s.requestTimes {
			of := catalog.IngestID{Time: t, Edge: s.edges[code]}
			at, _ := slices.BinarySearchFunc(ids, of, catalog.IngestID.Compare)
			if at < len(ids) && ids[at].Time == of.Time && ids[at].Edge == of.Edge {
				set[code>>6] |= 1 << (code & 63)
				some = true
			}
		}
		return set, some
	}
	for i := range ids {
		if i > 0 && ids[i].Time == ids[i-1].Time && ids[i].Edge == ids[i-1].Edge {
			continue
		}
		want := request{ids[i].Time, ids[i].Edge}
		code := sort.Search(len(s.requestTimes), func(c int) bool {
			return request{s.requestTimes[c], s.edges[c]}.compare(want) >= 0
		})
		if code < len(s.requestTimes) && s.requestTimes[code] == want.time && s.edges[code] == want.edge {
			set[code>>6] |= 1 << (code & 63)
			some = true
		}
	}
	return set, some
}

// InsertKey is Reader.InsertKey, and cheap also where ids are texts, in ascending
// order.
func (c *Cursor) InsertKey(i int) (InsertKey, error) {
	if err := c.loadInsertIDs(); err != nil {
		return InsertKey{}, err
	}
	slot, other := c.insert.rest.slot(i)
	if !other {
		return c.insert.key(i), nil
	}
	v, err := c.insert.rest.value(slot, &c.inserted)
	return InsertKeyOf(v.Text), err
}

// loadInsertIDs finds the insert ids alone: who compares keys wants no other column, as
// a rule.
func (c *Cursor) loadInsertIDs() (err error) {
	if c.insert == nil {
		c.insert, err = c.reader.insertColumn()
	}
	return err
}

// SameInsertID reports whether two rows bear the same insert id, or both none. Where ids
// are texts it is cheap near the rows that it was asked for last, and does not keep
// others of the cursor's methods from being cheap.
func (c *Cursor) SameInsertID(i, j int) (bool, error) {
	if err := c.loadInsertIDs(); err != nil {
		return false, err
	}
	rest := c.insert.rest
	slotI, otherI := rest.slot(i)
	slotJ, otherJ := rest.slot(j)
	keyI, keyJ := InsertKey{}, InsertKey{}
	var texts [2]string
	if otherI {
		v, err := rest.value(slotI, &c.compared[0])
		if err != nil {
			return false, err
		}
		keyI, texts[0] = InsertKeyOf(v.Text), v.Text
	} else {
		keyI = c.insert.key(i)
	}
	if otherJ {
		v, err := rest.value(slotJ, &c.compared[1])
		if err != nil {
			return false, err
		}
		keyJ, texts[1] = InsertKeyOf(v.Text), v.Text
	} else {
		keyJ = c.insert.key(j)
	}
	return keyI == keyJ && (keyI.Exact() || texts[0] == texts[1]), nil
}

// InsertID is Reader.InsertID, and cheap in ascending order. It holds until the
// cursor's next call.
func (c *Cursor) InsertID(i int) (string, error) {
	if err := c.loadInsertIDs(); err != nil {
		return "", err
	}
	return c.insertID(i)
}
