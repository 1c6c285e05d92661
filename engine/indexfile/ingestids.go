package indexfile

import (
	"cmp"
	"slices"

	"arbor/catalog"
)

// Ingest ids are (request, index in the request). The requests are a table,
// sorted, and each row has a packed code of its request; where requests hold
// few rows the table does not pay, and each row has its packed time and edge.
// Where rows came in about the order of their times, these say most of it
// (arrivals.go).

// ingestInfo is what the footer says about the ingest ids.
type ingestInfo struct {
	requests   int      // in the table, 0 without one
	edges      []uint32 // without a table: the edges, sorted
	timeBase   uint64   // without a table
	timeWidth  uint8    // without a table, in bits
	codeWidth  uint8    // of the request's or the edge's code, in bits
	indexWidth uint8    // in bits
	least      catalog.IngestID
	greatest   catalog.IngestID
	arrivals   *arrivalsInfo // nil for codes and indexes
}

// arrivalRows is how many rows a request must have on average for its arrivals
// to be looked at: its entry in the table stays in memory.
const arrivalRows = 8

type request struct {
	time uint64
	edge uint32
}

func (r request) compare(o request) int {
	if c := cmp.Compare(r.time, o.time); c != 0 {
		return c
	}
	return cmp.Compare(r.edge, o.edge)
}

func (r request) hash() uint64 {
	h := (r.time ^ uint64(r.edge)<<32) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

// encodeIngestIDs chooses between the forms. The times are those of the file.
func encodeIngestIDs(ids *pages[catalog.IngestID], times timesInfo, timeParts []part, version uint32) (ingestInfo, []part) {
	n, r := ids.len(), ids.reader()
	if n == 0 {
		return ingestInfo{}, nil
	}
	info := ingestInfo{least: r.at(0), greatest: r.at(0)}
	maxIndex := uint32(0)
	for i := range n {
		id := r.at(i)
		if id.Compare(info.least) < 0 {
			info.least = id
		}
		if id.Compare(info.greatest) > 0 {
			info.greatest = id
		}
		maxIndex = max(maxIndex, id.Index)
	}
	info.indexWidth = packedWidth(uint64(maxIndex))
	index := func(i int) uint32 { return r.at(i).Index }
	indexes := packPart(partIndexes, n, info.indexWidth, func(i int) uint64 { return uint64(index(i)) })
	timeWidth := packedWidth(info.greatest.Time - info.least.Time)

	// A request of the table takes 96 bits, a row of it a code.
	limit := max(n*int(timeWidth)/96, 16)
	wide := limit
	if version > 1 {
		wide = max(limit, n/arrivalRows)
	}
	table, rowCodes := internRequests(ids, wide)
	if table != nil && version > 1 {
		info := info
		bits := int64(n) * int64(packedWidth(uint64(len(table)-1))+info.indexWidth)
		if len(table) > limit {
			bits = int64(n) * int64(timeWidth+info.indexWidth)
		}
		info.indexWidth = 0
		column := packed{bytes: timeParts[0].bytes, width: times.width}
		most := (uint64(times.greatest) - uint64(times.base)) / uint64(times.unit)
		if parts := encodeArrivals(&info, table, rowCodes, index, &column, most, bits); parts != nil {
			return info, parts
		}
	}
	if table != nil && len(table) <= limit {
		info.requests = len(table)
		info.codeWidth = packedWidth(uint64(len(table) - 1))
		requestTimes, edges := make([]uint64, len(table)), make([]uint32, len(table))
		for i, r := range table {
			requestTimes[i], edges[i] = r.time, r.edge
		}
		return info, []part{
			{kind: partRequests, bytes: slices.Concat(raw(requestTimes), raw(edges)), cold: true},
			packPart(partRequestCodes, n, info.codeWidth, func(i int) uint64 { return uint64(rowCodes[i]) }),
			indexes,
		}
	}
	edgeCodes := map[uint32]uint64{}
	for i := range n {
		id := r.at(i)
		if _, ok := edgeCodes[id.Edge]; !ok {
			edgeCodes[id.Edge] = 0
			info.edges = append(info.edges, id.Edge)
		}
	}
	slices.Sort(info.edges)
	for code, edge := range info.edges {
		edgeCodes[edge] = uint64(code)
	}
	info.timeBase, info.timeWidth = info.least.Time, timeWidth
	info.codeWidth = packedWidth(uint64(len(info.edges) - 1))
	return info, []part{
		packPart(partIngestTimes, n, timeWidth, func(i int) uint64 { return r.at(i).Time - info.timeBase }),
		packPart(partEdgeCodes, n, info.codeWidth, func(i int) uint64 { return edgeCodes[r.at(i).Edge] }),
		indexes,
	}
}

// internRequests gives the distinct requests in order and each row's code; nil
// if there are more than limit.
func internRequests(ids *pages[catalog.IngestID], limit int) (table []request, rowCodes []uint32) {
	rowCodes = make([]uint32, ids.len())
	ir := ids.reader()
	slots := make([]uint32, 64) // 1 + request by hash, 0 where free
	for i := range rowCodes {
		id := ir.at(i)
		r := request{id.Time, id.Edge}
		mask := uint64(len(slots) - 1)
		at := r.hash() & mask
		for slots[at] != 0 && table[slots[at]-1] != r {
			at = (at + 1) & mask
		}
		if slots[at] != 0 {
			rowCodes[i] = slots[at] - 1
			continue
		}
		if len(table) == limit {
			return nil, nil
		}
		table = append(table, r)
		slots[at], rowCodes[i] = uint32(len(table)), uint32(len(table)-1)
		if 2*len(table) > len(slots) {
			slots = make([]uint32, 2*len(slots))
			for code, r := range table {
				at := r.hash() & uint64(len(slots)-1)
				for slots[at] != 0 {
					at = (at + 1) & uint64(len(slots)-1)
				}
				slots[at] = uint32(code + 1)
			}
		}
	}
	order := make([]uint32, len(table))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return table[a].compare(table[b]) })
	sorted, to := make([]request, len(table)), make([]uint32, len(table))
	for rank, code := range order {
		sorted[rank], to[code] = table[code], uint32(rank)
	}
	for i, code := range rowCodes {
		rowCodes[i] = to[code]
	}
	return sorted, rowCodes
}

// ingestIDs reads them.
type ingestIDs struct {
	info         ingestInfo
	requestTimes []uint64
	edges        []uint32 // of the requests, or the distinct ones
	times        packed
	codes        packed
	indexes      packed
	arrivals     *arrivals // nil for codes and indexes
}

func (s *ingestIDs) at(i int) catalog.IngestID {
	if s.arrivals != nil {
		request, index := s.arrivals.at(i)
		return catalog.IngestID{Time: s.requestTimes[request], Edge: s.edges[request], Index: index}
	}
	id := catalog.IngestID{Index: uint32(s.indexes.at(i))}
	code := s.codes.at(i)
	id.Edge = s.edges[code]
	if s.requestTimes != nil {
		id.Time = s.requestTimes[code]
	} else {
		id.Time = s.times.at(i)
	}
	return id
}
