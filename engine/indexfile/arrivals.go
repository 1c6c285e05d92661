package indexfile

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// Clients send events soon after they happen, so that an event's time nearly says
// when it came. A row's arrival is its place among all: the places before its
// request, which has as many as its greatest index needs, and its index there. The
// arrival that is expected of a time lies on a line between knots, one for each
// stretch of time: the middle arrival of the stretch's rows. What a row's arrival
// differs by is packed in few bits; rows that came much later are listed, and all
// ones stand for them. Requests are in the order of their events' times.

// arrivalsInfo is what the footer says about arrivals.
type arrivalsInfo struct {
	shift uint8 // the length of a stretch of time, as a power of two of the times' units
	width uint8 // of a difference in bits
	late  int   // rows that are listed
}

// stretchRows is about how many rows a stretch has, and stretchSample how many
// of them its middle is found among.
const (
	stretchRows   = 256
	stretchSample = 31
)

// arrivals reads them.
type arrivals struct {
	info    arrivalsInfo
	times   *packed
	starts  []uint32 // the places before each request, and all places
	coarse  []uint32 // the request of every 256th place
	knots   []uint32
	differs packed
	late    []uint32 // rows, ascending
	lateBy  []uint32 // what their arrivals differ by, zigzag
}

const coarseShift = 8

// expected is the arrival that a time stands for.
func expected(knots []uint32, shift uint8, t uint64) int64 {
	v := t + 1<<shift>>1
	k := v >> shift
	a := int64(knots[min(max(k, 1)-1, uint64(len(knots)-1))])
	b := int64(knots[min(k, uint64(len(knots)-1))])
	part, of := v&(1<<shift-1), shift
	if of > 20 {
		part, of = part>>(of-20), 20
	}
	return a + (b-a)*int64(part)>>of
}

// at is the request and index of row i.
func (a *arrivals) at(i int) (request, index uint32) { return a.of(a.place(i)) }

// of is the request and index of an arrival.
func (a *arrivals) of(place uint32) (request, index uint32) {
	k := a.coarse[place>>coarseShift]
	for a.starts[k+1] <= place {
		k++
	}
	return k, place - a.starts[k]
}

// place is the arrival of row i, within bounds whatever the file says.
func (a *arrivals) place(i int) uint32 {
	d := a.differs.at(i)
	places := int64(a.starts[len(a.starts)-1])
	if d == 1<<a.info.width-1 {
		if n, ok := slices.BinarySearch(a.late, uint32(i)); ok {
			d = uint64(a.lateBy[n])
		}
	}
	p := expected(a.knots, a.info.shift, a.times.at(i)) + unzigzag(d)
	return uint32(min(max(p, 0), places-1))
}

// encodeArrivals encodes ids whose requests are in a table, if that takes less
// than so many bits. The times are those of the file.
func encodeArrivals(info *ingestInfo, table []request, rowCodes []uint32, index func(i int) uint32, times *packed, most uint64, bits0 int64) []part {
	n := len(rowCodes)
	if n == 0 || times.width > 56 {
		return nil
	}
	sizes := requestSizes(len(table), rowCodes, index)
	order := orderRequests(sizes, rowCodes, times)
	places := uint64(0)
	starts := make([]uint32, len(table)) // by the codes of rows
	ordered := make([]request, len(table))
	for k, code := range order {
		starts[code] = uint32(min(places, math.MaxUint32))
		ordered[k] = table[code]
		places += uint64(sizes[code].places)
	}
	if places > math.MaxInt32 {
		return nil
	}
	arrival := func(i int) uint32 { return starts[rowCodes[i]] + index(i) }
	a := arrivalsInfo{}
	for most>>a.shift > uint64(n/stretchRows) {
		a.shift++
	}
	knots := findKnots(n, arrival, times, a.shift, int(most>>a.shift)+1)
	differ := func(i int) uint64 { return zigzag(int64(arrival(i)) - expected(knots, a.shift, times.at(i))) }
	differs := make([]uint32, n) // what is greater counts as the greatest: it is late
	var lengths [65]int
	for i := range differs {
		d := differ(i)
		differs[i] = uint32(min(d, math.MaxUint32))
		lengths[bits.Len64(d+1)]++ // all ones are taken
	}
	const lateBits = 26 // about what a late row takes
	best := int64(math.MaxInt64)
	late := 0
	for w := len(lengths) - 1; w > 0; w-- {
		if late += lengths[w]; w > 33 {
			continue // no difference is as long
		}
		if total := int64(n)*int64(w-1) + int64(late)*lateBits; w > 1 && total < best {
			best, a.width, a.late = total, uint8(w-1), late
		}
	}
	if 8*(best+int64(24*len(knots)+48*len(table))) >= 7*bits0 {
		return nil
	}
	var lateRows, lateBy []byte
	a.late = 0
	last := 0
	ones := uint64(1)<<a.width - 1
	for i, d := range differs {
		if uint64(d) < ones {
			continue
		}
		a.late++
		lateBy = binary.AppendUvarint(lateBy, differ(i))
		lateRows, last = binary.AppendUvarint(lateRows, uint64(i-last)), i
	}
	info.arrivals, info.requests = &a, len(table)
	var knotBytes []byte
	before := int64(0)
	for _, k := range knots {
		knotBytes, before = binary.AppendVarint(knotBytes, int64(k)-before), int64(k)
	}
	info.edges = nil
	for _, r := range table {
		info.edges = append(info.edges, r.edge)
	}
	slices.Sort(info.edges)
	info.edges = slices.Compact(info.edges)
	return []part{
		{kind: partRequests, bytes: appendRequests(nil, ordered, func(k int) uint64 { return uint64(sizes[order[k]].places) }, info.edges), cold: true},
		{kind: partKnots, bytes: knotBytes, cold: true},
		packPart(partDiffers, n, a.width, func(i int) uint64 { return min(uint64(differs[i]), ones) }),
		{kind: partLateRows, bytes: lateRows, cold: true},
		{kind: partLate, bytes: lateBy, cold: true},
	}
}

// requestSize is how many rows of a request are in the file, and how many places
// it has among all.
type requestSize struct{ rows, places uint32 }

func requestSizes(requests int, rowCodes []uint32, index func(i int) uint32) []requestSize {
	sizes := make([]requestSize, requests)
	for i, code := range rowCodes {
		s := &sizes[code]
		s.rows++
		s.places = max(s.places, index(i)+1)
	}
	return sizes
}

// orderRequests gives the requests in the order of their events: many come at once, and
// when each was stamped is nearly chance. Those with few rows for their places, since
// most of their events are in other files, come last.
func orderRequests(sizes []requestSize, rowCodes []uint32, times *packed) []uint32 {
	froms := make([]int, len(sizes)+1) // where the times of each one's first rows are
	for k, s := range sizes {
		froms[k+1] = froms[k] + min(int(s.rows), stretchSample)
	}
	some := make([]uint64, froms[len(sizes)])
	counts := make([]uint8, len(sizes))
	for i, code := range rowCodes {
		if c := counts[code]; c < stretchSample {
			some[froms[code]+int(c)] = times.at(i)
			counts[code]++
		}
	}
	middles := make([]uint64, len(sizes))
	order := make([]uint32, len(sizes))
	for k := range sizes {
		of := some[froms[k]:froms[k+1]]
		slices.Sort(of)
		order[k], middles[k] = uint32(k), of[len(of)/2]
	}
	few := func(k uint32) int {
		if s := sizes[k]; s.rows < s.places/4 {
			return 1
		}
		return 0
	}
	slices.SortFunc(order, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(few(a), few(b)), cmp.Compare(middles[a], middles[b]), cmp.Compare(a, b))
	})
	return order
}

// findKnots finds the middle arrival of each stretch of time, among some of its
// rows; a stretch without rows has that of the one before.
func findKnots(rows int, arrival func(i int) uint32, times *packed, shift uint8, stretches int) []uint32 {
	samples := make([][stretchSample]uint32, stretches)
	counts := make([]uint8, stretches)
	for i := range rows {
		k := times.at(i) >> shift
		if c := counts[k]; c < stretchSample {
			samples[k][c] = arrival(i)
			counts[k]++
		}
	}
	knots := make([]uint32, stretches)
	last := uint32(0)
	for k, c := range counts {
		if c > 0 {
			some := samples[k][:c]
			slices.Sort(some)
			last = some[c/2]
		}
		knots[k] = last
	}
	return knots
}

// appendRequests encodes the table: all times, each less the one before, all
// numbers of edges, how many places each request has.
func appendRequests(b []byte, table []request, places func(k int) uint64, edges []uint32) []byte {
	last := uint64(0)
	for _, r := range table {
		b, last = binary.AppendVarint(b, int64(r.time-last)), r.time
	}
	for _, r := range table {
		number, _ := slices.BinarySearch(edges, r.edge)
		b = binary.AppendUvarint(b, uint64(number))
	}
	for k := range table {
		b = binary.AppendUvarint(b, places(k))
	}
	return b
}

// readRequests reads what appendRequests wrote.
func (s *ingestIDs) readRequests(d *decoder, a *arrivals) {
	n := s.info.requests
	if 3*n > len(d.bytes) {
		d.fail("requests")
		return
	}
	s.requestTimes, a.starts = make([]uint64, n), make([]uint32, n+1)
	edges := make([]uint32, n)
	last := uint64(0)
	for k := range s.requestTimes {
		last += uint64(d.varint("request's time"))
		s.requestTimes[k] = last
	}
	for k := range edges {
		if number := d.count("request's edge", MaxRows); number < len(s.info.edges) {
			edges[k] = s.info.edges[number]
		} else {
			d.fail("request's edge")
		}
	}
	s.edges = edges
	places := uint64(0)
	for k := range n {
		a.starts[k] = uint32(places)
		size := d.uvarint("request's places", math.MaxInt32)
		if places += size; size == 0 || places > math.MaxInt32 {
			d.fail("request's places")
			return
		}
	}
	a.starts[n] = uint32(places)
	a.coarse = make([]uint32, places>>coarseShift+1)
	k := uint32(0)
	for i := range a.coarse {
		for a.starts[k+1] <= uint32(i)<<coarseShift && int(k) < n-1 {
			k++
		}
		a.coarse[i] = k
	}
}

// loadArrivals reads the parts of arrivals.
func (r *Reader) loadArrivals(s *ingestIDs) error {
	a := &arrivals{info: *s.info.arrivals}
	times, err := r.timeColumn()
	if err != nil {
		return err
	}
	a.times = &times.packed
	if err := r.decodePart(partRequests, func(d *decoder) { s.readRequests(d, a) }); err != nil {
		return err
	}
	if err := r.decodePart(partKnots, func(d *decoder) { a.readKnots(d) }); err != nil {
		return err
	}
	if a.differs, err = r.packedPart(partDiffers, 0, a.info.width); err != nil {
		return err
	}
	if err := r.decodePart(partLateRows, func(d *decoder) { a.readLate(d, r.Rows()) }); err != nil {
		return err
	}
	s.arrivals = a
	holds[uint32](r, len(a.knots)+2*a.info.late)
	holds[request](r, len(s.requestTimes))
	return r.decodePart(partLate, func(d *decoder) {
		a.lateBy = make([]uint32, a.info.late)
		for i := range a.lateBy {
			a.lateBy[i] = uint32(d.uvarint("late arrival", math.MaxUint32))
		}
	})
}

func (a *arrivals) readKnots(d *decoder) {
	last := int64(0)
	for d.at < len(d.bytes) {
		if last += d.varint("knot"); last < 0 || last > math.MaxInt32 {
			d.fail("knot")
		}
		a.knots = append(a.knots, uint32(last))
	}
	if len(a.knots) == 0 {
		d.fail("knots")
	}
}

func (a *arrivals) readLate(d *decoder, rows int) {
	if a.info.late > len(d.bytes) {
		d.fail("late rows")
		return
	}
	a.late = make([]uint32, a.info.late)
	row := 0
	for i := range a.late {
		n := d.count("late row", rows-1)
		if row += n; i > 0 && n == 0 || row >= rows {
			d.fail("late row")
			return
		}
		a.late[i] = uint32(row)
	}
}

func (i *ingestInfo) appendArrivals(b []byte) []byte {
	if i.arrivals == nil {
		return append(b, 0)
	}
	b = append(b, 1, i.arrivals.shift, i.arrivals.width)
	return binary.AppendUvarint(b, uint64(i.arrivals.late))
}

func (i *ingestInfo) decodeArrivals(d *decoder) {
	if d.byte("ingest ids: arrivals", 1) == 0 {
		return
	}
	i.arrivals = &arrivalsInfo{shift: d.byte("arrivals: stretch", 56), width: d.byte("arrivals: bits", 33), late: d.count("arrivals: late", MaxRows)}
	if i.arrivals.width == 0 || i.requests == 0 {
		d.fail("arrivals")
	}
}
