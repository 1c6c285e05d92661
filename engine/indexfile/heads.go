package indexfile

import (
	"slices"

	"arbor/catalog"
)

// heads decodes what each row has, but for its properties, of a block of rows at a time:
// for an Encoder, whose rows come in ascending order.
type heads struct {
	times  []int64
	ids    []catalog.IngestID
	events []int64 // codes; empty where the column has no dictionary
	names  []string
	units  []int64     // scratch
	keys   []InsertKey // of the rows' packed insert ids
}

// load readies them. The cursor has loaded the columns.
func (h *heads) load(c *Cursor) {
	n := min(encoderRows, c.reader.Rows())
	h.times, h.units, h.ids = make([]int64, n), make([]int64, n), make([]catalog.IngestID, n)
	column := c.columns[columnEvent]
	if d := column.dictionary; d != nil && column.info.placement == placeAll {
		h.events, h.names = make([]int64, n), make([]string, d.entries)
		for code := range h.names {
			h.names[code] = d.value(uint32(code)).Text
		}
	}
}

// enter decodes the rows [lo, hi).
func (h *heads) enter(c *Cursor, lo, hi int) {
	c.times.packed.unpack(h.units[:hi-lo], lo)
	base, unit := c.times.info.base, c.times.info.unit
	for i, t := range h.units[:hi-lo] {
		h.times[i] = base + t*unit
	}
	c.ingest.fill(h.ids[:hi-lo], h.units, lo)
	if len(h.names) > 0 {
		c.columns[columnEvent].numbersIn(h.events, lo, hi)
	}
	if c.insert.form != FormNone {
		h.keys = c.insert.fill(h.keys[:0], lo, hi)
	}
}

// fill appends the keys of the rows [lo, hi) that are packed, and some for others.
func (s *insertIDs) fill(dst []InsertKey, lo, hi int) []InsertKey {
	slot := lo // of the next row that has its own id
	if s.of.len() > 0 {
		slot -= s.of.ranks.before(lo)
	}
	for i := lo; i < hi; i++ {
		at := slot
		if s.of.len() > 0 && bitGet(s.of.ranks.bitmap, i) {
			at = s.of.slot(i)
		} else {
			slot++
		}
		dst = append(dst, s.keyAt(at))
	}
	return dst
}

// Head is Cursor.Head, and gives the key of the insert id.
func (e *Encoder) Head(i int, into *Row) (key InsertKey, err error) {
	c := e.cursor
	if err := e.enter(i); err != nil {
		return key, err
	}
	at := i % encoderRows
	into.ID, into.Time = e.heads.ids[at], e.heads.times[at]
	_, into.ServerTime = c.columns[columnServerTime].slot(i)
	if len(e.heads.names) > 0 {
		into.Name = e.heads.names[e.heads.events[at]]
	} else {
		v, err := c.value(columnEvent, i)
		if err != nil {
			return key, err
		}
		into.Name = v.Text
	}
	if into.DistinctID, err = c.distinctID(i); err != nil {
		return key, err
	}
	if slot, other := c.insert.rest.slot(i); other {
		v, err := c.insert.rest.value(slot, &c.inserted)
		into.InsertID = v.Text
		return InsertKeyOf(v.Text), err
	}
	key = e.heads.keys[at]
	c.id = key.AppendID(c.id[:0])
	into.InsertID = text(c.id)
	return key, nil
}

// fill puts the ids of the rows from lo on into dst. units are the rows' times, in whole
// units.
func (s *ingestIDs) fill(dst []catalog.IngestID, units []int64, lo int) {
	if s.arrivals == nil {
		for i := range dst {
			dst[i] = s.at(lo + i)
		}
		return
	}
	a := s.arrivals
	late, _ := slices.BinarySearch(a.late, uint32(lo))
	places := int64(a.starts[len(a.starts)-1])
	ones := uint64(1)<<a.info.width - 1
	for i := range dst {
		d := a.differs.at(lo + i)
		if d == ones {
			for late < len(a.late) && int(a.late[late]) < lo+i {
				late++
			}
			if late < len(a.late) && int(a.late[late]) == lo+i {
				d = uint64(a.lateBy[late])
			}
		}
		p := expected(a.knots, a.info.shift, uint64(units[i])) + unzigzag(d)
		request, index := a.of(uint32(min(max(p, 0), places-1)))
		dst[i] = catalog.IngestID{Time: s.requestTimes[request], Edge: s.edges[request], Index: index}
	}
}
